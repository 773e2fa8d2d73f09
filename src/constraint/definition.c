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
 * of his own and name a constraint of another user.  He may also make a pool
 * table of a name that triggers of another user's table have.  Therefore the
 * owner of the table must be the owner of the pool table.  The capacity table
 * may have another owner.  Then the pool table must name him, and its owner
 * must have the right to create triggers on the capacity table: so both have
 * agreed.  The name of a table would not do: when it is renamed, another user
 * may take its name.
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
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
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

/* What is known of a pool table. */
typedef struct KnownPool
{
	Oid			pool;			/* hash key; must be first */
	bool		valid;
	PoolShape	shape;
	SqlPlan		create_plan;
} KnownPool;

/* What is known of the triggers of this session, by their OIDs. */
static HTAB *known_triggers = NULL;

/* What is known of pool tables, by their OIDs. */
static HTAB *known_pools = NULL;

/* The OID of booking.capacity_settle(), if it is known. */
static Oid	settle_function = InvalidOid;

/* Counts the messages that may have made something known invalid. */
static uint64 generation = 0;

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
	KnownPool  *known;

	generation++;
	if (known_triggers != NULL)
	{
		hash_seq_init(&status, known_triggers);
		while ((columns = hash_seq_search(&status)) != NULL)
		{
			if (!OidIsValid(relid) || relid == columns->table ||
				relid == columns->root || relid == columns->pool)
				columns->valid = false;
		}
	}
	if (known_pools != NULL)
	{
		hash_seq_init(&status, known_pools);
		while ((known = hash_seq_search(&status)) != NULL)
		{
			if (!OidIsValid(relid) || relid == known->pool)
				known->valid = false;
		}
	}
}

/* A function was created or dropped: looks ours up again. */
static void
forget_functions(Datum arg, int cacheid, uint32 hashvalue)
{
	settle_function = InvalidOid;
}

/* A role has another name, or other roles: who may use what is asked again. */
static void
forget_roles(Datum arg, int cacheid, uint32 hashvalue)
{
	forget_relation((Datum) 0, InvalidOid);
}

/* Registers the callbacks; once a session. */
void
definition_init(void)
{
	CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, forget_functions, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, forget_roles, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget_roles, (Datum) 0);
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

/*
 * Opens and locks the pool table of a constraint; raises 42704.  While the lock
 * is waited for, the constraint may be dropped and added again.
 */
Relation
definition_open_pool(const char *name, LOCKMODE lockmode)
{
	for (;;)
	{
		Oid			schema = get_namespace_oid(BOOKING_SCHEMA, true);
		Oid			relid = OidIsValid(schema) ?
			get_relname_relid(name, schema) :
			InvalidOid;

		if (!OidIsValid(relid))
			definition_error_missing(name);
		LockRelationOid(relid, lockmode);
		if (get_relname_relid(name, schema) == relid)
			return table_open(relid, NoLock);
		UnlockRelationOid(relid, lockmode);
	}
}

/*
 * Returns the OID of booking.capacity_settle().  A user who writes a row needs
 * no right on the schema, so none is asked for.
 */
static Oid
find_settle_function(void)
{
	oidvector  *no_arguments;

	if (OidIsValid(settle_function))
		return settle_function;
	no_arguments = buildoidvector(NULL, 0);
	settle_function = GetSysCacheOid3(
		PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("capacity_settle"),
		PointerGetDatum(no_arguments),
		ObjectIdGetDatum(get_namespace_oid(BOOKING_SCHEMA, true)));
	return settle_function;
}

/*
 * The trigger of the pool table; raises 55000 if it is missing.  The next look
 * into a catalog may free it.
 */
const Trigger *
definition_pool_trigger(Relation pool)
{
	Oid			function = find_settle_function();
	TriggerDesc *triggers = pool->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_INSERT(trigger->tgtype) &&
			TRIGGER_FOR_AFTER(trigger->tgtype) &&
			!TRIGGER_FOR_ROW(trigger->tgtype) && trigger->tgqual == NULL &&
			trigger->tgnargs == DEFINITION_POOL_ARGS &&
			trigger->tgfoid == function)
			return trigger;
	}
	error_unusable(psprintf("table %s.%s is not the pool table of a capacity constraint",
							BOOKING_SCHEMA, RelationGetRelationName(pool)),
				   "It has lost its trigger, or was not made by booking.add_capacity_constraint().");
	return NULL;				/* keep the compiler quiet */
}

/*
 * Writes the statement that creates a pool.  Its text is kept for the session;
 * a prepared one has the text of before, and goes with its transaction.
 */
