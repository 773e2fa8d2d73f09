/*-------------------------------------------------------------------------
 *
 * lock_ttl.h
 *	  How long a named lock lasts.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef LOCK_TTL_H
#define LOCK_TTL_H

#include "datatype/timestamp.h"

extern TimestampTz lock_ttl_expiry(TimestampTz now, Interval *ttl);

#endif							/* LOCK_TTL_H */
