/*-------------------------------------------------------------------------
 *
 * reserve.c
 *	  Places that a transaction has taken ahead of their use.
 *
 * Each write of a row that the same transaction has written before leaves one
 * more version that can't be pruned until it commits, and one more entry in
 * the backend's table of combo command ids.  A transaction that books a
 * hundred thousand tickets one by one would drown in both.  So one that has
 * booked some tickets of an event takes as many again with the next write of
 * the row, and uses them up without writing it.  Nobody loses by that: the row
 * is locked until the commit anyway, and what is left goes back just before
 * it, so that others never see a place in reserve.  Places that come back in
 * such a transaction are kept likewise.
 *
 * The count is transactional, as the rows are: for each event there is a stack
 * of changes, one for each level of subtransactions that made any.  A level
 * that is rolled back drops its change, together with the row versions and the
 * tickets that it stands for; one that is committed adds it to its parent's.
 *
 * So is the count of places that went with the inventory of an event while rows
 * that held them, removed by the same statement, have not fired their triggers
 * yet.  Those places are gone: they must not be given to another event which
 * that statement puts under the same id.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "access/xact.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "remembered.h"
#include "reserve.h"

PG_FUNCTION_INFO_V1(booking_settle_inventory);

/* A transaction that books no more tickets than this never has a reserve. */
#define BOOKINGS_BEFORE_RESERVE 8

/* Places taken ahead, for each one of the event that was booked before. */
#define RESERVE_FACTOR 4

/* The most places that are taken ahead at once. */
#define LARGEST_RESERVE 4096

/* What a level of subtransactions has changed in an event's reserve. */
typedef struct ReserveChange
{
	struct Reserve *reserve;
	int			level;
	int64		places;
	int64		gone;			/* places that are not to be given back */
	struct ReserveChange *outer;	/* of the same event, of an outer level */
	struct ReserveChange *next; /* of the same level, of another event */
} ReserveChange;

typedef struct Reserve
{
	int64		event_id;		/* hash key; must be first */
	int64		booked;			/* by this transaction; rolled back or not */
	CommandId	gone_before;	/* only rows that were removed before that */
	ReserveChange *innermost;
} Reserve;

/* The changes of one level. */
typedef struct ReserveLevel
{
	int			level;
	ReserveChange *changes;
	struct ReserveLevel *outer;
} ReserveLevel;

/* All live in TopTransactionContext. */
static HTAB *reserves = NULL;
static ReserveLevel *levels = NULL;

/* Where the places came from, which may be altered or dropped since. */
static BookingTables reserve_tables;

/* So that the transactions which book a few tickets do without the rest. */
static int64 booked_in_transaction = 0;

/* The transaction is about to commit: nothing is put into reserve any more. */
static bool settled = false;

