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

/* What tickets to insert. */
typedef struct NewTickets
{
	int64		event_id;
	int64		hold_id;		/* the hold that they come from, or 0 */
	Datum		user_id;		/* for whom all of them are */
	Datum	   *user_ids;		/* or each of them; else NULL */
} NewTickets;

extern void booking_insert_tickets(BookingCall *call, const NewTickets *new,
								   int32 quantity, Datum *ticket_ids);
extern Datum *booking_tickets_of_hold(BookingCall *call, int64 hold_id,
									  int *count);
extern bool booking_lock_ticket(int64 ticket_id, TicketState *state);
extern void booking_cancel_row(int64 event_id, int64 ticket_id);
extern TimestampTz booking_redeem_row(int64 ticket_id);
extern void booking_transfer_row(int64 ticket_id, Datum user_id);
extern int64 booking_settle_ahead(const BookingCall *call, int64 event_id,
								  const Datum *user_id, int64 places);
extern uint64 booking_execute_ahead(BookingPlan *plan, Datum *values,
									const char *nulls, int64 event_id,
									const Datum *user_id, int64 places);
extern void booking_check_rows(const char *table, uint64 rows,
							   uint64 expected, int column);

#endif							/* BOOKING_TICKET_H */
