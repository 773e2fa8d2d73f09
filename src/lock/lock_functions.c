/*-------------------------------------------------------------------------
 *
 * lock_functions.c
 *	  The SQL functions of named locks.
 *
 * acquire_lock() and try_acquire_lock() never wait.  They look at the lock; if
 * it has expired, or is the same owner's, they try to lock its row, and if it
 * has no row they try to enter the gate (lock_row.c).  What can't be locked at
 * once counts as locked, even if it has expired: a writer that has asserted the
 * lock, or a renewal under way, keeps it.
 *
 * Whether a lock has expired is judged by the clock at the moment of the call.
 * The start of the transaction or statement would be too early in a long one.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "lock/lock_assert.h"
#include "lock/lock_change.h"
#include "lock/lock_holder.h"
#include "lock/lock_ttl.h"
#include "server/compat.h"
#include "server/errors.h"
#include "server/result.h"

SQL_FUNCTION(booking_acquire_lock);
SQL_FUNCTION(booking_try_acquire_lock);
SQL_FUNCTION(booking_renew_lock);
SQL_FUNCTION(booking_release_lock);
SQL_FUNCTION(booking_assert_lock);
SQL_FUNCTION(booking_locked);

/* What acquire_lock() is asked for, and what it answers. */
typedef struct Acquisition
{
	text	   *resource;
	Interval   *ttl;
	LockRowValues values;		/* what is written if it succeeds */
	bool		has_holder;		/* if it fails: do we know who has it? */
	LockRow		holder;
} Acquisition;

/*
 * Returns a name that the caller has sent.  Raises 22004 if it is null, 22023
 * if it is empty or longer than LOCK_ROW_LONGEST_NAME; it is measured before
 * it is decompressed.
 */
static text *
name_argument(FunctionCallInfo fcinfo, int argno, const char *name)
{
	Size		length;

	error_check_argument(fcinfo, argno, name);
	length = toast_raw_datum_size(PG_GETARG_DATUM(argno)) - VARHDRSZ;
	if (length < 1 || length > LOCK_ROW_LONGEST_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have between 1 and %d bytes", name,
						LOCK_ROW_LONGEST_NAME),
				 errdetail("The value has %zu bytes.", length)));
	return PG_GETARG_TEXT_PP(argno);
}

/* Reads the arguments of an acquisition; raises 22004 and 22023. */
static void
read_arguments(FunctionCallInfo fcinfo, Acquisition *wanted)
{
	memset(wanted, 0, sizeof(*wanted));
	wanted->resource = name_argument(fcinfo, 0, "resource");
	wanted->values.owner = name_argument(fcinfo, 1, "owner");
	error_check_argument(fcinfo, 2, "ttl");
	wanted->ttl = PG_GETARG_INTERVAL_P(2);
	(void) lock_ttl_expiry(GetCurrentTimestamp(), wanted->ttl);
	wanted->values.note = PG_ARGISNULL(3) ? NULL : PG_GETARG_TEXT_PP(3);
}

/* True if the row says that the lock can't be acquired. */
static bool
is_held(const LockRow *row, const Acquisition *wanted)
{
	const text *owner = wanted->values.owner;

	if (row->expires_at <= GetCurrentTimestamp())
		return false;
	return VARSIZE_ANY_EXHDR(row->owner) != VARSIZE_ANY_EXHDR(owner) ||
		memcmp(VARDATA_ANY(row->owner), VARDATA_ANY(owner),
			   VARSIZE_ANY_EXHDR(owner)) != 0;
}

/*
 * Draws the token and sets the times.  The row is locked, or the gate entered.
 * The commit must reach the disk even with synchronous_commit = off: a crash
 * would lose the grant together with the sequence's step, and another holder
 * would be given the same token.
 */
static void
fill_in(LockCall *call, Acquisition *wanted)
{
	LockRowValues *values = &wanted->values;

	lock_change_check(call, wanted->resource);
	ForceSyncCommit();
	values->token = lock_row_new_token(call);
	values->locked_at = GetCurrentTimestamp();
	values->expires_at = lock_ttl_expiry(values->locked_at, wanted->ttl);
}

/*
 * Takes the lock over if it has expired or is the same owner's.  The row is
 * pinned, which ends here.
 */
static LockRowResult
try_take_over(LockCall *call, Acquisition *wanted)
{
	LockRow    *row = &wanted->holder;
	LockRowResult result;

	if (is_held(row, wanted))
	{
		lock_row_unpin(row);
		return LOCK_ROW_BUSY;
	}
	result = lock_row_lock(call, row, LockTupleNoKeyExclusive, false);
	if (result != LOCK_ROW_OK)
		return result;
	fill_in(call, wanted);
	return lock_row_take_over(call, row, &wanted->values);
}

