/*-------------------------------------------------------------------------
 *
 * user_id.c
 *	  Users' ids, of the type that the tables have them in.
 *
 * The type of the columns is known at run time only.  A function with a user's
 * id has two forms in SQL, for text and for "any", and one in C.  PostgreSQL
 * chooses text for strings and for a value without a type: a literal, or a
 * parameter whose type the client leaves open.  It chooses "any" for the rest.
 *
 * A value of another type than the columns' is written as text and read by the
 * columns' type, which raises its own error for a bad value (22P02).
 *
 * Two ids are the same user's if the columns' type and collation call them
 * equal.  Among the three types, and by a deterministic collation, this is so
 * if their bytes are the same.  By a nondeterministic collation "ann" and "Ann"
 * can be one user.  All columns have one collation (inspect.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/sortsupport.h"
#include "utils/typcache.h"

#include "tables/user_id.h"

/*
 * Returns the type of an argument, or the declared type if the call doesn't
 * tell it, as by the protocol's function call message.
 */
static Oid
argument_type(FunctionCallInfo fcinfo, int argno)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, argno);
	Oid		   *declared;
	int			nargs;

	if (!OidIsValid(type))
	{
		(void) get_func_signature(fcinfo->flinfo->fn_oid, &declared, &nargs);
		type = declared[argno];
	}
	return type;
}

/*
 * Raises 42804 unless the type is one of numbers, strings, enums or the like of
 * uuid.  The text of other values depends on settings, has several parts, or is
 * none that one would write: a string in JSON has quotes.
 */
static void
check_type(Oid type)
{
	bool		allowed = type != BYTEAOID && type != JSONOID &&
		type != JSONBOID && type != XMLOID;

	switch (TypeCategory(type))
	{
		case TYPCATEGORY_NUMERIC:
		case TYPCATEGORY_STRING:
		case TYPCATEGORY_ENUM:
		case TYPCATEGORY_UNKNOWN:
		case TYPCATEGORY_USER:
			break;
		default:
			allowed = false;
	}
	if (!allowed)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("a user id cannot be of type %s",
						format_type_be(type))));
}

/*
 * Returns a value of that type in the columns' type.  Raises 22P02, 42804.
 */
static Datum
convert(const Call *call, Datum value, Oid type)
{
	Oid			base;
	Oid			function;
	Oid			io_param;
	bool		is_varlena;
	char	   *written;
	Datum		user_id;

	if (type == call->user_id_type)
		return value;
	if (type == INT4OID && call->user_id_type == INT8OID)
		return Int64GetDatum(DatumGetInt32(value)); /* often: a literal */
	if (IsBinaryCoercible(type, call->user_id_type))
		return value;
	base = getBaseType(type);
	check_type(base);
	if (base == BPCHAROID)		/* the blanks at its end are only padding */
		value = DirectFunctionCall1(rtrim1, value);
	getTypeOutputInfo(type, &function, &is_varlena);
	written = OidOutputFunctionCall(function, value);
	getTypeInputInfo(call->user_id_type, &function, &io_param);
	user_id = OidInputFunctionCall(function, written, io_param, -1);
	pfree(written);
	return user_id;
}

/*
 * Returns an argument, a user's id, in the columns' type.  Raises 22P02, 42804.
 */
Datum
user_id_argument(const Call *call, FunctionCallInfo fcinfo, int argno)
{
	return convert(call, PG_GETARG_DATUM(argno), argument_type(fcinfo, argno));
}

/*
 * Returns the elements of an argument, an array named user_ids, in the
 * columns' type, and their number in *count.  Raises 22004 if one is null, and
 * 22P02, 42804.
 */
Datum *
user_id_array_argument(const Call *call, FunctionCallInfo fcinfo, int argno,
					   int *count)
{
	ArrayType  *array;
	Oid			type;
	int16		length;
	bool		by_value;
	char		align;
	Datum	   *user_ids;

	if (argument_type(fcinfo, argno) == TEXTOID)
		array = DatumGetArrayTypeP(
			OidInputFunctionCall(F_ARRAY_IN,
								 TextDatumGetCString(PG_GETARG_DATUM(argno)),
								 call->user_id_type, -1));
	else
		array = PG_GETARG_ARRAYTYPE_P(argno);
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"user_ids\" must not contain nulls")));
	type = ARR_ELEMTYPE(array);
	get_typlenbyvalalign(type, &length, &by_value, &align);
	deconstruct_array(array, type, length, by_value, align, &user_ids, NULL,
					  count);
	for (int i = 0; i < *count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		user_ids[i] = convert(call, user_ids[i], type);
	}
	return user_ids;
}

