/*-------------------------------------------------------------------------
 *
 * settle.c
 *	  The trigger of the pool tables: judges a statement at its end.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "utils/rel.h"

#include "constraint/policy.h"
#include "constraint/settle.h"
#include "pool/guard.h"
#include "pool/prefetch.h"
#include "pool/remembered.h"
#include "server/errors.h"

SQL_FUNCTION(booking_capacity_settle);

/* Raises 23514: the key has fewer places left than the statement takes. */
pg_noreturn static void
error_no_place_left(const CapacityConstraint *constraint,
					const PendingKey *pending, const PoolClaim *claim)
{
	const PoolTerms *terms = &claim->terms;
	Relation	pool = constraint->pool.rel;
	const KeyColumns *columns = &constraint->shape.key;
	const char *schema;
	const char *table = definition_table_name(constraint, &schema);
	const char *column = NameStr(
		TupleDescAttr(RelationGetDescr(pool), columns->column[0].attnum - 1)
			->attname);

	ereport(
		ERROR,
		(errcode(ERRCODE_CHECK_VIOLATION),
		 errmsg(
			 "new row for relation \"%s\" violates capacity constraint \"%s\"",
			 table, constraint->name),
		 errdetail("Key %s: capacity %d, places left " INT64_FORMAT
				   ", asked for " INT64_FORMAT ".",
				   key_describe(columns, pool, &pending->key),
				   definition_capacity(terms),
				   Max(claim->left, 0), pending->taken - pending->given),
		 err_generic_string(PG_DIAG_SCHEMA_NAME, schema),
		 err_generic_string(PG_DIAG_TABLE_NAME, table),
		 err_generic_string(PG_DIAG_COLUMN_NAME, column),
		 err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint->name)));
}

/* Raises 23503: the key has no pool, because the capacity table has no row. */
pg_noreturn static void
error_no_capacity(const CapacityConstraint *constraint,
				  const PendingKey *pending)
{
	const char *schema;
	const char *table = definition_table_name(constraint, &schema);

	ereport(
		ERROR,
		(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
		 errmsg(
			 "insert or update on table \"%s\" violates capacity constraint \"%s\"",
			 table, constraint->name),
		 errdetail("Key %s is not present in table %s.",
				   key_describe(&constraint->shape.key, constraint->pool.rel,
								&pending->key),
				   constraint->capacity_table),
		 errhint(
			 "Insert that row first. If it is there already, it was written without triggers: call booking.rebuild_capacity('%s').",
			 constraint->name),
		 err_generic_string(PG_DIAG_SCHEMA_NAME, schema),
		 err_generic_string(PG_DIAG_TABLE_NAME, table),
		 err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint->name)));
}

/* Takes places for the rows of a key. */
static void
settle_taken(CapacityConstraint *constraint, const PendingKey *pending,
			 int64 places)
{
	PoolClaim	claim = {0};
	int32		quantity = (int32) Min(places, PG_INT32_MAX);
	PoolResult	result;

	result = pool_take(&constraint->pool, &pending->key, quantity, &claim);
	if (result == POOL_MISSING && constraint->is_constant)
	{
		definition_create_pool(constraint, &pending->key);
		result = pool_take(&constraint->pool, &pending->key, quantity, &claim);
	}
	if (result == POOL_MISSING ||
		(result == POOL_SOLD_OUT && definition_has_no_capacity(&claim.terms)))
		error_no_capacity(constraint, pending);
	if (result == POOL_SOLD_OUT || places > PG_INT32_MAX)
		error_no_place_left(constraint, pending, &claim);
}

/*
 * Gives the places of removed rows back.  If the key's row in the capacity
 * table was deleted, there is no pool to give them to.  There is none yet if a
 * trigger removes rows of an outer statement, which is the first to add rows of
 * the key.
 */
static void
settle_given(CapacityConstraint *constraint, const PendingKey *pending,
			 int64 places)
{
	places -= prefetch_give_lost(&constraint->pool, &pending->key, places);
	if (places > 0 &&
		!pool_give(&constraint->pool, &pending->key,
				   (int32) Min(places, PG_INT32_MAX)))
		(void) pending_give_outer(&constraint->pool, &pending->key, places);
}

/*
 * The statement may have lowered the capacity of a key.  Raises 23514 if that
 * is less than the places taken.
 */
