/*-------------------------------------------------------------------------
 *
 * remembered.c
 *	  Where this session last saw a stripe of an event.
 *
 * What is remembered is a hint, the TID of a row version: that version is read
 * again and, if it is still the newest, written without looking into the
 * index.  That is what keeps a hot event fast while an old snapshot hinders
 * pruning.
 *
 * It also makes the refusals cheap.  When stripe 0 was the only one of its
 * event, with too few places, and no hold had expired, then that stays so for
 * as long as that version (its TID and who wrote it) is the newest: whatever
 * another transaction does to bring a place into the inventory, or to take one
 * out for a hold, writes it.  And no hold expires before the first of those
 * that were live then does.  (Our own transaction may do without writing it, by
 * its reserve, and may be rolled back; so what it has done is asked for.)
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "remembered.h"

#include "access/xact.h"
#include "utils/timestamp.h"

/* One place per event, by its id; a collision only costs an index scan. */
#define REMEMBERED_EVENTS 1024

static Remembered remembered[REMEMBERED_EVENTS];

/*
 * Has this transaction deleted a stripe, or changed a hold?  Then what it sees
 * may not be so any more after a roll-back, or to others.
 */
static bool seen_by_us_only = false;

/* The place for what is remembered of the event, whosever it is now. */
static Remembered *
remembered_place(int64 event_id)
{
	return &remembered[(uint64) event_id % REMEMBERED_EVENTS];
}

/* What is remembered of the event, or NULL. */
Remembered *
remembered_recall(int64 event_id)
{
	Remembered *place = remembered_place(event_id);

	if (place->event_id != event_id || !ItemPointerIsValid(&place->tid))
		return NULL;
	return place;
}

/*
 * Remembers a stripe of the event, that it is its only one, and that until
 * then no hold expires.
 */
void
remembered_note_all(int64 event_id, const Stripe *stripe, TimestampTz until)
{
	Remembered *place = remembered_place(event_id);

	place->event_id = event_id;
	place->tid = stripe->tid;
	place->seen_in = stripe->seen_in;
	place->xmin = stripe->xmin;
	place->rules = stripe->rules;
	place->all_until = seen_by_us_only ? DT_NOBEGIN : until;
}

/* Remembers a stripe of the event; an invalid TID forgets it. */
void
remembered_note(int64 event_id, const Stripe *stripe)
{
	remembered_note_all(event_id, stripe, DT_NOBEGIN);
}

/* This transaction has deleted a stripe. */
void
remembered_stripe_deleted(void)
{
	seen_by_us_only = true;
}

/* This transaction has changed a hold of the event. */
void
remembered_hold_changed(int64 event_id)
{
	Remembered *place = remembered_recall(event_id);

	if (place != NULL)
		place->all_until = DT_NOBEGIN;
	seen_by_us_only = true;
}

/* Forgets all stripes: the inventory may have been rewritten. */
void
remembered_forget_all(void)
{
	memset(remembered, 0, sizeof(remembered));
}

/* At the end of a transaction: what it deleted is no longer its own affair. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
		seen_by_us_only = false;
}

/* Registers the callback; once a session. */
void
remembered_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
}
