/*-------------------------------------------------------------------------
 *
 * row_trigger.c
 *	  The triggers of the constrained table.
 *
 * They fire after each row that was inserted, each that counted and was
 * deleted, and each in which an UPDATE has changed the key, the quantity, the
 * expiry, or whether it counts.  Their WHEN clauses see to that; the trigger
 * for INSERT has none (condition.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

#include "constraint/policy.h"
#include "constraint/settle.h"
#include "server/errors.h"

SQL_FUNCTION(booking_capacity_count);

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
add_taken(int64 *sum, int64 places)
{
	if (pg_add_s64_overflow(*sum, places, sum))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("the places of one statement are out of range")));
}

/*
 * The same for a removed row.  The sum is cut at the end of its type, so that
 * rows that were written without triggers can be removed.
 */
static void
add_given(int64 *sum, int64 places)
{
	if (pg_add_s64_overflow(*sum, places, sum))
		*sum = PG_INT64_MAX;
}

/* True if the old row version had places of the key. */
static bool
had_places(const TriggerColumns *columns, const TriggerData *data,
		   const PoolKey *key)
{
	PoolKey		old_key;

	return read_key(columns, data->tg_trigslot, &old_key) &&
		key_equal(&columns->key, &old_key, key) &&
		read_quantity(columns, data->tg_relation, data->tg_trigslot, true) > 0;
}

/*
 * True if the new row version may be the next of its key to expire: an old one
 * did not count there, or expired later.
 */
static bool
may_expire_next(const TriggerColumns *columns, const TriggerData *data,
				TupleTableSlot *slot, const PoolKey *key, bool old_counts)
{
	bool		old_isnull;
	bool		new_isnull;
	Datum		old_expiry;
	Datum		new_expiry;

	if (columns->expires == InvalidAttrNumber)
		return false;
	new_expiry = slot_getattr(slot, columns->expires, &new_isnull);
	if (new_isnull || !old_counts || !had_places(columns, data, key))
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
	pending = &settle_key(columns, &key)->pending;
	add_taken(&pending->taken,
			  read_quantity(columns, data->tg_relation, slot, false));
	pending->touch |= may_expire_next(columns, data, slot, &key, old_counts);
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
	add_given(&settle_key(columns, &key)->pending.given, places);
}

/* The trigger of the constrained table, after each row. */
Datum
booking_capacity_count(PG_FUNCTION_ARGS)
{
	TriggerData *data = call_trigger_data(fcinfo, "capacity_count", CALL_AFTER_ROW);
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
