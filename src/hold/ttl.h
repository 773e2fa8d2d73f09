/*-------------------------------------------------------------------------
 *
 * ttl.h
 *	  How long a hold lasts.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef TTL_H
#define TTL_H

#include "datatype/timestamp.h"

extern TimestampTz ttl_expiry(Interval *ttl, Interval *max_ttl);
extern void ttl_check_latest(TimestampTz created_at, TimestampTz expires_at,
							 Interval *max_ttl);

#endif							/* TTL_H */
