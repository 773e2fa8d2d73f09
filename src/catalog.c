/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  Where the tables of pg_booking are, and whether they have the shape that
 *	  the C code relies on.
 *
 * The tables belong to the user, who may alter, rename or drop them at any
 * time.  What was looked up is kept in one struct, which is published only
 * when it is complete, and forgotten as soon as an invalidation message names
 * one of its relations.  Messages are read when a lock is acquired; so a call
 * locks the tables first and then asks whether what it knew of them still
 * holds (open_tables).
 *
 * A ticket table is "plain" when inserting a row into it by the table access
 * method is all that an INSERT would do.  Then the direct path is used; every
 * index is served by either path.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "remembered.h"

#define BOOKING_SCHEMA "booking"

/*
 * What a column that the code relies on must be.  Columns for users' ids have
 * the type that create_tables() was asked for, the same in all tables.
 */
typedef struct ColumnSpec
{
	const char *name;
	Oid			type;			/* or BOOKING_USER_ID */
	size_t		attnum;			/* offset in BookingTables, or 0: not kept */
	bool		nullable;		/* left null by a booking */
} ColumnSpec;

#define KEPT(field) offsetof(BookingTables, field)

static const ColumnSpec event_columns[] = {
	{"event_id", INT8OID, KEPT(event_event_id), false},
	{"capacity", INT4OID, KEPT(event_capacity), false},
	{"max_per_user", INT4OID, 0, true},
	{"sales_start", TIMESTAMPTZOID, 0, true},
	{"sales_end", TIMESTAMPTZOID, 0, true},
	{"hold_ttl", INTERVALOID, 0, false},
	{"max_hold_ttl", INTERVALOID, 0, false},
	{NULL}
};

static const ColumnSpec inventory_columns[] = {
	{"event_id", INT8OID, KEPT(inventory_event_id), false},
	{"stripe", INT4OID, KEPT(inventory_stripe), false},
	{"available", INT4OID, KEPT(inventory_available), false},
	{"max_per_user", INT4OID, KEPT(inventory_max_per_user), true},
	{"sales_start", TIMESTAMPTZOID, KEPT(inventory_sales_start), true},
	{"sales_end", TIMESTAMPTZOID, KEPT(inventory_sales_end), true},
	{NULL}
};

static const ColumnSpec ticket_columns[] = {
	{"ticket_id", INT8OID, KEPT(ticket_ticket_id), false},
	{"event_id", INT8OID, KEPT(ticket_event_id), false},
	{"user_id", BOOKING_USER_ID, KEPT(ticket_user_id), false},
	{"seat", TEXTOID, 0, true},
	{"hold_id", INT8OID, KEPT(ticket_hold_id), true},
	{"booked_at", TIMESTAMPTZOID, KEPT(ticket_booked_at), false},
	{"redeemed_at", TIMESTAMPTZOID, 0, true},
	{"cancelled_at", TIMESTAMPTZOID, KEPT(ticket_cancelled_at), true},
	{NULL}
};

static const ColumnSpec hold_columns[] = {
	{"hold_id", INT8OID, 0, false},
	{"event_id", INT8OID, 0, false},
	{"user_id", BOOKING_USER_ID, 0, false},
	{"quantity", INT4OID, 0, false},
	{"expires_at", TIMESTAMPTZOID, 0, false},
	{"created_at", TIMESTAMPTZOID, 0, false},
	{"ended_at", TIMESTAMPTZOID, 0, true},
	{NULL}
};

static const ColumnSpec request_columns[] = {
	{"event_id", INT8OID, 0, false},
	{"idempotency_key", TEXTOID, 0, false},
	{"user_id", BOOKING_USER_ID, 0, false},
	{"quantity", INT4OID, 0, false},
	{"is_hold", BOOLOID, 0, false},
	{"ttl", INTERVALOID, 0, true},
	{"ids", INT8ARRAYOID, 0, true},
	{"expires_at", TIMESTAMPTZOID, 0, true},
	{"created_at", TIMESTAMPTZOID, 0, false},
	{NULL}
};

static const ColumnSpec user_limit_columns[] = {
	{"event_id", INT8OID, 0, false},
	{"user_id", BOOKING_USER_ID, 0, false},
	{NULL}
};

static BookingTables known;
static bool known_is_valid = false;

/* Moves on at every message that makes us forget. */
static uint64 generation = 0;

