/*-------------------------------------------------------------------------
 *
 * condition.h
 *	  Which rows of a constrained table count.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef CONDITION_H
#define CONDITION_H

#include "executor/tuptable.h"
#include "utils/relcache.h"
#include "utils/reltrigger.h"

/* A condition.  Zeroed: none has been loaded. */
typedef struct Condition
{
	struct Node *expr;			/* as parsed; NULL: every row counts */
	MemoryContext context;		/* of expr, or NULL */
	uint64		generation;		/* when these were prepared: */
	Oid			user;			/* for whom */
	struct ExprState *state;
	struct ExprContext *row_context;
	bool		in_use;			/* it is being evaluated */
} Condition;

extern void condition_init(void);
extern void condition_load(Condition *condition, Relation rel,
						   const Trigger *trigger);
extern bool condition_holds(Condition *condition, TupleTableSlot *slot);

#endif							/* CONDITION_H */
