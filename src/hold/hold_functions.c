/*-------------------------------------------------------------------------
 *
 * hold_functions.c
 *	  The SQL functions around a hold: the sale in two steps.
 *
 * hold_tickets() takes the places at once.  confirm_hold() turns them into
 * tickets and touches no stripe.  Whether a hold has expired is judged by the
 * clock after the hold was locked, so of a confirmation and an expiry exactly
 * one wins.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "event/event.h"
#include "event/sale.h"
#include "event/user_limit.h"
#include "event/user_lock.h"
#include "hold/expiry.h"
#include "hold/hold.h"
#include "hold/ttl.h"
#include "request/request.h"
#include "server/errors.h"
#include "server/fault.h"
#include "server/result.h"
#include "tables/user_id.h"
#include "ticket/ticket.h"

SQL_FUNCTION(booking_hold_tickets);
SQL_FUNCTION(booking_confirm_hold);
SQL_FUNCTION(booking_extend_hold);
SQL_FUNCTION(booking_change_hold);
SQL_FUNCTION(booking_release_hold);
SQL_FUNCTION(booking_expire_holds);

/* Raises 23T04: the hold has expired, whether it was swept or not. */
pg_noreturn static void
error_expired(const Hold *hold)
{
	ereport(ERROR,
			(errcode(ERRCODE_HOLD_EXPIRED),
			 errmsg("hold " INT64_FORMAT " has expired", hold->hold_id),
			 errdetail("It expired at %s.", timestamptz_to_str(hold->expires_at)),
			 errhint("confirm_hold(hold_id, if_expired => 'rebook') books the places again if there are any."),
			 error_fields("hold", "expires_at", "hold_expires_at")));
}

/* Returns argument number argno, an interval, or NULL. */
static Interval *
interval_argument(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : PG_GETARG_INTERVAL_P(argno);
}

/*
 * Returns true if the word in argument number argno is yes, and false if it is
 * no; otherwise raises 22023.
 */
