/*-------------------------------------------------------------------------
 *
 * user_limit.c
 *	  The limit per user: lock the user at the event, count his places.
 *
 * A call that takes places of an event with a limit first locks the user's row
 * in booking.user_limit, which it inserts if it is missing.  Then it counts
 * the user's places with the newest snapshot.  So of two sessions that book
 * for one user, the second sees what the first has booked.  Several users are
 * locked in the order of their ids.  An event without a limit has no such
 * rows.
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

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "event/user_limit.h"
#include "server/errors.h"
#include "server/plan.h"
#include "server/subtransaction.h"
#include "tables/user_id.h"

static SqlPlan lock_user_plan = {
	.sql = "SELECT 1 FROM booking.user_limit"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND user_id OPERATOR(pg_catalog.=) $2"
		   " FOR NO KEY UPDATE",
	.nargs = 2,
	.argtypes = { INT8OID, PLAN_USER_ID },
};

static SqlPlan add_user_plan = {
	.sql = "INSERT INTO booking.user_limit (event_id, user_id) VALUES ($1, $2)"
		   " ON CONFLICT DO NOTHING",
	.nargs = 2,
	.argtypes = { INT8OID, PLAN_USER_ID },
};

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

/* $2 is ascending, and unnest() returns it in its order. */
static SqlPlan add_users_plan = {
	.sql = "INSERT INTO booking.user_limit (event_id, user_id)"
		   " SELECT $1, u FROM pg_catalog.unnest($2) AS u"
		   " ON CONFLICT DO NOTHING",
	.nargs = 2,
	.argtypes = { INT8OID, PLAN_USER_ID_ARRAY },
};

static SqlPlan lock_users_plan = {
	.sql = "SELECT 1 FROM booking.user_limit"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1"
		   " AND user_id OPERATOR(pg_catalog.=) ANY ($2)"
		   " ORDER BY user_id FOR NO KEY UPDATE",
	.nargs = 2,
	.argtypes = { INT8OID, PLAN_USER_ID_ARRAY },
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

/*
 * Locks the user at the event until the end of the transaction, after waiting
 * for another transaction that has him locked.  Raises 40001 as the isolation
 * level demands.
 */
void
user_limit_lock(BookingCall *call, int64 event_id, Datum user_id)
{
	Call	   *base = &call->base;
	Datum		values[2];
	int			attempts = 0;

	values[0] = Int64GetDatum(event_id);
	values[1] = user_id;
	plan_connect_for_all_rows(base);
	while (plan_execute(base, &lock_user_plan, values, NULL) == 0 &&
		   plan_execute(base, &add_user_plan, values, NULL) == 0)
		plan_check_attempts("user_limit", &attempts);
	plan_disconnect(base);
}

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

/*
 * Counts the user's places by the newest snapshot, without holds that had
 * expired by now.  Returns true if there are such holds.
 */
static bool
count_places(BookingCall *call, int64 event_id, Datum user_id, TimestampTz now,
			 int64 *places)
{
	Call	   *base = &call->base;
	Datum		values[3];
	bool		some_expired;
	bool		isnull;

	values[0] = Int64GetDatum(event_id);
	values[1] = user_id;
	values[2] = TimestampTzGetDatum(now);
	plan_connect_for_all_rows(base);
	(void) plan_execute_latest(base, &count_plan, values, 0);
	*places = DatumGetInt64(plan_result(base, 0, 1, INT8OID, &isnull));
	*places += DatumGetInt64(plan_result(base, 0, 2, INT8OID, &isnull));
	some_expired = DatumGetBool(plan_result(base, 0, 3, BOOLOID, &isnull));
	plan_disconnect(base);
	return some_expired;
}

/* Locks the user at the event, and returns the number of his places there. */
int64
user_limit_count(BookingCall *call, int64 event_id, Datum user_id)
{
	TimestampTz now;
	int64		places;

	user_limit_lock(call, event_id, user_id);
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
 * Locks several users in the order of their ids.  If the limit is lifted at the
 * same time, purge() may delete the row of a user who is not locked yet.  So
 * this repeats until all are locked.  Such a user is then locked out of order,
 * so two batches for the same users can deadlock (40P01).
 */
static void
lock_users(BookingCall *call, int64 event_id, const UserIdSet *set)
{
	Call	   *base = &call->base;
	Datum		values[2];
	uint64		users = set->count;
	int			attempts = 0;

	values[0] = Int64GetDatum(event_id);
	values[1] = PointerGetDatum(set->distinct);
	plan_connect_for_all_rows(base);
	do
	{
		plan_check_attempts("user_limit", &attempts);
		(void) plan_execute(base, &add_users_plan, values, NULL);
	} while (plan_execute(base, &lock_users_plan, values, NULL) < users);
	plan_disconnect(base);
}

/*
 * Locks several users, and waits for sessions that have locked one of their
 * expired holds.  Returns the time by which these had expired.
 */
static TimestampTz
lock_users_and_wait(BookingCall *call, int64 event_id, const UserIdSet *set)
{
	TimestampTz now;

	lock_users(call, event_id, set);
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
