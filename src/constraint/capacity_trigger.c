/*-------------------------------------------------------------------------
 *
 * capacity_trigger.c
 *	  The trigger of the capacity table, and TRUNCATE of either table.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

#include "constraint/definition.h"
#include "constraint/foreign_key.h"
#include "constraint/policy.h"
#include "constraint/settle.h"
#include "pool/prefetch.h"
#include "pool/remembered.h"
#include "server/errors.h"

SQL_FUNCTION(booking_capacity_changed);
SQL_FUNCTION(booking_capacity_truncated);

/* A row of the capacity table. */
typedef struct CapacityRow
{
	PoolKey		key;
	bool		has_key;		/* no column of the key is null */
	bool		unlimited;		/* the capacity is null */
	int32		capacity;		/* POOL_UNLIMITED if unlimited */
} CapacityRow;

/* Raises 23514 if the capacity is negative, or more than an integer. */
static void
check_capacity(const TriggerColumns *columns, Relation rel, int64 capacity)
{
	if (capacity < 0 || capacity > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("new row for relation \"%s\" violates capacity constraint \"%s\"",
						RelationGetRelationName(rel), columns->name),
				 errdetail("The capacity is " INT64_FORMAT "; it must be between 0 and %d, or null for unlimited.",
						   capacity, PG_INT32_MAX),
				 errtablecol(rel, columns->quantity),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, columns->name)));
}

/*
 * Reads the capacity of a row.  An old row may have been written without
 * triggers.  If its capacity is out of range, the pool has the nearest that is
 * not, so that the row can be corrected.
 */
static void
read_capacity(const TriggerColumns *columns, Relation rel, TupleTableSlot *slot,
			  bool is_old, CapacityRow *row)
{
	Datum		value = slot_getattr(slot, columns->quantity, &row->unlimited);
	int64		capacity;

	if (row->unlimited)
	{
		row->capacity = POOL_UNLIMITED;
		return;
	}
	if (columns->quantity_type == INT2OID)
		capacity = DatumGetInt16(value);
	else if (columns->quantity_type == INT4OID)
		capacity = DatumGetInt32(value);
	else
		capacity = DatumGetInt64(value);
	if (!is_old)
		check_capacity(columns, rel, capacity);
	row->capacity = (int32) Max(0, Min(capacity, PG_INT32_MAX));
}

/* Reads a row of the capacity table. */
static CapacityRow
read_row(const TriggerColumns *columns, Relation rel, TupleTableSlot *slot,
		 bool is_old)
{
	CapacityRow row = {.has_key = true};
	bool		isnull;

	for (int i = 0; i < columns->key.count; i++)
	{
		const KeyColumn *column = &columns->key.column[i];

		row.key.value[i] = slot_getattr(slot, column->attnum, &isnull);
		row.has_key = row.has_key && !isnull;
		if (!isnull && column->typlen == -1)
			row.key.value[i] =
				PointerGetDatum(PG_DETOAST_DATUM(row.key.value[i]));
	}
	read_capacity(columns, rel, slot, is_old, &row);
	return row;
}

/* The terms of a pool with the row's capacity. */
static PoolTerms
terms_of(const CapacityRow *row)
{
	PoolTerms	terms = {0};

	terms.value[DEFINITION_TERM_CAPACITY] = Int32GetDatum(row->capacity);
	terms.isnull[DEFINITION_TERM_CAPACITY] = row->unlimited;
	return terms;
}

/*
 * The places of a key may be fewer than its rows take.  That is judged at the
 * end of the statement, which may remove rows, too.
 */
static void
note_lowered(const TriggerColumns *columns, Relation rel,
			 const CapacityRow *row)
{
	SettleKey  *key = settle_key(columns, &row->key);

	key->lowered = RelationGetRelid(rel);
	key->lowered_column = columns->quantity;
}

/* Takes places from a pool whose capacity has become less. */
static void
lower_capacity(CapacityConstraint *constraint, const TriggerColumns *columns,
			   Relation rel, const CapacityRow *row, int64 places)
{
	Pool	   *pool = &constraint->pool;
	PoolClaim	claim = {0};

	if (pool_take(pool, &row->key, (int32) places, &claim) != POOL_SOLD_OUT)
		return;
	(void) pool_take_anyway(pool, &row->key, places);
	note_lowered(columns, rel, row);
}

