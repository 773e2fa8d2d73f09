/*-------------------------------------------------------------------------
 *
 * user_id.c
 *	  Users' ids, of the type that the tables have them in.
 *
 * The type of the columns is known at run time only.  A function with a user's
 * id has two forms, for a bigint and for a text.  A value of another type than
 * the columns is read by the input function of the columns' type, which raises
 * its own error for a bad value (22P02).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "tables/user_id.h"

/* True if a value in that form has the columns' type already. */
static bool
is_as_stored(const Call *call, UserForm form)
{
	return call->user_id_type == (form == USER_TEXT ? TEXTOID : INT8OID);
}

/* Converts a value of another type to the columns' type. */
static Datum
convert(const Call *call, Datum value, UserForm form)
{
	char	   *written = form == USER_TEXT ?
		TextDatumGetCString(value) :
		psprintf(INT64_FORMAT, DatumGetInt64(value));
	Oid			input;
	Oid			io_param;
	Datum		user_id;

	getTypeInputInfo(call->user_id_type, &input, &io_param);
	user_id = OidInputFunctionCall(input, written, io_param, -1);
	pfree(written);
	return user_id;
}

/* Returns an argument, a user's id, in the columns' type.  Raises 22P02. */
Datum
user_id_argument(const Call *call, FunctionCallInfo fcinfo, int argno,
				 UserForm form)
{
	return is_as_stored(call, form) ?
		PG_GETARG_DATUM(argno) :
		convert(call, PG_GETARG_DATUM(argno), form);
}

/*
 * Returns the elements of an argument, an array named user_ids, in the
 * columns' type, and their number in *count.  Raises 22004 if one is null, and
 * 22P02.
 */
Datum *
user_id_array_argument(const Call *call, FunctionCallInfo fcinfo, int argno,
					   UserForm form, int *count)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(argno);
	Datum	   *user_ids;

	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"user_ids\" must not contain nulls")));
	if (form == USER_TEXT)
		deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &user_ids,
						  NULL, count);
	else
		deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
						  TYPALIGN_DOUBLE, &user_ids, NULL, count);
	for (int i = 0; i < *count && !is_as_stored(call, form); i++)
	{
		CHECK_FOR_INTERRUPTS();
		user_ids[i] = convert(call, user_ids[i], form);
	}
	return user_ids;
}

/* True if the two ids are the same user's. */
bool
user_id_equal(const Call *call, Datum a, Datum b)
{
	int16		length;
	bool		by_value;

	get_typlenbyval(call->user_id_type, &length, &by_value);
	return datum_image_eq(a, b, by_value, length);
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
