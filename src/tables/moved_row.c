/*-------------------------------------------------------------------------
 *
 * moved_row.c
 *	  Rows that an UPDATE has moved to another partition.
 *
 * PostgreSQL fires the triggers for DELETE in the partition that the row
 * leaves, and then those for INSERT in the other one.  To us it is one UPDATE.
 * The old version is marked as moved, and the new one was inserted by the same
 * command; so the trigger for INSERT finds the old version again.  If a trigger
 * of the user's has moved other rows in between, the last of them is known, and
 * this one counts as a row that was deleted and inserted.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "utils/combocid.h"
#include "utils/snapmgr.h"

#include "tables/moved_row.h"
#include "tables/trigger.h"

/* The last row that has left a partition. */
static struct
{
	Oid			partition;
	ItemPointerData tid;
	TransactionId xid;			/* that has moved it */
	CommandId	command;		/* of that transaction */
} last;

/*
 * The trigger for DELETE: true if the row was moved to another partition, not
 * deleted.  Remembers it for moved_row_arrives().
 */
bool
moved_row_leaves(const TriggerData *data)
{
	const HeapTupleHeader header = data->tg_trigtuple->t_data;

	if (!HeapTupleHeaderIndicatesMovedPartitions(header))
		return false;
	last.partition = RelationGetRelid(data->tg_relation);
	last.tid = data->tg_trigtuple->t_self;
	last.xid = HeapTupleHeaderGetUpdateXid(header);
	last.command = HeapTupleHeaderGetCmax(header);
	return true;
}

/* The id of the ticket in a slot. */
static int64
ticket_id_of(Relation rel, TupleTableSlot *slot)
{
	return DatumGetInt64(trigger_value_not_null(rel, slot, "ticket_id"));
}

/*
 * The trigger for INSERT of a ticket: true if the row has come from another
 * partition.  Then *old is the version there, until moved_row_close().
 */
bool
moved_row_arrives(const TriggerData *data, MovedRow *old)
{
	if (!data->tg_relation->rd_rel->relispartition ||
		!TransactionIdIsValid(last.xid) ||
		!TransactionIdIsCurrentTransactionId(last.xid) ||
		last.command != HeapTupleHeaderGetCmin(data->tg_trigtuple->t_data))
		return false;
	old->rel = table_open(last.partition, NoLock);
	old->slot = table_slot_create(old->rel, NULL);
	if (table_tuple_fetch_row_version(old->rel, &last.tid, SnapshotAny,
									  old->slot) &&
		ticket_id_of(old->rel, old->slot) ==
			ticket_id_of(data->tg_relation, data->tg_trigslot))
		return true;
	moved_row_close(old);
	return false;
}

/* Releases the old version. */
void
moved_row_close(MovedRow *old)
{
	ExecDropSingleTupleTableSlot(old->slot);
	table_close(old->rel, NoLock);
}
