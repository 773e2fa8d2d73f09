/*-------------------------------------------------------------------------
 *
 * event.c
 *	  What the event table says of an event.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/snapmgr.h"

#include "event/event.h"
#include "event/refusal.h"
#include "server/errors.h"
#include "server/plan.h"
#include "server/rowversion.h"

static SqlPlan exists_plan = {
	.sql = "SELECT 1 FROM booking.event WHERE event_id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static SqlPlan has_tickets_plan = {
	.sql = "SELECT 1 FROM booking.ticket WHERE event_id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static SqlPlan any_event_plan = {
	.sql = "SELECT 1 FROM booking.event",
	.nargs = 0,
	.argtypes = { InvalidOid },
};

static SqlPlan any_ticket_plan = {
	.sql = "SELECT 1 FROM booking.ticket",
	.nargs = 0,
	.argtypes = { InvalidOid },
};

static SqlPlan any_hold_plan = {
	.sql = "SELECT 1 FROM booking.hold",
	.nargs = 0,
	.argtypes = { InvalidOid },
};

static SqlPlan has_live_hold_plan = {
	.sql = "SELECT 1 FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND ended_at IS NULL",
	.nargs = 1,
	.argtypes = { INT8OID },
};

/*
 * The idempotency keys of an event go with it.  Its ended holds and the rows
 * of its users stay until purge(): another transaction may have them locked
 * while it waits for a stripe that we have locked.
 */
static SqlPlan forget_keys_plan = {
	.sql = "DELETE FROM booking.request WHERE event_id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static SqlPlan hold_ttl_plan = {
	.sql = "SELECT hold_ttl, max_hold_ttl FROM booking.event"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static SqlPlan has_limit_plan = {
	.sql = "SELECT 1 FROM booking.event"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND max_per_user IS NOT NULL",
	.nargs = 1,
	.argtypes = { INT8OID },
};

/* True if the query finds a row, by the newest snapshot. */
static bool
is_there(BookingCall *call, SqlPlan *plan, int64 event_id)
{
	Datum		value = Int64GetDatum(event_id);
	bool		found;

	plan_connect_for_all_rows(&call->base);
	found = plan_execute_latest(&call->base, plan, &value, 1) > 0;
	plan_disconnect(&call->base);
	return found;
}

/* True if the event has a row, committed by now or our own. */
bool
event_exists(BookingCall *call, int64 event_id)
{
	return is_there(call, &exists_plan, event_id);
}

/* True if the event has a ticket, cancelled or not. */
bool
event_has_tickets(BookingCall *call, int64 event_id)
{
	return is_there(call, &has_tickets_plan, event_id);
}

/* True if the event has a live hold. */
bool
event_has_live_holds(BookingCall *call, int64 event_id)
{
	return is_there(call, &has_live_hold_plan, event_id);
}

/* True if the event has a limit per user. */
bool
event_has_limit(BookingCall *call, int64 event_id)
{
	return is_there(call, &has_limit_plan, event_id);
}

/*
 * True if the event was created after the time.  The caller has a stripe of it
 * locked, so it can't be deleted now.
 */
bool
event_created_after(BookingCall *call, int64 event_id, TimestampTz time)
{
	static SqlPlan plan = {
		.sql = "SELECT 1 FROM booking.event"
			   " WHERE event_id OPERATOR(pg_catalog.=) $1"
			   " AND created_at OPERATOR(pg_catalog.>) $2",
		.nargs = 2,
		.argtypes = { INT8OID, TIMESTAMPTZOID },
	};
	Datum		values[2];
	bool		found;

	values[0] = Int64GetDatum(event_id);
	values[1] = TimestampTzGetDatum(time);
	plan_connect_for_all_rows(&call->base);
	found = plan_execute_latest(&call->base, &plan, values, 1) > 0;
	plan_disconnect(&call->base);
	return found;
}

/* True if there is any event. */
bool
event_any(BookingCall *call)
{
	return is_there(call, &any_event_plan, 0);
}

/* True if there is a ticket or hold of any event. */
bool
event_any_ticket_or_hold(BookingCall *call)
{
	return is_there(call, &any_ticket_plan, 0) ||
		is_there(call, &any_hold_plan, 0);
}

/* Stores the times of an event, of which none may be null. */
static void
store_ttl(const Datum *values, const bool *isnull, Interval *ttl,
		  Interval *max_ttl)
{
	if (isnull[0] || isnull[1])
		error_unusable("table booking.event has a null in hold_ttl or max_hold_ttl",
					   "Give these columns their NOT NULL back.");
	*ttl = *DatumGetIntervalP(values[0]);
	*max_ttl = *DatumGetIntervalP(values[1]);
}

/* Reads them without a statement.  Returns false if there is no such event. */
static bool
read_ttl_directly(const BookingCall *call, Relation rel, int64 event_id,
				  Interval *ttl, Interval *max_ttl)
{
	const AttrNumber *attnum = call->tables.event_shape.attnum;
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	Snapshot	snapshot;
	Datum		values[2];
	bool		isnull[2];
	bool		found;

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	found =
		row_version_find_by_id(rel, event_id, snapshot, AccessShareLock, slot);
	if (found)
	{
		values[0] =
			slot_getattr(slot, attnum[INSPECT_EVENT_HOLD_TTL], &isnull[0]);
		values[1] =
			slot_getattr(slot, attnum[INSPECT_EVENT_MAX_HOLD_TTL], &isnull[1]);
		store_ttl(values, isnull, ttl, max_ttl);
	}
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

/* Does it by a statement. */
static bool
read_ttl_by_sql(BookingCall *call, int64 event_id, Interval *ttl,
				Interval *max_ttl)
{
	Call	   *base = &call->base;
	Datum		value = Int64GetDatum(event_id);
	Datum		values[2];
	bool		isnull[2];
	bool		found;

	plan_connect_for_all_rows(base);
	found = plan_execute(base, &hold_ttl_plan, &value, NULL) > 0;
	if (found)
	{
		values[0] = plan_result(base, 0, 1, INTERVALOID, &isnull[0]);
		values[1] = plan_result(base, 0, 2, INTERVALOID, &isnull[1]);
		store_ttl(values, isnull, ttl, max_ttl);
	}
	plan_disconnect(base);
	return found;
}

/*
 * Reads how long a hold of the event lasts by default, and at most in all.
 * Raises 23503 if there is no such event.
 */
void
event_read_hold_ttl(BookingCall *call, int64 event_id, Interval *ttl,
					Interval *max_ttl)
{
	Relation	rel =
		booking_call_open(call->tables.event, "event", AccessShareLock);
	bool		found;

	if (booking_call_may_find(call, &call->tables.event_shape, rel))
		found = read_ttl_directly(call, rel, event_id, ttl, max_ttl);
	else
		found = read_ttl_by_sql(call, event_id, ttl, max_ttl);
	table_close(rel, NoLock);
	if (!found)
		refusal_no_event(event_id, "hold");
}

/* Deletes the idempotency keys of an event that was deleted. */
void
event_forget_keys(BookingCall *call, int64 event_id)
{
	Datum		value = Int64GetDatum(event_id);

	plan_connect_for_all_rows(&call->base);
	(void) plan_execute_latest(&call->base, &forget_keys_plan, &value, 0);
	plan_disconnect(&call->base);
}
