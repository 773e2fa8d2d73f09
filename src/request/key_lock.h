/*-------------------------------------------------------------------------
 *
 * key_lock.h
 *	  Locks an idempotency key.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef KEY_LOCK_H
#define KEY_LOCK_H

#include "utils/relcache.h"

extern bool key_lock_begin(Relation rel, int64 event_id, text *key);
extern void key_lock_end(int64 event_id, text *key);

#endif							/* KEY_LOCK_H */
