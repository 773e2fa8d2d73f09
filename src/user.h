/*-------------------------------------------------------------------------
 *
 * user.h
 *	  Users' ids, of whichever type the tables have them (user.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef BOOKING_USER_H
#define BOOKING_USER_H

#include "pg_booking.h"

#include "utils/array.h"

/* In which form a function was called: the user's id as bigint or as text. */
typedef enum UserForm
{
	USER_BIGINT,
	USER_TEXT
} UserForm;

extern Datum user_id_argument(const BookingCall *call, FunctionCallInfo fcinfo,
							  int argno, UserForm form);
extern Datum *user_ids_argument(const BookingCall *call,
								FunctionCallInfo fcinfo, int argno,
								UserForm form, int *count);
extern bool user_id_equal(const BookingCall *call, Datum a, Datum b);
extern Datum user_id_copy(const BookingCall *call, Datum user_id);
extern ArrayType *user_id_array(const BookingCall *call, Datum *user_ids,
								int count);

#endif							/* BOOKING_USER_H */
