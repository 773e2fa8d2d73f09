/*-------------------------------------------------------------------------
 *
 * row_triggers.h
 *	  Firing the AFTER ROW triggers of rows that no statement has inserted.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROW_TRIGGERS_H
#define ROW_TRIGGERS_H

#include "executor/tuptable.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

/* The triggers of the rows of one call. */
typedef struct RowTriggers
{
	struct EState *estate;		/* NULL: there is none to fire */
	struct ResultRelInfo *result_rel;
} RowTriggers;

extern bool row_triggers_any(Relation rel, Oid except);
extern void row_triggers_begin(RowTriggers *triggers, Relation rel,
							   Oid except);
extern void row_triggers_queue(RowTriggers *triggers, TupleTableSlot *slot,
							   List *recheck);
extern void row_triggers_fire(RowTriggers *triggers);

#endif							/* ROW_TRIGGERS_H */
