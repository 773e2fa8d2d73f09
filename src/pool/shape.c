/*-------------------------------------------------------------------------
 *
 * shape.c
 *	  The columns of a table of stripes.
 *
 * A table of stripes has the columns of the key, a column "stripe" (integer),
 * which completes the primary key, a column "available" (integer), and the
 * columns of its terms.  It is a plain heap with plain btree indexes, so that
 * rowversion.c can read and write it without the executor.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "pool/shape.h"
#include "server/errors.h"

/* The table as a message names it. */
static char *
table_name(Relation rel)
{
	return psprintf("%s.%s", get_namespace_name(RelationGetNamespace(rel)),
					RelationGetRelationName(rel));
}

/* Raises 55000: the table is not as create_tables() made it. */
pg_noreturn static void
error_shape(Relation rel, const char *what)
{
	error_unusable(psprintf("table %s %s", table_name(rel), what),
				   "The table is internal to pg_booking. Leave it as it was made.");
}

/* Finds a column by its name; raises 55000 unless it has the type. */
static AttrNumber
find_column(Relation rel, const char *name, Oid type)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(rel), name);
	Oid			found;

	if (attnum == InvalidAttrNumber)
		error_shape(rel, psprintf("has no column \"%s\"", name));
	found = TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid;
	if (found != type)
		error_shape(rel, psprintf("has a column \"%s\" of type %s instead of %s", name, format_type_be(found), format_type_be(type)));
	return attnum;
}

/* True if the index is a btree without expressions and without a predicate. */
static bool
is_plain_index(Relation index)
{
	HeapTuple	tuple = index->rd_indextuple;

	return index->rd_rel->relam == BTREE_AM_OID &&
		heap_attisnull(tuple, Anum_pg_index_indexprs, NULL) &&
		heap_attisnull(tuple, Anum_pg_index_indpred, NULL);
}

/*
 * Takes the key's columns from the primary key.  Returns false unless that
 * ends with the column "stripe".
 */
static bool
read_primary_key(PoolShape *shape, Relation rel, Relation index)
{
	Form_pg_index form = index->rd_index;
	int			count = form->indnkeyatts - 1;

	if (!form->indimmediate || count < 1 || count > KEY_MAX_COLUMNS ||
		form->indkey.values[count] != shape->stripe)
		return false;
	shape->key.count = count;
	for (int i = 0; i < count; i++)
	{
		AttrNumber	attnum = form->indkey.values[i];
		Form_pg_attribute att =
			TupleDescAttr(RelationGetDescr(rel), attnum - 1);

		key_init_column(&shape->key.column[i], attnum, att->atttypid,
						att->attcollation);
	}
	return true;
}

/* Checks all indexes, and takes the key's columns from the primary key. */
static void
check_indexes(PoolShape *shape, Relation rel)
{
	bool		has_primary_key = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		bool		plain = is_plain_index(index);

		if (index->rd_index->indisprimary)
			has_primary_key = read_primary_key(shape, rel, index);
		index_close(index, AccessShareLock);
		if (!plain)
			error_shape(rel, "has an index that is not a plain btree");
	}
	if (!has_primary_key)
		error_shape(rel, "has lost its primary key, or it has another form");
}

/*
 * True if the table has a trigger other than the one statement trigger that the
 * layout allows.  A write would have to fire it.
 */
static bool
has_other_trigger(Relation rel, const PoolLayout *layout)
{
	const TriggerDesc *triggers = rel->trigdesc;

	return triggers != NULL &&
		(triggers->numtriggers > 1 || !layout->has_trigger ||
		 TRIGGER_FOR_ROW(triggers->triggers[0].tgtype));
}

/* The number of columns that have not been dropped. */
static int
count_columns(TupleDesc desc)
{
	int			count = 0;

	for (int i = 0; i < desc->natts; i++)
		count += !TupleDescAttr(desc, i)->attisdropped;
	return count;
}

/*
 * Finds the columns of an open table of stripes.  Raises 55000 unless the
 * table is as it was made.
 */
void
shape_load(PoolShape *shape, Relation rel, const PoolLayout *layout)
{
	TupleDesc	desc = RelationGetDescr(rel);

	memset(shape, 0, sizeof(*shape));
	shape->layout = layout;
	shape->relid = RelationGetRelid(rel);
	if (rel->rd_rel->relkind != RELKIND_RELATION ||
		rel->rd_rel->relam != HEAP_TABLE_AM_OID)
		error_shape(rel, "is not an ordinary heap table");
	if (has_other_trigger(rel, layout) || rel->rd_rules != NULL)
		error_shape(rel, "has a trigger or rule");
	shape->stripe = find_column(rel, "stripe", INT4OID);
	shape->available = find_column(rel, "available", INT4OID);
	for (int i = 0; i < layout->nterms; i++)
	{
		Assert(get_typbyval(layout->term_type[i]));
		shape->term[i] = find_column(rel, layout->term_name[i],
									 layout->term_type[i]);
	}
	check_indexes(shape, rel);
	if (count_columns(desc) != shape->key.count + 2 + layout->nterms)
		error_shape(rel, "has a column that pg_booking did not make");
	if (desc->constr != NULL && desc->constr->num_check > 2)
		error_shape(rel, "has a CHECK that pg_booking did not make");
}
