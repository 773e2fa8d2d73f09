/*-------------------------------------------------------------------------
 *
 * rowversion.c
 *	  Reading and writing versions of a row beneath the executor.
 *
 * This file is the only one that relies on how PostgreSQL's heap works inside.
 * It is used for tables of ours, of a plain heap: the stripes of pools, named
 * locks, and the rows of keys and users.  Of the first two, whose rows it
 * updates, all indexes are plain btrees (pool/shape.c and lock/lock_table.c
 * check that).  The functions that find a row by its id, a hold or an event,
 * use only the table access method's interface.  It assumes:
 *
 * 1. While a page is pinned, no version is pruned from it.  So a TID that was
 *    read stays the same row version's while the pin is held.
 *    heap_page_prune_opt() and vacuum need a cleanup lock, which waits for
 *    every other pin (bufmgr.c, LockBufferForCleanup).
 * 2. t_ctid of an updated version is the TID of the next one.  The next
 *    version may be gone, and its TID be another row's: the caller compares the
 *    row's key (heapam.c, heap_get_latest_tid, which checks xmin instead).
 * 3. SnapshotSelf shows what has committed by now and what this transaction
 *    has written (heapam_visibility.c, HeapTupleSatisfiesSelf).
 * 4. heap_update() and heap_delete() with wait = true lock the version that
 *    they are given, and return TM_Updated or TM_Deleted if it is not the
 *    newest when they have it.  This makes a compare-and-swap of them.
 * 5. A heap-only tuple has no index entries of its own; every other new
 *    version needs an entry in each index (README.HOT).  BRIN indexes, which
 *    are an exception, are not allowed on these tables.
 * 6. In a HOT chain, a version is the successor of the one whose xmax equals
 *    its xmin, and all of a chain is on one page (heapam.c,
 *    heap_hot_search_buffer).
 * 7. If the last version of a chain was deleted by a transaction that had
 *    ended before the snapshot, the snapshot sees no version of the chain.
 * 8. A scan that finds a chain dead to all transactions may tell the index by
 *    kill_prior_tuple, except if it began during recovery (heapam_handler.c,
 *    heapam_index_fetch_tuple; indexam.c, index_fetch_heap).
 * 9. ReadRecentBuffer() pins the buffer only if it still holds that page
 *    (bufmgr.c).
 * 10. A transaction that waits for a row, to lock or write it exclusively, has
 *    the heavyweight lock on its TID from before the wait until it has marked
 *    the row (heapam.c, heap_acquire_tuplock).  heap_lock_tuple() with
 *    LockWaitSkip, if the row is locked, takes no transaction id and writes
 *    no WAL.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/relscan.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "server/compat.h"
#include "server/fault.h"
#include "server/rowversion.h"
#include "server/rowwriter.h"

/*
 * How many versions are followed to the newest one.  Each is a write by
 * another transaction; after this many, a look into the index is quicker.
 */
#define MAX_STEPS 32

/* For so few entries of a scan chain_is_past() isn't asked: it costs more. */
#define FEW_ENTRIES 8

/*
 * Returns the transaction that has the row locked or is writing it, if it is
 * not our own.  A hint: it may have ended when the caller reads it.  The
 * buffer must be locked.
 *
 * For a multixact with a running member it returns FrozenTransactionId, because
 * there may be several holders.  Our own membership counts there, too.
 */
static TransactionId
current_holder(HeapTupleHeader header)
{
	TransactionId xmax = HeapTupleHeaderGetRawXmax(header);

	if (header->t_infomask & HEAP_XMAX_INVALID)
		return InvalidTransactionId;
	if (header->t_infomask & HEAP_XMAX_IS_MULTI)
		return MultiXactIdIsRunning((MultiXactId) xmax,
									HEAP_XMAX_IS_LOCKED_ONLY(
										header->t_infomask)) ?
			FrozenTransactionId :
			InvalidTransactionId;
	if (TransactionIdIsCurrentTransactionId(xmax) ||
		!TransactionIdIsInProgress(xmax))
		return InvalidTransactionId;
	return xmax;
}

