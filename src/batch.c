/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  Book many users at once: for queue consumers and imports.
 *
 * Places are taken for all of them with as few writes of the inventory as
 * there are stripes to empty; then the tickets are inserted a thousand at a
 * time, as COPY does it.  First come, first served, in the order of the array.
 *
 * Where the event has a limit per user, all users are locked at the event
 * first, in the order of their ids, and counted in one go.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "claim.h"
#include "event.h"
#include "result.h"
#include "subtransaction.h"
#include "ticket.h"
#include "user.h"

PG_FUNCTION_INFO_V1(booking_book_batch);
PG_FUNCTION_INFO_V1(booking_book_batch_text);

/* So many tickets are put into the table at once. */
#define TICKETS_AT_ONCE 1000

/* Those who ask for a place each, and what they get. */
typedef struct Batch
{
	int64		event_id;
	int			count;
	Datum	   *user_ids;
	const char **status;		/* NULL: still to be given a place */
	Datum	   *ticket_ids;
} Batch;

static BookingPlan add_users_plan = {
	.sql = "INSERT INTO booking.user_limit (event_id, user_id)"
		   " SELECT DISTINCT $1, u FROM pg_catalog.unnest($2) AS u ORDER BY u"
		   " ON CONFLICT DO NOTHING",
	.nargs = 2,
	.argtypes = { INT8OID, BOOKING_USER_ID_ARRAY },
};

static BookingPlan lock_users_plan = {
	.sql = "SELECT 1 FROM booking.user_limit"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1"
		   " AND user_id OPERATOR(pg_catalog.=) ANY ($2)"
		   " ORDER BY user_id FOR NO KEY UPDATE",
	.nargs = 2,
	.argtypes = { INT8OID, BOOKING_USER_ID_ARRAY },
};

/* For each in the array's order: within the limit, if all before it are? */
static BookingPlan judge_plan = {
	.sql = "WITH asking AS (SELECT u, ord, pg_catalog.row_number()"
		   " OVER (PARTITION BY u ORDER BY ord) AS nth"
		   " FROM pg_catalog.unnest($2) WITH ORDINALITY AS a (u, ord)),"
		   " owning AS (SELECT user_id, pg_catalog.sum(places) AS places FROM"
		   " (SELECT user_id, pg_catalog.count(*) AS places FROM booking.ticket"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND cancelled_at IS NULL"
		   " AND user_id OPERATOR(pg_catalog.=) ANY ($2) GROUP BY user_id"
		   " UNION ALL SELECT user_id, pg_catalog.sum(quantity) FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND ended_at IS NULL"
		   " AND expires_at OPERATOR(pg_catalog.>) $3"
		   " AND user_id OPERATOR(pg_catalog.=) ANY ($2) GROUP BY user_id) AS p"
		   " GROUP BY user_id)"
		   " SELECT COALESCE(o.places, 0) OPERATOR(pg_catalog.+) a.nth"
		   " OPERATOR(pg_catalog.<=) e.max_per_user, e.max_per_user"
		   " FROM booking.event e, asking a LEFT JOIN owning o"
		   " ON o.user_id OPERATOR(pg_catalog.=) a.u"
		   " WHERE e.event_id OPERATOR(pg_catalog.=) $1 ORDER BY a.ord",
	.nargs = 3,
	.argtypes = { INT8OID, BOOKING_USER_ID_ARRAY, TIMESTAMPTZOID },
};

static BookingPlan insert_plan = {
	.sql = "INSERT INTO booking.ticket (event_id, user_id)"
		   " SELECT $1, u FROM pg_catalog.unnest($2) WITH ORDINALITY AS a (u, ord)"
		   " ORDER BY ord"
		   " RETURNING ticket_id, event_id OPERATOR(pg_catalog.=) $1"
		   " AND cancelled_at IS NULL, user_id",
	.nargs = 2,
	.argtypes = { INT8OID, BOOKING_USER_ID_ARRAY },
};

