/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  SQL statements whose plans are kept for the session.
 *
 * The statements qualify every table and operator, so that no search_path
 * decides what they mean.  They run as the current user, the owner of the
 * tables (call.c).
 *
 * Nearly all of them find their rows by an index.  (The exceptions delete and
 * refill the inventory as a whole.)  The planner would choose a
 * sequential scan for a table that was empty when it was last vacuumed, and
 * the session would keep that plan however large the table grows.  Therefore
 * each statement has one generic plan, which is made with enable_seqscan off,
 * and the statement is prepared again when the number of its executions has
 * doubled.  (With plan_cache_mode = force_custom_plan PostgreSQL plans each
 * execution by itself, as the session has asked.)
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "server/compat.h"
#include "server/errors.h"
#include "server/plan.h"

/* How often a row is looked for and inserted in turns, at most. */
#define MAX_ATTEMPTS 1000

/*
 * Prepared statements that were replaced in this transaction.  One of them may
 * still be executing, if a trigger that it fired has called us again, so they
 * are freed when the transaction ends.  In TopTransactionContext.
 */
static List *replaced = NIL;

/* Frees the statements that were replaced. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	ListCell   *lc;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_PREPARE &&
		event != XACT_EVENT_ABORT)
		return;
	foreach(lc, replaced)
		SPI_freeplan(lfirst(lc));
	replaced = NIL;
}

/* Registers the callback; once a session. */
void
plan_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
}

/*
 * Connects to SPI.  The statements may fire triggers of the user's, so the
 * caller's search_path is put aside first.  Ended by plan_disconnect().
 */
void
plan_connect(Call *call)
{
	call_guard_search_path(call);
	SPI_connect();
}

/*
 * The same for statements that must see every row: the owner's own policies
 * (FORCE ROW LEVEL SECURITY) don't apply, as in the check of a foreign key.
 */
void
plan_connect_for_all_rows(Call *call)
{
	Oid			user;
	int			context;

	plan_connect(call);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(user, context | SECURITY_NOFORCE_RLS);
}

/* Ends what plan_connect() or plan_connect_for_all_rows() began. */
void
plan_disconnect(Call *call)
{
	SetUserIdAndSecContext(call->owner, call_context(call));
	SPI_finish();
}

/* The type of an argument or result. */
static Oid
actual_type(const Call *call, Oid type)
{
	if (type == PLAN_USER_ID)
		return call->user_id_type;
	if (type == PLAN_USER_ID_ARRAY)
		return get_array_type(call->user_id_type);
	return type;
}

/* Forgets the prepared statement, if there is one. */
void
plan_forget(SqlPlan *plan)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	if (plan->prepared != NULL)
		replaced = lappend(replaced, plan->prepared);
	plan->prepared = NULL;
	MemoryContextSwitchTo(old);
}

/* Prepares the statement, and keeps it for the session. */
static void
prepare(const Call *call, SqlPlan *plan)
{
	Oid			argtypes[PLAN_MAX_ARGS];
	SPIPlanPtr	prepared;

	for (int i = 0; i < plan->nargs; i++)
		argtypes[i] = actual_type(call, plan->argtypes[i]);
	prepared = SPI_prepare_cursor(plan->sql, plan->nargs, argtypes,
								  CURSOR_OPT_GENERIC_PLAN);
	if (prepared == NULL)
		/* can't happen: the statement is ours */
		elog(ERROR, "SPI_prepare failed for \"%s\": %s",
			 plan->sql, SPI_result_code_string(SPI_result));
	if (SPI_keepplan(prepared) != 0)
		/* can't happen: the plan is new and not yet kept */
		elog(ERROR, "SPI_keepplan failed for \"%s\"", plan->sql);
	plan_forget(plan);
	plan->prepared = prepared;
	plan->user_id_type = call->user_id_type;
}

/*
 * True if the plan cache will use the plan that it has.  False after an
 * invalidation, or if search_path is not the one for which the statement was
 * analyzed.  Then the plan cache would plan with the session's settings.
 */
static bool
has_plan(const SqlPlan *plan)
{
	CachedPlanSource *source =
		linitial(SPI_plan_get_plan_sources(plan->prepared));

	return source->is_valid && source->gplan != NULL &&
		source->gplan->is_valid &&
		!TransactionIdIsValid(source->gplan->saved_xmin) &&
		compat_search_path_matches(source->search_path);
}

/*
 * Plans the statement with enable_seqscan off.  The setting ends with the
 * planning, so triggers that the statement fires are planned as the session
 * wants it.
 */
