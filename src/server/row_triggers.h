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

/* What is done to the rows. */
typedef enum RowTriggersEvent
{
	ROW_TRIGGERS_INSERT,
	ROW_TRIGGERS_UPDATE
} RowTriggersEvent;

extern bool row_triggers_are_simple(Relation rel, RowTriggersEvent event);
extern bool row_triggers_any(Relation rel, RowTriggersEvent event, Oid except);
extern void row_triggers_begin(RowTriggers *triggers, Relation rel,
							   RowTriggersEvent event, Oid except);
extern void row_triggers_inserted(RowTriggers *triggers, TupleTableSlot *slot,
								  List *recheck);
extern void row_triggers_updated(RowTriggers *triggers, ItemPointer old,
								 TupleTableSlot *slot, List *recheck);
extern void row_triggers_fire(RowTriggers *triggers);

#endif							/* ROW_TRIGGERS_H */
