/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  Pools: a number of places under a key, taken and given back exactly.
 *
 * README.md in this folder tells the protocol.  This file takes places, gives
 * them back, and gathers them from several stripes; stripes.c chooses a stripe
 * and waits, stripe.c reads and writes one.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "pool/pending.h"
#include "pool/pool.h"
#include "pool/prefetch.h"
#include "pool/remembered.h"
#include "pool/stripes.h"
#include "server/errors.h"
#include "server/fault.h"
#include "server/subtransaction.h"

/* booking.debug_split_always */
bool		pool_debug_split_always = false;

/* One call of pool_take(), and what has become of it so far. */
typedef struct Taking
{
	Pool	   *pool;
	const PoolKey *key;
	int32		quantity;
	PoolClaim  *claim;
	PoolResult	result;			/* once it is decided */
	bool		must_prepare;	/* the policy's prepare() has to be called */
	bool		waited;			/* no stripe could be changed without a wait */
	int			undone;			/* attempts to reclaim places that failed */
} Taking;

/* After that many failed attempts to reclaim places, an error is raised. */
#define MAX_UNDONE 1000

/* ---- what the policy says ---- */

static bool
is_open(const Pool *pool, PoolClaim *claim, const PoolTerms *terms)
{
	return pool->policy->is_open == NULL ||
		pool->policy->is_open(claim, terms);
}

static PoolVerdict
judge(const Pool *pool, PoolClaim *claim, const PoolTerms *terms,
	  int32 quantity)
{
	return pool->policy->judge == NULL ?
		POOL_ALLOW :
		pool->policy->judge(claim, terms, quantity);
}

static bool
may_prefetch(const Pool *pool, const PoolTerms *terms)
{
	const PoolPolicy *policy = pool->policy;

	if (policy->may_prefetch != NULL)
		return policy->may_prefetch(terms);
	return policy->is_open == NULL && policy->judge == NULL;
}

static int64
reclaimable(Pool *pool, const PoolKey *key, Snapshot snapshot, int64 most,
			TimestampTz *next)
{
	*next = DT_NOEND;
	return pool->policy->reclaimable == NULL ?
		0 :
		pool->policy->reclaimable(pool, key, snapshot, most, next);
}

static int64
reclaim(Pool *pool, const PoolKey *key, int64 places, bool wait)
{
	return pool->policy->reclaim == NULL ?
		0 :
		pool->policy->reclaim(pool, key, places, wait);
}

/* ---- refusals under an old snapshot ---- */

/*
 * The transaction's snapshot shows fewer places than the quantity.  Raises
 * 40001 if the newest state has enough, or if the pool is not there any more.
 */
static void
check_too_few(Pool *pool, const PoolKey *key, int32 quantity)
{
	StripeSet	newest;
	Snapshot	snapshot;
	TimestampTz next;
	int64		places;

	if (!IsolationUsesXactSnapshot())
		return;
	snapshot = stripes_read_newest(pool, key, &newest);
	places = newest.total;
	if (newest.count > 0 && places < quantity)
		places += reclaimable(pool, key, snapshot, quantity - places, &next);
	UnregisterSnapshot(snapshot);
	if (newest.count == 0 || places >= quantity)
		error_conflict();
}

/*
 * The policy refuses on terms that the transaction's snapshot shows.  Raises
 * 40001 if they have changed.
 */
static void
check_terms(Taking *taking, const PoolTerms *terms)
{
	StripeSet	newest;

	if (!IsolationUsesXactSnapshot())
		return;
	UnregisterSnapshot(stripes_read_newest(taking->pool, taking->key, &newest));
	if (newest.count == 0 ||
		!stripe_terms_equal(taking->pool, &newest.stripe[0].terms, terms))
		error_conflict();
}

/* ---- places from several stripes ---- */

/*
 * Takes places from one stripe after another, waiting for each, until there
 * are enough; returns how many are still missing.
 */
