/*-------------------------------------------------------------------------
 *
 * row_trigger.c
 *	  The triggers of the constrained table and of the pool table.
 *
 * The condition of a constraint is in the WHEN clauses of its triggers: the
 * trigger that takes fires for a new row version that counts, the one that
 * gives for an old version that counted.  An UPDATE that changes nothing of
 * interest fires neither.
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
#include "executor/tuptable.h"
#include "storage/lmgr.h"
#include "utils/combocid.h"
#include "utils/rel.h"

#include "constraint/pending.h"
#include "constraint/policy.h"
#include "pool/prefetch.h"
#include "pool/remembered.h"
#include "pool/stripes.h"
#include "server/errors.h"

SQL_FUNCTION(booking_capacity_take);
SQL_FUNCTION(booking_capacity_give);
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

		Datum		value = slot_getattr(slot, column->attnum, &isnull);

		if (isnull)
			return false;
		key_set(&columns->key, key, i, value);
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

/* The places of a row; raises 23514 if they are negative. */
static int64
read_quantity(const TriggerColumns *columns, Relation rel,
			  TupleTableSlot *slot)
{
	bool		isnull;
	int64		quantity;

	if (columns->quantity == InvalidAttrNumber)
		return 1;
	quantity = integer_of(slot_getattr(slot, columns->quantity, &isnull),
						  columns->quantity_type);
	if (isnull)
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

/* True if an UPDATE has made the row expire sooner. */
static bool
expires_sooner(const TriggerColumns *columns, const TriggerData *data)
{
	bool		old_isnull;
	bool		new_isnull;
	Datum		old_expiry;
	Datum		new_expiry;

	if (columns->expires == InvalidAttrNumber ||
		!TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		return false;
	old_expiry = slot_getattr(data->tg_trigslot, columns->expires, &old_isnull);
	new_expiry = slot_getattr(data->tg_newslot, columns->expires, &new_isnull);
	return !new_isnull &&
		(old_isnull || DatumGetInt64(new_expiry) < DatumGetInt64(old_expiry));
}

/*
 * The trigger for new row versions that count: adds what the row takes to what
 * the statement takes.
 */
Datum
booking_capacity_take(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, "capacity_take", true);
	const TriggerColumns *columns = definition_columns(data);
	TupleTableSlot *slot = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ?
		data->tg_newslot :
		data->tg_trigslot;
	PoolKey		key;
	PendingKey *pending;

	if (!read_key(columns, slot, &key))
		PG_RETURN_POINTER(NULL);
	pending = pending_key(columns, &key);
	pending->taken += read_quantity(columns, data->tg_relation, slot);
	pending->touch |= expires_sooner(columns, data);
	PG_RETURN_POINTER(NULL);
}

/* The command of this transaction that has removed the old version of a row. */
static CommandId
removed_in(const TriggerData *data)
{
	HeapTupleHeader header = data->tg_trigtuple->t_data;

	if (!TransactionIdIsCurrentTransactionId(
			HeapTupleHeaderGetUpdateXid(header)))
		return InvalidCommandId;
	return HeapTupleHeaderGetCmax(header);
}

/* The trigger for old row versions that counted: likewise what it gives. */
Datum
booking_capacity_give(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, "capacity_give", true);
	const TriggerColumns *columns = definition_columns(data);
	PoolKey		key;
	int64		places;
	PendingKey *pending;

	if (!read_key(columns, data->tg_trigslot, &key))
		PG_RETURN_POINTER(NULL);
	places = read_quantity(columns, data->tg_relation, data->tg_trigslot);
	if (policy_accept_given(columns, &key, places))
		PG_RETURN_POINTER(NULL);
	pending = pending_key(columns, &key);
	pending->given += places;
	pending->removed_in = Min(pending->removed_in, removed_in(data));
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
	const KeyColumns *columns = &constraint->definition->shape.key;
	const char *table = strrchr(constraint->definition->table, '.');
	const char *column = NameStr(
		TupleDescAttr(RelationGetDescr(pool), columns->column[0].attnum - 1)
			->attname);

	table = table == NULL ? constraint->definition->table : table + 1;
	ereport(
		ERROR,
		(errcode(ERRCODE_CHECK_VIOLATION),
		 errmsg(
			 "new row for relation \"%s\" violates capacity constraint \"%s\"",
			 table, constraint->definition->name),
		 errdetail("Key %s: capacity %d, places left " INT64_FORMAT
				   ", asked for " INT64_FORMAT ".",
				   key_describe(columns, pool, &pending->key),
				   DatumGetInt32(terms->value[DEFINITION_TERM_CAPACITY]),
				   Max(claim->left, 0), pending->taken - pending->given),
		 err_generic_string(
			 PG_DIAG_SCHEMA_NAME,
			 pnstrdup(constraint->definition->table,
					  Max(table - constraint->definition->table - 1, 0))),
		 err_generic_string(PG_DIAG_TABLE_NAME, table),
		 err_generic_string(PG_DIAG_COLUMN_NAME, column),
		 err_generic_string(PG_DIAG_CONSTRAINT_NAME,
							constraint->definition->name)));
}

