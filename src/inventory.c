/*-------------------------------------------------------------------------
 *
 * inventory.c
 *	  Take places of an event and give them back.
 *
 * A row lock lasts until the commit record is on disk.  One row for all places
 * of an event would therefore sell about one place per flush of the WAL.  So
 * the free places of an event lie in one or more rows, its stripes.
 *
 *	- A booking takes from a stripe that nobody has locked: the one that this
 *	  session used last, then any other.  Only when all that could serve it
 *	  are locked does it wait.
 *	- A booking that had to wait splits the stripe it then holds in two, so
 *	  that an event gets as many stripes as it has sessions that book at once.
 *	- A stripe without places is deleted.  Stripe 0 stays with the event.
 *
 * Numbers.  Stripes are numbered by the leaves of a binary trie over their
 * numbers' bits, lowest first: a stripe owns every number that agrees with
 * its own in the bits needed to tell it from all others.  To split, it flips
 * the lowest bit that it owns.  Two stripes differ in a bit that neither of
 * them owns, so two splits at the same time never make the same number; and
 * what a deleted stripe owned falls to its neighbours.
 *
 * Exactness.  New stripes are only made by splitting one that is locked for
 * it, and places are only added to stripes that exist.  So a snapshot taken
 * now shows every place that is not taken for good: transactions in flight
 * have taken places that it still shows, or are giving some back.  When it
 * shows too few, the answer is final, without a lock, a transaction id, or
 * WAL.  When it shows enough and all are locked, they are waited for, and
 * then everything is read anew.
 *
 * Memory.  Each session remembers where it last saw a stripe of an event (its
 * TID).  That version is read and, if it is still the newest, written without
 * looking into the index, which is what keeps a hot event fast while an old
 * snapshot hinders pruning.  When a scan has shown that stripe 0 is alone,
 * that is remembered with it, and holds for as long as that version (its TID
 * and who wrote it) is the newest: a split would have written it, a place
 * given back too.  So a sold-out event is refused by reading one row version.
 *
 * Many stripes at once.  Whoever needs more than one stripe (a quantity that
 * no single stripe has, the end of the event) locks stripe 0 first, and only
 * then others.  So among those there is one at a time, and nobody else waits
 * for a stripe while holding one taken in the same call: no deadlock.
 *
 * Isolation.  Under REPEATABLE READ and SERIALIZABLE the transaction's
 * snapshot shows the stripes, nothing remembered is used but what it wrote
 * itself, and a stripe that was changed since is 40001; so is a refusal that
 * the newest state does not support.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "reserve.h"

/* Where this session last saw a stripe of an event. */
typedef struct Remembered
{
	int64		event_id;
	ItemPointerData tid;		/* invalid: nothing is remembered here */
	TransactionId xmin;			/* of the version there */
	Buffer		seen_in;		/* where its page was; a hint */
	bool		alone;			/* it was the event's only stripe then */
} Remembered;

/* One place per event, by its id; a collision only costs an index scan. */
#define REMEMBERED_EVENTS 1024

static Remembered remembered[REMEMBERED_EVENTS];

/*
 * Has this transaction deleted a stripe?  Then what it sees as alone may not be
 * so any more after a roll-back, or to others.
 */
static bool stripe_was_deleted = false;

/* The place for what is remembered of the event, whosever it is now. */
static Remembered *
remembered_place(int64 event_id)
{
	return &remembered[(uint64) event_id % REMEMBERED_EVENTS];
}

/* What is remembered of the event, or NULL. */
static Remembered *
recall(int64 event_id)
{
	Remembered *place = remembered_place(event_id);

	if (place->event_id != event_id || !ItemPointerIsValid(&place->tid))
		return NULL;
	return place;
}

/* Remembers a stripe of the event; an invalid TID forgets it. */
static void
remember(int64 event_id, const Stripe *stripe, bool alone)
{
	Remembered *place = remembered_place(event_id);

	place->event_id = event_id;
	place->tid = stripe->tid;
	place->xmin = stripe->xmin;
	place->seen_in = stripe->seen_in;
	place->alone = alone && !stripe_was_deleted;
}

