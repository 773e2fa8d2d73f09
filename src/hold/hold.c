/*-------------------------------------------------------------------------
 *
 * hold.c
 *	  The rows of the hold table.
 *
 * A hold is live, and holds its places, while ended_at is null: also if it has
 * expired (expiry.c).
 *
 * Every change of a hold is decided under the lock of its row.  Confirming and
 * extending read the clock after they have locked it.  So a hold that had not
 * expired under the lock can be confirmed: a session that comes to end it
 * waits, and finds it ended.
 *
 * As tickets are (ticket/ticket.c), one hold is inserted, locked and changed in
 * one of two ways with the same result: directly, or by a statement.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "event/handover.h"
#include "event/sale.h"
#include "hold/hold.h"
#include "pool/remembered.h"
#include "server/errors.h"
#include "server/result.h"
#include "server/rowversion.h"
#include "server/rowwriter.h"
#include "tables/user_id.h"

static SqlPlan insert_plan = {
	.sql = "INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)"
		   " VALUES ($1, $2, $3, $4)"
		   " RETURNING event_id OPERATOR(pg_catalog.=) $1"
		   " AND user_id OPERATOR(pg_catalog.=) $2"
		   " AND quantity OPERATOR(pg_catalog.=) $3 AND ended_at IS NULL, hold_id",
	.nargs = 4,
	.argtypes = { INT8OID, PLAN_USER_ID, INT4OID, TIMESTAMPTZOID },
};

static SqlPlan read_plan = {
	.sql = "SELECT " HOLD_COLUMNS " FROM booking.hold"
		   " WHERE hold_id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static SqlPlan lock_plan = {
	.sql = "SELECT " HOLD_COLUMNS " FROM booking.hold"
		   " WHERE hold_id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static SqlPlan end_plan = {
	.sql = "UPDATE booking.hold SET ended_at = pg_catalog.clock_timestamp()"
		   " WHERE hold_id OPERATOR(pg_catalog.=) ANY ($1) AND ended_at IS NULL"
		   " RETURNING ended_at IS NOT NULL",
	.nargs = 1,
	.argtypes = { INT8ARRAYOID },
};

static SqlPlan confirm_plan = {
	.sql = "UPDATE booking.hold SET"
		   " ended_at = coalesce(ended_at, pg_catalog.clock_timestamp()),"
		   " confirmed_at = pg_catalog.clock_timestamp()"
		   " WHERE hold_id OPERATOR(pg_catalog.=) $1"
		   " RETURNING ended_at IS NOT NULL AND confirmed_at IS NOT NULL",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static SqlPlan extend_plan = {
	.sql = "UPDATE booking.hold SET expires_at = $2"
		   " WHERE hold_id OPERATOR(pg_catalog.=) $1"
		   " RETURNING expires_at OPERATOR(pg_catalog.=) $2 AND ended_at IS NULL",
	.nargs = 2,
	.argtypes = { INT8OID, TIMESTAMPTZOID },
};

static SqlPlan change_plan = {
	.sql = "UPDATE booking.hold SET quantity = $2, user_id = $3"
		   " WHERE hold_id OPERATOR(pg_catalog.=) $1"
		   " RETURNING quantity OPERATOR(pg_catalog.=) $2"
		   " AND user_id OPERATOR(pg_catalog.=) $3 AND ended_at IS NULL",
	.nargs = 3,
	.argtypes = { INT8OID, INT4OID, PLAN_USER_ID },
};

static SqlPlan find_same_plan = {
	.sql = "SELECT hold_id FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1"
		   " AND user_id OPERATOR(pg_catalog.=) $2"
		   " AND quantity OPERATOR(pg_catalog.=) $3 AND ended_at IS NULL"
		   " AND expires_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()"
		   " ORDER BY expires_at DESC, hold_id LIMIT 1",
	.nargs = 3,
	.argtypes = { INT8OID, PLAN_USER_ID, INT4OID },
};

/* Raises 55000 if a column that must have a value is null. */
static void
check_value(bool isnull)
{
	if (isnull)
		error_unusable("table booking.hold has a null in a column that must have a value",
					   "Give its columns their NOT NULL back.");
}

