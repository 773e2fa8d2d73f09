/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *	  A part of a call that can be undone.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef SUBTRANSACTION_H
#define SUBTRANSACTION_H

#include "server/call.h"

/* The work of a subtransaction; returns false to undo what it has done. */
typedef bool (*SubtransactionWork)(void *arg);

extern bool subtransaction_run(Call *call, SubtransactionWork work, void *arg);

#endif							/* SUBTRANSACTION_H */
