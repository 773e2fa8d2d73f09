/*-------------------------------------------------------------------------
 *
 * lock_table.c
 *	  The table of named locks, and a call on it.
 *
 * Named locks need no other booking table, so this table is looked up by
 * itself.  What was found is kept in `known` as tables.c keeps the others: it
 * is asked for after the table is locked, because messages that make it invalid
 * are processed then.
 *
 * The locks are written without the executor (lock_row.c).  So the table must
 * not have anything that only the executor would serve.  A user may add
 * columns that can stay null, and plain btree indexes.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "lock/lock_table.h"
#include "server/compat.h"
#include "server/errors.h"

/* What a column must be. */
typedef struct ColumnSpec
{
	const char *name;
	Oid			type;
	size_t		attnum;			/* offset in LockTable */
	bool		has_default;	/* it may have one, which is not used */
	bool		can_be_null;	/* so it must not be NOT NULL */
} ColumnSpec;

static const ColumnSpec columns[] = {
	{"resource", TEXTOID, offsetof(LockTable, resource), false, false},
	{"owner", TEXTOID, offsetof(LockTable, lock_owner), false, false},
	{"token", INT8OID, offsetof(LockTable, token), true, false},
	{"locked_at", TIMESTAMPTZOID, offsetof(LockTable, locked_at), true, false},
	{"expires_at", TIMESTAMPTZOID, offsetof(LockTable, expires_at), false, false},
	{"note", TEXTOID, offsetof(LockTable, note), false, true},
};

static LockTable known;
static bool known_is_valid = false;

/* Counts the messages that have made `known` invalid. */
static uint64 generation = 0;

/* Makes `known` invalid if the message is about the table. */
static void
forget_relation(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == known.relid)
	{
		known_is_valid = false;
		generation++;
	}
}

/* The same when a schema was changed. */
static void
forget_schema(Datum arg, int cacheid, uint32 hashvalue)
{
	forget_relation((Datum) 0, InvalidOid);
}

/* Registers the callbacks; once a session, before the first look-up. */
void
lock_table_init(void)
{
	CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, forget_schema, (Datum) 0);
}

/* Raises 55000: the table can't be used as it is. */
pg_noreturn static void
error_shape(const char *what, const char *hint)
{
	error_unusable(psprintf("table %s.%s %s", BOOKING_SCHEMA, LOCK_TABLE_NAME,
							what),
				   hint);
}

/* Finds the columns; raises 55000 unless each has its type. */
static void
find_columns(LockTable *table, Relation rel)
{
	for (int i = 0; i < (int) lengthof(columns); i++)
	{
		const ColumnSpec *spec = &columns[i];
		AttrNumber	attnum = get_attnum(RelationGetRelid(rel), spec->name);
		Oid			type;

		if (attnum == InvalidAttrNumber)
			error_shape(psprintf("has no column \"%s\"", spec->name),
						"Rename it back, or restore it from a table made by booking.create_tables() in another database.");
		type = TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid;
		if (type != spec->type)
			error_shape(psprintf("has a column \"%s\" of type %s instead of %s",
								 spec->name, format_type_be(type),
								 format_type_be(spec->type)),
						"Change the column's type back.");
		*(AttrNumber *) ((char *) table + spec->attnum) = attnum;
	}
}

/* True if a row can be written without asking what the column needs. */
static bool
column_is_served(Form_pg_attribute att)
{
	for (int i = 0; i < (int) lengthof(columns); i++)
	{
		if (strcmp(columns[i].name, NameStr(att->attname)) == 0)
			return att->attgenerated == '\0' &&
				(columns[i].has_default || !att->atthasdef) &&
				!(columns[i].can_be_null && att->attnotnull);
	}
	return !att->attnotnull && !att->atthasdef && att->attgenerated == '\0' &&
		att->attidentity == '\0';
}

