/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  SQL statements that are planned once a session.
 *
 * The statements qualify every table and operator, so that no search_path of
 * a caller has a say in them.  They run as the user that is current, which is
 * the tables' owner (booking_begin).  The plan cache of the core notices when
 * a table or the user changes.
 *
 * All of them look rows up by an index.  A table that was vacuumed while it was
 * empty would let the planner read all of it, or take any index, and the
 * session keep that plan until somebody analyzes the table, however much it
 * grows.  So they have one plan for all arguments, which is made with
 * sequential scans disabled, and made anew when the number of calls has
 * doubled.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "miscadmin.h"
#include "optimizer/cost.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/* So often at most a row is looked for and inserted in turns. */
#define MOST_ATTEMPTS 1000

/* The type of user ids in the tables of the call that connected last. */
static Oid	user_id_type = InvalidOid;

/*
 * Connects to SPI.  What runs there may fire code of the user's, which is
 * shielded from the caller's search_path.
 */
void
booking_connect(BookingCall *call)
{
	booking_guard_search_path(call);
	user_id_type = call->tables.user_id_type;
	SPI_connect();
}

/*
 * The same for statements that must see every row: as for a foreign key's
 * check, the owner's own policies do not count (FORCE ROW LEVEL SECURITY).
 * Ended by booking_finish().
 */
void
booking_connect_for_all_rows(BookingCall *call)
{
	Oid			user;
	int			context;

	booking_connect(call);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(user, context | SECURITY_NOFORCE_RLS);
}

/* Ends what booking_connect() or booking_connect_for_all_rows() began. */
void
booking_finish(BookingCall *call)
{
	SetUserIdAndSecContext(call->tables.owner, booking_context(call));
	SPI_finish();
}

/* Analyzes the statement where that is still to do. */
static void
analyze(BookingPlan *plan)
{
	Oid			argtypes[BOOKING_PLAN_ARGS];
	SPIPlanPtr	prepared;

	/* the tables may have been made anew, for user ids of another type */
	if (plan->plan != NULL && plan->user_id_type == user_id_type)
		return;
	if (plan->plan != NULL)
	{
		SPI_freeplan(plan->plan);
		plan->plan = NULL;
	}
	for (int i = 0; i < plan->nargs; i++)
	{
		argtypes[i] = plan->argtypes[i];
		if (argtypes[i] == BOOKING_USER_ID)
			argtypes[i] = user_id_type;
		else if (argtypes[i] == BOOKING_USER_ID_ARRAY)
			argtypes[i] = get_array_type(user_id_type);
	}
	prepared = SPI_prepare_cursor(plan->sql, plan->nargs, argtypes,
								  CURSOR_OPT_GENERIC_PLAN);
	if (prepared == NULL)
		/* can't happen: the statement is ours */
		elog(ERROR, "SPI_prepare failed for \"%s\": %s",
			 plan->sql, SPI_result_code_string(SPI_result));
	if (SPI_keepplan(prepared) != 0)
		/* can't happen: the plan is new and not yet kept */
		elog(ERROR, "SPI_keepplan failed for \"%s\"", plan->sql);
	plan->plan = prepared;
	plan->user_id_type = user_id_type;
}

/* Has the number of calls doubled since the plan was made?  Then it is old. */
static void
let_plan_age(BookingPlan *plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan->plan));

	plan->calls++;
	if ((plan->calls & (plan->calls - 1)) == 0 && source->gplan != NULL)
		source->gplan->is_valid = false;
}

/*
 * Makes sure that the statement has a plan, by an index; the caller is
 * connected.  What runs afterwards, the user's triggers too, is planned as the
 * session wants it.
 */
static void
prepare(BookingPlan *plan)
{
	bool		wanted = enable_seqscan;

	analyze(plan);
	let_plan_age(plan);
	enable_seqscan = false;
	PG_TRY();
	{
		CachedPlan *cached = SPI_plan_get_cached_plan(plan->plan);

		if (cached != NULL)
			ReleaseCachedPlan(cached, CurrentResourceOwner);
	}
	PG_FINALLY();
	{
		enable_seqscan = wanted;
	}
	PG_END_TRY();
}

/* Raises XX000 where SPI could not run the statement. */
static uint64
rows_of(BookingPlan *plan, int code)
{
	if (code < 0)
		/* can't happen: no statement of ours is a COPY */
		elog(ERROR, "SPI could not execute \"%s\": %s",
			 plan->sql, SPI_result_code_string(code));
	return SPI_processed;
}

/*
 * Runs the statement with the values given (none of them null) and returns
 * the number of rows; its rows are read by booking_result().  read_only: with
 * the snapshot of the calling statement, else with a new one.
 */
uint64
booking_execute(BookingPlan *plan, Datum *values, bool read_only)
{
	prepare(plan);
	return rows_of(plan,
				   SPI_execute_plan(plan->plan, values, NULL, read_only, 0));
}

/* The same where values may be null: 'n' in nulls, else ' '. */
uint64
booking_execute_nulls(BookingPlan *plan, Datum *values, const char *nulls)
{
	prepare(plan);
	return rows_of(plan,
				   SPI_execute_plan(plan->plan, values, nulls, false, 0));
}

/* Runs a query with the snapshot given. */
uint64
booking_execute_snapshot(BookingPlan *plan, Datum *values, Snapshot snapshot)
{
	prepare(plan);
	return rows_of(plan,
				   SPI_execute_snapshot(plan->plan, values, NULL, snapshot,
										InvalidSnapshot, true, false, 0));
}

/*
 * The same with the newest snapshot whatever the isolation level: what a
 * foreign key's check does, for what it must not miss may have been committed
 * after the transaction's own snapshot.  At most limit rows, 0: all.
 */
uint64
booking_execute_latest(BookingPlan *plan, Datum *values, int limit)
{
	prepare(plan);
	return rows_of(plan,
				   SPI_execute_snapshot(plan->plan, values, NULL,
										GetLatestSnapshot(), InvalidSnapshot,
										false, false, limit));
}

/*
 * Before one more attempt to lock a row or, where it is not there, insert it:
 * another session may just have deleted it.  After that many attempts it is a
 * trigger on the table that keeps it out: 55000, not a loop without end.
 */
void
booking_check_attempts(const char *table, int *attempts)
{
	CHECK_FOR_INTERRUPTS();
	if (++*attempts > MOST_ATTEMPTS)
		booking_error_row_changed(table);
}

/*
 * Column number column (from 1) of row number row (from 0) of the result,
 * which the caller takes for a value of that type.  55000 where it is none: a
 * statement that waits for its table is analyzed anew, and the table may have
 * been altered since the call looked at it.
 */
Datum
booking_result(uint64 row, int column, Oid type, bool *isnull)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;

	if (type == BOOKING_USER_ID)
		type = user_id_type;
	if (SPI_gettypeid(desc, column) != type)
		booking_error_shape("A column was given another type while the call waited for its table.",
							"Try again: if that is still so, the error says which it is.");
	return SPI_getbinval(SPI_tuptable->vals[row], desc, column, isnull);
}