/* Locks all users at the event, and marks those who would be over its limit. */
static int32
refuse_over_limit(BookingCall *call, Batch *batch)
{
	ArrayType  *users = user_id_array(call, batch->user_ids, batch->count);
	TimestampTz now;
	Datum		values[3];
	uint64		rows;
	int32		limit = 0;
	bool		isnull = false;

	values[0] = Int64GetDatum(batch->event_id);
	values[1] = PointerGetDatum(users);
	booking_connect_for_all_rows(call);
	(void) booking_execute(&add_users_plan, values, false);
	(void) booking_execute(&lock_users_plan, values, false);
	booking_finish(call);

	now = GetCurrentTimestamp();
	claim_wait_for_expired(call, batch->event_id, users, now);
	values[2] = TimestampTzGetDatum(now);
	booking_connect_for_all_rows(call);
	rows = booking_execute_latest(&judge_plan, values, 0);
	for (uint64 i = 0; i < rows; i++)
	{
		/* null: the limit has been lifted meanwhile */
		if (!DatumGetBool(booking_result(i, 1, &isnull)) && !isnull)
			batch->status[i] = "user_limit";
		limit = DatumGetInt32(booking_result(i, 2, &isnull));
	}
	booking_finish(call);
	return isnull ? 0 : limit;
}

/* Gives the status to those who have none yet, but for the first so many. */
static void
refuse_rest(Batch *batch, int64 served, const char *status)
{
	for (int i = 0; i < batch->count; i++)
	{
		if (batch->status[i] == NULL && --served < 0)
			batch->status[i] = status;
	}
}

/* An attempt to take places for so many of those who ask. */
typedef struct Attempt
{
	int64		event_id;
	int64		asking;
	int64		places;
	Claim		claim;
	TakeResult	result;
} Attempt;

/*
 * Takes the places.  False, and the attempt is undone: they are not all that is
 * left, so that those who would get none must wait for what others have locked;
 * and that must not be while anything is locked here.
 */
static bool
attempt_to_take(BookingCall *call, void *arg)
{
	Attempt    *attempt = arg;

	attempt->result = booking_take(call, attempt->event_id,
								   (int32) attempt->places, &attempt->claim);
	return attempt->result == TAKE_DONE &&
		(attempt->places == attempt->asking ||
		 booking_nothing_left(call, attempt->event_id));
}

/*
 * Takes a place for each who has no status yet, as far as there are any, and
 * gives the others theirs; returns how many places were taken.  A refusal
 * tells how many are left, which are asked for next.
 */
static int64
take_places(BookingCall *call, Batch *batch, int32 limit)
{
	Attempt		attempt = { .event_id = batch->event_id };
	bool		done = false;

	attempt.claim.in_window = true;
	for (int i = 0; i < batch->count; i++)
		attempt.asking += batch->status[i] == NULL;
	attempt.places = attempt.asking;
	while (!done && attempt.places > 0)
	{
		done = booking_run_subtransaction(call, attempt_to_take, &attempt);
		if (attempt.result == TAKE_NO_EVENT)
			booking_raise_no_stripes(call, batch->event_id);
		if (attempt.result == TAKE_NOT_ON_SALE)
			attempt.places = 0;
		else if (attempt.result == TAKE_SOLD_OUT)
			attempt.places = attempt.claim.left;
		else if (!done)
			attempt.places = attempt.asking;
		CHECK_FOR_INTERRUPTS();
	}
	/* a limit that was set or changed meanwhile has not been kept */
	if (attempt.places > 0 && attempt.claim.rules.max_per_user != limit)
		booking_error_conflict();
	refuse_rest(batch, attempt.places,
				attempt.result == TAKE_NOT_ON_SALE ? "not_on_sale" :
													 "sold_out");
	return attempt.places;
}

/* Inserts tickets for users by INSERT, which fires all triggers. */
static void
insert_by_sql(BookingCall *call, Batch *batch, Datum *user_ids, int count,
			  Datum *ticket_ids)
{
	Datum		values[2];
	uint64		rows;

	values[0] = Int64GetDatum(batch->event_id);
	values[1] = PointerGetDatum(user_id_array(call, user_ids, count));
	booking_connect(call);
	rows = booking_execute_ahead(&insert_plan, values, NULL, batch->event_id,
								 NULL, count);
	booking_check_rows("ticket", rows, count, 2);
	for (int i = 0; i < count; i++)
	{
		bool		isnull;
		Datum		user_id = booking_result(i, 3, &isnull);

		if (isnull || !user_id_equal(call, user_id, user_ids[i]))
			booking_error_row_changed("ticket");
		ticket_ids[i] = booking_result(i, 1, &isnull);
	}
	booking_finish(call);
}