/* The event's entry, or NULL where it has none and create is false. */
static Reserve *
find_reserve(int64 event_id, bool create)
{
	Reserve    *reserve;
	bool		found;

	if (reserves == NULL)
	{
		HASHCTL		ctl = {0};

		if (!create)
			return NULL;
		ctl.keysize = sizeof(int64);
		ctl.entrysize = sizeof(Reserve);
		ctl.hcxt = TopTransactionContext;
		reserves = hash_create("pg_booking reserves", 16, &ctl,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	reserve = hash_search(reserves, &event_id, create ? HASH_ENTER : HASH_FIND,
						  &found);
	if (create && !found)
	{
		reserve->booked = 0;
		reserve->gone_before = FirstCommandId;
		reserve->innermost = NULL;
	}
	return reserve;
}

/* The record of the current level of subtransactions. */
static ReserveLevel *
current_level(void)
{
	int			level = GetCurrentTransactionNestLevel();

	if (levels == NULL || levels->level < level)
	{
		ReserveLevel *inner = MemoryContextAlloc(TopTransactionContext,
												 sizeof(ReserveLevel));

		inner->level = level;
		inner->changes = NULL;
		inner->outer = levels;
		levels = inner;
	}
	return levels;
}

/* What the current level has changed in the event's reserve. */
static ReserveChange *
current_change(Reserve *reserve)
{
	ReserveChange *change = reserve->innermost;

	if (change == NULL || change->level < GetCurrentTransactionNestLevel())
	{
		ReserveLevel *level = current_level();

		change =
			MemoryContextAlloc(TopTransactionContext, sizeof(ReserveChange));
		change->reserve = reserve;
		change->level = level->level;
		change->places = 0;
		change->gone = 0;
		change->outer = reserve->innermost;
		change->next = level->changes;
		level->changes = change;
		reserve->innermost = change;
	}
	return change;
}

/* Changes the number of places in reserve, at the current level. */
static void
change_reserve(Reserve *reserve, int64 places)
{
	current_change(reserve)->places += places;
}

/* The places of the event that this transaction has in reserve. */
int64
reserve_places(int64 event_id)
{
	Reserve    *reserve = find_reserve(event_id, false);
	int64		places = 0;

	if (reserve == NULL)
		return 0;
	for (ReserveChange *change = reserve->innermost; change;
		 change = change->outer)
		places += change->places;
	return places;
}

/*
 * Uses quantity places of the reserve; false, and none, where it has fewer, or
 * where none is asked for, but only what the event's conditions say.
 */
bool
reserve_use(int64 event_id, int32 quantity)
{
	Reserve    *reserve;

	if (quantity == 0 || reserves == NULL ||
		reserve_places(event_id) < quantity)
		return false;
	reserve = find_reserve(event_id, false);
	reserve->booked += quantity;
	change_reserve(reserve, -quantity);
	return true;
}

/*
 * How many places more than the quantity that is being booked should be taken
 * ahead?  Some for each one that this transaction has booked of the event
 * before: so the number of writes grows as the logarithm of that of bookings.
 */
int32
reserve_wish(int64 event_id, int32 quantity)
{
	Reserve    *reserve;
	int64		places;

	booked_in_transaction += quantity;
	if (booked_in_transaction <= BOOKINGS_BEFORE_RESERVE || settled)
		return 0;
	reserve = find_reserve(event_id, true);
	places = Min(reserve->booked * RESERVE_FACTOR, LARGEST_RESERVE);
	reserve->booked += quantity;
	return (int32) places;
}

/* Adds places that were taken from the inventory to the reserve. */
void
reserve_add(BookingCall *call, int64 event_id, int32 places)
{
	if (places <= 0)
		return;
	reserve_tables = call->tables;
	change_reserve(find_reserve(event_id, true), places);
}

/*
 * Keeps places that come back in reserve until the commit, where this
 * transaction changes many; the caller holds a stripe of the event.  False:
 * they are to be given back now.
 */
bool
reserve_keep(BookingCall *call, int64 event_id, int32 quantity)
{
	booked_in_transaction += quantity;
	if (booked_in_transaction <= BOOKINGS_BEFORE_RESERVE || settled)
		return false;
	reserve_add(call, event_id, quantity);
	return true;
}

/*
 * Forgets the event's reserve without giving it back, and returns what it was:
 * the caller gives it back, or has removed the inventory that it came from.
 */
int64
reserve_forget(int64 event_id)
{
	int64		places = reserve_places(event_id);

	if (places > 0)
		change_reserve(find_reserve(event_id, false), -places);
	return places;
}

/*
 * The event's inventory has been removed, but so many places were not in it:
 * rows that held them have gone with the event, and their triggers are still
 * to fire.
 */
void
reserve_note_gone(int64 event_id, int64 places)
{
	Reserve    *reserve = find_reserve(event_id, true);

	current_change(reserve)->gone += places;
	reserve->gone_before = GetCurrentCommandId(false);
}

/*
 * Of the places that a trigger wants to give back to the event, for a row that
 * the command has removed, how many went with the event's inventory, so that
 * they are not to be given?  They count only once.
 */
int32
reserve_take_gone(int64 event_id, int32 places, CommandId removed_in)
{
	Reserve    *reserve = find_reserve(event_id, false);
	int64		gone = 0;

	if (reserve == NULL || removed_in >= reserve->gone_before)
		return 0;
	for (ReserveChange *change = reserve->innermost; change;
		 change = change->outer)
		gone += change->gone;
	gone = Min(gone, places);
	if (gone > 0)
		current_change(reserve)->gone -= gone;
	return (int32) gone;
}

/*
 * Gives all that is in reserve back to the inventory.  The rows that it came
 * from are locked by this transaction, so that as a rule nobody is waited for.
 */
void
reserve_give_back(BookingCall *call)
{
	HASH_SEQ_STATUS status;
	Reserve    *reserve;

	if (reserves == NULL)
		return;
	hash_seq_init(&status, reserves);
	while ((reserve = hash_seq_search(&status)) != NULL)
	{
		int64		places = reserve_forget(reserve->event_id);

		if (places > 0 &&
			!booking_give_now(call, reserve->event_id, (int32) places))
			booking_error_no_inventory(reserve->event_id);
	}
}

/* Has any event a reserve? */
static bool
any_reserve(void)
{
	for (ReserveLevel *level = levels; level != NULL; level = level->outer)
	{
		for (ReserveChange *change = level->changes; change;
			 change = change->next)
		{
			if (change->places != 0)
				return true;
		}
	}
	return false;
}

/*
 * Has this transaction had a reserve, of any event, at any time, or noted
 * places that are gone?
 */
bool
reserve_was_used(void)
{
	return reserves != NULL;
}

/*
 * settle_inventory(): for those that read or replace the inventory by SQL.
 * Checks that the tables are there (42P01) and of the right shape (55000),
 * gives the reserve back, and forgets the stripes that the session remembers.
 * Anybody may call it: it changes nothing but how the caller's own transaction
 * keeps its books.
 */
Datum
booking_settle_inventory(PG_FUNCTION_ARGS)
{
	if (any_reserve())
	{
		BookingCall call;

		booking_begin_unchecked(&call);
		reserve_give_back(&call);
		booking_end(&call);
	}
	else
		booking_check_tables();
	remembered_forget_all();
	PG_RETURN_VOID();
}

/* Gives everything back before the transaction commits or is prepared. */
static void
give_back_before_commit(void)
{
	BookingCall call;

	if (!any_reserve() || !booking_begin_again(&call, &reserve_tables))
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	reserve_give_back(&call);
	PopActiveSnapshot();
	booking_end(&call);
	fault_point("commit: reserve given back");
}

/* At the end of a transaction. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			settled = true;
			give_back_before_commit();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			/* the memory goes with TopTransactionContext */
			reserves = NULL;
			levels = NULL;
			booked_in_transaction = 0;
			settled = false;
			break;
		default:
			break;
	}
}

