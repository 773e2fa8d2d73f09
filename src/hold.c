/*-------------------------------------------------------------------------
 *
 * hold.c
 *	  The rows of the hold table, and their expiry.
 *
 * A hold is live while ended_at is null, and holds its places until then: a
 * hold that has expired gives nothing back by itself.  Whoever finds no place
 * left ends the event's expired holds, in its own transaction (inventory.c);
 * a sweep does the same for all events, and is a convenience.
 *
 * Every change of a hold is decided by its row, locked, and by the clock that
 * is read then.  So a hold that has been found live and not expired under the
 * lock can be confirmed: who comes to end it waits, and finds it ended.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "hold.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "result.h"
#include "ticket.h"
#include "user.h"

/* Holds that have been locked in order to end them. */
typedef struct HoldSet
{
	int			count;
	Hold	   *hold;
} HoldSet;

#define HOLD_COLUMNS \
	"hold_id, event_id, user_id, quantity, expires_at, created_at, ended_at"

static BookingPlan insert_plan = {
	.sql = "INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)"
		   " VALUES ($1, $2, $3, $4)"
		   " RETURNING event_id OPERATOR(pg_catalog.=) $1"
		   " AND user_id OPERATOR(pg_catalog.=) $2"
		   " AND quantity OPERATOR(pg_catalog.=) $3 AND ended_at IS NULL, hold_id",
	.nargs = 4,
	.argtypes = { INT8OID, BOOKING_USER_ID, INT4OID, TIMESTAMPTZOID },
};

static BookingPlan read_plan = {
	.sql = "SELECT " HOLD_COLUMNS " FROM booking.hold"
		   " WHERE hold_id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static BookingPlan lock_plan = {
	.sql = "SELECT " HOLD_COLUMNS " FROM booking.hold"
		   " WHERE hold_id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static BookingPlan end_plan = {
	.sql = "UPDATE booking.hold SET ended_at = pg_catalog.clock_timestamp()"
		   " WHERE hold_id OPERATOR(pg_catalog.=) ANY ($1)"
		   " RETURNING ended_at IS NOT NULL",
	.nargs = 1,
	.argtypes = { INT8ARRAYOID },
};

static BookingPlan extend_plan = {
	.sql = "UPDATE booking.hold SET expires_at = $2"
		   " WHERE hold_id OPERATOR(pg_catalog.=) $1"
		   " RETURNING expires_at OPERATOR(pg_catalog.=) $2 AND ended_at IS NULL",
	.nargs = 2,
	.argtypes = { INT8OID, TIMESTAMPTZOID },
};

/* The places in expired holds, as far as asked for, and the next to expire. */
static BookingPlan expired_places_plan = {
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

/* The clock is an argument: an index can't be asked for a volatile value. */
#define EXPIRED_HOLDS \
	"SELECT " HOLD_COLUMNS " FROM booking.hold" \
	" WHERE event_id OPERATOR(pg_catalog.=) $1 AND ended_at IS NULL" \
	" AND expires_at OPERATOR(pg_catalog.<=) $3" \
	" ORDER BY expires_at, hold_id LIMIT $2 FOR NO KEY UPDATE"

static BookingPlan lock_free_plan = {
	.sql = EXPIRED_HOLDS " SKIP LOCKED",
	.nargs = 3,
	.argtypes = { INT8OID, INT8OID,
				  TIMESTAMPTZOID },
};

static BookingPlan lock_expired_plan = {
	.sql = EXPIRED_HOLDS,
	.nargs = 3,
	.argtypes = { INT8OID, INT8OID,
				  TIMESTAMPTZOID },
};

/* The inventory of a hold's event; a subquery, so that it is asked by index. */
#define HAS_INVENTORY \
	"(SELECT true FROM booking.inventory i" \
	" WHERE i.event_id OPERATOR(pg_catalog.=) hold.event_id LIMIT 1)"

static BookingPlan sweep_plan = {
	.sql = "SELECT " HOLD_COLUMNS " FROM booking.hold"
		   " WHERE ended_at IS NULL"
		   " AND expires_at OPERATOR(pg_catalog.<=) $2 AND " HAS_INVENTORY
		   " ORDER BY expires_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED",
	.nargs = 2,
	.argtypes = { INT8OID, TIMESTAMPTZOID },
};

static BookingPlan not_swept_plan = {
	.sql = "SELECT event_id FROM booking.hold WHERE ended_at IS NULL"
		   " AND expires_at OPERATOR(pg_catalog.<=) $1"
		   " AND " HAS_INVENTORY " IS NULL LIMIT 1",
	.nargs = 1,
	.argtypes = { TIMESTAMPTZOID },
};

/* The hold that is being confirmed, or 0. */
static int64 being_confirmed = 0;

/* A column of the last result's, which may not be null. */
static Datum
hold_column(uint64 row, int column, Oid type)
{
	bool		isnull;
	Datum		value = booking_result(row, column, type, &isnull);

	if (isnull)
		booking_error_shape("booking.hold holds a null where none may be.",
							"Give its columns their NOT NULL back.");
	return value;
}

/* Reads a row of the last result; the user's id is copied to the context. */
static void
read_hold(const BookingCall *call, uint64 row, MemoryContext context,
		  Hold *hold)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	bool		isnull;

	hold->hold_id = DatumGetInt64(hold_column(row, 1, INT8OID));
	hold->event_id = DatumGetInt64(hold_column(row, 2, INT8OID));
	hold->user_id = user_id_copy(call, hold_column(row, 3, BOOKING_USER_ID));
	hold->quantity = DatumGetInt32(hold_column(row, 4, INT4OID));
	hold->expires_at = DatumGetTimestampTz(hold_column(row, 5, TIMESTAMPTZOID));
	hold->created_at = DatumGetTimestampTz(hold_column(row, 6, TIMESTAMPTZOID));
	hold->ended_at = DatumGetTimestampTz(booking_result(row, 7, TIMESTAMPTZOID,
														&isnull));
	hold->ended = !isnull;
	MemoryContextSwitchTo(old);
}

