/*-------------------------------------------------------------------------
 *
 * expiry.c
 *	  Ends holds that have expired.
 *
 * A hold that has expired gives nothing back by itself.  A session that finds
 * no place left ends the event's expired holds in its own transaction
 * (sale.c).  The sweep does the same for all events, and is only a convenience.
 *
 * Both read the clock before they lock the holds.  This is safe, because what
 * had expired at the earlier time has expired now.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "event/refusal.h"
#include "event/sale.h"
#include "hold/expiry.h"
#include "hold/hold.h"
#include "server/fault.h"
#include "server/plan.h"

/* The places in expired holds, as far as needed, and the next to expire. */
static SqlPlan expired_places_plan = {
	.sql = "SELECT (SELECT pg_catalog.sum(h.quantity) FROM"
		   " (SELECT quantity FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND ended_at IS NULL"
		   " AND expires_at OPERATOR(pg_catalog.<=) $2"
		   " ORDER BY expires_at LIMIT $3) h),"
		   " (SELECT expires_at FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND ended_at IS NULL"
		   " AND expires_at OPERATOR(pg_catalog.>) $2"
		   " ORDER BY expires_at LIMIT 1)",
	.nargs = 3,
	.argtypes = { INT8OID, TIMESTAMPTZOID, INT8OID },
};

/* The time is an argument: an index can't search for a volatile value. */
#define EXPIRED_HOLDS \
	"SELECT " HOLD_COLUMNS " FROM booking.hold" \
	" WHERE event_id OPERATOR(pg_catalog.=) $1 AND ended_at IS NULL" \
	" AND expires_at OPERATOR(pg_catalog.<=) $3" \
	" ORDER BY expires_at, hold_id LIMIT $2 FOR NO KEY UPDATE"

static SqlPlan lock_free_plan = {
	.sql = EXPIRED_HOLDS " SKIP LOCKED",
	.nargs = 3,
	.argtypes = { INT8OID, INT8OID,
				  TIMESTAMPTZOID },
};

static SqlPlan lock_expired_plan = {
	.sql = EXPIRED_HOLDS,
	.nargs = 3,
	.argtypes = { INT8OID, INT8OID,
				  TIMESTAMPTZOID },
};

/*
 * A session that finds no place left ends expired holds with this number of
 * places if it can.  What is reclaimed goes through stripe 0, so that only one
 * session at a time can.  If each ended only the holds that it needs, the
 * places of 10,000 holds that expire at once would be sold one after the other.
 */
#define PLACES_AT_ONCE 100

/* Tells if a hold's event has a pool; a subquery, so that an index is used. */
#define HAS_INVENTORY \
	"(SELECT true FROM booking.inventory i" \
	" WHERE i.event_id OPERATOR(pg_catalog.=) hold.event_id LIMIT 1)"

static SqlPlan sweep_plan = {
	.sql = "SELECT " HOLD_COLUMNS " FROM booking.hold"
		   " WHERE ended_at IS NULL"
		   " AND expires_at OPERATOR(pg_catalog.<=) $2 AND " HAS_INVENTORY
		   " ORDER BY expires_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED",
	.nargs = 2,
	.argtypes = { INT8OID, TIMESTAMPTZOID },
};

static SqlPlan not_swept_plan = {
	.sql = "SELECT event_id FROM booking.hold WHERE ended_at IS NULL"
		   " AND expires_at OPERATOR(pg_catalog.<=) $1"
		   " AND " HAS_INVENTORY " IS NULL LIMIT 1",
	.nargs = 1,
	.argtypes = { TIMESTAMPTZOID },
};

/*
 * Returns the places in expired holds of the event that the snapshot shows.
 * Counts at most that many holds, each of which has a place or more.
 * *next_expiry is when the next hold expires, or DT_NOEND; DT_NOBEGIN if a
 * statement is in progress that changes holds.  Locks nothing.
 */
