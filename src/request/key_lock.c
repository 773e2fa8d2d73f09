/*-------------------------------------------------------------------------
 *
 * key_lock.c
 *	  Locks an idempotency key.
 *
 * A key is locked in two ways, one after the other.  During the call it is a
 * lock on its name (server/name_lock.c).  A call that succeeds ends by
 * inserting the key's row, which is the lock from then on until the commit: who
 * finds it uncommitted waits for its transaction.  So a refusal writes nothing,
 * and a transaction can use any number of keys.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "request/key_lock.h"
#include "server/compat.h"
#include "server/name_lock.h"

/*
 * Looks for the row of the key in the primary key, whose columns are event_id
 * and idempotency_key.  Returns a transaction in progress that has written or
 * is deleting it, as *writer with the place of the row, or
 * InvalidTransactionId; returns whether there is a row.
 */
static bool
find_row(Relation rel, int64 event_id, text *key, TransactionId *writer,
		 ItemPointer tid)
{
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	SnapshotData dirty;
	Relation	index;
	IndexScanDesc scan;
	ScanKeyData keys[2];
	bool		found;

	/* looked up at each call: REINDEX CONCURRENTLY may have replaced it */
	list_free(RelationGetIndexList(rel));
	index = index_open(rel->rd_pkindex, RowExclusiveLock);
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(event_id));
	ScanKeyEntryInitialize(&keys[1], 0, 2, BTEqualStrategyNumber, InvalidOid,
						   index->rd_indcollation[1], F_TEXTEQ,
						   PointerGetDatum(key));
	InitDirtySnapshot(dirty);
	scan = compat_index_beginscan(rel, index, &dirty, 2);
	index_rescan(scan, keys, 2, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot);
	*writer = InvalidTransactionId;
	if (found)
	{
		*tid = slot->tts_tid;
		*writer =
			TransactionIdIsValid(dirty.xmin) ? dirty.xmin : dirty.xmax;
	}
	index_endscan(scan);
	index_close(index, NoLock);
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

/*
 * Locks the key of the event.  Waits for a call with the same key, and for a
 * transaction that has made one and is still open.  Returns true if the key has
 * a row then: committed, or of this transaction.  rel is booking.request.
 * Raises 55000 if this call is part of another one with the same key.
 */
bool
key_lock_begin(Relation rel, int64 event_id, text *key)
{
	TransactionId writer;
	ItemPointerData tid;
	bool		found;

	for (;;)
	{
		if (name_lock_acquire(NAME_LOCK_KEY, event_id, key, true) ==
			LOCKACQUIRE_ALREADY_HELD)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the request with this idempotency key has no answer"),
					 errhint("A trigger must not send the key of the statement that fired it.")));
		found = find_row(rel, event_id, key, &writer, &tid);
		if (!TransactionIdIsValid(writer))
			return found;
		/* or the writer, if it sends the key again, would wait for us */
		key_lock_end(event_id, key);
		CHECK_FOR_INTERRUPTS();
		XactLockTableWait(writer, rel, &tid, XLTW_InsertIndexUnique);
	}
}

/*
 * Ends the call's lock on the key.  If the call has failed, the end of its
 * (sub)transaction does so.
 */
void
key_lock_end(int64 event_id, text *key)
{
	name_lock_release(NAME_LOCK_KEY, event_id, key);
}
