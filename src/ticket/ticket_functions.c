/*-------------------------------------------------------------------------
 *
 * ticket_functions.c
 *	  The SQL functions around a ticket.
 *
 * Each checks its arguments, begins a call (which opens and locks the tables
 * and becomes their owner), and leaves the work to event/ and ticket.c.  None
 * of them is STRICT: a null argument is 22004, because a null result could be
 * taken for a booking.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "event/event.h"
#include "event/refusal.h"
#include "event/sale.h"
#include "request/request.h"
#include "server/errors.h"
#include "server/fault.h"
#include "server/plan.h"
#include "server/result.h"
#include "tables/user_id.h"
#include "ticket/ticket.h"

SQL_FUNCTION(booking_book_ticket);
SQL_FUNCTION(booking_try_book_ticket);
SQL_FUNCTION(booking_book_tickets);
SQL_FUNCTION(booking_cancel_ticket);
SQL_FUNCTION(booking_transfer_ticket);
SQL_FUNCTION(booking_redeem_ticket);

/*
 * Books the tickets of the request, or finds that it was answered before; then
 * their ids are in the request.  Otherwise the result says why not, and the
 * claim has the figures.
 */
static SaleResult
book(BookingCall *call, Request *request, Claim *claim)
{
	NewTickets	new = {
		.event_id = request->event_id,
		.user_id = request->user_id
	};
	SaleResult	result;

	if (request->key != NULL && request_begin(call, request))
		return SALE_DONE;

	result = sale_take(call, request->event_id, request->quantity, claim);
	if (result == SALE_DONE)
		ticket_insert(call, &new, request->quantity, request->ids);
	if (request->key != NULL && result == SALE_DONE)
		request_answer(call, request);
	else if (request->key != NULL)
		request_withdraw(request);
	return result;
}

/*
 * Reads the arguments (event_id, user_id, ... idempotency_key), begins the
 * call, and books; request->quantity and request->ids are given.  Raises 55000
 * if the event is there without a pool.
 */
static SaleResult
book_by_arguments(FunctionCallInfo fcinfo, BookingCall *call,
				  const char *function, Request *request, Claim *claim)
{
	SaleResult	result;

	request->event_id = PG_GETARG_INT64(0);
	request->key = request_key_argument(fcinfo, PG_NARGS() - 1);
	request->count = request->quantity;
	booking_call_begin(call, function);
	request->user_id = user_id_argument(&call->base, fcinfo, 1);
	claim->user_id = request->user_id;
	claim->in_window = claim->within_limit = true;
	result = book(call, request, claim);
	if (result == SALE_NO_EVENT)
		sale_check_no_event(call, request->event_id);
	booking_call_end(call);
	return result;
}

/*
 * The same; raises 23T01, 23T02, 23T03, 23503 or 55000 if nothing was booked.
 */
static void
book_or_raise(FunctionCallInfo fcinfo, const char *function,
			  Request *request)
{
	BookingCall call;
	Claim		claim = {0};
	SaleResult	result;

	result = book_by_arguments(fcinfo, &call, function, request, &claim);
	if (result == SALE_NO_EVENT)
		refusal_no_event(request->event_id, "ticket");
	if (result != SALE_DONE)
		sale_error_refused(request->event_id, request->quantity, result,
						   &claim);
}

/*
 * book_ticket(event_id, user_id, idempotency_key): takes one place, inserts
 * the ticket, and returns its id.  Locks one stripe of the event.  Raises
 * 23T01, 23T02, 23T03, 23T06, 23503, 22004, 22023.
 */
Datum
booking_book_ticket(PG_FUNCTION_ARGS)
{
	Datum		ticket_id;
	Request		request = {.quantity = 1, .ids = &ticket_id};

	error_check_argument(fcinfo, 0, "event_id");
	error_check_argument(fcinfo, 1, "user_id");
	book_or_raise(fcinfo, "booking.book_ticket()", &request);
	PG_RETURN_DATUM(request.ids[0]);
}

/* Returns the status that try_book_ticket() answers with. */
static const char *
status_of(SaleResult result)
{
	switch (result)
	{
		case SALE_DONE:
			return "booked";
		case SALE_SOLD_OUT:
			return "sold_out";
		case SALE_USER_LIMIT:
			return "user_limit";
		case SALE_NOT_ON_SALE:
			return "not_on_sale";
		case SALE_NO_EVENT:
			return "no_event";
		default:
			/* can't happen: there is no other result */
			elog(ERROR, "unexpected result %d of taking a place", result);
			return NULL;		/* keep the compiler quiet */
	}
}

/*
 * try_book_ticket(event_id, user_id, idempotency_key): the same, with a
 * refusal as data: ('booked', ticket_id), or ('sold_out', null), 'user_limit',
 * 'not_on_sale', 'no_event'.  A refusal locks no stripe, unless the sale closed
 * during a wait.
 */
Datum
booking_try_book_ticket(PG_FUNCTION_ARGS)
{
	BookingCall call;
	Datum		ticket_id = (Datum) 0;
	Request		request = {.quantity = 1, .ids = &ticket_id};
	Claim		claim = {0};
	SaleResult	result;
	Datum		values[2];
	bool		isnull[2] = {false, false};

	error_check_argument(fcinfo, 0, "event_id");
	error_check_argument(fcinfo, 1, "user_id");
	result_prepare_row(fcinfo);
	result = book_by_arguments(fcinfo, &call, "booking.try_book_ticket()",
							   &request, &claim);
	values[0] = CStringGetTextDatum(status_of(result));
	values[1] = request.ids[0];
	isnull[1] = result != SALE_DONE;
	return result_row(fcinfo, values, isnull);
}

