/*-------------------------------------------------------------------------
 *
 * key.c
 *	  The key of a pool: one to four values of any type that btree compares.
 *
 * Most keys are integers.  They are compared and hashed without a function
 * call.
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
	column->typid = type;
	column->collation = collation;
	get_typlenbyval(type, &column->typlen, &column->typbyval);

	/* entries of the type cache live as long as the session */
	column->type = is_integer(type) ?
		NULL :
		lookup_type_cache(type,
						  TYPECACHE_EQ_OPR_FINFO | TYPECACHE_CMP_PROC_FINFO |
							  TYPECACHE_HASH_PROC_FINFO);
}

/* Looks up the equality function of the column, for a scan key. */
void
key_equality_function(const KeyColumn *column, FmgrInfo *function)
{
	if (column->type != NULL)
		fmgr_info_copy(function, &column->type->eq_opr_finfo,
					   CurrentMemoryContext);
	else if (column->typlen == sizeof(int64))
		fmgr_info(F_INT8EQ, function);
	else if (column->typlen == sizeof(int32))
		fmgr_info(F_INT4EQ, function);
	else
		fmgr_info(F_INT2EQ, function);
}

/* True if the columns are the same: then keys of one are keys of the other. */
bool
key_same_columns(const KeyColumns *a, const KeyColumns *b)
{
	if (a->count != b->count)
		return false;
	for (int i = 0; i < a->count; i++)
	{
		if (a->column[i].attnum != b->column[i].attnum ||
			a->column[i].typid != b->column[i].typid ||
			a->column[i].collation != b->column[i].collation)
			return false;
	}
	return true;
}

/* Sets a value of the key, which may be toasted and must not be null. */
void
key_set(const KeyColumns *columns, PoolKey *key, int column, Datum value)
{
	key->value[column] = columns->column[column].typlen == -1 ?
		PointerGetDatum(PG_DETOAST_DATUM(value)) :
		value;
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

/* Returns a number below, at or above 0, as a sorts before, with or after b. */
int
key_compare(const KeyColumns *columns, const PoolKey *a, const PoolKey *b)
{
	int			order = 0;

	for (int i = 0; i < columns->count && order == 0; i++)
	{
		const KeyColumn *column = &columns->column[i];

		if (column->type == NULL)
			order = (int64) a->value[i] < (int64) b->value[i] ?
				-1 :
				(int64) a->value[i] > (int64) b->value[i];
		else
			order = DatumGetInt32(
				FunctionCall2Coll(&column->type->cmp_proc_finfo,
								  column->collation, a->value[i], b->value[i]));
	}
	return order;
}

/*
 * Returns the same number for equal keys.  Integers in a row have numbers in a
 * row, so that they don't meet in a table of that size.  A type without a hash
 * function adds nothing, so that all keys of such a column may have the same.
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
		{
			one = (uint32) (key->value[i] ^ (key->value[i] >> 32));
			if (columns->count > 1)
				one = murmurhash32(one);
		}
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
	{
		const KeyColumn *column = &columns->column[i];

		Assert(column->typlen != -1 ||
			   !VARATT_IS_EXTERNAL(DatumGetPointer(key->value[i])));
		copy->value[i] = datumCopy(key->value[i], column->typbyval,
								   column->typlen);
	}
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
