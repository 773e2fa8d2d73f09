/*-------------------------------------------------------------------------
 *
 * rowversion.h
 *	  Reading and writing versions of a row beneath the executor.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROWVERSION_H
#define ROWVERSION_H

#include "access/htup.h"
#include "access/skey.h"
#include "access/tableam.h"
#include "nodes/lockoptions.h"
#include "storage/buf.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/* A row version in its page, which is pinned. */
typedef struct RowVersion
{
	HeapTupleData tuple;
	Buffer		buffer;
	TransactionId xmin;			/* who wrote the version */
	TransactionId holder;		/* another transaction that has it locked */
} RowVersion;

/* Is called for each row that a scan sees; the page is pinned and locked. */
typedef void (*RowVersionVisitor)(HeapTuple tuple, Buffer buffer, void *arg);

extern bool row_version_pin_newest(Relation rel, ItemPointer tid,
								   Buffer seen_in, RowVersion *version);
extern TM_Result row_version_lock(Relation rel, RowVersion *version,
								  LockTupleMode mode, bool wait);
extern TM_Result row_version_update(Relation rel, RowVersion *version,
									HeapTuple tuple);
extern TM_Result row_version_delete(Relation rel, RowVersion *version);
extern void row_version_scan(Relation rel, ScanKey keys, int nkeys,
							 Snapshot snapshot, RowVersionVisitor visit,
							 void *arg);
extern void row_version_scan_all(Relation rel, ScanKey keys, int nkeys,
								 RowVersionVisitor visit, void *arg);
extern bool row_version_find(Relation rel, ScanKey keys, int nkeys,
							 TransactionId *writer, ItemPointer tid);
extern bool row_version_exists(Relation rel, ScanKey keys, int nkeys);
extern bool row_version_find_by_id(Relation rel, int64 id, Snapshot snapshot,
								   LOCKMODE lockmode, TupleTableSlot *slot);
extern bool row_version_lock_by_id(Relation rel, int64 id,
								   TupleTableSlot *slot);

#endif							/* ROWVERSION_H */