/* The same by the table access method. */
static void
insert_directly(BookingCall *call, Batch *batch, Datum *user_ids, int count,
				Datum *ticket_ids)
{
	NewTickets	new = {.event_id = batch->event_id};
	TupleTableSlot *slots[TICKETS_AT_ONCE];
	BulkInsertState bulk = GetBulkInsertState();
	int			width = Min(count, TICKETS_AT_ONCE);
	RowWriter	writer;

	if (!row_writer_is_kept(call->ticket))
		booking_guard_search_path(call);
	row_writer_open(&writer, call->ticket, true);
	for (int i = 0; i < width; i++)
		slots[i] = table_slot_create(call->ticket, NULL);
	for (int done = 0; done < count; done += width)
	{
		int			some = Min(width, count - done);

		for (int i = 0; i < some; i++)
		{
			new.user_id = user_ids[done + i];
			ticket_ids[done + i] = booking_fill_ticket(call, slots[i], &new);
		}
		row_writer_insert_many(&writer, slots, some, bulk);
		CHECK_FOR_INTERRUPTS();
	}
	for (int i = 0; i < width; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	row_writer_close(&writer);
	FreeBulkInsertState(bulk);
	table_finish_bulk_insert(call->ticket, 0);
	CommandCounterIncrement();
}

/* Inserts the tickets of those who have been given a place. */
static void
insert_tickets(BookingCall *call, Batch *batch, int64 taken)
{
	Datum	   *user_ids = MemoryContextAllocHuge(CurrentMemoryContext,
												  taken * sizeof(Datum));
	Datum	   *ticket_ids = MemoryContextAllocHuge(CurrentMemoryContext,
													taken * sizeof(Datum));
	int			next = 0;

	for (int i = 0; i < batch->count; i++)
	{
		if (batch->status[i] == NULL)
			user_ids[next++] = batch->user_ids[i];
	}
	if (booking_inserts_directly(call))
		insert_directly(call, batch, user_ids, next, ticket_ids);
	else
		insert_by_sql(call, batch, user_ids, next, ticket_ids);
	next = 0;
	for (int i = 0; i < batch->count; i++)
	{
		if (batch->status[i] == NULL)
			batch->ticket_ids[i] = ticket_ids[next++];
	}
}

/* Puts a row for each into the function's result. */
static void
return_batch(FunctionCallInfo fcinfo, const Batch *batch)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		booked = CStringGetTextDatum("booked");

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < batch->count; i++)
	{
		Datum		values[3];
		bool		isnull[3] = {false, false, batch->status[i] != NULL};

		values[0] = Int64GetDatum((int64) i + 1);
		values[1] = batch->status[i] == NULL ?
			booked :
			CStringGetTextDatum(batch->status[i]);
		values[2] = batch->ticket_ids[i];
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 isnull);
		if (batch->status[i] != NULL)
			pfree(DatumGetPointer(values[1]));
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * book_batch(event_id, user_ids): a place for each user in the array's order,
 * as far as there are any; a row (ord, status, ticket_id) for each, status as
 * of try_book_ticket().  Locks the stripes that it takes from, and the users
 * where the event has a limit.  P0002, 22004, 40001 where the limit was
 * changed meanwhile.
 */
static Datum
book_batch(FunctionCallInfo fcinfo, UserForm form)
{
	BookingCall call;
	Batch		batch = {0};
	int32		limit = 0;
	int64		taken;

	booking_check_argument(fcinfo, 0, "event_id");
	booking_check_argument(fcinfo, 1, "user_ids");
	batch.event_id = PG_GETARG_INT64(0);

	booking_begin(&call, "booking.book_batch()");
	/* as a table is locked before rows */
	LockRelationOid(call.tables.hold, AccessShareLock);
	if (!booking_event_exists(&call, batch.event_id))
		booking_error_no_event(batch.event_id);
	batch.user_ids = user_ids_argument(&call, fcinfo, 1, form, &batch.count);
	batch.status = palloc_extended(Max(batch.count, 1) * sizeof(char *),
								   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	batch.ticket_ids = palloc_extended(Max(batch.count, 1) * sizeof(Datum),
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	if (batch.count > 0 && booking_event_has_limit(&call, batch.event_id))
		limit = refuse_over_limit(&call, &batch);
	taken = take_places(&call, &batch, limit);
	if (taken > 0)
		insert_tickets(&call, &batch, taken);
	booking_end(&call);
	return_batch(fcinfo, &batch);
	return (Datum) 0;
}

Datum
booking_book_batch(PG_FUNCTION_ARGS)
{
	return book_batch(fcinfo, USER_BIGINT);
}

Datum
booking_book_batch_text(PG_FUNCTION_ARGS)
{
	return book_batch(fcinfo, USER_TEXT);
}
