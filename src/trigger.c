/*-------------------------------------------------------------------------
 *
 * trigger.c
 *	  The triggers that make every way in safe.
 *
 * They fire AFTER each row, for a BEFORE trigger may be followed by one that
 * changes or drops the row: what they see is what was stored.  They change the
 * inventory as the tables' owner, whatever the writer may do to it.
 *
 * Anybody may call a trigger function by a trigger on a table of his own; so
 * each checks that it was fired by the table that it is for.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "event.h"
#include "remembered.h"
#include "reserve.h"
#include "ticket.h"
#include "trigger.h"
#include "user.h"

PG_FUNCTION_INFO_V1(booking_ticket_changed);
PG_FUNCTION_INFO_V1(booking_hold_changed);
PG_FUNCTION_INFO_V1(booking_event_changed);

/* What a row of the ticket or hold table means for the inventory. */
typedef struct PlacesRow
{
	int64		hold_id;		/* of a hold, else 0 */
	int64		event_id;
	Datum		user_id;
	int32		places;			/* that it holds; 0: it is not live */
	TimestampTz expires_at;		/* of a hold */
	CommandId	removed_in;		/* of a row that is no more so */
} PlacesRow;

/*
 * Begins the call of a trigger and returns its data.  39P01 unless it was
 * fired after a row, or after TRUNCATE.
 */
TriggerData *
trigger_begin(FunctionCallInfo fcinfo, BookingCall *call, const char *name)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		TRIGGER_FIRED_FOR_ROW(data->tg_event) ==
			TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"booking.%s\" must be called by the trigger that booking.create_tables() attaches",
						name)));
	booking_begin(call, name);
	return data;
}

/* 39P01 unless the trigger was fired by that table of ours. */
void
trigger_check_table(BookingCall *call, TriggerData *data, const char *name,
					Oid table)
{
	if (!booking_is_our_table(data->tg_relation, table))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"booking.%s\" must not be called by a trigger on table \"%s\"",
						name, RelationGetRelationName(data->tg_relation))));
}

/* A column of the row; a partition may have it in another place. */
Datum
trigger_row_value(Relation rel, TupleTableSlot *slot, const char *column,
				  bool *isnull)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(rel), column);

	if (attnum == InvalidAttrNumber)
		/* can't happen: catalog.c has found all of them */
		booking_error_shape(psprintf("Column \"%s\" of table \"%s\" is missing.",
									 column, RelationGetRelationName(rel)),
							"Rename it back.");
	return slot_getattr(slot, attnum, isnull);
}

/* The same; 23502 where it is null, its constraint having been dropped. */
static Datum
row_value_not_null(Relation rel, TupleTableSlot *slot, const char *column)
{
	bool		isnull;
	Datum		value = trigger_row_value(rel, slot, column, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("column \"%s\" of table \"%s\" must not be null",
						column, RelationGetRelationName(rel))));
	return value;
}

/* Reads a row of the ticket table. */
static PlacesRow
read_ticket_row(Relation rel, TupleTableSlot *slot)
{
	PlacesRow	row;
	bool		live;

	(void) trigger_row_value(rel, slot, "cancelled_at", &live);
	row.event_id = DatumGetInt64(row_value_not_null(rel, slot, "event_id"));
	row.user_id = row_value_not_null(rel, slot, "user_id");
	row.places = live ? 1 : 0;
	row.hold_id = 0;
	row.expires_at = DT_NOEND;
	row.removed_in = InvalidCommandId;
	return row;
}

/* Reads a row of the hold table. */
static PlacesRow
read_hold_row(Relation rel, TupleTableSlot *slot)
{
	PlacesRow	row;
	bool		live;

	(void) trigger_row_value(rel, slot, "ended_at", &live);
	row.event_id = DatumGetInt64(row_value_not_null(rel, slot, "event_id"));
	row.user_id = row_value_not_null(rel, slot, "user_id");
	row.places =
		DatumGetInt32(row_value_not_null(rel, slot, "quantity"));
	if (row.places < 1)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("the quantity of a hold must be positive")));
	if (!live)
		row.places = 0;
	row.hold_id = DatumGetInt64(row_value_not_null(rel, slot, "hold_id"));
	row.expires_at =
		DatumGetTimestampTz(row_value_not_null(rel, slot, "expires_at"));
	row.removed_in = InvalidCommandId;
	return row;
}

