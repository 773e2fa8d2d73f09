/*-------------------------------------------------------------------------
 *
 * result.h
 *	  Arrays of ids, and the rows that SQL functions return.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef RESULT_H
#define RESULT_H

#include "fmgr.h"

extern void result_prepare_row(FunctionCallInfo fcinfo);
extern Datum result_row(FunctionCallInfo fcinfo, Datum *values,
						bool *isnull);
extern Datum result_id_array(Datum *ids, int count);

#endif							/* RESULT_H */