/*
 * Acquires the lock.  Returns false if another has it, or another transaction
 * has its row locked.  Then no transaction id was taken and no WAL written.
 */
static bool
acquire(LockCall *call, Acquisition *wanted)
{
	LockRowResult result = LOCK_ROW_GONE;
	bool		in_gate = false;
	int			attempts = 0;

	while (result == LOCK_ROW_GONE)
	{
		lock_row_check_attempts(&attempts);
		wanted->has_holder =
			lock_row_pin(call, wanted->resource, &wanted->holder);
		if (wanted->has_holder)
			result = try_take_over(call, wanted);
		else if (in_gate)
		{
			fill_in(call, wanted);
			lock_row_insert(call, wanted->resource, &wanted->values);
			result = LOCK_ROW_OK;
		}
		else if (lock_row_enter_gate(call, wanted->resource))
			in_gate = true;		/* look again: a row may have come first */
		else
			result = LOCK_ROW_BUSY;
	}
	if (in_gate)
		lock_row_leave_gate(wanted->resource);
	return result == LOCK_ROW_OK;
}

/* Says who has the lock, as the DETAIL of an error. */
static int
errdetail_holder(const Acquisition *wanted)
{
	const LockRow *holder = &wanted->holder;
	const char *owner;
	const char *until;

	if (!wanted->has_holder)
		return errdetail("Another transaction is acquiring the lock.");
	owner = text_to_cstring(holder->owner);
	until = timestamptz_to_str(holder->expires_at);
	return is_held(holder, wanted) ?
		errdetail("Owner \"%s\" has the lock until %s.", owner, until) :
		errdetail("Owner \"%s\" has the lock until %s, and a transaction is using it.",
				  owner, until);
}

/* Raises 23T10: the lock can't be acquired now. */
pg_noreturn static void
error_locked(const Acquisition *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCKED),
			 errmsg("\"%s\" is locked", text_to_cstring(wanted->resource)),
			 errdetail_holder(wanted),
			 errhint("Try again later."),
			 error_fields(LOCK_TABLE_NAME, "resource", "resource_lock_pkey")));
}

/*
 * acquire_lock(resource, owner, ttl, note): acquires a lock, and returns
 * (token, expires_at).  Never waits for another session.  Locks the row of the
 * lock.  Raises 23T10 if another owner has the lock, or another transaction its
 * row; 40001 as lock_change_check() says; 22004, 22023, 25006.
 */
Datum
booking_acquire_lock(PG_FUNCTION_ARGS)
{
	LockCall	call;
	Acquisition wanted;
	Datum		values[2];
	bool		isnull[2] = {false, false};

	read_arguments(fcinfo, &wanted);
	result_prepare_row(fcinfo);
	call_check_may_write("booking.acquire_lock()");
	lock_table_begin(&call, RowExclusiveLock);
	if (!acquire(&call, &wanted))
		error_locked(&wanted);
	lock_table_end(&call);
	values[0] = Int64GetDatum(wanted.values.token);
	values[1] = TimestampTzGetDatum(wanted.values.expires_at);
	return result_row(fcinfo, values, isnull);
}

/*
 * try_acquire_lock(resource, owner, ttl, note): the same, and returns (status,
 * token, owner, expires_at).  If status is 'locked' the others tell who has the
 * lock, as far as that is known, but not its token, which proves that one has
 * it.
 */
Datum
booking_try_acquire_lock(PG_FUNCTION_ARGS)
{
	LockCall	call;
	Acquisition wanted;
	bool		acquired;
	Datum		values[4];
	bool		isnull[4] = {false};

	read_arguments(fcinfo, &wanted);
	result_prepare_row(fcinfo);
	call_check_may_write("booking.try_acquire_lock()");
	lock_table_begin(&call, RowExclusiveLock);
	acquired = acquire(&call, &wanted);
	lock_table_end(&call);
	values[0] = CStringGetTextDatum(acquired ? "acquired" : "locked");
	values[1] = Int64GetDatum(wanted.values.token);
	values[2] = PointerGetDatum(acquired ? wanted.values.owner :
										   wanted.holder.owner);
	values[3] = TimestampTzGetDatum(acquired ? wanted.values.expires_at :
											   wanted.holder.expires_at);
	isnull[1] = !acquired;
	isnull[2] = isnull[3] = !acquired && !wanted.has_holder;
	return result_row(fcinfo, values, isnull);
}