/* Returns a column of the last result, which must not be null. */
static Datum
hold_column(const BookingCall *call, uint64 row, int column, Oid type)
{
	bool		isnull;
	Datum		value = plan_result(&call->base, row, column, type, &isnull);

	check_value(isnull);
	return value;
}

/* Reads a row of the last result; copies the user's id into the context. */
static void
read_hold(const BookingCall *call, uint64 row, MemoryContext context,
		  Hold *hold)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	bool		isnull;

	hold->hold_id = DatumGetInt64(hold_column(call, row, 1, INT8OID));
	hold->event_id = DatumGetInt64(hold_column(call, row, 2, INT8OID));
	hold->user_id =
		user_id_copy(&call->base, hold_column(call, row, 3, PLAN_USER_ID));
	hold->quantity = DatumGetInt32(hold_column(call, row, 4, INT4OID));
	hold->expires_at =
		DatumGetTimestampTz(hold_column(call, row, 5, TIMESTAMPTZOID));
	hold->created_at =
		DatumGetTimestampTz(hold_column(call, row, 6, TIMESTAMPTZOID));
	hold->ended_at = DatumGetTimestampTz(
		plan_result(&call->base, row, 7, TIMESTAMPTZOID, &isnull));
	hold->ended = !isnull;
	hold->confirmed = DatumGetBool(hold_column(call, row, 8, BOOLOID));
	ItemPointerSetInvalid(&hold->tid);
	MemoryContextSwitchTo(old);
}

/* Returns a column of a row in a slot, which must not be null. */
static Datum
slot_column(const BookingCall *call, TupleTableSlot *slot, int column)
{
	bool		isnull;
	Datum		value =
		slot_getattr(slot, call->tables.hold_shape.attnum[column], &isnull);

	check_value(isnull);
	return value;
}

/* Reads a locked row in a slot; copies the user's id. */
static void
read_slot(const BookingCall *call, TupleTableSlot *slot, Hold *hold)
{
	const AttrNumber *attnum = call->tables.hold_shape.attnum;
	bool		isnull;

	hold->hold_id = DatumGetInt64(slot_column(call, slot, INSPECT_HOLD_ID));
	hold->event_id =
		DatumGetInt64(slot_column(call, slot, INSPECT_HOLD_EVENT_ID));
	hold->user_id = user_id_copy(&call->base,
								 slot_column(call, slot,
											 INSPECT_HOLD_USER_ID));
	hold->quantity =
		DatumGetInt32(slot_column(call, slot, INSPECT_HOLD_QUANTITY));
	hold->expires_at =
		DatumGetTimestampTz(slot_column(call, slot, INSPECT_HOLD_EXPIRES_AT));
	hold->created_at =
		DatumGetTimestampTz(slot_column(call, slot, INSPECT_HOLD_CREATED_AT));
	hold->ended_at = DatumGetTimestampTz(
		slot_getattr(slot, attnum[INSPECT_HOLD_ENDED_AT], &isnull));
	hold->ended = !isnull;
	hold->confirmed = !slot_attisnull(slot, attnum[INSPECT_HOLD_CONFIRMED_AT]);
	hold->tid = slot->tts_tid;
}

/* Inserts a hold by an INSERT. */
static int64
insert_by_sql(BookingCall *call, int64 event_id, Datum user_id, int32 quantity,
			  TimestampTz expires_at)
{
	Call	   *base = &call->base;
	Handover	handover = {
		.event_id = event_id,
		.user_id = &user_id,
		.places = quantity
	};
	Datum		values[4];
	int64		hold_id;
	bool		isnull;

	values[0] = Int64GetDatum(event_id);
	values[1] = user_id;
	values[2] = Int32GetDatum(quantity);
	values[3] = TimestampTzGetDatum(expires_at);
	plan_connect_for_all_rows(base);
	plan_check_rows(base, "hold",
					handover_execute(call, &handover, &insert_plan, values,
									 NULL),
					1, 1);
	hold_id = DatumGetInt64(plan_result(base, 0, 2, INT8OID, &isnull));
	plan_disconnect(base);
	return hold_id;
}