/* What a row that is in its table asks for. */
static Claim
claim_of_row(const PlacesRow *row)
{
	Claim claim = { .user_id = row->user_id,
					.within_limit = true,
					.written = true };

	return claim;
}

/*
 * A row was put into an event: takes its places if it is live, unless a
 * function did so ahead.  If it is not, its event must be there all the same,
 * and stay.
 */
static void
places_added(BookingCall *call, const PlacesRow *row, int32 places)
{
	Claim		claim = claim_of_row(row);

	claim.in_window = true;
	if (places == 0)
		booking_give_or_raise(call, row->event_id, 0);
	else if (booking_settle_ahead(call, row->event_id, &row->user_id,
								  places) > 0)
		booking_take_or_raise(call, row->event_id, places, &claim);
}

/*
 * A row was taken out of an event: gives its places back if it was live.
 * Where the event was deleted by the same statement there is nothing to give
 * them to.
 */
static void
places_removed(BookingCall *call, const PlacesRow *row, int32 places)
{
	if (places == 0 ||
		booking_settle_ahead(call, row->event_id, NULL, -places) >= 0)
		return;
	places -= reserve_take_gone(row->event_id, places, row->removed_in);
	if (places > 0 && !booking_give(call, row->event_id, places) &&
		booking_event_exists(call, row->event_id))
		booking_error_no_inventory(row->event_id);
}

/*
 * Does the user's limit have to be asked for, though no place is taken: because
 * the row has become another user's, or is a hold that had expired?
 */
static bool
limit_matters(const BookingCall *call, const PlacesRow *old,
			  const PlacesRow *new)
{
	return new->places > 0 && new->places <= old->places &&
		(!user_id_equal(call, old->user_id, new->user_id) ||
		 (new->expires_at > old->expires_at &&
		  old->expires_at <= GetCurrentTimestamp()));
}

/*
 * A row stays in its event.  Where a hold expires sooner, stripe 0 is written,
 * for by its version others know when a hold expires next.
 */
static void
places_kept(BookingCall *call, const PlacesRow *old, const PlacesRow *new)
{
	if (new->places > 0 && new->expires_at < old->expires_at)
		booking_touch_stripe(call, new->event_id);
	if (limit_matters(call, old, new))
	{
		Claim		claim = claim_of_row(new);

		claim.brought = new->places;
		booking_take_or_raise(call, new->event_id, 0, &claim);
	}
	if (new->places > old->places)
		places_added(call, new, new->places - old->places);
	else if (new->places < old->places)
		places_removed(call, old, old->places - new->places);
}

/* TK005 where a hold that has become tickets is made live again. */
static void
refuse_second_life(BookingCall *call, const PlacesRow *old,
				   const PlacesRow *new)
{
	int			tickets;

	if (new->hold_id == 0 || old->places > 0 || new->places == 0)
		return;
	(void) booking_tickets_of_hold(call, new->hold_id, &tickets);
	if (tickets > 0)
		booking_error_wrong_state("hold", new->hold_id, "reinstated",
								  "confirmed");
}

/* A row was changed.  Two events are served in the order of their ids. */
static void
places_changed(BookingCall *call, PlacesRow old, PlacesRow new)
{
	refuse_second_life(call, &old, &new);
	if (old.event_id == new.event_id)
		places_kept(call, &old, &new);
	else if (old.event_id < new.event_id)
	{
		places_removed(call, &old, old.places);
		places_added(call, &new, new.places);
	}
	else
	{
		places_added(call, &new, new.places);
		places_removed(call, &old, old.places);
	}
}

/* What was remembered of an event may not be so with this change of a hold. */
static void
note_hold(const PlacesRow *row)
{
	if (row->hold_id != 0)
		remembered_hold_changed(row->event_id);
}