/* Forgets all stripes: the inventory may have been rewritten. */
void
booking_forget_stripes(void)
{
	memset(remembered, 0, sizeof(remembered));
}

/* At the end of a transaction: what it deleted is no longer its own affair. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
		stripe_was_deleted = false;
}

/* Registers the callback; once a session. */
void
booking_inventory_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
}

/* Remembers the stripe that was just changed, and whether it was deleted. */
static void
changed(int64 event_id, Stripe *stripe, bool alone)
{
	if (!ItemPointerIsValid(&stripe->tid))
		stripe_was_deleted = true;
	remember(event_id, stripe, alone);
}

/*
 * Reads the stripes with a snapshot as new as the isolation level allows.
 * Returns it registered: while it is, the TIDs in the set stay what they are.
 */
static Snapshot
read_stripes(BookingCall *call, int64 event_id, StripeSet *set)
{
	Snapshot	snapshot = RegisterSnapshot(GetTransactionSnapshot());

	stripe_read_all(call, event_id, snapshot, set);
	return snapshot;
}

/*
 * Changes the remembered stripe, where it is there and free.  STRIPE_SHORT:
 * it is the event's only one and has too few places, *left; so it is final.
 * Anything else: read all stripes.
 */
static StripeChange
change_remembered(BookingCall *call, int64 event_id, int64 delta, int64 *left)
{
	Remembered *place = recall(event_id);
	Stripe		stripe;
	StripeChange result;
	int32		more = 0;
	bool		alone;

	if (place == NULL ||
		(IsolationUsesXactSnapshot() &&
		 !TransactionIdIsCurrentTransactionId(place->xmin)))
		return STRIPE_GONE;
	stripe.tid = place->tid;
	stripe.xmin = place->xmin;
	stripe.seen_in = place->seen_in;
	if (delta < 0)
		more = reserve_wish(event_id, (int32) -delta);
	result = stripe_change(call, event_id, &stripe, delta, &more, false);

	if (result == STRIPE_CHANGED)
	{
		changed(event_id, &stripe, false);
		reserve_add(call, event_id, more);
		return result;
	}
	if (result != STRIPE_SHORT)
		return STRIPE_GONE;

	/*
	 * Where others have written it since, it may have been split.  The TID
	 * alone does not tell: pruning may have given it to a later version.
	 */
	alone = place->alone && stripe.number == 0 &&
		ItemPointerEquals(&stripe.tid, &place->tid) &&
		TransactionIdEquals(stripe.xmin, place->xmin);
	*left = stripe.available;
	return alone ? STRIPE_SHORT : STRIPE_GONE;
}

/*
 * Changes any stripe of the set that is free, beginning with one that other
 * sessions do not begin with.  Those that are locked get their holder noted.
 */
static StripeChange
change_any_free(BookingCall *call, int64 event_id, StripeSet *set, int64 delta)
{
	int			first = booking_session_number() % set->count;

	for (int i = 0; i < set->count; i++)
	{
		Stripe	   *stripe = &set->stripe[(first + i) % set->count];

		if (stripe->available + delta < 0)
			continue;
		if (stripe_change(call, event_id, stripe, delta, NULL, false) ==
			STRIPE_CHANGED)
		{
			changed(event_id, stripe, set->count == 1);
			return STRIPE_CHANGED;
		}
	}
	return STRIPE_BUSY;
}

/* How many of the locked stripes have a younger transaction as their holder? */
static int
younger_holders(const StripeSet *set, TransactionId holder)
{
	int			younger = 0;

	for (int i = 0; i < set->count; i++)
	{
		if (TransactionIdIsValid(set->stripe[i].holder) &&
			TransactionIdFollows(set->stripe[i].holder, holder))
			younger++;
	}
	return younger;
}

