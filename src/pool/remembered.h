/*-------------------------------------------------------------------------
 *
 * remembered.h
 *	  The version of a stripe that this session wrote last, as a hint.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef REMEMBERED_H
#define REMEMBERED_H

#include "datatype/timestamp.h"

#include "pool/stripe.h"

typedef struct Remembered
{
	Oid			relid;			/* InvalidOid: nothing is remembered here */
	PoolKey		key;
	MemoryContext context;		/* of values of the key, or NULL */
	ItemPointerData tid;
	Buffer		seen_in;		/* a hint: where its page was */
	TransactionId xmin;			/* who wrote the version */
	PoolTerms	terms;			/* in the version */

	/*
	 * Until this time, and while this version is the newest, the pool has no
	 * places except those in it.  DT_NOBEGIN: nothing is known.
	 */
	TimestampTz only_until;
} Remembered;

extern void remembered_init(void);
extern Remembered *remembered_find(const Pool *pool, const PoolKey *key);
extern void remembered_note(const Pool *pool, const PoolKey *key,
							const Stripe *stripe);
extern void remembered_note_only(const Pool *pool, const PoolKey *key,
								 const Stripe *stripe, TimestampTz until);
extern void remembered_note_reclaim(const Pool *pool, const PoolKey *key);
extern void remembered_forget_all(void);

#endif							/* REMEMBERED_H */
