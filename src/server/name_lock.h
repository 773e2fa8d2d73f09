/*-------------------------------------------------------------------------
 *
 * name_lock.h
 *	  Heavyweight locks on names that have no row yet.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef NAME_LOCK_H
#define NAME_LOCK_H

#include "storage/lock.h"

/* What a name is of. */
typedef enum NameLockClass
{
	NAME_LOCK_RESOURCE = 0x4250,	/* a named lock */
	NAME_LOCK_KEY,				/* an idempotency key */
} NameLockClass;

extern LockAcquireResult name_lock_acquire(NameLockClass class, int64 within,
										   const text *name, bool wait);
extern void name_lock_release(NameLockClass class, int64 within,
							  const text *name);

#endif							/* NAME_LOCK_H */
