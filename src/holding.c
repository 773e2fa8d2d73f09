/*-------------------------------------------------------------------------
 *
 * holding.c
 *	  The SQL functions around a hold: the sale in two steps.
 *
 * hold_tickets() takes places at once; confirm_hold() turns them into tickets
 * and touches no inventory row.  Whether a hold has expired is judged by the
 * clock once the hold is locked, so that of a confirmation and an expiry
 * exactly one wins.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "claim.h"
#include "event.h"
#include "hold.h"
#include "request.h"
#include "result.h"
#include "ticket.h"
#include "user.h"

PG_FUNCTION_INFO_V1(booking_hold_tickets);
PG_FUNCTION_INFO_V1(booking_hold_tickets_text);
PG_FUNCTION_INFO_V1(booking_confirm_hold);
PG_FUNCTION_INFO_V1(booking_extend_hold);
PG_FUNCTION_INFO_V1(booking_release_hold);
PG_FUNCTION_INFO_V1(booking_expire_holds);

/* -1, 0, 1 as one interval is shorter than the other. */
static int
compare_intervals(Interval *a, Interval *b)
{
	return DatumGetInt32(DirectFunctionCall2(interval_cmp,
											 IntervalPGetDatum(a),
											 IntervalPGetDatum(b)));
}

/* The time that lies an interval after another. */
static TimestampTz
add_interval(TimestampTz time, Interval *interval)
{
	return DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(time),
							IntervalPGetDatum(interval)));
}

/* How an interval is written. */
static char *
show_interval(Interval *interval)
{
	return DatumGetCString(DirectFunctionCall1(interval_out,
											   IntervalPGetDatum(interval)));
}

/* Raises 22023 unless ttl is positive and not longer than max_ttl. */
static void
check_ttl(Interval *ttl, Interval *max_ttl)
{
	Interval	zero = {0};

	if (compare_intervals(ttl, &zero) <= 0)
		booking_error_ttl(psprintf("It must be positive, and is %s.",
								   show_interval(ttl)));
	if (compare_intervals(ttl, max_ttl) > 0)
		booking_error_ttl(psprintf("It is %s; the event's max_hold_ttl is %s.",
								   show_interval(ttl), show_interval(max_ttl)));
}

/* The interval that is argument number argno, or NULL. */
static Interval *
interval_argument(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : PG_GETARG_INTERVAL_P(argno);
}

/* Takes the places and inserts the hold; request->ids[0] is its id then. */
static void
hold_places(BookingCall *call, Request *request, Claim *claim)
{
	Interval	ttl;
	Interval	max_ttl;

	/* as tables are locked before rows */
	LockRelationOid(call->tables.hold, RowExclusiveLock);
	booking_read_hold_ttl(call, request->event_id, &ttl, &max_ttl);
	if (request->ttl != NULL)
		ttl = *request->ttl;
	check_ttl(&ttl, &max_ttl);
	booking_take_or_raise(call, request->event_id, request->quantity, claim);
	request->expires_at = add_interval(GetCurrentTimestamp(), &ttl);
	request->ids[0] = Int64GetDatum(hold_insert(call, request->event_id,
												request->user_id,
												request->quantity,
												request->expires_at));
}

/*
 * hold_tickets(event_id, user_id, quantity, ttl, idempotency_key): takes the
 * places, all or none, and keeps them until the hold expires; returns
 * (hold_id, expires_at).  ttl null: the event's hold_ttl.  Locks as
 * book_tickets() does.  TK001, TK002, TK003, TK006, P0002, 22004, 22023.
 */
static Datum
hold_tickets(FunctionCallInfo fcinfo, UserForm form)
{
	BookingCall call;
	Datum		hold_id;
	Request		request = {.is_hold = true, .ids = &hold_id, .count = 1};
	Claim		claim = {.in_window = true, .within_limit = true};
	Datum		values[2];
	bool		isnull[2] = {false, false};

	booking_check_argument(fcinfo, 0, "event_id");
	booking_check_argument(fcinfo, 1, "user_id");
	booking_check_argument(fcinfo, 2, "quantity");
	request.event_id = PG_GETARG_INT64(0);
	request.quantity = PG_GETARG_INT32(2);
	booking_check_quantity(request.quantity);
	request.ttl = interval_argument(fcinfo, 3);
	request.key = request_key_argument(fcinfo, 4);

	composite_result_begin(fcinfo);
	booking_begin(&call, "booking.hold_tickets()");
	request.user_id = user_id_argument(&call, fcinfo, 1, form);
	claim.user_id = request.user_id;
	if (request.key == NULL)
		hold_places(&call, &request, &claim);
	else if (!request_begin(&call, &request))
	{
		hold_places(&call, &request, &claim);
		request_answer(&call, &request);
	}
	booking_end(&call);

	values[0] = request.ids[0];
	values[1] = TimestampTzGetDatum(request.expires_at);
	return composite_result(fcinfo, values, isnull);
}