static void
write_create_plan(KnownPool *known, Relation pool)
{
	const KeyColumns *key = &known->shape.key;
	SqlPlan    *plan = &known->create_plan;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s.%s VALUES (", BOOKING_SCHEMA,
					 quote_identifier(RelationGetRelationName(pool)));
	for (int i = 0; i < key->count; i++)
	{
		const Form_pg_attribute att = TupleDescAttr(
			RelationGetDescr(pool), key->column[i].attnum - 1);

		plan->argtypes[i] = att->atttypid;
		appendStringInfo(&sql, "$%d, ", i + 1);
	}
	plan->argtypes[key->count] = INT4OID;
	plan->nargs = key->count + 1;
	appendStringInfo(&sql, "0, $%d, $%d) ON CONFLICT DO NOTHING", plan->nargs,
					 plan->nargs);
	if (plan->sql != NULL && strcmp(plan->sql, sql.data) == 0)
		return;
	plan_forget(plan);
	plan->sql = MemoryContextStrdup(CacheMemoryContext, sql.data);
}

/* Returns what is known of an open pool table, kept for the session. */
static KnownPool *
known_pool(Relation pool)
{
	Oid			relid = RelationGetRelid(pool);
	KnownPool  *known;
	bool		found;

	if (known_pools == NULL)
		known_pools = make_table("pg_booking pools", sizeof(KnownPool));
	known = hash_search(known_pools, &relid, HASH_ENTER, &found);
	if (!found)
		memset((char *) known + sizeof(Oid), 0, sizeof(*known) - sizeof(Oid));
	if (!known->valid)
	{
		uint64		before = generation;

		shape_load(&known->shape, pool, &definition_layout);
		write_create_plan(known, pool);
		known->valid = before == generation;
	}
	return known;
}

/*
 * A constant capacity has a pool for each key that has had a row.  Creates that
 * of a new key.  Of two sessions the second waits at the unique index: it finds
 * the pool of the first, or, if that rolls back, creates it.  Raises 40001 if
 * the isolation level hides the pool that it finds.
 */
void
definition_create_pool(CapacityConstraint *constraint, const PoolKey *key)
{
	SqlPlan    *plan = constraint->create_plan;
	int			count = constraint->shape.key.count;
	Datum		values[KEY_MAX_COLUMNS + 1];

	for (int i = 0; i < count; i++)
		values[i] = key->value[i];
	values[count] = Int32GetDatum(constraint->capacity);
	plan_connect(&constraint->call);
	(void) plan_execute(&constraint->call, plan, values, NULL);
	plan_disconnect(&constraint->call);
}

/*
 * Reads a constraint from its pool table, which the caller has opened and
 * locked.
 */
void
definition_load(CapacityConstraint *constraint, Relation pool,
				const PoolPolicy *policy)
{
	const Trigger *trigger = definition_pool_trigger(pool);
	const char *capacity = trigger->tgargs[DEFINITION_POOL_ARG_CAPACITY];
	KnownPool  *known;

	constraint->name = pstrdup(RelationGetRelationName(pool));
	constraint->is_settling = false;
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
	known = known_pool(pool);
	constraint->shape = known->shape;
	constraint->create_plan = &known->create_plan;
	constraint->pool.call = &constraint->call;
	constraint->pool.rel = pool;
	constraint->pool.shape = &constraint->shape;
	constraint->pool.policy = policy;
	constraint->pool.context = constraint;
}

