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
 * Expired holds have places too.  Where they are needed, they are ended and
 * their places gathered in stripe 0, all in a subtransaction: it is rolled
 * back, and everything read anew, if others have taken other places meanwhile,
 * so that nobody waits for a hold while holding a stripe.
 *
 * Conditions of sale are in every stripe.  A place is taken by writing a row
 * version whose conditions are those by which the claim was judged (stripe.c
 * compares them), and they are changed in all stripes at once.
 *
 * remembered.c tells how a session finds a stripe, or that there is none left.
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
#include "utils/timestamp.h"

#include "claim.h"
#include "hold.h"
#include "remembered.h"
#include "reserve.h"
#include "subtransaction.h"

/*
 * Remembers the stripe that was just changed, or that it was deleted.  Whoever
 * writes a stripe calls it, for places are put into reserve by what is
 * remembered of a stripe that this transaction has written (may_reserve).
 */
static void
changed(int64 event_id, Stripe *stripe)
{
	if (!ItemPointerIsValid(&stripe->tid))
		remembered_stripe_deleted();
	remembered_note(event_id, stripe);
}

/*
 * Reads the stripes with the snapshot.  Returns it registered: while it is, the
 * TIDs in the set stay what they are.
 */
static Snapshot
read_with(BookingCall *call, int64 event_id, Snapshot snapshot, StripeSet *set)
{
	snapshot = RegisterSnapshot(snapshot);
	stripe_read_all(call, event_id, snapshot, set);
	return snapshot;
}

/* The same with one as new as the isolation level allows. */
static Snapshot
read_stripes(BookingCall *call, int64 event_id, StripeSet *set)
{
	return read_with(call, event_id, GetTransactionSnapshot(), set);
}

/* The same with the newest, whatever the isolation level. */
static Snapshot
read_newest_stripes(BookingCall *call, int64 event_id, StripeSet *set)
{
	return read_with(call, event_id, GetLatestSnapshot(), set);
}

/*
 * Changes the remembered stripe, where it is there and free; or, as the mode
 * says, looks at it only.  STRIPE_SHORT: the event has no places but those in
 * it, which are too few, *left; so it is final.  Anything else than that and
 * STRIPE_CHANGED: read all stripes.
 */