/* True if the two ids are the same user's. */
bool
user_id_equal(const Call *call, Datum a, Datum b)
{
	int16		length;
	bool		by_value;

	if (!call->user_id_by_image)	/* only text has collations */
		return DatumGetBool(
			DirectFunctionCall2Coll(texteq, call->user_id_collation, a, b));
	get_typlenbyval(call->user_id_type, &length, &by_value);
	return datum_image_eq(a, b, by_value, length);
}

/*
 * True if the two arrays have the same users in the same order.  The array a
 * is ours, without nulls.
 */
bool
user_id_arrays_equal(const Call *call, ArrayType *a, ArrayType *b)
{
	Datum	   *a_ids;
	Datum	   *b_ids;
	bool	   *b_nulls;
	int			a_count;
	int			b_count;

	if (call->user_id_by_image)
		return datum_image_eq(PointerGetDatum(a), PointerGetDatum(b), false,
							  -1);
	deconstruct_array(a, TEXTOID, -1, false, TYPALIGN_INT, &a_ids, NULL,
					  &a_count);
	deconstruct_array(b, TEXTOID, -1, false, TYPALIGN_INT, &b_ids, &b_nulls,
					  &b_count);
	if (a_count != b_count)
		return false;
	for (int i = 0; i < a_count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (b_nulls[i] || !user_id_equal(call, a_ids[i], b_ids[i]))
			return false;
	}
	return true;
}

/* Returns a copy in the current memory context. */
Datum
user_id_copy(const Call *call, Datum user_id)
{
	int16		length;
	bool		by_value;

	get_typlenbyval(call->user_id_type, &length, &by_value);
	return datumCopy(user_id, by_value, length);
}

/* Returns that many ids as an array. */
ArrayType *
user_id_array(const Call *call, Datum *user_ids, int count)
{
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(call->user_id_type, &length, &by_value, &align);
	return construct_array(user_ids, count, call->user_id_type, length,
						   by_value, align);
}

/* An id and its place among the others. */
typedef struct PlacedId
{
	Datum		user_id;
	int			place;
} PlacedId;

/* Compares by the id, then by the place; for qsort_arg(). */
static int
compare_ids(const void *a, const void *b, void *sort)
{
	const PlacedId *first = a;
	const PlacedId *second = b;
	int			order = ApplySortComparator(first->user_id, false,
											second->user_id, false, sort);

	return order != 0 ? order : first->place - second->place;
}

/* Returns how the columns' type and collation order users' ids. */
static void
prepare_sort(const Call *call, SortSupport sort)
{
	TypeCacheEntry *type = lookup_type_cache(call->user_id_type,
											 TYPECACHE_LT_OPR);

	memset(sort, 0, sizeof(*sort));
	sort->ssup_cxt = CurrentMemoryContext;
	sort->ssup_collation = call->user_id_collation;
	PrepareSortSupportFromOrderingOp(type->lt_opr, sort);
}

/*
 * Fills *set from that many ids.  Its ids ascend as an index on a column of the
 * tables does, so all who lock several users do it in one order.  A statement
 * that compares set->alike by any collation finds the same users equal.
 */
void
user_id_set(const Call *call, Datum *user_ids, int count, UserIdSet *set)
{
	SortSupportData sort;
	PlacedId   *sorted = palloc_extended(Max(count, 1) * sizeof(PlacedId),
										 MCXT_ALLOC_HUGE);
	Datum	   *distinct = palloc_extended(Max(count, 1) * sizeof(Datum),
										   MCXT_ALLOC_HUGE);
	Datum	   *alike = palloc_extended(Max(count, 1) * sizeof(Datum),
										MCXT_ALLOC_HUGE);

	for (int i = 0; i < count; i++)
	{
		sorted[i].user_id = user_ids[i];
		sorted[i].place = i;
	}
	prepare_sort(call, &sort);
	qsort_arg(sorted, count, sizeof(PlacedId), compare_ids, &sort);
	set->count = 0;
	for (int i = 0; i < count; i++)
	{
		if (i == 0 ||
			!user_id_equal(call, sorted[i].user_id, distinct[set->count - 1]))
			distinct[set->count++] = sorted[i].user_id;
		alike[sorted[i].place] = distinct[set->count - 1];
	}
	set->distinct = user_id_array(call, distinct, set->count);
	set->alike = user_id_array(call, alike, count);
	pfree(sorted);
	pfree(distinct);
	pfree(alike);
}
