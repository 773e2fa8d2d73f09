/*-------------------------------------------------------------------------
 *
 * request.h
 *	  Idempotency keys (request.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef BOOKING_REQUEST_H
#define BOOKING_REQUEST_H

#include "pg_booking.h"

/* What a client asked for under a key, and what it was given. */
typedef struct Request
{
	text	   *key;			/* NULL: it sent none */
	int64		event_id;
	Datum		user_id;
	int32		quantity;
	bool		is_hold;		/* for a hold, not for tickets */
	Interval   *ttl;			/* of the hold; NULL: the event's */

	int			count;			/* of what was given */
	Datum	   *ids;			/* the tickets', or the hold's */
	TimestampTz expires_at;		/* of the hold */
} Request;

extern text *request_key_argument(FunctionCallInfo fcinfo, int argno);
extern bool request_begin(BookingCall *call, Request *request);
extern void request_answer(BookingCall *call, const Request *request);
extern void request_withdraw(BookingCall *call, const Request *request);

#endif							/* BOOKING_REQUEST_H */
