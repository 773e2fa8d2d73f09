/*-------------------------------------------------------------------------
 *
 * rowwriter.c
 *	  Insert rows and their index entries, as the executor does.
 *
 * Every index of the table is served, whoever created it: partial and
 * expression indexes, unique and exclusion constraints, of any access method.
 * The executor's own code inserts the entries.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "utils/rel.h"

#include "compat.h"

/*
 * Prepares to write into rel, which the caller has opened and locked ROW
 * EXCLUSIVE.  Everything lives until row_writer_close(); an error frees it
 * with the memory context and the resource owner that are current.
 */
void
row_writer_open(RowWriter *writer, Relation rel)
{
	writer->rel = rel;
	writer->estate = CreateExecutorState();
	writer->result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->result_rel, rel, 0, NULL, 0);
	ExecOpenIndices(writer->result_rel, false);
	writer->slot = table_slot_create(rel, NULL);
}

/* Gives the row in the slot its index entries. */
static void
insert_index_entries(RowWriter *writer, TupleTableSlot *slot, bool update)
{
	if (writer->result_rel->ri_NumIndices > 0)
		booking_insert_index_tuples(writer->result_rel, slot, writer->estate,
									update);
	ResetPerTupleExprContext(writer->estate);
}

/*
 * Inserts the row that the caller has stored in writer->slot.  Raises what
 * its indexes raise (23505, 23P01), after waiting for a transaction that has
 * inserted the same key.
 */
void
row_writer_insert(RowWriter *writer)
{
	table_tuple_insert(writer->rel, writer->slot, GetCurrentCommandId(true),
					   0, NULL);
	insert_index_entries(writer, writer->slot, false);
}

/*
 * Gives a new version of a row, which an update that was not HOT has put at
 * tuple->t_self, its index entries.
 */
void
row_writer_index_update(RowWriter *writer, HeapTuple tuple)
{
	ExecForceStoreHeapTuple(tuple, writer->slot, false);
	writer->slot->tts_tid = tuple->t_self;
	writer->slot->tts_tableOid = RelationGetRelid(writer->rel);
	insert_index_entries(writer, writer->slot, true);
}

/* Lets everything go but the table and its lock. */
void
row_writer_close(RowWriter *writer)
{
	ExecDropSingleTupleTableSlot(writer->slot);
	ExecCloseIndices(writer->result_rel);
	FreeExecutorState(writer->estate);
}
