/*-------------------------------------------------------------------------
 *
 * prefetch.c
 *	  Places that a transaction has taken before it needs them.
 *
 * Suppose that a transaction writes the same stripe again and again.  Each
 * write leaves a version that can't be pruned until the transaction ends, and
 * an entry in the backend's table of combo command ids.  A transaction that
 * books a hundred thousand tickets one by one would drown in both.  Therefore,
 * after it has booked some places of a pool, it takes several times as many
 * with the next write, and uses them without a write.  Other sessions lose
 * nothing: the row is locked until the commit anyway, and the rest goes back
 * just before it.  Places that come back in such a transaction are kept
 * likewise.
 *
 * The count is transactional, as the rows are.  Each pool has a stack of
 * changes, one for each level of subtransactions that made any.  If a level is
 * rolled back its change is dropped, together with the row versions and the
 * tickets that it belongs to.  If it is committed, its change is added to that
 * of its parent.
 *
 * A second count works in the same way.  A statement may drop a pool and
 * remove rows that hold places of it.  If the rows' triggers fire later, their
 * places are "lost": they are gone with the pool.  They must not be given to a
 * new pool that the statement creates under the same key.
 *
 * This file only counts; pool.c takes the places and gives them back.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "pool/prefetch.h"

/* A transaction that books no more places than this never prefetches. */
#define PLACES_BEFORE_PREFETCH 8

/* Places that are prefetched for each one that was booked of the pool. */
#define PREFETCH_FACTOR 4

/* The most places that are prefetched at once. */
#define LARGEST_PREFETCH 4096

/* What a level of subtransactions has changed in one Prefetch. */
typedef struct PrefetchChange
{
	Prefetch   *prefetch;
	int			level;
	int64		places;
	int64		lost;
	struct PrefetchChange *outer;	/* of the same pool, of an outer level */
	struct PrefetchChange *next;	/* of the same level, of another pool */
} PrefetchChange;

/* The changes of one level. */
typedef struct PrefetchLevel
{
	int			level;
	PrefetchChange *changes;
	struct PrefetchLevel *outer;
} PrefetchLevel;

/* An entry of the hash table: the pools of a table whose keys hash alike. */
typedef struct PrefetchBucket
{
	struct
	{
		Oid			relid;
		uint32		hash;
	}			key;			/* must be first */
	Prefetch   *first;
} PrefetchBucket;

/* The state of this transaction.  All memory is in TopTransactionContext. */
static struct
{
	HTAB	   *buckets;		/* NULL: nothing was prefetched or lost yet */
	PrefetchLevel *levels;		/* the innermost */
	int64		booked;			/* places of all pools */
	bool		stopped;		/* it is about to commit */
} state;