/* Raises 55000 if the table has what only the executor would serve. */
static void
check_plain(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Form_pg_class form = rel->rd_rel;
	const char *hint = "Remove what was added. pg_booking writes this table without the executor.";

	if (form->relkind != RELKIND_RELATION || form->relam != HEAP_TABLE_AM_OID ||
		form->relpersistence != RELPERSISTENCE_PERMANENT)
		error_shape("is not an ordinary heap table", hint);
	if (rel->trigdesc != NULL || rel->rd_rules != NULL)
		error_shape("has a trigger, rule or foreign key", hint);
	if (desc->constr != NULL && desc->constr->num_check > 0)
		error_shape("has a CHECK that pg_booking did not make", hint);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && !column_is_served(att))
			error_shape(psprintf("has a column \"%s\" with a default or NOT NULL that pg_booking did not make",
								 NameStr(att->attname)),
						hint);
	}
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
 * Raises 55000 unless the primary key is the resource, and all indexes are
 * plain.  By the collation "C", names are equal if their bytes are.  By another
 * one, two names with different bytes could be one lock, and the order of
 * locks would not be the order of the bytes.
 */
static void
check_indexes(const LockTable *table, Relation rel)
{
	bool		has_primary_key = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		/* in a unique one an acquisition could wait for another */
		bool		plain = is_plain_index(index) &&
			(form->indisprimary ||
			 !(form->indisunique || form->indisexclusion));

		if (form->indisprimary)
			has_primary_key = form->indimmediate && form->indnkeyatts == 1 &&
				form->indkey.values[0] == table->resource &&
				index->rd_indcollation[0] == C_COLLATION_OID;
		index_close(index, AccessShareLock);
		if (!plain)
			error_shape("has an index that is not a plain btree, or is unique",
						"Drop that index.");
	}
	if (!has_primary_key)
		error_shape("has lost its primary key, or it has another form",
					"Call booking.create_tables(), which makes a missing key again. The column \"resource\" has the collation \"C\".");
}

/* Fills *table from the open relation; raises 55000 if it is not as needed. */
static void
inspect(LockTable *table, Relation rel)
{
	table->owner = rel->rd_rel->relowner;
	find_columns(table, rel);
	check_plain(rel);
	check_indexes(table, rel);
	if (TupleDescAttr(RelationGetDescr(rel), table->token - 1)->attidentity ==
		'\0')
		error_shape("has lost the identity of column \"token\"",
					"Call booking.create_tables(), which makes it again.");
	table->token_sequence = compat_identity_sequence(rel, table->token);
}

/* Returns the OID of the table; raises 42P01 if it is missing. */
static Oid
find_table(void)
{
	Oid			schema = get_namespace_oid(BOOKING_SCHEMA, true);
	Oid			relid = OidIsValid(schema) ?
		get_relname_relid(LOCK_TABLE_NAME, schema) :
		InvalidOid;

	if (!OidIsValid(relid))
		error_no_table(LOCK_TABLE_NAME);
	return relid;
}

/*
 * Finds, locks and inspects the table, and publishes it as `known`.  ROW
 * EXCLUSIVE excludes every command that would change the table.  Under a weaker
 * lock it is published only if no message has arrived.
 */
static void
load(LockTable *table, LOCKMODE lockmode)
{
	Oid			found = find_table();
	uint64		started;
	Relation	rel;

	memset(table, 0, sizeof(*table));
	do
	{
		CHECK_FOR_INTERRUPTS();
		table->relid = found;
		LockRelationOid(found, lockmode);
		found = find_table();
	} while (found != table->relid);

	/* from here on, messages about this table are counted */
	known = *table;
	started = generation;
	rel = table_open(table->relid, NoLock);
	inspect(table, rel);
	table_close(rel, NoLock);
	if (lockmode == RowExclusiveLock || started == generation)
	{
		known = *table;
		known_is_valid = true;
	}
}

/*
 * Begins a call: locks the table in that mode until the transaction ends, and
 * makes its owner the current user until lock_table_end().  Raises 42P01 before
 * create_tables(), 55000 if the table was altered beyond use.
 */
void
lock_table_begin(LockCall *call, LOCKMODE lockmode)
{
	if (known_is_valid)
	{
		call->table = known;
		LockRelationOid(call->table.relid, lockmode);
	}
	if (!known_is_valid)
		load(&call->table, lockmode);
	call->rel = table_open(call->table.relid, NoLock);
	call_begin(&call->base, call->table.owner, InvalidOid);
}

/* Ends a call.  The lock on the table is kept. */
void
lock_table_end(LockCall *call)
{
	call_end(&call->base);
	table_close(call->rel, NoLock);
}
