/*-------------------------------------------------------------------------
 *
 * row_triggers.c
 *	  Firing the AFTER ROW triggers of rows that no statement has written.
 *
 * The executor queues an event for each row that it writes, and fires the
 * triggers at the end of the statement; the deferred ones at the commit.
 * Foreign keys and deferrable unique constraints are such triggers.  The same
 * is done here for the rows that a RowWriter writes, as if they were those of
 * one statement: PostgreSQL's own code queues and fires.
 *
 * A table with triggers of other kinds (BEFORE, for each statement, with a WHEN
 * condition, or for an UPDATE OF columns) must be written by a statement.
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

/* True if the trigger is for the event. */
static bool
is_for(const Trigger *trigger, RowTriggersEvent event)
{
	return event == ROW_TRIGGERS_INSERT ?
		TRIGGER_FOR_INSERT(trigger->tgtype) :
		TRIGGER_FOR_UPDATE(trigger->tgtype);
}

/* True if this file can fire the trigger. */
static bool
is_simple(const Trigger *trigger)
{
	return TRIGGER_FOR_ROW(trigger->tgtype) &&
		TRIGGER_FOR_AFTER(trigger->tgtype) && trigger->tgqual == NULL &&
		trigger->tgnattr == 0 && trigger->tgoldtable == NULL &&
		trigger->tgnewtable == NULL;
}

/*
 * True if all triggers of the table for the event can be fired without a
 * statement.  (A WHEN condition can't: it is evaluated while the row is
 * written, and may do anything.)
 */
bool
row_triggers_are_simple(Relation rel, RowTriggersEvent event)
{
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (is_for(trigger, event) && !is_simple(trigger))
			return false;
	}
	return true;
}

/*
 * True if the table has a trigger for the event, other than those that call the
 * function except (or InvalidOid).
 */
bool
row_triggers_any(Relation rel, RowTriggersEvent event, Oid except)
{
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (is_for(trigger, event) && trigger->tgfoid != except)
			return true;
	}
	return false;
}

/* Leaves out the triggers that call the function. */
static void
leave_out(TriggerDesc *triggers, Oid function)
{
	int			left = 0;

	for (int i = 0; i < triggers->numtriggers; i++)
	{
		if (triggers->triggers[i].tgfoid != function)
			triggers->triggers[left++] = triggers->triggers[i];
	}
	triggers->numtriggers = left;
}

/*
 * Begins to collect rows of the table that are inserted or updated.
 * row_triggers_fire() will fire their triggers, except those that call the
 * function except (or InvalidOid).
 */
void
row_triggers_begin(RowTriggers *triggers, Relation rel, RowTriggersEvent event,
				   Oid except)
{
	MemoryContext old;
	ResultRelInfo *result_rel;

	triggers->estate = NULL;
	if (!row_triggers_any(rel, event, except))
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
row_triggers_inserted(RowTriggers *triggers, TupleTableSlot *slot,
					  List *recheck)
{
	if (triggers->estate != NULL)
		ExecARInsertTriggers(triggers->estate, triggers->result_rel, slot,
							 recheck, NULL);
}

/* The row version at old was replaced by the one in the slot; likewise. */
void
row_triggers_updated(RowTriggers *triggers, ItemPointer old,
					 TupleTableSlot *slot, List *recheck)
{
	if (triggers->estate != NULL)
		ExecARUpdateTriggers(triggers->estate, triggers->result_rel, NULL,
							 NULL, old, NULL, slot, recheck, NULL, false);
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
