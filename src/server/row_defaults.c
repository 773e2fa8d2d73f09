/*-------------------------------------------------------------------------
 *
 * row_defaults.c
 *	  The defaults of columns, in rows that are written without a statement.
 *
 * They are evaluated as COPY does it (copyfrom.c): once prepared, and then for
 * each row.  Only simple defaults are served.  They run no code but
 * PostgreSQL's own, and need no snapshot: constants, the clock, sequences,
 * random uuids, settings.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "server/compat.h"
#include "server/row_defaults.h"

/* Functions whose result changes, and which run no other code. */
static const Oid changing_functions[] = {
	F_CLOCK_TIMESTAMP,
	F_CURRENT_SETTING_TEXT,
	F_CURRENT_SETTING_TEXT_BOOL,
	F_GEN_RANDOM_UUID,
	F_NEXTVAL,
	F_NOW,
	F_STATEMENT_TIMESTAMP,
	F_TRANSACTION_TIMESTAMP,
#ifdef F_UUIDV7_
	F_UUIDV4,
	F_UUIDV7_,
#endif
};

/* True if the type is PostgreSQL's own: no user's code is behind it. */
static bool
is_simple_type(Oid type)
{
	return type < FirstUnpinnedObjectId;
}

/* True if an expression has a type that is not simple. */
static bool
has_other_type(List *expressions)
{
	ListCell   *cell;

	foreach(cell, expressions)
	{
		if (!is_simple_type(exprType(lfirst(cell))))
			return true;
	}
	return false;
}

/*
 * True if a default may make the call.  A built-in function can call what
 * belongs to the types of its arguments, such as a comparison.
 */
static bool
is_simple_call(FuncExpr *call)
{
	for (int i = 0; i < (int) lengthof(changing_functions); i++)
	{
		if (call->funcid == changing_functions[i])
			return true;
	}
	return call->funcid < FirstUnpinnedObjectId &&
		is_simple_type(call->funcresulttype) && !has_other_type(call->args) &&
		func_volatile(call->funcid) == PROVOLATILE_IMMUTABLE;
}

/* True if a part of an expression is simple; its own parts are asked later. */
static bool
is_simple_part(Node *node)
{
	switch (nodeTag(node))
	{
		case T_List:
		case T_Const:
		case T_RelabelType:
			return true;
		case T_SQLValueFunction:
			/* the search path differs from that of a statement */
			return ((SQLValueFunction *) node)->op != SVFOP_CURRENT_SCHEMA;
		case T_FuncExpr:
			return is_simple_call((FuncExpr *) node);
		case T_NullIfExpr:
			return !has_other_type(((NullIfExpr *) node)->args);
		case T_CoerceViaIO:
			return is_simple_type(((CoerceViaIO *) node)->resulttype) &&
				is_simple_type(exprType((Node *) ((CoerceViaIO *) node)->arg));
		default:
			return false;
	}
}

/* True if the expression has a part that is not simple. */
static bool
has_other_part(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return !is_simple_part(node) ||
		expression_tree_walker(node, has_other_part, context);
}

/* True if the column has a default, and it is simple. */
bool
row_defaults_is_simple(Relation rel, AttrNumber attnum)
{
	return TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atthasdef &&
		!has_other_part(build_column_default(rel, attnum), NULL);
}

/*
 * Prepares the defaults of the table, all of which must be simple, in the
 * current memory context.
 */
void
row_defaults_prepare(RowDefaults *defaults, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);

	defaults->count = 0;
	defaults->attnum = palloc(desc->natts * sizeof(AttrNumber));
	defaults->value = palloc(desc->natts * sizeof(ExprState *));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Expr	   *expr;

		if (att->attisdropped || !att->atthasdef)
			continue;
		expr = (Expr *) build_column_default(rel, att->attnum);
		defaults->attnum[defaults->count] = att->attnum;
		defaults->value[defaults->count++] =
			ExecInitExpr(expression_planner(expr), NULL);
	}
}

/* Raises 23502, as an INSERT would. */
pg_noreturn static void
error_null(Relation rel, AttrNumber attnum)
{
	Form_pg_attribute att =
		TupleDescAttr(RelationGetDescr(rel), attnum - 1);

	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
					NameStr(att->attname), RelationGetRelationName(rel)),
			 errtablecol(rel, attnum)));
}

/*
 * Stores the defaults in the slot.  Values in memory last until the memory of
 * the executor's row is reset.
 */
void
row_defaults_set(const RowDefaults *defaults, Relation rel, EState *estate,
				 TupleTableSlot *slot)
{
	ExprContext *context = GetPerTupleExprContext(estate);

	for (int i = 0; i < defaults->count; i++)
	{
		int			column = defaults->attnum[i] - 1;

		slot->tts_values[column] =
			ExecEvalExprSwitchContext(defaults->value[i], context,
									  &slot->tts_isnull[column]);
		if (slot->tts_isnull[column] &&
			TupleDescAttr(RelationGetDescr(rel), column)->attnotnull)
			error_null(rel, defaults->attnum[i]);
	}
}