/* Adds a change to the one of the parent level, or makes it that. */
static void
hand_to_parent(ReserveChange *change, int parent_level)
{
	ReserveChange *outer = change->outer;

	if (outer != NULL && outer->level == parent_level)
	{
		outer->places += change->places;
		outer->gone += change->gone;
		change->reserve->innermost = outer;
		pfree(change);
	}
	else
	{
		ReserveLevel *level = levels;

		change->level = parent_level;
		change->next = level->changes;
		level->changes = change;
	}
}

/*
 * At the end of a subtransaction: its changes become its parent's, or are
 * dropped.  At the callback the level is still the subtransaction's own.
 */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	ReserveLevel *ended = levels;
	ReserveChange *next;

	if ((event != SUBXACT_EVENT_COMMIT_SUB &&
		 event != SUBXACT_EVENT_ABORT_SUB) ||
		ended == NULL || ended->level < level)
		return;

	levels = ended->outer;
	if (event == SUBXACT_EVENT_COMMIT_SUB &&
		(levels == NULL || levels->level < level - 1))
	{
		ended->level = level - 1;
		ended->outer = levels;
		levels = ended;
		for (ReserveChange *change = ended->changes; change;
			 change = change->next)
			change->level = level - 1;
		return;
	}
	for (ReserveChange *change = ended->changes; change; change = next)
	{
		next = change->next;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			hand_to_parent(change, level - 1);
		else
		{
			change->reserve->innermost = change->outer;
			pfree(change);
		}
	}
	pfree(ended);
}

/* Registers the callbacks; once a session. */
void
reserve_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
