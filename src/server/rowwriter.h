/*-------------------------------------------------------------------------
 *
 * rowwriter.h
 *	  Writing rows and their index entries, as the executor does.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROWWRITER_H
#define ROWWRITER_H

#include "access/htup.h"
#include "executor/tuptable.h"
#include "utils/relcache.h"

#include "storage/itemptr.h"

#include "server/row_defaults.h"
#include "server/row_triggers.h"

struct BulkInsertStateData;

typedef struct RowWriter
{
	Relation	rel;
	TupleTableSlot *slot;		/* the caller stores the row here */
	MemoryContext context;		/* of all but the triggers */
	struct EState *estate;
	struct ResultRelInfo *result_rel;
	Oid		   *index_oids;
	RowDefaults defaults;
	bool		is_kept;
	RowTriggers triggers;
} RowWriter;

extern void row_writer_init(void);
extern bool row_writer_runs_code(Relation rel, RowTriggersEvent event,
								 Oid except);
extern void row_writer_open(RowWriter *writer, Relation rel);
extern void row_writer_open_kept(RowWriter *writer, Relation rel,
								 RowTriggersEvent event, Oid except);
extern void row_writer_begin_row(RowWriter *writer, TupleTableSlot *slot);
extern void row_writer_set(TupleTableSlot *slot, AttrNumber attnum,
						   Datum value);
extern void row_writer_insert(RowWriter *writer);
extern bool row_writer_try_insert(RowWriter *writer);
extern void row_writer_insert_many(RowWriter *writer, TupleTableSlot **slots,
								   int count,
								   struct BulkInsertStateData *bulk);
extern void row_writer_copy_row(TupleTableSlot *slot, TupleTableSlot *from);
extern void row_writer_update(RowWriter *writer, ItemPointer old);
extern void row_writer_index_update(RowWriter *writer, HeapTuple tuple);
extern void row_writer_close(RowWriter *writer);

#endif							/* ROWWRITER_H */