/*
 * The stripe to wait for when all that would do are locked, or NULL: one held
 * by a transaction of the younger half, so that a session that left its
 * transaction open does not hold up everybody else.
 */
static Stripe *
choose_busy(StripeSet *set, int64 delta)
{
	int			first = booking_session_number() % set->count;
	int			busy = 0;

	for (int i = 0; i < set->count; i++)
		busy += TransactionIdIsValid(set->stripe[i].holder);
	for (int i = 0; i < set->count; i++)
	{
		Stripe	   *stripe = &set->stripe[(first + i) % set->count];

		if (stripe->available + delta >= 0 &&
			TransactionIdIsValid(stripe->holder) &&
			younger_holders(set, stripe->holder) < (busy + 1) / 2)
			return stripe;
	}
	return NULL;
}

/*
 * Changes a stripe that is locked, after waiting for who has it.  Anything
 * but STRIPE_CHANGED: look again.  This is where lock_timeout (55P03), a
 * cancelled statement (57014) and a deadlock (40P01) are raised.
 */
static StripeChange
change_after_wait(BookingCall *call, int64 event_id, StripeSet *set,
				  int64 delta)
{
	Stripe	   *stripe = choose_busy(set, delta);
	StripeChange result;

	if (stripe == NULL)
		return STRIPE_GONE;
	result = stripe_change(call, event_id, stripe, delta, NULL, true);
	if (result == STRIPE_CHANGED)
		changed(event_id, stripe, set->count == 1);
	return result;
}

/* How many of the lowest bits tell the stripe from all the others? */
static int
bits_needed(const StripeSet *set, int32 number)
{
	int			bits = 0;

	for (int i = 0; i < set->count; i++)
	{
		uint32		difference = (uint32) (set->stripe[i].number ^ number);

		while (difference != 0 && (difference & ((1U << bits) - 1)) == 0)
			bits++;
	}
	return bits;
}

/*
 * Splits the stripe that this transaction has just changed, which it
 * remembers, into two halves; where it has two places or more and the event
 * may have one more stripe.  The set is read anew: the proof above wants a
 * snapshot that was taken while the stripe was locked.
 */
static void
split(BookingCall *call, int64 event_id)
{
	Remembered *place = recall(event_id);
	Stripe	   *mine = NULL;
	ItemPointerData tid;
	StripeSet	set;
	Snapshot	snapshot;
	int			bits;

	if (place == NULL || IsolationUsesXactSnapshot())
		return;
	tid = place->tid;
	snapshot = read_stripes(call, event_id, &set);
	UnregisterSnapshot(snapshot);

	for (int i = 0; i < set.count && mine == NULL; i++)
	{
		if (ItemPointerEquals(&set.stripe[i].tid, &tid))
			mine = &set.stripe[i];
	}
	if (mine == NULL || mine->available < 2)
		return;
	bits = bits_needed(&set, mine->number);
	if (bits < BOOKING_MAX_STRIPE_BITS)
	{
		int32		number = mine->number ^ (1 << bits);
		int32		half = mine->available / 2;

		if (stripe_change(call, event_id, mine, -half, NULL, true) !=
			STRIPE_CHANGED)
			elog(ERROR, "inventory row that this transaction has locked was changed");
		stripe_insert(call, event_id, number, half);
		remember(event_id, mine, false);
	}
}

/*
 * Under an old snapshot, is the answer that it gives still true?  40001 where
 * the newest state has the places, or the event, that it does not show.
 */
static void
check_refusal(BookingCall *call, int64 event_id, int32 quantity,
			  const StripeSet *seen)
{
	StripeSet	newest;
	Snapshot	snapshot;

	if (!IsolationUsesXactSnapshot())
		return;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	stripe_read_all(call, event_id, snapshot, &newest);
	UnregisterSnapshot(snapshot);
	if ((newest.count == 0) != (seen->count == 0) ||
		(newest.count > 0 && newest.total >= quantity))
		booking_error_conflict();
}

