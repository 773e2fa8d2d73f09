/*-------------------------------------------------------------------------
 *
 * pending.c
 *	  What the rows of a statement take and give, until its end.
 *
 * SQL judges a constraint when the statement has ended, not row by row.  So
 * the row triggers only add up, by key, what the rows take and give.  When the
 * first row of a statement arrives here, the trigger of the pool table is
 * queued as if a statement had inserted into that table.  PostgreSQL fires it
 * after all events that the statement itself has queued: the row events come
 * first, because none of them fires before the whole statement, with its WITH
 * queries, has run.  Rows that foreign keys change after that, by a cascade,
 * make another batch.  This works for partitions, too, which have no
 * statement trigger of their own.
 *
 * A trigger may run a statement of its own while the events of an outer one
 * are being fired.  The two are told apart by the depth of triggers.  What such
 * a statement gives may be left to the outer one.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/execnodes.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "pool/pending.h"
#include "server/errors.h"

/* A batch with more keys than this has a hash table. */
#define FEW_KEYS 8

/* The keys of a batch that hash alike. */
typedef struct PendingBucket
{
	uint32		hash;			/* hash key; must be first */
	PendingKey *first;
} PendingBucket;

/*
 * How often a statement is settled again at most.  That happens if expired rows
 * that were ended have taken places of other keys.
 */
#define MAX_ROUNDS 100

/* The batches of this transaction, the innermost first. */
static PendingBatch *batches = NULL;

/* Those that are being settled, the innermost first; no longer among them. */
static PendingBatch *settling = NULL;

/*
 * Queues the trigger of the pool table, and no other that it may have.  (For
 * another one PostgreSQL would want an executor state; the table will be
 * refused when it is opened.)
 */
static void
queue_settlement(Relation pool, const Trigger *trigger)
{
	Trigger		copy = *trigger;
	TriggerDesc desc = {
		.triggers = &copy,
		.numtriggers = 1,
		.trig_insert_after_statement = true
	};
	ResultRelInfo info = {
		.type = T_ResultRelInfo,
		.ri_RelationDesc = pool,
		.ri_TrigDesc = &desc
	};

	ExecASInsertTriggers(NULL, &info, NULL);
}

/*
 * Returns the batch of the pool table for the statement whose row triggers are
 * being fired; NULL if it has none yet.
 */
PendingBatch *
pending_batch(Oid pool)
{
	int			depth = call_trigger_depth();
	PendingBatch *batch = batches;

	while (batch != NULL &&
		   (batch->pool != pool || batch->depth != depth || batch->is_inner))
		batch = batch->outer;
	return batch;
}

/* Adds an empty batch of the pool table to the list. */
static PendingBatch *
add_batch(Oid pool, int depth, PendingRank rank,
		  void (*settle)(PendingBatch *batch))
{
	/* PostgreSQL's sizes are products of int that become Size. */
	/* NOLINTNEXTLINE(bugprone-implicit-widening-*) */
	MemoryContext context = AllocSetContextCreate(CurTransactionContext,
												  "pg_booking statement",
												  ALLOCSET_START_SMALL_SIZES);
	PendingBatch *batch = MemoryContextAllocZero(context,
												 sizeof(PendingBatch));

	batch->pool = pool;
	batch->settle = settle;
	batch->rank = rank;
	batch->depth = depth;
	batch->nest_level = GetCurrentTransactionNestLevel();
	batch->context = context;
	batch->outer = batches;
	batches = batch;
	return batch;
}

/*
 * Begins that batch.  The trigger is the one by which the pool table calls
 * pending_settle().  Then settle is called with the batch.
 */
PendingBatch *
pending_begin(Relation pool, const Trigger *trigger, PendingRank rank,
			  void (*settle)(PendingBatch *batch))
{
	queue_settlement(pool, trigger);
	return add_batch(RelationGetRelid(pool), call_trigger_depth(), rank,
					 settle);
}

/* Returns the list that has a key with that hash, or will have it. */
static PendingKey **
list_for(PendingBatch *batch, uint32 hash)
{
	PendingBucket *bucket;
	bool		found;

	if (batch->keys == NULL)
		return &batch->first;
	bucket = hash_search(batch->keys, &hash, HASH_ENTER, &found);
	if (!found)
		bucket->first = NULL;
	return &bucket->first;
}