/*
 * renew_lock(resource, token, ttl): lets the lock expire ttl from now, sooner
 * or later than before, and returns when.  Locks the row, after waiting for
 * transactions that have asserted the lock; while it waits no other owner can
 * acquire the lock.  Raises 23T09 if the token is not the lock's; 40001, 22004,
 * 22023, 25006.
 */
Datum
booking_renew_lock(PG_FUNCTION_ARGS)
{
	LockCall	call;
	LockRow		row;
	text	   *resource = name_argument(fcinfo, 0, "resource");
	int64		token;
	Interval   *ttl;
	TimestampTz expires_at;

	error_check_argument(fcinfo, 1, "token");
	error_check_argument(fcinfo, 2, "ttl");
	token = PG_GETARG_INT64(1);
	ttl = PG_GETARG_INTERVAL_P(2);
	(void) lock_ttl_expiry(GetCurrentTimestamp(), ttl);
	call_check_may_write("booking.renew_lock()");
	lock_table_begin(&call, RowExclusiveLock);
	lock_holder_lock(&call, resource, token, LockTupleNoKeyExclusive, &row);
	expires_at =
		lock_ttl_expiry(GetCurrentTimestamp(), ttl); /* after the wait */
	(void) lock_row_renew(&call, &row, expires_at);
	lock_table_end(&call);
	PG_RETURN_TIMESTAMPTZ(expires_at);
}

/*
 * release_lock(resource, token): deletes the row of the lock.  Returns false if
 * the token is not the lock's.  Locks the row, after waiting for transactions
 * that have asserted the lock.  Raises 40001, 22004, 22023, 25006.
 */
Datum
booking_release_lock(PG_FUNCTION_ARGS)
{
	LockCall	call;
	LockRow		row;
	text	   *resource = name_argument(fcinfo, 0, "resource");
	int64		token;
	bool		released = false;
	int			attempts = 0;

	error_check_argument(fcinfo, 1, "token");
	token = PG_GETARG_INT64(1);
	call_check_may_write("booking.release_lock()");
	lock_table_begin(&call, RowExclusiveLock);
	while (!released && lock_holder_pin(&call, resource, token, &row))
	{
		lock_row_check_attempts(&attempts);
		released = lock_row_delete(&call, &row) == LOCK_ROW_OK;
	}
	if (released)
	{
		lock_change_check(&call, resource);
		lock_assert_released(resource, token);
	}
	lock_table_end(&call);
	PG_RETURN_BOOL(released);
}

/* True if the argument is 'commit', false if 'now'; else raises 22023. */
static bool
at_commit_argument(FunctionCallInfo fcinfo, int argno)
{
	char	   *word;

	error_check_argument(fcinfo, argno, "at");
	word = text_to_cstring(PG_GETARG_TEXT_PP(argno));
	if (strcmp(word, "now") != 0 && strcmp(word, "commit") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("at must be 'now' or 'commit'")));
	return strcmp(word, "commit") == 0;
}

/*
 * assert_lock(resource, token, at): makes sure that this transaction commits
 * only if the token is the lock's, and returns true.  Locks the row of the lock
 * FOR SHARE until the transaction ends, at once or before the commit.  Raises
 * 23T09, then; 40001, 22004, 22023, 25006.
 */
Datum
booking_assert_lock(PG_FUNCTION_ARGS)
{
	text	   *resource = name_argument(fcinfo, 0, "resource");
	int64		token;

	error_check_argument(fcinfo, 1, "token");
	token = PG_GETARG_INT64(1);
	call_check_may_write("booking.assert_lock()");
	if (at_commit_argument(fcinfo, 2))
		lock_assert_at_commit(resource, token);
	else
		lock_assert_now(resource, token);
	PG_RETURN_BOOL(true);
}

/*
 * locked(resource): true if someone has the lock and it has not expired, as the
 * calling statement sees the table.  Locks nothing, also on a standby.  Raises
 * 22004, 22023.
 */
Datum
booking_locked(PG_FUNCTION_ARGS)
{
	LockCall	call;
	text	   *resource = name_argument(fcinfo, 0, "resource");
	TimestampTz expires_at;
	bool		locked;

	lock_table_begin(&call, AccessShareLock);
	locked = lock_row_read(&call, resource, GetActiveSnapshot(), &expires_at) &&
		expires_at > GetCurrentTimestamp();
	lock_table_end(&call);
	PG_RETURN_BOOL(locked);
}