/* Forgets what is known when a message is about one of our relations. */
static void
forget_relation(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) ||
		relid == known.inventory || relid == known.ticket ||
		relid == known.event || relid == known.hold ||
		relid == known.request || relid == known.user_limit)
	{
		known_is_valid = false;
		generation++;
		remembered_forget_all();
	}
}

/* Forgets what is known when a schema has changed. */
static void
forget_schema(Datum arg, int cacheid, uint32 hashvalue)
{
	forget_relation((Datum) 0, InvalidOid);
}

/* Registers the callbacks; before the first fill, once a session. */
void
booking_catalog_init(void)
{
	CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, forget_schema, (Datum) 0);
}

/* Finds the columns by name; 55000 names one that is not as it must be. */
static void
find_columns(BookingTables *tables, Relation rel, const ColumnSpec *spec)
{
	for (; spec->name != NULL; spec++)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(rel), spec->name);
		Oid			type;
		Oid			wanted = spec->type == BOOKING_USER_ID ?
			tables->user_id_type :
			spec->type;

		if (attnum == InvalidAttrNumber)
			booking_error_shape(psprintf("Column \"%s\" of table %s.%s is missing.",
										 spec->name, BOOKING_SCHEMA,
										 RelationGetRelationName(rel)),
								"Rename it back, or restore it from a table made by booking.create_tables() in another database.");
		type = TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid;
		if (type != wanted)
			booking_error_shape(psprintf("Column \"%s\" of table %s.%s has type %s instead of %s.",
										 spec->name, BOOKING_SCHEMA,
										 RelationGetRelationName(rel),
										 format_type_be(type),
										 format_type_be(wanted)),
								"Change the column's type back.");
		if (spec->attnum != 0)
			*(AttrNumber *) ((char *) tables + spec->attnum) = attnum;
	}
}

/*
 * Is a trigger there that calls the function when all of the events (and so
 * on) in the mask occur, whether enabled or not?
 */
static bool
has_trigger(Relation rel, Oid function, int mask)
{
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (triggers->triggers[i].tgfoid == function &&
			(triggers->triggers[i].tgtype & mask) == mask)
			return true;
	}
	return false;
}

/* Are the triggers there that create_tables() attaches to the table? */
static bool
has_our_triggers(Relation rel, Oid function)
{
	return has_trigger(rel, function,
					   TRIGGER_TYPE_ROW | TRIGGER_TYPE_INSERT |
						   TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE) &&
		has_trigger(rel, function, TRIGGER_TYPE_TRUNCATE);
}

/* Would an INSERT fire a trigger other than ours (a foreign key's is one)? */
static bool
has_foreign_insert_trigger(const BookingTables *tables, Relation rel)
{
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_INSERT(trigger->tgtype) &&
			trigger->tgfoid != tables->ticket_trigger)
			return true;
	}
	return false;
}

/* Is the default of column attnum clock_timestamp(), and nothing else? */
static bool
default_is_clock(Relation rel, AttrNumber attnum)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;

	for (int i = 0; constr != NULL && i < constr->num_defval; i++)
	{
		Node	   *expr;

		if (constr->defval[i].adnum != attnum)
			continue;
		expr = stringToNode(constr->defval[i].adbin);
		return IsA(expr, FuncExpr) &&
			((FuncExpr *) expr)->funcid == F_CLOCK_TIMESTAMP;
	}
	return false;
}

/* Are the ticket's columns just those that create_tables() made? */
static bool
columns_are_plain(const BookingTables *tables, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const ColumnSpec *spec = ticket_columns;

		if (att->attisdropped)
			continue;
		while (spec->name != NULL &&
			   strcmp(spec->name, NameStr(att->attname)) != 0)
			spec++;
		if (spec->name == NULL)
			return false;
		if (spec->nullable && att->attnotnull)
			return false;
		if (att->attgenerated != '\0' ||
			(att->attidentity != '\0') !=
				(att->attnum == tables->ticket_ticket_id) ||
			att->atthasdef != (att->attnum == tables->ticket_booked_at))
			return false;
	}
	return default_is_clock(rel, tables->ticket_booked_at);
}

/*
 * Does inserting by the table access method do all that INSERT would?  As far
 * as a message tells when the answer changes; booking_ticket_is_plain() asks
 * the rest.
 */
