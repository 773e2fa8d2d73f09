/*-------------------------------------------------------------------------
 *
 * ttl.c
 *	  How long a hold lasts.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "hold/ttl.h"
#include "server/compat.h"
#include "server/interval.h"

/* Returns -1, 0 or 1 if a is shorter than, as long as, or longer than b. */
static int
compare_intervals(Interval *a, Interval *b)
{
	return DatumGetInt32(DirectFunctionCall2(interval_cmp,
											 IntervalPGetDatum(a),
											 IntervalPGetDatum(b)));
}

/* Raises 22023: the time that a hold is to last is out of range. */
pg_noreturn static void
error_ttl(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("ttl is out of range"),
			 errdetail_internal("%s", detail)));
}

/*
 * Returns when a hold expires that is made now.  Raises 22023 unless ttl is
 * positive and not longer than max_ttl.
 *
 * Intervals are compared as if a month had 30 days, and added by the calendar.
 * So a ttl of months less days can be longer than it compares.  Therefore the
 * times count; the intervals are compared first because adding a large one
 * raises 22008.
 */
TimestampTz
ttl_expiry(Interval *ttl, Interval *max_ttl)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz expires_at = now;
	bool		longer = compare_intervals(ttl, max_ttl) > 0;

	if (!longer)
	{
		expires_at = interval_after(now, ttl);
		longer = expires_at > interval_after(now, max_ttl);
	}
	if (longer)
		error_ttl(psprintf("It is %s; the event's max_hold_ttl is %s.",
						   interval_text(ttl), interval_text(max_ttl)));
	if (expires_at <= now)
		error_ttl(psprintf("It must be positive, and is %s.",
						   interval_text(ttl)));
	return expires_at;
}

/*
 * Raises 22023 if a hold that was created then expires later than max_ttl
 * allows.  A time of creation that is still to come does not count.
 */
void
ttl_check_latest(TimestampTz created_at, TimestampTz expires_at,
				 Interval *max_ttl)
{
	TimestampTz latest =
		interval_after(Min(created_at, GetCurrentTimestamp()), max_ttl);

	if (expires_at > latest)
		error_ttl(psprintf("By the event's max_hold_ttl of %s the hold ends at %s at the latest.",
						   interval_text(max_ttl),
						   timestamptz_to_str(latest)));
}
