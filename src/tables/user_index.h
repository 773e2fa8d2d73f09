/*-------------------------------------------------------------------------
 *
 * user_index.h
 *	  The live rows of a user at an event, found by an index.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef USER_INDEX_H
#define USER_INDEX_H

#include "access/attnum.h"
#include "executor/tuptable.h"
#include "utils/relcache.h"

/* An index that has an entry for each live row. */
typedef struct UserIndex
{
	Oid			relid;			/* InvalidOid: there is none that serves */
	bool		user_first;		/* its columns are user_id, event_id */
	AttrNumber	ended;			/* the column that is null in a live row */
} UserIndex;

/* Is called for each live row. */
typedef void (*UserIndexVisitor)(TupleTableSlot *slot, void *arg);

extern void user_index_find(UserIndex *index, Relation rel,
							AttrNumber event_id, AttrNumber user_id,
							AttrNumber ended);
extern RegProcedure user_index_eq(Oid user_id_type);
extern void user_index_scan(const UserIndex *index, Relation rel,
							int64 event_id, Datum user_id, Oid user_id_type,
							UserIndexVisitor visit, void *arg);

#endif							/* USER_INDEX_H */
