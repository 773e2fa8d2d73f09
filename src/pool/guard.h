/*-------------------------------------------------------------------------
 *
 * guard.h
 *	  Keeps statements of the user's from changing a pool table.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef GUARD_H
#define GUARD_H

#include "commands/trigger.h"

#include "server/compat.h"

/* The setting booking.importing. */
extern bool guard_importing;

extern void guard_lift(void);
pg_noreturn extern void guard_refuse(const TriggerData *data, const char *hint);

#endif							/* GUARD_H */
