/*-------------------------------------------------------------------------
 *
 * shape.h
 *	  The columns of a table of stripes.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef SHAPE_H
#define SHAPE_H

#include "utils/relcache.h"

#include "pool/key.h"

#define SHAPE_MAX_TERMS 5

/*
 * What the user of the pool layer says of its tables: the columns that each
 * stripe carries besides the key, the number and the places (pool.h, terms).
 */
typedef struct PoolLayout
{
	int			nterms;
	const char *term_name[SHAPE_MAX_TERMS];
	Oid			term_type[SHAPE_MAX_TERMS]; /* passed by value */
	bool		has_trigger;	/* a statement trigger of the pools' user */
	const char *repair_hint;	/* for stripes that we did not write */
} PoolLayout;

/* Where the columns are in one table of stripes. */
typedef struct PoolShape
{
	const PoolLayout *layout;
	Oid			relid;
	KeyColumns	key;
	AttrNumber	stripe;
	AttrNumber	available;
	AttrNumber	term[SHAPE_MAX_TERMS];
} PoolShape;

extern void shape_load(PoolShape *shape, Relation rel,
					   const PoolLayout *layout);

#endif							/* SHAPE_H */
