/*-------------------------------------------------------------------------
 *
 * placed_row.c
 *	  Rows that hold places of an event, as the triggers see them.
 *
 * Every way to write a ticket or hold ends here.  The row triggers add up, by
 * event, what the rows of a statement take and give (pool/pending.c), except
 * for places that a function has taken or given already (handover.c).  The
 * trigger of the inventory settles it at the end of the statement.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "constraint/settle.h"
#include "event/event.h"
#include "event/handover.h"
#include "event/placed_row.h"
#include "event/refusal.h"
#include "event/sale.h"
#include "pool/guard.h"
#include "pool/pending.h"
#include "pool/prefetch.h"
#include "tables/user_id.h"

SQL_FUNCTION(booking_inventory_settle);

/* What a statement does to one event. */
typedef struct PlacedKey
{
	PendingKey	pending;		/* must be first */
	const char *table;			/* ticket or hold; NULL: no row was added */
	bool		takes;			/* rows take places, even if others give more */
	CommandId	removed_in;		/* the first command whose rows give places */
	int32		lowered;		/* places by which the capacity became less, */
	int32		capacity;		/* to this */
	ClaimRows	rows;			/* for whom places are taken */
	int			max_rows;		/* for which rows has memory */
} PlacedKey;

static void settle_batch(PendingBatch *batch);

/*
 * True if the rows were sold before and are loaded again: then sale rules are
 * not asked.  Only the owner of the tables may say so.
 */
bool
placed_row_is_imported(const BookingCall *call)
{
	return guard_importing &&
		has_privs_of_role(call->base.caller, call->base.owner);
}

/*
 * Begins the batch of the inventory, which has one trigger (inspect.c).  From
 * 18 on PostgreSQL fires it as the user who has queued it.  That must be the
 * caller: his search_path must not decide what runs as the owner.
 */
static PendingBatch *
begin_batch(BookingCall *call)
{
	PendingBatch *batch;

	call_suspend(&call->base);
	batch = pending_begin(call->inventory, call->inventory->trigdesc->triggers,
						  PENDING_INVENTORY, settle_batch);
	call_resume(&call->base);
	return batch;
}

/* Returns what the statement does to an event so far. */
static PlacedKey *
placed_key(BookingCall *call, int64 event_id)
{
	PendingBatch *batch = pending_batch(call->tables.inventory);
	SalePool	pool;

	if (batch == NULL)
		batch = begin_batch(call);
	sale_open_pool(call, event_id, &pool);
	return (PlacedKey *) pending_key(batch, &pool.pool.shape->key, &pool.key,
									 sizeof(PlacedKey));
}

/* Notes that a row has given places of the event to a user. */
static void
note_user(BookingCall *call, PlacedKey *placed, Datum user_id, int32 places)
{
	ClaimRows  *rows = &placed->rows;
	MemoryContext caller =
		MemoryContextSwitchTo(GetMemoryChunkContext(placed));

	if (rows->count == placed->max_rows)
	{
		placed->max_rows = Max(8, 2 * placed->max_rows);
		rows->user_id = rows->count == 0 ?
			palloc_array(Datum, placed->max_rows) :
			repalloc_huge(rows->user_id, placed->max_rows * sizeof(Datum));
		rows->places = rows->count == 0 ?
			palloc_array(int32, placed->max_rows) :
			repalloc_huge(rows->places, placed->max_rows * sizeof(int32));
	}
	rows->user_id[rows->count] = user_id_copy(&call->base, user_id);
	rows->places[rows->count++] = places;
	MemoryContextSwitchTo(caller);
}

/*
 * A row was put into an event, or holds more places of it.  If it needs no
 * place, the event must exist all the same.
 */