static void
make_plan(const SqlPlan *plan)
{
	int			guc_level = NewGUCNestLevel();
	CachedPlan *cached;

	(void) set_config_option("enable_seqscan", "off", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	cached = SPI_plan_get_cached_plan(plan->prepared);
	if (cached != NULL)
		ReleaseCachedPlan(cached, CurrentResourceOwner);
	AtEOXact_GUC(true, guc_level);
}

/* True if the number is a power of two. */
static bool
has_doubled(uint64 executions)
{
	return (executions & (executions - 1)) == 0;
}

/* Makes sure that the statement has a plan that we have made. */
static void
ensure_plan(const Call *call, SqlPlan *plan)
{
	if (plan->prepared == NULL || plan->user_id_type != call->user_id_type ||
		has_doubled(plan->executions + 1))
		prepare(call, plan);
	if (!has_plan(plan))
		make_plan(plan);
	plan->executions++;
}

/* The number of rows of the last statement; XX000 if SPI could not run it. */
static uint64
processed_rows(const SqlPlan *plan, int code)
{
	if (code < 0)
		/* can't happen: no statement of ours is a COPY */
		elog(ERROR, "SPI could not execute \"%s\": %s",
			 plan->sql, SPI_result_code_string(code));
	return SPI_processed;
}

/*
 * Runs the statement with a new snapshot, and returns the number of its rows,
 * which plan_result() reads.  nulls is 'n' for each value that is null, else
 * ' '; NULL: no value is null.
 */
uint64
plan_execute(const Call *call, SqlPlan *plan, Datum *values, const char *nulls)
{
	ensure_plan(call, plan);
	return processed_rows(plan,
						  SPI_execute_plan(plan->prepared, values, nulls, false,
										   0));
}

/* The same with the snapshot of the calling statement. */
uint64
plan_execute_read_only(const Call *call, SqlPlan *plan, Datum *values)
{
	ensure_plan(call, plan);
	return processed_rows(plan,
						  SPI_execute_plan(plan->prepared, values, NULL, true,
										   0));
}

/* The same with the snapshot given. */
uint64
plan_execute_snapshot(const Call *call, SqlPlan *plan, Datum *values,
					  Snapshot snapshot)
{
	ensure_plan(call, plan);
	return processed_rows(plan,
						  SPI_execute_snapshot(plan->prepared, values, NULL,
											   snapshot, InvalidSnapshot, true,
											   false, 0));
}

/*
 * The same with the newest snapshot, whatever the isolation level: it must not
 * miss what was committed after the transaction's snapshot was taken.  Triggers
 * are fired at once.  Returns at most limit rows; 0: all.
 */
uint64
plan_execute_latest(const Call *call, SqlPlan *plan, Datum *values, int limit)
{
	ensure_plan(call, plan);
	return processed_rows(plan,
						  SPI_execute_snapshot(plan->prepared, values, NULL,
											   GetLatestSnapshot(),
											   InvalidSnapshot, false, true,
											   limit));
}

/*
 * Returns a column (from 1) of a row (from 0) of the last result.  Raises
 * 55000 unless it has the type given: a statement that had to wait for its
 * table is analyzed again, and the table may have been altered.
 */
Datum
plan_result(const Call *call, uint64 row, int column, Oid type, bool *isnull)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;

	if (SPI_gettypeid(desc, column) != actual_type(call, type))
		error_unusable("a column of a booking table was given another type during the call",
					   "Try again. If the error remains, it will name the column.");
	return SPI_getbinval(SPI_tuptable->vals[row], desc, column, isnull);
}

/*
 * To be called before each attempt to lock a row or, if it is missing, to
 * insert it.  Another session may have deleted it in between; after
 * MAX_ATTEMPTS a trigger of the user's keeps it out, and 55000 is raised.
 */
void
plan_check_attempts(const char *table, int *attempts)
{
	CHECK_FOR_INTERRUPTS();
	if (++*attempts > MAX_ATTEMPTS)
		error_row_changed(table);
}

/*
 * Raises 55000 unless the last statement returned the expected number of rows,
 * and the column says of each that it was written as asked.  Otherwise a
 * trigger or rule of the user's has changed or dropped it.
 */
void
plan_check_rows(const Call *call, const char *table, uint64 rows,
				uint64 expected, int column)
{
	bool		as_asked = rows == expected;

	for (uint64 i = 0; i < rows && as_asked; i++)
	{
		bool		isnull;
		Datum		same = plan_result(call, i, column, BOOLOID, &isnull);

		as_asked = !isnull && DatumGetBool(same);
	}
	if (!as_asked)
		error_row_changed(table);
}
