/*-------------------------------------------------------------------------
 *
 * faulty.c
 *	  Faults, for the tools that look for them.
 *
 * A tool that reports nothing may have nothing to report, or not be looking.
 * Before it is believed that pg_booking has none of these, it has to find them
 * here: clang-tidy and scan-build the division, the sanitizers the overflows,
 * valgrind what is read before it was written or after it was freed, a server
 * with assertions the one that fails.  Built by the scripts that run these
 * tools; each function is called with 4 by them.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(faulty_division);
PG_FUNCTION_INFO_V1(faulty_array);
PG_FUNCTION_INFO_V1(faulty_sum);
PG_FUNCTION_INFO_V1(faulty_branch);
PG_FUNCTION_INFO_V1(faulty_free);
PG_FUNCTION_INFO_V1(faulty_assertion);

/* Divides by zero, for an argument that nobody gives. */
Datum
faulty_division(PG_FUNCTION_ARGS)
{
	int32		n = PG_GETARG_INT32(0);

	if (n == 0)
		PG_RETURN_INT32(100 / n);
	PG_RETURN_INT32(n);
}

/* Writes behind the end of an array on the stack. */
Datum
faulty_array(PG_FUNCTION_ARGS)
{
	volatile int32 array[4] = {1, 2, 3, 4};
	volatile int32 *volatile element = array;	/* which hides the array */

	element += PG_GETARG_INT32(0);
	*element = 5;
	PG_RETURN_INT32(array[0]);
}

/* Adds more than an integer can hold. */
Datum
faulty_sum(PG_FUNCTION_ARGS)
{
	int32		n = PG_GETARG_INT32(0);

	PG_RETURN_INT32(n + PG_INT32_MAX);
}

/* Decides by what was never written. */
Datum
faulty_branch(PG_FUNCTION_ARGS)
{
	volatile int32 *array = palloc(PG_GETARG_INT32(0) * sizeof(int32));

	PG_RETURN_INT32(array[1] == 7 ? 1 : 2);
}

/* Reads what was freed. */
Datum
faulty_free(PG_FUNCTION_ARGS)
{
	volatile int32 *array = palloc0(PG_GETARG_INT32(0) * sizeof(int32));

	pfree((void *) array);
	PG_RETURN_INT32(array[1]);
}

/* Asserts what is not so. */
Datum
faulty_assertion(PG_FUNCTION_ARGS)
{
	Assert(PG_GETARG_INT32(0) < 4);
	PG_RETURN_INT32(0);
}
