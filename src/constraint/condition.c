/*-------------------------------------------------------------------------
 *
 * condition.c
 *	  Which rows of a constrained table count.
 *
 * The condition of a constraint is the WHEN clause of the table's trigger for
 * DELETE.  PostgreSQL tracks what it depends on, dumps and restores it, and
 * adapts it to partitions.  But when PostgreSQL evaluates a WHEN clause, it
 * reads the clause from its text once for each statement, which takes a quarter
 * of the instructions of an INSERT.  So the trigger for INSERT has none, and
 * this file evaluates the one of the trigger for DELETE.
 *
 * The expression is kept for the session.  It is planned and prepared again in
 * each transaction, when a function or type has changed, because planning
 * inlines and evaluates functions, and for another user, whose right to execute
 * its functions is checked then.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "constraint/condition.h"
#include "server/compat.h"

/* What is prepared, and the level of subtransactions in which it was begun. */
static MemoryContext prepared = NULL;
static int	prepared_level = 0;

/* Changes when what was prepared must not be used any more. */
static uint64 generation = 1;

/*
 * Loads the WHEN clause of a row trigger for DELETE of the open table.  Frees
 * what was loaded before; nothing that is prepared refers to it.
 */
void
condition_load(Condition *condition, Relation rel, const Trigger *trigger)
{
	MemoryContext old = CurrentMemoryContext;
	Node	   *node = trigger->tgqual == NULL ?
		NULL :
		stringToNode(trigger->tgqual);

	if (condition->context != NULL)
		MemoryContextDelete(condition->context);
	memset(condition, 0, sizeof(*condition));
	if (node == NULL)
		return;
	node = compat_expand_generated_columns(node, rel, PRS2_OLD_VARNO);
	ChangeVarNodes(node, PRS2_OLD_VARNO, INNER_VAR, 0);
	/* PostgreSQL's sizes are products of int that become Size. */
	/* NOLINTNEXTLINE(bugprone-implicit-widening-*) */
	condition->context = AllocSetContextCreate(CacheMemoryContext,
											   "pg_booking condition",
											   ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(condition->context);
	condition->expr = copyObject(node);
	MemoryContextSwitchTo(old);
}

/* Prepares a condition for evaluation in this transaction. */
static void
prepare(Condition *condition)
{
	uint64		before = generation;
	MemoryContext old;
	Expr	   *expr;

	if (prepared == NULL)
	{
		/* NOLINTNEXTLINE(bugprone-implicit-widening-*) */
		prepared = AllocSetContextCreate(CurTransactionContext,
										 "pg_booking conditions",
										 ALLOCSET_SMALL_SIZES);
		prepared_level = GetCurrentTransactionNestLevel();
	}
	old = MemoryContextSwitchTo(prepared);
	expr = expression_planner((Expr *) copyObject(condition->expr));
	condition->state = ExecInitQual(make_ands_implicit(expr), NULL);
	condition->row_context = CreateStandaloneExprContext();
	condition->in_use = false;
	condition->generation = before;
	condition->user = GetUserId();
	MemoryContextSwitchTo(old);
}

/* What is prepared is not used again; its memory goes with the transaction. */
static void
forget_prepared(void)
{
	prepared = NULL;
	generation++;
}

/* Evaluates a condition that is prepared. */
static bool
evaluate(Condition *condition, TupleTableSlot *slot)
{
	ExprContext *row_context = condition->row_context;
	bool		holds = false;

	condition->in_use = true;
	PG_TRY();
	{
		row_context->ecxt_innertuple = slot;
		holds = ExecQualAndReset(condition->state, row_context);
	}
	PG_CATCH();
	{
		/* the evaluation is half done */
		forget_prepared();
		PG_RE_THROW();
	}
	PG_END_TRY();
	condition->in_use = false;
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
	if (condition->expr == NULL)
		return true;
	if (condition->generation == generation && condition->in_use)
	{
		Condition	again = *condition;

		prepare(&again);
		return evaluate(&again, slot);
	}
	if (condition->generation != generation || condition->user != GetUserId())
		prepare(condition);
	return evaluate(condition, slot);
}

/* A function or a type has changed. */
static void
forget_syscache(Datum arg, int cacheid, uint32 hashvalue)
{
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

/* What a subtransaction has prepared goes with it, or becomes its parent's. */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (prepared == NULL || prepared_level < level)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		forget_prepared();
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		prepared_level = level - 1;
}

/* Registers the callbacks; once a session. */
void
condition_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	CacheRegisterSyscacheCallback(PROCOID, forget_syscache, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, forget_syscache, (Datum) 0);
}