Datum
booking_hold_tickets(PG_FUNCTION_ARGS)
{
	return hold_tickets(fcinfo, USER_BIGINT);
}

Datum
booking_hold_tickets_text(PG_FUNCTION_ARGS)
{
	return hold_tickets(fcinfo, USER_TEXT);
}

/* Has a hold that has ended ended before its time? */
static bool
was_released(const Hold *hold)
{
	return hold->ended_at < hold->expires_at;
}

/* Gives the places of a locked hold back, and ends it.  Locks a stripe. */
static void
end_and_give_back(BookingCall *call, const Hold *hold)
{
	booking_give_or_raise(call, hold->event_id, hold->quantity);
	hold_end(call, hold);
}

/*
 * Takes the places of a locked hold that has expired anew.  Where nobody has
 * ended it they go back first, and then to whoever may have them.
 */
static void
rebook(BookingCall *call, const Hold *hold)
{
	Claim claim = { .user_id = hold->user_id,
					.in_window = true,
					.within_limit = true };

	if (!hold->ended)
		end_and_give_back(call, hold);
	booking_take_or_raise(call, hold->event_id, hold->quantity, &claim);
}

/*
 * Makes the places of a locked hold those of tickets to be inserted; raises
 * TK004 or TK005 where it may not be confirmed.
 */
static void
settle_hold(BookingCall *call, const Hold *hold, bool may_rebook)
{
	if (hold->ended && was_released(hold))
		booking_error_wrong_state("hold", hold->hold_id, "confirmed",
								  "released");
	if (!hold->ended && !hold_has_expired(hold))
		hold_confirm(call, hold);
	else if (may_rebook)
		rebook(call, hold);
	else
		booking_error_hold_expired(hold->hold_id, hold->expires_at);
}

/* Does the argument say 'rebook'?  22023 unless that or 'error'. */
static bool
may_rebook_argument(FunctionCallInfo fcinfo, int argno)
{
	char	   *word = text_to_cstring(PG_GETARG_TEXT_PP(argno));

	if (strcmp(word, "rebook") != 0 && strcmp(word, "error") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("if_expired must be 'error' or 'rebook'")));
	return strcmp(word, "rebook") == 0;
}

/*
 * Locks and reads a hold.  Who may have to take its places anew locks the user
 * at the event first, for that is the order.  P0002.
 */
static void
lock_hold(BookingCall *call, int64 hold_id, bool may_rebook, Hold *hold)
{
	if (may_rebook && hold_read(call, hold_id, false, hold) &&
		booking_event_has_limit(call, hold->event_id))
		claim_lock_user(call, hold->event_id, hold->user_id);
	if (!hold_read(call, hold_id, true, hold))
		booking_error_no_row("hold", hold_id);
}

/*
 * confirm_hold(hold_id, if_expired): turns a hold into tickets; returns their
 * ids, the same again when it was confirmed before.  Locks the hold, and no
 * inventory row unless the places are taken anew.  TK004 where it has expired,
 * unless if_expired is 'rebook': then what book_tickets() raises.  TK005 where
 * it was released; P0002, 22004, 22023.
 */
