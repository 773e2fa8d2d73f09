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
 * An event without a limit has no such rows.
 *
 * A hold that has expired no longer counts, swept or not; unless somebody has
 * it locked, who may have confirmed it before it expired.  It can't be
 * confirmed later without the lock on the user.
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

static BookingPlan lock_user_plan = {
	"SELECT 1 FROM booking.user_limit"
	" WHERE event_id OPERATOR(pg_catalog.=) $1 AND user_id OPERATOR(pg_catalog.=) $2"
	" FOR NO KEY UPDATE",
	2,
	{ INT8OID, BOOKING_USER_ID },
	NULL,
	InvalidOid
};

static BookingPlan add_user_plan = {
	"INSERT INTO booking.user_limit (event_id, user_id) VALUES ($1, $2)"
	" ON CONFLICT DO NOTHING",
	2,
	{ INT8OID, BOOKING_USER_ID },
	NULL,
	InvalidOid
};

static BookingPlan count_plan = {
	"SELECT (SELECT pg_catalog.count(*) FROM booking.ticket"
	" WHERE event_id OPERATOR(pg_catalog.=) $1 AND user_id OPERATOR(pg_catalog.=) $2"
	" AND cancelled_at IS NULL),"
	" pg_catalog.sum(quantity),"
	" pg_catalog.min(expires_at) OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()"
	" FROM booking.hold"
	" WHERE event_id OPERATOR(pg_catalog.=) $1 AND user_id OPERATOR(pg_catalog.=) $2"
	" AND ended_at IS NULL",
	2,
	{ INT8OID, BOOKING_USER_ID },
	NULL,
	InvalidOid
};

static BookingPlan expired_plan = {
	"SELECT quantity FROM booking.hold"
	" WHERE event_id OPERATOR(pg_catalog.=) $1 AND user_id OPERATOR(pg_catalog.=) $2"
	" AND ended_at IS NULL"
	" AND expires_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()"
	" FOR NO KEY UPDATE SKIP LOCKED",
	2,
	{ INT8OID, BOOKING_USER_ID },
	NULL,
	InvalidOid
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

	values[0] = Int64GetDatum(event_id);
	values[1] = user_id;
	booking_connect_for_all_rows(call);
	while (booking_execute(&lock_user_plan, values, false) == 0 &&
		   booking_execute(&add_user_plan, values, false) == 0)
		CHECK_FOR_INTERRUPTS();
	booking_finish(call);
}

/* Whose expired holds are counted, and the places in them. */
typedef struct ExpiredCount
{
	Datum	   *values;
	int64		places;
} ExpiredCount;

/*
 * Counts the places in expired holds of the user that nobody has locked.  The
 * locks that asking takes are given up again: they are no longer needed, and
 * would be out of order.
 */
static bool
count_expired(BookingCall *call, void *arg)
{
	ExpiredCount *count = arg;
	uint64		rows;

	booking_connect_for_all_rows(call);
	rows = booking_execute(&expired_plan, count->values, false);
	for (uint64 i = 0; i < rows; i++)
	{
		bool		isnull;

		count->places += DatumGetInt32(booking_result(i, 1, &isnull));
	}
	booking_finish(call);
	return false;
}

/* Locks the user at the event and counts the places that it has there. */
void
claim_count(BookingCall *call, int64 event_id, Claim *claim)
{
	Datum		values[2];
	bool		isnull;
	bool		no_hold;
	bool		some_expired;

	values[0] = Int64GetDatum(event_id);
	values[1] = claim->user_id;
	claim_lock_user(call, event_id, claim->user_id);
	booking_connect_for_all_rows(call);
	(void) booking_execute_latest(&count_plan, values, 0);
	claim->owned = DatumGetInt64(booking_result(0, 1, &isnull));
	claim->owned += DatumGetInt64(booking_result(0, 2, &no_hold));
	some_expired = DatumGetBool(booking_result(0, 3, &isnull)) && !isnull;
	booking_finish(call);
	if (some_expired)
	{
		ExpiredCount count = { values, 0 };

		(void) booking_run_subtransaction(call, count_expired, &count);
		claim->owned -= count.places;
	}
	claim->counted = true;
}
