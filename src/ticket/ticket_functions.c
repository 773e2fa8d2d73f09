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

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "event/event.h"
#include "event/refusal.h"
#include "event/sale.h"
#include "event/user_limit.h"
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
SQL_FUNCTION(booking_book_as_staff);
SQL_FUNCTION(booking_cancel_ticket);
SQL_FUNCTION(booking_transfer_ticket);
SQL_FUNCTION(booking_move_ticket);
SQL_FUNCTION(booking_exchange_tickets);
SQL_FUNCTION(booking_redeem_ticket);
SQL_FUNCTION(booking_unredeem_ticket);

/* An order is judged by all rules. */
#define ALL_RULES                                                 \
	{                                                             \
		.in_window = true, .within_limit = true, .is_order = true \
	}

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
		.user_id = request->user_id,
		.by_staff = request->by_staff,
		.over_limit = !claim->within_limit
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
			  Request *request, Claim *claim)
{
	BookingCall call;
	SaleResult	result;

	result = book_by_arguments(fcinfo, &call, function, request, claim);
	if (result == SALE_NO_EVENT)
		refusal_no_event(request->event_id, "ticket");
	if (result != SALE_DONE)
		sale_error_refused(request->event_id, request->quantity, result,
						   claim);
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
	Claim		claim = ALL_RULES;

	error_check_argument(fcinfo, 0, "event_id");
	error_check_argument(fcinfo, 1, "user_id");
	book_or_raise(fcinfo, "booking.book_ticket()", &request, &claim);
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
	Claim		claim = ALL_RULES;
	SaleResult	result;
	Datum		values[2];
	bool		isnull[2] = {false, false};

	error_check_argument(fcinfo, 0, "event_id");
	error_check_argument(fcinfo, 1, "user_id");
	result_prepare_row(fcinfo);
	result = book_by_arguments(fcinfo, &call, "booking.try_book_ticket()",
							   &request, &claim);
	if (result == SALE_ORDER_SIZE)
		sale_error_refused(request.event_id, 1, result, &claim);
	values[0] = CStringGetTextDatum(status_of(result));
	values[1] = request.ids[0];
	isnull[1] = result != SALE_DONE;
	return result_row(fcinfo, values, isnull);
}

/*
 * Books as many tickets as argument 2 says, all of them or none, and returns
 * their ids.
 */
static Datum
book_several(FunctionCallInfo fcinfo, const char *function, Request *request,
			 Claim *claim)
{
	error_check_argument(fcinfo, 0, "event_id");
	error_check_argument(fcinfo, 1, "user_id");
	error_check_argument(fcinfo, 2, "quantity");
	request->quantity = PG_GETARG_INT32(2);
	error_check_quantity(request->quantity);
	request->ids = palloc_extended(request->quantity * sizeof(Datum),
								   MCXT_ALLOC_HUGE);
	book_or_raise(fcinfo, function, request, claim);
	return result_id_array(request->ids, request->count);
}

/*
 * book_tickets(event_id, user_id, quantity, idempotency_key): books all of the
 * tickets or none, and returns their ids.  Raises what book_ticket() does.
 */
Datum
booking_book_tickets(PG_FUNCTION_ARGS)
{
	Request		request = {0};
	Claim		claim = ALL_RULES;

	return book_several(fcinfo, "booking.book_tickets()", &request, &claim);
}

/*
 * Reads which rules the staff ignores.  Raises 22004 for a null, 22023 for
 * an unknown rule.
 */
static void
read_override(FunctionCallInfo fcinfo, int argno, Claim *claim)
{
	Datum	   *rules;
	bool	   *nulls;
	int			count;

	error_check_argument(fcinfo, argno, "override");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno), TEXTOID, -1, false,
					  TYPALIGN_INT, &rules, &nulls, &count);
	claim->in_window = claim->within_limit = claim->is_order = true;
	for (int i = 0; i < count; i++)
	{
		char	   *rule;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("override must not contain null")));
		rule = TextDatumGetCString(rules[i]);
		if (strcmp(rule, "window") == 0)
			claim->in_window = false;
		else if (strcmp(rule, "limit") == 0)
			claim->within_limit = claim->is_order = false;
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("override must not contain \"%s\"", rule),
					 errhint("It can contain window and limit. The capacity always holds.")));
	}
}

