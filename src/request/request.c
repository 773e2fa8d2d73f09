/*-------------------------------------------------------------------------
 *
 * request.c
 *	  Idempotency keys: a request that is sent again gets its first answer.
 *
 * A request with a key locks the key before it takes any place (key_lock.c).
 * At the end it inserts a row with its answer into booking.request.  Of two
 * requests with one key at the same time, the second waits.  If the first
 * commits the second finds its answer; if it rolls back, the second goes on.
 *
 * A refusal writes nothing, so a retry may succeed.
 *
 * An answer is a list of ids.  The tickets or the hold may have been deleted
 * since, and an id may be in use again, for example after TRUNCATE RESTART
 * IDENTITY.  So an answer is given only if the rows are there and are still the
 * user's at the event.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "request/key_lock.h"
#include "request/request.h"
#include "server/errors.h"
#include "server/plan.h"
#include "server/result.h"
#include "server/rowwriter.h"
#include "tables/user_id.h"

/* The longest key in bytes: it must fit into an index, and into a log line. */
#define LONGEST_KEY 200

/* Reads the answer, and whether each argument is the same. */
static SqlPlan find_plan = {
	.sql = "SELECT ids, expires_at,"
		   " user_id OPERATOR(pg_catalog.=) $3, quantity OPERATOR(pg_catalog.=) $4,"
		   " is_hold OPERATOR(pg_catalog.=) $5, ttl IS NOT DISTINCT FROM $6,"
		   " user_ids, statuses"
		   " FROM booking.request"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1"
		   " AND idempotency_key OPERATOR(pg_catalog.=) $2",
	.nargs = 6,
	.argtypes = { INT8OID, TEXTOID, PLAN_USER_ID, INT4OID, BOOLOID,
				  INTERVALOID },
};

static SqlPlan insert_plan = {
	.sql = "INSERT INTO booking.request"
		   " (event_id, idempotency_key, user_id, quantity, is_hold, ttl,"
		   " ids, expires_at, user_ids, statuses)"
		   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
		   " ON CONFLICT (event_id, idempotency_key) DO NOTHING"
		   " RETURNING ids OPERATOR(pg_catalog.=) $7",
	.nargs = 10,
	.argtypes = { INT8OID, TEXTOID, PLAN_USER_ID, INT4OID, BOOLOID,
				  INTERVALOID, INT8ARRAYOID, TIMESTAMPTZOID,
				  PLAN_USER_ID_ARRAY, TEXTARRAYOID },
};

/* How many of the rows are the user's at the event. */
#define COUNT_ROWS(table) \
	"SELECT pg_catalog.count(*) FROM booking." table \
	" WHERE " table "_id OPERATOR(pg_catalog.=) ANY ($1)" \
	" AND event_id OPERATOR(pg_catalog.=) $2" \
	" AND user_id OPERATOR(pg_catalog.=) $3"

static SqlPlan count_tickets_plan = {
	.sql = COUNT_ROWS("ticket"),
	.nargs = 3,
	.argtypes = { INT8ARRAYOID, INT8OID, PLAN_USER_ID },
};

static SqlPlan count_holds_plan = {
	.sql = COUNT_ROWS("hold"),
	.nargs = 3,
	.argtypes = { INT8ARRAYOID, INT8OID, PLAN_USER_ID },
};

/* How many of a batch's tickets are missing, or not their users'. */
static SqlPlan batch_missing_plan = {
	.sql = "SELECT pg_catalog.count(*)"
		   " FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($3)) AS r (id, u)"
		   " WHERE id OPERATOR(pg_catalog.<>) 0 AND NOT EXISTS"
		   " (SELECT FROM booking.ticket WHERE ticket_id OPERATOR(pg_catalog.=) id"
		   " AND event_id OPERATOR(pg_catalog.=) $2"
		   " AND user_id OPERATOR(pg_catalog.=) u)",
	.nargs = 3,
	.argtypes = { INT8ARRAYOID, INT8OID, PLAN_USER_ID_ARRAY },
};

