/*-------------------------------------------------------------------------
 *
 * row_trigger.c
 *	  The triggers of the constrained table and of the pool table.
 *
 * The triggers of the constrained table fire after each row that was inserted,
 * each that counted and was deleted, and each in which an UPDATE has changed
 * the key, the quantity, the expiry, or whether it counts.  Their WHEN clauses
 * see to that; the trigger for INSERT has none (condition.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

#include "constraint/pending.h"
#include "constraint/policy.h"
#include "pool/prefetch.h"
#include "pool/remembered.h"
#include "server/errors.h"

SQL_FUNCTION(booking_capacity_count);
SQL_FUNCTION(booking_capacity_settle);

/* Raises 39P01 unless the function is called by a trigger of the right kind. */
static TriggerData *
trigger_data(FunctionCallInfo fcinfo, const char *function, bool for_row)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		(TRIGGER_FIRED_FOR_ROW(data->tg_event) != 0) != for_row)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"booking.%s\" must be called by a trigger that booking.add_capacity_constraint() attaches",
						function)));
	return data;
}

/* Reads the key of a row; returns false if a column is null. */
static bool
read_key(const TriggerColumns *columns, TupleTableSlot *slot, PoolKey *key)
{
	for (int i = 0; i < columns->key.count; i++)
	{
		const KeyColumn *column = &columns->key.column[i];
		bool		isnull;

		key->value[i] = slot_getattr(slot, column->attnum, &isnull);
		if (isnull)
			return false;
		if (column->typlen == -1)
			key->value[i] = PointerGetDatum(PG_DETOAST_DATUM(key->value[i]));
	}
	return true;
}

/* An integer of any width. */
static int64
integer_of(Datum value, Oid type)
{
	return type == INT2OID ? DatumGetInt16(value) :
		type == INT4OID ? DatumGetInt32(value) :
		DatumGetInt64(value);
}

/*
 * The places of a row.  Raises 23514 if they are negative; those of a removed
 * row are 0 then, so that it can be removed.
 */
static int64
read_quantity(const TriggerColumns *columns, Relation rel,
			  TupleTableSlot *slot, bool removed)
{
	bool		isnull;
	int64		quantity;

	if (columns->quantity == InvalidAttrNumber)
		return 1;
	quantity = integer_of(slot_getattr(slot, columns->quantity, &isnull),
						  columns->quantity_type);
	if (isnull || (removed && quantity < 0))
		return 0;
	if (quantity < 0)
	{
		const char *column =
			NameStr(TupleDescAttr(RelationGetDescr(rel), columns->quantity - 1)
						->attname);

		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("new row for relation \"%s\" violates capacity constraint \"%s\"",
						RelationGetRelationName(rel), columns->name),
				 errdetail("Column \"%s\" is " INT64_FORMAT ": places can't be negative.",
						   column, quantity),
				 errtablecol(rel, columns->quantity),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, columns->name)));
	}
	return quantity;
}

/* Adds the places of a row to a sum; raises 22003 if that is too large. */
static void
add_places(int64 *sum, int64 places)
{
	if (pg_add_s64_overflow(*sum, places, sum))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("the places of one statement are out of range")));
}

/*
 * True if the new row version may be the next to expire: an old one did not
 * count, or expired later.
 */
static bool
may_expire_next(const TriggerColumns *columns, const TriggerData *data,
				TupleTableSlot *slot, bool old_counts)
{
	bool		old_isnull;
	bool		new_isnull;
	Datum		old_expiry;
	Datum		new_expiry;

	if (columns->expires == InvalidAttrNumber)
		return false;
	new_expiry = slot_getattr(slot, columns->expires, &new_isnull);
	if (new_isnull || !old_counts)
		return !new_isnull;
	old_expiry = slot_getattr(data->tg_trigslot, columns->expires, &old_isnull);
	return old_isnull || DatumGetInt64(new_expiry) < DatumGetInt64(old_expiry);
}

/* Adds what a new row version takes to what the statement takes. */
static void
take(TriggerColumns *columns, const TriggerData *data, TupleTableSlot *slot,
	 bool old_counts)
{
	PoolKey		key;
	PendingKey *pending;

	if (!condition_holds(&columns->condition, slot) ||
		!read_key(columns, slot, &key))
		return;
	pending = pending_key(columns, &key);
	add_places(&pending->taken,
			   read_quantity(columns, data->tg_relation, slot, false));
	pending->touch |= may_expire_next(columns, data, slot, old_counts);
}

