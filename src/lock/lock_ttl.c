/*-------------------------------------------------------------------------
 *
 * lock_ttl.c
 *	  How long a named lock lasts.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "lock/lock_ttl.h"
#include "server/compat.h"
#include "server/interval.h"

/* The shortest ttl, in microseconds, and the longest. */
#define SHORTEST 1000
#define LONGEST_YEARS 100

/*
 * Fields beyond these are refused before anything is added, which could raise
 * 22008.  An infinite interval has the largest fields.
 */
#define MAX_MONTHS (10 * LONGEST_YEARS * MONTHS_PER_YEAR)
#define MAX_DAYS (10 * LONGEST_YEARS * 366)
#define MAX_TIME (MAX_DAYS * USECS_PER_DAY)

/* True if no field of the interval is too large to be added to a time. */
static bool
can_be_added(const Interval *ttl)
{
	return ttl->month >= -MAX_MONTHS && ttl->month <= MAX_MONTHS &&
		ttl->day >= -MAX_DAYS && ttl->day <= MAX_DAYS &&
		ttl->time >= -MAX_TIME && ttl->time <= MAX_TIME;
}

/*
 * Returns when a lock expires that is acquired or renewed now.  Raises 22023
 * unless ttl is between 1 millisecond and 100 years.
 *
 * The times count, not the intervals: a month is compared as 30 days, but added
 * by the calendar (see hold/ttl.c).
 */
TimestampTz
lock_ttl_expiry(TimestampTz now, Interval *ttl)
{
	const Interval longest = {.month = LONGEST_YEARS * MONTHS_PER_YEAR};

	if (can_be_added(ttl))
	{
		TimestampTz expires_at = interval_after(now, ttl);

		if (expires_at >= now + SHORTEST &&
			expires_at <= interval_after(now, &longest))
			return expires_at;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("ttl is out of range"),
			 errdetail("It must be between 1 millisecond and 100 years, and is %s.",
					   interval_text(ttl))));
}
