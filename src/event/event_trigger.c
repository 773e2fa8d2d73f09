/*-------------------------------------------------------------------------
 *
 * event_trigger.c
 *	  The trigger of the event table: an event's pool follows its row.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "event/event.h"
#include "event/inventory.h"
#include "event/placed_row.h"
#include "event/refusal.h"
#include "event/sale.h"
#include "pool/prefetch.h"
#include "server/errors.h"
#include "tables/trigger.h"

SQL_FUNCTION(booking_event_changed);

/*
 * Raises 23514: an owner who has dropped a constraint of the table has written
 * what it would have refused.
 */
pg_noreturn static void
error_bad_value(Relation rel, const char *column, const char *rule)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("%s of an event %s", column, rule),
			 error_fields("event", column,
						  psprintf("event_%s_check", column))));
}

/* The id in a row of the event table. */
static int64
row_event_id(Relation rel, TupleTableSlot *slot)
{
	bool		isnull;

	return DatumGetInt64(trigger_value(rel, slot, "event_id", &isnull));
}

/* The capacity in a row of the event table; null means unlimited. */
static int32
row_capacity(Relation rel, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		capacity = trigger_value(rel, slot, "capacity", &isnull);

	return isnull ? POOL_UNLIMITED : DatumGetInt32(capacity);
}

/* The same, for a row that is written. */
static int32
valid_capacity(Relation rel, TupleTableSlot *slot)
{
	int32		capacity = row_capacity(rel, slot);

	if (capacity < 0)
		error_bad_value(rel, "capacity", "must not be negative");
	return capacity;
}

/* A limit in a row of the event table; 0: none. */
static int32
row_places(Relation rel, TupleTableSlot *slot, const char *column)
{
	bool		isnull;
	int32		places =
		DatumGetInt32(trigger_value(rel, slot, column, &isnull));

	if (!isnull && places < 1)
		error_bad_value(rel, column, "must be positive");
	return isnull ? 0 : places;
}

/* The sale rules in a row of the event table. */
static SaleRules
row_rules(Relation rel, TupleTableSlot *slot)
{
	SaleRules	rules;
	bool		isnull;

	rules.sales_start = DatumGetTimestampTz(
		trigger_value(rel, slot, "sales_start", &isnull));
	if (isnull)
		rules.sales_start = DT_NOBEGIN;
	rules.sales_end = DatumGetTimestampTz(
		trigger_value(rel, slot, "sales_end", &isnull));
	if (isnull)
		rules.sales_end = DT_NOEND;
	rules.max_per_user = row_places(rel, slot, "max_per_user");
	rules.min_per_order = row_places(rel, slot, "min_per_order");
	rules.max_per_order = row_places(rel, slot, "max_per_order");
	return rules;
}

/* Creates the pool of an event. */
static void
create_pool(BookingCall *call, Relation rel, TupleTableSlot *slot)
{
	SaleRules	rules = row_rules(rel, slot);
	PoolTerms	terms;
	SalePool	pool;

	sale_rules_to_terms(&rules, &terms);
	sale_open_pool(call, row_event_id(rel, slot), &pool);
	pool_create(&pool.pool, &pool.key, valid_capacity(rel, slot), &terms);
}

/* Raises 23503, as a foreign key would, if the event is still in use. */
static void
refuse_if_in_use(BookingCall *call, int64 event_id)
{
	/* in this order: a place goes from a hold to a ticket, never back */
	bool		holds = event_has_live_holds(call, event_id);

	if (event_has_tickets(call, event_id))
		refusal_event_in_use(event_id, "ticket");
	if (holds)
		refusal_event_in_use(event_id, "hold");
}

/*
 * An event was deleted: drops its pool, and refuses if the event is in use.
 * Tickets may have gone with it, by a foreign key that the user has added;
 * their triggers may fire only after the same statement has put another event
 * under its id.  They must not give that event their places.
 */
