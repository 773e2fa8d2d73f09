/*-------------------------------------------------------------------------
 *
 * result.h
 *	  Arrays of ids, and the rows that SQL functions return (result.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef BOOKING_RESULT_H
#define BOOKING_RESULT_H

#include "pg_booking.h"

extern void composite_result_begin(FunctionCallInfo fcinfo);
extern Datum composite_result(FunctionCallInfo fcinfo, Datum *values,
							  bool *isnull);
extern Datum id_array(Datum *ids, int count);

#endif							/* BOOKING_RESULT_H */
