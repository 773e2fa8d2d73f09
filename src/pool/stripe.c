/*-------------------------------------------------------------------------
 *
 * stripe.c
 *	  One stripe of a pool: find it, read its newest version, write it.
 *
 * In the pool layer, only this file writes stripes.  A change is a
 * compare-and-swap: stripe_pin() reads the newest version, and the caller
 * decides.  stripe_write() writes the next version only if the one that was
 * read is still the newest when the row is locked.  Otherwise another
 * transaction was first, and the caller looks again.  So a value is used only
 * if the version it was read from is the one that was locked.
 *
 * A version is found by its TID, which may have been remembered for long, so
 * its key is compared.  While a version is pinned its TID stays its own
 * (rowversion.c).
 *
 * Under REPEATABLE READ and SERIALIZABLE, a stripe that was changed after the
 * transaction's snapshot was taken is 40001, as for PostgreSQL's UPDATE.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "pool/stripe.h"
#include "server/errors.h"
#include "server/fault.h"
#include "server/rowwriter.h"

/* Raises 55000: the table has a row that pg_booking did not write. */
pg_noreturn static void
error_foreign_row(const Pool *pool)
{
	error_unusable(psprintf("table %s.%s has a row that pg_booking did not write",
							get_namespace_name(RelationGetNamespace(pool->rel)),
							RelationGetRelationName(pool->rel)),
				   pool->shape->layout->repair_hint);
}

/*
 * Reads number, places, terms and writer of the version into *stripe.  Returns
 * false if a column is null that never is.
 */
static bool
read_stripe(const Pool *pool, HeapTuple tuple, Stripe *stripe)
{
	const PoolShape *shape = pool->shape;
	TupleDesc	desc = RelationGetDescr(pool->rel);
	bool		number_isnull;
	bool		available_isnull;

	stripe->tid = tuple->t_self;
	stripe->xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
	stripe->number = DatumGetInt32(
		heap_getattr(tuple, shape->stripe, desc, &number_isnull));
	stripe->available = DatumGetInt32(
		heap_getattr(tuple, shape->available, desc, &available_isnull));
	for (int i = 0; i < shape->layout->nterms; i++)
		stripe->terms.value[i] = heap_getattr(tuple, shape->term[i], desc,
											  &stripe->terms.isnull[i]);
	return !number_isnull && !available_isnull;
}

/* True if the two are the same terms. */
bool
stripe_terms_equal(const Pool *pool, const PoolTerms *a, const PoolTerms *b)
{
	for (int i = 0; i < pool->shape->layout->nterms; i++)
	{
		if (a->isnull[i] != b->isnull[i] ||
			(!a->isnull[i] && a->value[i] != b->value[i]))
			return false;
	}
	return true;
}

/* True if the version has the key. */
static bool
has_key(const Pool *pool, HeapTuple tuple, const PoolKey *key)
{
	const KeyColumns *columns = &pool->shape->key;

	for (int i = 0; i < columns->count; i++)
	{
		const KeyColumn *column = &columns->column[i];
		bool		isnull;
		Datum		value = heap_getattr(tuple, column->attnum,
										 RelationGetDescr(pool->rel), &isnull);

		if (isnull || !key_column_equal(column, key->value[i], value))
			return false;
	}
	return true;
}

/*
 * Pins the newest version of the stripe and reads it into *stripe.  Returns
 * false if that can't be found from stripe->tid, or is not the key's.
 */
static bool
pin_newest(Pool *pool, const PoolKey *key, Stripe *stripe, RowVersion *version)
{
	if (!row_version_pin_newest(pool->rel, &stripe->tid, stripe->seen_in,
								version))
		return false;
	if (!has_key(pool, &version->tuple, key))
	{
		ReleaseBuffer(version->buffer);
		return false;
	}
	if (!read_stripe(pool, &version->tuple, stripe))
		error_foreign_row(pool);
	stripe->holder = version->holder;
	return true;
}

/*
 * Pins the newest version of the stripe, if its terms are still those in
 * *stripe, on which the caller has decided; *stripe then is what that version
 * says.  Otherwise returns false: nothing is pinned, and *stripe is unchanged.
 *
 * Raises 40001 if the isolation level forbids a newer version than the one
 * that was read, unless this transaction wrote the version that was read.
 */
bool
stripe_pin(Pool *pool, const PoolKey *key, Stripe *stripe, RowVersion *version)
{
	Stripe		newest = *stripe;
	bool		found = pin_newest(pool, key, &newest, version);
	bool		same = found && ItemPointerEquals(&newest.tid, &stripe->tid) &&
		TransactionIdEquals(newest.xmin, stripe->xmin);

	if (!same && IsolationUsesXactSnapshot())
	{
		if (!TransactionIdIsCurrentTransactionId(stripe->xmin))
			error_conflict();
		if (found)
			ReleaseBuffer(version->buffer);
		return false;
	}
	if (found && !stripe_terms_equal(pool, &newest.terms, &stripe->terms))
	{
		ReleaseBuffer(version->buffer);
		return false;
	}
	if (found)
		*stripe = newest;
	return found;
}