static bool
word_argument(FunctionCallInfo fcinfo, int argno, const char *name,
			  const char *no, const char *yes)
{
	char	   *word;

	error_check_argument(fcinfo, argno, name);
	word = text_to_cstring(PG_GETARG_TEXT_PP(argno));
	if (strcmp(word, no) != 0 && strcmp(word, yes) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be '%s' or '%s'", name, no, yes)));
	return strcmp(word, yes) == 0;
}

/*
 * True if the user holds just what he asks for; request->ids[0] is his hold's
 * then.  Locks him at the event, and the hold.  Raises 23503.
 */
static bool
is_held(BookingCall *call, Request *request)
{
	Hold		hold;

	if (!event_exists(call, request->event_id))
		sale_raise_no_event(call, request->event_id, "hold");
	user_lock_one(call, request->event_id, request->user_id);
	if (!hold_find_same(call, request->event_id, request->user_id,
						request->quantity, &hold))
		return false;
	request->ids[0] = Int64GetDatum(hold.hold_id);
	request->expires_at = hold.expires_at;
	return true;
}

/* Takes the places and inserts the hold, whose id is request->ids[0] then. */
static void
hold_places(BookingCall *call, Request *request, Claim *claim)
{
	Interval	ttl;
	Interval	max_ttl;

	/* tables are locked before rows of events and stripes */
	LockRelationOid(call->tables.hold, RowExclusiveLock);
	event_read_hold_ttl(call, request->event_id, &ttl, &max_ttl);
	if (request->ttl != NULL)
		ttl = *request->ttl;
	(void) ttl_expiry(&ttl, &max_ttl);	/* before anything is locked */
	sale_take_or_raise(call, request->event_id, request->quantity, claim,
					   "hold");
	request->expires_at = ttl_expiry(&ttl, &max_ttl);	/* after the wait */
	request->ids[0] = Int64GetDatum(hold_insert(call, request->event_id,
												request->user_id,
												request->quantity,
												request->expires_at));
}

/*
 * hold_tickets(event_id, user_id, quantity, ttl, idempotency_key, on_held):
 * takes the places, all or none, and keeps them until the hold expires; returns
 * (hold_id, expires_at).  A null ttl means the event's hold_ttl.  If on_held is
 * 'return', and the user holds as many places of the event already, returns
 * that hold, and does not look at ttl.  Locks as book_tickets() does, and for
 * 'return' also the user at the event and his hold.  Raises 23T01, 23T02,
 * 23T03, 23T06, 23503, 22004, 22023.
 */
Datum
booking_hold_tickets(PG_FUNCTION_ARGS)
{
	BookingCall call;
	Datum		hold_id;
	Request		request = {.is_hold = true, .ids = &hold_id, .count = 1};
	Claim		claim = {
		.in_window = true,
		.within_limit = true,
		.is_order = true
	};
	bool		return_held;
	bool		answered;
	Datum		values[2];
	bool		isnull[2] = {false, false};

	error_check_argument(fcinfo, 0, "event_id");
	error_check_argument(fcinfo, 1, "user_id");
	error_check_argument(fcinfo, 2, "quantity");
	request.event_id = PG_GETARG_INT64(0);
	request.quantity = PG_GETARG_INT32(2);
	error_check_quantity(request.quantity);
	request.ttl = interval_argument(fcinfo, 3);
	request.key = request_key_argument(fcinfo, 4);
	return_held = word_argument(fcinfo, 5, "on_held", "add", "return");

	result_prepare_row(fcinfo);
	booking_call_begin(&call, "booking.hold_tickets()");
	request.user_id = user_id_argument(&call.base, fcinfo, 1);
	claim.user_id = request.user_id;
	answered = request.key != NULL && request_begin(&call, &request);
	if (!answered && !(return_held && is_held(&call, &request)))
		hold_places(&call, &request, &claim);
	if (!answered && request.key != NULL)
		request_answer(&call, &request);
	booking_call_end(&call);

	values[0] = request.ids[0];
	values[1] = TimestampTzGetDatum(request.expires_at);
	return result_row(fcinfo, values, isnull);
}

/* True if a hold that has ended did so before it expired. */
static bool
was_released(const Hold *hold)
{
	return !hold->confirmed && hold->ended_at < hold->expires_at;
}

/* Gives the places of a locked hold back and ends it.  Locks a stripe. */
static void
end_and_give_back(BookingCall *call, Hold *hold)
{
	sale_give_or_raise(call, hold->event_id, hold->quantity, "hold");
	hold_end(call, hold);
}

/* Raises 23T05 if the event is newer than the hold, so not the hold's. */
static void
check_event(BookingCall *call, const Hold *hold)
{
	if (event_created_after(call, hold->event_id, hold->created_at))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_STATE),
				 errmsg("hold " INT64_FORMAT " cannot be confirmed",
						hold->hold_id),
				 errdetail("Its event was deleted. The event that has the id " INT64_FORMAT " now was created later.",
						   hold->event_id),
				 error_fields("hold", "event_id", "hold_state")));
}

/*
 * Takes again the places of a locked hold that has expired.  If it has not
 * been ended yet, its places go back first, and are then taken like any
 * others.
 */
static void
rebook(BookingCall *call, Hold *hold)
{
	Claim		claim = {
		.user_id = hold->user_id,
		.in_window = true,
		.within_limit = true
	};

	/* counting may wait for other holds: not with a stripe locked */
	if (event_has_limit(call, hold->event_id))
	{
		claim.owned = user_limit_count(call, hold->event_id, hold->user_id);
		claim.counted = true;
	}
	if (!hold->ended)
		end_and_give_back(call, hold);
	hold->ended = true;

	/* other holds may be ended, which may run users' code */
	ItemPointerSetInvalid(&hold->tid);
	sale_take_or_raise(call, hold->event_id, hold->quantity, &claim,
					   "ticket");
	check_event(call, hold);
	hold_confirm(call, hold);
}