static SqlPlan forget_plan = {
	.sql = "DELETE FROM booking.request WHERE is_hold OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = { BOOLOID },
};

/*
 * Returns the key that the caller has sent, or NULL.  Raises 22023 if it is
 * empty or longer than LONGEST_KEY; it is measured before it is decompressed.
 */
text *
request_key_argument(FunctionCallInfo fcinfo, int argno)
{
	Size		length;

	if (PG_ARGISNULL(argno))
		return NULL;
	length = toast_raw_datum_size(PG_GETARG_DATUM(argno)) - VARHDRSZ;
	if (length < 1 || length > LONGEST_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("idempotency key must have between 1 and %d bytes",
						LONGEST_KEY),
				 errdetail("The key has %zu bytes.", length)));
	return PG_GETARG_TEXT_PP(argno);
}

/* Sets the arguments of the statements, and returns which are null. */
static const char *
request_values(const Request *request, Datum *values)
{
	values[0] = Int64GetDatum(request->event_id);
	values[1] = PointerGetDatum(request->key);
	values[2] = request->user_id;
	values[3] = Int32GetDatum(request->quantity);
	values[4] = BoolGetDatum(request->is_hold);
	values[5] = IntervalPGetDatum(request->ttl);
	return request->ttl == NULL ? "     n" : NULL;
}

/*
 * Raises 23T06: the key was used before, with another value of one argument.
 * column is the argument's column in booking.request.
 */
pg_noreturn static void
error_mismatch(const Request *request, const char *argument,
			   const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_IDEMPOTENCY_MISMATCH),
			 errmsg("idempotency key was used before with other arguments"),
			 errdetail("For event " INT64_FORMAT " it was sent with another %s.",
					   request->event_id, argument),
			 errhint("Use a new key for each new request. Use the same key only to retry one."),
			 error_fields("request", column, "request_pkey")));
}

/*
 * Raises 23T06 unless the row that was found is a batch's, too, and for the
 * same users; or none, if the request is none.
 */
static void
check_same_batch(const BookingCall *call, const Request *request)
{
	bool		isnull;
	Datum		user_ids = plan_result(&call->base, 0, 7, PLAN_USER_ID_ARRAY,
									   &isnull);

	if (isnull != (request->user_ids == NULL))
		error_mismatch(request, "function", "user_ids");
	if (!isnull &&
		!user_id_arrays_equal(&call->base, request->user_ids,
							  DatumGetArrayTypeP(user_ids)))
		error_mismatch(request, "user_ids", "user_ids");
}

/* Raises 23T06 unless the row that was found has the same arguments. */
static void
check_same(const BookingCall *call, const Request *request)
{
	static const char *const argument[][2] = {
		{ "user_id", "user_id" }, { "quantity", "quantity" }, { "function", "is_hold" }, { "ttl", "ttl" }
	};

	check_same_batch(call, request);
	for (int i = 0; i < (int) lengthof(argument); i++)
	{
		bool		isnull;

		if (!DatumGetBool(plan_result(&call->base, 0, i + 3, BOOLOID, &isnull)))
			error_mismatch(request, argument[i][0], argument[i][1]);
	}
}

/* Raises 23T06: a row of the answer was deleted, or is another user's now. */
pg_noreturn static void
error_gone(const Request *request)
{
	int64		id = DatumGetInt64(request->ids[0]);
	int			count = request->user_ids == NULL ? request->count : 0;

	ereport(ERROR,
			(errcode(ERRCODE_IDEMPOTENCY_MISMATCH),
			 errmsg("idempotency key was used before, and what it was given is no longer the user's"),
			 count == 0 ?
				 errdetail("A ticket of the batch was deleted or belongs to another user now.") :
				 request->is_hold ?
				 errdetail("Hold " INT64_FORMAT " of event " INT64_FORMAT " was deleted or belongs to another user now.",
						   id, request->event_id) :
				 errdetail_plural("Ticket " INT64_FORMAT " of event " INT64_FORMAT " was deleted or belongs to another user now.",
								  "Ticket " INT64_FORMAT " of event " INT64_FORMAT ", or another ticket of the request, was deleted or belongs to another user now.",
								  count, id, request->event_id),
			 errhint("To book again, use a new key."),
			 error_fields("request", "ids", "request_pkey")));
}

