/*-------------------------------------------------------------------------
 *
 * booking.c
 *	  The SQL functions around a ticket's life.
 *
 * Each checks its arguments, begins a call (which opens and locks the tables
 * and becomes their owner), and leaves the work to inventory.c and ticket.c.
 * None is strict: a null where a value is needed is 22004 and never a null
 * result that could be taken for a booking.  Those with a user's id have two
 * forms, for a bigint and for a text, which differ in how it is read.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "event.h"
#include "request.h"
#include "result.h"
#include "ticket.h"
#include "user.h"

PG_FUNCTION_INFO_V1(booking_book_ticket);
PG_FUNCTION_INFO_V1(booking_book_ticket_text);
PG_FUNCTION_INFO_V1(booking_try_book_ticket);
PG_FUNCTION_INFO_V1(booking_try_book_ticket_text);
PG_FUNCTION_INFO_V1(booking_book_tickets);
PG_FUNCTION_INFO_V1(booking_book_tickets_text);
PG_FUNCTION_INFO_V1(booking_cancel_ticket);
PG_FUNCTION_INFO_V1(booking_transfer_ticket);
PG_FUNCTION_INFO_V1(booking_transfer_ticket_text);
PG_FUNCTION_INFO_V1(booking_redeem_ticket);
PG_FUNCTION_INFO_V1(booking_availability);

/*
 * Books tickets as the request says, or finds that it was answered before;
 * their ids are in the request then.  Else the claim says why not.
 */
static TakeResult
book(BookingCall *call, Request *request, Claim *claim)
{
	NewTickets new = { .event_id = request->event_id,
					   .user_id = request->user_id };
	TakeResult	result;

	if (request->key != NULL && request_begin(call, request))
		return TAKE_DONE;

	result = booking_take(call, request->event_id, request->quantity, claim);
	if (result == TAKE_DONE)
		booking_insert_tickets(call, &new, request->quantity, request->ids);
	if (request->key != NULL && result == TAKE_DONE)
		request_answer(call, request);
	else if (request->key != NULL)
		request_withdraw(call, request);
	if (result == TAKE_NO_EVENT)
		booking_raise_no_stripes(call, request->event_id);
	return result;
}

/*
 * Reads the arguments (event_id, user_id, ... idempotency_key), begins the
 * call, and books; request->quantity and request->ids are given.
 */
static TakeResult
book_by_arguments(FunctionCallInfo fcinfo, BookingCall *call, UserForm form,
				  const char *what, Request *request, Claim *claim)
{
	TakeResult	result;

	request->event_id = PG_GETARG_INT64(0);
	request->key = request_key_argument(fcinfo, PG_NARGS() - 1);
	request->count = request->quantity;
	booking_begin(call, what);
	request->user_id = user_id_argument(call, fcinfo, 1, form);
	claim->user_id = request->user_id;
	claim->in_window = claim->within_limit = true;
	result = book(call, request, claim);
	booking_end(call);
	return result;
}

/*
 * book_ticket(event_id, user_id, idempotency_key): takes one place and inserts
 * the ticket; returns its id.  Locks one stripe of the event.  TK001, TK002,
 * TK003, TK006, P0002, 22004, 22023.
 */
static Datum
book_ticket(FunctionCallInfo fcinfo, UserForm form)
{
	BookingCall call;
	Datum		ticket_id;
	Request		request = {.quantity = 1, .ids = &ticket_id};
	Claim		claim = {0};
	TakeResult	result;

	booking_check_argument(fcinfo, 0, "event_id");
	booking_check_argument(fcinfo, 1, "user_id");
	result = book_by_arguments(fcinfo, &call, form, "booking.book_ticket()",
							   &request, &claim);
	if (result != TAKE_DONE)
		booking_error_refused(request.event_id, 1, result, &claim);
	PG_RETURN_DATUM(request.ids[0]);
}

Datum
booking_book_ticket(PG_FUNCTION_ARGS)
{
	return book_ticket(fcinfo, USER_BIGINT);
}

