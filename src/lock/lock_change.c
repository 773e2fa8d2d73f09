/*-------------------------------------------------------------------------
 *
 * lock_change.c
 *	  Has a lock changed hands since the transaction's snapshot?
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "utils/snapmgr.h"

#include "lock/lock_change.h"
#include "lock/lock_row.h"
#include "server/errors.h"

/* What a scan for changes after the snapshot has found. */
typedef struct ChangeScan
{
	const LockCall *call;
	Snapshot	snapshot;
	int64		token;			/* that the snapshot sees; 0: none */
	int64		later;			/* of a version after the snapshot, or 0 */
	bool		several;		/* there are several such tokens */
	bool		deleted;		/* after the snapshot */
} ChangeScan;

/* True if another transaction has committed, after the snapshot was taken. */
static bool
committed_later(TransactionId xid, Snapshot snapshot)
{
	return TransactionIdIsNormal(xid) &&
		!TransactionIdIsCurrentTransactionId(xid) &&
		XidInMVCCSnapshot(xid, snapshot) && TransactionIdDidCommit(xid);
}

/* Returns the transaction that has updated or deleted the version, if any. */
static TransactionId
ended_by(HeapTupleHeader header)
{
	if ((header->t_infomask & HEAP_XMAX_INVALID) ||
		HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask))
		return InvalidTransactionId;
	return HeapTupleHeaderGetUpdateXid(header);
}

/* Notes what one version tells of the time since the snapshot. */
static void
note_change(HeapTuple tuple, Buffer buffer, void *arg)
{
	ChangeScan *scan = arg;
	HeapTupleHeader header = tuple->t_data;
	TransactionId xmin = HeapTupleHeaderGetXmin(header);
	TransactionId ender = ended_by(header);
	int64		token = DatumGetInt64(
		lock_row_column(scan->call, tuple, scan->call->table.token));

	if (committed_later(xmin, scan->snapshot))
	{
		scan->several |= scan->later != 0 && scan->later != token;
		scan->later = token;
	}
	else if (!TransactionIdIsCurrentTransactionId(xmin) &&
			 (xmin == FrozenTransactionId || TransactionIdDidCommit(xmin)) &&
			 (!TransactionIdIsValid(ender) ||
			  XidInMVCCSnapshot(ender, scan->snapshot) ||
			  !TransactionIdDidCommit(ender)))
		scan->token = token;
	else
		return;
	if (committed_later(ender, scan->snapshot) &&
		ItemPointerEquals(&tuple->t_self, &header->t_ctid))
		scan->deleted = true;
}

/*
 * Under REPEATABLE READ and SERIALIZABLE, raises 40001 if the lock changed
 * hands after the transaction's snapshot was taken: the transaction could not
 * see what the holder in between has written.  A renewal is no such change.
 *
 * The versions of the time since are still there, because the snapshot keeps
 * them.  So a lock that was acquired and released in between is noticed, too.
 * To be called when no other transaction can change the lock any more.
 */
void
lock_change_check(LockCall *call, text *resource)
{
	ChangeScan	scan = {.call = call};
	ScanKeyData key;

	if (!IsolationUsesXactSnapshot())
		return;
	scan.snapshot = RegisterSnapshot(GetTransactionSnapshot());
	lock_row_init_key(&key, resource);
	row_version_scan_all(call->rel, &key, 1, note_change, &scan);
	UnregisterSnapshot(scan.snapshot);
	if (scan.several || scan.deleted ||
		(scan.later != 0 && scan.later != scan.token))
		error_conflict();
}
