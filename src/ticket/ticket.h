/*-------------------------------------------------------------------------
 *
 * ticket.h
 *	  The rows of the ticket table.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef TICKET_H
#define TICKET_H

#include "datatype/timestamp.h"

#include "tables/booking_call.h"

/* The state of a ticket. */
typedef struct TicketState
{
	int64		event_id;
	Datum		user_id;
	bool		has_user;		/* false: the owner has written a null */
	bool		cancelled;
	bool		redeemed;
	TimestampTz redeemed_at;	/* if it is redeemed */
} TicketState;

/* The tickets to insert. */
typedef struct NewTickets
{
	int64		event_id;
	int64		hold_id;		/* the hold that they come from, or 0 */
	Datum		user_id;		/* for whom all of them are */
	Datum	   *user_ids;		/* or for whom each of them is; else NULL */
	bool		by_staff;		/* the history has to say so */
	bool		over_limit;		/* the limit per user was ignored */
} NewTickets;

extern void ticket_insert(BookingCall *call, const NewTickets *new,
						  int32 quantity, Datum *ticket_ids);
extern Datum *ticket_ids_of_hold(BookingCall *call, int64 hold_id, int *count);
extern bool ticket_lock(BookingCall *call, int64 ticket_id,
						TicketState *state);
extern void ticket_cancel(BookingCall *call, int64 event_id, int64 ticket_id);
extern TimestampTz ticket_redeem(BookingCall *call, int64 ticket_id,
								 TimestampTz at);
extern void ticket_unredeem(BookingCall *call, int64 ticket_id);
extern void ticket_transfer(BookingCall *call, int64 ticket_id, Datum user_id);
extern void ticket_move(BookingCall *call, int64 ticket_id, int64 event_id);
extern void ticket_exchange(BookingCall *call, const int64 *ticket_ids,
							const TicketState *states);

#endif							/* TICKET_H */