/*
 * Uses the places of a locked hold for tickets that the caller will insert.
 * Raises 23T04 or 23T05 if it can't be confirmed.
 */
static void
use_hold(BookingCall *call, Hold *hold, bool may_rebook)
{
	if (hold->confirmed)
		hold_error_state(hold->hold_id, "confirmed",
						 "confirmed, and its tickets were deleted");
	if (hold->ended && was_released(hold))
		hold_error_state(hold->hold_id, "confirmed", "released");
	if (!hold->ended && !hold_has_expired(hold))
		hold_confirm(call, hold);
	else if (may_rebook)
		rebook(call, hold);
	else
		error_expired(hold);
}

/*
 * Locks and reads a hold; raises P0002.  If its places may have to be taken
 * again, the user is locked at the event first: that is the lock order.
 */
static void
lock_hold(BookingCall *call, int64 hold_id, bool may_rebook, Hold *hold)
{
	if (may_rebook && hold_read(call, hold_id, hold) &&
		event_has_limit(call, hold->event_id))
		user_lock_one(call, hold->event_id, hold->user_id);
	if (!hold_lock(call, hold_id, hold))
		error_no_row("hold", hold_id);
}

/*
 * confirm_hold(hold_id, if_expired): turns a hold into tickets and returns
 * their ids; the same ids if it was confirmed before.  Locks the hold, and no
 * stripe unless the places are taken again.  Raises 23T04 if it has expired;
 * with if_expired = 'rebook', what book_tickets() raises.  Raises 23T05 if it
 * was released, if its tickets or its event were deleted; P0002, 22004, 22023.
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

	error_check_argument(fcinfo, 0, "hold_id");
	hold_id = PG_GETARG_INT64(0);
	may_rebook = word_argument(fcinfo, 1, "if_expired", "error", "rebook");

	booking_call_begin(&call, "booking.confirm_hold()");
	lock_hold(&call, hold_id, may_rebook, &hold);
	if (hold.ended)
		ticket_ids = ticket_ids_of_hold(&call, hold_id, &count);
	if (count == 0)
	{
		NewTickets	new = {
			.event_id = hold.event_id,
			.hold_id = hold_id,
			.user_id = hold.user_id
		};

		use_hold(&call, &hold, may_rebook);
		fault_point("confirm: no ticket yet");
		count = hold.quantity;
		ticket_ids = palloc_extended(count * sizeof(Datum), MCXT_ALLOC_HUGE);
		ticket_insert(&call, &new, count, ticket_ids);
	}
	booking_call_end(&call);
	return result_id_array(ticket_ids, count);
}

/*
 * Raises 23T05 if a locked hold was confirmed or released, and 23T04 if it has
 * expired.
 */
static void
check_alive(BookingCall *call, const Hold *hold, const char *refused)
{
	int			tickets;

	if (hold->ended)
	{
		(void) ticket_ids_of_hold(call, hold->hold_id, &tickets);
		if (tickets > 0 || hold->confirmed || was_released(hold))
			hold_error_state(hold->hold_id, refused,
							 was_released(hold) && tickets == 0 ?
								 "released" :
								 "confirmed");
	}
	if (hold->ended || hold_has_expired(hold))
		error_expired(hold);
}

