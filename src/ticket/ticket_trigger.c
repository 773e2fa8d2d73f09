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

#include "catalog/pg_type.h"

#include "event/handover.h"
#include "event/inventory.h"
#include "event/placed_row.h"
#include "request/request.h"
#include "server/errors.h"
#include "server/plan.h"
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

/* Reads hold_id; 0 if it is null. */
static int64
hold_of(Relation rel, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		hold_id = trigger_value(rel, slot, "hold_id", &isnull);

	return isnull ? 0 : DatumGetInt64(hold_id);
}

/*
 * A ticket has got a hold that it did not have before.  Raises 23T05 if that
 * hold is live: it would become tickets twice.  Locks the hold, so that it
 * can't be made live again.  A hold that is not there may still be loaded.
 */
static void
check_hold(BookingCall *call, int64 event_id, int64 hold_id)
{
	static SqlPlan plan = {
		.sql = "SELECT ended_at IS NULL FROM booking.hold"
			   " WHERE hold_id OPERATOR(pg_catalog.=) $1 FOR SHARE",
		.nargs = 1,
		.argtypes = { INT8OID },
	};
	Datum		value = Int64GetDatum(hold_id);
	bool		isnull;

	if (hold_id == 0 || handover_is_here(event_id))
		return;
	plan_connect_for_all_rows(&call->base);
	if (plan_execute(&call->base, &plan, &value, NULL) > 0 &&
		DatumGetBool(plan_result(&call->base, 0, 1, BOOLOID, &isnull)))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_STATE),
				 errmsg("a ticket cannot be made from hold " INT64_FORMAT,
						hold_id),
				 errdetail("The hold is live."),
				 errhint("Call booking.confirm_hold()."),
				 error_fields("ticket", "hold_id", "hold_state")));
	plan_disconnect(&call->base);
}

/* The same if the old version of the row, if any, has another hold. */
static void
check_new_hold(BookingCall *call, const PlacedRow *row, Relation rel,
			   TupleTableSlot *slot, int64 old_hold)
{
	int64		hold_id = hold_of(rel, slot);

	if (hold_id != old_hold)
		check_hold(call, row->event_id, hold_id);
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

		check_new_hold(call, &row, data->tg_relation, data->tg_trigslot,
					   hold_of(moved.rel, moved.slot));
		placed_row_moved(call, &old, &row);
		moved_row_close(&moved);
	}
	else
	{
		check_new_hold(call, &row, data->tg_relation, data->tg_trigslot, 0);
		placed_row_added(call, &row);
	}
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

		check_new_hold(call, &new, rel, data->tg_newslot,
					   hold_of(rel, data->tg_trigslot));
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
