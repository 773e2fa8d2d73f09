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
 * first, and counted in one go (claim.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"

#include "claim.h"
#include "event.h"
#include "result.h"
#include "subtransaction.h"
#include "ticket.h"
#include "user.h"

PG_FUNCTION_INFO_V1(booking_book_batch);
PG_FUNCTION_INFO_V1(booking_book_batch_text);

/* Those who ask for a place each, and what they get. */
typedef struct Batch
{
	int64		event_id;
	int			count;
	Datum	   *user_ids;
	const char **status;		/* NULL: still to be given a place */
	Datum	   *ticket_ids;
} Batch;

/* Locks all users at the event, and marks those who would be over its limit. */
static int32
refuse_over_limit(BookingCall *call, Batch *batch)
{
	bool	   *over_limit = palloc_extended(batch->count * sizeof(bool),
											 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	int32		limit = claim_judge_users(call, batch->event_id,
										  batch->user_ids, batch->count,
										  over_limit);

	for (int i = 0; i < batch->count; i++)
	{
		if (over_limit[i])
			batch->status[i] = "user_limit";
	}
	return limit;
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

/* Inserts the tickets of those who have been given a place. */
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
	booking_insert_tickets(call, &new, next, ticket_ids);
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

	/* before any table is locked, as composite_result_begin() says */
	InitMaterializedSRF(fcinfo, 0);
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