/* What can be reclaimed for the event has changed, for this transaction. */
void
hold_note_change(BookingCall *call, int64 event_id)
{
	SalePool	pool;

	sale_open_pool(call, event_id, &pool);
	remembered_note_reclaim(&pool.pool, &pool.key);
}

/*
 * Inserts a hold without a statement.  Our trigger isn't fired: its places are
 * taken, and only this is left to do.
 */
static int64
insert_directly(BookingCall *call, Relation rel, int64 event_id, Datum user_id,
				int32 quantity, TimestampTz expires_at)
{
	const RowShape *shape = &call->tables.hold_shape;
	int64		hold_id = nextval_internal(shape->id_sequence, false);
	RowWriter	writer;
	TupleTableSlot *slot;

	hold_note_change(call, event_id);
	booking_call_open_writer(call, shape, rel, &writer);
	slot = writer.slot;
	row_writer_begin_row(&writer, slot);
	row_writer_set(slot, shape->attnum[INSPECT_HOLD_ID],
				   Int64GetDatum(hold_id));
	row_writer_set(slot, shape->attnum[INSPECT_HOLD_EVENT_ID],
				   Int64GetDatum(event_id));
	row_writer_set(slot, shape->attnum[INSPECT_HOLD_USER_ID], user_id);
	row_writer_set(slot, shape->attnum[INSPECT_HOLD_QUANTITY],
				   Int32GetDatum(quantity));
	row_writer_set(slot, shape->attnum[INSPECT_HOLD_EXPIRES_AT],
				   TimestampTzGetDatum(expires_at));
	row_writer_insert(&writer);
	booking_call_close_writer(&writer);
	return hold_id;
}

/*
 * Inserts a hold, whose places the caller has taken, and returns its id.
 * Raises what the table's constraints and triggers raise.
 */
int64
hold_insert(BookingCall *call, int64 event_id, Datum user_id, int32 quantity,
			TimestampTz expires_at)
{
	Relation	rel = booking_call_open(call->tables.hold, "hold", RowExclusiveLock);
	int64		hold_id;

	if (booking_call_is_plain(call, &call->tables.hold_shape, rel))
		hold_id = insert_directly(call, rel, event_id, user_id, quantity,
								  expires_at);
	else
		hold_id =
			insert_by_sql(call, event_id, user_id, quantity, expires_at);
	table_close(rel, NoLock);
	return hold_id;
}

/* Reads the hold by the statement.  Returns false if there is none. */
static bool
read_by_sql(BookingCall *call, SqlPlan *plan, int64 hold_id, Hold *hold)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		value = Int64GetDatum(hold_id);
	bool		found;

	plan_connect_for_all_rows(&call->base);
	found = plan_execute(&call->base, plan, &value, NULL) > 0;
	if (found)
		read_hold(call, 0, context, hold);
	plan_disconnect(&call->base);
	return found;
}

/* Reads a hold.  Returns false if there is none.  Locks nothing. */
bool
hold_read(BookingCall *call, int64 hold_id, Hold *hold)
{
	return read_by_sql(call, &read_plan, hold_id, hold);
}