/* Raises 23503: the key has no pool, because the capacity table has no row. */
pg_noreturn static void
error_no_capacity(const CapacityConstraint *constraint,
				  const PendingKey *pending)
{
	const char *table = strrchr(constraint->definition->table, '.');

	table = table == NULL ? constraint->definition->table : table + 1;
	ereport(
		ERROR,
		(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
		 errmsg(
			 "insert or update on table \"%s\" violates capacity constraint \"%s\"",
			 table, constraint->definition->name),
		 errdetail("Key %s is not present in table %s.",
				   key_describe(&constraint->definition->shape.key,
								constraint->pool.rel, &pending->key),
				   constraint->definition->capacity_table),
		 errhint(
			 "If it is present, it was written without triggers: call booking.rebuild_capacity('%s').",
			 constraint->definition->name),
		 err_generic_string(
			 PG_DIAG_SCHEMA_NAME,
			 pnstrdup(constraint->definition->table,
					  Max(table - constraint->definition->table - 1, 0))),
		 err_generic_string(PG_DIAG_TABLE_NAME, table),
		 err_generic_string(PG_DIAG_CONSTRAINT_NAME,
							constraint->definition->name)));
}

/*
 * A constant capacity has a pool for each key that has had a row.  Creates the
 * pool of a new key, under a lock on the key's hash: of two sessions, the
 * second finds the pool of the first, or, if that rolls back, creates it.
 * Raises 40001 if the transaction's snapshot is older than the pool.
 */
static void
create_constant_pool(CapacityConstraint *constraint, const PoolKey *key)
{
	Pool	   *pool = &constraint->pool;
	PoolTerms	terms = {0};
	PoolTerms	found;
	int64		places;

	LockPage(pool->rel,
			 (BlockNumber) key_hash(&constraint->definition->shape.key, key),
			 ExclusiveLock);
	if (pool_read(pool, key, &places, &found))
		return;
	stripes_check_absence(pool, key);
	terms.value[DEFINITION_TERM_CAPACITY] =
		Int32GetDatum(constraint->definition->capacity);
	pool_create(pool, key, constraint->definition->capacity, &terms);
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
	if (result == POOL_MISSING && constraint->definition->is_constant)
	{
		create_constant_pool(constraint, &pending->key);
		result = pool_take(&constraint->pool, &pending->key, quantity, &claim);
	}
	if (result == POOL_MISSING)
		error_no_capacity(constraint, pending);
	if (result == POOL_SOLD_OUT || places > PG_INT32_MAX)
		error_no_place_left(constraint, pending, &claim);
}

/*
 * Gives the places of removed rows back.  If the key's row in the capacity
 * table was deleted, there is no pool to give them to.
 */
static void
settle_given(CapacityConstraint *constraint, const PendingKey *pending,
			 int64 places)
{
	places -= prefetch_take_lost(&constraint->pool, &pending->key,
								 (int32) places, pending->removed_in);
	if (places > 0)
		(void) pool_give(&constraint->pool, &pending->key, (int32) places);
}

/* Settles one key: what its rows give comes before what they take. */
static void
settle(CapacityConstraint *constraint, const PendingKey *pending)
{
	int64		net = pending->taken - pending->given;

	if (constraint->definition->on_expiry[0] != '\0')
		remembered_note_reclaim(&constraint->pool, &pending->key);
	if (pending->touch)
		(void) pool_touch(&constraint->pool, &pending->key);
	if (net > 0)
		settle_taken(constraint, pending, net);
	else if (net < 0)
		settle_given(constraint, pending, -net);
}

/*
 * The trigger of the pool table, at the end of a statement: takes and gives
 * what its rows add up to, keys ascending.  Raises 23514, 23503.
 */
Datum
booking_capacity_settle(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, "capacity_settle", false);
	PendingBatch *batch = pending_end(RelationGetRelid(data->tg_relation));
	CapacityConstraint	constraint;
	PendingKey **sorted;
	int			count;

	if (batch == NULL)
		PG_RETURN_POINTER(NULL);
	call_check_may_write("capacity constraint");
	definition_open(&constraint,
					table_open(batch->pool, RowExclusiveLock),
					&policy_callbacks);
	sorted = pending_sort(batch, &constraint.definition->shape.key, &count);
	for (int i = 0; i < count; i++)
		settle(&constraint, sorted[i]);
	definition_close(&constraint);
	pending_free(batch);
	PG_RETURN_POINTER(NULL);
}