/* Puts a key into its list. */
static void
put(PendingBatch *batch, PendingKey *pending)
{
	PendingKey **list = list_for(batch, pending->hash);

	pending->next = *list;
	*list = pending;
}

/* Moves the keys from the one list into a hash table. */
static void
make_hash_table(PendingBatch *batch)
{
	HASHCTL		ctl = {0};
	PendingKey *next;

	ctl.keysize = sizeof(uint32);
	ctl.entrysize = sizeof(PendingBucket);
	ctl.hcxt = batch->context;
	batch->keys = hash_create("pg_booking keys", 256, &ctl,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (PendingKey *pending = batch->first; pending != NULL; pending = next)
	{
		next = pending->next;
		put(batch, pending);
	}
	batch->first = NULL;
}

/* Returns what a batch has of a key, or NULL. */
static PendingKey *
find_key(const PendingBatch *batch, const KeyColumns *columns,
		 const PoolKey *key, uint32 hash)
{
	PendingKey *pending = batch->first;

	if (batch->keys != NULL)
	{
		const PendingBucket *bucket =
			hash_search(batch->keys, &hash, HASH_FIND, NULL);

		pending = bucket == NULL ? NULL : bucket->first;
	}
	while (pending != NULL &&
		   (pending->hash != hash || !key_equal(columns, &pending->key, key)))
		pending = pending->next;
	return pending;
}

/*
 * Returns what the batch has of a key.  A new one is zeroed, and has the size
 * of the caller's struct.
 */
PendingKey *
pending_key(PendingBatch *batch, const KeyColumns *columns, const PoolKey *key,
			Size size)
{
	uint32		hash = key_hash(columns, key);
	PendingKey *pending = find_key(batch, columns, key, hash);

	if (pending != NULL)
		return pending;
	pending = MemoryContextAllocZero(batch->context, size);
	key_copy(columns, key, batch->context, &pending->key);
	pending->hash = hash;
	if (++batch->count > FEW_KEYS && batch->keys == NULL)
		make_hash_table(batch);
	put(batch, pending);
	return pending;
}

/*
 * Changes what an outer statement, not settled so far, gives of a key.  The
 * change is a batch of its own, which a rollback of this subtransaction
 * removes.
 */
static void
change_given(const PendingBatch *outer, const KeyColumns *columns,
			 const PoolKey *key, int64 places)
{
	PendingBatch *batch = add_batch(outer->pool, outer->depth, outer->rank,
									outer->settle);

	batch->is_inner = true;
	batch->is_given = true;
	pending_key(batch, columns, key, sizeof(PendingKey))->given = places;
}

/*
 * Places come back of which the pool knows nothing yet: an outer statement, not
 * settled so far, takes them.  Gives them to it, or returns false if there is
 * none.
 */
bool
pending_give_outer(const Pool *pool, const PoolKey *key, int64 places)
{
	const KeyColumns *columns = &pool->shape->key;
	uint32		hash = key_hash(columns, key);

	for (PendingBatch *batch = batches; batch != NULL; batch = batch->outer)
	{
		const PendingKey *pending = batch->pool == pool->shape->relid ?
			find_key(batch, columns, key, hash) :
			NULL;

		if (pending == NULL || pending->taken == 0)
			continue;
		change_given(batch, columns, key, places);
		return true;
	}
	return false;
}

/* What the statement at that depth gives of a key beyond what it takes. */
static int64
surplus_at(int depth, const Pool *pool, const PoolKey *key, uint32 hash)
{
	int64		surplus = 0;

	for (PendingBatch *batch = batches; batch != NULL; batch = batch->outer)
	{
		const PendingKey *pending =
			batch->depth == depth && batch->pool == pool->shape->relid ?
			find_key(batch, &pool->shape->key, key, hash) :
			NULL;

		if (pending != NULL)
			surplus += pending->given - pending->taken;
	}
	return surplus;
}

/*
 * A trigger needs places of the pool, which an outer statement, not settled so
 * far, may give.  Returns true if there is one that gives as many: the caller
 * gives them to the pool now, and the outer statement no more.
 */
bool
pending_use_given(const Pool *pool, const PoolKey *key, int64 places)
{
	uint32		hash;

	if (batches == NULL)
		return false;
	hash = key_hash(&pool->shape->key, key);
	for (PendingBatch *batch = batches; batch != NULL; batch = batch->outer)
	{
		if (batch->pool != pool->shape->relid || batch->is_given ||
			surplus_at(batch->depth, pool, key, hash) < places)
			continue;
		change_given(batch, &pool->shape->key, key, -places);
		return true;
	}
	return false;
}

/*
 * Leaves what this statement takes and gives to the outer one, whose trigger
 * depth is one less.
 */
void
pending_leave_to_outer(void)
{
	int			depth = call_trigger_depth();

	for (PendingBatch *batch = batches; batch != NULL; batch = batch->outer)
	{
		if (batch->depth != depth)
			continue;
		batch->depth--;
		batch->is_inner = true;
	}
}

/* True if a statement that takes or gives places of the table isn't settled. */
bool
pending_any(Relation pool)
{
	const PendingBatch *batch = batches;

	while (batch != NULL && batch->pool != RelationGetRelid(pool))
		batch = batch->outer;
	return batch != NULL;
}

/*
 * All pools of the table are about to be made again from the rows.  Raises
 * 55000 if a statement is not settled yet: its rows would count twice.
 */
void
pending_check_none(Relation pool)
{
	const PendingBatch *batch = settling;

	while (batch != NULL && batch->pool != RelationGetRelid(pool))
		batch = batch->outer;
	if (batch != NULL || pending_any(pool))
		error_unusable(psprintf("table %s.%s can't be made again in a trigger of a statement that takes or gives places",
								BOOKING_SCHEMA, RelationGetRelationName(pool)),
					   "Do it in a statement of its own.");
}

/*
 * True if batch a is settled before batch b: by their ranks, then by the OIDs
 * of the pool tables.
 */
static bool
comes_before(const PendingBatch *a, const PendingBatch *b)
{
	return a->rank == b->rank ? a->pool < b->pool : a->rank < b->rank;
}

/*
 * Returns the next batch of the statement, with all others of the same pool
 * table; NULL if none is left.  They are no longer pending.
 */
static PendingBatch *
next_batch(void)
{
	int			depth = call_trigger_depth();
	PendingBatch *first = NULL;
	PendingBatch *next = NULL;
	PendingBatch **place = &batches;

	for (PendingBatch *batch = batches; batch != NULL; batch = batch->outer)
	{
		if (batch->depth == depth &&
			(first == NULL || comes_before(batch, first)))
			first = batch;
	}
	while (first != NULL && *place != NULL)
	{
		PendingBatch *batch = *place;

		if (batch->depth != depth || batch->pool != first->pool)
		{
			place = &batch->outer;
			continue;
		}
		*place = batch->outer;
		batch->same = next;
		next = batch;
	}
	return next;
}

/* Settles a batch, which is no longer pending. */
static void
settle_now(PendingBatch *batch)
{
	PendingBatch *outer = settling;

	batch->outer = outer;
	settling = batch;
	PG_TRY();
	{
		batch->settle(batch);
	}
	PG_FINALLY();
	{
		settling = outer;
	}
	PG_END_TRY();
}

/*
 * The trigger of a pool table is fired.  The first one of a statement settles
 * its batches of all pool tables in a fixed order, so that two statements lock
 * pools in the same order.  Reclaiming places may add to the batches that come
 * later.  Raises 55000 if that has no end.
 */
void
pending_settle(void)
{
	PendingBatch *batch;
	int			rounds = 0;

	while ((batch = next_batch()) != NULL)
	{
		if (batch->is_inner && ++rounds > MAX_ROUNDS)
			error_unusable(psprintf("rows of pool table %s.%s that are ended have taken places more than %d times",
									BOOKING_SCHEMA, get_rel_name(batch->pool),
									MAX_ROUNDS),
						   "Look at on_expiry of the constraint: rows should end, not move from key to key.");
		settle_now(batch);
		while (batch != NULL)
		{
			PendingBatch *done = batch;

			batch = batch->same;
			MemoryContextDelete(done->context);
		}
	}
}

/*
 * Compares two pending keys, for qsort_arg().  Of two batches that have the
 * same key, the one that gives more comes first.
 */
static int
compare_keys(const void *a, const void *b, void *columns)
{
	const PendingKey *first = *(PendingKey *const *) a;
	const PendingKey *second = *(PendingKey *const *) b;
	int64		a_takes = first->taken - first->given;
	int64		b_takes = second->taken - second->given;
	int			order = key_compare(columns, &first->key, &second->key);

	return order != 0 ? order : (a_takes > b_takes) - (a_takes < b_takes);
}

/* Puts the keys of one batch into an array, and returns their number. */
static int
collect_keys(const PendingBatch *batch, PendingKey **keys)
{
	HASH_SEQ_STATUS status;
	PendingBucket *bucket;
	int			n = 0;

	for (PendingKey *key = batch->first; key != NULL; key = key->next)
		keys[n++] = key;
	if (batch->keys == NULL)
		return n;
	hash_seq_init(&status, batch->keys);
	while ((bucket = hash_seq_search(&status)) != NULL)
	{
		for (PendingKey *key = bucket->first; key != NULL; key = key->next)
			keys[n++] = key;
	}
	return n;
}

/* Adds what inner statements have changed to what the statement gives. */
static void
add_given(const PendingBatch *batch, const KeyColumns *columns,
		  const PendingKey *given)
{
	for (; batch != NULL; batch = batch->same)
	{
		PendingKey *key =
			find_key(batch, columns, &given->key, given->hash);

		if (key == NULL || batch->is_given)
			continue;
		key->given += given->given;
		return;
	}
}

/*
 * Reclaiming for one batch may remove a row of the same statement.  Then an
 * inner batch gives what the outer one takes of the same key.  Counts it there,
 * because the key may have no pool yet.  The keys are sorted.
 */
static void
carry_surplus(PendingKey **sorted, int count, const KeyColumns *columns)
{
	for (int i = 0; i + 1 < count; i++)
	{
		PendingKey *key = sorted[i];
		PendingKey *next = sorted[i + 1];
		int64		surplus = key->given - key->taken;

		if (surplus <= 0 || !key_equal(columns, &key->key, &next->key))
			continue;
		key->given -= surplus;
		next->given = Min(next->given, PG_INT64_MAX - surplus) + surplus;
	}
}

/*
 * Returns the keys of a batch that is settled, ascending: this is the order in
 * which pools are locked.
 */
PendingKey **
pending_sort(const PendingBatch *batch, const KeyColumns *columns, int *count)
{
	PendingKey **sorted;
	int			n = 0;

	for (const PendingBatch *same = batch; same != NULL; same = same->same)
		n += same->count;
	sorted = MemoryContextAllocHuge(batch->context, n * sizeof(PendingKey *));
	n = 0;
	for (const PendingBatch *same = batch; same != NULL; same = same->same)
	{
		if (same->is_given)
			add_given(batch, columns, same->first);
		else
			n += collect_keys(same, &sorted[n]);
	}
	*count = n;
	qsort_arg(sorted, n, sizeof(PendingKey *), compare_keys,
			  unconstify(KeyColumns *, columns));
	if (batch->rank != PENDING_INVENTORY)	/* events have pools */
		carry_surplus(sorted, n, columns);
	return sorted;
}

/*
 * Before a commit no batch may be left: its trigger was disabled or dropped,
 * and what its rows take was not judged.  Raises 55000.
 */
static void
check_settled(void)
{
	for (PendingBatch *batch = batches; batch != NULL; batch = batch->outer)
	{
		const char *name = get_rel_name(batch->pool);

		if (name == NULL)
			continue;			/* its table was dropped */
		error_unusable(psprintf("rows were not checked, because the trigger of pool table %s.%s did not fire",
								BOOKING_SCHEMA, name),
					   "Enable the trigger. If it was dropped, call booking.create_tables(), or add the capacity constraint again.");
	}
}

/* At the end of a transaction; the memory goes with its context. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		check_settled();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE ||
		event == XACT_EVENT_ABORT)
		batches = NULL;
}

/*
 * Drops the batches of a subtransaction that is rolled back.  If it is
 * committed, they become its parent's.
 */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (PendingBatch *batch = batches; batch != NULL; batch = batch->outer)
			batch->nest_level = Min(batch->nest_level, level - 1);
	}
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (batches != NULL && batches->nest_level >= level)
	{
		PendingBatch *batch = batches;

		batches = batch->outer;
		MemoryContextDelete(batch->context);
	}
}

/* Registers the callbacks; once a session. */
void
pending_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
