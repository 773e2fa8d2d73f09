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
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "utils/snapmgr.h"

/*
 * Connects to SPI.  What runs there may fire code of the user's, which is
 * shielded from the caller's search_path.
 */
void
booking_connect(BookingCall *call)
{
	booking_guard_search_path(call);
	SPI_connect();
}

/* Plans the statement where that is still to do; the caller is connected. */
static void
prepare(BookingPlan *plan)
{
	SPIPlanPtr	prepared;

	if (plan->plan != NULL)
		return;
	prepared = SPI_prepare(plan->sql, plan->nargs, plan->argtypes);
	if (prepared == NULL)
		elog(ERROR, "SPI_prepare failed for \"%s\": %s",
			 plan->sql, SPI_result_code_string(SPI_result));
	if (SPI_keepplan(prepared) != 0)
		elog(ERROR, "SPI_keepplan failed for \"%s\"", plan->sql);
	plan->plan = prepared;
}

/*
 * Runs the statement with the values given (none of them null) and returns
 * the number of rows; its rows are read by booking_result().  read_only: with
 * the snapshot of the calling statement, else with a new one.
 */
uint64
booking_execute(BookingPlan *plan, Datum *values, bool read_only)
{
	int			code;

	prepare(plan);
	code = SPI_execute_plan(plan->plan, values, NULL, read_only, 0);
	if (code < 0)
		elog(ERROR, "SPI_execute_plan failed for \"%s\": %s",
			 plan->sql, SPI_result_code_string(code));
	return SPI_processed;
}

/*
 * The same with the newest snapshot whatever the isolation level: what a
 * foreign key's check does, for what it must not miss may have been committed
 * after the transaction's own snapshot.  At most limit rows, 0: all.
 */
uint64
booking_execute_latest(BookingPlan *plan, Datum *values, int limit)
{
	int			code;

	prepare(plan);
	code = SPI_execute_snapshot(plan->plan, values, NULL, GetLatestSnapshot(),
								InvalidSnapshot, false, false, limit);
	if (code < 0)
		elog(ERROR, "SPI_execute_snapshot failed for \"%s\": %s",
			 plan->sql, SPI_result_code_string(code));
	return SPI_processed;
}

/* Column number column (from 1) of row number row (from 0) of the result. */
Datum
booking_result(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column, isnull);
}
