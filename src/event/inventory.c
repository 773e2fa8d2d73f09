/*-------------------------------------------------------------------------
 *
 * inventory.c
 *	  The pools of all events: read, fill and empty booking.inventory.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "event/inventory.h"
#include "event/refusal.h"
#include "event/sale.h"
#include "pool/guard.h"
#include "pool/pending.h"
#include "pool/prefetch.h"
#include "pool/remembered.h"
#include "server/errors.h"
#include "server/plan.h"
#include "server/result.h"

SQL_FUNCTION(booking_availability);
SQL_FUNCTION(booking_flush_inventory);

static SqlPlan availability_plan = {
	.sql = "SELECT e.capacity, (SELECT pg_catalog.sum(i.available)"
		   " FROM booking.inventory i WHERE i.event_id OPERATOR(pg_catalog.=) e.event_id),"
		   " h.expired, h.held, CASE"
		   " WHEN e.sales_start OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()"
		   " THEN 'not_started'"
		   " WHEN e.sales_end OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()"
		   " THEN 'ended' END FROM booking.event e,"
		   " LATERAL (SELECT pg_catalog.sum(quantity) FILTER"
		   " (WHERE expires_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()) AS expired,"
		   " pg_catalog.sum(quantity) AS held FROM booking.hold"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1 AND ended_at IS NULL) h"
		   " WHERE e.event_id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static SqlPlan any_inventory_plan = {
	.sql = "SELECT 1 FROM booking.inventory",
	.nargs = 0,
	.argtypes = { InvalidOid },
};

static SqlPlan empty_inventory_plan = {
	.sql = "DELETE FROM booking.inventory",
	.nargs = 0,
	.argtypes = { InvalidOid },
};

static SqlPlan refill_inventory_plan = {
	.sql = "INSERT INTO booking.inventory"
		   " (event_id, stripe, available, max_per_user, sales_start, sales_end,"
		   " min_per_order, max_per_order)"
		   " SELECT e.event_id, 0,"
		   " COALESCE(e.capacity, " POOL_UNLIMITED_SQL ") OPERATOR(pg_catalog.-)"
		   " COALESCE(pg_catalog.sum(taken.places), 0)::pg_catalog.int4,"
		   " e.max_per_user, e.sales_start, e.sales_end,"
		   " e.min_per_order, e.max_per_order"
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

static SqlPlan forget_all_keys_plan = {
	.sql = "DELETE FROM booking.request",
	.nargs = 0,
	.argtypes = { InvalidOid },
};

/* Returns the word in a text of the last result; it outlives that. */
static const char *
closed_word(Datum value)
{
	const char *word = TextDatumGetCString(value);

	return strcmp(word, "ended") == 0 ? "ended" : "not_started";
}

/*
 * Reads the places of the event as the snapshot of the calling statement shows
 * them.  Returns false if it shows no such event; raises 55000 if the event
 * has no pool.  Locks nothing.  A transaction that has prefetched places reads
 * its newest state instead, because the prefetched places fit only that state.
 */
bool
inventory_read(BookingCall *call, int64 event_id, EventPlaces *places)
{
	Call	   *base = &call->base;
	Datum		value = Int64GetDatum(event_id);
	SalePool	pool;
	bool		found;
	bool		isnull;
	bool		no_holds;
	int64		expired;
	Datum		closed;

	sale_open_pool(call, event_id, &pool);
	plan_connect_for_all_rows(base);
	if (prefetch_was_used(call->tables.inventory))
		found = plan_execute(base, &availability_plan, &value, NULL) > 0;
	else
		found = plan_execute_read_only(base, &availability_plan, &value) > 0;
	if (found)
	{
		places->capacity = DatumGetInt32(
			plan_result(base, 0, 1, INT4OID, &places->unlimited));
		if (places->unlimited)
			places->capacity = POOL_UNLIMITED;
		places->available =
			DatumGetInt64(plan_result(base, 0, 2, INT8OID, &isnull));
		if (isnull)
			refusal_no_inventory(event_id);
		expired = DatumGetInt64(plan_result(base, 0, 3, INT8OID, &no_holds));
		places->held =
			DatumGetInt64(plan_result(base, 0, 4, INT8OID, &no_holds)) -
			expired;
		places->available += expired + prefetch_places(&pool.pool, &pool.key);
		closed = plan_result(base, 0, 5, TEXTOID, &isnull);
		places->closed = isnull ? NULL : closed_word(closed);
	}
	plan_disconnect(base);
	return found;
}