static StripeChange
change_remembered(BookingCall *call, int64 event_id, int64 delta,
				  StripeMode mode, int64 *left)
{
	Remembered *place = remembered_recall(event_id);
	Stripe		stripe;
	StripeChange result;
	int32		more = 0;

	if (place == NULL ||
		(IsolationUsesXactSnapshot() &&
		 !TransactionIdIsCurrentTransactionId(place->xmin)))
		return STRIPE_GONE;
	stripe.tid = place->tid;
	stripe.xmin = place->xmin;
	stripe.seen_in = place->seen_in;
	stripe.rules = place->rules;
	if (delta < 0 && mode != STRIPE_LOOK)
		more = reserve_wish(event_id, (int32) -delta);
	result = stripe_change(call, event_id, &stripe, delta, &more, mode);

	if (result == STRIPE_CHANGED)
	{
		changed(event_id, &stripe);
		reserve_add(call, event_id, more);
		return result;
	}

	/*
	 * Where others have written it since, it may have been split.  The TID
	 * alone does not tell: pruning may have given it to a later version.
	 */
	if (result != STRIPE_SHORT || stripe.number != 0 ||
		!ItemPointerEquals(&stripe.tid, &place->tid) ||
		!TransactionIdEquals(stripe.xmin, place->xmin) ||
		TIMESTAMP_IS_NOBEGIN(place->all_until) ||
		(!TIMESTAMP_IS_NOEND(place->all_until) &&
		 place->all_until <= GetCurrentTimestamp()))
		return STRIPE_GONE;
	*left = stripe.available;
	return STRIPE_SHORT;
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
		if (stripe_change(call, event_id, stripe, delta, NULL,
						  STRIPE_UNLESS_BUSY) ==
			STRIPE_CHANGED)
		{
			changed(event_id, stripe);
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
	result = stripe_change(call, event_id, stripe, delta, NULL, STRIPE_WAIT);
	if (result == STRIPE_CHANGED)
		changed(event_id, stripe);
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
	Remembered *place = remembered_recall(event_id);
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

		if (stripe_change(call, event_id, mine, -half, NULL, STRIPE_WAIT) !=
			STRIPE_CHANGED)
			/* can't happen: nobody else can write it */
			elog(ERROR, "inventory row that this transaction has locked was changed");
		fault_point("split: halved");
		stripe_insert(call, event_id, number, half, &mine->rules);
		fault_point("split: done");
		changed(event_id, mine);
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
	TimestampTz next_expiry;
	int64		places;

	if (!IsolationUsesXactSnapshot())
		return;
	snapshot = read_newest_stripes(call, event_id, &newest);
	places = newest.total;
	if (newest.count > 0 && places < quantity)
		places += hold_expired_places(call, event_id, snapshot,
									  quantity - places, &next_expiry);
	UnregisterSnapshot(snapshot);
	if ((newest.count == 0) != (seen->count == 0) ||
		(newest.count > 0 && places >= quantity))
		booking_error_conflict();
}

/*
 * Under an old snapshot, are the conditions of sale by which it refuses still
 * the same?  Else 40001.
 */
static void
check_rules(BookingCall *call, int64 event_id, const SaleRules *rules)
{
	StripeSet	newest;
	Snapshot	snapshot;

	if (!IsolationUsesXactSnapshot())
		return;
	snapshot = read_newest_stripes(call, event_id, &newest);
	UnregisterSnapshot(snapshot);
	if (newest.count == 0 ||
		!stripe_same_rules(&newest.stripe[0].rules, rules))
		booking_error_conflict();
}

/*
 * Locks stripe 0, which whoever needs several stripes does first, and adds
 * delta places to it.  *rules: the conditions of sale, which nobody can change
 * then.  False where the event has gone meanwhile.
 */
static bool
lock_first_stripe(BookingCall *call, int64 event_id, int64 delta,
				  SaleRules *rules)
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
		if (set.stripe[0].number != 0)
			booking_error_shape("booking.inventory lacks a stripe 0 that pg_booking wrote.",
								"Call booking.rebuild_inventory() for every event that booking.verify() names.");
		result = stripe_change(call, event_id, &set.stripe[0], delta, NULL,
							   STRIPE_WAIT);
		UnregisterSnapshot(snapshot);
		if (result == STRIPE_CHANGED)
		{
			changed(event_id, &set.stripe[0]);
			*rules = set.stripe[0].rules;
			return true;
		}
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
			stripe_change(call, event_id, stripe, -part, NULL, STRIPE_WAIT) ==
				STRIPE_CHANGED)
		{
			changed(event_id, stripe);
			missing -= part;
			fault_point("gather: in part");
		}
	}
	return missing;
}

/*
 * Takes a quantity that no single stripe has from several of them.  False:
 * others were quicker, and the caller undoes what was done.
 */
