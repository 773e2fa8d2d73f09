/*-------------------------------------------------------------------------
 *
 * event.h
 *	  What the event table says of an event.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef EVENT_H
#define EVENT_H

#include "datatype/timestamp.h"

#include "tables/booking_call.h"

extern bool event_exists(BookingCall *call, int64 event_id);
extern bool event_has_tickets(BookingCall *call, int64 event_id);
extern bool event_has_live_holds(BookingCall *call, int64 event_id);
extern bool event_created_after(BookingCall *call, int64 event_id,
								TimestampTz time);
extern bool event_has_limit(BookingCall *call, int64 event_id);
extern bool event_any(BookingCall *call);
extern bool event_any_ticket_or_hold(BookingCall *call);
extern void event_read_hold_ttl(BookingCall *call, int64 event_id,
								Interval *ttl, Interval *max_ttl);
extern void event_forget_keys(BookingCall *call, int64 event_id);

#endif							/* EVENT_H */
