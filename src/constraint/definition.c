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
 * the table must be the owner of the pool table, or the owner of the capacity
 * table when the constraint was added.  A name would not do: when a table is
 * renamed, another user may take its name.
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
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "constraint/definition.h"
#include "server/errors.h"

const PoolLayout definition_layout = {
	.nterms = 1,
	.term_name = {[DEFINITION_TERM_CAPACITY] = "capacity"},
	.term_type = {[DEFINITION_TERM_CAPACITY] = INT4OID},
	.has_trigger = true,
	.repair_hint = "Call booking.rebuild_capacity() for each constraint that booking.verify() names.",
};

/* The shape of a pool table. */
typedef struct KnownShape
{
	Oid			pool;			/* hash key; must be first */
	bool		valid;
	PoolShape	shape;
} KnownShape;

/* What is known of the triggers of this session, by their OIDs. */
static HTAB *known_triggers = NULL;

/* What is known of pool tables, by their OIDs. */
static HTAB *known_shapes = NULL;

/* Makes a hash table for the session whose keys are OIDs. */
static HTAB *
make_table(const char *name, Size entry_size)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = entry_size;
	return hash_create(name, 16, &ctl, HASH_ELEM | HASH_BLOBS);
}

/* Marks what is known of a table that was changed as invalid; of all, if 0. */
static void
forget_relation(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	TriggerColumns *columns;
	KnownShape *known;

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
	if (known_shapes != NULL)
	{
		hash_seq_init(&status, known_shapes);
		while ((known = hash_seq_search(&status)) != NULL)
		{
			if (!OidIsValid(relid) || relid == known->pool)
				known->valid = false;
		}
	}
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

/* True if the constraint that a trigger names has a pool table. */
bool
definition_has_pool(const TriggerData *data)
{
	const Trigger *trigger = data->tg_trigger;
	Oid			schema = get_namespace_oid(BOOKING_SCHEMA, true);

	return trigger->tgnargs > DEFINITION_ARG_KEYS && OidIsValid(schema) &&
		OidIsValid(get_relname_relid(trigger->tgargs[DEFINITION_ARG_NAME],
									 schema));
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

/* Returns the shape of an open pool table, kept for the session. */
static PoolShape
shape_of(Relation pool)
{
	Oid			relid = RelationGetRelid(pool);
	KnownShape *known;
	bool		found;

	if (known_shapes == NULL)
		known_shapes = make_table("pg_booking shapes", sizeof(KnownShape));
	known = hash_search(known_shapes, &relid, HASH_ENTER, &found);
	if (!found)
		known->valid = false;
	if (!known->valid)
	{
		PoolShape	shape;

		shape_load(&shape, pool, &definition_layout);
		known->shape = shape;
		known->valid = true;
	}
	return known->shape;
}

/*
 * Opens a constraint by its pool table, which the caller has opened and
 * locked, and becomes the owner of that until definition_close().
 */
void
definition_open(CapacityConstraint *constraint, Relation pool,
				const PoolPolicy *policy)
{
	const Trigger *trigger = pool_trigger(pool);
	const char *capacity = trigger->tgargs[DEFINITION_POOL_ARG_CAPACITY];

	constraint->shape = shape_of(pool);
	constraint->name = pstrdup(RelationGetRelationName(pool));
	constraint->is_constant = capacity[0] != '\0';
	constraint->capacity =
		constraint->is_constant ? pg_strtoint32(capacity) : 0;
	constraint->allow_excess =
		trigger->tgargs[DEFINITION_POOL_ARG_EXCESS][0] == 't';
	constraint->on_expiry =
		pstrdup(trigger->tgargs[DEFINITION_POOL_ARG_EXPIRY]);
	constraint->table = pstrdup(trigger->tgargs[DEFINITION_POOL_ARG_TABLE]);
	constraint->capacity_table =
		pstrdup(trigger->tgargs[DEFINITION_POOL_ARG_CAPACITY_TABLE]);
	constraint->pool.call = &constraint->call;
	constraint->pool.rel = pool;
	constraint->pool.shape = &constraint->shape;
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

/*
 * Returns the bare name of the constrained table, for the fields of an error,
 * and its schema's in *schema.
 */
const char *
definition_table_name(const CapacityConstraint *constraint,
					  const char **schema)
{
	List	   *names =
		textToQualifiedNameList(cstring_to_text(constraint->table));

	*schema = strVal(linitial(names));
	return strVal(llast(names));
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

/* Raises 55000 unless the table may use the constraint (see above). */
static void
check_table(Relation rel, Relation pool)
{
	const Trigger *trigger = pool_trigger(pool);

	Oid			owner = owner_of(rel);

	if (owner == pool->rd_rel->relowner ||
		strcmp(GetUserNameFromId(owner, false),
			   trigger->tgargs[DEFINITION_POOL_ARG_CAPACITY_OWNER]) == 0)
		return;
	error_unusable(psprintf("table \"%s\" is not a table of capacity constraint \"%s\"",
							RelationGetRelationName(rel),
							RelationGetRelationName(pool)),
				   "If the table has a new owner, give the pool table the same owner, or drop the constraint and add it again.");
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

/* Raises 55000: a column has another type than the constraint needs. */
static void
error_type(const TriggerColumns *columns, Relation rel, const char *column)
{
	error_unusable(psprintf("column \"%s\" of table \"%s\" has another type than when capacity constraint \"%s\" was added",
							column, RelationGetRelationName(rel),
							columns->name),
				   "Change the type back, or drop the constraint and add it again.");
}

/* The type of a column. */
static Oid
type_of(Relation rel, AttrNumber attnum)
{
	return TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid;
}

/* Finds the columns of the quantity or capacity and of the expiry, if any. */
static void
find_other_columns(TriggerColumns *columns, Relation rel, char **args)
{
	const char *quantity = args[DEFINITION_ARG_QUANTITY];
	const char *expires = args[DEFINITION_ARG_EXPIRES];

	columns->quantity = InvalidAttrNumber;
	columns->expires = InvalidAttrNumber;
	if (quantity[0] != '\0')
	{
		columns->quantity = find_column(rel, columns->name, quantity);
		columns->quantity_type = type_of(rel, columns->quantity);
		if (columns->quantity_type != INT2OID &&
			columns->quantity_type != INT4OID &&
			columns->quantity_type != INT8OID)
			error_type(columns, rel, quantity);
	}
	if (expires[0] != '\0')
	{
		columns->expires = find_column(rel, columns->name, expires);
		if (type_of(rel, columns->expires) != TIMESTAMPTZOID)
			error_type(columns, rel, expires);
	}
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
		Oid			type = type_of(rel, attnum);
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(pool), i);

		if (type != att->atttypid)
			error_type(columns, rel, names[i]);
		key_init_column(&columns->key.column[i], attnum, type,
						att->attcollation);
	}
}

/* Raises 39P01: a trigger has other arguments than ours, or is deferrable. */
void
definition_error_not_ours(const Trigger *trigger)
{
	ereport(ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("trigger \"%s\" was not made by booking.add_capacity_constraint()",
					trigger->tgname)));
}

/*
 * Loads the condition from the table's trigger for DELETE, if the trigger is
 * one of those that count.  Raises 55000 if that trigger was dropped.
 */
static void
load_condition(TriggerColumns *columns, Relation rel, const Trigger *trigger)
{
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *other = &triggers->triggers[i];

		if (other->tgfoid == trigger->tgfoid &&
			TRIGGER_FOR_ROW(other->tgtype) &&
			TRIGGER_FOR_DELETE(other->tgtype) && other->tgnargs > 0 &&
			strcmp(other->tgargs[DEFINITION_ARG_NAME], columns->name) == 0)
		{
			condition_load(&columns->condition, rel, other);
			return;
		}
	}
	error_unusable(psprintf("table \"%s\" has lost a trigger of capacity constraint \"%s\"",
							RelationGetRelationName(rel), columns->name),
				   "Drop the constraint and add it again.");
}

/* Looks up the columns that the trigger names. */
static void
look_up(TriggerColumns *columns, Relation rel, const Trigger *trigger)
{
	char	  **args = trigger->tgargs;
	Relation	pool;

	if (trigger->tgnargs <= DEFINITION_ARG_KEYS ||
		trigger->tgnargs > DEFINITION_ARG_KEYS + KEY_MAX_COLUMNS ||
		trigger->tgdeferrable)
		definition_error_not_ours(trigger);
	strlcpy(columns->name, args[DEFINITION_ARG_NAME], NAMEDATALEN);
	pool = definition_open_pool(columns->name, RowExclusiveLock);
	check_table(rel, pool);
	columns->table = RelationGetRelid(rel);
	columns->pool = RelationGetRelid(pool);
	find_other_columns(columns, rel, args);
	columns->key.count = trigger->tgnargs - DEFINITION_ARG_KEYS;
	if (get_attnum(columns->pool, "stripe") != columns->key.count + 1)
		definition_error_not_ours(trigger);
	find_key(columns, rel, pool, args + DEFINITION_ARG_KEYS);
	if (TRIGGER_FOR_ROW(trigger->tgtype))
		load_condition(columns, rel, trigger);
	table_close(pool, NoLock);
}

/*
 * Returns the columns that the trigger reads in its table.  They are kept for
 * the session, until an invalidation message names the table or the pool
 * table; messages are processed when the pool table is locked, which this
 * does.
 */
TriggerColumns *
definition_columns(const TriggerData *data)
{
	Oid			trigger = data->tg_trigger->tgoid;
	TriggerColumns *columns;
	bool		found;

	if (known_triggers == NULL)
		known_triggers =
			make_table("pg_booking triggers", sizeof(TriggerColumns));
	columns = hash_search(known_triggers, &trigger, HASH_ENTER, &found);
	if (!found)
		memset((char *) columns + sizeof(Oid), 0,
			   sizeof(*columns) - sizeof(Oid));
	if (columns->valid)
		LockRelationOid(columns->pool, RowExclusiveLock);
	if (!columns->valid)
	{
		look_up(columns, data->tg_relation, data->tg_trigger);
		columns->valid = true;
	}
	return columns;
}
