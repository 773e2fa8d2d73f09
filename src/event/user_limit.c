/*-------------------------------------------------------------------------
 *
 * user_limit.c
 *	  The limit per user: count his places at the event.
 *
 * A call that takes places of an event with a limit first locks the user at the
 * event (user_lock.c).  Then it counts the user's places with the newest
 * snapshot.  So of two sessions that book for one user, the second sees what
 * the first has booked.
 *
 * A hold that has expired doesn't count, whether it was swept or not.  But a
 * session that has it locked may have confirmed it before it expired, so that
 * session is waited for.  After its expiry a hold can only be rebooked, which
 * locks the user.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "event/user_limit.h"
#include "event/user_lock.h"
#include "server/errors.h"
#include "server/plan.h"
#include "server/subtransaction.h"
#include "tables/user_id.h"

/* The places of a user, and whether some of his holds had expired by $3. */
static SqlPlan count_plan = {
	.sql = "SELECT (SELECT pg_catalog.count(*) FROM booking.ticket"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND user_id OPERATOR(pg_catalog.=) $2"
		   " AND cancelled_at IS NULL),"
		   " pg_catalog.sum(quantity) FILTER (WHERE expires_at OPERATOR(pg_catalog.>) $3),"
		   " pg_catalog.bool_or(expires_at OPERATOR(pg_catalog.<=) $3)"
		   " FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND user_id OPERATOR(pg_catalog.=) $2"
		   " AND ended_at IS NULL",
	.nargs = 3,
	.argtypes = { INT8OID, PLAN_USER_ID, TIMESTAMPTZOID },
};

/*
 * The places of those of the users $2 who own some, without holds that had
 * expired by $3, most first; and what each has asked for, by $4.
 */
static SqlPlan count_most_plan = {
	.sql = "SELECT pg_catalog.sum(o.places)::pg_catalog.int8,"
		   " pg_catalog.sum(o.asked)::pg_catalog.int8 FROM"
		   " (SELECT user_id, pg_catalog.count(*) AS places, 0 AS asked"
		   " FROM booking.ticket"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND cancelled_at IS NULL"
		   " AND user_id OPERATOR(pg_catalog.=) ANY ($2) GROUP BY user_id"
		   " UNION ALL SELECT user_id, pg_catalog.sum(quantity), 0 FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND ended_at IS NULL"
		   " AND expires_at OPERATOR(pg_catalog.>) $3"
		   " AND user_id OPERATOR(pg_catalog.=) ANY ($2) GROUP BY user_id"
		   " UNION ALL SELECT u, 0, pg_catalog.sum(n)"
		   " FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($4)) AS a (u, n)"
		   " GROUP BY u) AS o"
		   " GROUP BY o.user_id ORDER BY 1 DESC, o.user_id LIMIT 1",
	.nargs = 4,
	.argtypes = { INT8OID, PLAN_USER_ID_ARRAY, TIMESTAMPTZOID, INT4ARRAYOID },
};

static SqlPlan lock_expired_plan = {
	.sql = "SELECT 1 FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1"
		   " AND user_id OPERATOR(pg_catalog.=) ANY ($2)"
		   " AND ended_at IS NULL AND expires_at OPERATOR(pg_catalog.<=) $3"
		   " ORDER BY expires_at, hold_id FOR NO KEY UPDATE",
	.nargs = 3,
	.argtypes = { INT8OID, PLAN_USER_ID_ARRAY, TIMESTAMPTZOID },
};

/*
 * For each user of the array: is he within the limit, if all before him are?
 * The array has no column's collation, so equal ids are alike in it.
 */
static SqlPlan judge_plan = {
	.sql = "WITH asking AS (SELECT u, ord, pg_catalog.row_number()"
		   " OVER (PARTITION BY u ORDER BY ord) AS nth"
		   " FROM pg_catalog.unnest($2) WITH ORDINALITY AS a (u, ord)),"
		   " owning AS (SELECT user_id, pg_catalog.sum(places) AS places FROM"
		   " (SELECT user_id, pg_catalog.count(*) AS places FROM booking.ticket"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND cancelled_at IS NULL"
		   " AND user_id OPERATOR(pg_catalog.=) ANY ($2) GROUP BY user_id"
		   " UNION ALL SELECT user_id, pg_catalog.sum(quantity) FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND ended_at IS NULL"
		   " AND expires_at OPERATOR(pg_catalog.>) $3"
		   " AND user_id OPERATOR(pg_catalog.=) ANY ($2) GROUP BY user_id) AS p"
		   " GROUP BY user_id)"
		   " SELECT COALESCE(o.places, 0) OPERATOR(pg_catalog.+) a.nth"
		   " OPERATOR(pg_catalog.<=) e.max_per_user, e.max_per_user"
		   " FROM booking.event e, asking a LEFT JOIN owning o"
		   " ON o.user_id OPERATOR(pg_catalog.=) a.u"
		   " WHERE e.event_id OPERATOR(pg_catalog.=) $1 ORDER BY a.ord",
	.nargs = 3,
	.argtypes = { INT8OID, PLAN_USER_ID_ARRAY, TIMESTAMPTZOID },
};