/* Likewise what an old row version that counted gives. */
static void
give(const TriggerColumns *columns, const TriggerData *data)
{
	TupleTableSlot *slot = data->tg_trigslot;
	PoolKey		key;
	int64		places;

	if (!read_key(columns, slot, &key))
		return;
	places = read_quantity(columns, data->tg_relation, slot, true);
	if (policy_accept_given(columns, &key, places))
		return;
	add_places(&pending_key(columns, &key)->given, places);
}

/* The trigger of the constrained table, after each row. */
Datum
booking_capacity_count(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, "capacity_count", true);
	TriggerColumns *columns = definition_columns(data);

	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		take(columns, data, data->tg_trigslot, false);
	else if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		give(columns, data);
	else
	{
		bool		counted =
			condition_holds(&columns->condition, data->tg_trigslot);

		take(columns, data, data->tg_newslot, counted);
		if (counted)
			give(columns, data);
	}
	PG_RETURN_POINTER(NULL);
}

/* ---- the end of the statement ---- */

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
 * table was deleted, there is no pool to give them to.  A constant capacity has
 * none yet if a trigger removes rows of an outer statement, which is the first
 * to add rows of the key.
 */
static void
settle_given(CapacityConstraint *constraint, const PendingKey *pending,
			 int64 places)
{
	places -= prefetch_give_lost(&constraint->pool, &pending->key, places);
	if (places <= 0 ||
		pool_give(&constraint->pool, &pending->key,
				  (int32) Min(places, PG_INT32_MAX)) ||
		!constraint->is_constant ||
		!pending_takes(&constraint->pool, &pending->key))
		return;
	definition_create_pool(constraint, &pending->key);
	(void) pool_give(&constraint->pool, &pending->key,
					 (int32) Min(places, PG_INT32_MAX));
}

/*
 * The statement has lowered the capacity of a key.  Raises 23514 if that is
 * less than the places taken.
 */
static void
check_lowered(CapacityConstraint *constraint, const PendingKey *pending)
{
	Relation	rel;
	PoolTerms	terms;
	int64		left;
	int32		capacity;

	if (constraint->allow_excess ||
		!pool_read(&constraint->pool, &pending->key, &left, &terms) ||
		left >= 0 || policy_count_rows(constraint, &pending->key) == 0)
		return;
	capacity = definition_capacity(&terms);
	rel = table_open(pending->lowered, NoLock);
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("new row for relation \"%s\" violates capacity constraint \"%s\"",
					RelationGetRelationName(rel), constraint->name),
			 errdetail("Key %s: capacity %d, places taken " INT64_FORMAT ".",
					   key_describe(&constraint->shape.key,
									constraint->pool.rel, &pending->key),
					   capacity, capacity - left),
			 errhint("Remove rows first, or drop the constraint and add it again with allow_excess => true."),
			 errtablecol(rel, pending->lowered_column),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint->name)));
}

/*
 * Settles one key: what its rows give comes before what they take.
 *
 * What can be reclaimed of the key may have become less, for this transaction
 * only.  Or a row may expire before all others; if then no stripe is written by
 * taking, one is, so that other sessions don't trust what they remember.
 */
static void
settle(CapacityConstraint *constraint, const PendingKey *pending)
{
	int64		net = pending->taken - pending->given;

	if (constraint->on_expiry[0] != '\0' && pending->given > 0)
		remembered_note_reclaim(&constraint->pool, &pending->key);
	if (pending->touch && net <= 0)
		(void) pool_touch(&constraint->pool, &pending->key);
	if (net > 0)
		settle_taken(constraint, pending, net);
	else if (net < 0)
		settle_given(constraint, pending, -net);
	if (OidIsValid(pending->lowered))
		check_lowered(constraint, pending);
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
	definition_open(&constraint, pool, &policy_callbacks);
	sorted = pending_sort(batch, &constraint.shape.key, &count);
	for (int i = 0; i < count; i++)
		settle(&constraint, sorted[i]);
	definition_close(&constraint);
	pending_free(batch);
}

/*
 * The trigger of the pool table, at the end of a statement: settles all batches
 * of the statement.  Raises 23514, 23503.
 */
Datum
booking_capacity_settle(PG_FUNCTION_ARGS)
{
	PendingBatch *batch;

	(void) trigger_data(fcinfo, "capacity_settle", false);
	while ((batch = pending_end()) != NULL)
	{
		call_check_may_write("capacity constraint");
		settle_batch(batch);
	}
	PG_RETURN_POINTER(NULL);
}
