/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  Booking for many users at once, for queue consumers and imports.
 *
 * The places of all are taken with as few writes of stripes as possible.  Then
 * the tickets are inserted a thousand at a time, as COPY does.  Users are
 * served in the order of the array.
 *
 * If the event has a limit per user, all users are locked at the event first,
 * and counted by one statement (user_limit.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "event/event.h"
#include "event/refusal.h"
#include "event/sale.h"
#include "event/user_limit.h"
#include "request/request.h"
#include "server/errors.h"
#include "server/subtransaction.h"
#include "tables/user_id.h"
#include "ticket/ticket.h"

SQL_FUNCTION(booking_book_batch);

/* The users who ask for a place each, and what they get. */
typedef struct Batch
{
	int64		event_id;
	int			count;
	Datum	   *user_ids;
	const char **status;		/* NULL: booked, or to be given a place */
	Datum	   *ticket_ids;
} Batch;

/* Locks all users at the event, and refuses those over the limit. */
static int32
refuse_over_limit(BookingCall *call, Batch *batch)
{
	bool	   *over_limit = palloc_extended(batch->count * sizeof(bool),
											 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	int32		limit = user_limit_judge(call, batch->event_id,
										  batch->user_ids, batch->count,
										  over_limit);

	for (int i = 0; i < batch->count; i++)
	{
		if (over_limit[i])
			batch->status[i] = "user_limit";
	}
	return limit;
}

/* Gives the status to all who have none yet, except the first `served`. */
static void
refuse_rest(Batch *batch, int64 served, const char *status)
{
	for (int i = 0; i < batch->count; i++)
	{
		if (batch->status[i] == NULL && --served < 0)
			batch->status[i] = status;
	}
}

/* An attempt to take places for some of those who ask. */
typedef struct Attempt
{
	BookingCall *call;
	int64		event_id;
	int64		asking;			/* for this many places */
	int64		places;			/* that the attempt is to take */
	int32		limit;			/* per user, by which was judged who asks */
	bool		limit_changed;
	Claim		claim;
	SaleResult	result;
} Attempt;

/* True if the event has no place left, expired holds included. */
static bool
nothing_left(BookingCall *call, int64 event_id)
{
	SalePool	pool;

	sale_open_pool(call, event_id, &pool);
	return pool_is_empty(&pool.pool, &pool.key);
}

/*
 * Takes the places.  True if all who ask got a place, or nothing is left.
 * Otherwise the attempt is undone, and places for all are asked for again.
 * That call may wait for places that other sessions have locked, and nothing
 * may be locked here during the wait.
 */
static bool
attempt_to_take(void *arg)
{
	Attempt    *attempt = arg;
	SaleRules	rules;

	attempt->result = sale_take(attempt->call, attempt->event_id,
								(int32) attempt->places, &attempt->claim);
	if (attempt->result != SALE_DONE)
		return false;
	sale_rules_from_terms(&attempt->claim.pool.terms, &rules);
	attempt->limit_changed = rules.max_per_user != attempt->limit;
	return !attempt->limit_changed &&
		(attempt->places == attempt->asking ||
		 nothing_left(attempt->call, attempt->event_id));
}

/*
 * Takes a place for each user who has no status yet, as far as there are any,
 * and gives the others their status.  A refusal tells how many are left, and
 * the next attempt asks for those.  Returns how many places were taken; -1 if
 * the limit per user was changed at the same time, and who asks must be judged
 * again.
 */
static int64
take_places(BookingCall *call, Batch *batch, int32 limit)
{
	Attempt		attempt = {
		.call = call,
		.event_id = batch->event_id,
		.limit = limit
	};
	bool		done = false;

	attempt.claim.in_window = true;
	for (int i = 0; i < batch->count; i++)
		attempt.asking += batch->status[i] == NULL;
	attempt.places = attempt.asking;
	while (!done && attempt.places > 0)
	{
		done = subtransaction_run(&call->base, attempt_to_take, &attempt);
		if (attempt.result == SALE_NO_EVENT)
			sale_raise_no_event(call, batch->event_id, "ticket");
		if (attempt.limit_changed)
			return -1;
		if (attempt.result == SALE_NOT_ON_SALE)
			attempt.places = 0;
		else if (attempt.result == SALE_SOLD_OUT)
			attempt.places = Max(attempt.claim.pool.left, 0);
		else if (!done)
			attempt.places = attempt.asking;
		CHECK_FOR_INTERRUPTS();
	}
	/* 40001 if a place has come back since the transaction's snapshot */
	if (attempt.result == SALE_SOLD_OUT)
		(void) nothing_left(call, batch->event_id);
	refuse_rest(batch, attempt.places,
				attempt.result == SALE_NOT_ON_SALE ? "not_on_sale" :
													 "sold_out");
	return attempt.places;
}

/*
 * Judges the limit per user, and takes the places; returns how many.  Begins
 * again if the limit is changed during a wait.
 */
static int64
judge_and_take(BookingCall *call, Batch *batch)
{
	int64		taken;

	do
	{
		int32		limit = 0;

		memset(batch->status, 0, batch->count * sizeof(char *));
		if (event_has_limit(call, batch->event_id))
			limit = refuse_over_limit(call, batch);
		taken = take_places(call, batch, limit);
		CHECK_FOR_INTERRUPTS();
	} while (taken < 0);
	return taken;
}

/* Inserts the tickets of those who got a place. */
static void
insert_tickets(BookingCall *call, Batch *batch, int64 taken)
{
	Datum	   *user_ids = MemoryContextAllocHuge(CurrentMemoryContext,
												  taken * sizeof(Datum));
	Datum	   *ticket_ids = MemoryContextAllocHuge(CurrentMemoryContext,
													taken * sizeof(Datum));
	NewTickets	new = {.event_id = batch->event_id, .user_ids = user_ids};
	int			next = 0;

	for (int i = 0; i < batch->count; i++)
	{
		if (batch->status[i] == NULL)
			user_ids[next++] = batch->user_ids[i];
	}
	ticket_insert(call, &new, next, ticket_ids);
	next = 0;
	for (int i = 0; i < batch->count; i++)
	{
		if (batch->status[i] == NULL)
			batch->ticket_ids[i] = ticket_ids[next++];
	}
}

/* Adds a row for each user to the function's result. */
static void
return_batch(FunctionCallInfo fcinfo, const Batch *batch)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		booked = CStringGetTextDatum("booked");

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

/* The statuses of users who got no place. */
static const char *const refusals[] = { "sold_out", "user_limit", "not_on_sale" };

/* Takes the answer that the request was given before. */
static void
use_answer(Batch *batch, const Request *request)
{
	Datum	   *statuses;
	int			count = 0;

	if (request->statuses != NULL)
		deconstruct_array(request->statuses, TEXTOID, -1, false, TYPALIGN_INT,
						  &statuses, NULL, &count);
	if (count != batch->count)
		request_error_alien();
	batch->ticket_ids = request->ids;
	for (int i = 0; i < count; i++)
	{
		char	   *status = TextDatumGetCString(statuses[i]);

		batch->status[i] = strcmp(status, "booked") == 0 ? NULL : status;
		for (int k = 0; k < (int) lengthof(refusals); k++)
		{
			if (strcmp(status, refusals[k]) == 0)
				batch->status[i] = refusals[k];
		}
		if (batch->status[i] == status)
			request_error_alien();
		pfree(status);
	}
}

/* Stores the answer, or nothing if no user got a place. */
static void
keep_answer(BookingCall *call, const Batch *batch, Request *request,
			int64 taken)
{
	Datum	   *statuses;

	if (taken == 0)
	{
		request_withdraw(request);
		return;
	}
	statuses = MemoryContextAllocHuge(CurrentMemoryContext,
									  batch->count * sizeof(Datum));
	for (int i = 0; i < batch->count; i++)
		statuses[i] = CStringGetTextDatum(
			batch->status[i] == NULL ? "booked" : batch->status[i]);
	request->statuses =
		construct_array(statuses, batch->count, TEXTOID, -1, false,
						TYPALIGN_INT);
	request->ids = batch->ticket_ids;
	request->count = batch->count;
	request_answer(call, request);
}

/* Books the batch, or finds that its key was answered before. */
static void
book(BookingCall *call, Batch *batch, text *key)
{
	Request		request = {
		.key = key,
		.event_id = batch->event_id,
		.user_id = batch->user_ids[0],
		.quantity = batch->count
	};
	int64		taken;

	if (key != NULL)
	{
		request.user_ids =
			user_id_array(&call->base, batch->user_ids, batch->count);
		if (request_begin(call, &request))
		{
			use_answer(batch, &request);
			return;
		}
	}
	taken = judge_and_take(call, batch);
	if (taken > 0)
		insert_tickets(call, batch, taken);
	if (key != NULL)
		keep_answer(call, batch, &request, taken);
}

/*
 * book_batch(event_id, user_ids, idempotency_key): books a place for each user
 * in the order of the array, as far as there are any.  Returns a row (ord,
 * status, ticket_id) for each, with a status of try_book_ticket().  Locks the
 * stripes that it takes from, and the users if the event has a limit.  Raises
 * 23503, 22004, 22023, 23T06, and 40001 as the isolation level demands.
 */
Datum
booking_book_batch(PG_FUNCTION_ARGS)
{
	BookingCall call;
	Batch		batch = {0};
	text	   *key;

	error_check_argument(fcinfo, 0, "event_id");
	error_check_argument(fcinfo, 1, "user_ids");
	batch.event_id = PG_GETARG_INT64(0);
	key = request_key_argument(fcinfo, 2);

	/* before any table is locked, like result_prepare_row() */
	InitMaterializedSRF(fcinfo, 0);
	booking_call_begin(&call, "booking.book_batch()");
	/* tables are locked before rows of events and stripes */
	LockRelationOid(call.tables.hold, AccessShareLock);
	if (!event_exists(&call, batch.event_id))
		refusal_no_event(batch.event_id, "ticket");
	batch.user_ids =
		user_id_array_argument(&call.base, fcinfo, 1, &batch.count);
	batch.status = palloc_extended(Max(batch.count, 1) * sizeof(char *),
								   MCXT_ALLOC_HUGE);
	batch.ticket_ids = palloc_extended(Max(batch.count, 1) * sizeof(Datum),
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	if (batch.count > 0)
		book(&call, &batch, key);
	booking_call_end(&call);
	return_batch(fcinfo, &batch);
	return (Datum) 0;
}