static void
take_places(BookingCall *call, const PlacedRow *row, int32 places)
{
	int64		handed_over = handover_accept(call, row->event_id,
											  &row->user_id, places);
	PlacedKey  *placed;

	if (handed_over > 0 && handed_over == places && !handover_is_stale())
		return;
	places -= (int32) handed_over;
	placed = placed_key(call, row->event_id);
	placed->table = row->table;
	if (handed_over > 0)
		note_user(call, placed, row->user_id, (int32) handed_over);
	if (places == 0)
		return;
	placed->takes = true;
	if (placed->pending.given == 0)
		placed->removed_in = InvalidCommandId;
	placed->pending.taken += places;
	note_user(call, placed, row->user_id, places);
}

/* A row has left an event, or holds fewer places of it. */
static void
give_places(BookingCall *call, const PlacedRow *row, int32 places)
{
	PlacedKey  *placed;

	places += (int32) handover_accept(call, row->event_id, NULL, -places);
	if (places == 0)
		return;
	placed = placed_key(call, row->event_id);
	if (placed->pending.given == 0 || row->removed_in < placed->removed_in)
		placed->removed_in = row->removed_in;
	placed->pending.given += places;
}

/*
 * True if the limit must be checked although no place is taken: the row has
 * become another user's, or is an expired hold whose expiry was moved ahead.
 * forget_user() judges no limit: no user gets a place by it.
 */
static bool
limit_matters(const BookingCall *call, const PlacedRow *old,
			  const PlacedRow *new)
{
	return new->places > 0 && new->places <= old->places &&
		!handover_is_forgetting(new->table) &&
		(!user_id_equal(&call->base, old->user_id, new->user_id) ||
		 (new->expires_at > old->expires_at &&
		  old->expires_at <= GetCurrentTimestamp()));
}

/* A row was changed and stays in its event. */
static void
changed_within_event(BookingCall *call, const PlacedRow *old,
					 const PlacedRow *new)
{
	if (new->places > 0 && new->expires_at < old->expires_at)
		placed_key(call, new->event_id)->pending.touch = true;
	if (limit_matters(call, old, new))
	{
		PlacedKey  *placed = placed_key(call, new->event_id);

		placed->table = new->table;
		note_user(call, placed, new->user_id, new->places);
	}
	if (new->places > old->places)
		take_places(call, new, new->places - old->places);
	else if (new->places < old->places)
		give_places(call, old, old->places - new->places);
}

/* A row was added: it takes places. */
void
placed_row_added(BookingCall *call, const PlacedRow *row)
{
	take_places(call, row, row->places);
}

/* A row was removed: it gives its places back. */
void
placed_row_removed(BookingCall *call, const PlacedRow *row)
{
	give_places(call, row, row->places);
}

/* A row was changed, perhaps its event. */
void
placed_row_changed(BookingCall *call, const PlacedRow *old,
				   const PlacedRow *new)
{
	if (old->event_id == new->event_id)
		changed_within_event(call, old, new);
	else
	{
		placed_row_removed(call, old);
		placed_row_added(call, new);
	}
}

/*
 * An UPDATE has moved the row to another partition, and placed_row_removed()
 * has given its places.  They are taken again, without asking the sale window,
 * unless the UPDATE would have taken places without the move, too.
 */
void
placed_row_moved(BookingCall *call, const PlacedRow *old, const PlacedRow *new)
{
	PlacedKey  *placed;

	if (old->event_id != new->event_id || new->places > old->places)
	{
		placed_row_added(call, new);
		return;
	}
	if (new->places == 0)
		return;
	placed = placed_key(call, new->event_id);
	placed->table = new->table;
	placed->pending.taken += new->places;
	if (limit_matters(call, old, new))
		note_user(call, placed, new->user_id, new->places);
}

/*
 * The capacity of an event was lowered by more places than are free.  Rows of
 * the statement may give them: that is judged at its end.
 */
void
placed_row_lowered(BookingCall *call, int64 event_id, int32 capacity,
				   int32 places)
{
	PlacedKey  *placed = placed_key(call, event_id);

	if (placed->pending.given == 0)
		placed->removed_in = InvalidCommandId;
	placed->pending.taken += places;
	placed->lowered += places;
	placed->capacity = capacity;
}

/* ---- the end of the statement ---- */