/* Locks and reads the hold without a statement. */
static bool
lock_directly(BookingCall *call, Relation rel, int64 hold_id, Hold *hold)
{
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	bool		found = row_version_lock_by_id(rel, hold_id, slot);

	if (found)
		read_slot(call, slot, hold);
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

/* True if the direct path may change holds; rel is their table. */
static bool
is_updatable(const BookingCall *call, Relation rel)
{
	return booking_call_may_update(call, &call->tables.hold_shape, rel);
}

/*
 * Locks a hold until the end of the transaction, as an UPDATE of it would, and
 * then reads it.  Returns false if there is none.
 */
bool
hold_lock(BookingCall *call, int64 hold_id, Hold *hold)
{
	Relation	rel =
		booking_call_open(call->tables.hold, "hold", RowExclusiveLock);
	bool		found;

	if (is_updatable(call, rel))
		found = lock_directly(call, rel, hold_id, hold);
	else
		found = read_by_sql(call, &lock_plan, hold_id, hold);
	table_close(rel, NoLock);
	return found;
}

/*
 * Runs a statement that locks holds and returns HOLD_COLUMNS of them, which
 * *set then has.
 */
void
hold_lock_all(BookingCall *call, SqlPlan *plan, Datum *values, HoldSet *set)
{
	MemoryContext context = CurrentMemoryContext;

	plan_connect_for_all_rows(&call->base);
	set->count = (int) plan_execute(&call->base, plan, values, NULL);
	set->hold = MemoryContextAllocHuge(context,
									   Max(set->count, 1) * sizeof(Hold));
	for (int i = 0; i < set->count; i++)
		read_hold(call, i, context, &set->hold[i]);
	plan_disconnect(&call->base);
}

/* True if the hold has expired, by the clock. */
bool
hold_has_expired(const Hold *hold)
{
	return hold->expires_at <= GetCurrentTimestamp();
}

/* Returns the ids of the holds as an array. */
static Datum
ids_of(const Hold *hold, int count)
{
	Datum	   *ids = palloc(count * sizeof(Datum));

	for (int i = 0; i < count; i++)
		ids[i] = Int64GetDatum(hold[i].hold_id);
	return result_id_array(ids, count);
}

/* Ends locked holds of one event, whose places the caller has given back. */
void
hold_end_all(BookingCall *call, const Hold *hold, int count, int64 places)
{
	Handover	handover = {.event_id = hold->event_id, .places = -places};
	Datum		ids = ids_of(hold, count);

	plan_connect_for_all_rows(&call->base);
	plan_check_rows(&call->base, "hold",
					handover_execute(call, &handover, &end_plan, &ids, NULL),
					count, 1);
	plan_disconnect(&call->base);
}

/* A column and its new value. */
typedef struct NewValue
{
	int			column;			/* INSPECT_HOLD_... */
	TimestampTz value;
} NewValue;

/* Writes a new version of a locked hold, as insert_directly() does. */
static void
write_version(BookingCall *call, Relation rel, Hold *hold,
			  const NewValue *values, int count)
{
	const RowShape *shape = &call->tables.hold_shape;
	TupleTableSlot *old = table_slot_create(rel, NULL);
	RowWriter	writer;

	hold_note_change(call, hold->event_id);
	if (!table_tuple_fetch_row_version(rel, &hold->tid, SnapshotAny, old))
		/* can't happen: this transaction has the row locked */
		elog(ERROR, "a locked hold has gone");
	booking_call_open_updater(call, shape, rel, &writer);
	row_writer_copy_row(writer.slot, old);
	for (int i = 0; i < count; i++)
		row_writer_set(writer.slot, shape->attnum[values[i].column],
					   TimestampTzGetDatum(values[i].value));
	row_writer_update(&writer, &hold->tid);
	booking_call_close_writer(&writer);
	ExecDropSingleTupleTableSlot(old);
	ItemPointerSetInvalid(&hold->tid);
}

/*
 * Changes a locked hold without a statement.  Returns false if that can't be,
 * and nothing was done.
 */
static bool
change_directly(BookingCall *call, Hold *hold, const NewValue *values,
				int count)
{
	Relation	rel =
		booking_call_open(call->tables.hold, "hold", RowExclusiveLock);
	bool		possible =
		ItemPointerIsValid(&hold->tid) && is_updatable(call, rel);

	if (possible)
		write_version(call, rel, hold, values, count);
	table_close(rel, NoLock);
	return possible;
}

/* Changes a locked hold by a statement, for which handover is NULL or is. */
static void
change_by_sql(BookingCall *call, Hold *hold, SqlPlan *plan, Datum *values,
			  Handover *handover)
{
	uint64		rows;

	plan_connect_for_all_rows(&call->base);
	rows = handover == NULL ?
		plan_execute(&call->base, plan, values, NULL) :
		handover_execute(call, handover, plan, values, NULL);
	plan_check_rows(&call->base, "hold", rows, 1, 1);
	plan_disconnect(&call->base);
	ItemPointerSetInvalid(&hold->tid);
}

/* Ends a locked hold, whose places the caller has given back. */
void
hold_end(BookingCall *call, Hold *hold)
{
	NewValue	value = {INSPECT_HOLD_ENDED_AT, GetCurrentTimestamp()};

	if (!change_directly(call, hold, &value, 1))
		hold_end_all(call, hold, 1, hold->quantity);
	ItemPointerSetInvalid(&hold->tid);
}

/*
 * Marks a locked hold as confirmed.  The caller is about to turn its places
 * into tickets; if it had ended, he has taken places again.
 */
void
hold_confirm(BookingCall *call, Hold *hold)
{
	TimestampTz now = GetCurrentTimestamp();
	NewValue	values[] = {
		{INSPECT_HOLD_CONFIRMED_AT, now},
		{INSPECT_HOLD_ENDED_AT, now}
	};
	Handover	handover = {
		.event_id = hold->event_id,
		.places = hold->ended ? 0 : -hold->quantity
	};
	Datum		hold_id = Int64GetDatum(hold->hold_id);

	if (!change_directly(call, hold, values, hold->ended ? 1 : 2))
		change_by_sql(call, hold, &confirm_plan, &hold_id, &handover);
}

/*
 * Raises 23T05: the hold is in a state in which it can't be what was asked,
 * such as refused = "extended", state = "confirmed".
 */
void
hold_error_state(int64 hold_id, const char *refused, const char *state)
{
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_STATE),
			 errmsg("hold " INT64_FORMAT " cannot be %s", hold_id, refused),
			 errdetail("The hold is already %s.", state),
			 error_fields("hold", "ended_at", "hold_state")));
}