/* The expired holds of users, to be waited for. */
typedef struct ExpiredHolds
{
	Call	   *call;
	Datum		values[3];		/* of lock_expired_plan */
} ExpiredHolds;

/* Locks them, and returns false so that the locks are given up again. */
static bool
lock_expired(void *arg)
{
	ExpiredHolds *holds = arg;

	plan_connect_for_all_rows(holds->call);
	(void) plan_execute_latest(holds->call, &lock_expired_plan, holds->values,
							   0);
	plan_disconnect(holds->call);
	return false;
}

/*
 * Waits for sessions that have locked an expired hold of one of the users.
 * "Expired" is judged by the time now.  The locks are given up again: they are
 * not needed, and would be out of order.
 */
static void
wait_for_expired(BookingCall *call, int64 event_id, ArrayType *user_ids,
				 TimestampTz now)
{
	ExpiredHolds holds = {.call = &call->base};

	holds.values[0] = Int64GetDatum(event_id);
	holds.values[1] = PointerGetDatum(user_ids);
	holds.values[2] = TimestampTzGetDatum(now);
	(void) subtransaction_run(&call->base, lock_expired, &holds);
}

/* The places of a user that a scan has counted. */
typedef struct PlacesCount
{
	const RowShape *hold_shape;
	TimestampTz now;
	int64		places;
	bool		some_expired;
} PlacesCount;

/* Counts a ticket. */
static void
count_ticket(TupleTableSlot *slot, void *arg)
{
	PlacesCount *count = arg;

	count->places++;
}

/* Counts a hold. */
static void
count_hold(TupleTableSlot *slot, void *arg)
{
	PlacesCount *count = arg;
	const AttrNumber *attnum = count->hold_shape->attnum;
	bool		isnull;
	TimestampTz expires_at = DatumGetTimestampTz(
		slot_getattr(slot, attnum[INSPECT_HOLD_EXPIRES_AT], &isnull));

	if (expires_at <= count->now)
		count->some_expired = true;
	else
		count->places += DatumGetInt32(
			slot_getattr(slot, attnum[INSPECT_HOLD_QUANTITY], &isnull));
}

/*
 * Does what count_places() does without a statement.  Returns false if that
 * can't be: an index is missing, or there are partitions or child tables.
 */
static bool
count_directly(BookingCall *call, int64 event_id, Datum user_id,
			   PlacesCount *count)
{
	const BookingTables *tables = &call->tables;
	Relation	hold;
	bool		possible;

	if (!booking_call_is_ticket_plain(call) ||
		!OidIsValid(tables->ticket_user_index.relid))
		return false;
	hold = booking_call_open(tables->hold, "hold", AccessShareLock);
	possible = booking_call_is_plain(call, &tables->hold_shape, hold) &&
		OidIsValid(tables->hold_user_index.relid);
	if (possible)
	{
		user_index_scan(&tables->ticket_user_index, call->ticket, event_id,
						user_id, tables->user_id_type, count_ticket, count);
		user_index_scan(&tables->hold_user_index, hold, event_id, user_id,
						tables->user_id_type, count_hold, count);
	}
	table_close(hold, NoLock);
	return possible;
}

/* Does it by a statement. */
static void
count_by_sql(BookingCall *call, int64 event_id, Datum user_id,
			 PlacesCount *count)
{
	Call	   *base = &call->base;
	Datum		values[3];
	bool		isnull;

	values[0] = Int64GetDatum(event_id);
	values[1] = user_id;
	values[2] = TimestampTzGetDatum(count->now);
	plan_connect_for_all_rows(base);
	(void) plan_execute_latest(base, &count_plan, values, 0);
	count->places = DatumGetInt64(plan_result(base, 0, 1, INT8OID, &isnull)) +
		DatumGetInt64(plan_result(base, 0, 2, INT8OID, &isnull));
	count->some_expired =
		DatumGetBool(plan_result(base, 0, 3, BOOLOID, &isnull));
	plan_disconnect(base);
}

