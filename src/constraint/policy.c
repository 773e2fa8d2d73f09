/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  The policy of the constraints' pools: rows that have expired come back.
 *
 * Rows are counted, found and ended by SQL statements, which the function
 * booking.capacity_sql() writes from the triggers of the constraint.  They run
 * as the owner of the constrained table, whose condition and on_expiry they
 * contain.
 *
 * A statement that ends expired rows fires the triggers of the constraint.
 * The places of these rows must not be given back by the triggers: the pool
 * layer adds them to the pool.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "constraint/policy.h"
#include "pool/guard.h"
#include "pool/pending.h"
#include "server/errors.h"
#include "server/plan.h"

/* How often expired rows are looked for that could be locked, but not ended. */
#define RECLAIM_ATTEMPTS 10

/* Expired rows that are being ended for a pool. */
typedef struct Reclaiming
{
	Oid			pool;
	const PoolKey *key;
	int			depth;			/* of the triggers of these rows */
	int			nest_level;		/* of subtransactions */
	bool		is_settling;	/* the outer statement is at its end */
	int64		places;			/* that came back */
	struct Reclaiming *outer;
} Reclaiming;

/*
 * The innermost.  A trigger gets no argument of ours, so this is a variable of
 * the session; it is set only while the statement runs.
 */
static Reclaiming *reclaiming = NULL;

/*
 * Connects to SPI for statements that must see every row.  The text of the
 * constraint was checked with this search_path, and means the same in every
 * session.
 */
static void
connect_for_all_rows(CapacityConstraint *constraint)
{
	call_fix_search_path(&constraint->call);
	plan_connect_for_all_rows(&constraint->call);
}

/*
 * The same for statements that change no row of the user's.  They run the
 * condition, whose functions are the owner's.  The caller may be a superuser
 * who only reads, so nothing may be left for the end of his transaction.
 */
static void
connect_restricted(CapacityConstraint *constraint)
{
	Oid			user;
	int			context;

	connect_for_all_rows(constraint);
	GetUserIdAndSecContext(&user, &context);
	if (constraint->call.caller != user)
		SetUserIdAndSecContext(user, context | SECURITY_RESTRICTED_OPERATION);
}

/*
 * Asks booking.capacity_sql() for a statement.  Returns NULL if the
 * constrained table was dropped.  SPI is connected.
 */
static char *
statement_of(CapacityConstraint *constraint, const char *kind)
{
	static SqlPlan sql_plan = {
		.sql = "SELECT booking.capacity_sql($1, $2)",
		.nargs = 2,
		.argtypes = {TEXTOID, TEXTOID},
	};
	Datum		values[2];
	bool		isnull;
	Datum		sql;

	values[0] = CStringGetTextDatum(constraint->name);
	values[1] = CStringGetTextDatum(kind);
	(void) plan_execute(&constraint->call, &sql_plan, values, NULL);
	sql = plan_result(&constraint->call, 0, 1, TEXTOID, &isnull);
	return isnull ? NULL : TextDatumGetCString(sql);
}

/*
 * Runs a statement of the constraint with the key and further arguments, and
 * returns the number of its rows; 0 if the constrained table was dropped.
 * Without a snapshot it takes that of the transaction.  SPI is connected.
 */
static uint64
run(CapacityConstraint *constraint, const char *kind, const PoolKey *key,
	int nmore, const Oid *more_types, const Datum *more, Snapshot snapshot,
	bool read_only)
{
	const KeyColumns *columns = &constraint->shape.key;
	TupleDesc	desc = RelationGetDescr(constraint->pool.rel);
	Oid			types[KEY_MAX_COLUMNS + 2];
	Datum		values[KEY_MAX_COLUMNS + 2];
	int			nargs = 0;
	char	   *sql = statement_of(constraint, kind);
	SPIPlanPtr	plan;
	int			code;

	if (sql == NULL)
		return 0;
	for (int i = 0; key != NULL && i < columns->count; i++)
	{
		types[nargs] =
			TupleDescAttr(desc, columns->column[i].attnum - 1)->atttypid;
		values[nargs++] = key->value[i];
	}
	for (int i = 0; i < nmore; i++)
	{
		types[nargs] = more_types[i];
		values[nargs++] = more[i];
	}
	plan = SPI_prepare(sql, nargs, types);
	if (plan == NULL)
		/* can't happen: the statement is ours */
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	if (snapshot == InvalidSnapshot)
		code = SPI_execute_plan(plan, values, NULL, false, 0);
	else
		code = SPI_execute_snapshot(plan, values, NULL, snapshot,
									InvalidSnapshot, read_only, !read_only,
									0);
	if (code < 0)
		/* can't happen: no statement of ours is a COPY */
		elog(ERROR, "SPI could not execute a statement: %s",
			 SPI_result_code_string(code));
	return SPI_processed;
}

/* Returns a bigint or timestamptz of the last result; 0 if it is null. */
static Datum
result_of(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column, isnull);
}