static bool
gather(BookingCall *call, int64 event_id, int32 quantity, const Claim *claim)
{
	int32		missing = quantity;
	SaleRules	rules;

	if (!lock_first_stripe(call, event_id, 0, &rules) ||
		!stripe_same_rules(&rules, &claim->rules))
		return false;
	fault_point("gather: stripe 0 locked");
	while (missing > 0)
	{
		StripeSet	set;
		Snapshot	snapshot = read_stripes(call, event_id, &set);
		bool		enough = set.total >= missing;

		if (enough)
			missing = take_along(call, event_id, &set, missing);
		UnregisterSnapshot(snapshot);
		if (!enough)
			return false;
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* Ends expired holds that have so many places, and puts them in stripe 0. */
static bool
bring_back_expired(BookingCall *call, int64 event_id, int64 places, bool wait)
{
	int64		found = hold_end_expired(call, event_id, places, wait);
	SaleRules	rules;

	return found >= places &&
		lock_first_stripe(call, event_id, found, &rules);
}

/* What is to be taken from many stripes, and so much of it from holds. */
typedef struct Gathering
{
	int64		event_id;
	int32		quantity;
	int64		in_holds;
	bool		wait;			/* for holds that somebody has locked? */
	const Claim *claim;
} Gathering;

/* Takes it; false: others were quicker, and what was done is undone. */
static bool
take_from_many(BookingCall *call, void *arg)
{
	const Gathering *wanted = arg;

	return (wanted->in_holds == 0 ||
			bring_back_expired(call, wanted->event_id, wanted->in_holds,
							   wanted->wait)) &&
		gather(call, wanted->event_id, wanted->quantity, wanted->claim);
}

/*
 * Takes a quantity that no single stripe has from several, and so many places
 * from expired holds; first without a wait for a hold that somebody has locked.
 * TAKE_AGAIN: others were quicker; nothing was done, nothing is locked.
 */
static TakeResult
gather_or_look_again(BookingCall *call, int64 event_id, int32 quantity,
					 int64 in_holds, const Claim *claim)
{
	Gathering	wanted = { event_id, quantity, in_holds, false, claim };
	bool done = booking_run_subtransaction(call, take_from_many, &wanted);

	if (!done && in_holds > 0)
	{
		wanted.wait = true;
		done = booking_run_subtransaction(call, take_from_many, &wanted);
	}
	return done ? TAKE_DONE : TAKE_AGAIN;
}

/*
 * Takes a quantity that some stripes have each, from one that nobody has
 * locked, else after a wait (*waited).
 */
static TakeResult
take_from_one(BookingCall *call, int64 event_id, StripeSet *set,
			  int32 quantity, bool *waited)
{
	if (change_any_free(call, event_id, set, -(int64) quantity) ==
		STRIPE_CHANGED)
		return TAKE_DONE;
	*waited = true;
	return change_after_wait(call, event_id, set, -(int64) quantity) ==
			STRIPE_CHANGED ?
		TAKE_DONE :
		TAKE_AGAIN;
}

/* Has one of the stripes so many places? */
static bool
one_has_enough(const StripeSet *set, int32 quantity)
{
	for (int i = 0; i < set->count; i++)
	{
		if (set->stripe[i].available >= quantity)
			return true;
	}
	return false;
}

/*
 * Are fewer places left than the quantity, expired holds included, by what the
 * snapshot shows?  Then claim->left says how many, and that is remembered.
 */
static bool
is_sold_out(BookingCall *call, int64 event_id, int32 quantity,
			const StripeSet *set, Snapshot snapshot, Claim *claim)
{
	TimestampTz next_expiry;
	int64		expired;

	if (set->total >= quantity)
		return false;
	expired = hold_expired_places(call, event_id, snapshot,
								  quantity - set->total, &next_expiry);
	if (set->total + expired >= quantity)
		return false;
	check_refusal(call, event_id, quantity, set);
	claim->left = set->total + expired;
	if (set->count == 1 && expired == 0)
		remembered_note_all(event_id, &set->stripe[0], next_expiry);
	return true;
}

/*
 * Tries once to take the places, by all stripes as they are now.  TAKE_AGAIN:
 * others were quicker, or were waited for (*waited): look again.
 */
static TakeResult
take_once(BookingCall *call, int64 event_id, int32 quantity, Claim *claim,
		  bool *waited)
{
	StripeSet	set;
	Snapshot	snapshot = read_stripes(call, event_id, &set);
	TakeResult	result;

	if (set.count == 0)
	{
		check_refusal(call, event_id, quantity, &set);
		result = TAKE_NO_EVENT;
	}
	else if ((result = claim_judge(claim, &set.stripe[0].rules, quantity)) !=
				 TAKE_NOT_ON_SALE &&
			 is_sold_out(call, event_id, quantity, &set, snapshot, claim))
		result = TAKE_SOLD_OUT;
	else if (result != TAKE_DONE)
		check_rules(call, event_id, &set.stripe[0].rules);
	else if (one_has_enough(&set, quantity))
		result = take_from_one(call, event_id, &set, quantity, waited);
	else
		result = gather_or_look_again(call, event_id, quantity,
									  Max(quantity - set.total, 0), claim);
	UnregisterSnapshot(snapshot);
	return result;
}

/*
 * Takes the places from the remembered stripe, or says by it that none are
 * left.  TAKE_AGAIN: it does not tell.
 */
static TakeResult
take_remembered(BookingCall *call, int64 event_id, int32 quantity,
				Claim *claim)
{
	Remembered *place = remembered_recall(event_id);
	TakeResult	judged;
	StripeChange result;

	if (place == NULL)
		return TAKE_AGAIN;
	judged = claim_judge(claim, &place->rules, quantity);
	if (judged != TAKE_DONE && judged != TAKE_COUNT_FIRST)
		return TAKE_AGAIN;		/* it may be otherwise by now */
	result = change_remembered(call, event_id, -(int64) quantity,
							   judged == TAKE_DONE ? STRIPE_UNLESS_BUSY :
													 STRIPE_LOOK,
							   &claim->left);
	if (result == STRIPE_SHORT)
		return TAKE_SOLD_OUT;
	if (judged == TAKE_COUNT_FIRST)
		return TAKE_COUNT_FIRST;
	return result == STRIPE_CHANGED ? TAKE_DONE : TAKE_AGAIN;
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

	result = change_remembered(call, event_id, quantity, STRIPE_UNLESS_BUSY,
							   &left);
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

/*
 * May places that come back be put into reserve?  If this transaction has
 * written, and so locked, the remembered stripe; and only where nothing has to
 * be judged when they are taken again.
 */
static bool
may_reserve(int64 event_id)
{
	Remembered *place = remembered_recall(event_id);

	return place != NULL && TransactionIdIsCurrentTransactionId(place->xmin) &&
		!stripe_has_rules(&place->rules);
}

/* The same, in a transaction that gives many back: when it commits. */
bool
booking_give(BookingCall *call, int64 event_id, int32 quantity)
{
	if (quantity > 0 && may_reserve(event_id) &&
		reserve_keep(call, event_id, quantity))
		return true;
	return booking_give_now(call, event_id, quantity);
}

/*
 * Takes quantity places (0: none, but as if) of the event for the claim, all
 * or none, and holds the rows they came from locked until the transaction
 * ends.
 *
 * TAKE_SOLD_OUT: fewer are left, claim->left of them; said only when it is
 * true, also of what others have taken and not yet committed.  TAKE_NO_EVENT:
 * the event has no inventory.  TAKE_NOT_ON_SALE, TAKE_USER_LIMIT: the event's
 * conditions, claim->rules, don't allow it.  None of them locks a stripe, but
 * where the sale was closed during a wait; the limit locks the user at the
 * event.  Raises 40001 as the isolation level demands, and whatever waiting
 * for a lock may raise.
 */
TakeResult
booking_take(BookingCall *call, int64 event_id, int32 quantity, Claim *claim)
{
	bool		waited = false;
	bool		ask_memory = true;
	TakeResult	result;
	int64		reserved;

	/* there is none where the event has conditions */
	if (reserve_use(event_id, quantity))
		return TAKE_DONE;
	reserved = reserve_forget(event_id);
	if (reserved > 0 && !booking_give_now(call, event_id, (int32) reserved))
		return TAKE_NO_EVENT;

	do
	{
		result = TAKE_AGAIN;
		if (ask_memory)
			result = take_remembered(call, event_id, quantity, claim);
		if (result == TAKE_AGAIN)
		{
			result = take_once(call, event_id, quantity, claim, &waited);
			ask_memory = false;
		}
		if (result == TAKE_COUNT_FIRST)
			claim_count(call, event_id, claim);
		CHECK_FOR_INTERRUPTS();
	} while (result == TAKE_AGAIN || result == TAKE_COUNT_FIRST);

	if (result == TAKE_DONE && !claim_on_sale(claim, &claim->rules))
	{
		(void) booking_give_now(call, event_id, quantity);
		return TAKE_NOT_ON_SALE;
	}
	if (result == TAKE_DONE && (waited || booking_split_always))
		split(call, event_id);
	return result;
}

/* Ends all expired holds of the event, and puts their places into stripe 0. */
void
booking_end_expired(BookingCall *call, int64 event_id)
{
	int64		found = hold_end_expired(call, event_id, PG_INT32_MAX, true);
	SaleRules	rules;

	if (found > 0 && !lock_first_stripe(call, event_id, found, &rules))
		booking_error_no_inventory(event_id);
}

/*
 * Is no place of the event left, expired holds included, but what transactions
 * in flight may give back?  Locks nothing.
 */
bool
booking_nothing_left(BookingCall *call, int64 event_id)
{
	StripeSet	set;
	Snapshot	snapshot = read_stripes(call, event_id, &set);
	TimestampTz next_expiry;
	bool		nothing;

	nothing = set.total == 0 &&
		hold_expired_places(call, event_id, snapshot, 1, &next_expiry) == 0;
	UnregisterSnapshot(snapshot);
	return nothing;
}

/* Writes a new version of stripe 0, where the event has one. */
void
booking_touch_stripe(BookingCall *call, int64 event_id)
{
	SaleRules	rules;

	(void) lock_first_stripe(call, event_id, 0, &rules);
}

/*
 * Writes the event's conditions of sale into all its stripes, waiting for
 * whoever has one locked, until none has others: a stripe that is split
 * meanwhile hands on what it had.
 */
void
booking_set_rules(BookingCall *call, int64 event_id, const SaleRules *rules)
{
	SaleRules	old;
	bool		done = false;

	reserve_give_back(call);
	if (!lock_first_stripe(call, event_id, 0, &old))
		booking_error_no_inventory(event_id);
	while (!done)
	{
		StripeSet	set;
		Snapshot	snapshot = read_stripes(call, event_id, &set);

		done = true;
		for (int i = 0; i < set.count; i++)
		{
			if (stripe_same_rules(&set.stripe[i].rules, rules))
				continue;
			done = false;
			if (stripe_set_rules(call, event_id, &set.stripe[i], rules) ==
				STRIPE_CHANGED)
				changed(event_id, &set.stripe[i]);
		}
		UnregisterSnapshot(snapshot);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Deletes all stripes of an event, waiting for whoever has one locked, and
 * returns the places that were left; -1 where there are none.  When it returns
 * nobody has taken a place that is not committed, and nobody can take another.
 */
int64
booking_drop_stripes(BookingCall *call, int64 event_id)
{
	StripeSet	set;
	SaleRules	rules;
	int64		left;

	if (!lock_first_stripe(call, event_id, 0, &rules))
		return -1;
	left = reserve_forget(event_id);
	do
	{
		Snapshot	snapshot = read_stripes(call, event_id, &set);

		for (int i = 0; i < set.count; i++)
		{
			if (stripe_delete(call, event_id, &set.stripe[i]) ==
				STRIPE_CHANGED)
			{
				changed(event_id, &set.stripe[i]);
				left += set.stripe[i].available;
			}
		}
		UnregisterSnapshot(snapshot);
		CHECK_FOR_INTERRUPTS();
	} while (set.count > 0);
	return left;
}