/*
 * Inserts a hold whose places the caller has taken, and returns its id.
 * Raises what the table's constraints and triggers raise.
 */
int64
hold_insert(BookingCall *call, int64 event_id, Datum user_id, int32 quantity,
			TimestampTz expires_at)
{
	Datum		values[4];
	int64		hold_id;
	uint64		rows;
	bool		isnull;

	values[0] = Int64GetDatum(event_id);
	values[1] = user_id;
	values[2] = Int32GetDatum(quantity);
	values[3] = TimestampTzGetDatum(expires_at);
	booking_connect_for_all_rows(call);
	rows = booking_execute_ahead(&insert_plan, values, NULL, event_id, &user_id,
								 quantity);
	booking_check_rows("hold", rows, 1, 1);
	hold_id = DatumGetInt64(booking_result(0, 2, INT8OID, &isnull));
	booking_finish(call);
	return hold_id;
}

/*
 * Reads a hold; false: there is none.  lock: locks it first, as an UPDATE of
 * it would, until the end of the transaction, and reads it as it is then.
 */
bool
hold_read(BookingCall *call, int64 hold_id, bool lock, Hold *hold)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		value = Int64GetDatum(hold_id);
	bool		found;

	booking_connect_for_all_rows(call);
	found = booking_execute(lock ? &lock_plan : &read_plan, &value, false) > 0;
	if (found)
		read_hold(call, 0, context, hold);
	booking_finish(call);
	return found;
}

/* Has it expired, by the clock? */
bool
hold_has_expired(const Hold *hold)
{
	return hold->expires_at <= GetCurrentTimestamp();
}

/* The ids of so many holds as an array. */
static Datum
ids_of(const Hold *hold, int count)
{
	Datum	   *ids = palloc(count * sizeof(Datum));

	for (int i = 0; i < count; i++)
		ids[i] = Int64GetDatum(hold[i].hold_id);
	return id_array(ids, count);
}

/* Ends locked holds of one event, whose places the caller accounts for. */
static void
end_rows(BookingCall *call, const Hold *hold, int count, int64 places)
{
	Datum		ids = ids_of(hold, count);
	uint64		rows;

	booking_connect_for_all_rows(call);
	rows = booking_execute_ahead(&end_plan, &ids, NULL, hold->event_id, NULL,
								 -places);
	booking_check_rows("hold", rows, count, 1);
	booking_finish(call);
}

/*
 * Ends a hold that the caller has locked, and whose places it has given back
 * or is about to turn into tickets.
 */
void
hold_end(BookingCall *call, const Hold *hold)
{
	end_rows(call, hold, 1, hold->quantity);
}

/* The same for a hold that becomes tickets. */
void
hold_confirm(BookingCall *call, const Hold *hold)
{
	int64		outer = being_confirmed;

	being_confirmed = hold->hold_id;
	PG_TRY();
	{
		end_rows(call, hold, 1, hold->quantity);
	}
	PG_FINALLY();
	{
		being_confirmed = outer;
	}
	PG_END_TRY();
}

/* For the history: is the hold that is ended just now being confirmed? */
bool
hold_is_being_confirmed(int64 hold_id)
{
	return being_confirmed == hold_id;
}

