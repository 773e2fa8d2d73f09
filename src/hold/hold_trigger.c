/*-------------------------------------------------------------------------
 *
 * hold_trigger.c
 *	  The trigger of the hold table.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "event/event.h"
#include "event/handover.h"
#include "event/inventory.h"
#include "event/placed_row.h"
#include "hold/hold.h"
#include "hold/ttl.h"
#include "request/request.h"
#include "server/errors.h"
#include "tables/trigger.h"
#include "ticket/ticket.h"

SQL_FUNCTION(booking_hold_changed);

/* Reads a row of the hold table; raises 23514 if its quantity is below 1. */
static PlacedRow
read_row(Relation rel, TupleTableSlot *slot)
{
	PlacedRow	row;
	bool		live;

	(void) trigger_value(rel, slot, "ended_at", &live);
	row.table = "hold";
	row.event_id = DatumGetInt64(trigger_value_not_null(rel, slot, "event_id"));
	row.user_id = trigger_value_not_null(rel, slot, "user_id");
	row.places = DatumGetInt32(trigger_value_not_null(rel, slot, "quantity"));
	if (row.places < 1)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("the quantity of a hold must be positive"),
				 error_fields("hold", "quantity", "hold_quantity_check")));
	if (!live)
		row.places = 0;
	row.expires_at = DatumGetTimestampTz(
		trigger_value_not_null(rel, slot, "expires_at"));
	row.removed_in = InvalidCommandId;
	return row;
}

/*
 * Raises 23T05 if a hold is live that has become tickets.  old is NULL for a
 * new hold.
 */
static void
refuse_second_life(BookingCall *call, Relation rel, TupleTableSlot *slot,
				   const PlacedRow *old, const PlacedRow *new)
{
	int64		hold_id =
		DatumGetInt64(trigger_value_not_null(rel, slot, "hold_id"));
	bool		unconfirmed;
	int			tickets = 0;

	if (new->places == 0 || handover_is_here(new->event_id))
		return;
	(void) trigger_value(rel, slot, "confirmed_at", &unconfirmed);
	if (unconfirmed && old != NULL && old->places == 0)
		(void) ticket_ids_of_hold(call, hold_id, &tickets);
	if (!unconfirmed || tickets > 0)
		hold_error_state(hold_id, "reinstated", "confirmed");
}

/*
 * Raises 22023 if a live hold expires later than the event's max_hold_ttl
 * allows, as the functions do.  'infinity' is allowed: it says that the hold
 * stays until it is released.  What an UPDATE does not make worse stays.
 */
static void
check_ttl(BookingCall *call, Relation rel, TupleTableSlot *slot,
		  const PlacedRow *old, const PlacedRow *new)
{
	TimestampTz created_at;
	Interval	ttl;
	Interval	max_ttl;

	if (new->places == 0 || TIMESTAMP_IS_NOEND(new->expires_at) ||
		handover_is_here(new->event_id) || placed_row_is_imported(call))
		return;
	if (old != NULL && old->places > 0 && old->event_id == new->event_id &&
		old->expires_at >= new->expires_at)
		return;
	created_at = DatumGetTimestampTz(
		trigger_value_not_null(rel, slot, "created_at"));
	event_read_hold_ttl(call, new->event_id, &ttl, &max_ttl);
	ttl_check_latest(created_at, new->expires_at, &max_ttl);
}

/* What the trigger does after a row. */
static void
row_changed(BookingCall *call, TriggerData *data)
{
	Relation	rel = data->tg_relation;
	PlacedRow	row = read_row(rel, data->tg_trigslot);

	hold_note_change(call, row.event_id);
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		refuse_second_life(call, rel, data->tg_trigslot, NULL, &row);
		check_ttl(call, rel, data->tg_trigslot, NULL, &row);
		placed_row_added(call, &row);
		return;
	}
	row.removed_in = trigger_removed_in(data);
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		PlacedRow	new = read_row(rel, data->tg_newslot);

		hold_note_change(call, new.event_id);
		refuse_second_life(call, rel, data->tg_newslot, &row, &new);
		check_ttl(call, rel, data->tg_newslot, &row, &new);
		placed_row_changed(call, &row, &new);
	}
	else
		placed_row_removed(call, &row);
}

/* The trigger of the hold table. */
Datum
booking_hold_changed(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TriggerData *data = trigger_begin(fcinfo, &call, "hold_changed");

	trigger_check_table(data, "hold_changed", call.tables.hold);
	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
	{
		inventory_refill(&call);
		request_forget_all(&call, true);
	}
	else
		row_changed(&call, data);
	booking_call_end(&call);
	PG_RETURN_POINTER(NULL);
}
