/*-------------------------------------------------------------------------
 *
 * rowwriter.c
 *	  Writing rows and their index entries, as the executor does.
 *
 * Every index of the table is served, including partial indexes, indexes on
 * expressions, unique and exclusion constraints, and any access method.  The
 * executor's own code inserts the entries.
 *
 * Preparing that code costs more than an insertion.  So the prepared writers
 * of a few tables are kept from one call to the next, until an invalidation
 * message names the table or one of its indexes.  The relations are opened and
 * locked at each call.  A writer is not kept if an index evaluates a function
 * that is not built in, because nothing tells us when that function's plan
 * becomes invalid.  Neither is it kept if an index is not a btree: others keep
 * buffers pinned from one row to the next.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "server/compat.h"
#include "server/rowwriter.h"

/* A writer that is kept. */
typedef struct KeptWriter
{
	Oid			relid;
	bool		is_valid;
	RowWriter	writer;			/* its context is NULL if there is none */
} KeptWriter;

/* For ticket, hold, request and user_limit, and some to spare. */
static KeptWriter kept_writers[8];

/* Counts the invalidation messages about relations. */
static uint64 messages = 0;

/* True if a message about the relation, or all of them, is about the writer. */
static bool
is_about(const KeptWriter *kept, Oid relid)
{
	if (!OidIsValid(relid) || relid == kept->relid)
		return true;
	for (int i = 0; i < kept->writer.result_rel->ri_NumIndices; i++)
	{
		if (relid == kept->writer.index_oids[i])
			return true;
	}
	return false;
}

/* A writer is no longer valid if the message is about its relations. */
static void
forget_kept(Datum arg, Oid relid)
{
	messages++;
	for (int i = 0; i < (int) lengthof(kept_writers); i++)
	{
		KeptWriter *kept = &kept_writers[i];

		if (kept->is_valid && is_about(kept, relid))
			kept->is_valid = false;
	}
}

/* Registers the callback; once a session. */
void
row_writer_init(void)
{
	CacheRegisterRelcacheCallback(forget_kept, (Datum) 0);
}

/* True if the function can be replaced: it is not one of PostgreSQL's own. */
static bool
is_not_built_in(Oid function, void *context)
{
	return function >= FirstUnpinnedObjectId;
}

/*
 * True if a predicate has more than columns, constants, conditions on them and
 * functions that are built in.
 */
static bool
evaluates_more(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (!IsA(node, List) && !IsA(node, Var) && !IsA(node, Const) &&
		!IsA(node, NullTest) && !IsA(node, BoolExpr) && !IsA(node, OpExpr) &&
		!IsA(node, RelabelType))
		return true;
	return check_functions_in_node(node, is_not_built_in, NULL) ||
		expression_tree_walker(node, evaluates_more, context);
}

/* True if a btree compares a column by a function that is not built in. */
static bool
compares_by_other_code(Relation index)
{
	for (int i = 1; i <= IndexRelationGetNumberOfKeyAttributes(index); i++)
	{
		if (is_not_built_in(index_getprocid(index, i, BTORDER_PROC), NULL))
			return true;
	}
	return false;
}

/* True if the writer may be kept (see above). */
static bool
can_be_kept(const ResultRelInfo *result_rel)
{
	for (int i = 0; i < result_rel->ri_NumIndices; i++)
	{
		IndexInfo  *index = result_rel->ri_IndexRelationInfo[i];

		if (index->ii_Am != BTREE_AM_OID || index->ii_Expressions != NIL ||
			evaluates_more((Node *) index->ii_Predicate, NULL) ||
			compares_by_other_code(result_rel->ri_IndexRelationDescs[i]))
			return false;
	}
	return true;
}

/*
 * Makes a writer in a memory context of its own, with its indexes open, and
 * with the table's defaults or none.
 */