/*
 * Pins a page.  Tries the buffer where it was seen last first, which saves the
 * look-up.  Returns InvalidBuffer if vacuum has truncated the page away.
 */
static Buffer
pin_page(Relation rel, BlockNumber block, Buffer seen_in)
{
	if (BufferIsValid(seen_in) &&
		compat_read_recent_buffer(rel, block, seen_in))
		return seen_in;
	if (block >= RelationGetNumberOfBlocks(rel))
		return InvalidBuffer;
	return ReadBuffer(rel, block);
}

/*
 * Prunes the pinned page if it is half full.  PostgreSQL would prune at every
 * visit, because the low fillfactor asks for free space; then each booking of
 * a quiet event would pay for a pruning and its WAL.
 */
static void
prune_half_full(Relation rel, Buffer buffer)
{
	if (PageGetHeapFreeSpace(BufferGetPage(buffer)) < BLCKSZ / 2)
		heap_page_prune_opt(rel, buffer);
}

/*
 * Reads the version at offset of the locked page into version->tuple.  Returns
 * true if it is the newest.  Otherwise *tid becomes the TID of the next
 * version, or invalid if there is none.
 */
static bool
read_version(Relation rel, Page page, /* NOLINT(readability-non-const-*) */
			 ItemPointer tid, RowVersion *version)
{
	OffsetNumber offset = ItemPointerGetOffsetNumber(tid);
	HeapTuple	tuple = &version->tuple;
	ItemId		item;

	if (offset > PageGetMaxOffsetNumber(page) ||
		!ItemIdIsNormal(item = PageGetItemId(page, offset)))
	{
		ItemPointerSetInvalid(tid);
		return false;
	}
	tuple->t_data = (HeapTupleHeader) PageGetItem(page, item);
	tuple->t_len = ItemIdGetLength(item);
	tuple->t_tableOid = RelationGetRelid(rel);
	tuple->t_self = *tid;
	if (HeapTupleSatisfiesVisibility(tuple, SnapshotSelf, version->buffer))
	{
		version->xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
		version->holder = current_holder(tuple->t_data);
		return true;
	}
	if (HeapTupleHeaderIndicatesMovedPartitions(tuple->t_data) ||
		ItemPointerEquals(tid, &tuple->t_data->t_ctid))
		ItemPointerSetInvalid(tid);
	else
		*tid = tuple->t_data->t_ctid;
	return false;
}

/*
 * Reads the version at *tid, whose page was last seen in the buffer seen_in
 * (or InvalidBuffer).  Returns true, with the page pinned, if it is the
 * newest. Otherwise nothing is pinned, and *tid has moved on as read_version()
 * says.
 */
static bool
pin_version(Relation rel, ItemPointer tid, Buffer seen_in, RowVersion *version)
{
	bool		newest;

	version->buffer = pin_page(rel, ItemPointerGetBlockNumber(tid), seen_in);
	if (!BufferIsValid(version->buffer))
	{
		ItemPointerSetInvalid(tid);
		return false;
	}
	prune_half_full(rel, version->buffer);
	LockBuffer(version->buffer, BUFFER_LOCK_SHARE);
	newest = read_version(rel, BufferGetPage(version->buffer), tid, version);
	LockBuffer(version->buffer, BUFFER_LOCK_UNLOCK);
	if (!newest)
		ReleaseBuffer(version->buffer);
	return newest;
}

/*
 * Pins the newest version of a row, following its versions from *tid, which
 * then is the TID of the newest.  Returns false, with nothing pinned, if it
 * can't be found from there.  The TID may have become another row's (2.
 * above): the caller must check the key.
 */
bool
row_version_pin_newest(Relation rel, ItemPointer tid, Buffer seen_in,
					   RowVersion *version)
{
	for (int step = 0; step < MAX_STEPS && ItemPointerIsValid(tid); step++)
	{
		if (pin_version(rel, tid, seen_in, version))
			return true;
	}
	return false;
}