/* Releases a pinned version that is not to be written. */
void
stripe_unpin(RowVersion *version)
{
	ReleaseBuffer(version->buffer);
}

/*
 * Returns what became of a write.  After a success the command counter is
 * advanced: the next call of the same statement must see the new version.
 */
static StripeResult
result_of_write(TM_Result result)
{
	switch (result)
	{
		case TM_Ok:
			CommandCounterIncrement();
			return STRIPE_CHANGED;
		case TM_Updated:
		case TM_Deleted:
			if (IsolationUsesXactSnapshot())
				error_conflict();
			return STRIPE_GONE;
		default:
			/* can't happen: the row was visible, and is waited for */
			elog(ERROR, "unexpected result %d of writing a stripe", result);
			return STRIPE_GONE; /* keep the compiler quiet */
	}
}

/*
 * Writes the pinned version with new values in some columns; *stripe tells
 * where the new version is.
 */
static StripeResult
update_columns(Pool *pool, Stripe *stripe, RowVersion *version, int ncolumns,
			   int *columns, Datum *values, bool *isnull)
{
	TM_Result	result;
	HeapTuple	tuple;

	tuple = heap_modify_tuple_by_cols(&version->tuple,
									  RelationGetDescr(pool->rel),
									  ncolumns, columns, values, isnull);
	result = row_version_update(pool->rel, version, tuple);
	stripe->seen_in = version->buffer;	/* as a rule it is on the same page */
	stripe->tid = tuple->t_self;
	stripe->xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
	heap_freetuple(tuple);
	return result_of_write(result);
}

/* Raises 22003: the stripe would have more places than its column can hold. */
pg_noreturn static void
error_too_many_places(const Pool *pool, const PoolKey *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("number of places in table %s.%s is out of range",
					get_namespace_name(RelationGetNamespace(pool->rel)),
					RelationGetRelationName(pool->rel)),
			 errdetail("Key %s.", key_describe(&pool->shape->key, pool->rel, key))));
}

/*
 * Writes the pinned version with that many places available, after waiting for
 * a transaction that has it locked, and locks the stripe until the end of the
 * transaction.  The pin is released.  A stripe that is left without places is
 * deleted, and stripe->tid is invalid then; stripe 0 stays, because it says
 * that the pool exists.  STRIPE_GONE: the version is not the newest any more,
 * and nothing was written.  Raises 22003 if available is out of range.
 */
StripeResult
stripe_write(Pool *pool, const PoolKey *key, Stripe *stripe,
			 RowVersion *version, int64 available)
{
	StripeResult result;

	if (available > PG_INT32_MAX || available < PG_INT32_MIN)
	{
		ReleaseBuffer(version->buffer);
		error_too_many_places(pool, key);
	}
	fault_point("stripe: before the write");
	if (available == 0 && stripe->available > 0 && stripe->number != 0)
	{
		result = result_of_write(row_version_delete(pool->rel, version));
		ItemPointerSetInvalid(&stripe->tid);
		fault_point("stripe: drained");
	}
	else
	{
		int			column = pool->shape->available;
		Datum		value = Int32GetDatum((int32) available);
		bool		isnull = false;

		result = update_columns(pool, stripe, version, 1, &column, &value,
								&isnull);
	}
	fault_point("stripe: written");
	stripe->available = (int32) available;
	return result;
}

/*
 * Pins a stripe that will be written.  If it is gone, the caller looks again.
 * The command that calls us may have deleted it, by a plain statement, and its
 * snapshots would show it for ever.  So another command begins.
 */
static bool
pin_to_write(Pool *pool, const PoolKey *key, Stripe *stripe,
			 RowVersion *version)
{
	if (stripe_pin(pool, key, stripe, version))
		return true;
	CommandCounterIncrement();
	return false;
}

/*
 * Adds delta places, which may be negative, to the stripe, and locks it until
 * the end of the transaction.  STRIPE_SHORT: it has too few places.
 * STRIPE_BUSY: another transaction has it locked, and wait is false;
 * stripe->holder tells which.  STRIPE_GONE: it was changed; look again.  In
 * none of these cases was anything written.  Except after STRIPE_GONE, *stripe
 * is what the stripe says now.
 *
 * wait = false is an intention and no guarantee: a transaction that locks the
 * row after it was seen free is waited for, as heap_update() always does.
 */
StripeResult
stripe_add(Pool *pool, const PoolKey *key, Stripe *stripe, int64 delta,
		   bool wait)
{
	RowVersion	version;

	if (!pin_to_write(pool, key, stripe, &version))
		return STRIPE_GONE;
	if (delta < 0 && stripe->available + delta < 0)
	{
		stripe_unpin(&version);
		return STRIPE_SHORT;
	}
	if (TransactionIdIsValid(stripe->holder) && !wait)
	{
		stripe_unpin(&version);
		return STRIPE_BUSY;
	}
	return stripe_write(pool, key, stripe, &version,
						stripe->available + delta);
}

