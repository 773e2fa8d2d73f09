/*-------------------------------------------------------------------------
 *
 * definition.c
 *	  Capacity constraints as their triggers define them.
 *
 * A constraint has no row in a catalog of ours.  It is defined by triggers, as
 * a foreign key is: those of the constrained table and of the capacity table
 * name the constraint and their columns, and the trigger of the pool table has
 * the rest.  So pg_dump, restore, pg_upgrade and DROP TABLE do what they do
 * with triggers.
 *
 * The constraint "c" has the pool table booking.c, owned by the owner of the
 * constrained table.  Every user may attach our trigger functions to a table
 * of his own and name a constraint of another user.  Therefore the owner of
 * the table must be the owner of the pool table, or the table must be the
 * capacity table that the pool table names.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "constraint/definition.h"
#include "server/errors.h"

const PoolLayout definition_layout = {
	.nterms = 1,
	.term_name = {[DEFINITION_TERM_CAPACITY] = "capacity"},
	.term_type = {[DEFINITION_TERM_CAPACITY] = INT4OID},
	.has_trigger = true,
	.repair_hint = "Call booking.rebuild_capacity() for each constraint that booking.verify() names.",
};

/* What this session knows of triggers and of pool tables, by their OIDs. */
static HTAB *known_triggers = NULL;
static HTAB *known_pools = NULL;

/* Marks what is known of a relation as invalid if it was changed. */
static void
forget_relation(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	TriggerColumns *columns;
	PoolDefinition *definition;

	if (known_triggers != NULL)
	{
		hash_seq_init(&status, known_triggers);
		while ((columns = hash_seq_search(&status)) != NULL)
		{
			if (!OidIsValid(relid) || relid == columns->table ||
				relid == columns->pool)
				columns->valid = false;
		}
	}
	if (known_pools != NULL)
	{
		hash_seq_init(&status, known_pools);
		while ((definition = hash_seq_search(&status)) != NULL)
		{
			if (!OidIsValid(relid) || relid == definition->relid)
				definition->valid = false;
		}
	}
}

/* Returns the entry for an OID in one of the tables, which is created. */
static void *
entry_of(HTAB **table, Size size, Oid oid, bool *found)
{
	if (*table == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(Oid);
		ctl.entrysize = size;
		*table = hash_create("pg_booking constraints", 16, &ctl,
							 HASH_ELEM | HASH_BLOBS);
	}
	return hash_search(*table, &oid, HASH_ENTER, found);
}

/* Registers the callback; once a session. */
void
definition_init(void)
{
	CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
}

/* Raises 42704: there is no such constraint. */
void
definition_error_missing(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("capacity constraint \"%s\" does not exist", name),
			 errhint("booking.capacity_constraints lists the constraints.")));
}

/* Opens and locks the pool table of a constraint; raises 42704. */
Relation
definition_open_pool(const char *name, LOCKMODE lockmode)
{
	Oid			schema = get_namespace_oid(BOOKING_SCHEMA, true);
	Oid			relid = OidIsValid(schema) ?
		get_relname_relid(name, schema) :
		InvalidOid;
	Relation	pool = OidIsValid(relid) ?
		try_table_open(relid, lockmode) :
		NULL;

	if (pool == NULL)
		definition_error_missing(name);
	return pool;
}

/* The trigger of the pool table; raises 55000 if it is missing. */
static const Trigger *
pool_trigger(Relation pool)
{
	TriggerDesc *triggers = pool->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_INSERT(trigger->tgtype) &&
			trigger->tgnargs == DEFINITION_POOL_ARGS)
			return trigger;
	}
	error_unusable(psprintf("table %s.%s is not the pool table of a capacity constraint",
							BOOKING_SCHEMA, RelationGetRelationName(pool)),
				   "It has lost its trigger, or was not made by booking.add_capacity_constraint().");
	return NULL;				/* keep the compiler quiet */
}

/* A copy of an argument that lives as long as the session. */
static const char *
keep(const char *argument)
{
	return MemoryContextStrdup(TopMemoryContext, argument);
}

/* Reads what the pool table says.  A message is rare, so no string is freed. */
static void
read_definition(PoolDefinition *definition, Relation pool)
{
	char	  **args = pool_trigger(pool)->tgargs;
	const char *capacity = args[DEFINITION_POOL_ARG_CAPACITY];

	shape_load(&definition->shape, pool, &definition_layout);
	definition->name = keep(RelationGetRelationName(pool));
	definition->is_constant = capacity[0] != '\0';
	definition->capacity =
		definition->is_constant ? pg_strtoint32(capacity) : 0;
	definition->allow_excess = args[DEFINITION_POOL_ARG_EXCESS][0] == 't';
	definition->on_expiry = keep(args[DEFINITION_POOL_ARG_EXPIRY]);
	definition->table = keep(args[DEFINITION_POOL_ARG_TABLE]);
	definition->capacity_table = keep(args[DEFINITION_POOL_ARG_CAPACITY_TABLE]);
}

/*
 * Opens a constraint by its pool table, which the caller has opened and locked,
 * and becomes the owner of that until definition_close().
 */
void
definition_open(CapacityConstraint *constraint, Relation pool,
				const PoolPolicy *policy)
{
	bool		found;
	PoolDefinition *definition = entry_of(&known_pools, sizeof(PoolDefinition),
										  RelationGetRelid(pool), &found);

	if (!found || !definition->valid)
	{
		definition->valid = false;
		read_definition(definition, pool);
		definition->valid = true;
	}
	constraint->definition = definition;
	constraint->pool.call = &constraint->call;
	constraint->pool.rel = pool;
	constraint->pool.shape = &definition->shape;
	constraint->pool.policy = policy;
	constraint->pool.context = constraint;
	call_begin(&constraint->call, pool->rd_rel->relowner, InvalidOid);
}