static bool
ticket_is_plain(const BookingTables *tables, Relation rel)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;
	Form_pg_class form = rel->rd_rel;

	return form->relkind == RELKIND_RELATION &&
		form->relam == HEAP_TABLE_AM_OID &&
		!form->relispartition &&
		rel->rd_rules == NULL &&
		!(form->relrowsecurity && form->relforcerowsecurity) &&
		(constr == NULL || constr->num_check == 0) &&
		columns_are_plain(tables, rel) &&
		!has_foreign_insert_trigger(tables, rel) &&
		!has_superclass(RelationGetRelid(rel));
}

/* Has the inventory columns or CHECKs that create_tables() did not make? */
static bool
inventory_has_more(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			columns = 0;

	for (int i = 0; i < desc->natts; i++)
		columns += !TupleDescAttr(desc, i)->attisdropped;
	return columns > 6 || (desc->constr != NULL && desc->constr->num_check > 2);
}

/*
 * Checks that the inventory is the plain heap that stripe.c reads and writes
 * without the executor: its own columns, its own primary key, and no index
 * that would have to evaluate something.
 */
static void
check_inventory(const BookingTables *tables, Relation rel)
{
	const char *hint = "The inventory is internal to pg_booking; leave it as booking.create_tables() made it.";
	bool		has_primary_key = false;
	ListCell   *lc;

	if (rel->rd_rel->relkind != RELKIND_RELATION ||
		rel->rd_rel->relam != HEAP_TABLE_AM_OID)
		booking_error_shape("booking.inventory is not an ordinary heap table.", hint);
	if (rel->trigdesc != NULL || rel->rd_rules != NULL)
		booking_error_shape("booking.inventory has a trigger or rule.", hint);
	if (inventory_has_more(rel))
		booking_error_shape("booking.inventory has a column or CHECK that pg_booking did not make.", hint);

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		HeapTuple	tuple = index->rd_indextuple;
		bool		simple;

		simple = index->rd_rel->relam == BTREE_AM_OID &&
			heap_attisnull(tuple, Anum_pg_index_indexprs, NULL) &&
			heap_attisnull(tuple, Anum_pg_index_indpred, NULL);

		if (form->indisprimary && form->indimmediate &&
			form->indnkeyatts == 2 &&
			form->indkey.values[0] == tables->inventory_event_id &&
			form->indkey.values[1] == tables->inventory_stripe)
			has_primary_key = true;
		index_close(index, AccessShareLock);
		if (!simple)
			booking_error_shape("booking.inventory has an index that is not a plain btree.", hint);
	}
	if (!has_primary_key)
		booking_error_shape("booking.inventory has lost its primary key (event_id, stripe).", hint);
}

/* The OID of a table of ours, or 42P01. */
static Oid
find_table(Oid schema, const char *name)
{
	Oid			oid = OidIsValid(schema) ?
		get_relname_relid(name, schema) :
		InvalidOid;

	if (!OidIsValid(oid))
		booking_error_no_tables(name);
	return oid;
}

/*
 * The OID of a trigger function of ours, or InvalidOid.  Looked up without
 * asking what the current user, who may have come by a view, may see.
 */
static Oid
find_trigger_function(Oid schema, const char *name)
{
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(NULL, 0)),
						   ObjectIdGetDatum(schema));
}

/* All our tables, while they are looked at. */
typedef struct OpenTables
{
	Relation	event;
	Relation	inventory;
	Relation	ticket;
	Relation	hold;
	Relation	request;
	Relation	user_limit;
} OpenTables;

/* The type of a column of the table, or InvalidOid where it has none such. */
static Oid
column_type(Relation rel, const char *name)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(rel), name);

	return attnum == InvalidAttrNumber ?
		InvalidOid :
		TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid;
}

/* Checks the columns of a table, and that it has the owner of all of them. */
static void
inspect_table(BookingTables *tables, Relation rel, const ColumnSpec *columns)
{
	find_columns(tables, rel, columns);
	if (rel->rd_rel->relowner != tables->owner)
		booking_error_shape("The tables of pg_booking have different owners.",
							"Give them the same owner by ALTER TABLE ... OWNER TO.");
}

/*
 * Fills tables from the open relations; 55000 where one of them is not as it
 * must be.
 */
