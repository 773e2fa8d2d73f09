/*-------------------------------------------------------------------------
 *
 * row_triggers.c
 *	  Firing the AFTER ROW triggers of rows that no statement has inserted.
 *
 * The executor queues an event for each row that it inserts, and fires the
 * triggers at the end of the statement; the deferred ones at the commit.
 * Foreign keys and deferrable unique constraints are such triggers.  The same
 * is done here for the rows that a RowWriter inserts, as if they were those of
 * one INSERT: PostgreSQL's own code queues and fires.
 *
 * A table with triggers of other kinds for INSERT (BEFORE, for each statement,
 * or with a WHEN condition) must be written by an INSERT.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/rel.h"

#include "server/row_triggers.h"

/* True if an inserted row fires the trigger, and it calls another function. */
static bool
is_fired(const Trigger *trigger, Oid except)
{
	return TRIGGER_FOR_INSERT(trigger->tgtype) && trigger->tgfoid != except;
}

/*
 * True if an inserted row fires a trigger of the table, other than those that
 * call the function except (or InvalidOid).
 */
bool
row_triggers_any(Relation rel, Oid except)
{
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (is_fired(&triggers->triggers[i], except))
			return true;
	}
	return false;
}

/* Leaves only the triggers that row_triggers_any() means. */
static void
leave_out(TriggerDesc *triggers, Oid except)
{
	int			left = 0;

	for (int i = 0; i < triggers->numtriggers; i++)
	{
		if (is_fired(&triggers->triggers[i], except))
			triggers->triggers[left++] = triggers->triggers[i];
	}
	triggers->numtriggers = left;
}

/*
 * Begins to collect rows of the table, whose triggers row_triggers_fire() will
 * fire, except those that call the function except (or InvalidOid).
 */
void
row_triggers_begin(RowTriggers *triggers, Relation rel, Oid except)
{
	MemoryContext old;
	ResultRelInfo *result_rel;

	triggers->estate = NULL;
	if (!row_triggers_any(rel, except))
		return;
	triggers->estate = CreateExecutorState();
	old = MemoryContextSwitchTo(triggers->estate->es_query_cxt);
	result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(result_rel, rel, 0, NULL, 0);
	leave_out(result_rel->ri_TrigDesc, except);
	triggers->estate->es_opened_result_relations = list_make1(result_rel);
	triggers->result_rel = result_rel;
	MemoryContextSwitchTo(old);
	AfterTriggerBeginQuery();
}

/*
 * The row in the slot was inserted.  recheck: the indexes of deferrable
 * constraints that it may violate.
 */
void
row_triggers_queue(RowTriggers *triggers, TupleTableSlot *slot, List *recheck)
{
	if (triggers->estate != NULL)
		ExecARInsertTriggers(triggers->estate, triggers->result_rel, slot,
							 recheck, NULL);
}

/*
 * Fires the triggers that are not deferred, and ends.  They may do anything:
 * also call the function that has inserted the row.
 */
void
row_triggers_fire(RowTriggers *triggers)
{
	EState	   *estate = triggers->estate;

	if (estate == NULL)
		return;
	AfterTriggerEndQuery(estate);
	ExecResetTupleTable(estate->es_tupleTable, false);
	ExecCloseResultRelations(estate);
	FreeExecutorState(estate);
	triggers->estate = NULL;
}