/*
 * Deletes the stripes of all events, waiting for transactions that have one
 * locked.  One of those may split a stripe, so this repeats until none is
 * left. No stripe is remembered afterwards: its terms may no longer be the
 * event's.
 */
static void
delete_all_stripes(BookingCall *call)
{
	Call	   *base = &call->base;
	int			guc_level = NewGUCNestLevel();

	pending_check_none(call->inventory);
	guard_lift();
	while (plan_execute_latest(base, &any_inventory_plan, NULL, 1) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		(void) plan_execute_latest(base, &empty_inventory_plan, NULL, 0);
	}
	AtEOXact_GUC(true, guc_level);
	remembered_forget_all();
}

/* Gives back what this transaction has prefetched, of all events. */
static void
flush(BookingCall *call)
{
	SalePool	pool;

	sale_open_pool(call, 0, &pool);
	pool_flush(&pool.pool);
}

/*
 * Computes the pools of all events again, after all tickets or holds were
 * truncated.  When all stripes are deleted no transaction has a place that is
 * not committed, and none can take one.  An event that is committed between
 * the two statements has brought its own pool, which stays.  Like TRUNCATE
 * itself this goes by what is there now, not by a snapshot.
 */
void
inventory_refill(BookingCall *call)
{
	flush(call);
	plan_connect_for_all_rows(&call->base);
	delete_all_stripes(call);
	(void) plan_execute_latest(&call->base, &refill_inventory_plan, NULL, 0);
	plan_disconnect(&call->base);
}

/* Deletes all pools and idempotency keys, after all events were truncated. */
void
inventory_empty(BookingCall *call)
{
	flush(call);
	plan_connect_for_all_rows(&call->base);
	delete_all_stripes(call);
	(void) plan_execute_latest(&call->base, &forget_all_keys_plan, NULL, 0);
	plan_disconnect(&call->base);
}

/*
 * flush_inventory(): for functions that read or replace the inventory by SQL.
 * Raises 42P01 or 55000 unless the tables are as they must be, gives
 * prefetched places back, and forgets the stripes that the session remembers.
 * Every user may call it: it only changes how his own transaction keeps its
 * books.
 */
Datum
booking_flush_inventory(PG_FUNCTION_ARGS)
{
	if (prefetch_any())
	{
		BookingCall call;

		booking_call_begin_internal(&call);
		flush(&call);
		booking_call_end(&call);
	}
	else
		booking_call_check_tables();
	remembered_forget_all();
	PG_RETURN_VOID();
}

/* A number of places as an integer: some drivers give a bigint as text. */
static int32
as_integer(int64 places)
{
	return (int32) Max(PG_INT32_MIN, Min(places, PG_INT32_MAX));
}

/* Returns whether the event is on sale, and if not, why. */
static const char *
status_of(const EventPlaces *places)
{
	if (places->closed != NULL)
		return places->closed;
	return places->available > 0 ? "on_sale" : "sold_out";
}

/*
 * availability(event_id): the event's capacity, and its places that are
 * available, held and booked, as the snapshot of the calling statement shows
 * them; and whether it is on sale.  If the event is oversold, none is
 * available; if it is unlimited, the first two are null.  Locks nothing.
 * Raises 23503, 22004.
 */
Datum
booking_availability(PG_FUNCTION_ARGS)
{
	BookingCall call;
	EventPlaces places;
	int64		event_id;
	Datum		values[5];
	bool		isnull[5] = {false, false, false, false, false};

	error_check_argument(fcinfo, 0, "event_id");
	event_id = PG_GETARG_INT64(0);

	result_prepare_row(fcinfo);
	booking_call_begin_read(&call);
	if (!inventory_read(&call, event_id, &places))
		refusal_no_event(event_id, "event");
	booking_call_end(&call);

	isnull[0] = isnull[1] = places.unlimited;
	values[0] = Int32GetDatum(places.capacity);
	values[1] = Int32GetDatum(as_integer(Max(places.available, 0)));
	values[2] = Int32GetDatum(as_integer(places.held));
	values[3] = Int32GetDatum(
		as_integer(places.capacity - places.available - places.held));
	values[4] = CStringGetTextDatum(status_of(&places));
	return result_row(fcinfo, values, isnull);
}
