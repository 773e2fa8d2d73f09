/*-------------------------------------------------------------------------
 *
 * user_index.c
 *	  The live rows of a user at an event, found by an index.
 *
 * The limit per user counts a user's tickets and holds at each booking.  A
 * statement for that costs more than the booking itself.  So the index that
 * create_tables() made for it, or another one that serves, is read without a
 * statement.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "nodes/primnodes.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "server/compat.h"
#include "tables/user_index.h"

/* True if every row in which the column is null has an entry in the index. */
static bool
has_live_rows(Relation index, AttrNumber ended)
{
	List	   *predicate = RelationGetIndexPredicate(index);
	NullTest   *test;

	if (predicate == NIL)
		return true;
	test = linitial(predicate);
	return list_length(predicate) == 1 && IsA(test, NullTest) &&
		test->nulltesttype == IS_NULL && IsA(test->arg, Var) &&
		((Var *) test->arg)->varattno == ended;
}

/* True if an index column is the table's column, with its usual order. */
static bool
is_column(Relation rel, Relation index, int place, AttrNumber attnum)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attnum - 1);

	return index->rd_index->indkey.values[place] == attnum &&
		index->rd_indcollation[place] == att->attcollation &&
		index->rd_opfamily[place] ==
		lookup_type_cache(att->atttypid, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
}

/* True if the index is one that every transaction can use now. */
static bool
is_usable(Relation index)
{
	Form_pg_index form = index->rd_index;

	return form->indisvalid && form->indisready && !form->indcheckxmin &&
		index->rd_rel->relam == BTREE_AM_OID && form->indnkeyatts >= 2;
}

/*
 * Finds an index of the table by the columns event_id and user_id, in which
 * each row has an entry whose column ended is null.
 */
void
user_index_find(UserIndex *found, Relation rel, AttrNumber event_id,
				AttrNumber user_id, AttrNumber ended)
{
	List	   *oids = RelationGetIndexList(rel);
	ListCell   *lc;

	found->relid = InvalidOid;
	found->ended = ended;
	foreach(lc, oids)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		bool		user_first = false;
		bool		serves = false;

		if (is_usable(index) && has_live_rows(index, ended))
		{
			user_first = is_column(rel, index, 0, user_id) &&
				is_column(rel, index, 1, event_id);
			serves = user_first ||
				(is_column(rel, index, 0, event_id) &&
				 is_column(rel, index, 1, user_id));
		}
		index_close(index, AccessShareLock);
		if (!serves)
			continue;
		found->relid = lfirst_oid(lc);
		found->user_first = user_first;
		break;
	}
	list_free(oids);
}

/* Returns the function that compares users' ids of the type. */
RegProcedure
user_index_eq(Oid user_id_type)
{
	switch (user_id_type)
	{
		case INT8OID:
			return F_INT8EQ;
		case UUIDOID:
			return F_UUID_EQ;
		default:
			return F_TEXTEQ;
	}
}

/* Prepares the search for the user at the event. */
static void
init_keys(ScanKey keys, const UserIndex *found, Relation index, int64 event_id,
		  Datum user_id, Oid user_id_type)
{
	AttrNumber	user_column = found->user_first ? 1 : 2;
	AttrNumber	event_column = found->user_first ? 2 : 1;

	ScanKeyEntryInitialize(&keys[user_column - 1], 0, user_column,
						   BTEqualStrategyNumber, InvalidOid,
						   index->rd_indcollation[user_column - 1],
						   user_index_eq(user_id_type), user_id);
	ScanKeyInit(&keys[event_column - 1], event_column, BTEqualStrategyNumber,
				F_INT8EQ, Int64GetDatum(event_id));
}

/*
 * Visits each live row of the user at the event, by the newest snapshot, also
 * those that this command has written.  Locks no row.  The caller has locked
 * the table, and the index was found since.
 */
void
user_index_scan(const UserIndex *found, Relation rel, int64 event_id,
				Datum user_id, Oid user_id_type, UserIndexVisitor visit,
				void *arg)
{
	Relation	index = index_open(found->relid, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	Snapshot	snapshot;
	ScanKeyData keys[2];
	IndexScanDesc scan;

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	init_keys(keys, found, index, event_id, user_id, user_id_type);
	scan = compat_index_beginscan(rel, index, snapshot, 2);
	index_rescan(scan, keys, 2, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		if (slot_attisnull(slot, found->ended))
			visit(slot, arg);
	}
	index_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, NoLock);
}
