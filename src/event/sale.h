/*-------------------------------------------------------------------------
 *
 * sale.h
 *	  Taking places of an event by its sale rules, and giving them back.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef SALE_H
#define SALE_H

#include "event/sale_rules.h"
#include "pool/pool.h"
#include "server/compat.h"
#include "tables/booking_call.h"

typedef enum SaleResult
{
	SALE_DONE,
	SALE_SOLD_OUT,
	SALE_NO_EVENT,
	SALE_NOT_ON_SALE,
	SALE_USER_LIMIT,
	SALE_ORDER_SIZE
} SaleResult;

/* Rows that are written already, and hold places. */
typedef struct ClaimRows
{
	int			count;
	Datum	   *user_id;		/* for each row */
	int32	   *places;			/* that the user gets with it */
} ClaimRows;

/* For whom places are taken, which rules apply, and why they were refused. */
typedef struct Claim
{
	PoolClaim	pool;			/* must be first */
	int64		event_id;
	Datum		user_id;		/* unless there are rows */
	const ClaimRows *rows;		/* or NULL */
	bool		in_window;		/* only while the event is on sale */
	bool		within_limit;	/* only up to the limit per user */
	bool		is_order;		/* only as many as an order may have */

	bool		counted;		/* is owned known? */
	int64		owned;			/* places of the user; of the one with most */
	int64		asked;			/* of these by the rows; 0 without rows */
	SaleResult	refusal;		/* by the rules */
} Claim;

/* Expired holds can be reclaimed; hold/ offers how. */
typedef struct SaleReclaimer
{
	int64 (*expired_places)(BookingCall *call, int64 event_id,
							Snapshot snapshot, int64 most,
							TimestampTz *next_expiry);
	int64 (*end_expired)(BookingCall *call, int64 event_id,
						 int64 places, bool wait);
} SaleReclaimer;

/* The pool of an event, open. */
typedef struct SalePool
{
	Pool		pool;
	PoolKey		key;
} SalePool;

extern void sale_set_reclaimer(const SaleReclaimer *reclaimer);
extern void sale_open_pool(BookingCall *call, int64 event_id, SalePool *pool);
extern void sale_check_no_event(BookingCall *call, int64 event_id);
pg_noreturn extern void sale_raise_no_event(BookingCall *call, int64 event_id,
											const char *table);
extern SaleResult sale_take(BookingCall *call, int64 event_id, int32 quantity,
							Claim *claim);
extern void sale_take_or_raise(BookingCall *call, int64 event_id,
							   int32 quantity, Claim *claim,
							   const char *table);
extern void sale_check_order_size(BookingCall *call, int64 event_id,
								  int32 quantity);
extern bool sale_give(BookingCall *call, int64 event_id, int32 quantity);
extern void sale_give_or_raise(BookingCall *call, int64 event_id,
							   int32 quantity, const char *table);
pg_noreturn extern void sale_error_refused(int64 event_id, int32 quantity,
										   SaleResult refusal,
										   const Claim *claim);

#endif							/* SALE_H */