/*
 * extend_hold(hold_id, ttl): makes a hold expire no sooner than ttl from now,
 * and returns when it expires.  Locks the hold.  Raises 23T04 if it has
 * expired, 23T05 if it was confirmed or released, 22023 if it would last
 * longer than the event's max_hold_ttl in all; P0002, 22004.
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
	TimestampTz wanted;

	error_check_argument(fcinfo, 0, "hold_id");
	error_check_argument(fcinfo, 1, "ttl");
	hold_id = PG_GETARG_INT64(0);
	ttl = PG_GETARG_INTERVAL_P(1);

	booking_call_begin(&call, "booking.extend_hold()");
	lock_hold(&call, hold_id, false, &hold);
	check_alive(&call, &hold, "extended");
	event_read_hold_ttl(&call, hold.event_id, &default_ttl, &max_ttl);
	wanted = ttl_expiry(ttl, &max_ttl);
	ttl_check_latest(hold.created_at, wanted, &max_ttl);
	if (wanted > hold.expires_at)
	{
		hold.expires_at = wanted;
		hold_extend(&call, &hold, wanted);
	}
	booking_call_end(&call);
	PG_RETURN_TIMESTAMPTZ(hold.expires_at);
}

/*
 * change_hold(hold_id, quantity, user_id): makes a hold keep more or fewer
 * places, all that are asked for or none, or makes it another user's; null
 * leaves either as it is.  Returns false if there is nothing to change.  Locks
 * the user at the event if that has a limit, the hold, and a stripe.  Raises
 * what hold_tickets() raises for the new places and the new user; 23T04 if the
 * hold has expired, 23T05 if it was confirmed or released; P0002, 22004, 22023.
 */
Datum
booking_change_hold(PG_FUNCTION_ARGS)
{
	BookingCall call;
	Hold		hold;
	int64		hold_id;
	bool		has_quantity = !PG_ARGISNULL(1);
	bool		has_user = PG_NARGS() > 2 && !PG_ARGISNULL(2);
	int32		quantity;
	Datum		user_id;
	bool		changes;

	error_check_argument(fcinfo, 0, "hold_id");
	hold_id = PG_GETARG_INT64(0);
	if (has_quantity)
		error_check_quantity(PG_GETARG_INT32(1));

	booking_call_begin(&call, "booking.change_hold()");
	if (!hold_read(&call, hold_id, &hold))
		error_no_row("hold", hold_id);
	user_id = has_user ? user_id_argument(&call.base, fcinfo, 2) :
						 hold.user_id;
	if (event_has_limit(&call, hold.event_id))
		user_lock_one(&call, hold.event_id, user_id);
	if (!hold_lock(&call, hold_id, &hold))
		error_no_row("hold", hold_id);
	check_alive(&call, &hold, "changed");
	quantity = has_quantity ? PG_GETARG_INT32(1) : hold.quantity;
	if (!has_user)
		user_id = hold.user_id;
	if (quantity > hold.quantity)
		sale_check_order_size(&call, hold.event_id, quantity);
	changes = quantity != hold.quantity ||
		!user_id_equal(&call.base, user_id, hold.user_id);
	if (changes)
		hold_change(&call, &hold, quantity, user_id);
	/* if it expired while places were waited for, they may be its own */
	if (changes && hold_has_expired(&hold))
		error_expired(&hold);
	booking_call_end(&call);
	PG_RETURN_BOOL(changes);
}

/*
 * release_hold(hold_id): ends a hold; its places come back in this
 * transaction. Returns false if there was nothing to release.  Locks the hold,
 * then a stripe.
 */
Datum
booking_release_hold(PG_FUNCTION_ARGS)
{
	BookingCall call;
	Hold		hold;
	int64		hold_id;
	bool		live;

	error_check_argument(fcinfo, 0, "hold_id");
	hold_id = PG_GETARG_INT64(0);

	booking_call_begin(&call, "booking.release_hold()");
	live = hold_lock(&call, hold_id, &hold) && !hold.ended;
	if (live)
		end_and_give_back(&call, &hold);
	booking_call_end(&call);
	PG_RETURN_BOOL(live);
}

/*
 * expire_holds(max_holds): ends expired holds of all events, at most that many
 * (null: all), and returns how many.  Skips holds that another session has
 * locked.  Raises 22023 for a negative number.
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
	booking_call_begin(&call, "booking.expire_holds()");
	ended = expiry_sweep(&call, most);
	booking_call_end(&call);
	PG_RETURN_INT32(ended);
}
