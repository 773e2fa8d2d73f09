/*-------------------------------------------------------------------------
 *
 * hold.c
 *	  The rows of the hold table, and their expiry.
 *
 * A hold is live, and holds its places, while ended_at is null: a hold that
 * has expired gives nothing back by itself.  A session that finds no place
 * left ends the event's expired holds in its own transaction (sale.c).  The
 * sweep does the same for all events, and is only a convenience.
 *
 * Every change of a hold is decided under the lock of its row.  Confirming and
 * extending read the clock after they have locked it.  So a hold that had not
 * expired under the lock can be confirmed: a session that comes to end it
 * waits, and finds it ended.  end_expired() and hold_sweep() read the clock
 * before they lock.  This is safe, because what had expired at the earlier time
 * has expired now.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "event/handover.h"
#include "event/refusal.h"
#include "event/sale.h"
#include "hold/hold.h"
#include "pool/remembered.h"
#include "server/errors.h"
#include "server/fault.h"
#include "server/plan.h"
#include "server/result.h"
#include "server/rowwriter.h"
#include "tables/user_id.h"

/* Holds that were locked in order to end them. */
typedef struct HoldSet
{
	int			count;
	Hold	   *hold;
} HoldSet;

#define HOLD_COLUMNS \
	"hold_id, event_id, user_id, quantity, expires_at, created_at, ended_at," \
	" confirmed_at IS NOT NULL"

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

/* The places in expired holds, as far as needed, and the next to expire. */
static SqlPlan expired_places_plan = {
	.sql = "SELECT (SELECT pg_catalog.sum(h.quantity) FROM"
		   " (SELECT quantity FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND ended_at IS NULL"
		   " AND expires_at OPERATOR(pg_catalog.<=) $2"
		   " ORDER BY expires_at LIMIT $3) h),"
		   " (SELECT expires_at FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND ended_at IS NULL"
		   " AND expires_at OPERATOR(pg_catalog.>) $2"
		   " ORDER BY expires_at LIMIT 1)",
	.nargs = 3,
	.argtypes = { INT8OID, TIMESTAMPTZOID, INT8OID },
};

/* The time is an argument: an index can't search for a volatile value. */
#define EXPIRED_HOLDS \
	"SELECT " HOLD_COLUMNS " FROM booking.hold" \
	" WHERE event_id OPERATOR(pg_catalog.=) $1 AND ended_at IS NULL" \
	" AND expires_at OPERATOR(pg_catalog.<=) $3" \
	" ORDER BY expires_at, hold_id LIMIT $2 FOR NO KEY UPDATE"

static SqlPlan lock_free_plan = {
	.sql = EXPIRED_HOLDS " SKIP LOCKED",
	.nargs = 3,
	.argtypes = { INT8OID, INT8OID,
				  TIMESTAMPTZOID },
};

static SqlPlan lock_expired_plan = {
	.sql = EXPIRED_HOLDS,
	.nargs = 3,
	.argtypes = { INT8OID, INT8OID,
				  TIMESTAMPTZOID },
};

/* Tells if a hold's event has a pool; a subquery, so that an index is used. */
#define HAS_INVENTORY \
	"(SELECT true FROM booking.inventory i" \
	" WHERE i.event_id OPERATOR(pg_catalog.=) hold.event_id LIMIT 1)"

static SqlPlan sweep_plan = {
	.sql = "SELECT " HOLD_COLUMNS " FROM booking.hold"
		   " WHERE ended_at IS NULL"
		   " AND expires_at OPERATOR(pg_catalog.<=) $2 AND " HAS_INVENTORY
		   " ORDER BY expires_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED",
	.nargs = 2,
	.argtypes = { INT8OID, TIMESTAMPTZOID },
};

static SqlPlan not_swept_plan = {
	.sql = "SELECT event_id FROM booking.hold WHERE ended_at IS NULL"
		   " AND expires_at OPERATOR(pg_catalog.<=) $1"
		   " AND " HAS_INVENTORY " IS NULL LIMIT 1",
	.nargs = 1,
	.argtypes = { TIMESTAMPTZOID },
};