/* Returns the places of the rows of a key, by the newest snapshot. */
int64
policy_count_rows(CapacityConstraint *constraint, const PoolKey *key)
{
	int64		places = 0;
	bool		isnull;

	connect_restricted(constraint);
	if (run(constraint, "count", key, 0, NULL, NULL, GetLatestSnapshot(),
			true) > 0)
		places = DatumGetInt64(result_of(0, 1, &isnull));
	plan_disconnect(&constraint->call);
	return places;
}

/* Runs a statement that writes, with a snapshot that is taken now. */
static uint64
run_newest(CapacityConstraint *constraint, const char *kind)
{
	return run(constraint, kind, NULL, 0, NULL, NULL,
			   IsolationUsesXactSnapshot() ? GetLatestSnapshot() :
											 InvalidSnapshot,
			   false);
}

/*
 * Deletes all stripes, waiting for transactions that have one locked, and
 * makes the pools of all keys from the rows that are there.  A stripe may be
 * split during the wait, so the deletion repeats until none is left.
 *
 * Under REPEATABLE READ the first statement raises 40001 if a stripe was
 * changed since the transaction's snapshot.  The others see pools and rows
 * that are newer than it.
 *
 * The capacity table may be another user's.  Raises 42501 if policies of his
 * would hide rows of it.
 */
void
policy_refill(CapacityConstraint *constraint)
{
	pending_check_none(constraint->pool.rel);
	connect_restricted(constraint);
	(void) set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	guard_lift();
	(void) run(constraint, "empty", NULL, 0, NULL, NULL, InvalidSnapshot,
			   false);
	while (run_newest(constraint, "empty") > 0)
		CHECK_FOR_INTERRUPTS();
	(void) run_newest(constraint, "fill");
	plan_disconnect(&constraint->call);
}

/* Raises 42804 unless a result has the columns that the caller expects. */
static void
check_columns(TupleDesc result, TupleDesc expected)
{
	bool		same = result->natts == expected->natts;

	for (int i = 0; same && i < result->natts; i++)
		same = TupleDescAttr(result, i)->atttypid ==
			TupleDescAttr(expected, i)->atttypid;
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the columns must be those of the key and a bigint")));
}

/*
 * Puts each key with the places that rows take into the tuple store, by the
 * snapshot of the calling statement.  Raises 42804 if the caller expects other
 * columns.
 */
void
policy_count_all(CapacityConstraint *constraint, Tuplestorestate *store,
				 TupleDesc desc)
{
	uint64		rows;

	connect_restricted(constraint);
	rows = run(constraint, "taken", NULL, 0, NULL, NULL, GetActiveSnapshot(),
			   true);
	if (rows > 0)
		check_columns(SPI_tuptable->tupdesc, desc);
	for (uint64 i = 0; i < rows; i++)
		tuplestore_puttuple(store, SPI_tuptable->vals[i]);
	plan_disconnect(&constraint->call);
}

/* True if on_expiry says that expired rows are deleted. */
bool
policy_is_delete(const char *on_expiry)
{
	while (scanner_isspace(*on_expiry))
		on_expiry++;
	if (pg_strncasecmp(on_expiry, "delete", 6) != 0)
		return false;
	on_expiry += 6;
	while (scanner_isspace(*on_expiry))
		on_expiry++;
	return *on_expiry == '\0';
}

/*
 * Returns the first keys that have rows but no pool, as text; NULL if there is
 * none.
 */
char *
policy_find_orphans(CapacityConstraint *constraint)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *keys;

	connect_restricted(constraint);
	(void) run_newest(constraint, "orphans");
	keys = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	if (keys != NULL)
		keys = MemoryContextStrdup(context, keys);
	plan_disconnect(&constraint->call);
	return keys;
}

/* How many places the expired rows of a key have (pool.h). */
static int64
reclaimable(Pool *pool, const PoolKey *key, Snapshot snapshot, int64 most,
			TimestampTz *next)
{
	static const Oid types[2] = {TIMESTAMPTZOID, INT8OID};
	CapacityConstraint *constraint = pool->context;
	Datum		values[2];
	int64		places;
	Datum		expiry;
	bool		isnull;

	if (constraint->on_expiry[0] == '\0')
		return 0;
	values[0] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[1] = Int64GetDatum(most);
	connect_restricted(constraint);
	if (run(constraint, "expired", key, 2, types, values, snapshot,
			true) == 0)
		definition_error_missing(constraint->name);
	places = DatumGetInt64(result_of(0, 1, &isnull));
	expiry = result_of(0, 2, &isnull);
	*next = isnull ? DT_NOEND : DatumGetTimestampTz(expiry);
	if (pending_any(constraint->pool.rel) ||
		call_has_pending_triggers(
			DatumGetObjectId(result_of(0, 3, &isnull))))
		*next = DT_NOBEGIN;
	plan_disconnect(&constraint->call);
	return places;
}

/* Adds to an error that the statement which ends expired rows has raised it. */
static void
name_expiry(void *arg)
{
	const CapacityConstraint *constraint = arg;

	errcontext("on_expiry of capacity constraint \"%s\"", constraint->name);
}

