/*-------------------------------------------------------------------------
 *
 * lock_row.c
 *	  The row of one named lock: find it, lock it, write it.
 *
 * A row is found by the primary key with a new snapshot, or where this session
 * has found it last.  Then its newest version is pinned, and the caller decides
 * by that.  A write succeeds only if the version is still the newest when it is
 * locked; otherwise the caller looks again (rowversion.c).
 *
 * A lock that has no row yet has nothing that could be locked.  So who wants to
 * insert it passes a gate first: the lock on its name (server/name_lock.c),
 * which is only tried.  Inside, a row that is not committed yet turns the
 * session away, and otherwise it inserts one before it leaves.  So two sessions
 * never meet in the unique index, where one would wait.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_sequence.h"
#include "commands/sequence.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "lock/lock_row.h"
#include "server/errors.h"
#include "server/name_lock.h"
#include "server/rowwriter.h"

/* How often a row is looked for again, at most. */
#define MAX_ATTEMPTS 1000

/*
 * The row that was pinned last.  A worker asserts the same lock again and
 * again, and this spares it the scan.  The place may have become another
 * row's, so the name is compared when it is pinned.  A version that is the
 * newest and has the name is the row, because the names are unique.
 */
static struct
{
	Oid			relid;
	int			length;			/* of the name; 0: nothing is remembered */
	char		resource[LOCK_ROW_LONGEST_NAME];
	ItemPointerData tid;
	Buffer		seen_in;
} last;

/* Prepares a scan for the resource in the primary key. */
void
lock_row_init_key(ScanKey key, text *resource)
{
	ScanKeyEntryInitialize(key, 0, 1, BTEqualStrategyNumber, InvalidOid,
						   C_COLLATION_OID, F_TEXTEQ,
						   PointerGetDatum(resource));
}

/* What a scan by the primary key has found. */
typedef struct Found
{
	bool		found;
	ItemPointerData tid;
	Buffer		seen_in;
} Found;

/* Remembers where the row is. */
static void
remember_place(HeapTuple tuple, Buffer buffer, void *arg)
{
	Found	   *found = arg;

	found->found = true;
	found->tid = tuple->t_self;
	found->seen_in = buffer;
}

/* Returns a column; raises 55000 if it is null. */
Datum
lock_row_column(const LockCall *call, HeapTuple tuple, AttrNumber attnum)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attnum, RelationGetDescr(call->rel),
									 &isnull);

	if (isnull)
		error_unusable("table booking.resource_lock has a row that pg_booking did not write",
					   "Delete that row.");
	return value;
}

/* True if the version is of that resource: its TID may be another row's now. */
static bool
is_of(const LockCall *call, HeapTuple tuple, text *resource)
{
	text	   *found =
		DatumGetTextPP(lock_row_column(call, tuple, call->table.resource));

	return VARSIZE_ANY_EXHDR(found) == VARSIZE_ANY_EXHDR(resource) &&
		memcmp(VARDATA_ANY(found), VARDATA_ANY(resource),
			   VARSIZE_ANY_EXHDR(found)) == 0;
}

/* Tries once to pin the newest version of the row that a scan has found. */
static bool
pin_found(LockCall *call, text *resource, Found *found, LockRow *row)
{
	HeapTuple	tuple = &row->version.tuple;

	if (!row_version_pin_newest(call->rel, &found->tid, found->seen_in,
								&row->version))
		return false;
	if (!is_of(call, tuple, resource))
	{
		lock_row_unpin(row);
		return false;
	}
	row->owner =
		DatumGetTextPCopy(lock_row_column(call, tuple, call->table.lock_owner));
	row->token = DatumGetInt64(lock_row_column(call, tuple, call->table.token));
	row->expires_at = DatumGetTimestampTz(
		lock_row_column(call, tuple, call->table.expires_at));
	return true;
}

/* Remembers the row that is pinned. */
static void
remember_row(const LockCall *call, text *resource, const LockRow *row)
{
	last.length = (int) VARSIZE_ANY_EXHDR(resource);
	if (last.length > LOCK_ROW_LONGEST_NAME)
		last.length = 0;
	memcpy(last.resource, VARDATA_ANY(resource), last.length);
	last.relid = call->table.relid;
	last.tid = row->version.tuple.t_self;
	last.seen_in = row->version.buffer;
}

/* Tries to pin the row where it was pinned last. */
static bool
pin_remembered(LockCall *call, text *resource, LockRow *row)
{
	Found		found;

	if (last.relid != call->table.relid ||
		last.length != (int) VARSIZE_ANY_EXHDR(resource) ||
		memcmp(last.resource, VARDATA_ANY(resource), last.length) != 0)
		return false;
	found.found = true;
	found.tid = last.tid;
	found.seen_in = last.seen_in;
	return pin_found(call, resource, &found, row);
}

