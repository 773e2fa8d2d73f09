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

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "event.h"
#include "ticket.h"

PG_FUNCTION_INFO_V1(booking_ticket_changed);
PG_FUNCTION_INFO_V1(booking_event_changed);

/* What a row of the ticket table means for the inventory. */
typedef struct TicketRow
{
	int64		event_id;
	bool		live;
} TicketRow;

/*
 * Begins the call of a trigger and returns its data.  39P01 unless it was
 * fired after a row, or after TRUNCATE, by the table whose OID is at offset in
 * BookingTables.
 */
static TriggerData *
begin_trigger(FunctionCallInfo fcinfo, BookingCall *call, const char *name,
			  size_t offset)
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
	if (!booking_is_our_table(data->tg_relation,
							  *(Oid *) ((char *) &call->tables + offset)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"booking.%s\" must not be called by a trigger on table \"%s\"",
						name, RelationGetRelationName(data->tg_relation))));
	return data;
}

/* A column of the row that is never null; a partition may have it elsewhere. */
static Datum
row_value(Relation rel, TupleTableSlot *slot, const char *column, bool *isnull)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(rel), column);

	if (attnum == InvalidAttrNumber)
		booking_error_shape(psprintf("Column \"%s\" of table \"%s\" is missing.",
									 column, RelationGetRelationName(rel)),
							"Rename it back.");
	return slot_getattr(slot, attnum, isnull);
}

/* Reads a row of the ticket table; 23502 where its event is null. */
static TicketRow
read_ticket_row(Relation rel, TupleTableSlot *slot)
{
	TicketRow	row;
	bool		isnull;

	(void) row_value(rel, slot, "cancelled_at", &isnull);
	row.live = isnull;
	row.event_id = DatumGetInt64(row_value(rel, slot, "event_id", &isnull));
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("a ticket must have an event_id")));
	return row;
}

/*
 * A ticket was put into an event: takes its place if it is live, unless a
 * function did so ahead.  If it is not, its event must be there all the same,
 * and stay.
 */
static void
ticket_added(BookingCall *call, TicketRow row)
{
	if (!row.live)
	{
		if (!booking_give(call, row.event_id, 0))
			booking_raise_no_stripes(call, row.event_id);
	}
	else if (booking_settle_ahead(row.event_id, 1) > 0)
		booking_take_or_raise(call, row.event_id, 1);
}

/*
 * A ticket was taken out of an event: gives its place back if it was live.
 * Where the event was deleted by the same statement there is nothing to give
 * it to.
 */
static void
ticket_removed(BookingCall *call, TicketRow row)
{
	if (row.live && booking_settle_ahead(row.event_id, -1) < 0 &&
		!booking_give(call, row.event_id, 1) &&
		booking_event_exists(call, row.event_id))
		booking_error_no_inventory(row.event_id);
}

/* A ticket was changed.  Two events are served in the order of their ids. */
static void
ticket_updated(BookingCall *call, TicketRow old, TicketRow new)
{
	if (old.event_id == new.event_id && old.live == new.live)
		return;
	if (old.event_id == new.event_id && old.live)
		ticket_removed(call, old);
	else if (old.event_id <= new.event_id)
	{
		ticket_removed(call, old);
		ticket_added(call, new);
	}
	else
	{
		ticket_added(call, new);
		ticket_removed(call, old);
	}
}

/* The trigger of the ticket table. */
Datum
booking_ticket_changed(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TriggerData *data = begin_trigger(fcinfo, &call, "ticket_changed",
									  offsetof(BookingTables, ticket));
	Relation	rel = data->tg_relation;

	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		ticket_added(&call, read_ticket_row(rel, data->tg_trigslot));
	else if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		ticket_updated(&call, read_ticket_row(rel, data->tg_trigslot),
					   read_ticket_row(rel, data->tg_newslot));
	else if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		ticket_removed(&call, read_ticket_row(rel, data->tg_trigslot));
	else
		booking_refill_inventory(&call);

	booking_end(&call);
	PG_RETURN_POINTER(NULL);
}

/* Raises 23503, as a foreign key would, where the event still has tickets. */
static void
refuse_if_tickets(BookingCall *call, int64 event_id)
{
	if (booking_event_has_tickets(call, event_id))
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("event " INT64_FORMAT " still has tickets", event_id),
				 errdetail("Key (event_id)=(" INT64_FORMAT ") is still referenced from table \"ticket\".",
						   event_id),
				 errhint("Cancelled tickets count too: they are the event's history. Delete its tickets first.")));
}

/* An event was deleted: so is its inventory, unless there are tickets. */
static void
event_removed(BookingCall *call, int64 event_id)
{
	booking_drop_stripes(call, event_id);
	refuse_if_tickets(call, event_id);
}

/* The capacity of an event was changed by delta places: TK008. */
static void
capacity_changed(BookingCall *call, int64 event_id, int32 capacity, int64 delta)
{
	int64		left = 0;

	if (delta > 0)
	{
		if (!booking_give(call, event_id, (int32) delta))
			booking_error_no_inventory(event_id);
	}
	else if (delta < 0)
	{
		switch (booking_take(call, event_id, (int32) -delta, &left))
		{
			case TAKE_DONE:
				break;
			case TAKE_SOLD_OUT:
				booking_error_capacity_in_use(event_id, capacity,
											  capacity - delta - left);
				break;
			case TAKE_NO_EVENT:
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
	int32		capacity = DatumGetInt32(row_value(rel, slot, "capacity", &isnull));

	if (isnull || capacity < 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("the capacity of an event must not be null or negative")));
	return capacity;
}

/* The key in a row of the event table. */
static int64
row_event_id(Relation rel, TupleTableSlot *slot)
{
	bool		isnull;

	return DatumGetInt64(row_value(rel, slot, "event_id", &isnull));
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

	if (old_id != new_id)
	{
		event_removed(call, old_id);
		stripe_insert(call, new_id, 0, new_capacity);
	}
	else
		capacity_changed(call, new_id, new_capacity,
						 (int64) new_capacity - old_capacity);
}

/* All events were truncated: refused unless all tickets were as well. */
static void
events_truncated(BookingCall *call)
{
	/* nobody who has a place in flight may be missed */
	LockRelationOid(call->tables.ticket, ShareLock);
	if (booking_any_ticket(call))
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("cannot truncate table \"event\" while there are tickets"),
				 errhint("Truncate table \"ticket\" at the same time: TRUNCATE booking.event, booking.ticket.")));
	booking_empty_inventory(call);
}

/* The trigger of the event table. */
Datum
booking_event_changed(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TriggerData *data = begin_trigger(fcinfo, &call, "event_changed",
									  offsetof(BookingTables, event));
	Relation	rel = data->tg_relation;
	TupleTableSlot *slot = data->tg_trigslot;

	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		stripe_insert(&call, row_event_id(rel, slot), 0,
					  row_capacity(rel, slot));
	else if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		event_updated(&call, data);
	else if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		event_removed(&call, row_event_id(rel, slot));
	else
		events_truncated(&call);

	booking_end(&call);
	PG_RETURN_POINTER(NULL);
}