/* Changes the time at which a locked hold expires. */
void
hold_extend(BookingCall *call, const Hold *hold, TimestampTz expires_at)
{
	Datum		values[2];

	values[0] = Int64GetDatum(hold->hold_id);
	values[1] = TimestampTzGetDatum(expires_at);
	booking_connect_for_all_rows(call);
	booking_check_rows("hold", booking_execute(&extend_plan, values, false),
					   1, 1);
	booking_finish(call);
}

/*
 * The places in expired holds of the event, as the snapshot shows them and as
 * far as they are needed: it stops at the first most of them or later.
 * *next_expiry is when the next of the others expires, DT_NOEND: there is
 * none.  Locks nothing.
 */
int64
hold_expired_places(BookingCall *call, int64 event_id, Snapshot snapshot,
					int64 most, TimestampTz *next_expiry)
{
	Datum		values[3];
	int64		places;
	bool		isnull;

	values[0] = Int64GetDatum(event_id);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[2] = Int64GetDatum(most);
	booking_connect_for_all_rows(call);
	(void) booking_execute_snapshot(&expired_places_plan, values, snapshot);
	places = DatumGetInt64(booking_result(0, 1, INT8OID, &isnull));
	*next_expiry =
		DatumGetTimestampTz(booking_result(0, 2, TIMESTAMPTZOID, &isnull));
	if (isnull)
		*next_expiry = DT_NOEND;
	booking_finish(call);
	return places;
}

/* Runs one of the statements that lock expired holds. */
static HoldSet
lock_holds(BookingCall *call, BookingPlan *plan, Datum *values)
{
	MemoryContext context = CurrentMemoryContext;
	HoldSet		set = {0};

	booking_connect_for_all_rows(call);
	set.count = (int) booking_execute(plan, values, false);
	set.hold = MemoryContextAllocHuge(context,
									  Max(set.count, 1) * sizeof(Hold));
	for (int i = 0; i < set.count; i++)
		read_hold(call, i, context, &set.hold[i]);
	booking_finish(call);
	return set;
}

/*
 * Ends expired holds of the event, in the order of their expiry, until so many
 * places are found or no more are there; returns the places, which the caller
 * then gives back.  wait: for holds that others have locked; else those are
 * passed over.
 */
int64
hold_end_expired(BookingCall *call, int64 event_id, int64 places, bool wait)
{
	Datum		values[3];
	HoldSet		set;
	int64		found = 0;
	int			used = 0;

	values[0] = Int64GetDatum(event_id);
	values[1] = Int64GetDatum(places);
	values[2] = TimestampTzGetDatum(GetCurrentTimestamp());
	set = lock_holds(call, wait ? &lock_expired_plan : &lock_free_plan, values);
	while (used < set.count && found < places)
		found += set.hold[used++].quantity;
	if (used > 0)
		end_rows(call, set.hold, used, found);
	fault_point("expire: not given back");
	return found;
}

/* By event, for qsort(). */
static int
by_event(const void *a, const void *b)
{
	int64		left = ((const Hold *) a)->event_id;
	int64		right = ((const Hold *) b)->event_id;

	return left < right ? -1 : left > right;
}

/* Warns of expired holds of an event without inventory, if there are any. */
static void
warn_of_not_swept(BookingCall *call, Datum now)
{
	bool		isnull;

	booking_connect_for_all_rows(call);
	if (booking_execute(&not_swept_plan, &now, false) > 0)
		booking_warn_no_inventory(DatumGetInt64(booking_result(0, 1, INT8OID,
															   &isnull)));
	booking_finish(call);
}

/*
 * Ends expired holds of all events, at most so many of them, but for those
 * that somebody has locked; gives their places back, and returns how many
 * there were.  The events are served in the order of their ids, so that two
 * sweeps don't wait for each other.  Those whose inventory is missing are
 * passed over, lest they stop the sweep of all others, with a warning when the
 * others are done.
 */
int32
hold_sweep(BookingCall *call, int32 most)
{
	Datum		values[2];
	HoldSet		set;
	int			next;

	values[0] = Int64GetDatum(most);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	set = lock_holds(call, &sweep_plan, values);
	qsort(set.hold, set.count, sizeof(Hold), by_event);
	for (int first = 0; first < set.count; first = next)
	{
		int64		event_id = set.hold[first].event_id;
		int64		places = 0;

		CHECK_FOR_INTERRUPTS();
		for (next = first;
			 next < set.count && set.hold[next].event_id == event_id; next++)
			places += set.hold[next].quantity;
		if (!booking_give(call, event_id, (int32) places))
			/* can't happen: there was inventory, and holds keep the event */
			booking_error_no_inventory(event_id);
		end_rows(call, &set.hold[first], next - first, places);
	}
	if (set.count < most)
		warn_of_not_swept(call, values[1]);
	return set.count;
}