/*
 * Locks the row whose newest version is pinned until the end of the
 * transaction.  The pin is kept.  TM_Updated, TM_Deleted: the version is not
 * the newest any more.
 *
 * If another transaction has the row locked in a mode that conflicts, it is
 * waited for.  If wait is false, TM_WouldBlock is returned instead, also if
 * another transaction already waits for the row: by heap_lock_tuple() alone we
 * could overtake it at the moment the row becomes free (10. above).
 */
TM_Result
row_version_lock(Relation rel, RowVersion *version, LockTupleMode mode,
				 bool wait)
{
	HeapTupleData tuple = version->tuple;
	Buffer		buffer;
	TM_FailureData failure;
	TM_Result	result;

	if (!wait &&
		!compat_conditional_lock_tuple(rel, &tuple.t_self, ExclusiveLock))
		return TM_WouldBlock;
	result = heap_lock_tuple(rel, &tuple, GetCurrentCommandId(true), mode,
							 wait ? LockWaitBlock : LockWaitSkip, false,
							 &buffer, &failure);
	ReleaseBuffer(buffer);
	if (!wait)
		UnlockTuple(rel, &tuple.t_self, ExclusiveLock);
	return result;
}

/*
 * Deletes the pinned version, after waiting for a transaction that has it
 * locked, and releases the pin.  TM_Updated, TM_Deleted: it is not the newest
 * any more, and nothing was done.
 */
TM_Result
row_version_delete(Relation rel, RowVersion *version)
{
	TM_FailureData failure;
	TM_Result	result;

	result = heap_delete(rel, &version->tuple.t_self,
						 GetCurrentCommandId(true), InvalidSnapshot, true,
						 &failure, false);
	ReleaseBuffer(version->buffer);
	return result;
}

/*
 * Replaces the pinned version by the tuple, likewise; tuple->t_self then tells
 * where the new version is.  An update that is not HOT gets its index entries.
 */
TM_Result
row_version_update(Relation rel, RowVersion *version, HeapTuple tuple)
{
	TM_FailureData failure;
	TM_Result	result;

	result = compat_heap_update(rel, &version->tuple.t_self, tuple,
								GetCurrentCommandId(true), &failure);
	ReleaseBuffer(version->buffer);
	if (result == TM_Ok && !HeapTupleIsHeapOnly(tuple))
	{
		RowWriter	writer;

		fault_point("stripe: not in the index");
		row_writer_open(&writer, rel);
		row_writer_index_update(&writer, tuple);
		row_writer_close(&writer);
	}
	return result;
}

/*
 * Returns the last version of the HOT chain that begins at root, or NULL if
 * the chain has anything unusual.  The page is locked.  (PostgreSQL's macros
 * want a Page that is not const.)
 */
static HeapTupleHeader
chain_end(Page page, ItemPointer root)	/* NOLINT(readability-non-const-*) */
{
	OffsetNumber offset = ItemPointerGetOffsetNumber(root);
	TransactionId expected_xmin = InvalidTransactionId;

	if (offset <= PageGetMaxOffsetNumber(page) &&
		ItemIdIsRedirected(PageGetItemId(page, offset)))
		offset = ItemIdGetRedirect(PageGetItemId(page, offset));

	for (;;)
	{
		ItemId		item;
		HeapTupleHeader header;

		if (offset < FirstOffsetNumber || offset > PageGetMaxOffsetNumber(page))
			return NULL;
		item = PageGetItemId(page, offset);
		if (!ItemIdIsNormal(item))
			return NULL;
		header = (HeapTupleHeader) PageGetItem(page, item);
		if (TransactionIdIsValid(expected_xmin) &&
			!TransactionIdEquals(expected_xmin, HeapTupleHeaderGetXmin(header)))
			return NULL;
		if (!HeapTupleHeaderIsHotUpdated(header))
			return header;
		if (header->t_infomask & HEAP_XMAX_IS_MULTI)
			return NULL;
		expected_xmin = HeapTupleHeaderGetRawXmax(header);
		offset = ItemPointerGetOffsetNumber(&header->t_ctid);
	}
}

