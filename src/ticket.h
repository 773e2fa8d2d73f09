/*-------------------------------------------------------------------------
 *
 * ticket.h
 *	  The rows of the ticket table (ticket.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef BOOKING_TICKET_H
#define BOOKING_TICKET_H

#include "pg_booking.h"

#include "datatype/timestamp.h"

/* What a ticket's row says. */
typedef struct TicketState
{
	int64		event_id;
	bool		cancelled;
	bool		redeemed;
	TimestampTz redeemed_at;	/* where redeemed */
} TicketState;

extern void booking_insert_tickets(BookingCall *call, int64 event_id,
								   Datum user_id, int32 quantity,
								   Datum *ticket_ids);
extern bool booking_lock_ticket(int64 ticket_id, TicketState *state);
extern void booking_cancel_row(int64 event_id, int64 ticket_id);
extern TimestampTz booking_redeem_row(int64 ticket_id);
extern void booking_transfer_row(int64 ticket_id, Datum user_id);
extern int64 booking_settle_ahead(int64 event_id, int64 places);

#endif							/* BOOKING_TICKET_H */