static void
inspect(BookingTables *tables, const OpenTables *open)
{
	Relation	ticket = open->ticket;
	Oid			schema = RelationGetNamespace(ticket);

	tables->owner = ticket->rd_rel->relowner;
	tables->user_id_type = column_type(ticket, "user_id");
	inspect_table(tables, ticket, ticket_columns);
	if (tables->user_id_type != INT8OID && tables->user_id_type != UUIDOID &&
		tables->user_id_type != TEXTOID)
		booking_error_shape(psprintf("Column \"user_id\" of table booking.ticket has type %s.",
									 format_type_be(tables->user_id_type)),
							"User ids are of type bigint, uuid or text.");
	inspect_table(tables, open->event, event_columns);
	inspect_table(tables, open->inventory, inventory_columns);
	inspect_table(tables, open->hold, hold_columns);
	inspect_table(tables, open->request, request_columns);
	inspect_table(tables, open->user_limit, user_limit_columns);
	check_inventory(tables, open->inventory);

	tables->ticket_trigger = find_trigger_function(schema, "ticket_changed");
	tables->event_trigger = find_trigger_function(schema, "event_changed");
	tables->hold_trigger = find_trigger_function(schema, "hold_changed");
	if (!has_our_triggers(open->event, tables->event_trigger) ||
		!has_our_triggers(open->hold, tables->hold_trigger) ||
		!has_our_triggers(ticket, tables->ticket_trigger))
		booking_error_shape("A trigger of pg_booking is missing from table event, hold or ticket.",
							"Call booking.create_tables(), which attaches it again, and then booking.verify().");

	tables->ticket_is_plain = ticket_is_plain(tables, ticket);
	if (tables->ticket_is_plain)
		tables->ticket_id_sequence =
			booking_identity_sequence(ticket, tables->ticket_ticket_id);
}

/* Finds the tables by their names. */
static void
find_tables(BookingTables *tables)
{
	Oid			schema = get_namespace_oid(BOOKING_SCHEMA, true);

	tables->event = find_table(schema, "event");
	tables->ticket = find_table(schema, "ticket");
	tables->inventory = find_table(schema, "inventory");
	tables->hold = find_table(schema, "hold");
	tables->request = find_table(schema, "request");
	tables->user_limit = find_table(schema, "user_limit");
}

/* Are these the same tables? */
static bool
same_tables(const BookingTables *a, const BookingTables *b)
{
	return a->event == b->event && a->ticket == b->ticket &&
		a->inventory == b->inventory && a->hold == b->hold &&
		a->request == b->request && a->user_limit == b->user_limit;
}

/*
 * Locks the tables that have our names now, and still do when they are locked.
 * A lock that is held already is not given up on the way, so that this comes
 * to an end however many messages there are.
 */
static void
lock_tables(BookingTables *tables, LOCKMODE lockmode)
{
	BookingTables found;

	find_tables(&found);
	do
	{
		CHECK_FOR_INTERRUPTS();
		*tables = found;
		LockRelationOid(tables->event, AccessShareLock);
		LockRelationOid(tables->hold, AccessShareLock);
		LockRelationOid(tables->request, AccessShareLock);
		LockRelationOid(tables->user_limit, AccessShareLock);
		LockRelationOid(tables->ticket, lockmode);
		LockRelationOid(tables->inventory, lockmode);
		find_tables(&found);
	} while (!same_tables(&found, tables));
}

/*
 * Looks everything up, under the locks, and publishes it.  ROW EXCLUSIVE keeps
 * away whatever would change it; under a weaker lock it is published only if
 * no message has come meanwhile, and good for this call in any case.
 */
static void
load(BookingTables *tables, LOCKMODE lockmode)
{
	uint64		started;
	OpenTables	open;

	memset(tables, 0, sizeof(*tables));
	lock_tables(tables, lockmode);

	/* from here on messages about these tables are counted */
	known = *tables;
	started = generation;
	open.event = table_open(tables->event, NoLock);
	open.ticket = table_open(tables->ticket, NoLock);
	open.inventory = table_open(tables->inventory, NoLock);
	open.hold = table_open(tables->hold, NoLock);
	open.request = table_open(tables->request, NoLock);
	open.user_limit = table_open(tables->user_limit, NoLock);
	inspect(tables, &open);
	table_close(open.user_limit, AccessShareLock);
	table_close(open.request, AccessShareLock);
	table_close(open.hold, AccessShareLock);
	table_close(open.inventory, NoLock);
	table_close(open.ticket, NoLock);
	table_close(open.event, AccessShareLock);

	if (lockmode == RowExclusiveLock || started == generation)
	{
		known = *tables;
		known_is_valid = true;
	}
}

/*
 * Opens and locks ticket and inventory; what is known of them then is true,
 * and stays true for as long as the locks are held.
 */
