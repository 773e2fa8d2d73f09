/*-------------------------------------------------------------------------
 *
 * hold.h
 *	  The rows of the hold table, and their expiry.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef HOLD_H
#define HOLD_H

#include "datatype/timestamp.h"

#include "server/compat.h"
#include "tables/booking_call.h"

/* A row of the hold table. */
typedef struct Hold
{
	int64		hold_id;
	int64		event_id;
	Datum		user_id;		/* a copy */
	int32		quantity;
	TimestampTz expires_at;
	TimestampTz created_at;
	bool		ended;
	TimestampTz ended_at;		/* if it has */
	bool		confirmed;		/* by confirm_hold() */
} Hold;

extern void hold_init(void);
extern void hold_note_change(BookingCall *call, int64 event_id);
extern int64 hold_insert(BookingCall *call, int64 event_id, Datum user_id,
						 int32 quantity, TimestampTz expires_at);
extern bool hold_read(BookingCall *call, int64 hold_id, bool lock, Hold *hold);
extern bool hold_has_expired(const Hold *hold);
extern void hold_end(BookingCall *call, const Hold *hold);
extern void hold_confirm(BookingCall *call, const Hold *hold);
extern void hold_extend(BookingCall *call, const Hold *hold,
						TimestampTz expires_at);
pg_noreturn extern void hold_error_state(int64 hold_id, const char *refused,
										 const char *state);
extern int32 hold_sweep(BookingCall *call, int32 most);

#endif							/* HOLD_H */
