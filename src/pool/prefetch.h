/*-------------------------------------------------------------------------
 *
 * prefetch.h
 *	  Places that a transaction has taken before it needs them.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PREFETCH_H
#define PREFETCH_H

#include "nodes/pg_list.h"

#include "pool/stripe.h"

/* What this transaction has prefetched of one pool. */
typedef struct Prefetch
{
	const PoolLayout *layout;	/* of its table of stripes */
	Oid			relid;			/* the table */
	KeyColumns	columns;		/* of the key, when the places were taken */
	PoolKey		key;
	struct Prefetch *next;		/* of a key with the same hash */
	int64		booked;			/* by this transaction; undone or not */
	CommandId	lost_before;	/* see prefetch_note_lost() */
	struct PrefetchChange *innermost;
} Prefetch;

extern void prefetch_init(void);
extern int64 prefetch_places(const Pool *pool, const PoolKey *key);
extern bool prefetch_use(const Pool *pool, const PoolKey *key,
						 int32 quantity);
extern int32 prefetch_wish(const Pool *pool, const PoolKey *key,
						   int32 quantity);
extern void prefetch_add(const Pool *pool, const PoolKey *key, int64 places);
extern bool prefetch_keep(const Pool *pool, const PoolKey *key,
						  int32 quantity);
extern int64 prefetch_remove(const Pool *pool, const PoolKey *key);
extern int64 prefetch_take_all(Prefetch *prefetch);
extern bool prefetch_any(void);
extern bool prefetch_was_used(Oid relid);
extern List *prefetch_list(Oid relid);
extern void prefetch_stop(void);
extern void prefetch_note_lost(const Pool *pool, const PoolKey *key,
							   int64 places);
extern bool prefetch_is_lost(const Pool *pool, const PoolKey *key);
extern int64 prefetch_end_lost(const Pool *pool, const PoolKey *key);
extern void prefetch_forget_lost(Oid relid);
extern int64 prefetch_give_lost(const Pool *pool, const PoolKey *key,
								int64 places);
extern int64 prefetch_take_lost(const Pool *pool, const PoolKey *key,
								int64 places, CommandId removed_in);

#endif							/* PREFETCH_H */
