/*-------------------------------------------------------------------------
 *
 * row_shape.c
 *	  May a row of a table be written without an SQL statement?
 *
 * A table is "plain" if inserting a row by the table access method, with its
 * index entries and AFTER ROW triggers (server/rowwriter.c), does all that an
 * INSERT would do.  The direct path is for plain tables only.  A plain table is
 * "updatable" if the same is true of an UPDATE of a row that is found by its id.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "server/compat.h"
#include "server/row_defaults.h"
#include "server/row_triggers.h"
#include "tables/row_shape.h"

bool		row_shape_direct_path = true;

/* Returns the place of a column in the list, or -1. */
static int
find_column(const RowShapeColumn *columns, const char *name)
{
	for (int i = 0; columns[i].name != NULL; i++)
	{
		if (strcmp(columns[i].name, name) == 0)
			return i;
	}
	return -1;
}

/* True if the column is what the list says, and nothing else. */
static bool
column_is_plain(Relation rel, Form_pg_attribute att,
				const RowShapeColumn *column)
{
	bool		has_default = column->kind == ROW_SHAPE_DEFAULT;
	bool		is_identity = column->kind == ROW_SHAPE_IDENTITY;
	bool		is_nullable = column->kind == ROW_SHAPE_NULLABLE ||
		column->kind == ROW_SHAPE_ADDED;

	return !(is_nullable && att->attnotnull) &&
		att->attgenerated == '\0' && att->atttypmod < 0 &&
		(att->attidentity != '\0') == is_identity &&
		att->atthasdef == has_default &&
		(!has_default || row_defaults_is_simple(rel, att->attnum));
}

/* True if an INSERT leaves the user's column null, or with a simple default. */
static bool
users_column_is_plain(Relation rel, Form_pg_attribute att)
{
	if (att->attgenerated != '\0' || att->attidentity != '\0')
		return false;
	if (att->atthasdef)
		return row_defaults_is_simple(rel, att->attnum);
	/* a type can have a default, too, and a domain be NOT NULL */
	return !att->attnotnull && get_typtype(att->atttypid) != TYPTYPE_DOMAIN &&
		get_typdefault(att->atttypid) == NULL;
}

/* True if the columns are those of the list, and simple ones of the user's. */
static bool
columns_are_plain(Relation rel, const RowShapeColumn *columns)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		int			place;

		if (att->attisdropped)
			continue;
		place = find_column(columns, NameStr(att->attname));
		if (place < 0 ? !users_column_is_plain(rel, att) :
						!column_is_plain(rel, att, &columns[place]))
			return false;
	}
	return true;
}

/* True if the expression is "column >= 1" for such a column of the list. */
static bool
is_positive_check(Node *expr, const RowShape *shape,
				  const RowShapeColumn *columns)
{
	OpExpr	   *comparison = (OpExpr *) expr;
	Var		   *var;
	Const	   *bound;

	if (!IsA(expr, OpExpr) || comparison->opfuncid != F_INT4GE ||
		!IsA(linitial(comparison->args), Var) ||
		!IsA(lsecond(comparison->args), Const))
		return false;
	var = linitial(comparison->args);
	bound = lsecond(comparison->args);
	for (int i = 0; columns[i].name != NULL; i++)
	{
		if (columns[i].kind == ROW_SHAPE_POSITIVE &&
			shape->attnum[i] == var->varattno)
			return !bound->constisnull &&
				DatumGetInt32(bound->constvalue) == 1;
	}
	return false;
}

/* True if the table has no CHECK but those of the list. */
static bool
checks_are_plain(Relation rel, const RowShape *shape,
				 const RowShapeColumn *columns)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;

	for (int i = 0; constr != NULL && i < constr->num_check; i++)
	{
		Node	   *expr = stringToNode(constr->check[i].ccbin);

		/* the parser leaves the function out */
		if (IsA(expr, OpExpr))
			set_opfuncid((OpExpr *) expr);
		if (!is_positive_check(expr, shape, columns))
			return false;
	}
	return true;
}

/* True if the table is plain, except for child tables. */
static bool
is_plain(Relation rel, const RowShape *shape, const RowShapeColumn *columns)
{
	Form_pg_class form = rel->rd_rel;

	return form->relkind == RELKIND_RELATION &&
		form->relam == HEAP_TABLE_AM_OID &&
		!form->relispartition &&
		rel->rd_rules == NULL &&
		!(form->relrowsecurity && form->relforcerowsecurity) &&
		checks_are_plain(rel, shape, columns) &&
		columns_are_plain(rel, columns) &&
		row_triggers_are_simple(rel, ROW_TRIGGERS_INSERT) &&
		!has_superclass(RelationGetRelid(rel));
}

/* True if it is an ordinary table with the column alone as its primary key. */
static bool
has_id_key(Relation rel, AttrNumber id)
{
	Oid			oid = compat_primary_key(rel);
	Relation	index;
	bool		result;

	if (rel->rd_rel->relkind != RELKIND_RELATION || !OidIsValid(oid))
		return false;
	index = index_open(oid, AccessShareLock);
	result = index->rd_index->indnkeyatts == 1 &&
		index->rd_index->indkey.values[0] == id;
	index_close(index, AccessShareLock);
	return result;
}

/* Returns the sequence of the identity column, or InvalidOid if it has none. */
static Oid
identity_sequence(Relation rel, const RowShape *shape,
				  const RowShapeColumn *columns)
{
	for (int i = 0; columns[i].name != NULL; i++)
	{
		if (columns[i].kind == ROW_SHAPE_IDENTITY)
			return compat_identity_sequence(rel, shape->attnum[i]);
	}
	return InvalidOid;
}

/*
 * Completes the shape of a table, whose columns have been found.  trigger is
 * the function of our trigger on it, or InvalidOid.
 */
void
row_shape_find(RowShape *shape, Relation rel, const RowShapeColumn *columns,
			   Oid trigger)
{
	shape->trigger = trigger;
	shape->has_id_key = has_id_key(rel, shape->attnum[0]);
	shape->is_plain = is_plain(rel, shape, columns);
	shape->is_updatable = shape->is_plain && shape->has_id_key &&
		row_triggers_are_simple(rel, ROW_TRIGGERS_UPDATE);
	shape->id_sequence = shape->is_plain ?
		identity_sequence(rel, shape, columns) :
		InvalidOid;
}

/*
 * True if the table has child tables: then it is not plain.  To be asked at
 * each call, because no invalidation message tells when the last one has gone.
 */
bool
row_shape_has_children(Relation rel)
{
	return rel->rd_rel->relhassubclass &&
		find_inheritance_children(RelationGetRelid(rel), NoLock) != NIL;
}
