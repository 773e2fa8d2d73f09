/*-------------------------------------------------------------------------
 *
 * rowwriter.c
 *	  Inserting rows and their index entries, as the executor does.
 *
 * Every index of the table is served, including partial indexes, indexes on
 * expressions, unique and exclusion constraints, and any access method.  The
 * executor's own code inserts the entries.
 *
 * Preparing that code costs more than an insertion.  For one table, the
 * tickets, the prepared writer is therefore kept from one call to the next,
 * until an invalidation message names the table or one of its indexes.  The
 * relations are opened and locked at each call.  A writer is not kept if an
 * index evaluates a function, because nothing tells us when the function's
 * plan becomes invalid.  Neither is it kept if an index is not a btree: others
 * keep buffers pinned from one row to the next.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "server/compat.h"
#include "server/rowwriter.h"

/* The writer that is kept; its context is NULL if there is none. */
static RowWriter kept;
static Oid kept_table = InvalidOid;
static bool kept_is_valid = false;

/* Counts the invalidation messages about relations. */
static uint64 messages = 0;

/* The writer is no longer valid if the message is about its relations. */
static void
forget_kept(Datum arg, Oid relid)
{
	ResultRelInfo *result_rel = kept.result_rel;

	messages++;
	if (!kept_is_valid)
		return;
	if (!OidIsValid(relid) || relid == kept_table)
		kept_is_valid = false;
	for (int i = 0; i < result_rel->ri_NumIndices; i++)
	{
		if (relid == kept.index_oids[i])
			kept_is_valid = false;
	}
}

/* Registers the callback; once a session. */
void
row_writer_init(void)
{
	CacheRegisterRelcacheCallback(forget_kept, (Datum) 0);
}

/* True if a predicate has more than columns, IS [NOT] NULL, AND, OR, NOT. */
static bool
evaluates_more(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (!IsA(node, List) && !IsA(node, Var) && !IsA(node, NullTest) &&
		!IsA(node, BoolExpr))
		return true;
	return expression_tree_walker(node, evaluates_more, context);
}

/* True if the writer may be kept (see above). */
static bool
can_be_kept(const ResultRelInfo *result_rel)
{
	for (int i = 0; i < result_rel->ri_NumIndices; i++)
	{
		IndexInfo  *index = result_rel->ri_IndexRelationInfo[i];

		if (index->ii_Am != BTREE_AM_OID || index->ii_Expressions != NIL ||
			evaluates_more((Node *) index->ii_Predicate, NULL))
			return false;
	}
	return true;
}

/* Makes a writer in a memory context of its own, with its indexes open. */
static void
make_writer(RowWriter *writer, Relation rel)
{
	MemoryContext old;
	ResultRelInfo *result_rel;

	/* PostgreSQL's sizes are products of int that become Size. */
	/* NOLINTNEXTLINE(bugprone-implicit-widening-of-multiplication-result) */
	writer->context = AllocSetContextCreate(CurrentMemoryContext,
											"pg_booking row writer",
											ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(writer->context);
	writer->estate = CreateExecutorState();
	writer->slot =
		MakeTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(rel)),
						   table_slot_callbacks(rel));
	result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(result_rel, rel, 0, NULL, 0);
	ExecOpenIndices(result_rel, false);
	writer->result_rel = result_rel;
	writer->index_oids =
		palloc(Max(result_rel->ri_NumIndices, 1) * sizeof(Oid));
	for (int i = 0; i < result_rel->ri_NumIndices; i++)
		writer->index_oids[i] =
			RelationGetRelid(result_rel->ri_IndexRelationDescs[i]);
	MemoryContextSwitchTo(old);
}

/* Opens the table and indexes of the kept writer. */
static void
reopen_kept(RowWriter *writer, Relation rel)
{
	ResultRelInfo *result_rel = kept.result_rel;

	*writer = kept;
	result_rel->ri_RelationDesc = rel;
	for (int i = 0; i < result_rel->ri_NumIndices; i++)
		result_rel->ri_IndexRelationDescs[i] =
			index_open(kept.index_oids[i], RowExclusiveLock);
}

/* Keeps the writer instead of the one that was kept before. */
static void
keep(RowWriter *writer, Relation rel)
{
	kept_is_valid = false;
	if (kept.context != NULL)
		MemoryContextDelete(kept.context);
	MemoryContextSetParent(writer->context, CacheMemoryContext);
	kept = *writer;
	kept_table = RelationGetRelid(rel);
	kept_is_valid = true;
}

/*
 * True if the table's writer is kept.  Then neither opening it nor inserting
 * by it runs a function that a user has written.
 */
bool
row_writer_is_kept(Relation rel)
{
	return kept_is_valid && kept_table == RelationGetRelid(rel);
}

/*
 * Prepares to write into rel, which the caller has opened and locked ROW
 * EXCLUSIVE; locks its indexes likewise.  may_keep is true for the one table
 * whose writer is kept.  After an error nothing needs to be closed.
 */
void
row_writer_open(RowWriter *writer, Relation rel, bool may_keep)
{
	if (may_keep && row_writer_is_kept(rel))
		reopen_kept(writer, rel);
	else
	{
		uint64		before = messages;

		make_writer(writer, rel);

		/* don't keep it if a message arrived while it was made */
		if (may_keep && before == messages && can_be_kept(writer->result_rel))
			keep(writer, rel);
	}
	writer->rel = rel;
}

/* Inserts the index entries of the row in the slot. */
static void
insert_index_entries(RowWriter *writer, TupleTableSlot *slot, bool update)
{
	ResetPerTupleExprContext(writer->estate);
	if (writer->result_rel->ri_NumIndices > 0)
		compat_insert_index_tuples(writer->result_rel, slot, writer->estate,
								   update);
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

/* The same for many rows, each in a slot of the caller's. */
void
row_writer_insert_many(RowWriter *writer, TupleTableSlot **slots, int count,
					   struct BulkInsertStateData *bulk)
{
	table_multi_insert(writer->rel, slots, count, GetCurrentCommandId(true), 0,
					   bulk);
	for (int i = 0; i < count; i++)
		insert_index_entries(writer, slots[i], false);
}

/*
 * Inserts the index entries of a new version of a row, which an update that
 * was not HOT has put at tuple->t_self.
 */
void
row_writer_index_update(RowWriter *writer, HeapTuple tuple)
{
	ExecForceStoreHeapTuple(tuple, writer->slot, false);
	writer->slot->tts_tid = tuple->t_self;
	writer->slot->tts_tableOid = RelationGetRelid(writer->rel);
	insert_index_entries(writer, writer->slot, true);
}

/* Closes the indexes.  The table stays open, and all locks are kept. */
void
row_writer_close(RowWriter *writer)
{
	ResultRelInfo *result_rel = writer->result_rel;

	ExecClearTuple(writer->slot);
	for (int i = 0; i < result_rel->ri_NumIndices; i++)
	{
		compat_index_insert_cleanup(result_rel->ri_IndexRelationDescs[i],
									result_rel->ri_IndexRelationInfo[i]);
		index_close(result_rel->ri_IndexRelationDescs[i], NoLock);
	}
	if (writer->context != kept.context)
	{
		FreeExecutorState(writer->estate);
		MemoryContextDelete(writer->context);
	}
}
