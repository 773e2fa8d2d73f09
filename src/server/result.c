/*-------------------------------------------------------------------------
 *
 * result.c
 *	  Arrays of ids, and the rows that SQL functions return.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "server/result.h"

/*
 * Returns the row type of the function's result.  It is looked up once a
 * session, because the result type of an OID can't change.  When the array is
 * full the oldest entry is replaced.
 */
static TupleDesc
result_desc(FunctionCallInfo fcinfo)
{
	static struct
	{
		Oid			function;
		TupleDesc	desc;
	} known[8];
	static int	next = 0;
	int			place = next;
	TupleDesc	desc;
	MemoryContext old;

	for (int i = 0; i < (int) lengthof(known); i++)
	{
		if (known[i].function == fcinfo->flinfo->fn_oid)
			return known[i].desc;
	}

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		/* can't happen: the extension's script says so */
		elog(ERROR, "return type must be a row type");
	old = MemoryContextSwitchTo(TopMemoryContext);
	desc = BlessTupleDesc(CreateTupleDescCopy(desc));
	MemoryContextSwitchTo(old);
	if (known[place].desc != NULL)
		FreeTupleDesc(known[place].desc);
	known[place].function = fcinfo->flinfo->fn_oid;
	known[place].desc = desc;
	next = (place + 1) % (int) lengthof(known);
	return desc;
}

/*
 * Looks up the row type.  To be called before any table is locked: while the
 * call waits for a lock, its function may be dropped.
 */
void
result_prepare_row(FunctionCallInfo fcinfo)
{
	(void) result_desc(fcinfo);
}

/* Builds the row that the function returns. */
Datum
result_row(FunctionCallInfo fcinfo, Datum *values, bool *isnull)
{
	return HeapTupleGetDatum(heap_form_tuple(result_desc(fcinfo), values,
											 isnull));
}

/* Returns ids as a bigint array. */
Datum
result_id_array(Datum *ids, int count)
{
	return PointerGetDatum(construct_array(ids, count, INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