/*
 * Raises 23T06 unless the rows of the answer are there, and are the user's at
 * the event.
 */
static void
check_rows(BookingCall *call, const Request *request)
{
	SqlPlan    *plan =
		request->is_hold ? &count_holds_plan : &count_tickets_plan;
	int64		expected = request->count;
	Datum		values[3];
	bool		isnull;

	values[0] = result_id_array(request->ids, request->count);
	values[1] = Int64GetDatum(request->event_id);
	values[2] = request->user_id;
	if (request->user_ids != NULL)
	{
		plan = &batch_missing_plan;
		expected = 0;
		values[2] = PointerGetDatum(request->user_ids);
	}
	(void) plan_execute(&call->base, plan, values, NULL);
	if (DatumGetInt64(plan_result(&call->base, 0, 1, INT8OID, &isnull)) !=
		expected)
		error_gone(request);
}

/* Raises 55000: an answer is not one of ours. */
void
request_error_alien(void)
{
	error_unusable("table booking.request has an answer that pg_booking did not write",
				   "Delete that row.");
}

/* Copies the answer of the row that was found to the memory context. */
static void
copy_answer(const BookingCall *call, Request *request, MemoryContext context)
{
	const Call *base = &call->base;
	MemoryContext old = MemoryContextSwitchTo(context);
	bool		isnull;
	Datum		value = plan_result(base, 0, 1, INT8ARRAYOID, &isnull);

	if (isnull)
		request_error_alien();
	deconstruct_array(DatumGetArrayTypePCopy(value), INT8OID, sizeof(int64),
					  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &request->ids, NULL,
					  &request->count);
	request->expires_at = DatumGetTimestampTz(
		plan_result(base, 0, 2, TIMESTAMPTZOID, &isnull));
	value = plan_result(base, 0, 8, TEXTARRAYOID, &isnull);
	request->statuses = isnull ? NULL : DatumGetArrayTypePCopy(value);
	MemoryContextSwitchTo(old);
	if (request->count != (request->is_hold ? 1 : request->quantity))
		request_error_alien();
}

/*
 * Returns true if the request was answered before; its answer is then copied
 * to the memory context.
 */
static bool
find_answer(BookingCall *call, Request *request, Datum *values,
			const char *nulls, MemoryContext context)
{
	if (plan_execute(&call->base, &find_plan, values, nulls) == 0)
		return false;
	check_same(call, request);
	copy_answer(call, request, context);
	check_rows(call, request);
	return true;
}

/*
 * Begins a request that has a key.  Returns true if it was answered before:
 * its answer is in *request, and the caller does nothing more.  Otherwise the
 * caller does what was asked, and ends with request_answer() or
 * request_withdraw().
 *
 * Locks the key, waiting for another transaction that has it locked.  Raises
 * 23T06 if it was used with other arguments, and 40001 as the isolation level
 * demands.
 */
bool
request_begin(BookingCall *call, Request *request)
{
	MemoryContext context = CurrentMemoryContext;
	Relation	rel = booking_call_open(call->tables.request, "request", RowExclusiveLock);
	Datum		values[6];
	const char *nulls = request_values(request, values);
	bool		answered = false;
	int			attempts = 0;

	/* again if purge() deletes the row before it is read */
	while (!answered && key_lock_begin(rel, request->event_id, request->key))
	{
		plan_check_attempts("request", &attempts);
		plan_connect_for_all_rows(&call->base);
		answered = find_answer(call, request, values, nulls, context);
		plan_disconnect(&call->base);
		if (!answered && IsolationUsesXactSnapshot())
			error_conflict();	/* committed after the snapshot */
		key_lock_end(request->event_id, request->key);
	}
	table_close(rel, NoLock);
	return answered;
}