/*
 * book_as_staff(event_id, user_id, quantity, override, idempotency_key): the
 * same as book_tickets(), but ignores the sales window, and the limits per user
 * and per order, as override says, and the history says who booked.  The right
 * to call it is the right to ignore these rules.
 */
Datum
booking_book_as_staff(PG_FUNCTION_ARGS)
{
	Request		request = {.by_staff = true};
	Claim		claim = {0};

	read_override(fcinfo, 3, &claim);
	return book_several(fcinfo, "booking.book_as_staff()", &request, &claim);
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

/* Locks and reads a ticket; raises P0002. */
static void
lock_or_raise(BookingCall *call, int64 ticket_id, TicketState *state)
{
	if (!ticket_lock(call, ticket_id, state))
		error_no_row("ticket", ticket_id);
}

/* Begins the call, connects to SPI, and locks and reads the ticket. */
static void
begin_with_ticket(BookingCall *call, const char *function, int64 ticket_id,
				  TicketState *state)
{
	booking_call_begin(call, function);
	plan_connect(&call->base);
	lock_or_raise(call, ticket_id, state);
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

	begin_with_ticket(&call, "booking.cancel_ticket()", ticket_id, &state);
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
	lock_or_raise(&call, ticket_id, &state);
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
 * If the event has a limit: locks the user there, and waits for his expired
 * holds.  The trigger would do so when it has a stripe of another event.
 */
static void
lock_at_event(BookingCall *call, int64 event_id, Datum user_id)
{
	if (event_has_limit(call, event_id))
		(void) user_limit_count(call, event_id, user_id);
}

/*
 * move_ticket(ticket_id, event_id): moves a ticket to another event.  Returns
 * false if it is at that event already.  Locks the ticket.  The trigger takes
 * the place there like any other, and gives one back here, events ascending.
 * Raises 23T01, 23T02, 23T03, 23503, 23505 if its seat is taken there, 23T05 if
 * the ticket was cancelled or redeemed, P0002.
 */
Datum
booking_move_ticket(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TicketState state;
	int64		ticket_id;
	int64		event_id;

	error_check_argument(fcinfo, 0, "ticket_id");
	error_check_argument(fcinfo, 1, "event_id");
	ticket_id = PG_GETARG_INT64(0);
	event_id = PG_GETARG_INT64(1);

	begin_with_ticket(&call, "booking.move_ticket()", ticket_id, &state);
	if (state.cancelled || state.redeemed)
		error_ticket_state(ticket_id, "moved", &state);
	if (state.event_id != event_id)
	{
		if (state.has_user)
			lock_at_event(&call, event_id, state.user_id);
		ticket_move(&call, ticket_id, event_id);
	}
	plan_disconnect(&call.base);
	booking_call_end(&call);
	PG_RETURN_BOOL(state.event_id != event_id);
}

/*
 * Locks two tickets, the smaller id first, and reads them.  Raises what keeps
 * them from being exchanged: P0002, 23T05, 55000.
 */
static void
lock_two(BookingCall *call, const int64 *ticket_ids, TicketState *states)
{
	for (int i = 0; i < 2; i++)
	{
		int			which = (ticket_ids[0] > ticket_ids[1]) ^ i;

		lock_or_raise(call, ticket_ids[which], &states[which]);
	}
	for (int i = 0; i < 2; i++)
	{
		if (states[i].cancelled || states[i].redeemed)
			error_ticket_state(ticket_ids[i], "exchanged", &states[i]);
		if (!states[i].has_user)
			error_unusable(psprintf("ticket " INT64_FORMAT " has no user", ticket_ids[i]),
						   "Give column user_id of table booking.ticket its NOT NULL back.");
	}
}

/*
 * exchange_tickets(ticket_id, other_ticket_id): each ticket becomes the other's
 * user's, so that two users change places or events.  Returns false if both are
 * one user's.  Locks the tickets, smaller id first.  The trigger judges each
 * user at his new event, as transfer_ticket() does.  Raises 23T02, 23T05 if a
 * ticket was cancelled or redeemed, P0002, 22004.
 */
Datum
booking_exchange_tickets(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TicketState states[2];
	int64		ticket_ids[2];
	bool		exchanges;

	error_check_argument(fcinfo, 0, "ticket_id");
	error_check_argument(fcinfo, 1, "other_ticket_id");
	ticket_ids[0] = PG_GETARG_INT64(0);
	ticket_ids[1] = PG_GETARG_INT64(1);

	booking_call_begin(&call, "booking.exchange_tickets()");
	plan_connect(&call.base);
	lock_two(&call, ticket_ids, states);
	exchanges = !user_id_equal(&call.base, states[0].user_id,
							   states[1].user_id);
	if (exchanges)
	{
		int			low = states[0].event_id > states[1].event_id;

		/* events ascending; the trigger does it for a single event */
		if (states[0].event_id != states[1].event_id)
		{
			lock_at_event(&call, states[low].event_id, states[!low].user_id);
			lock_at_event(&call, states[!low].event_id, states[low].user_id);
		}
		ticket_exchange(&call, ticket_ids, states);
	}
	plan_disconnect(&call.base);
	booking_call_end(&call);
	PG_RETURN_BOOL(exchanges);
}

/*
 * Returns when a ticket was scanned: argument number argno, which must not be
 * infinite (22023), or DT_NOEND if it is null.
 */
static TimestampTz
scanned_at_argument(FunctionCallInfo fcinfo, int argno)
{
	TimestampTz at = DT_NOEND;

	if (!PG_ARGISNULL(argno))
	{
		at = PG_GETARG_TIMESTAMPTZ(argno);
		if (TIMESTAMP_NOT_FINITE(at))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("argument \"%s\" must not be infinite", "at")));
	}
	return at;
}