Datum
booking_book_ticket_text(PG_FUNCTION_ARGS)
{
	return book_ticket(fcinfo, USER_TEXT);
}

/* A refusal as an answer. */
static const char *
status_of(TakeResult result)
{
	switch (result)
	{
		case TAKE_DONE:
			return "booked";
		case TAKE_SOLD_OUT:
			return "sold_out";
		case TAKE_USER_LIMIT:
			return "user_limit";
		case TAKE_NOT_ON_SALE:
			return "not_on_sale";
		default:
			/* can't happen: book() has raised the others */
			elog(ERROR, "unexpected result %d of taking a place", result);
			return NULL;		/* keep the compiler quiet */
	}
}

/*
 * try_book_ticket(event_id, user_id, idempotency_key): the same, with the
 * refusal as data: ('booked', ticket_id), or 'sold_out', 'user_limit',
 * 'not_on_sale' and null.  Locks no stripe when it refuses.
 */
static Datum
try_book_ticket(FunctionCallInfo fcinfo, UserForm form)
{
	BookingCall call;
	Datum		ticket_id = (Datum) 0;
	Request		request = {.quantity = 1, .ids = &ticket_id};
	Claim		claim = {0};
	TakeResult	result;
	Datum		values[2];
	bool		isnull[2] = {false, false};

	booking_check_argument(fcinfo, 0, "event_id");
	booking_check_argument(fcinfo, 1, "user_id");
	composite_result_begin(fcinfo);
	result = book_by_arguments(fcinfo, &call, form, "booking.try_book_ticket()",
							   &request, &claim);
	values[0] = CStringGetTextDatum(status_of(result));
	values[1] = request.ids[0];
	isnull[1] = result != TAKE_DONE;
	return composite_result(fcinfo, values, isnull);
}

Datum
booking_try_book_ticket(PG_FUNCTION_ARGS)
{
	return try_book_ticket(fcinfo, USER_BIGINT);
}

Datum
booking_try_book_ticket_text(PG_FUNCTION_ARGS)
{
	return try_book_ticket(fcinfo, USER_TEXT);
}

/*
 * book_tickets(event_id, user_id, quantity, idempotency_key): all of the
 * tickets or none; returns their ids.  Raises what book_ticket() does.
 */
static Datum
book_tickets(FunctionCallInfo fcinfo, UserForm form)
{
	BookingCall call;
	Request		request = {0};
	Claim		claim = {0};
	TakeResult	result;

	booking_check_argument(fcinfo, 0, "event_id");
	booking_check_argument(fcinfo, 1, "user_id");
	booking_check_argument(fcinfo, 2, "quantity");
	request.quantity = PG_GETARG_INT32(2);
	booking_check_quantity(request.quantity);
	request.ids = palloc_extended(request.quantity * sizeof(Datum),
								  MCXT_ALLOC_HUGE);
	result = book_by_arguments(fcinfo, &call, form, "booking.book_tickets()",
							   &request, &claim);
	if (result != TAKE_DONE)
		booking_error_refused(request.event_id, request.quantity, result,
							  &claim);
	return id_array(request.ids, request.count);
}

Datum
booking_book_tickets(PG_FUNCTION_ARGS)
{
	return book_tickets(fcinfo, USER_BIGINT);
}

Datum
booking_book_tickets_text(PG_FUNCTION_ARGS)
{
	return book_tickets(fcinfo, USER_TEXT);
}

/*
 * cancel_ticket(ticket_id): the place comes back in this transaction.  False
 * where the ticket was cancelled before.  TK005 where it was redeemed, P0002.
 *
 * Locks the ticket, as an UPDATE of it would, and then a stripe; only then is
 * the ticket changed.  Were it changed first, a booking that holds the stripe
 * and meets the ticket's key in a unique index would wait for us.
 */