static void
check_lowered(CapacityConstraint *constraint, const SettleKey *key)
{
	const PoolKey *pool_key = &key->pending.key;
	Relation	rel;
	PoolTerms	terms;
	int64		left;
	int32		capacity;

	if (!OidIsValid(key->lowered) || constraint->allow_excess ||
		!pool_read(&constraint->pool, pool_key, &left, &terms) ||
		left >= 0 || policy_count_rows(constraint, pool_key) == 0)
		return;
	capacity = definition_capacity(&terms);
	rel = table_open(key->lowered, NoLock);
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("new row for relation \"%s\" violates capacity constraint \"%s\"",
					RelationGetRelationName(rel), constraint->name),
			 errdetail("Key %s: capacity %d, places taken " INT64_FORMAT ".",
					   key_describe(&constraint->shape.key,
									constraint->pool.rel, pool_key),
					   capacity, capacity - left),
			 errhint("Remove rows first, or drop the constraint and add it again with allow_excess => true."),
			 errtablecol(rel, key->lowered_column),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint->name)));
}

/*
 * Settles one key: what its rows give comes before what they take.
 *
 * A row may expire before all others.  If then no stripe is written by taking,
 * one is, so that other sessions don't trust what they remember.
 */
static void
settle(CapacityConstraint *constraint, const PendingKey *pending)
{
	int64		net = pending->taken - pending->given;

	if (pending->touch && net <= 0)
		(void) pool_touch(&constraint->pool, &pending->key);
	if (net > 0)
		settle_taken(constraint, pending, net);
	else if (net < 0)
		settle_given(constraint, pending, -net);
}

/*
 * What can be reclaimed of a key may have become less, for this transaction
 * only.  That is noted for all keys first, because settling one may run
 * triggers of the user's that take places of another.
 */
static void
note_reclaimable(const CapacityConstraint *constraint, PendingKey **keys,
				 int count)
{
	if (constraint->on_expiry[0] == '\0')
		return;
	for (int i = 0; i < count; i++)
	{
		if (keys[i]->given > 0)
			remembered_note_reclaim(&constraint->pool, &keys[i]->key);
	}
}

/* Takes and gives what the rows of a batch add up to, keys ascending. */
static void
settle_batch(PendingBatch *batch)
{
	Relation	pool = try_table_open(batch->pool, RowExclusiveLock);
	CapacityConstraint	constraint;
	PendingKey **sorted;
	int			count;

	if (pool == NULL)
		return;					/* a trigger has dropped the constraint */
	call_check_may_write("capacity constraint");
	definition_open(&constraint, pool, &policy_callbacks);
	constraint.is_settling = true;
	sorted = pending_sort(batch, &constraint.shape.key, &count);
	note_reclaimable(&constraint, sorted, count);
	for (int i = 0; i < count; i++)
		settle(&constraint, sorted[i]);
	for (int i = 0; i < count; i++)
		check_lowered(&constraint, (SettleKey *) sorted[i]);
	definition_close(&constraint);
}

/* Returns what the statement does to a key so far. */
SettleKey *
settle_key(const TriggerColumns *columns, const PoolKey *key)
{
	PendingBatch *batch = pending_batch(columns->pool);

	if (batch == NULL)
	{
		Relation	pool = table_open(columns->pool, RowExclusiveLock);

		batch = pending_begin(pool, definition_pool_trigger(pool),
							  columns->expires == InvalidAttrNumber ?
								  PENDING_OTHER :
								  PENDING_EXPIRING,
							  settle_batch);
		table_close(pool, NoLock);
	}
	return (SettleKey *) pending_key(batch, &columns->key, key,
									 sizeof(SettleKey));
}

/*
 * Settles the statement that has fired the trigger of a pool table.  If it ends
 * expired rows for a statement that is being settled, that one settles what
 * they give of other pools.
 */
static void
settle_statement(void)
{
	if (policy_is_reclaiming())
		pending_leave_to_outer();
	else
		pending_settle();
}

/*
 * The trigger of a pool table is fired, which calls that function.  An INSERT
 * means the end of a statement that takes or gives places: settles it, and
 * returns NULL.  Otherwise a statement of the user's has changed the table:
 * returns its data, for the caller to refuse it; NULL if the guard is lifted.
 */
TriggerData *
settle_fired(FunctionCallInfo fcinfo, const char *function)
{
	TriggerData *data = call_trigger_data(fcinfo, function,
										  CALL_AFTER_INSERT |
											  CALL_AFTER_CHANGE |
											  CALL_AFTER_TRUNCATE);

	if (!TRIGGER_FIRED_BY_INSERT(data->tg_event))
		return guard_importing ? NULL : data;
	settle_statement();
	return NULL;
}

/* The trigger of a pool table.  Raises 23514, 23503, 55000. */
Datum
booking_capacity_settle(PG_FUNCTION_ARGS)
{
	TriggerData *data = settle_fired(fcinfo, "capacity_settle");

	if (data != NULL)
		guard_refuse(data,
					 "Its rows follow the tables of the constraint. booking.rebuild_capacity() computes them again.");
	PG_RETURN_POINTER(NULL);
}
