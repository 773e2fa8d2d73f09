/*-------------------------------------------------------------------------
 *
 * refusal.h
 *	  Errors about an event: it is missing, in use, or without a pool.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUSAL_H
#define REFUSAL_H

#include "server/compat.h"

pg_noreturn extern void refusal_no_event(int64 event_id, const char *table);
pg_noreturn extern void refusal_no_inventory(int64 event_id);
extern void refusal_warn_no_inventory(int64 event_id);
pg_noreturn extern void refusal_event_in_use(int64 event_id,
											 const char *table);
pg_noreturn extern void refusal_capacity_in_use(int64 event_id,
												int32 capacity, int64 taken);

#endif							/* REFUSAL_H */
