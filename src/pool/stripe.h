/*-------------------------------------------------------------------------
 *
 * stripe.h
 *	  One stripe of a pool: find it, read its newest version, write it.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef STRIPE_H
#define STRIPE_H

#include "pool/shape.h"
#include "server/call.h"
#include "server/rowversion.h"

/*
 * A pool has at most this many stripes.  With that many, each session of a
 * large server finds one of its own, and all of them fit on a few pages.
 */
#define STRIPE_MAX_NUMBER 256
#define STRIPE_MAX_BITS 8

/*
 * The terms of a pool: values that all of its stripes carry, so that the row
 * that is locked to take a place also says on what terms it is taken.  The
 * pool layer compares terms, and does not know what they mean.
 */
typedef struct PoolTerms
{
	Datum		value[SHAPE_MAX_TERMS]; /* passed by value */
	bool		isnull[SHAPE_MAX_TERMS];
} PoolTerms;

/* An open table of stripes, for one call. */
typedef struct Pool
{
	Call	   *call;
	Relation	rel;
	const PoolShape *shape;
	const struct PoolPolicy *policy;	/* pool.h */
	void	   *context;		/* for the callbacks of the policy */
} Pool;

/* A stripe as it was read. */
typedef struct Stripe
{
	ItemPointerData tid;
	TransactionId xmin;			/* who wrote this version */
	Buffer		seen_in;		/* a hint: where its page was; or invalid */
	int32		number;
	int32		available;		/* places */
	TransactionId holder;		/* who was seen to have it locked, if any */
	PoolTerms	terms;
} Stripe;

/* All stripes of a pool, ascending by number. */
typedef struct StripeSet
{
	int			count;
	int64		total;			/* places in all stripes */
	Stripe		stripe[STRIPE_MAX_NUMBER];
} StripeSet;

typedef enum StripeResult
{
	STRIPE_CHANGED,				/* done */
	STRIPE_SHORT,				/* the stripe has too few places */
	STRIPE_BUSY,				/* another transaction has it locked */
	STRIPE_GONE					/* it is not what it was when it was read */
} StripeResult;

extern bool stripe_terms_equal(const Pool *pool, const PoolTerms *a,
							   const PoolTerms *b);
extern void stripe_read_all(Pool *pool, const PoolKey *key, Snapshot snapshot,
							StripeSet *set);
extern bool stripe_pin(Pool *pool, const PoolKey *key, Stripe *stripe,
					   RowVersion *version);
extern void stripe_unpin(RowVersion *version);
extern StripeResult stripe_write(Pool *pool, const PoolKey *key,
								 Stripe *stripe, RowVersion *version,
								 int64 available);
extern StripeResult stripe_add(Pool *pool, const PoolKey *key, Stripe *stripe,
							   int64 delta, bool wait);
extern StripeResult stripe_set_terms(Pool *pool, const PoolKey *key,
									 Stripe *stripe, const PoolTerms *terms);
extern StripeResult stripe_delete(Pool *pool, const PoolKey *key,
								  Stripe *stripe);
extern void stripe_insert(Pool *pool, const PoolKey *key, int32 number,
						  int32 available, const PoolTerms *terms);

#endif							/* STRIPE_H */