/*
 * Pins and reads the newest version of the lock's row: committed, or written by
 * this transaction.  Returns false if the lock has no row.  Locks nothing.
 */
bool
lock_row_pin(LockCall *call, text *resource, LockRow *row)
{
	ScanKeyData key;
	int			attempts = 0;

	if (pin_remembered(call, resource, row))
		return true;
	lock_row_init_key(&key, resource);
	for (;;)
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
		Found		found = {false};
		bool		pinned;

		row_version_scan(call->rel, &key, 1, snapshot, remember_place, &found);
		pinned = found.found && pin_found(call, resource, &found, row);
		UnregisterSnapshot(snapshot);
		if (pinned)
			remember_row(call, resource, row);
		if (pinned || !found.found)
			return pinned;
		lock_row_check_attempts(&attempts);
	}
}

/* Releases the pin. */
void
lock_row_unpin(LockRow *row)
{
	ReleaseBuffer(row->version.buffer);
}

/* What a reading scan looks for. */
typedef struct Reading
{
	const LockCall *call;
	bool		found;
	TimestampTz expires_at;
} Reading;

/* Reads when the lock expires.  The page is locked. */
static void
read_expiry(HeapTuple tuple, Buffer buffer, void *arg)
{
	Reading    *reading = arg;
	bool		isnull;

	reading->expires_at = DatumGetTimestampTz(
		heap_getattr(tuple, reading->call->table.expires_at,
					 RelationGetDescr(reading->call->rel), &isnull));
	reading->found = !isnull;
}

/*
 * Reads when the lock expires, as the snapshot sees it.  Returns false if it
 * has no row.  Locks nothing, also on a standby.
 */
bool
lock_row_read(LockCall *call, text *resource, Snapshot snapshot,
			  TimestampTz *expires_at)
{
	Reading		reading = {call, false, 0};
	ScanKeyData key;

	lock_row_init_key(&key, resource);
	row_version_scan(call->rel, &key, 1, snapshot, read_expiry, &reading);
	*expires_at = reading.expires_at;
	return reading.found;
}

/*
 * To be called each time the row has changed between reading and locking.
 * Raises 55000 after MAX_ATTEMPTS: the statement itself has written the row in
 * a way that can't be seen yet.
 */
void
lock_row_check_attempts(int *attempts)
{
	CHECK_FOR_INTERRUPTS();
	if (++*attempts > MAX_ATTEMPTS)
		error_unusable("the row of the lock was written by the same statement",
					   "Call the function in a statement of its own.");
}

/*
 * Translates the result of locking or writing.  After a write the command
 * counter is advanced: the next call of the same statement must see it.
 */
static LockRowResult
result_of(TM_Result result, bool written)
{
	switch (result)
	{
		case TM_Ok:
			if (written)
				CommandCounterIncrement();
			return LOCK_ROW_OK;
		case TM_WouldBlock:
			return LOCK_ROW_BUSY;
		case TM_Updated:
		case TM_Deleted:
		case TM_Invisible:
		case TM_SelfModified:
			return LOCK_ROW_GONE;
		default:
			/* can't happen: the rest is waited for */
			elog(ERROR, "unexpected result %d of writing a lock", result);
			return LOCK_ROW_GONE;	/* keep the compiler quiet */
	}
}

/*
 * Locks the row of which the newest version is pinned, until the transaction
 * ends.  The pin is kept if the result is LOCK_ROW_OK, else released.  If wait
 * is false and another transaction has the row locked, or waits for it,
 * returns LOCK_ROW_BUSY: no transaction id, WAL or lock was taken.
 */
LockRowResult
lock_row_lock(LockCall *call, LockRow *row, LockTupleMode mode, bool wait)
{
	LockRowResult result =
		result_of(row_version_lock(call->rel, &row->version, mode, wait),
				  false);

	if (result != LOCK_ROW_OK)
		lock_row_unpin(row);
	return result;
}

/*
 * Returns true if this transaction may insert the row of the lock: none other
 * is about to, or has inserted it without having committed.  A row that has
 * been committed in the meantime is possible: the caller looks again.  If true,
 * lock_row_leave_gate() must follow.  Never waits.
 */
bool
lock_row_enter_gate(LockCall *call, text *resource)
{
	ScanKeyData key;
	TransactionId writer;
	ItemPointerData tid;

	if (name_lock_acquire(NAME_LOCK_RESOURCE, 0, resource, false) ==
		LOCKACQUIRE_NOT_AVAIL)
		return false;
	lock_row_init_key(&key, resource);
	(void) row_version_find(call->rel, &key, 1, &writer, &tid);
	if (TransactionIdIsValid(writer))
		lock_row_leave_gate(resource);
	return !TransactionIdIsValid(writer);
}

