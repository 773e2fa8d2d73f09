/*-------------------------------------------------------------------------
 *
 * ticket_trigger.c
 *	  The trigger of the ticket table.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "event/inventory.h"
#include "event/placed_row.h"
#include "request/request.h"
#include "server/compat.h"
#include "tables/moved_row.h"
#include "tables/trigger.h"

SQL_FUNCTION(booking_ticket_changed);

/* Reads a row of the ticket table. */
static PlacedRow
read_row(Relation rel, TupleTableSlot *slot)
{
	PlacedRow	row;
	bool		live;

	(void) trigger_value(rel, slot, "cancelled_at", &live);
	row.table = "ticket";
	row.event_id = DatumGetInt64(trigger_value_not_null(rel, slot, "event_id"));
	row.user_id = trigger_value_not_null(rel, slot, "user_id");
	row.places = live ? 1 : 0;
	row.expires_at = DT_NOEND;
	row.removed_in = InvalidCommandId;
	return row;
}

/* What the trigger does after a row was added. */
static void
row_added(BookingCall *call, TriggerData *data)
{
	PlacedRow	row = read_row(data->tg_relation, data->tg_trigslot);
	MovedRow	moved;

	if (moved_row_arrives(data, &moved))
	{
		PlacedRow	old = read_row(moved.rel, moved.slot);

		placed_row_moved(call, &old, &row);
		moved_row_close(&moved);
	}
	else
		placed_row_added(call, &row);
}

/* What the trigger does after a row. */
static void
row_changed(BookingCall *call, TriggerData *data)
{
	Relation	rel = data->tg_relation;
	PlacedRow	row;

	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		row_added(call, data);
		return;
	}
	row = read_row(rel, data->tg_trigslot);
	row.removed_in = trigger_removed_in(data);
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		PlacedRow	new = read_row(rel, data->tg_newslot);

		placed_row_changed(call, &row, &new);
		return;
	}
	(void) moved_row_leaves(data);
	placed_row_removed(call, &row);
}

/* The trigger of the ticket table. */
Datum
booking_ticket_changed(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TriggerData *data = trigger_begin(fcinfo, &call, "ticket_changed");

	trigger_check_table(data, "ticket_changed", call.tables.ticket);
	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
	{
		inventory_refill(&call);
		request_forget_all(&call, false);
	}
	else
		row_changed(&call, data);
	booking_call_end(&call);
	PG_RETURN_POINTER(NULL);
}
