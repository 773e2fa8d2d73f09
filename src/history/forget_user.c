/*-------------------------------------------------------------------------
 *
 * forget_user.c
 *	  Puts another id in the place of a user's, in all tables.
 *
 * It must miss no row of the user.  So it first waits for all transactions that
 * are writing tickets or holds at that moment: their rows are not visible yet.
 * A booking that begins later is a new one, and is not waited for.  But what
 * the user has already must not keep his old id.  A session that changes it
 * locks the row.  So the UPDATE here waits for that session, or the session
 * waits for the UPDATE and then finds the new id.  Only confirm_hold() makes
 * new rows of it, and has the hold locked; only exchange_tickets() writes it
 * into another row, and has both locked.  So the tickets are looked for again
 * when all holds are locked.
 *
 * The locks are taken in the order of src/README.md: keys, tickets, the user at
 * his events, holds.
 *
 * Places don't change, so neither the limit per user nor the sales window is
 * judged.  The triggers learn that by the handover.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "event/handover.h"
#include "server/errors.h"
#include "server/plan.h"
#include "tables/user_id.h"

SQL_FUNCTION(booking_forget_user);

/* $1 is the user, $2 the id that takes his place. */
#define REPLACE_IN(table) \
	{ \
		.sql = "UPDATE booking." table " SET user_id = $2" \
			   " WHERE user_id OPERATOR(pg_catalog.=) $1" \
			   " RETURNING user_id OPERATOR(pg_catalog.=) $2", \
		.nargs = 2, \
		.argtypes = { PLAN_USER_ID, PLAN_USER_ID }, \
	}

static SqlPlan ticket_plan = REPLACE_IN("ticket");
static SqlPlan hold_plan = REPLACE_IN("hold");
static SqlPlan history_plan = REPLACE_IN("history");

static SqlPlan request_plan = {
	.sql = "UPDATE booking.request SET user_id ="
		   " CASE WHEN user_id OPERATOR(pg_catalog.=) $1 THEN $2 ELSE user_id END,"
		   " user_ids = pg_catalog.array_replace(user_ids, $1, $2)"
		   " WHERE user_id OPERATOR(pg_catalog.=) $1"
		   " OR $1 OPERATOR(pg_catalog.=) ANY (user_ids)"
		   " RETURNING NOT (user_id OPERATOR(pg_catalog.=) $1)",
	.nargs = 2,
	.argtypes = { PLAN_USER_ID, PLAN_USER_ID },
};

static SqlPlan user_limit_plan = {
	.sql = "DELETE FROM booking.user_limit"
		   " WHERE user_id OPERATOR(pg_catalog.=) $1"
		   " RETURNING true",
	.nargs = 1,
	.argtypes = { PLAN_USER_ID },
};

/* True if the transaction is among those. */
static bool
is_among(VirtualTransactionId xact, const VirtualTransactionId *xacts,
		 int count)
{
	for (int i = 0; i < count; i++)
	{
		if (VirtualTransactionIdEquals(xact, xacts[i]))
			return true;
	}
	return false;
}

/* Returns the transactions that have the table locked, and an invalid one. */
static VirtualTransactionId *
holders_of(Oid relid)
{
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	return GetLockConflicts(&tag, ShareLock, NULL);
}

/*
 * Waits for all transactions that are writing tickets or holds now, in whatever
 * partition, and for none that begins later.  VACUUM takes a lock that
 * conflicts as theirs do, and can last for hours.  So it is left out.
 *
 * The caller should not have the tables locked more strongly than a reader
 * does: two who begin at the same time could wait for each other.
 */
static void
wait_for_bookings(const BookingTables *tables)
{
	List	   *parts = list_concat(
		find_all_inheritors(tables->ticket, NoLock, NULL),
		find_all_inheritors(tables->hold, NoLock, NULL));
	List	   *all = NIL;
	VirtualTransactionId *running;
	int			nrunning;
	ListCell   *lc;

	foreach(lc, parts)
		all = lappend(all, holders_of(lfirst_oid(lc)));
	running = GetCurrentVirtualXIDs(InvalidTransactionId, false, false,
									PROC_IN_VACUUM, &nrunning);
	foreach(lc, all)
	{
		VirtualTransactionId *holder = lfirst(lc);

		for (; VirtualTransactionIdIsValid(*holder); holder++)
		{
			if (is_among(*holder, running, nrunning))
				(void) VirtualXactLock(*holder, true);
		}
	}
}

/*
 * Runs a statement on the table, and returns the number of its rows.  Raises
 * 55000 if a trigger of the user's has changed one of them.
 */
static uint64
run(BookingCall *call, SqlPlan *plan, const char *table, Datum *values)
{
	Handover	handover = {.forgets_in = table};
	uint64		rows;

	plan_connect(&call->base);
	rows = handover_execute(call, &handover, plan, values, NULL);
	plan_check_rows(&call->base, table, rows, rows, 1);
	plan_disconnect(&call->base);
	return rows;
}

/* Replaces the user in the history, if one is or was kept. */
static void
replace_in_history(BookingCall *call, Datum *values)
{
	Oid			relid = get_relname_relid("history",
										  RelationGetNamespace(call->ticket));
	Relation	history;

	if (!OidIsValid(relid))
		return;
	history = table_open(relid, RowExclusiveLock);
	inspect_history(&call->tables, history);
	table_close(history, NoLock);
	(void) run(call, &history_plan, "history", values);
}

/*
 * Replaces the user values[0] by values[1] in all tables; returns the number of
 * tickets and holds that have changed.
 */
static uint64
replace_user(BookingCall *call, Datum *values)
{
	uint64		changed;

	/* tables are locked before rows */
	LockRelationOid(call->tables.hold, RowExclusiveLock);
	LockRelationOid(call->tables.request, RowExclusiveLock);
	(void) run(call, &request_plan, "request", values);
	changed = run(call, &ticket_plan, "ticket", values);
	(void) run(call, &user_limit_plan, "user_limit", values);
	changed += run(call, &hold_plan, "hold", values);
	changed += run(call, &ticket_plan, "ticket", values);
	replace_in_history(call, values);
	return changed;
}

/*
 * forget_user(user_id, replacement): puts the replacement in the place of the
 * user in booking.ticket, hold, request and history, removes him from
 * booking.user_limit, and returns how many tickets and holds have changed.  It
 * does so with the rights of the caller.  Waits for transactions that are
 * writing tickets or holds.  Locks the rows.  Raises 22004, 22P02; 22023 if the
 * two are equal; 55000 if the history isn't the caller's, or if a trigger of
 * the user's changes a row; and 40001 as the isolation level demands.
 */
Datum
booking_forget_user(PG_FUNCTION_ARGS)
{
	BookingCall call;
	Datum		values[2];
	uint64		changed;

	error_check_argument(fcinfo, 0, "user_id");
	error_check_argument(fcinfo, 1, "replacement");
	call_check_may_write("booking.forget_user()");

	booking_call_begin_read(&call);
	for (int i = 0; i < 2; i++)
		values[i] = user_id_argument(&call.base, fcinfo, i);
	if (user_id_equal(&call.base, values[0], values[1]))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("replacement must be another user id")));
	wait_for_bookings(&call.tables);
	booking_call_end(&call);

	booking_call_begin_as_caller(&call, "booking.forget_user()");
	changed = replace_user(&call, values);
	booking_call_end(&call);
	PG_RETURN_INT32((int32) changed);
}