/*
 * Adds delta places to the stripe, which this transaction has locked, even if
 * it is below zero then.
 */
StripeResult
stripe_force(Pool *pool, const PoolKey *key, Stripe *stripe, int64 delta)
{
	RowVersion	version;

	if (!pin_to_write(pool, key, stripe, &version))
		return STRIPE_GONE;
	return stripe_write(pool, key, stripe, &version,
						stripe->available + delta);
}

/*
 * Writes other terms into the stripe, likewise.  STRIPE_GONE: it was changed;
 * look again.
 */
StripeResult
stripe_set_terms(Pool *pool, const PoolKey *key, Stripe *stripe,
				 const PoolTerms *terms)
{
	int			nterms = pool->shape->layout->nterms;
	int			columns[SHAPE_MAX_TERMS];
	Datum		values[SHAPE_MAX_TERMS];
	bool		isnull[SHAPE_MAX_TERMS];
	RowVersion	version;

	if (!pin_to_write(pool, key, stripe, &version))
		return STRIPE_GONE;
	for (int i = 0; i < nterms; i++)
	{
		columns[i] = pool->shape->term[i];
		values[i] = terms->value[i];
		isnull[i] = terms->isnull[i];
	}
	stripe->terms = *terms;
	return update_columns(pool, stripe, &version, nterms, columns, values,
						  isnull);
}

/*
 * Deletes the stripe with all its places, likewise; stripe->available then
 * tells how many they were.
 */
StripeResult
stripe_delete(Pool *pool, const PoolKey *key, Stripe *stripe)
{
	RowVersion	version;

	if (!pin_to_write(pool, key, stripe, &version))
		return STRIPE_GONE;
	ItemPointerSetInvalid(&stripe->tid);
	return result_of_write(row_version_delete(pool->rel, &version));
}

/* Inserts a stripe; raises 23505 if the pool has one of that number. */
void
stripe_insert(Pool *pool, const PoolKey *key, int32 number, int32 available,
			  const PoolTerms *terms)
{
	const PoolShape *shape = pool->shape;
	RowWriter	writer;
	TupleTableSlot *slot;

	row_writer_open(&writer, pool->rel);
	slot = writer.slot;
	row_writer_begin_row(&writer, slot);
	for (int i = 0; i < shape->key.count; i++)
		row_writer_set(slot, shape->key.column[i].attnum, key->value[i]);
	row_writer_set(slot, shape->stripe, Int32GetDatum(number));
	row_writer_set(slot, shape->available, Int32GetDatum(available));
	for (int i = 0; i < shape->layout->nterms; i++)
	{
		if (!terms->isnull[i])
			row_writer_set(slot, shape->term[i], terms->value[i]);
	}
	row_writer_insert(&writer);
	row_writer_close(&writer);
	CommandCounterIncrement();
}

/* What a scan adds to. */
typedef struct SetScan
{
	const Pool *pool;
	StripeSet  *set;
	bool		foreign;		/* a row that we did not write was found */
} SetScan;

/*
 * Adds a row that the scan has found to the set.  The page is locked, so no
 * error is raised here: a message looks up names.
 */
static void
add_to_set(HeapTuple tuple, Buffer buffer, void *arg)
{
	SetScan    *scan = arg;
	StripeSet  *set = scan->set;
	Stripe	   *stripe;

	if (set->count == STRIPE_MAX_NUMBER)
	{
		scan->foreign = true;
		return;
	}
	stripe = &set->stripe[set->count];
	if (!read_stripe(scan->pool, tuple, stripe) || stripe->number < 0 ||
		stripe->number >= STRIPE_MAX_NUMBER)
	{
		scan->foreign = true;
		return;
	}
	stripe->seen_in = buffer;
	stripe->holder = InvalidTransactionId;
	set->total += stripe->available;
	set->count++;
}

/*
 * Reads all stripes of the pool that the snapshot sees.  Locks nothing.  The
 * caller keeps the snapshot registered for as long as it uses the set.
 */
void
stripe_read_all(Pool *pool, const PoolKey *key, Snapshot snapshot,
				StripeSet *set)
{
	const KeyColumns *columns = &pool->shape->key;
	ScanKeyData keys[KEY_MAX_COLUMNS];
	SetScan		scan = {pool, set, false};

	set->count = 0;
	set->total = 0;
	for (int i = 0; i < columns->count; i++)
	{
		FmgrInfo	function;

		key_equality_function(&columns->column[i], &function);
		ScanKeyEntryInitializeWithInfo(&keys[i], 0, (AttrNumber) (i + 1),
									   BTEqualStrategyNumber, InvalidOid,
									   columns->column[i].collation, &function,
									   key->value[i]);
	}
	row_version_scan(pool->rel, keys, columns->count, snapshot, add_to_set,
					 &scan);
	if (scan.foreign)
		error_foreign_row(pool);
}