/*
 * Gives the pool of a key the capacity of its row.  What changes is told by the
 * pool, because the old row may have been written without triggers.  Returns
 * false if the key has no pool.
 */
static bool
change_capacity(CapacityConstraint *constraint, const TriggerColumns *columns,
				Relation rel, const CapacityRow *row)
{
	Pool	   *pool = &constraint->pool;
	PoolTerms	terms = terms_of(row);
	PoolTerms	old;
	int64		more;

	if (!pool_set_terms(pool, &row->key, &terms, &old))
		return false;
	more = (int64) row->capacity - definition_capacity(&old);
	if (more > 0)
		(void) pool_give(pool, &row->key, (int32) more);
	else if (more < 0)
		lower_capacity(constraint, columns, rel, row, -more);
	return true;
}

/*
 * A row was added to the capacity table: creates its pool.  If this
 * transaction has dropped a pool of the key, rows of it may be left: a foreign
 * key that is deferred lets them, or their triggers have not fired yet.  If
 * the key had rows before it had a capacity, its pool is there.
 */
static void
row_added(CapacityConstraint *constraint, const TriggerColumns *columns,
		  Relation rel, const CapacityRow *row)
{
	Pool	   *pool = &constraint->pool;
	PoolTerms	terms = terms_of(row);
	int64		taken;

	if (!row->has_key)
		return;
	if (change_capacity(constraint, columns, rel, row))
	{
		note_lowered(columns, rel, row);
		return;
	}
	taken = prefetch_end_lost(pool, &row->key);
	pool_create(pool, &row->key, (int32) (row->capacity - taken), &terms);
	if (taken > row->capacity)
		note_lowered(columns, rel, row);
}

/*
 * A row was removed from the capacity table: drops its pool.  Raises 23503 if
 * rows of the key are left, unless a foreign key decides about them.
 */
static void
row_removed(CapacityConstraint *constraint, const TriggerColumns *columns,
			Relation rel, const CapacityRow *row)
{
	Pool	   *pool = &constraint->pool;
	int64		left;

	if (!row->has_key)
		return;
	if (pool_drop(pool, &row->key, &left))
	{
		if (left >= row->capacity)
			return;
		prefetch_note_lost(pool, &row->key, row->capacity - left);
	}
	if (foreign_key_decides(constraint, columns, rel) ||
		policy_count_rows(constraint, &row->key) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("update or delete on table \"%s\" violates capacity constraint \"%s\"",
					RelationGetRelationName(rel), constraint->name),
			 errdetail("Key %s is still referenced from table %s.",
					   key_describe(&constraint->shape.key,
									constraint->pool.rel, &row->key),
					   constraint->table),
			 errhint("Remove these rows first."),
			 errtable(rel),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint->name)));
}

/*
 * A row of the capacity table was updated.  is_ours: this transaction has
 * written the old row.  Then another trigger of the table may have updated the
 * row before this one was called for the old one, so the pool may still have an
 * older capacity, or may not be there.
 */
static void
row_updated(CapacityConstraint *constraint, const TriggerColumns *columns,
			Relation rel, const CapacityRow *old, const CapacityRow *new,
			bool is_ours)
{
	Pool	   *pool = &constraint->pool;
	int64		more = (int64) new->capacity - old->capacity;

	if (!old->has_key || !new->has_key ||
		!key_equal(&constraint->shape.key, &old->key, &new->key))
	{
		row_removed(constraint, columns, rel, old);
		row_added(constraint, columns, rel, new);
		return;
	}
	if (more == 0 && old->unlimited == new->unlimited && !is_ours)
		return;
	if (more < 0)
		(void) pool_reclaim_all(pool, &new->key);
	if (change_capacity(constraint, columns, rel, new))
		return;
	if (is_ours)
		row_added(constraint, columns, rel, new);
	else
		error_unusable(psprintf("key %s of capacity constraint \"%s\" has no pool",
								key_describe(&constraint->shape.key, pool->rel,
											 &new->key),
								constraint->name),
					   "Call booking.rebuild_capacity() for the constraint.");
}