static void
make_writer(RowWriter *writer, Relation rel, bool with_defaults)
{
	MemoryContext old;
	ResultRelInfo *result_rel;

	/* PostgreSQL's sizes are products of int that become Size. */
	/* NOLINTNEXTLINE(bugprone-implicit-widening-of-multiplication-result) */
	writer->context = AllocSetContextCreate(CurrentMemoryContext,
											"pg_booking row writer",
											ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(writer->context);
	writer->is_kept = false;
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
	writer->defaults.count = 0;
	if (with_defaults)
		row_defaults_prepare(&writer->defaults, rel);
	MemoryContextSwitchTo(old);
}

/* Returns the kept writer of the table, or NULL. */
static KeptWriter *
find_kept(Relation rel)
{
	for (int i = 0; i < (int) lengthof(kept_writers); i++)
	{
		KeptWriter *kept = &kept_writers[i];

		if (kept->is_valid && kept->relid == RelationGetRelid(rel))
			return kept;
	}
	return NULL;
}

/* Opens the table and indexes of a kept writer. */
static void
reopen(KeptWriter *kept, RowWriter *writer, Relation rel)
{
	ResultRelInfo *result_rel = kept->writer.result_rel;

	*writer = kept->writer;
	result_rel->ri_RelationDesc = rel;
	for (int i = 0; i < result_rel->ri_NumIndices; i++)
		result_rel->ri_IndexRelationDescs[i] =
			index_open(writer->index_oids[i], RowExclusiveLock);
}

/* Keeps the writer in the place of one that is not valid, if there is one. */
static void
keep(RowWriter *writer, Relation rel)
{
	KeptWriter *kept = kept_writers;

	while (kept->is_valid)
	{
		if (++kept == kept_writers + lengthof(kept_writers))
			return;
	}
	if (kept->writer.context != NULL)
		MemoryContextDelete(kept->writer.context);
	MemoryContextSetParent(writer->context, CacheMemoryContext);
	writer->is_kept = true;
	kept->writer = *writer;
	kept->relid = RelationGetRelid(rel);
	kept->is_valid = true;
}

/*
 * True if writing rows of the table may run a function that is not built in.
 * The arguments are as for row_writer_open_kept().
 */
bool
row_writer_runs_code(Relation rel, RowTriggersEvent event, Oid except)
{
	return find_kept(rel) == NULL || row_triggers_any(rel, event, except);
}

/*
 * Prepares to write into rel, which the caller has opened and locked ROW
 * EXCLUSIVE; locks its indexes likewise.  No trigger will be fired, and no
 * default evaluated.  After an error nothing needs to be closed.
 */
void
row_writer_open(RowWriter *writer, Relation rel)
{
	make_writer(writer, rel, false);
	writer->rel = rel;
	writer->triggers.estate = NULL;
}

/*
 * The same with a writer that is kept, to insert rows or to update them.  The
 * AFTER ROW triggers will be fired when it is closed, other than those that
 * call the function except (or InvalidOid).  row_triggers_are_simple() must be
 * true of the table, and row_defaults_is_simple() of its defaults.  Raises
 * 55000 and 42P10 if a publication refuses updates.
 */
void
row_writer_open_kept(RowWriter *writer, Relation rel, RowTriggersEvent event,
					 Oid except)
{
	KeptWriter *kept = find_kept(rel);

	if (kept != NULL)
		reopen(kept, writer, rel);
	else
	{
		uint64		before = messages;

		make_writer(writer, rel, true);

		/* don't keep it if a message arrived while it was made */
		if (before == messages && can_be_kept(writer->result_rel))
			keep(writer, rel);
	}
	writer->rel = rel;
	if (event == ROW_TRIGGERS_UPDATE)
		CheckCmdReplicaIdentity(rel, CMD_UPDATE);
	row_triggers_begin(&writer->triggers, rel, event, except);
}

/*
 * Begins a new row in the slot: its columns have their defaults, or are null.
 * All rows that were begun must be inserted by the next call that inserts.
 */
void
row_writer_begin_row(RowWriter *writer, TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true,
		   slot->tts_tupleDescriptor->natts * sizeof(bool));
	row_defaults_set(&writer->defaults, writer->rel, writer->estate, slot);
}

/* Sets a column of the row. */
void
row_writer_set(TupleTableSlot *slot, AttrNumber attnum, Datum value)
{
	slot->tts_values[attnum - 1] = value;
	slot->tts_isnull[attnum - 1] = false;
}

/*
 * Inserts the index entries of the row in the slot.  Returns the indexes of
 * deferrable constraints that it may violate.  If a row with the same unique
 * key is there, raises 23505, or sets *conflict if that is not NULL.
 */
static List *
insert_index_entries(RowWriter *writer, TupleTableSlot *slot, bool *conflict)
{
	ResetPerTupleExprContext(writer->estate);
	if (writer->result_rel->ri_NumIndices == 0)
		return NIL;
	return compat_insert_index_tuples(writer->result_rel, slot, writer->estate,
									  false, conflict, false);
}

/* The same for a new version of a row; summary: only of BRIN indexes. */
static List *
update_index_entries(RowWriter *writer, TupleTableSlot *slot, bool summary)
{
	ResetPerTupleExprContext(writer->estate);
	return compat_insert_index_tuples(writer->result_rel, slot, writer->estate,
									  true, NULL, summary);
}

