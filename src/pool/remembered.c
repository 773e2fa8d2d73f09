/*-------------------------------------------------------------------------
 *
 * remembered.c
 *	  The version of a stripe that this session wrote last, as a hint.
 *
 * More exactly, it is the version that the session wrote last, or by which it
 * was last told that the pool is sold out.  What is kept is a TID.  The
 * version is read again and, if it is still the newest, written without
 * looking into the index.  This keeps a hot pool fast while an old snapshot
 * prevents pruning.
 *
 * It also makes refusals cheap.  Suppose that stripe 0 was the only one of its
 * pool, had too few places, and nothing could be reclaimed.  This remains true
 * while that version (its TID and its writer) is the newest: a transaction
 * that adds a place to the pool, or prefetches one, writes stripe 0.  It ends
 * when something becomes reclaimable by time, which is known.
 *
 * Our own transaction is an exception, because it may be rolled back.  If it
 * has deleted a stripe or changed what can be reclaimed, only_until is not set
 * (seen_by_us_only).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pool/remembered.h"

/*
 * A key's hash chooses its entry; the last of two keys has it.  The other one
 * then costs an index scan.
 */
#define REMEMBERED_ENTRIES 1024

static Remembered remembered[REMEMBERED_ENTRIES];
static bool anything_remembered = false;

/*
 * True if this transaction has deleted a stripe or changed what can be
 * reclaimed.  What it sees is then not what others see, and not what it would
 * see after a rollback.
 */
static bool seen_by_us_only = false;

/* Returns the entry for the key, which another key may occupy. */
static Remembered *
entry_of(const Pool *pool, const PoolKey *key)
{
	uint32		hash = key_hash(&pool->shape->key, key) + pool->shape->relid;

	return &remembered[hash % REMEMBERED_ENTRIES];
}

/* True if the entry is the key's. */
static bool
is_entry_of(const Remembered *entry, const Pool *pool, const PoolKey *key)
{
	return entry->relid == pool->shape->relid &&
		key_equal(&pool->shape->key, &entry->key, key);
}

/*
 * Empties an entry.  The values of its key are freed later: they may be in use
 * by the comparison during which an invalidation message has come.
 */
static void
forget(Remembered *entry)
{
	entry->relid = InvalidOid;
}

/* Makes the entry the key's. */
static void
occupy(Remembered *entry, const Pool *pool, const PoolKey *key)
{
	const KeyColumns *columns = &pool->shape->key;
	bool		by_value = true;

	forget(entry);
	if (entry->context != NULL)
		MemoryContextDelete(entry->context);
	entry->context = NULL;
	for (int i = 0; i < columns->count; i++)
		by_value = by_value && columns->column[i].typbyval;
	if (by_value)
		entry->key = *key;
	else
	{
		/* PostgreSQL's sizes are products of int that become Size. */
		/* NOLINTNEXTLINE(bugprone-implicit-widening-*) */
		entry->context = AllocSetContextCreate(CacheMemoryContext,
											   "pg_booking remembered key",
											   ALLOCSET_SMALL_SIZES);
		key_copy(columns, key, entry->context, &entry->key);
	}
	entry->relid = pool->shape->relid;
	anything_remembered = true;
}

/* Returns what is remembered of the key's pool, or NULL. */
Remembered *
remembered_find(const Pool *pool, const PoolKey *key)
{
	Remembered *entry = entry_of(pool, key);

	return is_entry_of(entry, pool, key) ? entry : NULL;
}

/*
 * Remembers a stripe of the pool, and that until the time given the pool has
 * no places except those in it.
 */
void
remembered_note_only(const Pool *pool, const PoolKey *key,
					 const Stripe *stripe, TimestampTz until)
{
	Remembered *entry = entry_of(pool, key);

	if (!is_entry_of(entry, pool, key))
		occupy(entry, pool, key);
	entry->tid = stripe->tid;
	entry->seen_in = stripe->seen_in;
	entry->xmin = stripe->xmin;
	entry->terms = stripe->terms;
	entry->deficit = stripe->available < 0;
	entry->only_until = seen_by_us_only ? DT_NOBEGIN : until;
}

/*
 * Remembers a stripe that this transaction has written, or forgets it if the
 * stripe was deleted (its TID is invalid).
 */
void
remembered_note(const Pool *pool, const PoolKey *key, const Stripe *stripe)
{
	if (ItemPointerIsValid(&stripe->tid))
		remembered_note_only(pool, key, stripe, DT_NOBEGIN);
	else
	{
		Remembered *entry = entry_of(pool, key);

		if (is_entry_of(entry, pool, key))
			forget(entry);
		seen_by_us_only = true;
	}
}

/* This transaction has changed what can be reclaimed for the pool. */
void
remembered_note_reclaim(const Pool *pool, const PoolKey *key)
{
	Remembered *entry = remembered_find(pool, key);

	if (entry != NULL)
		entry->only_until = DT_NOBEGIN;
	seen_by_us_only = true;
}

/* Forgets the pools of a table that was altered, rewritten or dropped. */
static void
forget_relation(Datum arg, Oid relid)
{
	if (!anything_remembered)
		return;
	if (!OidIsValid(relid))
		anything_remembered = false;
	for (int i = 0; i < REMEMBERED_ENTRIES; i++)
	{
		if (!OidIsValid(relid) || relid == remembered[i].relid)
			forget(&remembered[i]);
	}
}

/* Forgets everything. */
void
remembered_forget_all(void)
{
	forget_relation((Datum) 0, InvalidOid);
}

/* After the transaction others see what it has done, or it is undone. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
		seen_by_us_only = false;
}

/* Registers the callbacks; once a session. */
void
remembered_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
}