Datum
booking_confirm_hold(PG_FUNCTION_ARGS)
{
	BookingCall call;
	Hold		hold;
	int64		hold_id;
	bool		may_rebook;
	Datum	   *ticket_ids = NULL;
	int			count = 0;

	booking_check_argument(fcinfo, 0, "hold_id");
	booking_check_argument(fcinfo, 1, "if_expired");
	hold_id = PG_GETARG_INT64(0);
	may_rebook = may_rebook_argument(fcinfo, 1);

	booking_begin(&call, "booking.confirm_hold()");
	lock_hold(&call, hold_id, may_rebook, &hold);
	if (hold.ended)
		ticket_ids = booking_tickets_of_hold(&call, hold_id, &count);
	if (count == 0)
	{
		NewTickets new = { .event_id = hold.event_id,
						   .hold_id = hold_id,
						   .user_id = hold.user_id };

		settle_hold(&call, &hold, may_rebook);
		fault_point("confirm: no ticket yet");
		count = hold.quantity;
		ticket_ids = palloc_extended(count * sizeof(Datum), MCXT_ALLOC_HUGE);
		booking_insert_tickets(&call, &new, count, ticket_ids);
	}
	booking_end(&call);
	return id_array(ticket_ids, count);
}

/*
 * extend_hold(hold_id, ttl): lets a hold expire no sooner than ttl from now;
 * returns when that is.  Locks the hold.  TK004 where it has expired, TK005
 * where it was confirmed or released, 22023 where it would last longer than
 * the event's max_hold_ttl in all; P0002, 22004.
 */
Datum
booking_extend_hold(PG_FUNCTION_ARGS)
{
	BookingCall call;
	Hold		hold;
	int64		hold_id;
	Interval   *ttl;
	Interval	default_ttl;
	Interval	max_ttl;
	TimestampTz latest;
	TimestampTz wanted;
	int			tickets;

	booking_check_argument(fcinfo, 0, "hold_id");
	hold_id = PG_GETARG_INT64(0);
	ttl = interval_argument(fcinfo, 1);
	if (ttl == NULL)
		booking_error_ttl("It must not be null.");

	booking_begin(&call, "booking.extend_hold()");
	lock_hold(&call, hold_id, false, &hold);
	if (hold.ended)
	{
		(void) booking_tickets_of_hold(&call, hold_id, &tickets);
		if (tickets > 0 || was_released(&hold))
			booking_error_wrong_state("hold", hold_id, "extended",
									  tickets > 0 ? "confirmed" : "released");
	}
	if (hold.ended || hold_has_expired(&hold))
		booking_error_hold_expired(hold_id, hold.expires_at);

	booking_read_hold_ttl(&call, hold.event_id, &default_ttl, &max_ttl);
	check_ttl(ttl, &max_ttl);
	latest = add_interval(hold.created_at, &max_ttl);
	wanted = add_interval(GetCurrentTimestamp(), ttl);
	if (wanted > latest)
		booking_error_ttl(psprintf("By the event's max_hold_ttl of %s the hold ends at %s at the latest.",
								   show_interval(&max_ttl),
								   timestamptz_to_str(latest)));
	if (wanted > hold.expires_at)
	{
		hold.expires_at = wanted;
		hold_extend(&call, &hold, wanted);
	}
	booking_end(&call);
	PG_RETURN_TIMESTAMPTZ(hold.expires_at);
}

/*
 * release_hold(hold_id): ends a hold, and its places come back in this
 * transaction.  False where there was nothing to release.  Locks the hold, and
 * then a stripe.
 */
Datum
booking_release_hold(PG_FUNCTION_ARGS)
{
	BookingCall call;
	Hold		hold;
	int64		hold_id;
	bool		live;

	booking_check_argument(fcinfo, 0, "hold_id");
	hold_id = PG_GETARG_INT64(0);

	booking_begin(&call, "booking.release_hold()");
	live = hold_read(&call, hold_id, true, &hold) && !hold.ended;
	if (live)
		end_and_give_back(&call, &hold);
	booking_end(&call);
	PG_RETURN_BOOL(live);
}

/*
 * expire_holds(max_holds): ends holds of all events that have expired, at most
 * so many (null: all), but for those that somebody has locked; returns how
 * many.  22023 for a negative number.
 */
Datum
booking_expire_holds(PG_FUNCTION_ARGS)
{
	BookingCall call;
	int32		most = PG_ARGISNULL(0) ? PG_INT32_MAX : PG_GETARG_INT32(0);
	int32		ended;

	if (most < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_holds must not be negative")));
	booking_begin(&call, "booking.expire_holds()");
	ended = hold_sweep(&call, most);
	booking_end(&call);
	PG_RETURN_INT32(ended);
}
