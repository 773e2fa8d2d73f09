/*-------------------------------------------------------------------------
 *
 * key.c
 *	  The key of a pool: one to four values of any type that btree compares.
 *
 * Keys of integers, which are the most, are compared and hashed without a
 * function call.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "pool/key.h"

/* True if equal values of the type are equal Datums. */
static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/* Describes a column of the key; its type must have a btree equality. */
void
key_init_column(KeyColumn *column, AttrNumber attnum, Oid type, Oid collation)
{
	column->attnum = attnum;
	column->collation = collation;
	get_typlenbyval(type, &column->typlen, &column->typbyval);

	/* entries of the type cache live as long as the session */
	column->type = is_integer(type) ?
		NULL :
		lookup_type_cache(type,
						  TYPECACHE_EQ_OPR_FINFO | TYPECACHE_HASH_PROC_FINFO);
}

/* Looks up the equality function of the column, for a scan key. */
void
key_equality_function(const KeyColumn *column, FmgrInfo *function)
{
	if (column->type != NULL)
		*function = column->type->eq_opr_finfo;
	else if (column->typlen == sizeof(int64))
		fmgr_info(F_INT8EQ, function);
	else if (column->typlen == sizeof(int32))
		fmgr_info(F_INT4EQ, function);
	else
		fmgr_info(F_INT2EQ, function);
}

/* True if the two values of the column are equal. */
bool
key_column_equal(const KeyColumn *column, Datum a, Datum b)
{
	if (column->type == NULL)
		return a == b;
	return DatumGetBool(FunctionCall2Coll(&column->type->eq_opr_finfo,
										  column->collation, a, b));
}

/* True if the two keys are equal. */
bool
key_equal(const KeyColumns *columns, const PoolKey *a, const PoolKey *b)
{
	for (int i = 0; i < columns->count; i++)
	{
		if (!key_column_equal(&columns->column[i], a->value[i], b->value[i]))
			return false;
	}
	return true;
}

/*
 * Returns the same number for equal keys.  A type without a hash function adds
 * nothing to it, so that all keys of such a column may have the same.
 */
uint32
key_hash(const KeyColumns *columns, const PoolKey *key)
{
	uint32		hash = 0;

	for (int i = 0; i < columns->count; i++)
	{
		const KeyColumn *column = &columns->column[i];
		uint32		one = 0;

		if (column->type == NULL)
			one = (uint32) key->value[i];
		else if (OidIsValid(column->type->hash_proc_finfo.fn_oid))
			one = DatumGetUInt32(
				FunctionCall1Coll(&column->type->hash_proc_finfo,
								  column->collation, key->value[i]));
		hash = i == 0 ? one : hash_combine(hash, one);
	}
	return hash;
}

/* Copies a key with the values that it refers to. */
void
key_copy(const KeyColumns *columns, const PoolKey *key, MemoryContext context,
		 PoolKey *copy)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	for (int i = 0; i < columns->count; i++)
		copy->value[i] = datumCopy(key->value[i], columns->column[i].typbyval,
								   columns->column[i].typlen);
	MemoryContextSwitchTo(old);
}

/* Returns the key as a message shows it, such as "(event_id)=(7)". */
char *
key_describe(const KeyColumns *columns, Relation rel, const PoolKey *key)
{
	TupleDesc	desc = RelationGetDescr(rel);
	StringInfoData names;
	StringInfoData values;

	initStringInfo(&names);
	initStringInfo(&values);
	for (int i = 0; i < columns->count; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc,
											  columns->column[i].attnum - 1);
		Oid			output;
		bool		is_varlena;

		getTypeOutputInfo(att->atttypid, &output, &is_varlena);
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "",
						 NameStr(att->attname));
		appendStringInfo(&values, "%s%s", i > 0 ? ", " : "",
						 OidOutputFunctionCall(output, key->value[i]));
	}
	return psprintf("(%s)=(%s)", names.data, values.data);
}