/* Opens the gate again.  A row that was inserted is the guard from now on. */
void
lock_row_leave_gate(text *resource)
{
	name_lock_release(NAME_LOCK_RESOURCE, 0, resource);
}

/*
 * Draws a token.  The caller must have locked the row, or have entered the
 * gate, so that the tokens of a lock only grow.  Raises 55000 if the sequence
 * would give smaller numbers later.
 */
int64
lock_row_new_token(LockCall *call)
{
	Oid			sequence = call->table.token_sequence;
	HeapTuple	tuple = SearchSysCache1(SEQRELID, ObjectIdGetDatum(sequence));
	bool		grows = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_sequence form = (Form_pg_sequence) GETSTRUCT(tuple);

		grows = form->seqcache == 1 && form->seqincrement > 0 &&
			!form->seqcycle;
		ReleaseSysCache(tuple);
	}
	if (!grows)
		error_unusable("the sequence of column \"token\" of table booking.resource_lock does not only grow",
					   "Use ALTER SEQUENCE ... INCREMENT 1 CACHE 1 NO CYCLE.");
	return nextval_internal(sequence, false);
}

/* Raises 55000: the sequence was set back. */
static void
check_token_grows(int64 before, int64 token)
{
	if (token <= before)
		error_unusable("the sequence of column \"token\" of table booking.resource_lock is behind the tokens in the table",
					   "Call booking.create_tables(), which moves it.");
}

/* Inserts the row of a lock.  The caller must have entered the gate. */
void
lock_row_insert(LockCall *call, text *resource, const LockRowValues *values)
{
	const LockTable *table = &call->table;
	RowWriter	writer;
	TupleTableSlot *slot;

	row_writer_open(&writer, call->rel);
	slot = writer.slot;
	row_writer_begin_row(&writer, slot);
	row_writer_set(slot, table->resource, PointerGetDatum(resource));
	row_writer_set(slot, table->lock_owner, PointerGetDatum(values->owner));
	row_writer_set(slot, table->token, Int64GetDatum(values->token));
	row_writer_set(slot, table->locked_at,
				   TimestampTzGetDatum(values->locked_at));
	row_writer_set(slot, table->expires_at,
				   TimestampTzGetDatum(values->expires_at));
	if (values->note != NULL)
		row_writer_set(slot, table->note, PointerGetDatum(values->note));
	row_writer_insert(&writer);
	row_writer_close(&writer);
	CommandCounterIncrement();
}

/* Writes the pinned version with new values in some columns. */
static LockRowResult
update_columns(LockCall *call, LockRow *row, int ncolumns, int *columns,
			   Datum *values, bool *isnull)
{
	HeapTuple	tuple;
	TM_Result	result;

	tuple = heap_modify_tuple_by_cols(&row->version.tuple,
									  RelationGetDescr(call->rel), ncolumns,
									  columns, values, isnull);
	result = row_version_update(call->rel, &row->version, tuple);
	heap_freetuple(tuple);
	return result_of(result, true);
}

/*
 * Gives the lock to another holder.  The caller must have locked the row.
 * Releases the pin.
 */
LockRowResult
lock_row_take_over(LockCall *call, LockRow *row, const LockRowValues *values)
{
	const LockTable *table = &call->table;
	int			columns[] = {table->lock_owner, table->token, table->locked_at,
					  table->expires_at, table->note };
	Datum		data[lengthof(columns)];
	bool		isnull[lengthof(columns)] = {false};

	check_token_grows(row->token, values->token);
	data[0] = PointerGetDatum(values->owner);
	data[1] = Int64GetDatum(values->token);
	data[2] = TimestampTzGetDatum(values->locked_at);
	data[3] = TimestampTzGetDatum(values->expires_at);
	data[4] = PointerGetDatum(values->note);
	isnull[4] = values->note == NULL;
	return update_columns(call, row, (int) lengthof(columns), columns, data,
						  isnull);
}

/* Lets the lock expire at another time, likewise. */
LockRowResult
lock_row_renew(LockCall *call, LockRow *row, TimestampTz expires_at)
{
	int			column = call->table.expires_at;
	Datum		value = TimestampTzGetDatum(expires_at);
	bool		isnull = false;

	return update_columns(call, row, 1, &column, &value, &isnull);
}

/*
 * Deletes the row, after waiting for a transaction that has it locked.
 * Releases the pin.
 */
LockRowResult
lock_row_delete(LockCall *call, LockRow *row)
{
	return result_of(row_version_delete(call->rel, &row->version), true);
}