Datum
booking_cancel_ticket(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TicketState state;
	int64		ticket_id;

	booking_check_argument(fcinfo, 0, "ticket_id");
	ticket_id = PG_GETARG_INT64(0);

	booking_begin(&call, "booking.cancel_ticket()");
	booking_connect(&call);
	if (!booking_lock_ticket(ticket_id, &state))
		booking_error_no_row("ticket", ticket_id);
	if (!state.cancelled)
	{
		if (state.redeemed)
			booking_error_wrong_state("ticket", ticket_id, "cancelled",
									  "redeemed");
		booking_give_or_raise(&call, state.event_id, 1);
		fault_point("cancel: given back");
		booking_cancel_row(state.event_id, ticket_id);
	}
	booking_finish(&call);
	booking_end(&call);
	PG_RETURN_BOOL(!state.cancelled);
}

/*
 * transfer_ticket(ticket_id, user_id): the ticket becomes another user's.
 * Locks the ticket.  TK002 where the event allows that user no more, TK005
 * where it was cancelled or redeemed, P0002.
 */
static Datum
transfer_ticket(FunctionCallInfo fcinfo, UserForm form)
{
	BookingCall call;
	TicketState state;
	int64		ticket_id;
	Datum		user_id;

	booking_check_argument(fcinfo, 0, "ticket_id");
	booking_check_argument(fcinfo, 1, "user_id");
	ticket_id = PG_GETARG_INT64(0);

	booking_begin(&call, "booking.transfer_ticket()");
	user_id = user_id_argument(&call, fcinfo, 1, form);
	booking_connect(&call);
	if (!booking_lock_ticket(ticket_id, &state))
		booking_error_no_row("ticket", ticket_id);
	if (state.cancelled || state.redeemed)
		booking_error_wrong_state("ticket", ticket_id, "transferred",
								  state.cancelled ? "cancelled" : "redeemed");
	booking_transfer_row(ticket_id, user_id);
	booking_finish(&call);
	booking_end(&call);
	PG_RETURN_VOID();
}

Datum
booking_transfer_ticket(PG_FUNCTION_ARGS)
{
	return transfer_ticket(fcinfo, USER_BIGINT);
}

Datum
booking_transfer_ticket_text(PG_FUNCTION_ARGS)
{
	return transfer_ticket(fcinfo, USER_TEXT);
}

/*
 * redeem_ticket(ticket_id): ('redeemed', now), ('already_redeemed', when) or
 * ('cancelled', null), for whoever scans tickets at a gate.  Locks the
 * ticket.  P0002.
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

	booking_check_argument(fcinfo, 0, "ticket_id");
	ticket_id = PG_GETARG_INT64(0);

	composite_result_begin(fcinfo);
	booking_begin(&call, "booking.redeem_ticket()");
	booking_connect(&call);
	if (!booking_lock_ticket(ticket_id, &state))
		booking_error_no_row("ticket", ticket_id);
	if (state.cancelled)
		status = "cancelled";
	else if (state.redeemed)
		status = "already_redeemed";
	else
		state.redeemed_at = booking_redeem_row(ticket_id);
	booking_finish(&call);
	booking_end(&call);

	values[0] = CStringGetTextDatum(status);
	values[1] = TimestampTzGetDatum(state.redeemed_at);
	isnull[1] = state.cancelled;
	return composite_result(fcinfo, values, isnull);
}

/*
 * availability(event_id): capacity, and of it the places available, held and
 * booked, as the calling statement's snapshot shows them.  Locks nothing.
 * P0002.
 */
Datum
booking_availability(PG_FUNCTION_ARGS)
{
	BookingCall call;
	EventState	state;
	int64		event_id;
	Datum		values[4];
	bool		isnull[4] = {false, false, false, false};

	booking_check_argument(fcinfo, 0, "event_id");
	event_id = PG_GETARG_INT64(0);

	composite_result_begin(fcinfo);
	booking_begin_read(&call);
	if (!booking_read_event(&call, event_id, &state))
		booking_error_no_event(event_id);
	booking_end(&call);

	values[0] = Int32GetDatum(state.capacity);
	values[1] = Int64GetDatum(state.available);
	values[2] = Int64GetDatum(state.held);
	values[3] = Int64GetDatum(state.capacity - state.available - state.held);
	return composite_result(fcinfo, values, isnull);
}
