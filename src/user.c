/*-------------------------------------------------------------------------
 *
 * user.c
 *	  Users' ids, of whichever type the tables have them.
 *
 * The columns' type is known at run time only.  A function with a user's id
 * has two forms, for a bigint and for a text; what is of another type than the
 * columns is read by the type's own input function, which raises what it
 * raises for a bad one (22P02).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "user.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

/* Is what comes in that form of the columns' type already? */
static bool
is_as_stored(const BookingCall *call, UserForm form)
{
	return call->tables.user_id_type == (form == USER_TEXT ? TEXTOID : INT8OID);
}

/* Reads an id that is not. */
static Datum
convert(const BookingCall *call, Datum value, UserForm form)
{
	char	   *written = form == USER_TEXT ?
		TextDatumGetCString(value) :
		psprintf(INT64_FORMAT, DatumGetInt64(value));
	Oid			input;
	Oid			io_param;
	Datum		user_id;

	getTypeInputInfo(call->tables.user_id_type, &input, &io_param);
	user_id = OidInputFunctionCall(input, written, io_param, -1);
	pfree(written);
	return user_id;
}

/* The argument, a user's id, as the tables have it.  22P02. */
Datum
user_id_argument(const BookingCall *call, FunctionCallInfo fcinfo, int argno,
				 UserForm form)
{
	return is_as_stored(call, form) ?
		PG_GETARG_DATUM(argno) :
		convert(call, PG_GETARG_DATUM(argno), form);
}

/*
 * The argument, an array named user_ids, as the tables have them; their number
 * in *count.  22004 where one of them is null, 22P02.
 */
Datum *
user_ids_argument(const BookingCall *call, FunctionCallInfo fcinfo, int argno,
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

/* Are the two of the same user? */
bool
user_id_equal(const BookingCall *call, Datum a, Datum b)
{
	int16		length;
	bool		by_value;

	get_typlenbyval(call->tables.user_id_type, &length, &by_value);
	return datum_image_eq(a, b, by_value, length);
}

/* A copy in the current memory context. */
Datum
user_id_copy(const BookingCall *call, Datum user_id)
{
	int16		length;
	bool		by_value;

	get_typlenbyval(call->tables.user_id_type, &length, &by_value);
	return datumCopy(user_id, by_value, length);
}

/* So many of them as an array. */
ArrayType *
user_id_array(const BookingCall *call, Datum *user_ids, int count)
{
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(call->tables.user_id_type, &length, &by_value, &align);
	return construct_array(user_ids, count, call->tables.user_id_type, length,
						   by_value, align);
}