/* The same, and becomes the owner of the pool until definition_close(). */
void
definition_open(CapacityConstraint *constraint, Relation pool,
				const PoolPolicy *policy)
{
	definition_load(constraint, pool, policy);
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

/* The table; of a partition, the partitioned table. */
static Oid
root_of(Relation rel)
{
	return rel->rd_rel->relispartition ?
		llast_oid(get_partition_ancestors(RelationGetRelid(rel))) :
		RelationGetRelid(rel);
}

/* The owner of a table. */
static Oid
owner_of(Oid relid)
{
	HeapTuple	tuple;
	Oid			owner;

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
	Oid			pool_owner = pool->rd_rel->relowner;
	Oid			root = root_of(rel);
	Oid			owner = owner_of(root);
	const char *capacity_owner =
		pstrdup(definition_pool_trigger(pool)
					->tgargs[DEFINITION_POOL_ARG_CAPACITY_OWNER]);

	if (owner == pool_owner)
		return;
	if (strcmp(GetUserNameFromId(owner, false), capacity_owner) == 0 &&
		pg_class_aclcheck(root, pool_owner, ACL_TRIGGER) == ACLCHECK_OK)
		return;
	error_unusable(psprintf("table \"%s\" is not a table of capacity constraint \"%s\"",
							RelationGetRelationName(rel),
							RelationGetRelationName(pool)),
				   psprintf("If it is the constrained table and has a new owner, give table %s.%s the same one. If it has the capacities, grant TRIGGER on it to %s, or drop the triggers that the constraint has left.",
							BOOKING_SCHEMA,
							quote_identifier(RelationGetRelationName(pool)),
							quote_identifier(
								GetUserNameFromId(pool_owner, false))));
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
 * Returns the row trigger of the same constraint for an event, which is a bit
 * of tgtype; NULL if it was dropped.
 */
static const Trigger *
find_trigger(const TriggerColumns *columns, Relation rel,
			 const Trigger *trigger, int16 event)
{
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *other = &triggers->triggers[i];

		if (other->tgfoid == trigger->tgfoid &&
			TRIGGER_FOR_ROW(other->tgtype) && (other->tgtype & event) != 0 &&
			other->tgnargs > 0 &&
			strcmp(other->tgargs[DEFINITION_ARG_NAME], columns->name) == 0)
			return other;
	}
	return NULL;
}

/* Raises 55000: a trigger was dropped, perhaps together with a column. */
pg_noreturn static void
error_lost_trigger(const TriggerColumns *columns, Relation rel)
{
	error_unusable(psprintf("table \"%s\" has lost a trigger of capacity constraint \"%s\"",
							RelationGetRelationName(rel), columns->name),
				   "Drop the constraint and add it again.");
}

/* Adds a column to a list, unless there is none or the list ends with it. */
static List *
add_column(List *list, AttrNumber attnum)
{
	if (attnum == InvalidAttrNumber ||
		(list != NIL && llast_int(list) == attnum))
		return list;
	return lappend_int(list, attnum);
}

/* The columns of the new row that a WHEN clause names, in its order. */
static List *
columns_of_when(const Trigger *trigger)
{
	List	   *list = NIL;
	ListCell   *lc;

	foreach(lc, pull_var_clause(stringToNode(trigger->tgqual), 0))
	{
		const Var  *var = lfirst_node(Var, lc);

		if (var->varno == PRS2_NEW_VARNO)
			list = add_column(list, var->varattno);
	}
	return list;
}

/* The columns that the trigger reads, in the same order. */
static List *
columns_needed(const TriggerColumns *columns)
{
	List	   *list = NIL;

	for (int i = 0; i < columns->key.count; i++)
		list = add_column(list, columns->key.column[i].attnum);
	list = add_column(list, columns->quantity);
	return add_column(list, columns->expires);
}

/*
 * Raises 55000 unless the columns are those that the WHEN clause of the trigger
 * for UPDATE begins with.  Our triggers find columns by name, and PostgreSQL
 * finds those of a WHEN clause by number.  They are others if a column was
 * renamed and another has its name.
 */
static void
check_watched(const TriggerColumns *columns, Relation rel,
			  const Trigger *trigger)
{
	const Trigger *update =
		find_trigger(columns, rel, trigger, TRIGGER_TYPE_UPDATE);
	List	   *needed = columns_needed(columns);
	List	   *watched;

	if (update == NULL || update->tgqual == NULL)
		error_lost_trigger(columns, rel);
	watched = columns_of_when(update);
	for (int i = 0; i < list_length(needed); i++)
	{
		AttrNumber	attnum = (AttrNumber) list_nth_int(needed, i);

		if (i < list_length(watched) && attnum == list_nth_int(watched, i))
			continue;
		error_unusable(psprintf("column \"%s\" of table \"%s\" is not the one that capacity constraint \"%s\" was added for",
								get_attname(RelationGetRelid(rel), attnum,
											false),
								RelationGetRelationName(rel), columns->name),
					   "Rename the columns back, or drop the constraint and add it again.");
	}
}

/*
 * Loads the condition from the table's trigger for DELETE, if the trigger is
 * one of those that count.  Raises 55000 if that trigger was dropped.
 */
static void
load_condition(TriggerColumns *columns, Relation rel, const Trigger *trigger)
{
	const Trigger *other =
		find_trigger(columns, rel, trigger, TRIGGER_TYPE_DELETE);

	if (other != NULL)
	{
		condition_load(&columns->condition, rel, other);
		return;
	}
	error_lost_trigger(columns, rel);
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
	columns->root = root_of(rel);
	columns->pool = RelationGetRelid(pool);
	find_other_columns(columns, rel, args);
	columns->key.count = trigger->tgnargs - DEFINITION_ARG_KEYS;
	if (get_attnum(columns->pool, "stripe") != columns->key.count + 1)
		definition_error_not_ours(trigger);
	find_key(columns, rel, pool, args + DEFINITION_ARG_KEYS);
	if (TRIGGER_FOR_ROW(trigger->tgtype))
	{
		load_condition(columns, rel, trigger);
		check_watched(columns, rel, trigger);
	}
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
		uint64		before = generation;

		look_up(columns, data->tg_relation, data->tg_trigger);
		columns->valid = before == generation;
	}
	return columns;
}
