/*-------------------------------------------------------------------------
 *
 * lock_table.h
 *	  The table of named locks, and a call on it.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef LOCK_TABLE_H
#define LOCK_TABLE_H

#include "access/attnum.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"

#include "server/call.h"

#define LOCK_TABLE_NAME "resource_lock"

/* Where booking.resource_lock is, and its columns. */
typedef struct LockTable
{
	Oid			relid;
	Oid			owner;			/* the role */
	Oid			token_sequence;
	AttrNumber	resource;
	AttrNumber	lock_owner;
	AttrNumber	token;
	AttrNumber	locked_at;
	AttrNumber	expires_at;
	AttrNumber	note;
} LockTable;

/* One call of a function on the table. */
typedef struct LockCall
{
	Call		base;
	LockTable	table;			/* a copy: a message may empty the cache */
	Relation	rel;			/* open and locked */
} LockCall;

extern void lock_table_init(void);
extern void lock_table_begin(LockCall *call, LOCKMODE lockmode);
extern void lock_table_end(LockCall *call);

#endif							/* LOCK_TABLE_H */
