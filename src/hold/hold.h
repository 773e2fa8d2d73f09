/*-------------------------------------------------------------------------
 *
 * hold.h
 *	  The rows of the hold table.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef HOLD_H
#define HOLD_H

#include "datatype/timestamp.h"
#include "storage/itemptr.h"

#include "server/compat.h"
#include "server/plan.h"
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
	ItemPointerData tid;		/* the version that was locked; invalid if it
								 * was not, or if users' code has run since */
} Hold;

/* Holds that were locked in order to end them. */
typedef struct HoldSet
{
	int			count;
	Hold	   *hold;
} HoldSet;

/* What a statement for hold_lock_all() selects. */
#define HOLD_COLUMNS \
	"hold_id, event_id, user_id, quantity, expires_at, created_at, ended_at," \
	" confirmed_at IS NOT NULL"

extern void hold_note_change(BookingCall *call, int64 event_id);
extern int64 hold_insert(BookingCall *call, int64 event_id, Datum user_id,
						 int32 quantity, TimestampTz expires_at);
extern bool hold_read(BookingCall *call, int64 hold_id, Hold *hold);
extern bool hold_lock(BookingCall *call, int64 hold_id, Hold *hold);
extern void hold_lock_all(BookingCall *call, SqlPlan *plan, Datum *values,
						  HoldSet *set);
extern bool hold_has_expired(const Hold *hold);
extern void hold_end(BookingCall *call, Hold *hold);
extern void hold_end_all(BookingCall *call, const Hold *hold, int count,
						 int64 places);
extern void hold_confirm(BookingCall *call, Hold *hold);
extern void hold_extend(BookingCall *call, Hold *hold, TimestampTz expires_at);
extern void hold_change(BookingCall *call, Hold *hold, int32 quantity,
						Datum user_id);
extern bool hold_find_same(BookingCall *call, int64 event_id, Datum user_id,
						   int32 quantity, Hold *hold);
pg_noreturn extern void hold_error_state(int64 hold_id, const char *refused,
										 const char *state);

#endif							/* HOLD_H */
