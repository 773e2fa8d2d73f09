/*-------------------------------------------------------------------------
 *
 * lock_assert.h
 *	  assert_lock(): what was written under a lock commits only while it holds.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef LOCK_ASSERT_H
#define LOCK_ASSERT_H

#include "fmgr.h"

extern void lock_assert_init(void);
extern void lock_assert_now(text *resource, int64 token);
extern void lock_assert_released(text *resource, int64 token);
extern void lock_assert_at_commit(text *resource, int64 token);

#endif							/* LOCK_ASSERT_H */
