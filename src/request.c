/*-------------------------------------------------------------------------
 *
 * request.c
 *	  Idempotency keys: the same request, sent again, gets the first answer.
 *
 * A request with a key inserts a row into booking.request before it takes
 * anything, and writes its answer there at the end.  Of two that are under way
 * at once the second waits at the primary key for the first: if that commits,
 * the second finds its answer; if it rolls back, the second's row goes in.
 *
 * Refusals leave no row, so that a retry may succeed.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "result.h"

/* The longest key, in bytes: it has to fit into an index, and a log line. */
#define LONGEST_KEY 200

/* The answer, and whether each argument is the same. */
static BookingPlan find_plan = {
	.sql = "SELECT ids, expires_at,"
		   " user_id OPERATOR(pg_catalog.=) $3, quantity OPERATOR(pg_catalog.=) $4,"
		   " is_hold OPERATOR(pg_catalog.=) $5, ttl IS NOT DISTINCT FROM $6"
		   " FROM booking.request"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1"
		   " AND idempotency_key OPERATOR(pg_catalog.=) $2",
	.nargs = 6,
	.argtypes = { INT8OID, TEXTOID, BOOKING_USER_ID, INT4OID, BOOLOID,
				  INTERVALOID },
};

static BookingPlan insert_plan = {
	.sql = "INSERT INTO booking.request"
		   " (event_id, idempotency_key, user_id, quantity, is_hold, ttl)"
		   " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
	.nargs = 6,
	.argtypes = { INT8OID, TEXTOID, BOOKING_USER_ID, INT4OID, BOOLOID,
				  INTERVALOID },
};

static BookingPlan answer_plan = {
	.sql = "UPDATE booking.request SET ids = $3, expires_at = $4"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1"
		   " AND idempotency_key OPERATOR(pg_catalog.=) $2",
	.nargs = 4,
	.argtypes = { INT8OID, TEXTOID, INT8ARRAYOID, TIMESTAMPTZOID },
};

static BookingPlan withdraw_plan = {
	.sql = "DELETE FROM booking.request"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1"
		   " AND idempotency_key OPERATOR(pg_catalog.=) $2",
	.nargs = 2,
	.argtypes = { INT8OID, TEXTOID },
};

/*
 * The key that the caller has sent, or NULL.  22023 where it is empty or longer
 * than LONGEST_KEY; the length is asked for before anything is unpacked.
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

/* The arguments of the statements; returns which are null, as SPI wants it. */
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

/* Raises TK006 where the row that was found is of other arguments. */
static void
check_same(const Request *request)
{
	static const char *const argument[] = {
		"user_id", "quantity", "function", "ttl"
	};

	for (int i = 0; i < (int) lengthof(argument); i++)
	{
		bool		isnull;

		if (!DatumGetBool(booking_result(0, i + 3, BOOLOID, &isnull)))
			booking_error_key_mismatch(request->event_id, argument[i]);
	}
}

/* Is there an answer?  Then it is copied to the memory context. */
static bool
find_answer(Request *request, Datum *values, const char *nulls,
			MemoryContext context)
{
	bool		isnull;
	Datum		ids;
	MemoryContext old;

	if (booking_execute_nulls(&find_plan, values, nulls) == 0)
		return false;
	check_same(request);
	ids = booking_result(0, 1, INT8ARRAYOID, &isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the request with this idempotency key has no answer"),
				 errhint("A trigger must not send the key of the statement that fired it.")));
	old = MemoryContextSwitchTo(context);
	deconstruct_array(DatumGetArrayTypePCopy(ids), INT8OID, sizeof(int64),
					  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &request->ids, NULL,
					  &request->count);
	MemoryContextSwitchTo(old);
	if (request->count != (request->is_hold ? 1 : request->quantity))
		booking_error_shape("booking.request holds an answer that pg_booking did not write.",
							"Delete that row.");
	request->expires_at =
		DatumGetTimestampTz(booking_result(0, 2, TIMESTAMPTZOID, &isnull));
	return true;
}

/*
 * Begins a request that has a key.  True: it was answered before, and its
 * answer is in it; the caller does nothing more.  False: the caller does what
 * was asked, and ends with request_answer() or request_withdraw().
 *
 * Locks the key, waiting for who has it.  TK006 where it was used with other
 * arguments; 40001 as the isolation level demands.
 */
bool
request_begin(BookingCall *call, Request *request)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		values[6];
	const char *nulls = request_values(request, values);
	bool		answered;
	int			attempts = 0;

	booking_connect_for_all_rows(call);
	answered = find_answer(request, values, nulls, context);
	while (!answered &&
		   booking_execute_nulls(&insert_plan, values, nulls) == 0)
	{
		booking_check_attempts("request", &attempts);
		answered = find_answer(request, values, nulls, context);
	}
	booking_finish(call);
	return answered;
}

/* Writes down what the request was given. */
void
request_answer(BookingCall *call, const Request *request)
{
	Datum		values[4];

	values[0] = Int64GetDatum(request->event_id);
	values[1] = PointerGetDatum(request->key);
	values[2] = id_array(request->ids, request->count);
	values[3] = TimestampTzGetDatum(request->expires_at);
	booking_connect_for_all_rows(call);
	(void) booking_execute_nulls(&answer_plan, values,
								 request->is_hold ? NULL : "   n");
	booking_finish(call);
}

/* Forgets a request that was refused. */
void
request_withdraw(BookingCall *call, const Request *request)
{
	Datum		values[2];

	values[0] = Int64GetDatum(request->event_id);
	values[1] = PointerGetDatum(request->key);
	booking_connect_for_all_rows(call);
	(void) booking_execute(&withdraw_plan, values, false);
	booking_finish(call);
}