static int64
expired_places(BookingCall *call, int64 event_id, Snapshot snapshot,
			   int64 most, TimestampTz *next_expiry)
{
	Datum		values[3];
	int64		places;
	bool		isnull;

	values[0] = Int64GetDatum(event_id);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[2] = Int64GetDatum(most);
	plan_connect_for_all_rows(&call->base);
	(void) plan_execute_snapshot(&call->base, &expired_places_plan, values,
								 snapshot);
	places = DatumGetInt64(plan_result(&call->base, 0, 1, INT8OID, &isnull));
	*next_expiry = DatumGetTimestampTz(
		plan_result(&call->base, 0, 2, TIMESTAMPTZOID, &isnull));
	if (isnull)
		*next_expiry = DT_NOEND;
	if (call_has_pending_triggers(call->tables.hold))
		*next_expiry = DT_NOBEGIN;
	plan_disconnect(&call->base);
	return places;
}

/*
 * Ends expired holds of the event, in the order of their expiry, until that
 * many places are found or no more are left.  Returns the places, which the
 * caller gives back.  Locks up to that many holds, not only those that it ends.
 * Holds that another session has locked are waited for if wait is true;
 * otherwise they are skipped, and up to PLACES_AT_ONCE places are found.
 */
static int64
end_expired(BookingCall *call, int64 event_id, int64 places, bool wait)
{
	Datum		values[3];
	HoldSet		set;
	int64		found = 0;
	int			used = 0;

	if (!wait)
		places = Max(places, PLACES_AT_ONCE);
	values[0] = Int64GetDatum(event_id);
	values[1] = Int64GetDatum(places);
	values[2] = TimestampTzGetDatum(GetCurrentTimestamp());
	hold_lock_all(call, wait ? &lock_expired_plan : &lock_free_plan, values,
				  &set);
	while (used < set.count && found < places)
		found += set.hold[used++].quantity;
	if (used > 0)
		hold_end_all(call, set.hold, used, found);
	fault_point("expire: not given back");
	return found;
}

/* Compares two holds by event, for qsort(). */
static int
by_event(const void *a, const void *b)
{
	int64		left = ((const Hold *) a)->event_id;
	int64		right = ((const Hold *) b)->event_id;

	return left < right ? -1 : left > right;
}

/* Warns if there are expired holds of an event without a pool. */
static void
warn_of_not_swept(BookingCall *call, Datum now)
{
	bool		isnull;

	plan_connect_for_all_rows(&call->base);
	if (plan_execute(&call->base, &not_swept_plan, &now, NULL) > 0)
		refusal_warn_no_inventory(DatumGetInt64(
			plan_result(&call->base, 0, 1, INT8OID, &isnull)));
	plan_disconnect(&call->base);
}

/*
 * Ends expired holds of all events, at most that many, and gives their places
 * back; returns how many holds were ended.  Holds that another session has
 * locked are skipped.  The events are served in the order of their ids, so
 * that two sweeps don't deadlock.  Events without a pool are skipped, so that
 * they don't stop the sweep of all others; a warning follows at the end.
 */
int32
expiry_sweep(BookingCall *call, int32 most)
{
	Datum		values[2];
	HoldSet		set;
	int			next;

	values[0] = Int64GetDatum(most);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	hold_lock_all(call, &sweep_plan, values, &set);
	qsort(set.hold, set.count, sizeof(Hold), by_event);
	for (int first = 0; first < set.count; first = next)
	{
		int64		event_id = set.hold[first].event_id;
		int64		places = 0;

		CHECK_FOR_INTERRUPTS();
		for (next = first;
			 next < set.count && set.hold[next].event_id == event_id; next++)
			places += set.hold[next].quantity;
		if (!sale_give(call, event_id, (int32) places))
			/* can't happen: the pool was there, and holds keep the event */
			refusal_no_inventory(event_id);
		hold_end_all(call, &set.hold[first], next - first, places);
	}
	if (set.count < most)
		warn_of_not_swept(call, values[1]);
	return set.count;
}

/* Offers expired holds to the sale; once a session. */
void
expiry_init(void)
{
	static const SaleReclaimer reclaimer = {expired_places, end_expired};

	sale_set_reclaimer(&reclaimer);
}
