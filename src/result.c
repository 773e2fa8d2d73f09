/*-------------------------------------------------------------------------
 *
 * result.c
 *	  Arrays of ids, and the rows that SQL functions return.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "result.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/memutils.h"

/*
 * The row type of the function's result.  It is looked up once a session, for
 * what a function returns can't change while its OID lives; of those that have
 * been dropped the oldest is forgotten.
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
 * Gets ready to return a row.  To be called before any table is locked: while
 * a call waits for that, its function may be dropped, and what it returns be
 * forgotten.
 */
void
composite_result_begin(FunctionCallInfo fcinfo)
{
	(void) result_desc(fcinfo);
}

/* Builds the function's composite result. */
Datum
composite_result(FunctionCallInfo fcinfo, Datum *values, bool *isnull)
{
	return HeapTupleGetDatum(heap_form_tuple(result_desc(fcinfo), values,
											 isnull));
}

/* Ids (bigint) as an array. */
Datum
id_array(Datum *ids, int count)
{
	return PointerGetDatum(construct_array(ids, count, INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
