/*-------------------------------------------------------------------------
 *
 * row_defaults.h
 *	  The defaults of columns, in rows that are written without a statement.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROW_DEFAULTS_H
#define ROW_DEFAULTS_H

#include "access/attnum.h"
#include "executor/tuptable.h"
#include "utils/relcache.h"

struct EState;
struct ExprState;

/* The defaults of a table, prepared. */
typedef struct RowDefaults
{
	int			count;
	AttrNumber *attnum;
	struct ExprState **value;
} RowDefaults;

extern bool row_defaults_is_simple(Relation rel, AttrNumber attnum);
extern void row_defaults_prepare(RowDefaults *defaults, Relation rel);
extern void row_defaults_set(const RowDefaults *defaults, Relation rel,
							 struct EState *estate, TupleTableSlot *slot);

#endif							/* ROW_DEFAULTS_H */
