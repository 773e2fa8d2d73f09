/*-------------------------------------------------------------------------
 *
 * interval.c
 *	  Times and intervals.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "server/interval.h"

/* Returns the time plus the interval, by the calendar.  Raises 22008. */
TimestampTz
interval_after(TimestampTz time, const Interval *interval)
{
	return DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(time),
							IntervalPGetDatum(interval)));
}

/* Returns the interval as text. */
char *
interval_text(const Interval *interval)
{
	return DatumGetCString(DirectFunctionCall1(interval_out,
											   IntervalPGetDatum(interval)));
}