/*
 * Counts the user's places by the newest snapshot, without holds that had
 * expired by now.  Returns true if there are such holds.
 */
static bool
count_places(BookingCall *call, int64 event_id, Datum user_id, TimestampTz now,
			 int64 *places)
{
	PlacesCount count = {.hold_shape = &call->tables.hold_shape, .now = now};

	if (!count_directly(call, event_id, user_id, &count))
		count_by_sql(call, event_id, user_id, &count);
	*places = count.places;
	return count.some_expired;
}

/* Locks the user at the event, and returns the number of his places there. */
int64
user_limit_count(BookingCall *call, int64 event_id, Datum user_id)
{
	TimestampTz now;
	int64		places;

	user_lock_one(call, event_id, user_id);
	now = GetCurrentTimestamp();
	if (count_places(call, event_id, user_id, now, &places))
	{
		wait_for_expired(call, event_id,
						 user_id_array(&call->base, &user_id, 1), now);
		(void) count_places(call, event_id, user_id, now, &places);
	}
	return places;
}

/*
 * Locks several users, and waits for sessions that have locked one of their
 * expired holds.  Returns the time by which these had expired.
 */
static TimestampTz
lock_users_and_wait(BookingCall *call, int64 event_id, const UserIdSet *set)
{
	TimestampTz now;

	user_lock_several(call, event_id, set->distinct, set->count);
	now = GetCurrentTimestamp();
	wait_for_expired(call, event_id, set->distinct, now);
	return now;
}

/*
 * Locks the users at the event, whose rows are written already, and returns the
 * places of the one who has most.  asked: the places of each row;
 * *asked_by_user: those of that user's rows.
 */
int64
user_limit_count_most(BookingCall *call, int64 event_id, Datum *user_ids,
					  int32 *asked, int count, int64 *asked_by_user)
{
	Call	   *base = &call->base;
	Datum	   *places = palloc_array(Datum, count);
	UserIdSet	set;
	Datum		values[4];
	int64		owned;
	bool		isnull;

	user_id_set(base, user_ids, count, &set);
	values[0] = Int64GetDatum(event_id);
	values[1] = PointerGetDatum(set.alike);
	values[2] = TimestampTzGetDatum(lock_users_and_wait(call, event_id, &set));

	for (int i = 0; i < count; i++)
		places[i] = Int32GetDatum(asked[i]);
	values[3] = PointerGetDatum(construct_array(places, count, INT4OID,
												sizeof(int32), true,
												TYPALIGN_INT));
	plan_connect_for_all_rows(base);
	(void) plan_execute_latest(base, &count_most_plan, values, 0);
	owned = DatumGetInt64(plan_result(base, 0, 1, INT8OID, &isnull));
	*asked_by_user = DatumGetInt64(plan_result(base, 0, 2, INT8OID, &isnull));
	plan_disconnect(base);
	return owned;
}

/*
 * Locks the users at the event, each of whom asks for one place.  Sets
 * over_limit, all false before, for each who would be over the limit if those
 * before him get theirs.  Returns the limit; 0 if it was lifted.
 */
int32
user_limit_judge(BookingCall *call, int64 event_id, Datum *user_ids, int count,
				 bool *over_limit)
{
	Call	   *base = &call->base;
	UserIdSet	set;
	Datum		values[3];
	uint64		rows;
	int32		limit = 0;
	bool		isnull = false;

	user_id_set(base, user_ids, count, &set);
	values[0] = Int64GetDatum(event_id);
	values[1] = PointerGetDatum(set.alike);
	values[2] = TimestampTzGetDatum(lock_users_and_wait(call, event_id, &set));
	plan_connect_for_all_rows(base);
	rows = plan_execute_latest(base, &judge_plan, values, 0);
	if (rows != 0 && rows != (uint64) count)
		error_unusable(psprintf("table booking.event has several rows of event " INT64_FORMAT,
								event_id),
					   "Remove the rows of child tables, and those that were loaded without triggers.");
	for (uint64 i = 0; i < rows; i++)
	{
		bool within = DatumGetBool(plan_result(base, i, 1, BOOLOID, &isnull));

		/* null: the limit was lifted */
		over_limit[i] = !within && !isnull;
		limit = DatumGetInt32(plan_result(base, i, 2, INT4OID, &isnull));
	}
	plan_disconnect(base);
	return isnull ? 0 : limit;
}
