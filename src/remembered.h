/*-------------------------------------------------------------------------
 *
 * remembered.h
 *	  Where this session last saw a stripe of an event (remembered.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef BOOKING_REMEMBERED_H
#define BOOKING_REMEMBERED_H

#include "pg_booking.h"

typedef struct Remembered
{
	int64		event_id;
	ItemPointerData tid;		/* invalid: nothing is remembered here */
	Buffer		seen_in;		/* a hint: where its page was */
	TransactionId xmin;			/* of the version there */
	SaleRules	rules;			/* in that version */

	/*
	 * While this version is the newest, and until then, the event has no
	 * place but those in it.  DT_NOBEGIN: nothing is known of other places.
	 */
	TimestampTz all_until;
} Remembered;

extern void remembered_init(void);
extern Remembered *remembered_recall(int64 event_id);
extern void remembered_note(int64 event_id, const Stripe *stripe);
extern void remembered_note_all(int64 event_id, const Stripe *stripe,
								TimestampTz until);
extern void remembered_stripe_deleted(void);
extern void remembered_hold_changed(int64 event_id);
extern void remembered_forget_all(void);

#endif							/* BOOKING_REMEMBERED_H */
