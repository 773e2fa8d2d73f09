/*-------------------------------------------------------------------------
 *
 * request.h
 *	  Idempotency keys.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef REQUEST_H
#define REQUEST_H

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/array.h"

#include "server/compat.h"
#include "tables/booking_call.h"

/* What a client asked for with a key, and what it was given. */
typedef struct Request
{
	text	   *key;			/* NULL: none was sent */
	int64		event_id;
	Datum		user_id;
	int32		quantity;
	bool		is_hold;		/* a hold was asked for, not tickets */
	bool		by_staff;		/* the staff books; the key doesn't know */
	Interval   *ttl;			/* of the hold; NULL: the event's */
	ArrayType  *user_ids;		/* of a batch; NULL: it is none */

	int			count;			/* of what was given */
	Datum	   *ids;			/* the tickets', or the hold's */
	TimestampTz expires_at;		/* of the hold */
	ArrayType  *statuses;		/* of a batch; without a ticket the id is 0 */
} Request;

extern text *request_key_argument(FunctionCallInfo fcinfo, int argno);
extern bool request_begin(BookingCall *call, Request *request);
extern void request_answer(BookingCall *call, const Request *request);
extern void request_withdraw(const Request *request);
pg_noreturn extern void request_error_alien(void);
extern void request_forget_all(BookingCall *call, bool is_hold);

#endif							/* REQUEST_H */
