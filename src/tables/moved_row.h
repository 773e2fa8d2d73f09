/*-------------------------------------------------------------------------
 *
 * moved_row.h
 *	  Rows that an UPDATE has moved to another partition.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef MOVED_ROW_H
#define MOVED_ROW_H

#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

/* The version of a row before it was moved. */
typedef struct MovedRow
{
	Relation	rel;			/* the partition that it has left */
	TupleTableSlot *slot;
} MovedRow;

extern bool moved_row_leaves(const TriggerData *data);
extern bool moved_row_arrives(const TriggerData *data, MovedRow *old);
extern void moved_row_close(MovedRow *old);

#endif							/* MOVED_ROW_H */