/* The command of this transaction that has removed a version of a row. */
static CommandId
removed_in(HeapTuple tuple)
{
	HeapTupleHeader header = tuple->t_data;

	if (!TransactionIdIsCurrentTransactionId(
			HeapTupleHeaderGetUpdateXid(header)))
		return InvalidCommandId;
	return HeapTupleHeaderGetCmax(header);
}

/* What the triggers of the ticket and the hold table do. */
static void
serve_places(BookingCall *call, TriggerData *data,
			 PlacesRow (*read_row)(Relation, TupleTableSlot *))
{
	Relation	rel = data->tg_relation;
	PlacesRow	row;

	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
	{
		booking_refill_inventory(call);
		return;
	}
	row = read_row(rel, data->tg_trigslot);
	note_hold(&row);
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		places_added(call, &row, row.places);
		return;
	}
	row.removed_in = removed_in(data->tg_trigtuple);
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		PlacesRow	new = read_row(rel, data->tg_newslot);

		note_hold(&new);
		places_changed(call, row, new);
	}
	else
		places_removed(call, &row, row.places);
}

/* The trigger of the ticket table. */
Datum
booking_ticket_changed(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TriggerData *data = trigger_begin(fcinfo, &call, "ticket_changed");

	trigger_check_table(&call, data, "ticket_changed", call.tables.ticket);
	serve_places(&call, data, read_ticket_row);
	booking_end(&call);
	PG_RETURN_POINTER(NULL);
}

/* The trigger of the hold table. */
Datum
booking_hold_changed(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TriggerData *data = trigger_begin(fcinfo, &call, "hold_changed");

	trigger_check_table(&call, data, "hold_changed", call.tables.hold);
	serve_places(&call, data, read_hold_row);
	booking_end(&call);
	PG_RETURN_POINTER(NULL);
}

/* Raises 23503, as a foreign key would, where the event is still in use. */
static void
refuse_if_in_use(BookingCall *call, int64 event_id)
{
	/* in this order, for a place goes from a hold to a ticket, never back */
	bool		holds = booking_event_has_holds(call, event_id);
	bool		tickets = booking_event_has_tickets(call, event_id);

	if (tickets || holds)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("event " INT64_FORMAT " still has %s", event_id,
						tickets ? "tickets" : "live holds"),
				 errdetail("Key (event_id)=(" INT64_FORMAT ") is still referenced from table \"%s\".",
						   event_id, tickets ? "ticket" : "hold"),
				 tickets ?
					 errhint("Cancelled tickets count too: they are the event's history. Delete its tickets first.") :
					 errhint("Release the holds first, or call booking.expire_holds() if they have expired.")));
}

/* The capacity of an event was changed by delta places: TK008. */
static void
capacity_changed(BookingCall *call, int64 event_id, int32 capacity, int64 delta)
{
	Claim		claim = {0};	/* on no condition */

	if (delta > 0)
	{
		if (!booking_give(call, event_id, (int32) delta))
			booking_error_no_inventory(event_id);
	}
	else if (delta < 0)
	{
		switch (booking_take(call, event_id, (int32) -delta, &claim))
		{
			case TAKE_DONE:
				break;
			case TAKE_SOLD_OUT:
				booking_error_capacity_in_use(event_id, capacity,
											  capacity - delta - claim.left);
				break;
			default:
				booking_error_no_inventory(event_id);
				break;
		}
	}
}

/*
 * The capacity in a row of the event table; 23514 where it is null or negative,
 * which only an owner who has dropped the table's constraints can write.
 */
static int32
row_capacity(Relation rel, TupleTableSlot *slot)
{
	bool		isnull;
	int32		capacity = DatumGetInt32(trigger_row_value(rel, slot, "capacity", &isnull));

	if (isnull || capacity < 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("the capacity of an event must not be null or negative")));
	return capacity;
}

