/*-------------------------------------------------------------------------
 *
 * stripes.h
 *	  All stripes of a pool: choose one to change, split one, lock the first.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef STRIPES_H
#define STRIPES_H

#include "pool/stripe.h"

extern Snapshot stripes_read(Pool *pool, const PoolKey *key, StripeSet *set);
extern Snapshot stripes_read_newest(Pool *pool, const PoolKey *key,
									StripeSet *set);
extern bool stripes_change_any(Pool *pool, const PoolKey *key, StripeSet *set,
							   int64 delta, bool *waited);
extern void stripes_split(Pool *pool, const PoolKey *key);
extern void stripes_check_absence(Pool *pool, const PoolKey *key);
extern bool stripes_lock_first(Pool *pool, const PoolKey *key, int64 delta,
							   PoolTerms *terms);

#endif							/* STRIPES_H */