/*
 * Locks stripe 0, which whoever needs several stripes does first.  False
 * where the event has gone meanwhile.
 */
static bool
lock_first_stripe(BookingCall *call, int64 event_id)
{
	for (;;)
	{
		StripeSet	set;
		Snapshot	snapshot = read_stripes(call, event_id, &set);
		StripeChange result;

		CHECK_FOR_INTERRUPTS();
		if (set.count == 0)
		{
			UnregisterSnapshot(snapshot);
			check_refusal(call, event_id, 0, &set);
			return false;
		}
		result = stripe_change(call, event_id, &set.stripe[0], 0, NULL, true);
		UnregisterSnapshot(snapshot);
		if (result == STRIPE_CHANGED && set.stripe[0].number == 0)
			return true;
		if (result == STRIPE_CHANGED)
			booking_error_shape("booking.inventory lacks a stripe 0 that pg_booking wrote.",
								"Call booking.rebuild_inventory() for every event that booking.verify() names.");
	}
}

/*
 * Takes places from one stripe after another, waiting for each, until missing
 * of them are found; returns how many are missing still.
 */
static int32
take_along(BookingCall *call, int64 event_id, StripeSet *set, int32 missing)
{
	for (int i = 0; i < set->count && missing > 0; i++)
	{
		Stripe	   *stripe = &set->stripe[i];
		int32		part = Min(stripe->available, missing);

		if (part > 0 &&
			stripe_change(call, event_id, stripe, -part, NULL, true) ==
				STRIPE_CHANGED)
		{
			changed(event_id, stripe, false);
			missing -= part;
		}
	}
	return missing;
}

/*
 * Takes a quantity that no single stripe has from several of them, all or
 * nothing; *left is what was found where that is too little.
 */
static TakeResult
gather(BookingCall *call, int64 event_id, int32 quantity, int64 *left)
{
	int32		missing = quantity;

	if (!lock_first_stripe(call, event_id))
		return TAKE_NO_EVENT;
	for (;;)
	{
		StripeSet	set;
		Snapshot	snapshot = read_stripes(call, event_id, &set);

		if (set.total >= missing)
			missing = take_along(call, event_id, &set, missing);
		else
		{
			/* stripe 0 is ours, so what was taken goes back without a wait */
			*left = set.total + (quantity - missing);
			if (stripe_change(call, event_id, &set.stripe[0],
							  quantity - missing, NULL, true) != STRIPE_CHANGED)
				elog(ERROR, "inventory row that this transaction has locked was changed");
			missing = -1;
		}
		UnregisterSnapshot(snapshot);
		if (missing <= 0)
			break;
		CHECK_FOR_INTERRUPTS();
	}
	return missing == 0 ? TAKE_DONE : TAKE_SOLD_OUT;
}

/*
 * Tries once to take the places, by all stripes as they are now.  Returns
 * true when there is an answer, in *result; false: others were quicker, or
 * were waited for (*waited): look again.
 */
static bool
take_once(BookingCall *call, int64 event_id, int32 quantity, bool *waited,
		  TakeResult *result, int64 *left)
{
	StripeSet	set;
	Snapshot	snapshot = read_stripes(call, event_id, &set);
	bool		one_has_enough = false;
	bool		answered = true;

	for (int i = 0; i < set.count; i++)
		one_has_enough |= set.stripe[i].available >= quantity;

	if (set.count == 0 || set.total < quantity)
	{
		check_refusal(call, event_id, quantity, &set);
		*result = set.count == 0 ? TAKE_NO_EVENT : TAKE_SOLD_OUT;
		*left = set.total;
		if (set.count > 0)
			remember(event_id, &set.stripe[0], set.count == 1);
	}
	else if (!one_has_enough)
		*result = gather(call, event_id, quantity, left);
	else if (change_any_free(call, event_id, &set, -(int64) quantity) ==
			 STRIPE_CHANGED)
		*result = TAKE_DONE;
	else
	{
		*waited = true;
		*result = TAKE_DONE;
		answered = change_after_wait(call, event_id, &set,
									 -(int64) quantity) == STRIPE_CHANGED;
	}
	UnregisterSnapshot(snapshot);
	return answered;
}

