/*-------------------------------------------------------------------------
 *
 * pending.h
 *	  What the rows of a statement take and give, until its end.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PENDING_H
#define PENDING_H

#include "constraint/definition.h"

/* What the rows of one key take and give. */
typedef struct PendingKey
{
	PoolKey		key;
	uint32		hash;
	int64		taken;			/* places */
	int64		given;
	bool		touch;			/* a row may be the next to expire */
	Oid lowered; /* table whose capacity became less, or invalid */
	AttrNumber	lowered_column;
	struct PendingKey *next;	/* of a list */
} PendingKey;

/* What the rows of one statement and one constraint take and give. */
typedef struct PendingBatch
{
	Oid			pool;			/* the pool table */
	int			depth;			/* of triggers */
	int			nest_level;		/* of subtransactions */
	MemoryContext context;		/* of the batch */
	int			count;
	PendingKey *first;			/* the keys, if they are few */
	struct HTAB *keys;			/* if they are many; else NULL */
	struct PendingBatch *outer;
} PendingBatch;

extern void pending_init(void);
extern PendingKey *pending_key(const TriggerColumns *columns,
							   const PoolKey *key);
extern bool pending_takes(const Pool *pool, const PoolKey *key);
extern PendingBatch *pending_end(void);
extern void pending_free(PendingBatch *batch);
extern PendingKey **pending_sort(const PendingBatch *batch,
								 const KeyColumns *columns, int *count);

#endif							/* PENDING_H */
