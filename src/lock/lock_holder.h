/*-------------------------------------------------------------------------
 *
 * lock_holder.h
 *	  Does a token still prove that its holder has the lock?
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef LOCK_HOLDER_H
#define LOCK_HOLDER_H

#include "lock/lock_row.h"

extern bool lock_holder_pin(LockCall *call, text *resource, int64 token,
							LockRow *row);
extern void lock_holder_lock(LockCall *call, text *resource, int64 token,
							 LockTupleMode mode, LockRow *row);

#endif							/* LOCK_HOLDER_H */
