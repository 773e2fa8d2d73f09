/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Every difference between the supported PostgreSQL versions, in one
 *	  place.  Supported are 15 to 18; each shim says what changed.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef COMPAT_H
#define COMPAT_H

#include "access/genam.h"
#include "access/heapam.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
/* 16 took what reads a varlena value out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "pg_booking supports PostgreSQL 15 to 18"
#endif

/* Values of bigint and timestamptz are compared as Datums. */
#ifndef USE_FLOAT8_BYVAL
#error "pg_booking needs a 64-bit PostgreSQL"
#endif

/*
 * From 16 on, extensions are built with hidden symbols, and PGDLLEXPORT shows
 * one.  The Makefile and this do the same for 15.
 */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/* Declares a function that SQL calls.  No other symbol is visible. */
#define SQL_FUNCTION(name) \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

/* 18 spells the attribute like this, and wants it in front. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 18 takes a place for the scan's instrumentation. */
#if PG_VERSION_NUM >= 180000
#define compat_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, 0)
#else
#define compat_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, nkeys, 0)
#endif

/*
 * 16 reports which indexes an update needs entries in: all, none, or after a
 * HOT update only the summarizing ones (BRIN).
 */
#if PG_VERSION_NUM >= 160000
#define compat_needs_entries(indexes) ((indexes) != TU_None)
#define compat_needs_summary(indexes) ((indexes) == TU_Summarizing)
#else
typedef bool TU_UpdateIndexes;
#define compat_needs_entries(indexes) (indexes)
#define compat_needs_summary(indexes) false
#endif

/*
 * A table of stripes has no summarizing index (shape.c checks), so that "not
 * heap-only" is the whole answer.
 */
static inline TM_Result
compat_heap_update(Relation rel, ItemPointer tid, HeapTuple newtup,
				   CommandId cid, TM_FailureData *failure)
{
	LockTupleMode lockmode;
#if PG_VERSION_NUM >= 160000
	TU_UpdateIndexes update_indexes;

	return heap_update(rel, tid, newtup, cid, InvalidSnapshot, true, failure,
					   &lockmode, &update_indexes);
#else
	return heap_update(rel, tid, newtup, cid, InvalidSnapshot, true, failure,
					   &lockmode);
#endif
}

/* 16 can leave all but the summarizing indexes out. */
static inline List *
compat_insert_index_tuples(ResultRelInfo *result_rel, TupleTableSlot *slot,
						   EState *estate, bool update, bool *conflict,
						   bool summary)
{
	bool		may_conflict = conflict != NULL;

#if PG_VERSION_NUM >= 160000
	return ExecInsertIndexTuples(result_rel, slot, estate, update,
								 may_conflict, conflict, NIL, summary);
#else
	return ExecInsertIndexTuples(result_rel, slot, estate, update,
								 may_conflict, conflict, NIL);
#endif
}

/* 17 lets an index (BRIN) keep buffers pinned from one row to the next. */
#if PG_VERSION_NUM >= 170000
#define compat_index_insert_cleanup(index, info) \
	index_insert_cleanup(index, info)
#else
#define compat_index_insert_cleanup(index, info) ((void) (info))
#endif

/* 17 takes the relation instead of its OID. */
#if PG_VERSION_NUM >= 170000
#define compat_identity_sequence(rel, attnum) \
	getIdentitySequence(rel, attnum, false)
#else
#define compat_identity_sequence(rel, attnum) \
	getIdentitySequence(RelationGetRelid(rel), attnum, false)
#endif

/* 16 has one function for all kinds of objects. */
#if PG_VERSION_NUM >= 160000
#define compat_owns_table(relid, role) \
	object_ownercheck(RelationRelationId, relid, role)
#else
#define compat_owns_table(relid, role) pg_class_ownercheck(relid, role)
#endif

/* 18 put options beside the list of RETURNING. */
#if PG_VERSION_NUM >= 180000
#define compat_has_returning(statement) ((statement)->returningClause != NULL)
#else
#define compat_has_returning(statement) ((statement)->returningList != NIL)
#endif

/* 18 has generated columns that are not stored: expressions stand for them. */
#if PG_VERSION_NUM >= 180000
#define compat_expand_generated_columns(node, rel, varno) \
	expand_generated_columns_in_expr(node, rel, varno)
#else
#define compat_expand_generated_columns(node, rel, varno) ((void) (rel), (node))
#endif

/* 17 renamed the function. */
#if PG_VERSION_NUM >= 170000
#define compat_search_path_matches(path) \
	SearchPathMatchesCurrentEnvironment(path)
#else
#define compat_search_path_matches(path) \
	OverrideSearchPathMatchesCurrent(path)
#endif

/* 16 renamed relfilenodes. */
#if PG_VERSION_NUM >= 160000
#define compat_read_recent_buffer(rel, block, buffer) \
	ReadRecentBuffer((rel)->rd_locator, MAIN_FORKNUM, block, buffer)
#else
#define compat_read_recent_buffer(rel, block, buffer) \
	ReadRecentBuffer((rel)->rd_node, MAIN_FORKNUM, block, buffer)
#endif

/* A small number that no other live session has; 17 made it a global. */
#if PG_VERSION_NUM >= 170000
#define compat_session_number() ((uint32) MyProcNumber)
#else
#define compat_session_number() ((uint32) MyProc->pgprocno)
#endif

/* 18 can log why a lock was not available. */
#if PG_VERSION_NUM >= 180000
#define compat_conditional_lock_tuple(rel, tid, mode) \
	ConditionalLockTuple(rel, tid, mode, false)
#else
#define compat_conditional_lock_tuple(rel, tid, mode) \
	ConditionalLockTuple(rel, tid, mode)
#endif

/* 18 asks whether a deferrable primary key counts. */
#if PG_VERSION_NUM >= 180000
#define compat_primary_key(rel) RelationGetPrimaryKeyIndex(rel, false)
#else
#define compat_primary_key(rel) RelationGetPrimaryKeyIndex(rel)
#endif

#endif							/* COMPAT_H */
