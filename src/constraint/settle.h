/*-------------------------------------------------------------------------
 *
 * settle.h
 *	  The trigger of the pool tables: judges a statement at its end.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef SETTLE_H
#define SETTLE_H

#include "constraint/definition.h"
#include "pool/pending.h"

/* What a statement does to one key of a constraint. */
typedef struct SettleKey
{
	PendingKey	pending;		/* must be first */
	Oid lowered; /* table whose capacity became less, or invalid */
	AttrNumber	lowered_column;
} SettleKey;

extern SettleKey *settle_key(const TriggerColumns *columns,
							 const PoolKey *key);
extern TriggerData *settle_fired(FunctionCallInfo fcinfo,
								 const char *function);

#endif							/* SETTLE_H */
