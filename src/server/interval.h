/*-------------------------------------------------------------------------
 *
 * interval.h
 *	  Times and intervals.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef INTERVAL_H
#define INTERVAL_H

#include "datatype/timestamp.h"

extern TimestampTz interval_after(TimestampTz time, const Interval *interval);
extern char *interval_text(const Interval *interval);

#endif							/* INTERVAL_H */
