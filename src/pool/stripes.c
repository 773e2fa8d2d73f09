/*-------------------------------------------------------------------------
 *
 * stripes.c
 *	  All stripes of a pool: choose one to change, split one, lock the first.
 *
 * README.md in this folder tells the protocol.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pool/remembered.h"
#include "pool/stripes.h"
#include "server/compat.h"
#include "server/errors.h"
#include "server/fault.h"

/* Reads all stripes with the snapshot, registers it and returns it. */
static Snapshot
read_with(Pool *pool, const PoolKey *key, Snapshot snapshot, StripeSet *set)
{
	snapshot = RegisterSnapshot(snapshot);
	stripe_read_all(pool, key, snapshot, set);
	return snapshot;
}

/*
 * Reads all stripes with a snapshot that is as new as the isolation level
 * allows.  The caller unregisters the snapshot when it no longer needs the
 * TIDs.
 */
Snapshot
stripes_read(Pool *pool, const PoolKey *key, StripeSet *set)
{
	return read_with(pool, key, GetTransactionSnapshot(), set);
}

/* The same with the newest snapshot, whatever the isolation level. */
Snapshot
stripes_read_newest(Pool *pool, const PoolKey *key, StripeSet *set)
{
	return read_with(pool, key, GetLatestSnapshot(), set);
}

/*
 * Changes one of the stripes that are free.  It begins with one that, as a
 * rule, other sessions don't begin with.  The holders of those that it tried
 * are noted in the set.
 */
static bool
change_free(Pool *pool, const PoolKey *key, StripeSet *set, int64 delta)
{
	int			first = compat_session_number() % set->count;

	for (int i = 0; i < set->count; i++)
	{
		Stripe	   *stripe = &set->stripe[(first + i) % set->count];

		if (stripe->available + delta >= 0 &&
			stripe_add(pool, key, stripe, delta, false) == STRIPE_CHANGED)
		{
			remembered_note(pool, key, stripe);
			return true;
		}
	}
	return false;
}

/* Returns how many holders of stripes are younger transactions than this. */
static int
younger_holders(const StripeSet *set, TransactionId holder)
{
	int			younger = 0;

	for (int i = 0; i < set->count; i++)
	{
		if (TransactionIdIsValid(set->stripe[i].holder) &&
			TransactionIdFollows(set->stripe[i].holder, holder))
			younger++;
	}
	return younger;
}

/*
 * Returns the stripe to wait for when all that could be changed are locked, or
 * NULL.  Its holder is in the younger half of the holders, so that a session
 * which has left its transaction open does not stop all others.
 */
static Stripe *
choose_locked(StripeSet *set, int64 delta)
{
	int			first = compat_session_number() % set->count;
	int			locked = 0;

	for (int i = 0; i < set->count; i++)
		locked += TransactionIdIsValid(set->stripe[i].holder);
	for (int i = 0; i < set->count; i++)
	{
		Stripe	   *stripe = &set->stripe[(first + i) % set->count];

		if (stripe->available + delta >= 0 &&
			TransactionIdIsValid(stripe->holder) &&
			younger_holders(set, stripe->holder) < (locked + 1) / 2)
			return stripe;
	}
	return NULL;
}

/*
 * Adds delta places, which may be negative, to one of the stripes that has
 * enough: to one that is free, otherwise to one that is locked, after a wait.
 * Returns false if nothing was changed: read the stripes again.  *waited is
 * set if no stripe could be changed without a wait.
 *
 * This is the usual place where a booking waits, and where lock_timeout
 * (55P03), a cancelled statement (57014) and a deadlock (40P01) are raised.
 * A booking may also wait for stripe 0 (stripes_lock_first), for the stripes
 * that it gathers from, for expired holds, the user's lock, or the key.
 */
bool
stripes_change_any(Pool *pool, const PoolKey *key, StripeSet *set, int64 delta,
				   bool *waited)
{
	Stripe	   *stripe;

	if (change_free(pool, key, set, delta))
		return true;
	*waited = true;
	stripe = choose_locked(set, delta);
	if (stripe == NULL ||
		stripe_add(pool, key, stripe, delta, true) != STRIPE_CHANGED)
		return false;
	remembered_note(pool, key, stripe);
	return true;
}