/*
 * redeem_ticket(ticket_id, event_id, at): marks a ticket as used at the gate.
 * Returns ('redeemed', when), ('already_redeemed', when), ('cancelled', null)
 * or, if event_id is given and is not the ticket's, ('wrong_event', null).
 * Locks the ticket.  Raises P0002, 22004, 22023.
 */
Datum
booking_redeem_ticket(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TicketState state;
	int64		ticket_id;
	const char *status = "redeemed";
	bool		wrong_event;
	TimestampTz at;
	Datum		values[2];
	bool		isnull[2] = {false, false};

	error_check_argument(fcinfo, 0, "ticket_id");
	ticket_id = PG_GETARG_INT64(0);
	at = scanned_at_argument(fcinfo, 2);

	result_prepare_row(fcinfo);
	begin_with_ticket(&call, "booking.redeem_ticket()", ticket_id, &state);
	wrong_event = !PG_ARGISNULL(1) && PG_GETARG_INT64(1) != state.event_id;
	if (wrong_event)
		status = "wrong_event";
	else if (state.cancelled)
		status = "cancelled";
	else if (state.redeemed)
		status = "already_redeemed";
	else
		/* a scanner's clock can be ahead */
		state.redeemed_at =
			ticket_redeem(&call, ticket_id, Min(at, GetCurrentTimestamp()));
	plan_disconnect(&call.base);
	booking_call_end(&call);

	values[0] = CStringGetTextDatum(status);
	values[1] = TimestampTzGetDatum(state.redeemed_at);
	isnull[1] = wrong_event || state.cancelled;
	return result_row(fcinfo, values, isnull);
}

/*
 * unredeem_ticket(ticket_id): takes back that a ticket was redeemed.  Returns
 * false if it was not.  Locks the ticket.  Raises P0002, 22004.
 */
Datum
booking_unredeem_ticket(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TicketState state;
	int64		ticket_id;

	error_check_argument(fcinfo, 0, "ticket_id");
	ticket_id = PG_GETARG_INT64(0);

	begin_with_ticket(&call, "booking.unredeem_ticket()", ticket_id, &state);
	if (state.redeemed)
		ticket_unredeem(&call, ticket_id);
	plan_disconnect(&call.base);
	booking_call_end(&call);
	PG_RETURN_BOOL(state.redeemed);
}
