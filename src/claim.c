/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  Who may take places of an event: the sales window, the limit per user.
 *
 * The window is judged by the clock (not by the transaction's start), once
 * before a stripe is locked, so that a refusal locks nothing, and once after.
 *
 * The limit per user.  Whoever takes places of an event that has one first
 * locks the user's row in booking.user_limit, inserting it where it is not
 * there, and then counts what the user has with the newest snapshot.  So of
 * two sessions that book for one user the second sees what the first booked.
 * Many users are locked in the order of their ids.  An event without a limit
 * has no such rows.
 *
 * A hold that has expired no longer counts, swept or not.  Who has it locked
 * may have confirmed it before it expired, and is waited for; nobody can
 * confirm it later without the lock on the user.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "claim.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "subtransaction.h"
#include "user.h"

static BookingPlan lock_user_plan = {
	.sql = "SELECT 1 FROM booking.user_limit"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND user_id OPERATOR(pg_catalog.=) $2"
		   " FOR NO KEY UPDATE",
	.nargs = 2,
	.argtypes = { INT8OID, BOOKING_USER_ID },
};

static BookingPlan add_user_plan = {
	.sql = "INSERT INTO booking.user_limit (event_id, user_id) VALUES ($1, $2)"
		   " ON CONFLICT DO NOTHING",
	.nargs = 2,
	.argtypes = { INT8OID, BOOKING_USER_ID },
};

/* What the user has, and whether some of the holds had expired by then. */
static BookingPlan count_plan = {
	.sql = "SELECT (SELECT pg_catalog.count(*) FROM booking.ticket"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND user_id OPERATOR(pg_catalog.=) $2"
		   " AND cancelled_at IS NULL),"
		   " pg_catalog.sum(quantity) FILTER (WHERE expires_at OPERATOR(pg_catalog.>) $3),"
		   " pg_catalog.bool_or(expires_at OPERATOR(pg_catalog.<=) $3)"
		   " FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND user_id OPERATOR(pg_catalog.=) $2"
		   " AND ended_at IS NULL",
	.nargs = 3,
	.argtypes = { INT8OID, BOOKING_USER_ID, TIMESTAMPTZOID },
};

static BookingPlan lock_expired_plan = {
	.sql = "SELECT 1 FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1"
		   " AND user_id OPERATOR(pg_catalog.=) ANY ($2)"
		   " AND ended_at IS NULL AND expires_at OPERATOR(pg_catalog.<=) $3"
		   " ORDER BY expires_at, hold_id FOR NO KEY UPDATE",
	.nargs = 3,
	.argtypes = { INT8OID, BOOKING_USER_ID_ARRAY, TIMESTAMPTZOID },
};

static BookingPlan add_users_plan = {
	.sql = "INSERT INTO booking.user_limit (event_id, user_id)"
		   " SELECT DISTINCT $1, u FROM pg_catalog.unnest($2) AS u ORDER BY u"
		   " ON CONFLICT DO NOTHING",
	.nargs = 2,
	.argtypes = { INT8OID, BOOKING_USER_ID_ARRAY },
};

static BookingPlan count_users_plan = {
	.sql = "SELECT pg_catalog.count(DISTINCT u) FROM pg_catalog.unnest($1) AS u",
	.nargs = 1,
	.argtypes = { BOOKING_USER_ID_ARRAY },
};

static BookingPlan lock_users_plan = {
	.sql = "SELECT 1 FROM booking.user_limit"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1"
		   " AND user_id OPERATOR(pg_catalog.=) ANY ($2)"
		   " ORDER BY user_id FOR NO KEY UPDATE",
	.nargs = 2,
	.argtypes = { INT8OID, BOOKING_USER_ID_ARRAY },
};

/* For each in the array's order: within the limit, if all before it are? */
static BookingPlan judge_plan = {
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
	.argtypes = { INT8OID, BOOKING_USER_ID_ARRAY, TIMESTAMPTZOID },
};

/* Is the event on sale now, or does the claim not ask for that? */
bool
claim_on_sale(const Claim *claim, const SaleRules *rules)
{
	TimestampTz now;

	if (!claim->in_window ||
		(TIMESTAMP_IS_NOBEGIN(rules->sales_start) &&
		 TIMESTAMP_IS_NOEND(rules->sales_end)))
		return true;
	now = GetCurrentTimestamp();
	return rules->sales_start <= now && now < rules->sales_end;
}

/*
 * May the claim have so many places, as far as the conditions say?  TAKE_DONE:
 * yes; TAKE_NOT_ON_SALE, TAKE_USER_LIMIT; TAKE_COUNT_FIRST: claim_count() has
 * not been called, and has to be, before any stripe is locked.
 */
TakeResult
claim_judge(Claim *claim, const SaleRules *rules, int32 quantity)
{
	claim->rules = *rules;
	if (!claim_on_sale(claim, rules))
		return TAKE_NOT_ON_SALE;
	if (!claim->within_limit || rules->max_per_user == 0)
		return TAKE_DONE;
	if (!claim->counted)
		return TAKE_COUNT_FIRST;
	if (claim->owned + (claim->written ? 0 : quantity) > rules->max_per_user)
		return TAKE_USER_LIMIT;
	return TAKE_DONE;
}

/*
 * Locks the user at the event until the end of the transaction, after waiting
 * for who has it locked.  40001 as the isolation level demands.
 */
void
claim_lock_user(BookingCall *call, int64 event_id, Datum user_id)
{
	Datum		values[2];
	int			attempts = 0;

	values[0] = Int64GetDatum(event_id);
	values[1] = user_id;
	booking_connect_for_all_rows(call);
	while (booking_execute(&lock_user_plan, values, false) == 0 &&
		   booking_execute(&add_user_plan, values, false) == 0)
		booking_check_attempts("user_limit", &attempts);
	booking_finish(call);
}

/* Locks the expired holds, and wants that undone. */
static bool
lock_expired(BookingCall *call, void *arg)
{
	booking_connect_for_all_rows(call);
	(void) booking_execute_latest(&lock_expired_plan, (Datum *) arg, 0);
	booking_finish(call);
	return false;
}

/*
 * Waits for whoever has one of the users' holds locked that had expired by now;
 * user_ids is an array.  The locks are given up again: they are no longer
 * needed, and would be out of order.
 */
static void
wait_for_expired(BookingCall *call, int64 event_id, ArrayType *user_ids,
				 TimestampTz now)
{
	Datum		values[3];

	values[0] = Int64GetDatum(event_id);
	values[1] = PointerGetDatum(user_ids);
	values[2] = TimestampTzGetDatum(now);
	(void) booking_run_subtransaction(call, lock_expired, values);
}

/*
 * Counts the places that the user has at the event by the newest snapshot,
 * without holds that had expired by now; returns whether there are such.
 */
static bool
count_places(BookingCall *call, int64 event_id, Claim *claim, TimestampTz now)
{
	Datum		values[3];
	bool		some_expired;
	bool		isnull;

	values[0] = Int64GetDatum(event_id);
	values[1] = claim->user_id;
	values[2] = TimestampTzGetDatum(now);
	booking_connect_for_all_rows(call);
	(void) booking_execute_latest(&count_plan, values, 0);
	claim->owned = DatumGetInt64(booking_result(0, 1, INT8OID, &isnull));
	claim->owned += DatumGetInt64(booking_result(0, 2, INT8OID, &isnull));
	some_expired = DatumGetBool(booking_result(0, 3, BOOLOID, &isnull));
	booking_finish(call);
	return some_expired;
}

/* Locks the user at the event and counts the places that it has there. */
void
claim_count(BookingCall *call, int64 event_id, Claim *claim)
{
	TimestampTz now;

	claim_lock_user(call, event_id, claim->user_id);
	now = GetCurrentTimestamp();
	if (count_places(call, event_id, claim, now))
	{
		wait_for_expired(call, event_id,
						 user_id_array(call, &claim->user_id, 1),
						 now);
		(void) count_places(call, event_id, claim, now);
	}
	claim->counted = true;
}

/*
 * The same for many users, in the order of their ids.  Again until all are
 * locked: purge() may delete the row of one that was not.  (That is then locked
 * out of order, and may meet another batch: 40P01.)
 */
static void
lock_users(BookingCall *call, int64 event_id, ArrayType *user_ids)
{
	Datum		values[2];
	uint64		users;
	bool		isnull;
	int			attempts = 0;

	values[0] = Int64GetDatum(event_id);
	values[1] = PointerGetDatum(user_ids);
	booking_connect_for_all_rows(call);
	(void) booking_execute(&count_users_plan, &values[1], true);
	users = (uint64) DatumGetInt64(booking_result(0, 1, INT8OID, &isnull));
	do
	{
		booking_check_attempts("user_limit", &attempts);
		(void) booking_execute(&add_users_plan, values, false);
	} while (booking_execute(&lock_users_plan, values, false) < users);
	booking_finish(call);
}

/*
 * Locks many users at the event, each of whom asks for a place, and says which
 * of them would be over its limit, if those before them get theirs: over_limit
 * is false throughout at first.  Returns the limit, 0 where it has been lifted
 * meanwhile.
 */
int32
claim_judge_users(BookingCall *call, int64 event_id, Datum *user_ids, int count,
				  bool *over_limit)
{
	ArrayType  *users = user_id_array(call, user_ids, count);
	TimestampTz now;
	Datum		values[3];
	uint64		rows;
	int32		limit = 0;
	bool		isnull = false;

	lock_users(call, event_id, users);
	now = GetCurrentTimestamp();
	wait_for_expired(call, event_id, users, now);

	values[0] = Int64GetDatum(event_id);
	values[1] = PointerGetDatum(users);
	values[2] = TimestampTzGetDatum(now);
	booking_connect_for_all_rows(call);
	rows = booking_execute_latest(&judge_plan, values, 0);
	if (rows != 0 && rows != (uint64) count)
		booking_error_shape("booking.event has several rows of one event.",
							"Remove the rows that child tables or a load without triggers have brought.");
	for (uint64 i = 0; i < rows; i++)
	{
		bool within = DatumGetBool(booking_result(i, 1, BOOLOID, &isnull));

		/* null: the limit has been lifted */
		over_limit[i] = !within && !isnull;
		limit = DatumGetInt32(booking_result(i, 2, INT4OID, &isnull));
	}
	booking_finish(call);
	return isnull ? 0 : limit;
}