/*
 * book_tickets(event_id, user_id, quantity, idempotency_key): books all of the
 * tickets or none, and returns their ids.  Raises what book_ticket() does.
 */
Datum
booking_book_tickets(PG_FUNCTION_ARGS)
{
	Request		request = {0};

	error_check_argument(fcinfo, 0, "event_id");
	error_check_argument(fcinfo, 1, "user_id");
	error_check_argument(fcinfo, 2, "quantity");
	request.quantity = PG_GETARG_INT32(2);
	error_check_quantity(request.quantity);
	request.ids = palloc_extended(request.quantity * sizeof(Datum),
								  MCXT_ALLOC_HUGE);
	book_or_raise(fcinfo, "booking.book_tickets()", &request);
	return result_id_array(request.ids, request.count);
}

/*
 * Raises 23T05: the ticket is in a state in which it can't
 * be what was asked.
 */
pg_noreturn static void
error_ticket_state(int64 ticket_id, const char *refused,
				   const TicketState *state)
{
	const char *is = state->cancelled ? "cancelled" : "redeemed";

	ereport(ERROR,
			(errcode(ERRCODE_WRONG_STATE),
			 errmsg("ticket " INT64_FORMAT " cannot be %s", ticket_id, refused),
			 errdetail("The ticket is already %s.", is),
			 error_fields("ticket", psprintf("%s_at", is), "ticket_state")));
}

/*
 * cancel_ticket(ticket_id): cancels a ticket; its place comes back in this
 * transaction.  Returns false if it was cancelled before.  Raises 23T05 if it
 * was redeemed, P0002.
 *
 * Locks the ticket, as an UPDATE of it would, then a stripe; the ticket is
 * changed last.  If it were changed first, a booking that has locked the
 * stripe and meets the ticket's key in a unique index would wait for us, and
 * we for it.
 */
Datum
booking_cancel_ticket(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TicketState state;
	int64		ticket_id;

	error_check_argument(fcinfo, 0, "ticket_id");
	ticket_id = PG_GETARG_INT64(0);

	booking_call_begin(&call, "booking.cancel_ticket()");
	plan_connect(&call.base);
	if (!ticket_lock(&call, ticket_id, &state))
		error_no_row("ticket", ticket_id);
	if (!state.cancelled)
	{
		if (state.redeemed)
			error_ticket_state(ticket_id, "cancelled", &state);
		sale_give_or_raise(&call, state.event_id, 1, "ticket");
		fault_point("cancel: given back");
		ticket_cancel(&call, state.event_id, ticket_id);
	}
	plan_disconnect(&call.base);
	booking_call_end(&call);
	PG_RETURN_BOOL(!state.cancelled);
}

/*
 * transfer_ticket(ticket_id, user_id): gives a ticket to another user.  Returns
 * false if it is this user's already.  Locks the ticket.  The trigger then
 * judges the new user by sale_take() with quantity 0.  This locks him if the
 * event has a limit, and a stripe.  Raises 23T02 if he would be over the limit,
 * 23T05 if the ticket was cancelled or redeemed, P0002.
 */
Datum
booking_transfer_ticket(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TicketState state;
	int64		ticket_id;
	Datum		user_id;
	bool		is_his;

	error_check_argument(fcinfo, 0, "ticket_id");
	error_check_argument(fcinfo, 1, "user_id");
	ticket_id = PG_GETARG_INT64(0);

	booking_call_begin(&call, "booking.transfer_ticket()");
	user_id = user_id_argument(&call.base, fcinfo, 1);
	plan_connect(&call.base);
	if (!ticket_lock(&call, ticket_id, &state))
		error_no_row("ticket", ticket_id);
	if (state.cancelled || state.redeemed)
		error_ticket_state(ticket_id, "transferred", &state);
	is_his = state.has_user &&
		user_id_equal(&call.base, state.user_id, user_id);
	if (!is_his)
		ticket_transfer(&call, ticket_id, user_id);
	plan_disconnect(&call.base);
	booking_call_end(&call);
	PG_RETURN_BOOL(!is_his);
}

/*
 * redeem_ticket(ticket_id): marks a ticket as used at the gate.  Returns
 * ('redeemed', now), ('already_redeemed', when) or ('cancelled', null).  Locks
 * the ticket.  Raises P0002.
 */
Datum
booking_redeem_ticket(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TicketState state;
	int64		ticket_id;
	const char *status = "redeemed";
	Datum		values[2];
	bool		isnull[2] = {false, false};

	error_check_argument(fcinfo, 0, "ticket_id");
	ticket_id = PG_GETARG_INT64(0);

	result_prepare_row(fcinfo);
	booking_call_begin(&call, "booking.redeem_ticket()");
	plan_connect(&call.base);
	if (!ticket_lock(&call, ticket_id, &state))
		error_no_row("ticket", ticket_id);
	if (state.cancelled)
		status = "cancelled";
	else if (state.redeemed)
		status = "already_redeemed";
	else
		state.redeemed_at = ticket_redeem(&call, ticket_id);
	plan_disconnect(&call.base);
	booking_call_end(&call);

	values[0] = CStringGetTextDatum(status);
	values[1] = TimestampTzGetDatum(state.redeemed_at);
	isnull[1] = state.cancelled;
	return result_row(fcinfo, values, isnull);
}