/* Changes when a locked hold expires. */
void
hold_extend(BookingCall *call, Hold *hold, TimestampTz expires_at)
{
	NewValue	value = {INSPECT_HOLD_EXPIRES_AT, expires_at};
	Datum		values[2];

	values[0] = Int64GetDatum(hold->hold_id);
	values[1] = TimestampTzGetDatum(expires_at);
	if (!change_directly(call, hold, &value, 1))
		change_by_sql(call, hold, &extend_plan, values, NULL);
}

/*
 * Changes how many places a locked hold keeps, and for whom.  The trigger takes
 * the places or gives them back, and judges the sale rules.
 */
void
hold_change(BookingCall *call, Hold *hold, int32 quantity, Datum user_id)
{
	Datum		values[3];

	values[0] = Int64GetDatum(hold->hold_id);
	values[1] = Int32GetDatum(quantity);
	values[2] = user_id;
	change_by_sql(call, hold, &change_plan, values, NULL);
}

/*
 * Locks and reads the user's hold of that many places of the event.  Returns
 * false if he has none that is live and has not expired.  The caller has locked
 * the user at the event, so no other call of his makes one now.  Raises 40001
 * if a snapshot of the transaction doesn't show it.
 */
bool
hold_find_same(BookingCall *call, int64 event_id, Datum user_id,
			   int32 quantity, Hold *hold)
{
	Datum		values[3];
	int64		hold_id = 0;
	bool		isnull;
	bool		found;

	values[0] = Int64GetDatum(event_id);
	values[1] = user_id;
	values[2] = Int32GetDatum(quantity);
	plan_connect_for_all_rows(&call->base);
	found =
		plan_execute_latest(&call->base, &find_same_plan, values, 1) > 0;
	if (found)
		hold_id = DatumGetInt64(
			plan_result(&call->base, 0, 1, INT8OID, &isnull));
	plan_disconnect(&call->base);
	if (!found)
		return false;
	if (!hold_lock(call, hold_id, hold))
	{
		if (IsolationUsesXactSnapshot())
			error_conflict();
		return false;
	}
	return !hold->ended && !hold_has_expired(hold) &&
		hold->event_id == event_id && hold->quantity == quantity &&
		user_id_equal(&call->base, hold->user_id, user_id);
}