/*
 * Rows have left an event: gives back their places.  If the event was deleted,
 * there is no pool to give them to.  But an outer statement may have put them
 * into the event, and not have taken their places yet.
 */
static void
settle_given(BookingCall *call, SalePool *pool, int64 event_id, int64 places)
{
	if (!sale_give(call, event_id, (int32) Min(places, PG_INT32_MAX)) &&
		!pending_give_outer(&pool->pool, &pool->key, places) &&
		event_exists(call, event_id))
		refusal_no_inventory(event_id);
}

/*
 * Rows were put into an event, or its capacity was lowered: takes the places
 * that are needed beyond those that other rows have left, and applies the sale
 * rules to all rows.  If that is none, a stripe is locked, so that the event
 * can't be deleted.
 */
static void
settle_taken(BookingCall *call, const PlacedKey *placed, int64 event_id,
			 int64 places)
{
	bool		ask = !placed_row_is_imported(call);
	Claim		claim = {
		.in_window = ask && placed->takes,
		.within_limit = ask && placed->rows.count > 0,
		.rows = &placed->rows
	};
	int32		quantity = (int32) Min(places, PG_INT32_MAX);
	SaleResult	result = sale_take(call, event_id, quantity, &claim);

	if (result == SALE_DONE && places > PG_INT32_MAX)
	{
		claim.pool.left = quantity;
		result = SALE_SOLD_OUT;
	}
	if (result == SALE_SOLD_OUT && placed->lowered > 0)
		refusal_capacity_in_use(event_id, placed->capacity,
								placed->capacity - claim.pool.left + places);
	if (result == SALE_NO_EVENT && placed->table == NULL)
		return;					/* a trigger has deleted the event */
	if (result == SALE_NO_EVENT)
		sale_raise_no_event(call, event_id, placed->table);
	if (result != SALE_DONE)
		sale_error_refused(event_id, quantity, result, &claim);
}

/*
 * Settles one event.  If a hold was made to expire sooner and no stripe is
 * written otherwise, one is: by its version other sessions know when something
 * can be reclaimed.
 */
static void
settle(BookingCall *call, const PlacedKey *placed)
{
	const PendingKey *pending = &placed->pending;
	int64		event_id = DatumGetInt64(pending->key.value[0]);
	SalePool	pool;
	int64		net;

	sale_open_pool(call, event_id, &pool);
	net = pending->taken - pending->given +
		prefetch_take_lost(&pool.pool, &pool.key, pending->given,
						   placed->removed_in);
	if (placed->table != NULL || placed->lowered > 0)
		settle_taken(call, placed, event_id, Max(net, 0));
	else if (pending->touch)
		(void) pool_touch(&pool.pool, &pool.key);
	if (net < 0)
		settle_given(call, &pool, event_id, -net);
}

/* Takes and gives what the rows of a batch add up to, events ascending. */
static void
settle_batch(PendingBatch *batch)
{
	BookingCall call;
	PendingKey **sorted;
	int			count;

	booking_call_begin(&call, "booking.inventory");
	sorted = pending_sort(batch, &call.tables.pool_shape.key, &count);
	for (int i = 0; i < count; i++)
		settle(&call, (PlacedKey *) sorted[i]);
	booking_call_end(&call);
}

/*
 * A statement of the user's has changed the inventory.  Raises 55000, unless it
 * has removed rows and there is no event: a clean-up of all tables.
 */
static void
check_change(const TriggerData *data)
{
	BookingCall call;
	bool		any_event;

	booking_call_begin_internal(&call);
	any_event = event_any(&call);
	booking_call_end(&call);
	if (any_event || TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		guard_refuse(data,
					 "Its rows follow those of booking.event. booking.rebuild_inventory() computes them again.");
}

/* The trigger of the inventory.  Raises 23T01, 23T02, 23T03, 23503, 55000. */
Datum
booking_inventory_settle(PG_FUNCTION_ARGS)
{
	TriggerData *data = settle_fired(fcinfo, "inventory_settle");

	if (data != NULL)
		check_change(data);
	PG_RETURN_POINTER(NULL);
}
