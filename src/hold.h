/*-------------------------------------------------------------------------
 *
 * hold.h
 *	  The rows of the hold table, and their expiry (hold.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef BOOKING_HOLD_H
#define BOOKING_HOLD_H

#include "pg_booking.h"

/* What a hold's row says. */
typedef struct Hold
{
	int64		hold_id;
	int64		event_id;
	Datum		user_id;		/* in the memory context that reads it */
	int32		quantity;
	TimestampTz expires_at;
	TimestampTz created_at;
	bool		ended;
	TimestampTz ended_at;		/* where it has */
} Hold;

extern int64 hold_insert(BookingCall *call, int64 event_id, Datum user_id,
						 int32 quantity, TimestampTz expires_at);
extern bool hold_read(BookingCall *call, int64 hold_id, bool lock, Hold *hold);
extern bool hold_has_expired(const Hold *hold);
extern void hold_end(BookingCall *call, const Hold *hold);
extern void hold_confirm(BookingCall *call, const Hold *hold);
extern bool hold_is_being_confirmed(int64 hold_id);
extern void hold_extend(BookingCall *call, const Hold *hold,
						TimestampTz expires_at);
extern int64 hold_expired_places(BookingCall *call, int64 event_id,
								 Snapshot snapshot, int64 most,
								 TimestampTz *next_expiry);
extern int64 hold_end_expired(BookingCall *call, int64 event_id, int64 places,
							  bool wait);
extern int32 hold_sweep(BookingCall *call, int32 most);

#endif							/* BOOKING_HOLD_H */
