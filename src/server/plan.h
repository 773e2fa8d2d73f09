/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  SQL statements whose plans are kept for the session.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PLAN_H
#define PLAN_H

#include "executor/spi.h"
#include "utils/snapshot.h"

#include "server/call.h"

#define PLAN_MAX_ARGS 10

/* In the place of a type: the type of users' ids, and an array of it. */
#define PLAN_USER_ID ((Oid) 1)
#define PLAN_USER_ID_ARRAY ((Oid) 2)

/* A statement.  The first three fields are constant. */
typedef struct SqlPlan
{
	const char *sql;
	int			nargs;
	Oid			argtypes[PLAN_MAX_ARGS];

	SPIPlanPtr	prepared;		/* NULL until first used */
	Oid			user_id_type;	/* for which it was prepared */
	uint64		executions;
} SqlPlan;

extern void plan_init(void);
extern void plan_forget(SqlPlan *plan);
extern void plan_connect(Call *call);
extern void plan_connect_for_all_rows(Call *call);
extern void plan_disconnect(Call *call);
extern uint64 plan_execute(const Call *call, SqlPlan *plan, Datum *values,
						   const char *nulls);
extern uint64 plan_execute_read_only(const Call *call, SqlPlan *plan,
									 Datum *values);
extern uint64 plan_execute_snapshot(const Call *call, SqlPlan *plan,
									Datum *values, Snapshot snapshot);
extern uint64 plan_execute_latest(const Call *call, SqlPlan *plan,
								  Datum *values, int limit);
extern Datum plan_result(const Call *call, uint64 row, int column, Oid type,
						 bool *isnull);
extern void plan_check_attempts(const char *table, int *attempts);
extern void plan_check_rows(const Call *call, const char *table, uint64 rows,
							uint64 expected, int column);

#endif							/* PLAN_H */
