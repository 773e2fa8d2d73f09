/*-------------------------------------------------------------------------
 *
 * definition.h
 *	  Capacity constraints as their triggers define them.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEFINITION_H
#define DEFINITION_H

#include "commands/trigger.h"

#include "constraint/condition.h"
#include "pool/pool.h"
#include "server/compat.h"
#include "server/plan.h"

/* The term of a constraint's pools. */
#define DEFINITION_TERM_CAPACITY 0

/*
 * The capacity in a pool whose key has rows, but no row in the capacity table:
 * that was truncated, or the rows were written without triggers.
 */
#define DEFINITION_NO_CAPACITY (-1)

/* The words that a trigger of the constrained table or capacity table has. */
enum
{
	DEFINITION_ARG_NAME,		/* of the constraint and of its pool table */
	DEFINITION_ARG_QUANTITY,	/* column, or ''; capacity column */
	DEFINITION_ARG_EXPIRES,		/* column, or '' */
	DEFINITION_ARG_KEYS			/* columns, from here on */
};

/* The words that the trigger of the pool table has. */
enum
{
	DEFINITION_POOL_ARG_CAPACITY,	/* a constant, or '' */
	DEFINITION_POOL_ARG_EXCESS,	/* allow_excess, 't' or 'f' */
	DEFINITION_POOL_ARG_EXPIRY,	/* on_expiry, or '' */
	DEFINITION_POOL_ARG_TABLE,	/* the constrained table, schema and name */
	DEFINITION_POOL_ARG_CAPACITY_TABLE, /* likewise, or '' */
	DEFINITION_POOL_ARG_CAPACITY_OWNER, /* the name of its owner, or '' */
	DEFINITION_POOL_ARGS
};

/* The columns that a trigger reads in its table. */
typedef struct TriggerColumns
{
	Oid			trigger;		/* hash key; must be first */
	Oid			table;
	Oid root; /* of which the table is a partition, or itself */
	char		name[NAMEDATALEN];	/* of the constraint */
	Oid			pool;			/* its pool table */
	bool		valid;
	KeyColumns	key;			/* as in the table of the trigger */
	AttrNumber	quantity;		/* or capacity; InvalidAttrNumber: none */
	Oid			quantity_type;
	AttrNumber	expires;		/* InvalidAttrNumber: none */
	Condition	condition;		/* of the constrained table's triggers */
} TriggerColumns;

/* A constraint, its pool table open, for the time of one call. */
typedef struct CapacityConstraint
{
	Pool		pool;
	Call		call;
	PoolShape	shape;
	SqlPlan    *create_plan;	/* of a pool */
	const char *name;
	bool		is_settling;	/* a statement, at its end */
	bool		is_constant;
	int32		capacity;		/* if it is */
	bool		allow_excess;
	const char *on_expiry;		/* or '' */
	const char *table;			/* for messages */
	const char *capacity_table; /* for messages; '' if constant */
} CapacityConstraint;

extern const PoolLayout definition_layout;

/* True if these are the terms of a pool whose key has no capacity. */
static inline bool
definition_has_no_capacity(const PoolTerms *terms)
{
	return !terms->isnull[DEFINITION_TERM_CAPACITY] &&
		DatumGetInt32(terms->value[DEFINITION_TERM_CAPACITY]) ==
		DEFINITION_NO_CAPACITY;
}

/* The capacity that the terms of a pool say; 0 if its key has none. */
static inline int32
definition_capacity(const PoolTerms *terms)
{
	if (terms->isnull[DEFINITION_TERM_CAPACITY])
		return POOL_UNLIMITED;
	return definition_has_no_capacity(terms) ?
		0 :
		DatumGetInt32(terms->value[DEFINITION_TERM_CAPACITY]);
}

extern void definition_init(void);
extern TriggerColumns *definition_columns(const TriggerData *data);
extern bool definition_has_pool(const TriggerData *data);
extern Relation definition_open_pool(const char *name, LOCKMODE lockmode);
extern const Trigger *definition_pool_trigger(Relation pool);
extern void definition_load(CapacityConstraint *constraint, Relation pool,
							const PoolPolicy *policy);
extern void definition_open(CapacityConstraint *constraint, Relation pool,
							const PoolPolicy *policy);
extern const char *
definition_table_name(const CapacityConstraint *constraint,
					  const char **schema);
extern void definition_create_pool(CapacityConstraint *constraint,
								   const PoolKey *key);
extern void definition_close(CapacityConstraint *constraint);
pg_noreturn extern void definition_error_missing(const char *name);
pg_noreturn extern void definition_error_not_ours(const Trigger *trigger);

#endif							/* DEFINITION_H */
