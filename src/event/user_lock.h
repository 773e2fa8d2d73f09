/*-------------------------------------------------------------------------
 *
 * user_lock.h
 *	  Locks a user at an event until the transaction ends.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef USER_LOCK_H
#define USER_LOCK_H

#include "utils/array.h"

#include "tables/booking_call.h"

extern void user_lock_one(BookingCall *call, int64 event_id, Datum user_id);
extern void user_lock_several(BookingCall *call, int64 event_id,
							  ArrayType *user_ids, int count);

#endif							/* USER_LOCK_H */
