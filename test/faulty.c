/*-------------------------------------------------------------------------
 *
 * faulty.c
 *	  Faults that the tools must find.
 *
 * A tool that reports nothing may have found nothing, or may not work.  So each
 * tool must first find its fault here.  clang-tidy and scan-build must find the
 * division, and the sanitizers the overflows.  valgrind must find the reads of
 * memory that was never written or was freed, and a server with assertions the
 * assertion that fails.  The scripts that run these tools build this file, and
 * call its functions with the argument 4.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "server/compat.h"

PG_MODULE_MAGIC;

SQL_FUNCTION(faulty_division);
SQL_FUNCTION(faulty_array);
SQL_FUNCTION(faulty_sum);
SQL_FUNCTION(faulty_branch);
SQL_FUNCTION(faulty_free);
SQL_FUNCTION(faulty_assertion);

/* Divides by zero if the argument is 0, which it never is. */
Datum
faulty_division(PG_FUNCTION_ARGS)
{
	int32		n = PG_GETARG_INT32(0);

	if (n == 0)
		PG_RETURN_INT32(100 / n);
	PG_RETURN_INT32(n);
}

/* Writes beyond the end of an array on the stack. */
Datum
faulty_array(PG_FUNCTION_ARGS)
{
	volatile int32 array[4] = {1, 2, 3, 4};
	volatile int32 *volatile element = array;	/* hides the array */

	element += PG_GETARG_INT32(0);
	*element = 5;
	PG_RETURN_INT32(array[0]);
}

/* Overflows an integer. */
Datum
faulty_sum(PG_FUNCTION_ARGS)
{
	int32		n = PG_GETARG_INT32(0);

	PG_RETURN_INT32(n + PG_INT32_MAX);
}

/* Branches on memory that was never written. */
Datum
faulty_branch(PG_FUNCTION_ARGS)
{
	volatile int32 *array = palloc(PG_GETARG_INT32(0) * sizeof(int32));

	PG_RETURN_INT32(array[1] == 7 ? 1 : 2);
}

/* Reads memory that was freed. */
Datum
faulty_free(PG_FUNCTION_ARGS)
{
	volatile int32 *array = palloc0(PG_GETARG_INT32(0) * sizeof(int32));

	pfree((void *) array);
	PG_RETURN_INT32(array[1]);
}

/* Fails an assertion. */
Datum
faulty_assertion(PG_FUNCTION_ARGS)
{
	Assert(PG_GETARG_INT32(0) < 4);
	PG_RETURN_INT32(0);
}