/* Inserts the row by an INSERT. */
static void
insert_by_sql(BookingCall *call, const Request *request)
{
	bool		is_batch = request->user_ids != NULL;
	Datum		values[10];
	char		nulls[11] = "          ";

	(void) request_values(request, values);
	values[6] = result_id_array(request->ids, request->count);
	values[7] = TimestampTzGetDatum(request->expires_at);
	values[8] = PointerGetDatum(request->user_ids);
	values[9] = PointerGetDatum(request->statuses);
	if (request->ttl == NULL)
		nulls[5] = 'n';
	if (!request->is_hold)
		nulls[7] = 'n';
	if (!is_batch)
		nulls[8] = nulls[9] = 'n';
	plan_connect_for_all_rows(&call->base);
	plan_check_rows(&call->base, "request",
					plan_execute(&call->base, &insert_plan, values, nulls), 1,
					1);
	plan_disconnect(&call->base);
}

/* Stores the row in the writer's slot. */
static void
fill_row(RowWriter *writer, const RowShape *shape, const Request *request)
{
	const AttrNumber *attnum = shape->attnum;
	TupleTableSlot *slot = writer->slot;

	row_writer_begin_row(writer, slot);
	row_writer_set(slot, attnum[INSPECT_REQUEST_EVENT_ID],
				   Int64GetDatum(request->event_id));
	row_writer_set(slot, attnum[INSPECT_REQUEST_KEY],
				   PointerGetDatum(request->key));
	row_writer_set(slot, attnum[INSPECT_REQUEST_USER_ID], request->user_id);
	row_writer_set(slot, attnum[INSPECT_REQUEST_QUANTITY],
				   Int32GetDatum(request->quantity));
	row_writer_set(slot, attnum[INSPECT_REQUEST_IS_HOLD],
				   BoolGetDatum(request->is_hold));
	row_writer_set(slot, attnum[INSPECT_REQUEST_IDS],
				   result_id_array(request->ids, request->count));
	if (request->ttl != NULL)
		row_writer_set(slot, attnum[INSPECT_REQUEST_TTL],
					   IntervalPGetDatum(request->ttl));
	if (request->is_hold)
		row_writer_set(slot, attnum[INSPECT_REQUEST_EXPIRES_AT],
					   TimestampTzGetDatum(request->expires_at));
	if (request->user_ids != NULL)
	{
		row_writer_set(slot, attnum[INSPECT_REQUEST_USER_IDS],
					   PointerGetDatum(request->user_ids));
		row_writer_set(slot, attnum[INSPECT_REQUEST_STATUSES],
					   PointerGetDatum(request->statuses));
	}
}

/* Inserts the row without a statement. */
static void
insert_directly(BookingCall *call, Relation rel, const Request *request)
{
	const RowShape *shape = &call->tables.request_shape;
	RowWriter	writer;

	booking_call_open_writer(call, shape, rel, &writer);
	fill_row(&writer, shape, request);
	row_writer_insert(&writer);
	booking_call_close_writer(&writer);
}

/* Stores what the request was given. */
void
request_answer(BookingCall *call, const Request *request)
{
	Relation	rel = booking_call_open(call->tables.request, "request", RowExclusiveLock);

	if (booking_call_is_plain(call, &call->tables.request_shape, rel))
		insert_directly(call, rel, request);
	else
		insert_by_sql(call, request);
	table_close(rel, NoLock);
	key_lock_end(request->event_id, request->key);
}

/* Ends a request that was refused. */
void
request_withdraw(const Request *request)
{
	key_lock_end(request->event_id, request->key);
}

/*
 * Forgets all requests for holds, or all for tickets: their table was
 * truncated.
 */
void
request_forget_all(BookingCall *call, bool is_hold)
{
	Datum		value = BoolGetDatum(is_hold);

	plan_connect_for_all_rows(&call->base);
	(void) plan_execute_latest(&call->base, &forget_plan, &value, 0);
	plan_disconnect(&call->base);
}