/*
 * Gives quantity places back to the event, to whichever stripe is free, else
 * after a wait.  False where the event has no inventory: then nothing is done.
 * A quantity of 0 locks a stripe, and so keeps the event where it is.
 */
bool
booking_give_now(BookingCall *call, int64 event_id, int32 quantity)
{
	StripeChange result;
	int64		left;

	result = change_remembered(call, event_id, quantity, &left);
	while (result != STRIPE_CHANGED)
	{
		StripeSet	set;
		Snapshot	snapshot = read_stripes(call, event_id, &set);

		CHECK_FOR_INTERRUPTS();
		if (set.count > 0)
		{
			result = change_any_free(call, event_id, &set, quantity);
			if (result != STRIPE_CHANGED)
				result = change_after_wait(call, event_id, &set, quantity);
		}
		else
			check_refusal(call, event_id, 0, &set);
		UnregisterSnapshot(snapshot);
		if (set.count == 0)
			return false;
	}
	return true;
}

/* Has this transaction written, and so locked, the remembered stripe? */
static bool
holds_stripe(int64 event_id)
{
	Remembered *place = recall(event_id);

	return place != NULL && TransactionIdIsCurrentTransactionId(place->xmin);
}

/* The same, in a transaction that gives many back: when it commits. */
bool
booking_give(BookingCall *call, int64 event_id, int32 quantity)
{
	if (quantity > 0 && holds_stripe(event_id) &&
		reserve_keep(call, event_id, quantity))
		return true;
	return booking_give_now(call, event_id, quantity);
}

/*
 * Takes quantity places (1 or more) of the event, all or none, and holds the
 * rows they came from locked until the transaction ends.
 *
 * TAKE_SOLD_OUT: fewer are left, *left of them; said only when it is true, also
 * of what others have taken and not yet committed.  TAKE_NO_EVENT: the event
 * has no inventory.  Neither locks anything, but after a search through
 * several stripes.  Raises 40001 as the isolation level demands, and whatever
 * waiting for a lock may raise.
 */
TakeResult
booking_take(BookingCall *call, int64 event_id, int32 quantity, int64 *left)
{
	bool		waited = false;
	TakeResult	result = TAKE_DONE;
	int64		reserved;

	if (reserve_use(event_id, quantity))
		return TAKE_DONE;
	reserved = reserve_forget(event_id);
	if (reserved > 0 && !booking_give_now(call, event_id, (int32) reserved))
		return TAKE_NO_EVENT;

	switch (change_remembered(call, event_id, -(int64) quantity, left))
	{
		case STRIPE_SHORT:
			return TAKE_SOLD_OUT;
		case STRIPE_CHANGED:
			break;
		default:
			while (!take_once(call, event_id, quantity, &waited, &result, left))
				CHECK_FOR_INTERRUPTS();
			break;
	}
	if (result == TAKE_DONE && (waited || booking_split_always))
		split(call, event_id);
	return result;
}

/*
 * Deletes all stripes of an event, waiting for whoever has one locked.  When
 * it returns nobody has taken a place that is not committed, and nobody can
 * take another.
 */
void
booking_drop_stripes(BookingCall *call, int64 event_id)
{
	StripeSet	set;

	if (!lock_first_stripe(call, event_id))
		return;
	stripe_was_deleted = true;
	(void) reserve_forget(event_id);
	do
	{
		Snapshot	snapshot = read_stripes(call, event_id, &set);

		for (int i = 0; i < set.count; i++)
			(void) stripe_delete(call, event_id, &set.stripe[i]);
		UnregisterSnapshot(snapshot);
		CHECK_FOR_INTERRUPTS();
	} while (set.count > 0);
}
