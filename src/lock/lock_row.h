/*-------------------------------------------------------------------------
 *
 * lock_row.h
 *	  The row of one named lock: find it, lock it, write it.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef LOCK_ROW_H
#define LOCK_ROW_H

#include "datatype/timestamp.h"
#include "nodes/lockoptions.h"

#include "lock/lock_table.h"
#include "server/rowversion.h"

/*
 * The longest name in bytes: it must fit into an index, and into a log line.
 */
#define LOCK_ROW_LONGEST_NAME 200

/* The newest version of a row, whose page is pinned. */
typedef struct LockRow
{
	RowVersion	version;
	text	   *owner;
	int64		token;
	TimestampTz expires_at;
} LockRow;

/* What came of an attempt to lock or write a row. */
typedef enum LockRowResult
{
	LOCK_ROW_OK,
	LOCK_ROW_BUSY,				/* another transaction has it locked */
	LOCK_ROW_GONE				/* there is a newer version: look again */
} LockRowResult;

/* What acquire_lock() writes. */
typedef struct LockRowValues
{
	text	   *owner;
	int64		token;
	TimestampTz locked_at;
	TimestampTz expires_at;
	text	   *note;			/* or NULL */
} LockRowValues;

extern void lock_row_init_key(ScanKey key, text *resource);
extern Datum lock_row_column(const LockCall *call, HeapTuple tuple,
							 AttrNumber attnum);
extern bool lock_row_pin(LockCall *call, text *resource, LockRow *row);
extern void lock_row_unpin(LockRow *row);
extern bool lock_row_read(LockCall *call, text *resource, Snapshot snapshot,
						  TimestampTz *expires_at);
extern LockRowResult lock_row_lock(LockCall *call, LockRow *row,
								   LockTupleMode mode, bool wait);
extern bool lock_row_enter_gate(LockCall *call, text *resource);
extern void lock_row_leave_gate(text *resource);
extern int64 lock_row_new_token(LockCall *call);
extern void lock_row_insert(LockCall *call, text *resource,
							const LockRowValues *values);
extern LockRowResult lock_row_take_over(LockCall *call, LockRow *row,
										const LockRowValues *values);
extern LockRowResult lock_row_renew(LockCall *call, LockRow *row,
									TimestampTz expires_at);
extern LockRowResult lock_row_delete(LockCall *call, LockRow *row);
extern void lock_row_check_attempts(int *attempts);

#endif							/* LOCK_ROW_H */