/* Returns the bucket for the key.  If it has none, makes one if create. */
static PrefetchBucket *
find_bucket(const Pool *pool, const PoolKey *key, bool create)
{
	PrefetchBucket wanted;
	PrefetchBucket *bucket;
	bool		found;

	if (state.buckets == NULL)
	{
		HASHCTL		ctl = {0};

		if (!create)
			return NULL;
		ctl.keysize = sizeof(wanted.key);
		ctl.entrysize = sizeof(PrefetchBucket);
		ctl.hcxt = TopTransactionContext;
		state.buckets = hash_create("pg_booking prefetches", 16, &ctl,
									HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	wanted.key.relid = pool->shape->relid;
	wanted.key.hash = key_hash(&pool->shape->key, key);
	bucket = hash_search(state.buckets, &wanted.key,
						 create ? HASH_ENTER : HASH_FIND, &found);
	if (create && !found)
		bucket->first = NULL;
	return bucket;
}

/* Returns the pool's Prefetch.  If it has none, makes one if create. */
static Prefetch *
find_prefetch(const Pool *pool, const PoolKey *key, bool create)
{
	PrefetchBucket *bucket = find_bucket(pool, key, create);
	Prefetch   *prefetch;

	if (bucket == NULL)
		return NULL;
	for (prefetch = bucket->first; prefetch; prefetch = prefetch->next)
	{
		if (key_same_columns(&pool->shape->key, &prefetch->columns) &&
			key_equal(&pool->shape->key, &prefetch->key, key))
			return prefetch;
	}
	if (!create)
		return NULL;
	prefetch = MemoryContextAllocZero(TopTransactionContext, sizeof(Prefetch));
	prefetch->layout = pool->shape->layout;
	prefetch->relid = pool->shape->relid;
	prefetch->columns = pool->shape->key;
	key_copy(&pool->shape->key, key, TopTransactionContext, &prefetch->key);
	prefetch->lost_before = FirstCommandId;
	prefetch->next = bucket->first;
	bucket->first = prefetch;
	return prefetch;
}

/* Returns the record of the current level of subtransactions. */
static PrefetchLevel *
current_level(void)
{
	int			level = GetCurrentTransactionNestLevel();

	if (state.levels == NULL || state.levels->level < level)
	{
		PrefetchLevel *inner = MemoryContextAlloc(TopTransactionContext,
												  sizeof(PrefetchLevel));

		inner->level = level;
		inner->changes = NULL;
		inner->outer = state.levels;
		state.levels = inner;
	}
	return state.levels;
}

/* Returns what the current level has changed in the Prefetch. */
static PrefetchChange *
current_change(Prefetch *prefetch)
{
	PrefetchChange *change = prefetch->innermost;

	if (change == NULL || change->level < GetCurrentTransactionNestLevel())
	{
		PrefetchLevel *level = current_level();

		change = MemoryContextAllocZero(TopTransactionContext,
										sizeof(PrefetchChange));
		change->prefetch = prefetch;
		change->level = level->level;
		change->outer = prefetch->innermost;
		change->next = level->changes;
		level->changes = change;
		prefetch->innermost = change;
	}
	return change;
}

/* Returns the places in a Prefetch. */
static int64
sum_places(const Prefetch *prefetch)
{
	int64		places = 0;

	for (PrefetchChange *change = prefetch->innermost; change;
		 change = change->outer)
		places += change->places;
	return places;
}

/* Returns the places of the pool that this transaction has prefetched. */
int64
prefetch_places(const Pool *pool, const PoolKey *key)
{
	Prefetch   *prefetch = find_prefetch(pool, key, false);

	return prefetch == NULL ? 0 : sum_places(prefetch);
}

/*
 * Uses prefetched places.  Returns false, using none, if there are too few, or
 * if quantity is 0 (the caller only wants the terms checked).
 */
bool
prefetch_use(const Pool *pool, const PoolKey *key, int32 quantity)
{
	Prefetch   *prefetch;

	if (quantity == 0 || state.buckets == NULL)
		return false;
	prefetch = find_prefetch(pool, key, false);
	if (prefetch == NULL || sum_places(prefetch) < quantity)
		return false;
	prefetch->booked += quantity;
	current_change(prefetch)->places -= quantity;
	return true;
}

/*
 * Counts the quantity as booked.  Returns how many places should be prefetched
 * with it: several for each one that this transaction has booked of the pool,
 * and at most LARGEST_PREFETCH.  So the number of writes grows as the
 * logarithm of the number of bookings at first.  After that there is one write
 * for each LARGEST_PREFETCH places.
 */
int32
prefetch_wish(const Pool *pool, const PoolKey *key, int32 quantity)
{
	Prefetch   *prefetch;
	int64		places;

	state.booked += quantity;
	if (state.booked <= PLACES_BEFORE_PREFETCH || state.stopped)
		return 0;
	prefetch = find_prefetch(pool, key, true);
	places = Min(prefetch->booked * PREFETCH_FACTOR, LARGEST_PREFETCH);
	prefetch->booked += quantity;
	return (int32) places;
}

/* Notes places that were taken from a stripe and are not used yet. */
void
prefetch_add(const Pool *pool, const PoolKey *key, int64 places)
{
	if (places > 0)
		current_change(find_prefetch(pool, key, true))->places += places;
}

/*
 * Keeps places that come back until the commit, if this transaction changes
 * many; the caller must have a stripe of the pool locked.  Returns false if
 * the caller has to give them back now.
 */
bool
prefetch_keep(const Pool *pool, const PoolKey *key, int32 quantity)
{
	state.booked += quantity;
	if (state.booked <= PLACES_BEFORE_PREFETCH || state.stopped)
		return false;
	prefetch_add(pool, key, quantity);
	return true;
}

/*
 * Takes all places out of a Prefetch and returns how many they were.  The
 * caller gives them back, or has dropped the pool that they came from.
 */
int64
prefetch_take_all(Prefetch *prefetch)
{
	int64		places = sum_places(prefetch);

	if (places > 0)
		current_change(prefetch)->places -= places;
	return places;
}

/* The same for the Prefetch of a pool, if it has one. */
int64
prefetch_remove(const Pool *pool, const PoolKey *key)
{
	Prefetch   *prefetch = find_prefetch(pool, key, false);

	return prefetch == NULL ? 0 : prefetch_take_all(prefetch);
}

/*
 * A pool was dropped while that many places were not in it: rows that held
 * them have been removed, and their triggers have not fired yet.
 */
void
prefetch_note_lost(const Pool *pool, const PoolKey *key, int64 places)
{
	Prefetch   *prefetch = find_prefetch(pool, key, true);

	current_change(prefetch)->lost += places;
	prefetch->lost_before = GetCurrentCommandId(false);
}

/* Returns the places that were lost with pools of this key. */
static int64
sum_lost(const Prefetch *prefetch)
{
	int64		lost = 0;

	for (PrefetchChange *change = prefetch->innermost; change;
		 change = change->outer)
		lost += change->lost;
	return lost;
}

/* True if places of the key were lost, and have not come back yet. */
bool
prefetch_is_lost(const Pool *pool, const PoolKey *key)
{
	Prefetch   *prefetch = find_prefetch(pool, key, false);

	return prefetch != NULL && sum_lost(prefetch) > 0;
}

/*
 * A new pool of the key is made: returns the places that rows of the key still
 * hold of the last one.  Then they are lost no more.
 */
int64
prefetch_end_lost(const Pool *pool, const PoolKey *key)
{
	Prefetch   *prefetch = find_prefetch(pool, key, false);
	int64		lost = prefetch == NULL ? 0 : sum_lost(prefetch);

	if (lost > 0)
		current_change(prefetch)->lost -= lost;
	return lost;
}

/* All pools of the table are made again from its rows: nothing is lost. */
void
prefetch_forget_lost(Oid relid)
{
	HASH_SEQ_STATUS status;
	PrefetchBucket *bucket;

	if (state.buckets == NULL)
		return;
	hash_seq_init(&status, state.buckets);
	while ((bucket = hash_seq_search(&status)) != NULL)
	{
		if (bucket->key.relid != relid)
			continue;
		for (Prefetch *prefetch = bucket->first; prefetch;
			 prefetch = prefetch->next)
		{
			int64		lost = sum_lost(prefetch);

			if (lost > 0)
				current_change(prefetch)->lost -= lost;
		}
	}
}

/* Returns how many of the places were lost with the last pool of this key. */
int64
prefetch_give_lost(const Pool *pool, const PoolKey *key, int64 places)
{
	Prefetch   *prefetch = find_prefetch(pool, key, false);
	int64		lost = prefetch == NULL ? 0 : Min(sum_lost(prefetch), places);

	if (lost > 0)
		current_change(prefetch)->lost -= lost;
	return lost;
}

/*
 * A statement wants to give places to the pool, for rows that the command
 * removed_in and later ones have removed.  Returns how many of them were lost
 * with an earlier pool of this key, so that they must not be given.  Each is
 * counted once.  If some of the rows had places of the new pool, others that
 * had places of the old one are still to come, and give those.
 */
int64
prefetch_take_lost(const Pool *pool, const PoolKey *key, int64 places,
				   CommandId removed_in)
{
	Prefetch   *prefetch = find_prefetch(pool, key, false);
	int64		lost;

	if (prefetch == NULL || places <= 0 || removed_in >= prefetch->lost_before)
		return 0;
	lost = Min(sum_lost(prefetch), places);
	if (lost > 0)
		current_change(prefetch)->lost -= lost;
	return lost;
}

/*
 * Returns a list of each Prefetch that has places, of the table or, if relid
 * is InvalidOid, of all.
 */
List *
prefetch_list(Oid relid)
{
	List	   *list = NIL;
	HASH_SEQ_STATUS status;
	PrefetchBucket *bucket;

	if (state.buckets == NULL)
		return NIL;
	hash_seq_init(&status, state.buckets);
	while ((bucket = hash_seq_search(&status)) != NULL)
	{
		if (OidIsValid(relid) && bucket->key.relid != relid)
			continue;
		for (Prefetch *prefetch = bucket->first; prefetch;
			 prefetch = prefetch->next)
		{
			if (sum_places(prefetch) > 0)
				list = lappend(list, prefetch);
		}
	}
	return list;
}

/* True if any pool has prefetched places. */
bool
prefetch_any(void)
{
	for (PrefetchLevel *level = state.levels; level; level = level->outer)
	{
		for (PrefetchChange *change = level->changes; change;
			 change = change->next)
		{
			if (change->places != 0)
				return true;
		}
	}
	return false;
}

/*
 * True if this transaction has prefetched anything of the table's pools, or
 * noted a loss, so far.
 */
bool
prefetch_was_used(Oid relid)
{
	HASH_SEQ_STATUS status;
	PrefetchBucket *bucket;

	if (state.buckets == NULL)
		return false;
	hash_seq_init(&status, state.buckets);
	while ((bucket = hash_seq_search(&status)) != NULL)
	{
		if (bucket->key.relid == relid)
		{
			hash_seq_term(&status);
			return true;
		}
	}
	return false;
}

/* The transaction is about to commit: from now on nothing is prefetched. */
void
prefetch_stop(void)
{
	state.stopped = true;
}

/* Ends the state; its memory goes with TopTransactionContext. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE ||
		event == XACT_EVENT_ABORT)
		memset(&state, 0, sizeof(state));
}

/* Adds a change to that of the parent level, or makes it the parent's. */
static void
hand_to_parent(PrefetchChange *change, int parent_level)
{
	PrefetchChange *outer = change->outer;

	if (outer != NULL && outer->level == parent_level)
	{
		outer->places += change->places;
		outer->lost += change->lost;
		change->prefetch->innermost = outer;
		pfree(change);
	}
	else
	{
		PrefetchLevel *level = state.levels;

		change->level = parent_level;
		change->next = level->changes;
		level->changes = change;
	}
}

/* Moves the level up; the parent has none. */
static void
become_parent(PrefetchLevel *level, int parent_level)
{
	level->level = parent_level;
	level->outer = state.levels;
	state.levels = level;
	for (PrefetchChange *change = level->changes; change; change = change->next)
		change->level = parent_level;
}

/*
 * At the end of a subtransaction its changes become its parent's, or are
 * dropped.  The nest level is still the subtransaction's own.
 */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	PrefetchLevel *ended = state.levels;
	PrefetchChange *next;

	if ((event != SUBXACT_EVENT_COMMIT_SUB &&
		 event != SUBXACT_EVENT_ABORT_SUB) ||
		ended == NULL || ended->level < level)
		return;

	state.levels = ended->outer;
	if (event == SUBXACT_EVENT_COMMIT_SUB &&
		(state.levels == NULL || state.levels->level < level - 1))
	{
		become_parent(ended, level - 1);
		return;
	}
	for (PrefetchChange *change = ended->changes; change; change = next)
	{
		next = change->next;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			hand_to_parent(change, level - 1);
		else
		{
			change->prefetch->innermost = change->outer;
			pfree(change);
		}
	}
	pfree(ended);
}

/* Registers the callbacks; once a session. */
void
prefetch_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
