/*-------------------------------------------------------------------------
 *
 * booking.c
 *	  The SQL functions that an application calls.
 *
 * Each checks its arguments, begins a call (which opens and locks the tables
 * and becomes their owner), and leaves the work to inventory.c and ticket.c.
 * None is strict: a null where a value is needed is 22004 and never a null
 * result that could be taken for a booking.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "event.h"
#include "ticket.h"

PG_FUNCTION_INFO_V1(booking_book_ticket);
PG_FUNCTION_INFO_V1(booking_try_book_ticket);
PG_FUNCTION_INFO_V1(booking_book_tickets);
PG_FUNCTION_INFO_V1(booking_cancel_ticket);
PG_FUNCTION_INFO_V1(booking_transfer_ticket);
PG_FUNCTION_INFO_V1(booking_redeem_ticket);
PG_FUNCTION_INFO_V1(booking_availability);

/*
 * The row type of the function's result.  It is looked up once a session, for
 * what a function returns can't change while its OID lives; of those that have
 * been dropped the oldest is forgotten.
 */
static TupleDesc
result_desc(FunctionCallInfo fcinfo)
{
	static struct
	{
		Oid			function;
		TupleDesc	desc;
	} known[8];
	static int	next = 0;
	int			place = next;
	TupleDesc	desc;
	MemoryContext old;

	for (int i = 0; i < (int) lengthof(known); i++)
	{
		if (known[i].function == fcinfo->flinfo->fn_oid)
			return known[i].desc;
	}

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	old = MemoryContextSwitchTo(TopMemoryContext);
	desc = BlessTupleDesc(CreateTupleDescCopy(desc));
	MemoryContextSwitchTo(old);
	if (known[place].desc != NULL)
		FreeTupleDesc(known[place].desc);
	known[place].function = fcinfo->flinfo->fn_oid;
	known[place].desc = desc;
	next = (place + 1) % lengthof(known);
	return desc;
}

/* Builds the function's composite result. */
static Datum
composite_result(FunctionCallInfo fcinfo, Datum *values, bool *isnull)
{
	return HeapTupleGetDatum(heap_form_tuple(result_desc(fcinfo), values,
											 isnull));
}

/*
 * book_ticket(event_id, user_id): takes one place and inserts the ticket;
 * returns its id.  Locks one stripe of the event.  TK001, P0002, 22004.
 */
Datum
booking_book_ticket(PG_FUNCTION_ARGS)
{
	BookingCall call;
	int64		event_id;
	Datum		ticket_id;

	booking_check_argument(fcinfo, 0, "event_id");
	booking_check_argument(fcinfo, 1, "user_id");
	event_id = PG_GETARG_INT64(0);

	booking_begin(&call, "booking.book_ticket()");
	booking_take_or_raise(&call, event_id, 1);
	booking_insert_tickets(&call, event_id, PG_GETARG_DATUM(1), 1, &ticket_id);
	booking_end(&call);
	PG_RETURN_DATUM(ticket_id);
}

/*
 * try_book_ticket(event_id, user_id): the same, with the refusal as data:
 * ('booked', ticket_id) or ('sold_out', null).  Locks nothing when it refuses.
 */
Datum
booking_try_book_ticket(PG_FUNCTION_ARGS)
{
	BookingCall call;
	int64		event_id;
	int64		left;
	Datum		values[2];
	bool		isnull[2] = {false, false};

	booking_check_argument(fcinfo, 0, "event_id");
	booking_check_argument(fcinfo, 1, "user_id");
	event_id = PG_GETARG_INT64(0);

	booking_begin(&call, "booking.try_book_ticket()");
	switch (booking_take(&call, event_id, 1, &left))
	{
		case TAKE_DONE:
			booking_insert_tickets(&call, event_id, PG_GETARG_DATUM(1), 1,
								   &values[1]);
			values[0] = CStringGetTextDatum("booked");
			break;
		case TAKE_SOLD_OUT:
			values[0] = CStringGetTextDatum("sold_out");
			values[1] = (Datum) 0;
			isnull[1] = true;
			break;
		case TAKE_NO_EVENT:
			booking_raise_no_stripes(&call, event_id);
			break;
	}
	booking_end(&call);
	return composite_result(fcinfo, values, isnull);
}