/*
 * True if the snapshot sees no version of the HOT chain that begins at root,
 * although the chain must be kept for an older snapshot.  The page is locked.
 *
 * While an old snapshot is held, a hot event leaves thousands of such chains,
 * each as long as a page.  The last version and its hint bits tell that a
 * chain ended before our snapshot; PostgreSQL would judge each version of it.
 * If in doubt this returns false, and PostgreSQL decides.
 */
static bool
chain_is_past(Relation rel, ItemPointer root, Snapshot snapshot, Page page)
{
	HeapTupleHeader end = chain_end(page, root);
	TransactionId xmax;

	if (end == NULL ||
		(end->t_infomask & HEAP_XMAX_COMMITTED) == 0 ||
		(end->t_infomask & HEAP_XMAX_IS_MULTI) != 0 ||
		HEAP_XMAX_IS_LOCKED_ONLY(end->t_infomask))
		return false;
	xmax = HeapTupleHeaderGetRawXmax(end);
	return !XidInMVCCSnapshot(xmax, snapshot) &&
		!GlobalVisTestIsRemovableXid(GlobalVisTestFor(rel), xmax);
}

/*
 * Visits the version that the snapshot sees of the HOT chain that begins at
 * root, if there is one.  Returns true if the whole chain is dead to every
 * transaction, so that the index may forget it.  The page is pinned.
 */
static bool
visit_chain(Relation rel, ItemPointer root, Snapshot snapshot, Buffer buffer,
			bool maybe_past, RowVersionVisitor visit, void *arg)
{
	ItemPointerData tid = *root;
	HeapTupleData tuple;
	bool		all_dead = false;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!(maybe_past &&
		  chain_is_past(rel, root, snapshot, BufferGetPage(buffer))) &&
		heap_hot_search_buffer(&tid, rel, buffer, snapshot, &tuple, &all_dead,
							   true))
		visit(&tuple, buffer, arg);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	return all_dead;
}

/*
 * Opens the primary key.  It is looked up at each scan: REINDEX CONCURRENTLY
 * may have replaced it.  A caller that will write the row asks for the lock
 * that the writer takes, which saves another one.
 */
static Relation
open_primary_key(Relation rel, LOCKMODE lockmode)
{
	list_free(RelationGetIndexList(rel));
	return index_open(rel->rd_pkindex, lockmode);
}

/*
 * Visits each row that matches the keys and that the snapshot sees, in the
 * order of the primary key.  Locks no row.  The caller keeps the snapshot
 * registered for as long as it uses the TIDs.
 */
void
row_version_scan(Relation rel, ScanKey keys, int nkeys, Snapshot snapshot,
				 RowVersionVisitor visit, void *arg)
{
	Relation	index;
	IndexScanDesc scan;
	ItemPointer tid;
	Buffer		buffer = InvalidBuffer;
	int			entries = 0;

	index = open_primary_key(rel, AccessShareLock);
	scan = compat_index_beginscan(rel, index, snapshot, nkeys);
	index_rescan(scan, keys, nkeys, NULL, 0);
	while ((tid = index_getnext_tid(scan, ForwardScanDirection)) != NULL)
	{
		Buffer		before = buffer;
		bool		all_dead;

		buffer =
			ReleaseAndReadBuffer(buffer, rel, ItemPointerGetBlockNumber(tid));
		if (buffer != before)
			prune_half_full(rel, buffer);
		all_dead = visit_chain(rel, tid, snapshot, buffer,
							   ++entries > FEW_ENTRIES, visit, arg);

		/* on a standby this would hide rows from older snapshots */
		scan->kill_prior_tuple = all_dead && !scan->xactStartedInRecovery;
	}
	if (BufferIsValid(buffer))
		ReleaseBuffer(buffer);
	index_endscan(scan);
	index_close(index, NoLock);
}

/*
 * Visits each version of the rows that match the keys: also those that are not
 * committed, were rolled back, or are dead but not removed yet.  The page is
 * pinned, and not locked.  Locks no row.
 */
