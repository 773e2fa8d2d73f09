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

#include "commands/trigger.h"

#include "pool/stripe.h"

/*
 * What the rows of one key take and give.  The user of a pool may have a struct
 * of its own, of which this is the first member.
 */
typedef struct PendingKey
{
	PoolKey		key;
	uint32		hash;
	int64		taken;			/* places */
	int64		given;
	bool		touch;			/* a row may be the next to expire */
	struct PendingKey *next;	/* of a list */
} PendingKey;

/*
 * In this order the batches of a statement are settled, so that statements and
 * functions lock pools in the same order: functions take places of an event
 * before they write its ticket.
 */
typedef enum PendingRank
{
	PENDING_INVENTORY,
	PENDING_EXPIRING,			/* reclaims rows that give places elsewhere */
	PENDING_OTHER
} PendingRank;

/* What the rows of one statement take and give of the pools of one table. */
typedef struct PendingBatch
{
	Oid			pool;			/* the pool table */
	void (*settle)(struct PendingBatch *batch);
	PendingRank rank;
	bool		is_inner;		/* left by a statement of a trigger */
	bool		is_given;		/* it only changes what an outer one gives */
	int			depth;			/* of triggers */
	int			nest_level;		/* of subtransactions */
	MemoryContext context;		/* of the batch */
	int			count;
	PendingKey *first;			/* the keys, if they are few */
	struct HTAB *keys;			/* if they are many; else NULL */
	struct PendingBatch *outer;
	struct PendingBatch *same;	/* pool table, if they are settled */
} PendingBatch;

extern void pending_init(void);
extern PendingBatch *pending_batch(Oid pool);
extern PendingBatch *pending_begin(Relation pool, const Trigger *trigger,
								   PendingRank rank,
								   void (*settle)(PendingBatch *batch));
extern PendingKey *pending_key(PendingBatch *batch, const KeyColumns *columns,
							   const PoolKey *key, Size size);
extern bool pending_give_outer(const Pool *pool, const PoolKey *key,
							   int64 places);
extern bool pending_use_given(const Pool *pool, const PoolKey *key,
							  int64 places);
extern void pending_leave_to_outer(void);
extern bool pending_any(Relation pool);
extern void pending_check_none(Relation pool);
extern PendingKey **pending_sort(const PendingBatch *batch,
								 const KeyColumns *columns, int *count);
extern void pending_settle(void);

#endif							/* PENDING_H */
