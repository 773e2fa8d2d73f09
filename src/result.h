/*-------------------------------------------------------------------------
 *
 * result.h
 *	  Arguments and results that several SQL functions have (result.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef BOOKING_RESULT_H
#define BOOKING_RESULT_H

#include "pg_booking.h"

/* In which form a function was called: the user's id as bigint or as text. */
typedef enum UserForm
{
	USER_BIGINT,
	USER_TEXT
} UserForm;

extern Datum user_id_argument(BookingCall *call, FunctionCallInfo fcinfo,
							  int argno, UserForm form);
extern Datum composite_result(FunctionCallInfo fcinfo, Datum *values,
							  bool *isnull);
extern Datum ids_result(Datum *ids, int count);

#endif							/* BOOKING_RESULT_H */
