/*-------------------------------------------------------------------------
 *
 * inventory.h
 *	  The pools of all events: read, fill and empty booking.inventory.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef INVENTORY_H
#define INVENTORY_H

#include "tables/booking_call.h"

/* The places of an event. */
typedef struct EventPlaces
{
	int32		capacity;		/* POOL_UNLIMITED if unlimited */
	bool		unlimited;
	int64		available;		/* those of expired holds included */
	int64		held;
	const char *closed;			/* "not_started", "ended", or NULL: is open */
} EventPlaces;

extern bool inventory_read(BookingCall *call, int64 event_id,
						   EventPlaces *places);
extern void inventory_refill(BookingCall *call);
extern void inventory_empty(BookingCall *call);

#endif							/* INVENTORY_H */
