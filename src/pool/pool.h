/*-------------------------------------------------------------------------
 *
 * pool.h
 *	  Pools: a number of places under a key, taken and given back exactly.
 *
 * The protocol is in README.md in this folder.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef POOL_H
#define POOL_H

#include "datatype/timestamp.h"

#include "pool/stripe.h"

/*
 * The places of a key without a limit.  It leaves room above: within one
 * statement places may be given back before they are taken.
 */
#define POOL_UNLIMITED 2000000000
#define POOL_UNLIMITED_SQL "2000000000"

typedef enum PoolResult
{
	POOL_TAKEN,
	POOL_SOLD_OUT,				/* fewer places are left */
	POOL_REFUSED,				/* the policy has refused */
	POOL_MISSING				/* there is no pool with that key */
} PoolResult;

typedef enum PoolVerdict
{
	POOL_ALLOW,
	POOL_REFUSE,
	POOL_PREPARE				/* the policy has to find something out first */
} PoolVerdict;

/*
 * What is asked for, as the policy judges it.  The policy has a struct of its
 * own, of which this is the first member.
 */
typedef struct PoolClaim
{
	PoolTerms	terms;			/* on which the claim was judged */
	int64		left;			/* after POOL_SOLD_OUT: this many places */
} PoolClaim;

/*
 * By these callbacks, any of which may be NULL, the user of a pool decides.
 * None of them may lock a stripe; reclaim and prepare may lock other rows.
 */
typedef struct PoolPolicy
{
	/* True if places are taken on these terms at present, by the clock. */
	bool (*is_open)(PoolClaim *claim, const PoolTerms *terms);

	/* May the claim have that many places on these terms? */
	PoolVerdict (*judge)(PoolClaim *claim, const PoolTerms *terms,
						 int32 quantity);

	/* Finds out what judge() needs.  Is called with no stripe locked. */
	void (*prepare)(Pool *pool, const PoolKey *key, PoolClaim *claim);

	/*
	 * True if places may be prefetched on these terms.  NULL: they may unless
	 * is_open or judge has to be asked for each place.
	 */
	bool (*may_prefetch)(const PoolTerms *terms);

	/*
	 * Returns how many places can be reclaimed, as the snapshot shows.  It may
	 * stop counting when it has found most places.  *next: when more can be
	 * reclaimed, or DT_NOEND; DT_NOBEGIN if a statement is in progress that
	 * changes it.
	 */
	int64 (*reclaimable)(Pool *pool, const PoolKey *key,
						 Snapshot snapshot, int64 most,
						 TimestampTz *next);

	/*
	 * Reclaims at least that many places, or all, and returns how many.  The
	 * pool layer adds them to the pool.  wait: wait for rows that are locked,
	 * otherwise skip them.
	 */
	int64 (*reclaim)(Pool *pool, const PoolKey *key, int64 places,
					 bool wait);
} PoolPolicy;

/* A setting for tests: split a stripe at every booking. */
extern bool pool_debug_split_always;

extern void pool_init(void);
extern void pool_create(Pool *pool, const PoolKey *key, int32 places,
						const PoolTerms *terms);
extern PoolResult pool_take(Pool *pool, const PoolKey *key, int32 quantity,
							PoolClaim *claim);
extern bool pool_give(Pool *pool, const PoolKey *key, int32 quantity);
extern bool pool_set_terms(Pool *pool, const PoolKey *key,
						   const PoolTerms *terms, PoolTerms *old);
extern bool pool_reclaim_all(Pool *pool, const PoolKey *key);
extern bool pool_is_empty(Pool *pool, const PoolKey *key);
extern bool pool_take_anyway(Pool *pool, const PoolKey *key, int64 quantity);
extern bool pool_read(Pool *pool, const PoolKey *key, int64 *places,
					  PoolTerms *terms);
extern bool pool_exists(Pool *pool, const PoolKey *key);
extern bool pool_touch(Pool *pool, const PoolKey *key);
extern bool pool_drop(Pool *pool, const PoolKey *key, int64 *left);
extern void pool_flush(Pool *pool);
extern void pool_flush_all(void);

#endif							/* POOL_H */
