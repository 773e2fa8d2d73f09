/*-------------------------------------------------------------------------
 *
 * event.h
 *	  What the event table says (event.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef BOOKING_EVENT_H
#define BOOKING_EVENT_H

#include "pg_booking.h"

/* How many places there are of an event. */
typedef struct EventState
{
	int32		capacity;
	int64		available;
	int64		held;
} EventState;

extern bool booking_event_exists(BookingCall *call, int64 event_id);
extern bool booking_event_has_tickets(BookingCall *call, int64 event_id);
extern bool booking_event_has_holds(BookingCall *call, int64 event_id);
extern bool booking_event_has_limit(BookingCall *call, int64 event_id);
extern bool booking_any_ticket_or_hold(BookingCall *call);
extern void booking_read_hold_ttl(BookingCall *call, int64 event_id,
								  Interval *ttl, Interval *max_ttl);
extern void booking_forget_event(BookingCall *call, int64 event_id);
pg_noreturn extern void booking_raise_no_stripes(BookingCall *call,
												 int64 event_id);
extern void booking_give_or_raise(BookingCall *call, int64 event_id,
								  int32 quantity);
extern void booking_take_or_raise(BookingCall *call, int64 event_id,
								  int32 quantity, Claim *claim);
extern bool booking_read_event(BookingCall *call, int64 event_id,
							   EventState *state);
extern void booking_refill_inventory(BookingCall *call);
extern void booking_forget_all_events(BookingCall *call);

#endif							/* BOOKING_EVENT_H */
