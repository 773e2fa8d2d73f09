/*-------------------------------------------------------------------------
 *
 * reserve.h
 *	  Places that a transaction has taken ahead of their use (reserve.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef BOOKING_RESERVE_H
#define BOOKING_RESERVE_H

#include "pg_booking.h"

extern void reserve_init(void);
extern int64 reserve_places(int64 event_id);
extern bool reserve_use(int64 event_id, int32 quantity);
extern int32 reserve_wish(int64 event_id, int32 quantity);
extern void reserve_add(BookingCall *call, int64 event_id, int32 places);
extern bool reserve_keep(BookingCall *call, int64 event_id, int32 quantity);
extern bool reserve_was_used(void);
extern int64 reserve_forget(int64 event_id);
extern void reserve_note_gone(int64 event_id, int64 places);
extern int32 reserve_take_gone(int64 event_id, int32 places,
							   CommandId removed_in);
extern void reserve_give_back(BookingCall *call);

#endif							/* BOOKING_RESERVE_H */
