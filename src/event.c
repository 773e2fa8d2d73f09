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

#include "remembered.h"
#include "reserve.h"

static BookingPlan exists_plan = {
	.sql = "SELECT 1 FROM booking.event WHERE event_id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static BookingPlan has_tickets_plan = {
	.sql = "SELECT 1 FROM booking.ticket WHERE event_id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static BookingPlan any_ticket_plan = {
	.sql = "SELECT 1 FROM booking.ticket",
	.nargs = 0,
	.argtypes = { InvalidOid },
};

static BookingPlan any_hold_plan = {
	.sql = "SELECT 1 FROM booking.hold",
	.nargs = 0,
	.argtypes = { InvalidOid },
};

static BookingPlan has_live_hold_plan = {
	.sql = "SELECT 1 FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND ended_at IS NULL",
	.nargs = 1,
	.argtypes = { INT8OID },
};

/*
 * An event that has gone leaves no keys behind.  Its ended holds and the rows
 * of its users stay until purge(): others may have them locked, and wait for a
 * stripe that is locked by now.
 */
static BookingPlan forget_plan = {
	.sql = "DELETE FROM booking.request WHERE event_id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static BookingPlan forget_all_plan = {
	.sql = "DELETE FROM booking.request",
	.nargs = 0,
	.argtypes = { InvalidOid },
};