static void
open_tables(BookingCall *call, LOCKMODE lockmode)
{
	if (known_is_valid)
	{
		call->tables = known;
		LockRelationOid(call->tables.ticket, lockmode);
		LockRelationOid(call->tables.inventory, lockmode);
	}
	if (!known_is_valid)
		load(&call->tables, lockmode);
	call->ticket = table_open(call->tables.ticket, NoLock);
	call->inventory = table_open(call->tables.inventory, NoLock);
}

/* The security context of a call; it has no part in an outer call's. */
int
booking_context(const BookingCall *call)
{
	return (call->caller_context & ~SECURITY_NOFORCE_RLS) |
		SECURITY_LOCAL_USERID_CHANGE;
}

/* Becomes the tables' owner; an error restores the user as any error does. */
static void
become_owner(BookingCall *call)
{
	GetUserIdAndSecContext(&call->caller, &call->caller_context);
	SetUserIdAndSecContext(call->tables.owner, booking_context(call));
	call->guc_level = 0;
}

/*
 * Keeps the caller's search_path from what is about to run as the tables'
 * owner and may be the user's code: triggers, policies, functions of indexes.
 * Such code names what it uses in full, or sets a search_path of its own, as
 * the core wants it of whatever runs with another's rights.  Where the caller
 * is the owner nothing is kept from anybody.  Lasts until booking_end().
 */
void
booking_guard_search_path(BookingCall *call)
{
	if (call->guc_level != 0 || call->caller == call->tables.owner)
		return;
	call->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

/*
 * Starts a call that may write; what names it in messages.  Refuses
 * read-only transactions and standbys (25006) and parallel mode; locks ticket
 * and inventory (ROW EXCLUSIVE, until the transaction ends).  From here to
 * booking_end() the current user is the tables' owner, as in a foreign key's
 * check, with the same restrictions on what may run there.
 */
void
booking_begin(BookingCall *call, const char *what)
{
	PreventCommandIfReadOnly(what);
	PreventCommandIfParallelMode(what);
	booking_begin_unchecked(call);
}

/*
 * Starts a call that may write without asking whether that is allowed: it
 * finishes what an earlier call of the transaction has begun.
 */
void
booking_begin_unchecked(BookingCall *call)
{
	open_tables(call, RowExclusiveLock);
	become_owner(call);
}

/*
 * Starts a call that finishes what an earlier one of the transaction, which
 * had these tables, has begun.  False, and nothing is started, where the
 * inventory has been dropped since; 55000 where it was altered beyond use.
 * Only the inventory is open then.
 */
bool
booking_begin_again(BookingCall *call, const BookingTables *tables)
{
	call->tables = *tables;
	call->ticket = NULL;
	call->inventory = try_table_open(tables->inventory, RowExclusiveLock);
	if (call->inventory == NULL)
		return false;
	find_columns(&call->tables, call->inventory, inventory_columns);
	check_inventory(&call->tables, call->inventory);
	become_owner(call);
	return true;
}

/* Starts a call that only reads: the same, on a standby too. */
void
booking_begin_read(BookingCall *call)
{
	open_tables(call, AccessShareLock);
	become_owner(call);
}

/*
 * Checks that the tables are there and of the right shape; as a rule it keeps
 * no lock.
 */
void
booking_check_tables(void)
{
	BookingCall call;

	booking_begin_read(&call);
	booking_end(&call);
	UnlockRelationOid(call.tables.inventory, AccessShareLock);
	UnlockRelationOid(call.tables.ticket, AccessShareLock);
}

/* Ends a call.  The locks stay until the end of the transaction. */
void
booking_end(BookingCall *call)
{
	if (call->guc_level != 0)
		AtEOXact_GUC(true, call->guc_level);
	SetUserIdAndSecContext(call->caller, call->caller_context);
	table_close(call->inventory, NoLock);
	if (call->ticket != NULL)
		table_close(call->ticket, NoLock);
}

/*
 * May the direct path insert tickets?  Whether there are child tables is asked
 * at each call, for nobody tells when the last one has gone.
 */
bool
booking_ticket_is_plain(const BookingCall *call)
{
	return call->tables.ticket_is_plain &&
		(!call->ticket->rd_rel->relhassubclass ||
		 find_inheritance_children(call->tables.ticket, NoLock) == NIL);
}

/* Is rel the table with that OID, or a partition of it at any depth? */
bool
booking_is_our_table(Relation rel, Oid table)
{
	if (RelationGetRelid(rel) == table)
		return true;
	return rel->rd_rel->relispartition &&
		list_member_oid(get_partition_ancestors(RelationGetRelid(rel)), table);
}
