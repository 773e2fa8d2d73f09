/*-------------------------------------------------------------------------
 *
 * key_lock.c
 *	  Locks an idempotency key.
 *
 * A key is locked in two ways, one after the other.  During the call it is a
 * heavyweight lock on the hash of the event and the key: an advisory lock in a
 * class of its own, which pg_advisory_lock() etc. can't reach.  Two keys with
 * one hash only wait for each other.  A call that succeeds ends by inserting
 * the key's row, which is the lock from then on until the commit: who finds it
 * uncommitted waits for its transaction.  So a refusal writes nothing, and a
 * transaction can use any number of keys.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "access/tableam.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "request/key_lock.h"
#include "server/compat.h"

/* The class of our advisory locks; users' are in the classes 1 and 2. */
#define KEY_CLASS 0x424B

/* In this mode only one call has the key. */
#define KEY_LOCKMODE ExclusiveLock

/* The heavyweight lock that stands for the key. */
static void
set_tag(LOCKTAG *tag, int64 event_id, text *key)
{
	uint64 hash = hash_bytes_extended((unsigned char *) VARDATA_ANY(key),
									  (int) VARSIZE_ANY_EXHDR(key),
									  (uint64) event_id);

	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (hash >> 32),
						 (uint32) hash, KEY_CLASS);
}

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
	LOCKTAG		tag;
	TransactionId writer;
	ItemPointerData tid;
	bool		found;

	set_tag(&tag, event_id, key);
	for (;;)
	{
		if (LockAcquire(&tag, KEY_LOCKMODE, false, false) ==
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
	LOCKTAG		tag;

	set_tag(&tag, event_id, key);
	(void) LockRelease(&tag, KEY_LOCKMODE, false);
}