/* Returns how many of the lowest bits distinguish the number from others. */
static int
bits_needed(const StripeSet *set, int32 number)
{
	int			bits = 0;

	for (int i = 0; i < set->count; i++)
	{
		uint32		difference = (uint32) (set->stripe[i].number ^ number);

		while (difference != 0 && (difference & ((1U << bits) - 1)) == 0)
			bits++;
	}
	return bits;
}

/* Returns the stripe of the set with that TID, or NULL. */
static Stripe *
find_by_tid(StripeSet *set, ItemPointer tid)
{
	for (int i = 0; i < set->count; i++)
	{
		if (ItemPointerEquals(&set->stripe[i].tid, tid))
			return &set->stripe[i];
	}
	return NULL;
}

/*
 * Splits the stripe that this transaction has just changed, and therefore
 * remembers, into two halves.  Does nothing if it has fewer than two places,
 * if its number has no free bit left, or above READ COMMITTED.
 *
 * The set is read again, because the proof that two splits never make the same
 * number needs a snapshot that was taken while the stripe was locked
 * (README.md, Numbers).
 */
void
stripes_split(Pool *pool, const PoolKey *key)
{
	Remembered *entry = remembered_find(pool, key);
	ItemPointerData tid;
	Stripe	   *mine;
	StripeSet	set;
	int			bits;

	if (entry == NULL || IsolationUsesXactSnapshot())
		return;
	tid = entry->tid;
	UnregisterSnapshot(stripes_read(pool, key, &set));
	mine = find_by_tid(&set, &tid);
	if (mine == NULL || mine->available < 2)
		return;
	bits = bits_needed(&set, mine->number);
	if (bits < STRIPE_MAX_BITS)
	{
		int32		number = mine->number ^ (1 << bits);
		int32		half = mine->available / 2;

		if (stripe_add(pool, key, mine, -half, true) != STRIPE_CHANGED)
			/* can't happen: no other transaction can write it */
			elog(ERROR, "stripe that this transaction has locked was changed");
		fault_point("split: halved");
		stripe_insert(pool, key, number, half, &mine->terms);
		fault_point("split: done");
		remembered_note(pool, key, mine);
	}
}

/*
 * The transaction's snapshot shows no stripe of the pool.  Raises 40001 if the
 * pool is there now.
 */
void
stripes_check_absence(Pool *pool, const PoolKey *key)
{
	StripeSet	newest;

	if (!IsolationUsesXactSnapshot())
		return;
	UnregisterSnapshot(stripes_read_newest(pool, key, &newest));
	if (newest.count > 0)
		error_conflict();
}

/*
 * Locks stripe 0 until the end of the transaction and adds delta places to it;
 * *terms are those of the pool, which nothing can change then.  A call that
 * needs several stripes does this first.  Returns false if the pool is not
 * there.
 */
bool
stripes_lock_first(Pool *pool, const PoolKey *key, int64 delta,
				   PoolTerms *terms)
{
	for (;;)
	{
		StripeSet	set;
		Snapshot	snapshot = stripes_read(pool, key, &set);
		StripeResult result;

		CHECK_FOR_INTERRUPTS();
		if (set.count == 0)
		{
			UnregisterSnapshot(snapshot);
			stripes_check_absence(pool, key);
			return false;
		}
		if (set.stripe[0].number != 0)
			error_unusable(
				psprintf("pool %s of table \"%s\" has lost its stripe 0",
						 key_describe(&pool->shape->key, pool->rel, key),
						 RelationGetRelationName(pool->rel)),
				pool->shape->layout->repair_hint);
		result = stripe_add(pool, key, &set.stripe[0], delta, true);
		UnregisterSnapshot(snapshot);
		if (result == STRIPE_CHANGED)
		{
			remembered_note(pool, key, &set.stripe[0]);
			*terms = set.stripe[0].terms;
			return true;
		}
	}
}
