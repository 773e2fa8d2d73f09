/*-------------------------------------------------------------------------
 *
 * placed_row.c
 *	  Rows that hold places of an event, as the triggers see them.
 *
 * Every way to write a ticket or hold ends here: the triggers take the places
 * of rows that were added, and give back those of rows that were removed,
 * unless a function has done so already (handover.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "event/event.h"
#include "event/handover.h"
#include "event/placed_row.h"
#include "event/refusal.h"
#include "event/sale.h"
#include "pool/prefetch.h"
#include "tables/user_id.h"

/* The claim of a row that is written already. */
static Claim
claim_of_row(const PlacedRow *row)
{
	Claim		claim = {
		.user_id = row->user_id,
		.within_limit = true,
		.written = true
	};

	return claim;
}

/*
 * Takes places for a row that was put into an event.  If it needs none, the
 * event must exist, and a stripe is locked, so that it can't be deleted.
 */
static void
take_places(BookingCall *call, const PlacedRow *row, int32 places)
{
	Claim		claim = claim_of_row(row);

	claim.in_window = true;
	if (places == 0)
		sale_give_or_raise(call, row->event_id, 0, row->table);
	else if (!handover_accept(call, row->event_id, &row->user_id, places))
		sale_take_or_raise(call, row->event_id, places, &claim, row->table);
}

/*
 * A row has left an event: gives back its places.  If the same statement has
 * deleted the event, there is no pool to give them to.
 */
static void
give_places(BookingCall *call, const PlacedRow *row, int32 places)
{
	SalePool	pool;

	if (places == 0 || handover_accept(call, row->event_id, NULL, -places))
		return;
	sale_open_pool(call, row->event_id, &pool);
	places -= prefetch_take_lost(&pool.pool, &pool.key, places,
								 row->removed_in);
	if (places > 0 && !sale_give(call, row->event_id, places) &&
		event_exists(call, row->event_id))
		refusal_no_inventory(row->event_id);
}

/*
 * True if the limit must be checked although no place is taken: the row has
 * become another user's, or is an expired hold whose expiry was moved ahead.
 */
static bool
limit_matters(const BookingCall *call, const PlacedRow *old,
			  const PlacedRow *new)
{
	return new->places > 0 && new->places <= old->places &&
		(!user_id_equal(&call->base, old->user_id, new->user_id) ||
		 (new->expires_at > old->expires_at &&
		  old->expires_at <= GetCurrentTimestamp()));
}

/*
 * A row was changed and stays in its event.  If it expires sooner, stripe 0 is
 * written: by its version other sessions know when something can be reclaimed.
 */
static void
changed_within_event(BookingCall *call, const PlacedRow *old,
					 const PlacedRow *new)
{
	if (new->places > 0 && new->expires_at < old->expires_at)
	{
		SalePool	pool;

		sale_open_pool(call, new->event_id, &pool);
		(void) pool_touch(&pool.pool, &pool.key);
	}
	if (limit_matters(call, old, new))
	{
		Claim		claim = claim_of_row(new);

		claim.moved = new->places;
		sale_take_or_raise(call, new->event_id, 0, &claim, new->table);
	}
	if (new->places > old->places)
		take_places(call, new, new->places - old->places);
	else if (new->places < old->places)
		give_places(call, old, old->places - new->places);
}

/* A row was added: takes its places. */
void
placed_row_added(BookingCall *call, const PlacedRow *row)
{
	take_places(call, row, row->places);
}

/* A row was removed: gives its places back. */
void
placed_row_removed(BookingCall *call, const PlacedRow *row)
{
	give_places(call, row, row->places);
}

/* A row was changed.  Two events are served in the order of their ids. */
void
placed_row_changed(BookingCall *call, const PlacedRow *old,
				   const PlacedRow *new)
{
	if (old->event_id == new->event_id)
		changed_within_event(call, old, new);
	else if (old->event_id < new->event_id)
	{
		placed_row_removed(call, old);
		placed_row_added(call, new);
	}
	else
	{
		placed_row_added(call, new);
		placed_row_removed(call, old);
	}
}