/*
 * book_tickets(event_id, user_id, quantity): all of the tickets or none;
 * returns their ids.  TK001, P0002, 22004, 22023.
 */
Datum
booking_book_tickets(PG_FUNCTION_ARGS)
{
	BookingCall call;
	int64		event_id;
	int32		quantity;
	Datum	   *ticket_ids;

	booking_check_argument(fcinfo, 0, "event_id");
	booking_check_argument(fcinfo, 1, "user_id");
	booking_check_argument(fcinfo, 2, "quantity");
	event_id = PG_GETARG_INT64(0);
	quantity = PG_GETARG_INT32(2);
	booking_check_quantity(quantity);

	booking_begin(&call, "booking.book_tickets()");
	booking_take_or_raise(&call, event_id, quantity);
	ticket_ids = palloc_extended(quantity * sizeof(Datum), MCXT_ALLOC_HUGE);
	booking_insert_tickets(&call, event_id, PG_GETARG_DATUM(1), quantity,
						   ticket_ids);
	booking_end(&call);
	PG_RETURN_ARRAYTYPE_P(construct_array(ticket_ids, quantity, INT8OID,
										  sizeof(int64), FLOAT8PASSBYVAL,
										  TYPALIGN_DOUBLE));
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
		booking_error_no_ticket(ticket_id);
	if (!state.cancelled)
	{
		if (state.redeemed)
			booking_error_wrong_state(ticket_id, "cancelled", "redeemed");
		if (!booking_give(&call, state.event_id, 1))
			booking_raise_no_stripes(&call, state.event_id);
		booking_cancel_row(state.event_id, ticket_id);
	}
	SPI_finish();
	booking_end(&call);
	PG_RETURN_BOOL(!state.cancelled);
}

/*
 * transfer_ticket(ticket_id, user_id): the ticket becomes another user's.
 * Locks the ticket.  TK005 where it was cancelled or redeemed, P0002.
 */
Datum
booking_transfer_ticket(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TicketState state;
	int64		ticket_id;

	booking_check_argument(fcinfo, 0, "ticket_id");
	booking_check_argument(fcinfo, 1, "user_id");
	ticket_id = PG_GETARG_INT64(0);

	booking_begin(&call, "booking.transfer_ticket()");
	booking_connect(&call);
	if (!booking_lock_ticket(ticket_id, &state))
		booking_error_no_ticket(ticket_id);
	if (state.cancelled || state.redeemed)
		booking_error_wrong_state(ticket_id, "transferred",
								  state.cancelled ? "cancelled" : "redeemed");
	booking_transfer_row(ticket_id, PG_GETARG_DATUM(1));
	SPI_finish();
	booking_end(&call);
	PG_RETURN_VOID();
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

	booking_begin(&call, "booking.redeem_ticket()");
	booking_connect(&call);
	if (!booking_lock_ticket(ticket_id, &state))
		booking_error_no_ticket(ticket_id);
	if (state.cancelled)
		status = "cancelled";
	else if (state.redeemed)
		status = "already_redeemed";
	else
		state.redeemed_at = booking_redeem_row(ticket_id);
	SPI_finish();
	booking_end(&call);

	values[0] = CStringGetTextDatum(status);
	values[1] = TimestampTzGetDatum(state.redeemed_at);
	isnull[1] = state.cancelled;
	return composite_result(fcinfo, values, isnull);
}

/*
 * availability(event_id): capacity, places available and places booked, as the
 * calling statement's snapshot shows them.  Locks nothing.  P0002.
 */
Datum
booking_availability(PG_FUNCTION_ARGS)
{
	BookingCall call;
	int64		event_id;
	int32		capacity;
	int64		available;
	Datum		values[3];
	bool		isnull[3] = {false, false, false};

	booking_check_argument(fcinfo, 0, "event_id");
	event_id = PG_GETARG_INT64(0);

	booking_begin_read(&call);
	if (!booking_read_event(&call, event_id, &capacity, &available))
		booking_error_no_event(event_id);
	booking_end(&call);

	values[0] = Int32GetDatum(capacity);
	values[1] = Int64GetDatum(available);
	values[2] = Int64GetDatum(capacity - available);
	return composite_result(fcinfo, values, isnull);
}