static int32
take_along(Pool *pool, const PoolKey *key, StripeSet *set, int32 missing)
{
	for (int i = 0; i < set->count && missing > 0; i++)
	{
		Stripe	   *stripe = &set->stripe[i];
		int32		part = Min(stripe->available, missing);

		if (part > 0 &&
			stripe_add(pool, key, stripe, -part, true) == STRIPE_CHANGED)
		{
			remembered_note(pool, key, stripe);
			missing -= part;
			fault_point("gather: in part");
		}
	}
	return missing;
}

/*
 * Takes the quantity from several stripes, because no single one has it, on
 * the terms of the claim.  Returns false if others have taken places first, or
 * changed the terms.  The caller then undoes what was done.
 */
static bool
gather(const Taking *taking)
{
	Pool	   *pool = taking->pool;
	int32		missing = taking->quantity;
	PoolTerms	terms;

	if (!stripes_lock_first(pool, taking->key, 0, &terms) ||
		!stripe_terms_equal(pool, &terms, &taking->claim->terms))
		return false;
	fault_point("gather: stripe 0 locked");
	while (missing > 0)
	{
		StripeSet	set;
		Snapshot	snapshot = stripes_read(pool, taking->key, &set);
		bool		enough = set.total >= missing;

		if (enough)
			missing = take_along(pool, taking->key, &set, missing);
		UnregisterSnapshot(snapshot);
		if (!enough)
			return false;
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* Work for a subtransaction: reclaim places, then gather the quantity. */
typedef struct Gathering
{
	const Taking *taking;
	int64		to_reclaim;		/* places */
	bool		wait;			/* for rows that are locked */
} Gathering;

static bool
reclaim_and_gather(void *arg)
{
	const Gathering *work = arg;
	Pool	   *pool = work->taking->pool;
	const PoolKey *key = work->taking->key;

	if (work->to_reclaim > 0)
	{
		int64		found = reclaim(pool, key, work->to_reclaim, work->wait);
		PoolTerms	terms;

		/*
		 * If rows were waited for, that was all.  Triggers that end rows in
		 * their own way may have given more places to the pool.
		 */
		if ((found < work->to_reclaim && !work->wait) ||
			!stripes_lock_first(pool, key, found, &terms))
			return false;
	}
	return gather(work->taking);
}

/*
 * Takes the quantity from several stripes.  It first reclaims to_reclaim
 * places.  Rows to reclaim that are locked are skipped, and waited for only in
 * a second try.  Returns false if others were first.  Nothing was done then,
 * and nothing is locked, because the work runs in a subtransaction.  So no
 * session waits for such a row while it holds a stripe.
 */
static bool
gather_or_undo(const Taking *taking, int64 to_reclaim)
{
	Gathering	work = {taking, to_reclaim, false};
	bool		done = subtransaction_run(taking->pool->call,
										  reclaim_and_gather, &work);

	if (!done && to_reclaim > 0)
	{
		work.wait = true;
		done = subtransaction_run(taking->pool->call, reclaim_and_gather,
								  &work);
	}
	return done;
}

/* ---- take ---- */

/* True if one of the stripes has that many places. */
static bool
one_has_enough(const StripeSet *set, int32 quantity)
{
	for (int i = 0; i < set->count; i++)
	{
		if (set->stripe[i].available >= quantity)
			return true;
	}
	return false;
}

/*
 * True if the snapshot shows too few places, those that can be reclaimed
 * included.  Then claim->left tells how many, and the answer is remembered if
 * stripe 0 alone gives it.
 */
static bool
is_sold_out(Taking *taking, const StripeSet *set, Snapshot snapshot)
{
	TimestampTz next;
	int64		left;

	/* who takes nothing may do so while there is a deficit, too */
	if (taking->quantity == 0 || set->total >= taking->quantity)
		return false;
	left = set->total +
		reclaimable(taking->pool, taking->key, snapshot,
					taking->quantity - set->total, &next);
	if (left >= taking->quantity)
		return false;
	check_too_few(taking->pool, taking->key, taking->quantity);
	taking->claim->left = left;
	if (set->count == 1 && left == set->total)
		remembered_note_only(taking->pool, taking->key, &set->stripe[0], next);
	return true;
}

/* The taking is decided, by this result. */
static bool
decide(Taking *taking, PoolResult result)
{
	taking->result = result;
	return true;
}

/* Raises 55000: something takes each place that is reclaimed. */
pg_noreturn static void
error_taken_at_once(const Pool *pool)
{
	error_unusable(psprintf("each place of table %s.%s that is reclaimed is taken at once",
							get_namespace_name(RelationGetNamespace(pool->rel)),
							RelationGetRelationName(pool->rel)),
				   "Look for triggers that add rows when an expired row is ended.");
}

/*
 * The terms and the places allow it: takes the quantity from one stripe or
 * from several.  Returns false if others were first.
 */
static bool
take_from_set(Taking *taking, StripeSet *set)
{
	bool		taken;

	if (one_has_enough(set, taking->quantity))
		taken = stripes_change_any(taking->pool, taking->key, set,
								   -(int64) taking->quantity, &taking->waited);
	else
	{
		int64		to_reclaim = Max(taking->quantity - set->total, 0);

		taken = gather_or_undo(taking, to_reclaim);
		if (!taken && to_reclaim > 0 && ++taking->undone > MAX_UNDONE)
			error_taken_at_once(taking->pool);
	}
	return taken && decide(taking, POOL_TAKEN);
}

/*
 * Judges the claim by all stripes as the snapshot shows them, and takes the
 * places.  Returns false if nothing is decided yet: look again.
 */
static bool
take_by_snapshot(Taking *taking, StripeSet *set, Snapshot snapshot)
{
	PoolClaim  *claim = taking->claim;
	const PoolTerms *terms = &set->stripe[0].terms;

	if (set->count == 0)
	{
		stripes_check_absence(taking->pool, taking->key);
		return decide(taking, POOL_MISSING);
	}
	claim->terms = *terms;
	if (!is_open(taking->pool, claim, terms))
	{
		check_terms(taking, terms);
		return decide(taking, POOL_REFUSED);
	}
	if (is_sold_out(taking, set, snapshot))
		return decide(taking, POOL_SOLD_OUT);
	switch (judge(taking->pool, claim, terms, taking->quantity))
	{
		case POOL_REFUSE:
			check_terms(taking, terms);
			return decide(taking, POOL_REFUSED);
		case POOL_PREPARE:
			check_terms(taking, terms);
			taking->must_prepare = true;
			return false;
		default:
			return take_from_set(taking, set);
	}
}

/* The same with a new snapshot. */
static bool
take_by_reading(Taking *taking)
{
	StripeSet	set;
	Snapshot	snapshot = stripes_read(taking->pool, taking->key, &set);
	bool		decided = take_by_snapshot(taking, &set, snapshot);

	UnregisterSnapshot(snapshot);
	return decided;
}

/*
 * Returns the remembered stripe, to be pinned; false if nothing is remembered
 * that may be used.  Under REPEATABLE READ and SERIALIZABLE that is only what
 * this transaction has written itself.
 */
static bool
recall(Pool *pool, const PoolKey *key, const Remembered *entry, Stripe *stripe)
{
	if (entry == NULL ||
		(IsolationUsesXactSnapshot() &&
		 !TransactionIdIsCurrentTransactionId(entry->xmin)))
		return false;
	stripe->tid = entry->tid;
	stripe->xmin = entry->xmin;
	stripe->seen_in = entry->seen_in;
	stripe->terms = entry->terms;
	return true;
}

/*
 * The remembered stripe has too few places.  True if this proves that the pool
 * is sold out: the version is still the one that was remembered as the only
 * one of the pool.  (The TID alone doesn't tell: pruning may have given it to
 * a later version.)
 */
static bool
is_only_stripe(Remembered *entry, Stripe *stripe)
{
	return stripe->number == 0 &&
		ItemPointerEquals(&stripe->tid, &entry->tid) &&
		TransactionIdEquals(stripe->xmin, entry->xmin) &&
		!TIMESTAMP_IS_NOBEGIN(entry->only_until) &&
		(TIMESTAMP_IS_NOEND(entry->only_until) ||
		 entry->only_until > GetCurrentTimestamp());
}

/*
 * Writes the pinned stripe, which is not locked, with the quantity less;
 * prefetches places if this transaction books many, and at least one is left.
 */
static bool
take_pinned(Taking *taking, Stripe *stripe, RowVersion *version)
{
	Pool	   *pool = taking->pool;
	int64		left = stripe->available - taking->quantity;
	int64		extra = 0;

	if (taking->quantity > 0)
		extra = prefetch_wish(pool, taking->key, taking->quantity);
	if (extra > 0)
		extra = may_prefetch(pool, &stripe->terms) ?
			Max(Min(extra, left - 1), 0) :
			0;
	if (stripe_write(pool, taking->key, stripe, version, left - extra) !=
		STRIPE_CHANGED)
		return false;
	remembered_note(pool, taking->key, stripe);
	prefetch_add(pool, taking->key, extra);
	return decide(taking, POOL_TAKEN);
}

/*
 * Takes the places from the remembered stripe if that is free, or finds by it
 * that the pool is sold out.  Returns true if this decides.  If the remembered
 * terms refuse, the stripes are read, because the terms may have changed.
 */
static bool
take_remembered(Taking *taking)
{
	Pool	   *pool = taking->pool;
	Remembered *entry = remembered_find(pool, taking->key);
	PoolClaim  *claim = taking->claim;
	PoolVerdict verdict;
	Stripe		stripe;
	RowVersion	version;

	if (!recall(pool, taking->key, entry, &stripe))
		return false;
	claim->terms = stripe.terms;
	if (!is_open(pool, claim, &stripe.terms))
		return false;
	verdict = judge(pool, claim, &stripe.terms, taking->quantity);
	if (verdict == POOL_REFUSE ||
		!stripe_pin(pool, taking->key, &stripe, &version))
		return false;
	if (verdict == POOL_ALLOW && stripe.available >= taking->quantity &&
		!TransactionIdIsValid(stripe.holder))
		return take_pinned(taking, &stripe, &version);
	stripe_unpin(&version);
	if (taking->quantity > 0 && stripe.available < taking->quantity &&
		is_only_stripe(entry, &stripe))
	{
		claim->left = stripe.available;
		return decide(taking, POOL_SOLD_OUT);
	}
	taking->must_prepare = verdict == POOL_PREPARE;
	return false;
}

/*
 * Adds places to the pool, to any stripe that is free, otherwise after a wait.
 * Returns false, having done nothing, if there is no such pool.  A quantity of
 * 0 locks a stripe, so that the pool can't be dropped.
 */
static bool
give_now(Pool *pool, const PoolKey *key, int32 quantity)
{
	Stripe		stripe;
	bool		waited;

	if (recall(pool, key, remembered_find(pool, key), &stripe) &&
		stripe_add(pool, key, &stripe, quantity, false) == STRIPE_CHANGED)
	{
		remembered_note(pool, key, &stripe);
		return true;
	}
	for (;;)
	{
		StripeSet	set;
		Snapshot	snapshot = stripes_read(pool, key, &set);
		bool		given = set.count > 0 &&
			stripes_change_any(pool, key, &set, quantity, &waited);

		UnregisterSnapshot(snapshot);
		if (given)
			return true;
		if (set.count == 0)
		{
			stripes_check_absence(pool, key);
			return false;
		}
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Gives places back, like give_now(), or keeps them until the commit if this
 * transaction gives many.  They are kept only if it has written, and so
 * locked, the remembered stripe, and if the terms allow it.
 */
bool
pool_give(Pool *pool, const PoolKey *key, int32 quantity)
{
	Remembered *entry = quantity > 0 ? remembered_find(pool, key) : NULL;

	if (entry != NULL && TransactionIdIsCurrentTransactionId(entry->xmin) &&
		!entry->deficit && may_prefetch(pool, &entry->terms) &&
		prefetch_keep(pool, key, quantity))
		return true;
	return give_now(pool, key, quantity);
}

/* Looks at the pool until the taking is decided. */
static void
take_until_decided(Taking *taking)
{
	bool		use_remembered = true;
	bool		decided;

	do
	{
		taking->must_prepare = false;
		decided = use_remembered && take_remembered(taking);
		if (!decided && !taking->must_prepare)
		{
			use_remembered = false;
			decided = take_by_reading(taking);
		}
		if (taking->must_prepare)
			taking->pool->policy->prepare(taking->pool, taking->key,
										  taking->claim);
		CHECK_FOR_INTERRUPTS();
	} while (!decided);
}

/*
 * Too few places are left, but an outer statement, whose triggers are being
 * fired, may give enough.  Returns true if it does: they are in the pool then.
 */
static bool
use_given(Taking *taking)
{
	Pool	   *pool = taking->pool;
	int64		missing = taking->quantity - taking->claim->left;

	/* what was lost with an older pool of the key must not be given */
	return missing <= PG_INT32_MAX &&
		!prefetch_is_lost(pool, taking->key) &&
		pending_use_given(pool, taking->key, missing) &&
		give_now(pool, taking->key, (int32) missing);
}

/*
 * Takes quantity places of the pool for the claim, all or none, and keeps the
 * stripes that they came from locked until the transaction ends.  Quantity 0
 * takes none, but is judged, and locks a stripe all the same.
 *
 * POOL_SOLD_OUT: only claim->left places were free at the snapshot, and no
 * rollback can bring others back.  Places that a transaction in flight gives
 * back count only when it commits.  POOL_REFUSED: the policy has refused, on
 * claim->terms.  POOL_MISSING: there is no such pool.  A refusal locks no
 * stripe, unless the policy has closed the pool during a wait.  Raises 40001
 * as the isolation level demands, and what waiting for a lock may raise.
 */
PoolResult
pool_take(Pool *pool, const PoolKey *key, int32 quantity, PoolClaim *claim)
{
	Taking taking = { pool, key, quantity, claim, POOL_TAKEN, false, false, 0 };
	int64		prefetched;

	Assert(quantity >= 0);

	/* a pool whose policy judges each booking has no prefetched places */
	if (prefetch_use(pool, key, quantity))
		return POOL_TAKEN;
	prefetched = prefetch_remove(pool, key);
	if (prefetched > 0 && !give_now(pool, key, (int32) prefetched))
		return POOL_MISSING;

	take_until_decided(&taking);
	if (taking.result == POOL_SOLD_OUT && use_given(&taking))
		take_until_decided(&taking);
	if (taking.result == POOL_TAKEN && !is_open(pool, claim, &claim->terms))
	{
		(void) give_now(pool, key, quantity);
		return POOL_REFUSED;
	}
	if (taking.result == POOL_TAKEN &&
		(taking.waited || pool_debug_split_always))
		stripes_split(pool, key);
	return taking.result;
}

/* ---- a pool as a whole ---- */

/* Creates a pool with stripe 0; raises 23505 if the key has one already. */
void
pool_create(Pool *pool, const PoolKey *key, int32 places,
			const PoolTerms *terms)
{
	stripe_insert(pool, key, 0, places, terms);
}

/*
 * Reclaims all that can be reclaimed, waiting for rows that are locked, and
 * adds it to stripe 0.  Returns true if nothing was reclaimed, without looking
 * for the pool.  Otherwise returns false if there is no such pool.
 */
bool
pool_reclaim_all(Pool *pool, const PoolKey *key)
{
	int64		found = reclaim(pool, key, PG_INT32_MAX, true);
	PoolTerms	terms;

	return found == 0 || stripes_lock_first(pool, key, found, &terms);
}

/*
 * True if no place is left, and none can be reclaimed, except what
 * transactions in flight may give back.  Locks nothing.  Raises 40001 if the
 * transaction's snapshot shows none, but one has come back since.
 */
bool
pool_is_empty(Pool *pool, const PoolKey *key)
{
	StripeSet	set;
	Snapshot	snapshot = stripes_read(pool, key, &set);
	TimestampTz next;
	bool		empty = set.total <= 0 &&
		reclaimable(pool, key, snapshot, 1, &next) == 0;

	UnregisterSnapshot(snapshot);
	if (empty)
		check_too_few(pool, key, 1);
	return empty;
}

/* True if the newest state has such a pool. */
bool
pool_exists(Pool *pool, const PoolKey *key)
{
	StripeSet	newest;

	UnregisterSnapshot(stripes_read_newest(pool, key, &newest));
	return newest.count > 0;
}

/*
 * Takes the quantity even if fewer places are left; what is missing is a
 * deficit (README.md).  Returns false if there is no such pool.
 */
bool
pool_take_anyway(Pool *pool, const PoolKey *key, int64 quantity)
{
	int64		prefetched = prefetch_remove(pool, key);

	return stripes_drain(pool, key, quantity - prefetched);
}

/*
 * Reads the places that are left, those that can be reclaimed or are
 * prefetched included, and the terms, as the transaction's snapshot shows
 * them.  Returns false if there is no such pool, and raises 40001 if only the
 * snapshot shows none: the pool, or its whole table, is newer.  Locks nothing.
 */
bool
pool_read(Pool *pool, const PoolKey *key, int64 *places, PoolTerms *terms)
{
	StripeSet	set;
	Snapshot	snapshot = stripes_read(pool, key, &set);
	TimestampTz next;

	if (set.count > 0)
	{
		*terms = set.stripe[0].terms;
		*places = set.total + prefetch_places(pool, key) +
			reclaimable(pool, key, snapshot, PG_INT64_MAX, &next);
	}
	UnregisterSnapshot(snapshot);
	if (set.count == 0 && IsolationUsesXactSnapshot() && pool_exists(pool, key))
		error_conflict();
	return set.count > 0;
}

/*
 * Writes a new version of stripe 0: other sessions then no longer rely on a
 * remembered refusal.  Returns false if there is no such pool.
 */
bool
pool_touch(Pool *pool, const PoolKey *key)
{
	PoolTerms	terms;

	return stripes_lock_first(pool, key, 0, &terms);
}

/*
 * Writes the terms into each stripe that has others, after waiting for
 * transactions that have one locked.  *done is false if there was any.
 */
static void
set_terms_once(Pool *pool, const PoolKey *key, const PoolTerms *terms,
			   bool *done)
{
	StripeSet	set;
	Snapshot	snapshot = stripes_read(pool, key, &set);

	*done = true;
	for (int i = 0; i < set.count; i++)
	{
		Stripe	   *stripe = &set.stripe[i];

		if (stripe_terms_equal(pool, &stripe->terms, terms))
			continue;
		*done = false;
		if (stripe_set_terms(pool, key, stripe, terms) == STRIPE_CHANGED)
			remembered_note(pool, key, stripe);
	}
	UnregisterSnapshot(snapshot);
}

/*
 * Changes the terms of the pool.  A stripe that is split in the meantime hands
 * on its old terms, so this looks again until no stripe has others.  *old: the
 * terms of before.  Returns false if there is no such pool.
 */
bool
pool_set_terms(Pool *pool, const PoolKey *key, const PoolTerms *terms,
			   PoolTerms *old)
{
	bool		done;

	pool_flush(pool);
	if (!stripes_lock_first(pool, key, 0, old))
		return false;
	do
	{
		set_terms_once(pool, key, terms, &done);
		CHECK_FOR_INTERRUPTS();
	} while (!done);
	return true;
}

/*
 * Drops the pool, after waiting for transactions that have a stripe locked.
 * *left: the places that were left in it.  Returns false if there is no such
 * pool.  When it returns, all places that were taken are committed or our own,
 * and no session can take another.
 */
bool
pool_drop(Pool *pool, const PoolKey *key, int64 *left)
{
	StripeSet	set;
	PoolTerms	terms;

	if (!stripes_lock_first(pool, key, 0, &terms))
		return false;
	*left = prefetch_remove(pool, key);
	do
	{
		Snapshot	snapshot = stripes_read(pool, key, &set);

		for (int i = 0; i < set.count; i++)
		{
			Stripe	   *stripe = &set.stripe[i];

			if (stripe_delete(pool, key, stripe) == STRIPE_CHANGED)
			{
				remembered_note(pool, key, stripe);
				*left += stripe->available;
			}
		}
		UnregisterSnapshot(snapshot);
		CHECK_FOR_INTERRUPTS();
	} while (set.count > 0);
	return true;
}

/* ---- what was prefetched goes back ---- */

/*
 * Raises 55000 if the key of the table was altered after the transaction has
 * prefetched places: the key that they came from has another type now.
 */
static void
check_columns(const Pool *pool, const Prefetch *prefetch)
{
	if (!key_same_columns(&pool->shape->key, &prefetch->columns))
		error_unusable(psprintf("the key of table \"%s\" was altered by a transaction that has booked places",
								RelationGetRelationName(pool->rel)),
					   "Alter the table in a transaction of its own.");
}

/*
 * Gives all prefetched places of the table's pools back.  The stripes that
 * they came from are locked by this transaction, so as a rule nothing is
 * waited for. Raises 55000 if one of the pools is missing, or its key was
 * altered.
 */
void
pool_flush(Pool *pool)
{
	ListCell   *lc;

	foreach(lc, prefetch_list(pool->shape->relid))
	{
		Prefetch   *prefetch = lfirst(lc);
		int64		places;

		check_columns(pool, prefetch);
		places = prefetch_take_all(prefetch);
		if (!give_now(pool, &prefetch->key, (int32) places))
			error_unusable(psprintf("pool %s of table \"%s\" is missing",
									key_describe(&pool->shape->key, pool->rel,
												 &prefetch->key),
									RelationGetRelationName(pool->rel)),
						   pool->shape->layout->repair_hint);
	}
}

/* Gives the prefetched places of one table back, unless it was dropped. */
static void
flush_table(const Prefetch *prefetch)
{
	static const PoolPolicy no_policy = {NULL};
	Relation	rel = try_table_open(prefetch->relid, RowExclusiveLock);
	PoolShape	shape;
	Call		call;
	Pool		pool = {&call, rel, &shape, &no_policy, NULL};

	if (rel == NULL)
		return;
	shape_load(&shape, rel, prefetch->layout);
	call_begin(&call, rel->rd_rel->relowner, InvalidOid);
	pool_flush(&pool);
	call_end(&call);
	table_close(rel, NoLock);
}

/* Gives back all prefetched places of all tables. */
void
pool_flush_all(void)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, prefetch_list(InvalidOid))
	{
		const Prefetch *prefetch = lfirst(lc);

		if (!list_member_oid(tables, prefetch->relid))
			flush_table(prefetch);
		tables = list_append_unique_oid(tables, prefetch->relid);
	}
}

/* Gives everything back before a transaction commits or is prepared. */
static void
before_commit(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE)
		return;
	prefetch_stop();
	if (!prefetch_any())
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	pool_flush_all();
	PopActiveSnapshot();
	fault_point("commit: prefetch given back");
}

/* Registers the callbacks of the pool layer; once a session. */
void
pool_init(void)
{
	remembered_init();
	prefetch_init();
	RegisterXactCallback(before_commit, NULL);
}