/* The same as run(), for statements that contain on_expiry. */
static uint64
run_expiry(CapacityConstraint *constraint, const char *kind,
		   const PoolKey *key, Datum *values)
{
	static const Oid types[2] = {TIMESTAMPTZOID, INT8OID};
	ErrorContextCallback callback = {
		.callback = name_expiry,
		.arg = constraint,
		.previous = error_context_stack
	};
	uint64		rows;

	error_context_stack = &callback;
	rows = run(constraint, kind, key, values == NULL ? 0 : 2, types, values,
			   InvalidSnapshot, false);
	error_context_stack = callback.previous;
	return rows;
}

/* Plans the statement that ends expired rows, if there is one. */
void
policy_check_expiry(CapacityConstraint *constraint)
{
	if (constraint->on_expiry[0] == '\0')
		return;
	connect_restricted(constraint);
	(void) run_expiry(constraint, "explain expiry", NULL, NULL);
	plan_disconnect(&constraint->call);
}

/* Runs the statement that ends expired rows once, and returns their number. */
static int64
reclaim_once(CapacityConstraint *constraint, Reclaiming *mine, int64 places,
			 bool wait, int64 *found)
{
	Datum		values[2];
	int64		ended = 0;
	bool		isnull;

	values[0] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[1] = Int64GetDatum(places);
	connect_for_all_rows(constraint);
	reclaiming = mine;
	PG_TRY();
	{
		if (run_expiry(constraint, wait ? "reclaim" : "reclaim unlocked",
					   mine->key, values) == 0)
			/* can't happen: reclaimable() has found the table */
			definition_error_missing(constraint->name);
		*found = DatumGetInt64(result_of(0, 1, &isnull));
		ended = DatumGetInt64(result_of(0, 2, &isnull));
	}
	PG_FINALLY();
	{
		reclaiming = mine->outer;
	}
	PG_END_TRY();
	plan_disconnect(&constraint->call);
	return ended;
}

/*
 * Ends expired rows, and returns the places that their triggers gave.  A row
 * that another session has changed while it was waited for is not ended, but
 * found again by the next statement.  Raises 55000 if that does not help, or
 * if a row counts as before.
 */
static int64
reclaim(Pool *pool, const PoolKey *key, int64 places, bool wait)
{
	CapacityConstraint *constraint = pool->context;
	Reclaiming	mine = {
		.pool = pool->shape->relid,
		.key = key,
		.depth = call_trigger_depth() + 1,
		.nest_level = GetCurrentTransactionNestLevel(),
		.is_settling = constraint->is_settling,
		.outer = reclaiming
	};
	int64		found;
	int64		ended;
	int			attempts = 0;

	if (constraint->on_expiry[0] == '\0')
		return 0;
	do
		ended = reclaim_once(constraint, &mine, places, wait, &found);
	while (wait && mine.places < places && ended < found &&
		   ++attempts < RECLAIM_ATTEMPTS);
	if (mine.places < ended || attempts == RECLAIM_ATTEMPTS)
		error_unusable(psprintf("on_expiry of capacity constraint \"%s\" does not end rows: they still count",
								constraint->name),
					   "Add the constraint again with an on_expiry after which its condition is false, and look for triggers that keep rows.");
	return mine.places;
}

const PoolPolicy policy_callbacks = {
	.reclaimable = reclaimable,
	.reclaim = reclaim,
};

/* True if a trigger is fired by the statement that ends the rows. */
static bool
is_fired_by(const Reclaiming *current)
{
	return current != NULL && current->depth == call_trigger_depth() &&
		current->nest_level == GetCurrentTransactionNestLevel();
}

/*
 * True if a trigger is fired by a statement that ends expired rows for one that
 * is being settled.
 */
bool
policy_is_reclaiming(void)
{
	return is_fired_by(reclaiming) && reclaiming->is_settling;
}

/*
 * A trigger is about to give places.  Returns true if they are those of a row
 * that is being reclaimed: then the pool layer accounts for them.  Rows that
 * triggers and functions of the user's remove at that time are not: this may be
 * rolled back, or followed by rows that need the places.
 */
bool
policy_accept_given(const TriggerColumns *columns, const PoolKey *key,
					int64 places)
{
	if (!is_fired_by(reclaiming) || reclaiming->pool != columns->pool ||
		!key_equal(&columns->key, reclaiming->key, key))
		return false;
	reclaiming->places += places;
	return true;
}

/*
 * Ends expired rows of all keys, at most that many, skipping those that are
 * locked; returns how many.  Their triggers give the places back.
 */
int64
policy_expire(CapacityConstraint *constraint, int64 most)
{
	Datum		values[2];
	int64		rows;

	values[0] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[1] = Int64GetDatum(most);
	connect_for_all_rows(constraint);
	rows = (int64) run_expiry(constraint, "expire", NULL, values);
	plan_disconnect(&constraint->call);
	return rows;
}