/* Ends the call, and closes the pool table; its lock is kept. */
void
definition_close(CapacityConstraint *constraint)
{
	call_end(&constraint->call);
	table_close(constraint->pool.rel, NoLock);
}

/* The owner of a table; of a partition, that of the partitioned table. */
static Oid
owner_of(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	HeapTuple	tuple;
	Oid			owner;

	if (rel->rd_rel->relispartition)
		relid = llast_oid(get_partition_ancestors(relid));
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		/* can't happen: the table is locked */
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* True if the table, or the partitioned table above it, has this name. */
static bool
has_name(Relation rel, const char *qualified)
{
	Oid			relid = RelationGetRelid(rel);

	if (rel->rd_rel->relispartition)
		relid = llast_oid(get_partition_ancestors(relid));
	return strcmp(quote_qualified_identifier(get_namespace_name(
												 get_rel_namespace(relid)),
											 get_rel_name(relid)),
				  qualified) == 0;
}

/* Raises 55000 unless the table may use the constraint (see above). */
static void
check_table(Relation rel, Relation pool)
{
	const Trigger *trigger = pool_trigger(pool);

	if (owner_of(rel) == pool->rd_rel->relowner ||
		has_name(rel, trigger->tgargs[DEFINITION_POOL_ARG_CAPACITY_TABLE]))
		return;
	error_unusable(psprintf("table \"%s\" is not a table of capacity constraint \"%s\"",
							RelationGetRelationName(rel),
							RelationGetRelationName(pool)),
				   "If the table was renamed or has a new owner, rename it back, give the pool table the same owner, or drop the constraint and add it again.");
}

/* Finds a column of the table; raises 55000 if it is missing. */
static AttrNumber
find_column(Relation rel, const char *constraint, const char *column)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(rel), column);

	if (attnum == InvalidAttrNumber)
		error_unusable(psprintf("table \"%s\" has no column \"%s\", which capacity constraint \"%s\" needs",
								RelationGetRelationName(rel), column,
								constraint),
					   "Rename the column back, or drop the constraint and add it again.");
	return attnum;
}

/*
 * Finds the columns of the key; raises 55000 unless they have the types of the
 * pool table, whose collations decide.
 */
static void
find_key(TriggerColumns *columns, Relation rel, Relation pool, char **names)
{
	for (int i = 0; i < columns->key.count; i++)
	{
		AttrNumber	attnum = find_column(rel, columns->name, names[i]);
		Oid type = TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid;
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(pool), i);

		if (type != att->atttypid)
			error_unusable(psprintf("column \"%s\" of table \"%s\" has another type than when capacity constraint \"%s\" was added",
									names[i], RelationGetRelationName(rel),
									columns->name),
						   "Change the type back, or drop the constraint and add it again.");
		key_init_column(&columns->key.column[i], attnum, type,
						att->attcollation);
	}
}

/* Looks up the columns that the trigger names. */
static void
look_up(TriggerColumns *columns, Relation rel, const Trigger *trigger)
{
	char	  **args = trigger->tgargs;
	Relation	pool;

	if (trigger->tgnargs <= DEFINITION_ARG_KEYS ||
		trigger->tgnargs > DEFINITION_ARG_KEYS + KEY_MAX_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" was not made by booking.add_capacity_constraint()",
						trigger->tgname)));
	strlcpy(columns->name, args[DEFINITION_ARG_NAME], NAMEDATALEN);
	pool = definition_open_pool(columns->name, RowExclusiveLock);
	check_table(rel, pool);
	columns->table = RelationGetRelid(rel);
	columns->pool = RelationGetRelid(pool);
	columns->quantity = InvalidAttrNumber;
	columns->expires = InvalidAttrNumber;
	if (args[DEFINITION_ARG_QUANTITY][0] != '\0')
	{
		columns->quantity = find_column(rel, columns->name,
										args[DEFINITION_ARG_QUANTITY]);
		columns->quantity_type =
			TupleDescAttr(RelationGetDescr(rel), columns->quantity - 1)
				->atttypid;
	}
	if (args[DEFINITION_ARG_EXPIRES][0] != '\0')
		columns->expires = find_column(rel, columns->name,
									   args[DEFINITION_ARG_EXPIRES]);
	columns->key.count = trigger->tgnargs - DEFINITION_ARG_KEYS;
	find_key(columns, rel, pool, args + DEFINITION_ARG_KEYS);
	table_close(pool, NoLock);
}

/*
 * Returns the columns that the trigger reads in its table.  They are kept for
 * the session, until an invalidation message names the table or the pool
 * table; messages are processed when the pool table is locked, which this
 * does.
 */
const TriggerColumns *
definition_columns(const TriggerData *data)
{
	Oid			trigger = data->tg_trigger->tgoid;
	TriggerColumns *columns;
	bool		found;

	columns = entry_of(&known_triggers, sizeof(TriggerColumns), trigger,
					   &found);
	if (!found)
	{
		columns->valid = false;
		columns->table = columns->pool = InvalidOid;
	}
	if (columns->valid)
		LockRelationOid(columns->pool, RowExclusiveLock);
	if (!columns->valid)
	{
		look_up(columns, data->tg_relation, data->tg_trigger);
		columns->valid = true;
	}
	return columns;
}