/* Opens the constraint of a trigger. */
static const TriggerColumns *
open_constraint(CapacityConstraint *constraint, const TriggerData *data)
{
	const TriggerColumns *columns = definition_columns(data);

	call_check_may_write("capacity constraint");
	definition_open(constraint, table_open(columns->pool, RowExclusiveLock),
					&policy_callbacks);
	return columns;
}

/* What the trigger does after an UPDATE of a row. */
static void
apply_update(CapacityConstraint *constraint, const TriggerColumns *columns,
			 const TriggerData *data, const CapacityRow *old)
{
	Relation	rel = data->tg_relation;
	bool		valid = call_row_is_newest(data, data->tg_newslot);
	CapacityRow new = read_row(columns, rel, data->tg_newslot, !valid);

	if (valid)
		row_updated(constraint, columns, rel, old, &new,
					call_old_row_is_ours(data));
	else if (old->has_key &&
			 (!new.has_key ||
			  !key_equal(&constraint->shape.key, &old->key, &new.key)))
		row_removed(constraint, columns, rel, old);
}

/*
 * The trigger of the capacity table, after each row.  It may be left of a
 * constraint that was dropped by one who doesn't own this table: then it does
 * nothing.
 */
Datum
booking_capacity_changed(PG_FUNCTION_ARGS)
{
	TriggerData *data = call_trigger_data(fcinfo, "capacity_changed", CALL_AFTER_ROW);
	Relation	rel = data->tg_relation;
	CapacityConstraint	constraint;
	const TriggerColumns *columns;
	CapacityRow row;

	if (!definition_has_pool(data))
		PG_RETURN_POINTER(NULL);
	columns = open_constraint(&constraint, data);
	if (columns->quantity == InvalidAttrNumber)
		definition_error_not_ours(data->tg_trigger);
	row = read_row(columns, rel, data->tg_trigslot,
				   !TRIGGER_FIRED_BY_INSERT(data->tg_event));

	if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		row_removed(&constraint, columns, rel, &row);
	else if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		if (call_row_is_newest(data, data->tg_trigslot))
			row_added(&constraint, columns, rel, &row);
	}
	else
		apply_update(&constraint, columns, data, &row);
	definition_close(&constraint);
	PG_RETURN_POINTER(NULL);
}

/*
 * Raises 23503 if rows are left whose key has no capacity any more.  If both
 * tables were truncated there are none.
 */
static void
check_truncated(CapacityConstraint *constraint, Relation rel)
{
	const char *keys = constraint->is_constant ?
		NULL :
		policy_find_orphans(constraint);

	if (keys == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("cannot truncate table \"%s\" while there are rows of capacity constraint \"%s\"",
					RelationGetRelationName(rel), constraint->name),
			 errdetail("Keys are still referenced from table %s: %s.",
					   constraint->table, keys),
			 errhint("Truncate both tables with one statement."),
			 errtable(rel),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint->name)));
}

/*
 * The trigger of both tables after TRUNCATE: makes the pools of all keys
 * again. TRUNCATE has locked its table, so no row of it is in flight; rows of
 * the other table that are in flight have a stripe locked, and are waited for.
 * Raises 23503 if the capacity table was truncated and rows are left.
 */
Datum
booking_capacity_truncated(PG_FUNCTION_ARGS)
{
	TriggerData *data = call_trigger_data(fcinfo, "capacity_truncated",
										  CALL_AFTER_TRUNCATE);
	CapacityConstraint	constraint;

	if (!definition_has_pool(data))
		PG_RETURN_POINTER(NULL);
	(void) open_constraint(&constraint, data);
	pool_flush(&constraint.pool);
	prefetch_forget_lost(constraint.shape.relid);
	policy_refill(&constraint);
	check_truncated(&constraint, data->tg_relation);
	remembered_forget_all();
	definition_close(&constraint);
	PG_RETURN_POINTER(NULL);
}
