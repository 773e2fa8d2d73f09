/*-------------------------------------------------------------------------
 *
 * event.c
 *	  What the event table says, and what the inventory means for an event.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "event.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"

#include "reserve.h"

static BookingPlan exists_plan = {
	"SELECT 1 FROM booking.event WHERE event_id OPERATOR(pg_catalog.=) $1",
	1,
	{ INT8OID },
	NULL
};

static BookingPlan has_tickets_plan = {
	"SELECT 1 FROM booking.ticket WHERE event_id OPERATOR(pg_catalog.=) $1",
	1,
	{ INT8OID },
	NULL
};

static BookingPlan any_ticket_plan = {
	"SELECT 1 FROM booking.ticket",
	0,
	{ InvalidOid },
	NULL
};

static BookingPlan availability_plan = {
	"SELECT e.capacity, (SELECT pg_catalog.sum(i.available)"
	" FROM booking.inventory i WHERE i.event_id OPERATOR(pg_catalog.=) e.event_id)"
	" FROM booking.event e WHERE e.event_id OPERATOR(pg_catalog.=) $1",
	1,
	{ INT8OID },
	NULL
};

static BookingPlan any_inventory_plan = {
	"SELECT 1 FROM booking.inventory",
	0,
	{ InvalidOid },
	NULL
};

static BookingPlan empty_inventory_plan = {
	"DELETE FROM booking.inventory", 0, {InvalidOid}, NULL
};

static BookingPlan refill_inventory_plan = {
	"INSERT INTO booking.inventory (event_id, stripe, available)"
	" SELECT e.event_id, 0, e.capacity FROM booking.event e"
	" ON CONFLICT (event_id, stripe) DO NOTHING",
	0,
	{ InvalidOid },
	NULL
};

/*
 * Connects to SPI for the statements of this file, which must see every row:
 * as for a foreign key's check, the owner's own policies do not count (FORCE
 * ROW LEVEL SECURITY).  Ended by finish().
 */
static void
connect_for_all_rows(BookingCall *call)
{
	Oid			user;
	int			context;

	booking_connect(call);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(user, context | SECURITY_NOFORCE_RLS);
}

/* Ends what connect_for_all_rows() began. */
static void
finish(void)
{
	Oid			user;
	int			context;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(user, context & ~SECURITY_NOFORCE_RLS);
	SPI_finish();
}

/* Runs a query that asks whether something is there, by the newest snapshot. */
static bool
is_there(BookingCall *call, BookingPlan *plan, int64 event_id)
{
	Datum		value = Int64GetDatum(event_id);
	bool		found;

	connect_for_all_rows(call);
	found = booking_execute_latest(plan, &value, 1) > 0;
	finish();
	return found;
}

/* Is there a row in the event table, committed by now or our own? */
bool
booking_event_exists(BookingCall *call, int64 event_id)
{
	return is_there(call, &exists_plan, event_id);
}

/* Has the event a ticket, be it cancelled, committed by now or our own? */
bool
booking_event_has_tickets(BookingCall *call, int64 event_id)
{
	return is_there(call, &has_tickets_plan, event_id);
}

/* Is there a ticket of any event? */
bool
booking_any_ticket(BookingCall *call)
{
	return is_there(call, &any_ticket_plan, 0);
}

/*
 * An event has no stripes: say so, as P0002 where there is no such event, and
 * as 55000 where there is.
 */
void
booking_raise_no_stripes(BookingCall *call, int64 event_id)
{
	if (booking_event_exists(call, event_id))
		booking_error_no_inventory(event_id);
	booking_error_no_event(event_id);
}

/* Takes places, or raises TK001, P0002 or 55000. */
void
booking_take_or_raise(BookingCall *call, int64 event_id, int32 quantity)
{
	int64		left;

	switch (booking_take(call, event_id, quantity, &left))
	{
		case TAKE_DONE:
			break;
		case TAKE_SOLD_OUT:
			booking_error_sold_out(event_id, quantity, left);
			break;
		case TAKE_NO_EVENT:
			booking_raise_no_stripes(call, event_id);
			break;
	}
}

/*
 * Reads capacity and places available as the calling statement's snapshot
 * shows them; false: it shows no such event.  55000 where the event has no
 * inventory.  Locks nothing.  A transaction that has had a reserve reads its
 * newest state, to which alone its reserve can be added.
 */
bool
booking_read_event(BookingCall *call, int64 event_id, int32 *capacity,
				   int64 *available)
{
	Datum		value = Int64GetDatum(event_id);
	bool		found;
	bool		isnull;

	connect_for_all_rows(call);
	found =
		booking_execute(&availability_plan, &value, !reserve_was_used()) > 0;
	if (found)
	{
		*capacity = DatumGetInt32(booking_result(0, 1, &isnull));
		*available = DatumGetInt64(booking_result(0, 2, &isnull));
		if (isnull)
			booking_error_no_inventory(event_id);
		*available += reserve_places(event_id);
	}
	finish();
	return found;
}

/*
 * Deletes the stripes of all events, waiting for whoever has one locked: a
 * change of capacity, who may be splitting it.  So it looks again until there
 * is none.
 */
static void
delete_all_stripes(void)
{
	while (booking_execute_latest(&any_inventory_plan, NULL, 1) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		(void) booking_execute_latest(&empty_inventory_plan, NULL, 0);
	}
}

/*
 * Gives every event all its places, after all tickets were truncated.  An
 * event whose row is committed between the two statements has brought its
 * own, full, inventory: nobody could book it, the ticket table being locked.
 * Like TRUNCATE itself it goes by what is there now, not by a snapshot.
 */
void
booking_refill_inventory(BookingCall *call)
{
	reserve_give_back(call);
	connect_for_all_rows(call);
	delete_all_stripes();
	(void) booking_execute_latest(&refill_inventory_plan, NULL, 0);
	finish();
}

/* Empties the inventory, after all events were truncated. */
void
booking_empty_inventory(BookingCall *call)
{
	reserve_give_back(call);
	connect_for_all_rows(call);
	delete_all_stripes();
	finish();
}