/* A new row is in the table and its indexes: its triggers will be fired. */
static void
finish_row(RowWriter *writer, TupleTableSlot *slot, List *recheck)
{
	row_triggers_inserted(&writer->triggers, slot, recheck);
	list_free(recheck);
}

/*
 * Inserts the row in writer->slot, which the caller has filled.  Raises what
 * its indexes raise (23505, 23P01), after waiting for a transaction that has
 * inserted the same key.
 */
void
row_writer_insert(RowWriter *writer)
{
	ExecStoreVirtualTuple(writer->slot);
	table_tuple_insert(writer->rel, writer->slot, GetCurrentCommandId(true),
					   0, NULL);
	finish_row(writer, writer->slot,
			   insert_index_entries(writer, writer->slot, NULL));
}

/*
 * The same as INSERT ... ON CONFLICT DO NOTHING does it: if a row with the same
 * unique key is there, committed or not, inserts nothing and returns false.
 * Never waits.  (nodeModifyTable.c, ExecInsert: the row is speculative until
 * its index entries have found no other.)
 */
bool
row_writer_try_insert(RowWriter *writer)
{
	TupleTableSlot *slot = writer->slot;
	TransactionId xid = GetCurrentTransactionId();
	uint32		token = SpeculativeInsertionLockAcquire(xid);
	bool		conflict = false;
	List	   *recheck;

	ExecStoreVirtualTuple(slot);
	table_tuple_insert_speculative(writer->rel, slot,
								   GetCurrentCommandId(true), 0, NULL, token);
	recheck = insert_index_entries(writer, slot, &conflict);
	table_tuple_complete_speculative(writer->rel, slot, token, !conflict);
	SpeculativeInsertionLockRelease(xid);
	if (!conflict)
		finish_row(writer, slot, recheck);
	return !conflict;
}

/* The same for many rows, each in a slot of the caller's. */
void
row_writer_insert_many(RowWriter *writer, TupleTableSlot **slots, int count,
					   struct BulkInsertStateData *bulk)
{
	for (int i = 0; i < count; i++)
		ExecStoreVirtualTuple(slots[i]);
	table_multi_insert(writer->rel, slots, count, GetCurrentCommandId(true), 0,
					   bulk);
	for (int i = 0; i < count; i++)
		finish_row(writer, slots[i],
				   insert_index_entries(writer, slots[i], NULL));
}

/*
 * Begins a new version of a row: all of it is as in the slot from, but columns
 * that were dropped are null.
 */
void
row_writer_copy_row(TupleTableSlot *slot, TupleTableSlot *from)
{
	int			natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	slot_getallattrs(from);
	memcpy(slot->tts_values, from->tts_values, natts * sizeof(Datum));
	for (int i = 0; i < natts; i++)
		slot->tts_isnull[i] = from->tts_isnull[i] ||
			TupleDescAttr(slot->tts_tupleDescriptor, i)->attisdropped;
}

/*
 * Replaces the row version at old, which this transaction has locked, by the
 * row in writer->slot.  Raises what its indexes raise.  No user's code may have
 * run since it was locked, because that could have changed the row.
 */
void
row_writer_update(RowWriter *writer, ItemPointer old)
{
	TupleTableSlot *slot = writer->slot;
	TM_FailureData failure;
	LockTupleMode lockmode;
	TU_UpdateIndexes indexes;
	TM_Result	result;
	List	   *recheck = NIL;

	ExecStoreVirtualTuple(slot);
	result = table_tuple_update(writer->rel, old, slot,
								GetCurrentCommandId(true), InvalidSnapshot,
								InvalidSnapshot, true, &failure, &lockmode,
								&indexes);
	if (result != TM_Ok)
		/* can't happen: the row is locked, and no user's code has run since */
		elog(ERROR, "unexpected result %d of updating a locked row", result);
	if (compat_needs_entries(indexes) && writer->result_rel->ri_NumIndices > 0)
		recheck = update_index_entries(writer, slot,
									   compat_needs_summary(indexes));
	row_triggers_updated(&writer->triggers, old, slot, recheck);
	list_free(recheck);
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
	(void) update_index_entries(writer, writer->slot, false);
}

/*
 * Closes the indexes, and then fires the triggers.  The table stays open, and
 * all locks are kept.  Afterwards the command counter must be advanced.
 */
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
	if (!writer->is_kept)
	{
		FreeExecutorState(writer->estate);
		MemoryContextDelete(writer->context);
	}
	/* last: a trigger may use the same kept writer */
	row_triggers_fire(&writer->triggers);
}