/* Returns a column of the last result, which must not be null. */
static Datum
hold_column(const BookingCall *call, uint64 row, int column, Oid type)
{
	bool		isnull;
	Datum		value = plan_result(&call->base, row, column, type, &isnull);

	if (isnull)
		error_unusable("table booking.hold has a null in a column that must have a value",
					   "Give its columns their NOT NULL back.");
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
	MemoryContextSwitchTo(old);
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
	row_writer_begin_row(slot);
	row_writer_set(slot, shape->attnum[INSPECT_HOLD_ID],
				   Int64GetDatum(hold_id));
	row_writer_set(slot, shape->attnum[INSPECT_HOLD_EVENT_ID],
				   Int64GetDatum(event_id));
	row_writer_set(slot, shape->attnum[INSPECT_HOLD_USER_ID], user_id);
	row_writer_set(slot, shape->attnum[INSPECT_HOLD_QUANTITY],
				   Int32GetDatum(quantity));
	row_writer_set(slot, shape->attnum[INSPECT_HOLD_EXPIRES_AT],
				   TimestampTzGetDatum(expires_at));
	row_writer_set(slot, shape->attnum[INSPECT_HOLD_CREATED_AT],
				   TimestampTzGetDatum(GetCurrentTimestamp()));
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

/*
 * Reads a hold.  Returns false if there is none.  If lock is true, it is
 * locked first until the end of the transaction, as an UPDATE of it would.
 */
bool
hold_read(BookingCall *call, int64 hold_id, bool lock, Hold *hold)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		value = Int64GetDatum(hold_id);
	bool		found;

	plan_connect_for_all_rows(&call->base);
	found = plan_execute(&call->base, lock ? &lock_plan : &read_plan, &value,
						 NULL) > 0;
	if (found)
		read_hold(call, 0, context, hold);
	plan_disconnect(&call->base);
	return found;
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

/* Ends locked holds of one event, whose places the caller accounts for. */
static void
end_rows(BookingCall *call, const Hold *hold, int count, int64 places)
{
	Handover	handover = {.event_id = hold->event_id, .places = -places};
	Datum		ids = ids_of(hold, count);

	plan_connect_for_all_rows(&call->base);
	plan_check_rows(&call->base, "hold",
					handover_execute(call, &handover, &end_plan, &ids, NULL),
					count, 1);
	plan_disconnect(&call->base);
}

/* Ends a locked hold, whose places the caller has given back. */
void
hold_end(BookingCall *call, const Hold *hold)
{
	end_rows(call, hold, 1, hold->quantity);
}

/*
 * Marks a locked hold as confirmed.  The caller is about to turn its places
 * into tickets; if it had ended, he has taken places again.
 */
void
hold_confirm(BookingCall *call, const Hold *hold)
{
	Handover	handover = {
		.event_id = hold->event_id,
		.places = hold->ended ? 0 : -hold->quantity
	};
	Datum		hold_id = Int64GetDatum(hold->hold_id);

	plan_connect_for_all_rows(&call->base);
	plan_check_rows(&call->base, "hold",
					handover_execute(call, &handover, &confirm_plan, &hold_id,
									 NULL),
					1, 1);
	plan_disconnect(&call->base);
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
hold_extend(BookingCall *call, const Hold *hold, TimestampTz expires_at)
{
	Datum		values[2];

	values[0] = Int64GetDatum(hold->hold_id);
	values[1] = TimestampTzGetDatum(expires_at);
	plan_connect_for_all_rows(&call->base);
	plan_check_rows(&call->base, "hold",
					plan_execute(&call->base, &extend_plan, values, NULL),
					1, 1);
	plan_disconnect(&call->base);
}

/*
 * Returns the places in expired holds of the event that the snapshot shows.
 * Counts at most that many holds, each of which has a place or more.
 * *next_expiry is when the next hold expires, or DT_NOEND; DT_NOBEGIN if a
 * statement is in progress that changes holds.  Locks nothing.
 */
static int64
expired_places(BookingCall *call, int64 event_id, Snapshot snapshot,
			   int64 most, TimestampTz *next_expiry)
{
	Datum		values[3];
	int64		places;
	bool		isnull;

	values[0] = Int64GetDatum(event_id);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[2] = Int64GetDatum(most);
	plan_connect_for_all_rows(&call->base);
	(void) plan_execute_snapshot(&call->base, &expired_places_plan, values,
								 snapshot);
	places = DatumGetInt64(plan_result(&call->base, 0, 1, INT8OID, &isnull));
	*next_expiry = DatumGetTimestampTz(
		plan_result(&call->base, 0, 2, TIMESTAMPTZOID, &isnull));
	if (isnull)
		*next_expiry = DT_NOEND;
	if (call_has_pending_triggers(call->tables.hold))
		*next_expiry = DT_NOBEGIN;
	plan_disconnect(&call->base);
	return places;
}

/* Runs a statement that locks expired holds. */
static HoldSet
lock_holds(BookingCall *call, SqlPlan *plan, Datum *values)
{
	MemoryContext context = CurrentMemoryContext;
	HoldSet		set = {0};

	plan_connect_for_all_rows(&call->base);
	set.count = (int) plan_execute(&call->base, plan, values, NULL);
	set.hold = MemoryContextAllocHuge(context,
									  Max(set.count, 1) * sizeof(Hold));
	for (int i = 0; i < set.count; i++)
		read_hold(call, i, context, &set.hold[i]);
	plan_disconnect(&call->base);
	return set;
}

/*
 * Ends expired holds of the event, in the order of their expiry, until that
 * many places are found or no more are left.  Returns the places, which the
 * caller gives back.  Locks up to that many holds, not only those that it ends.
 * Holds that another session has locked are waited for if wait is true;
 * otherwise they are skipped.
 */
static int64
end_expired(BookingCall *call, int64 event_id, int64 places, bool wait)
{
	Datum		values[3];
	HoldSet		set;
	int64		found = 0;
	int			used = 0;

	values[0] = Int64GetDatum(event_id);
	values[1] = Int64GetDatum(places);
	values[2] = TimestampTzGetDatum(GetCurrentTimestamp());
	set = lock_holds(call, wait ? &lock_expired_plan : &lock_free_plan, values);
	while (used < set.count && found < places)
		found += set.hold[used++].quantity;
	if (used > 0)
		end_rows(call, set.hold, used, found);
	fault_point("expire: not given back");
	return found;
}

/* Compares two holds by event, for qsort(). */
static int
by_event(const void *a, const void *b)
{
	int64		left = ((const Hold *) a)->event_id;
	int64		right = ((const Hold *) b)->event_id;

	return left < right ? -1 : left > right;
}

/* Warns if there are expired holds of an event without a pool. */
static void
warn_of_not_swept(BookingCall *call, Datum now)
{
	bool		isnull;

	plan_connect_for_all_rows(&call->base);
	if (plan_execute(&call->base, &not_swept_plan, &now, NULL) > 0)
		refusal_warn_no_inventory(DatumGetInt64(
			plan_result(&call->base, 0, 1, INT8OID, &isnull)));
	plan_disconnect(&call->base);
}

/*
 * Ends expired holds of all events, at most that many, and gives their places
 * back; returns how many holds were ended.  Holds that another session has
 * locked are skipped.  The events are served in the order of their ids, so
 * that two sweeps don't deadlock.  Events without a pool are skipped, so that
 * they don't stop the sweep of all others; a warning follows at the end.
 */
int32
hold_sweep(BookingCall *call, int32 most)
{
	Datum		values[2];
	HoldSet		set;
	int			next;

	values[0] = Int64GetDatum(most);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	set = lock_holds(call, &sweep_plan, values);
	qsort(set.hold, set.count, sizeof(Hold), by_event);
	for (int first = 0; first < set.count; first = next)
	{
		int64		event_id = set.hold[first].event_id;
		int64		places = 0;

		CHECK_FOR_INTERRUPTS();
		for (next = first;
			 next < set.count && set.hold[next].event_id == event_id; next++)
			places += set.hold[next].quantity;
		if (!sale_give(call, event_id, (int32) places))
			/* can't happen: the pool was there, and holds keep the event */
			refusal_no_inventory(event_id);
		end_rows(call, &set.hold[first], next - first, places);
	}
	if (set.count < most)
		warn_of_not_swept(call, values[1]);
	return set.count;
}

/* Offers expired holds to the sale; once a session. */
void
hold_init(void)
{
	static const SaleReclaimer reclaimer = {expired_places, end_expired};

	sale_set_reclaimer(&reclaimer);
}
