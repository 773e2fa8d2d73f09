/*-------------------------------------------------------------------------
 *
 * name_lock.c
 *	  Heavyweight locks on names that have no row yet.
 *
 * What has no row can't be locked by it.  Two sessions that insert the row at
 * once would meet in its unique index, too late.  So they meet here before.
 *
 * These are advisory locks on the hash of the name, in classes of their own.
 * Those of users are in the classes 1 and 2, so pg_advisory_lock() etc. can't
 * reach ours.  Two names with one hash are one lock.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"

#include "server/compat.h"
#include "server/name_lock.h"

/* In this mode only one transaction has a name. */
#define NAME_LOCKMODE ExclusiveLock

/* Returns the lock of the name; within: what else it is of, or 0. */
static LOCKTAG
tag_of(NameLockClass class, int64 within, const text *name)
{
	uint64 hash = hash_bytes_extended((const unsigned char *) VARDATA_ANY(name),
									  (int) VARSIZE_ANY_EXHDR(name),
									  (uint64) within);
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (hash >> 32),
						 (uint32) hash, class);
	return tag;
}

/*
 * Locks the name until name_lock_release(), or the end of the (sub)transaction.
 * If wait is false and another transaction has it, returns
 * LOCKACQUIRE_NOT_AVAIL at once.  Returns LOCKACQUIRE_ALREADY_HELD if this
 * transaction has it already; then it must be released once more.
 */
LockAcquireResult
name_lock_acquire(NameLockClass class, int64 within, const text *name,
				  bool wait)
{
	LOCKTAG		tag = tag_of(class, within, name);

	return LockAcquire(&tag, NAME_LOCKMODE, false, !wait);
}

/* Ends one lock on the name. */
void
name_lock_release(NameLockClass class, int64 within, const text *name)
{
	LOCKTAG		tag = tag_of(class, within, name);

	(void) LockRelease(&tag, NAME_LOCKMODE, false);
}