/* The conditions of sale in a row of the event table; 23514 as above. */
static SaleRules
row_rules(Relation rel, TupleTableSlot *slot)
{
	SaleRules	rules;
	bool		isnull;

	rules.sales_start =
		DatumGetTimestampTz(trigger_row_value(rel, slot, "sales_start", &isnull));
	if (isnull)
		rules.sales_start = DT_NOBEGIN;
	rules.sales_end =
		DatumGetTimestampTz(trigger_row_value(rel, slot, "sales_end", &isnull));
	if (isnull)
		rules.sales_end = DT_NOEND;
	rules.max_per_user =
		DatumGetInt32(trigger_row_value(rel, slot, "max_per_user", &isnull));
	if (!isnull && rules.max_per_user < 1)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("max_per_user of an event must be positive")));
	return rules;
}

/* The key in a row of the event table. */
static int64
row_event_id(Relation rel, TupleTableSlot *slot)
{
	bool		isnull;

	return DatumGetInt64(trigger_row_value(rel, slot, "event_id", &isnull));
}

/*
 * An event, as the slot has it, was deleted: so is its inventory, unless it is
 * in use.  The rows that have gone with it, by a foreign key of the user's, may
 * fire their triggers only when the same statement has put another event under
 * its id; they are not to give that one their places.
 */
static void
event_removed(BookingCall *call, Relation rel, TupleTableSlot *slot)
{
	int64		event_id = row_event_id(rel, slot);
	bool		isnull;
	int32		capacity = DatumGetInt32(
		trigger_row_value(rel, slot, "capacity", &isnull));
	int64		left = booking_drop_stripes(call, event_id);

	refuse_if_in_use(call, event_id);
	if (left >= 0 && left < capacity)
		reserve_note_gone(event_id, capacity - left);
	booking_forget_event(call, event_id);
}

/* An event was updated, perhaps its key. */
static void
event_updated(BookingCall *call, TriggerData *data)
{
	Relation	rel = data->tg_relation;
	int64		old_id = row_event_id(rel, data->tg_trigslot);
	int64		new_id = row_event_id(rel, data->tg_newslot);
	int32		old_capacity = row_capacity(rel, data->tg_trigslot);
	int32		new_capacity = row_capacity(rel, data->tg_newslot);
	SaleRules	old_rules = row_rules(rel, data->tg_trigslot);
	SaleRules	new_rules = row_rules(rel, data->tg_newslot);

	if (old_id != new_id)
	{
		event_removed(call, rel, data->tg_trigslot);
		stripe_insert(call, new_id, 0, new_capacity, &new_rules);
		return;
	}
	/* in the lock order: holds, stripe 0, all stripes */
	if (new_capacity < old_capacity)
		booking_end_expired(call, new_id);
	if (!stripe_same_rules(&old_rules, &new_rules))
		booking_set_rules(call, new_id, &new_rules);
	capacity_changed(call, new_id, new_capacity,
					 (int64) new_capacity - old_capacity);
}

/* All events were truncated: refused unless all tickets were as well. */
static void
events_truncated(BookingCall *call)
{
	/* nobody who has a place in flight may be missed */
	LockRelationOid(call->tables.ticket, ShareLock);
	if (booking_any_ticket_or_hold(call))
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("cannot truncate table \"event\" while there are tickets or holds"),
				 errhint("Truncate them at the same time: TRUNCATE booking.event, booking.ticket, booking.hold.")));
	booking_forget_all_events(call);
}

/* The trigger of the event table. */
Datum
booking_event_changed(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TriggerData *data = trigger_begin(fcinfo, &call, "event_changed");
	Relation	rel = data->tg_relation;
	TupleTableSlot *slot = data->tg_trigslot;

	trigger_check_table(&call, data, "event_changed", call.tables.event);
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		SaleRules	rules = row_rules(rel, slot);

		stripe_insert(&call, row_event_id(rel, slot), 0,
					  row_capacity(rel, slot), &rules);
	}
	else if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		event_updated(&call, data);
	else if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		event_removed(&call, rel, slot);
	else
		events_truncated(&call);

	booking_end(&call);
	PG_RETURN_POINTER(NULL);
}