static BookingPlan hold_ttl_plan = {
	.sql = "SELECT hold_ttl, max_hold_ttl FROM booking.event"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static BookingPlan has_limit_plan = {
	.sql = "SELECT 1 FROM booking.event"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND max_per_user IS NOT NULL",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static BookingPlan availability_plan = {
	.sql = "SELECT e.capacity, (SELECT pg_catalog.sum(i.available)"
		   " FROM booking.inventory i WHERE i.event_id OPERATOR(pg_catalog.=) e.event_id),"
		   " h.expired, h.held FROM booking.event e,"
		   " LATERAL (SELECT pg_catalog.sum(quantity) FILTER"
		   " (WHERE expires_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()) AS expired,"
		   " pg_catalog.sum(quantity) AS held FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND ended_at IS NULL) h"
		   " WHERE e.event_id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static BookingPlan any_inventory_plan = {
	.sql = "SELECT 1 FROM booking.inventory",
	.nargs = 0,
	.argtypes = { InvalidOid },
};

static BookingPlan empty_inventory_plan = {
	.sql = "DELETE FROM booking.inventory",
	.nargs = 0,
	.argtypes = { InvalidOid },
};

static BookingPlan refill_inventory_plan = {
	.sql = "INSERT INTO booking.inventory"
		   " (event_id, stripe, available, max_per_user, sales_start, sales_end)"
		   " SELECT e.event_id, 0, e.capacity OPERATOR(pg_catalog.-)"
		   " COALESCE(pg_catalog.sum(taken.places), 0)::pg_catalog.int4,"
		   " e.max_per_user, e.sales_start, e.sales_end"
		   " FROM booking.event e LEFT JOIN"
		   " (SELECT event_id, pg_catalog.count(*) AS places FROM booking.ticket"
		   " WHERE cancelled_at IS NULL GROUP BY event_id"
		   " UNION ALL SELECT event_id, pg_catalog.sum(quantity) FROM booking.hold"
		   " WHERE ended_at IS NULL GROUP BY event_id) AS taken"
		   " ON taken.event_id OPERATOR(pg_catalog.=) e.event_id"
		   " GROUP BY e.event_id"
		   " ON CONFLICT (event_id, stripe) DO NOTHING",
	.nargs = 0,
	.argtypes = { InvalidOid },
};

/* Runs a query that asks whether something is there, by the newest snapshot. */
static bool
is_there(BookingCall *call, BookingPlan *plan, int64 event_id)
{
	Datum		value = Int64GetDatum(event_id);
	bool		found;

	booking_connect_for_all_rows(call);
	found = booking_execute_latest(plan, &value, 1) > 0;
	booking_finish(call);
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

/* Is there a ticket or hold of any event? */
bool
booking_any_ticket_or_hold(BookingCall *call)
{
	return is_there(call, &any_ticket_plan, 0) ||
		is_there(call, &any_hold_plan, 0);
}

/* Has the event a live hold, committed by now or our own? */
bool
booking_event_has_holds(BookingCall *call, int64 event_id)
{
	return is_there(call, &has_live_hold_plan, event_id);
}

/* Has the event a limit per user? */
bool
booking_event_has_limit(BookingCall *call, int64 event_id)
{
	return is_there(call, &has_limit_plan, event_id);
}

/*
 * How long holds of the event last at first, and at most in all; P0002 where
 * there is no such event.
 */
void
booking_read_hold_ttl(BookingCall *call, int64 event_id, Interval *ttl,
					  Interval *max_ttl)
{
	Datum		value = Int64GetDatum(event_id);
	Datum		values[2];
	bool		isnull[2];

	booking_connect_for_all_rows(call);
	if (booking_execute(&hold_ttl_plan, &value, false) == 0)
		booking_error_no_event(event_id);
	values[0] = booking_result(0, 1, INTERVALOID, &isnull[0]);
	values[1] = booking_result(0, 2, INTERVALOID, &isnull[1]);
	if (isnull[0] || isnull[1])
		booking_error_shape("booking.event holds a null in hold_ttl or max_hold_ttl.",
							"Give these columns their NOT NULL back.");
	*ttl = *DatumGetIntervalP(values[0]);
	*max_ttl = *DatumGetIntervalP(values[1]);
	booking_finish(call);
}

/* Forgets the keys of an event that has gone. */
void
booking_forget_event(BookingCall *call, int64 event_id)
{
	Datum		value = Int64GetDatum(event_id);

	booking_connect_for_all_rows(call);
	(void) booking_execute_latest(&forget_plan, &value, 0);
	booking_finish(call);
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

/* Gives places back, or raises P0002 or 55000. */
void
booking_give_or_raise(BookingCall *call, int64 event_id, int32 quantity)
{
	if (!booking_give(call, event_id, quantity))
		booking_raise_no_stripes(call, event_id);
}

/* Takes places for the claim, or raises TK001, TK002, TK003, P0002 or 55000. */
void
booking_take_or_raise(BookingCall *call, int64 event_id, int32 quantity,
					  Claim *claim)
{
	TakeResult	result = booking_take(call, event_id, quantity, claim);

	if (result == TAKE_NO_EVENT)
		booking_raise_no_stripes(call, event_id);
	if (result != TAKE_DONE)
		booking_error_refused(event_id, quantity, result, claim);
}

/*
 * Reads what there is of the event as the calling statement's snapshot shows
 * it; false: it shows no such event.  Places in holds that have expired are
 * available.  55000 where the event has no inventory.  Locks nothing.  A
 * transaction that has had a reserve reads its newest state, to which alone
 * its reserve can be added.
 */
bool
booking_read_event(BookingCall *call, int64 event_id, EventState *state)
{
	Datum		value = Int64GetDatum(event_id);
	bool		found;
	bool		isnull;
	bool		no_holds;
	int64		expired;

	booking_connect_for_all_rows(call);
	found =
		booking_execute(&availability_plan, &value, !reserve_was_used()) > 0;
	if (found)
	{
		state->capacity = DatumGetInt32(booking_result(0, 1, INT4OID, &isnull));
		state->available =
			DatumGetInt64(booking_result(0, 2, INT8OID, &isnull));
		if (isnull)
			booking_error_no_inventory(event_id);
		expired = DatumGetInt64(booking_result(0, 3, INT8OID, &no_holds));
		state->held =
			DatumGetInt64(booking_result(0, 4, INT8OID, &no_holds)) - expired;
		state->available += expired + reserve_places(event_id);
	}
	booking_finish(call);
	return found;
}

/*
 * Deletes the stripes of all events, waiting for whoever has one locked: a
 * change of capacity, who may be splitting it.  So it looks again until there
 * is none.  Then none is remembered, either: places would be put into reserve
 * by conditions of sale that are no longer those of the event.
 */
static void
delete_all_stripes(void)
{
	while (booking_execute_latest(&any_inventory_plan, NULL, 1) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		(void) booking_execute_latest(&empty_inventory_plan, NULL, 0);
	}
	remembered_forget_all();
}

/*
 * Makes the inventory anew, after all tickets or holds were truncated.  When
 * all stripes are gone nobody has a place in flight, and nobody can take one.
 * An event whose row is committed between the two statements has brought its
 * own inventory, which stays.  Like TRUNCATE itself it goes by what is there
 * now, not by a snapshot.
 */
void
booking_refill_inventory(BookingCall *call)
{
	reserve_give_back(call);
	booking_connect_for_all_rows(call);
	delete_all_stripes();
	(void) booking_execute_latest(&refill_inventory_plan, NULL, 0);
	booking_finish(call);
}

/* Empties what belongs to events, after all of them were truncated. */
void
booking_forget_all_events(BookingCall *call)
{
	reserve_give_back(call);
	booking_connect_for_all_rows(call);
	delete_all_stripes();
	(void) booking_execute_latest(&forget_all_plan, NULL, 0);
	booking_finish(call);
}
