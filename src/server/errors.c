/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  SQLSTATEs, diagnostic fields, and the errors that all features raise.
 *
 * Refusals have SQLSTATEs of class 23, which every driver knows as an
 * integrity error; the SQL standard leaves subclasses from 5 to 9 and from I
 * to Z to the implementation.  Errors that PostgreSQL itself raises (40001,
 * 40P01, 55P03, 57014, 25006) are never caught and replaced, so that the retry
 * logic of clients works.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/memutils.h"

#include "server/errors.h"

/*
 * Sets the fields schema, table, column and constraint of the error that is
 * being reported; to be called within ereport().  column may be NULL.
 */
int
error_fields(const char *table, const char *column, const char *constraint)
{
	err_generic_string(PG_DIAG_SCHEMA_NAME, BOOKING_SCHEMA);
	err_generic_string(PG_DIAG_TABLE_NAME, table);
	if (column != NULL)
		err_generic_string(PG_DIAG_COLUMN_NAME, column);
	err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint);
	return 0;
}

/* Raises 22004 if argument number argno (from 0) is null. */
void
error_check_argument(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}

/*
 * Raises 22023 unless quantity (in places) is at least 1 and an array of that
 * many ids can be built.
 */
void
error_check_quantity(int32 quantity)
{
	int most = (int) ((MaxAllocSize - ARR_OVERHEAD_NONULLS(1)) / sizeof(int64));

	if (quantity < 1 || quantity > most)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("quantity must be between 1 and %d", most),
				 errdetail("The quantity asked for is %d.", quantity)));
}

/* Raises P0002: the table, ticket or hold, has no row with this id. */
void
error_no_row(const char *table, int64 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("%s " INT64_FORMAT " does not exist", table, id)));
}

/* Raises 55000: a trigger or rule changed or dropped a row that we wrote. */
void
error_row_changed(const char *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("a trigger or rule on booking.%s did not let a row be written as asked",
					table),
			 errhint("Such a trigger may raise an error, or fill in columns that you have added.")));
}

/*
 * Raises 40001: under REPEATABLE READ or SERIALIZABLE, a row was changed after
 * the transaction's snapshot was taken.  The message is PostgreSQL's, because
 * some clients look at it.
 */
void
error_conflict(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent update")));
}

/* Raises 42P01: create_tables() has not been called in this database. */
void
error_no_table(const char *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("table booking.%s does not exist", table),
			 errhint("Create the tables by SELECT booking.create_tables().")));
}

/* Raises 55000: a table can't be used as it is; the message names it. */
void
error_unusable(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_internal("%s", message),
			 errhint("%s", hint)));
}
