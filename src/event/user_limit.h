/*-------------------------------------------------------------------------
 *
 * user_limit.h
 *	  The limit per user: count his places at the event.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef USER_LIMIT_H
#define USER_LIMIT_H

#include "tables/booking_call.h"

extern int64 user_limit_count(BookingCall *call, int64 event_id,
							  Datum user_id);
extern int64 user_limit_count_most(BookingCall *call, int64 event_id,
								   Datum *user_ids, int32 *asked, int count,
								   int64 *asked_by_user);
extern int32 user_limit_judge(BookingCall *call, int64 event_id,
							  Datum *user_ids, int count, bool *over_limit);

#endif							/* USER_LIMIT_H */