void
row_version_scan_all(Relation rel, ScanKey keys, int nkeys,
					 RowVersionVisitor visit, void *arg)
{
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	Relation	index;
	IndexScanDesc scan;

	index = open_primary_key(rel, AccessShareLock);
	scan = compat_index_beginscan(rel, index, SnapshotAny, nkeys);
	index_rescan(scan, keys, nkeys, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		BufferHeapTupleTableSlot *in_buffer = (BufferHeapTupleTableSlot *) slot;

		visit(in_buffer->base.tuple, in_buffer->buffer, arg);
	}
	index_endscan(scan);
	index_close(index, NoLock);
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * Looks for the row with the keys, also for one that is not committed.  Returns
 * true if there is one.  If another transaction is inserting, changing or
 * deleting it, this is *writer; otherwise *writer is InvalidTransactionId.
 * *tid is the row's place.  The keys are given the collations of the primary
 * key.  Locks no row.
 *
 * It may miss a row that is updated, not HOT, at the same time: the new entry
 * is on a page that was read already, and the old version is out of date.  If
 * that matters, ask row_version_exists() afterwards.
 */
bool
row_version_find(Relation rel, ScanKey keys, int nkeys, TransactionId *writer,
				 ItemPointer tid)
{
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	SnapshotData dirty;
	Relation	index;
	IndexScanDesc scan;
	bool		found;

	InitDirtySnapshot(dirty);
	index = open_primary_key(rel, AccessShareLock);
	for (int i = 0; i < nkeys; i++)
		keys[i].sk_collation = index->rd_indcollation[i];
	scan = compat_index_beginscan(rel, index, &dirty, nkeys);
	index_rescan(scan, keys, nkeys, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot);
	*writer = InvalidTransactionId;
	if (found)
	{
		*tid = slot->tts_tid;
		*writer = TransactionIdIsValid(dirty.xmin) ? dirty.xmin : dirty.xmax;
	}
	index_endscan(scan);
	index_close(index, NoLock);
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

/* Notes that a row was found. */
static void
note_found(HeapTuple tuple, Buffer buffer, void *arg)
{
	*(bool *) arg = true;
}

/* True if the newest committed state has a row with the keys. */
bool
row_version_exists(Relation rel, ScanKey keys, int nkeys)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool		found = false;

	row_version_scan(rel, keys, nkeys, snapshot, note_found, &found);
	UnregisterSnapshot(snapshot);
	return found;
}

/*
 * Reads the row with the id into the slot, as the snapshot shows it.  Returns
 * false if there is none.  The primary key is this bigint column alone, and is
 * locked in lockmode.  Locks no row.
 */
bool
row_version_find_by_id(Relation rel, int64 id, Snapshot snapshot,
					   LOCKMODE lockmode, TupleTableSlot *slot)
{
	Relation	index = open_primary_key(rel, lockmode);
	IndexScanDesc scan = compat_index_beginscan(rel, index, snapshot, 1);
	ScanKeyData key;
	bool		found;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(id));
	index_rescan(scan, &key, 1, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot);
	index_endscan(scan);
	index_close(index, NoLock);
	return found;
}

/*
 * Locks the row until the end of the transaction, and then reads it, as SELECT
 * ... FOR NO KEY UPDATE does under READ COMMITTED.
 */
bool
row_version_lock_by_id(Relation rel, int64 id, TupleTableSlot *slot)
{
	TM_Result	result = TM_Updated;

	CommandCounterIncrement();

	/* if the row was changed before it was locked, look again */
	while (result == TM_Updated || result == TM_Deleted)
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
		bool		found = row_version_find_by_id(rel, id, snapshot,
											   RowExclusiveLock, slot);
		TM_FailureData failure;

		if (found)
			result = table_tuple_lock(rel, &slot->tts_tid, snapshot, slot,
									  GetCurrentCommandId(true),
									  LockTupleNoKeyExclusive, LockWaitBlock,
									  0, &failure);
		UnregisterSnapshot(snapshot);
		if (!found)
			return false;
		CHECK_FOR_INTERRUPTS();
	}
	if (result != TM_Ok)
		/* can't happen: no other command has written what this one sees */
		elog(ERROR, "unexpected result %d of locking a row", result);
	return true;
}
