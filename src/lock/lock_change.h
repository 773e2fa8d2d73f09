/*-------------------------------------------------------------------------
 *
 * lock_change.h
 *	  Has a lock changed hands since the transaction's snapshot?
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef LOCK_CHANGE_H
#define LOCK_CHANGE_H

#include "lock/lock_table.h"

extern void lock_change_check(LockCall *call, text *resource);

#endif							/* LOCK_CHANGE_H */
