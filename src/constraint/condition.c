/*-------------------------------------------------------------------------
 *
 * condition.c
 *	  Which rows of a constrained table count.
 *
 * The condition of a constraint is the WHEN clause of the table's trigger for
 * DELETE.  PostgreSQL tracks what it depends on, dumps and restores it, and
 * adapts it to partitions.  Where PostgreSQL evaluates a WHEN clause, it reads
 * the clause from its text once a statement, which takes as long as half an
 * INSERT.  So the trigger for INSERT has none, and this file evaluates the one
 * of the trigger for DELETE.
 *
 * The expression is kept for the session.  What was prepared to evaluate it is
 * kept for the transaction only: functions in it may hold resources.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "constraint/condition.h"
#include "server/compat.h"

/* What is prepared in this transaction. */
static MemoryContext prepared = NULL;

/* How many evaluations are going on, one within the other. */
static int evaluating = 0;

/* Changes when what was prepared is gone. */
static uint64 generation = 1;

/*
 * Loads the WHEN clause of a row trigger for DELETE of the open table.  What
 * was loaded before is freed; but if it was prepared, it may be in use.
 */
void
condition_load(Condition *condition, Relation rel, const Trigger *trigger)
{
	MemoryContext old = CurrentMemoryContext;
	Node	   *node = trigger->tgqual == NULL ?
		NULL :
		stringToNode(trigger->tgqual);

	if (condition->generation == generation)
		MemoryContextSetParent(condition->context, TopTransactionContext);
	else if (condition->context != NULL)
		MemoryContextDelete(condition->context);
	memset(condition, 0, sizeof(*condition));
	if (node == NULL)
		return;
	node = compat_expand_generated_columns(node, rel, PRS2_OLD_VARNO);
	ChangeVarNodes(node, PRS2_OLD_VARNO, INNER_VAR, 0);
	node = (Node *) expression_planner((Expr *) node);
	/* PostgreSQL's sizes are products of int that become Size. */
	/* NOLINTNEXTLINE(bugprone-implicit-widening-*) */
	condition->context = AllocSetContextCreate(CacheMemoryContext,
											   "pg_booking condition",
											   ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(condition->context);
	condition->qual = make_ands_implicit(copyObject((Expr *) node));
	MemoryContextSwitchTo(old);
}

/* Prepares a condition for evaluation in this transaction. */
static void
prepare(Condition *condition)
{
	MemoryContext old;

	if (prepared == NULL)
		/* NOLINTNEXTLINE(bugprone-implicit-widening-*) */
		prepared = AllocSetContextCreate(TopTransactionContext,
										 "pg_booking conditions",
										 ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(prepared);
	condition->state = ExecInitQual(condition->qual, NULL);
	condition->row_context = CreateStandaloneExprContext();
	condition->in_use = false;
	condition->generation = generation;
	MemoryContextSwitchTo(old);
}

/* Evaluates a condition that is prepared. */
static bool
evaluate(Condition *condition, TupleTableSlot *slot)
{
	bool		holds = false;

	condition->in_use = true;
	evaluating++;
	PG_TRY();
	{
		condition->row_context->ecxt_innertuple = slot;
		holds = ExecQualAndReset(condition->state, condition->row_context);
	}
	PG_FINALLY();
	{
		condition->in_use = false;
		evaluating--;
	}
	PG_END_TRY();
	return holds;
}

/*
 * True if the condition holds for a row.  Functions in it run as the current
 * user, as in a WHEN clause.  If one of them writes rows of the same table, the
 * condition is evaluated while it is in use: then it is prepared once more.
 */
bool
condition_holds(Condition *condition, TupleTableSlot *slot)
{
	if (condition->qual == NIL)
		return true;
	if (condition->generation == generation && condition->in_use)
	{
		Condition	again = *condition;

		prepare(&again);
		return evaluate(&again, slot);
	}
	if (condition->generation != generation)
		prepare(condition);
	return evaluate(condition, slot);
}

/* Forgets what was prepared; its memory is gone or goes with this. */
static void
forget_prepared(void)
{
	prepared = NULL;
	generation++;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (prepared != NULL &&
		(event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE ||
		 event == XACT_EVENT_ABORT))
		forget_prepared();
}

/*
 * An error may have left an evaluation half done, so what is prepared is not
 * used again.  It is freed, unless the subtransaction was one of a function in
 * a condition, which is still being evaluated.
 */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	if (prepared == NULL || event != SUBXACT_EVENT_ABORT_SUB)
		return;
	if (evaluating == 0)
		MemoryContextDelete(prepared);
	forget_prepared();
}

/* Registers the callbacks; once a session. */
void
condition_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