static void
event_removed(BookingCall *call, Relation rel, TupleTableSlot *slot)
{
	int64		event_id = row_event_id(rel, slot);
	int32		capacity = row_capacity(rel, slot);
	SalePool	pool;
	int64		left;
	bool		dropped;

	sale_open_pool(call, event_id, &pool);
	dropped = pool_drop(&pool.pool, &pool.key, &left);
	refuse_if_in_use(call, event_id);
	if (dropped && left < capacity)
		prefetch_note_lost(&pool.pool, &pool.key, capacity - left);
	event_forget_keys(call, event_id);
}

/*
 * The capacity of an event was changed by delta places.  If fewer places are
 * free than are removed, the end of the statement decides (23T08).
 */
static void
capacity_changed(BookingCall *call, int64 event_id, int32 capacity,
				 int64 delta)
{
	Claim		claim = {0};	/* no rule applies */
	SaleResult	result = SALE_DONE;

	if (delta > 0 && !sale_give(call, event_id, (int32) delta))
		refusal_no_inventory(event_id);
	if (delta < 0)
		result = sale_take(call, event_id, (int32) -delta, &claim);
	if (result == SALE_SOLD_OUT)
		placed_row_lowered(call, event_id, capacity, (int32) -delta);
	else if (result != SALE_DONE)
		refusal_no_inventory(event_id);
}

/*
 * True if the pool needs the sale rules of the new row.  Another trigger may
 * have updated the row again before this one was called: then the newest
 * version counts, whose rules may be those of the version that it replaced.
 */
static bool
rules_changed(const TriggerData *data, const SaleRules *old,
			  const SaleRules *new)
{
	return call_row_is_newest(data, data->tg_newslot) &&
		(!sale_rules_equal(old, new) || call_old_row_is_ours(data));
}

/* An event was updated, perhaps its id. */
static void
event_updated(BookingCall *call, TriggerData *data)
{
	Relation	rel = data->tg_relation;
	int64		event_id = row_event_id(rel, data->tg_newslot);
	int32		old_capacity = valid_capacity(rel, data->tg_trigslot);
	int32		capacity = valid_capacity(rel, data->tg_newslot);
	SaleRules	old_rules = row_rules(rel, data->tg_trigslot);
	SaleRules	rules = row_rules(rel, data->tg_newslot);
	PoolTerms	terms;
	PoolTerms	old_terms;
	SalePool	pool;

	if (row_event_id(rel, data->tg_trigslot) != event_id)
	{
		event_removed(call, rel, data->tg_trigslot);
		create_pool(call, rel, data->tg_newslot);
		return;
	}
	/* in the lock order: holds, stripe 0, all stripes */
	sale_open_pool(call, event_id, &pool);
	sale_rules_to_terms(&rules, &terms);
	if ((capacity < old_capacity && !pool_reclaim_all(&pool.pool, &pool.key)) ||
		(rules_changed(data, &old_rules, &rules) &&
		 !pool_set_terms(&pool.pool, &pool.key, &terms, &old_terms)))
		refusal_no_inventory(event_id);
	capacity_changed(call, event_id, capacity,
					 (int64) capacity - old_capacity);
}

/* All events were truncated.  Raises 23503 if there are tickets or holds. */
static void
events_truncated(BookingCall *call)
{
	/* waits for transactions that have written a ticket or hold */
	LockRelationOid(call->tables.ticket, ShareLock);
	if (event_any_ticket_or_hold(call))
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("cannot truncate table \"event\" while there are tickets or holds"),
				 errhint("Truncate them at the same time: TRUNCATE booking.event, booking.ticket, booking.hold."),
				 error_fields("ticket", NULL, "ticket_event_id_fkey")));
	inventory_empty(call);
}

/* The trigger of the event table. */
Datum
booking_event_changed(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TriggerData *data = trigger_begin(fcinfo, &call, "event_changed");
	Relation	rel = data->tg_relation;

	trigger_check_table(data, "event_changed", call.tables.event);
	/* tables are locked before stripes */
	LockRelationOid(call.tables.hold, AccessShareLock);
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		create_pool(&call, rel, data->tg_trigslot);
	else if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		event_updated(&call, data);
	else if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		event_removed(&call, rel, data->tg_trigslot);
	else
		events_truncated(&call);

	booking_call_end(&call);
	PG_RETURN_POINTER(NULL);
}
