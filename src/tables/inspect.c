/*-------------------------------------------------------------------------
 *
 * inspect.c
 *	  Checks that the booking tables have the shape that the C code needs.
 *
 * The tables belong to the user, who may alter them at any time.  Each column
 * that the code relies on must be there and have its type, and the triggers
 * must be attached.  Anything else is 55000, and the message names it.
 *
 * A ticket table is "plain" if writing a row by the table access method does
 * all that an INSERT would do.  The direct path is for plain tables only.
 * Indexes don't matter, because both paths serve every index.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "server/compat.h"
#include "server/errors.h"
#include "server/plan.h"
#include "tables/inspect.h"

/* The stripes of the events. */
static const PoolLayout inventory_layout = {
	.nterms = 3,
	.term_name = {
		[INSPECT_TERM_SALES_START] = "sales_start",
		[INSPECT_TERM_SALES_END] = "sales_end",
		[INSPECT_TERM_MAX_PER_USER] = "max_per_user",
	},
	.term_type = {
		[INSPECT_TERM_SALES_START] = TIMESTAMPTZOID,
		[INSPECT_TERM_SALES_END] = TIMESTAMPTZOID,
		[INSPECT_TERM_MAX_PER_USER] = INT4OID,
	},
	.has_trigger = true,
	.repair_hint = "Call booking.rebuild_inventory() for each event that booking.verify() names.",
};

/* What a column must be. */
typedef struct ColumnSpec
{
	const char *name;
	Oid			type;			/* or PLAN_USER_ID */
	size_t		attnum;			/* offset in BookingTables, or 0: not kept */
	bool		nullable;		/* left null by a booking */
} ColumnSpec;

#define KEPT(field) offsetof(BookingTables, field)

static const ColumnSpec event_columns[] = {
	{"event_id", INT8OID, 0, false},
	{"capacity", INT4OID, 0, false},
	{"max_per_user", INT4OID, 0, true},
	{"sales_start", TIMESTAMPTZOID, 0, true},
	{"sales_end", TIMESTAMPTZOID, 0, true},
	{"hold_ttl", INTERVALOID, 0, false},
	{"max_hold_ttl", INTERVALOID, 0, false},
	{"created_at", TIMESTAMPTZOID, 0, false},
	{NULL}
};

static const ColumnSpec inventory_columns[] = {
	{"event_id", INT8OID, 0, false},
	{NULL}
};

static const ColumnSpec ticket_columns[] = {
	{"ticket_id", INT8OID, KEPT(ticket_ticket_id), false},
	{"event_id", INT8OID, KEPT(ticket_event_id), false},
	{"user_id", PLAN_USER_ID, KEPT(ticket_user_id), false},
	{"seat", TEXTOID, 0, true},
	{"hold_id", INT8OID, KEPT(ticket_hold_id), true},
	{"booked_at", TIMESTAMPTZOID, KEPT(ticket_booked_at), false},
	{"redeemed_at", TIMESTAMPTZOID, 0, true},
	{"cancelled_at", TIMESTAMPTZOID, 0, true},
	{NULL}
};

static const ColumnSpec hold_columns[] = {
	{"hold_id", INT8OID, 0, false},
	{"event_id", INT8OID, 0, false},
	{"user_id", PLAN_USER_ID, 0, false},
	{"quantity", INT4OID, 0, false},
	{"expires_at", TIMESTAMPTZOID, 0, false},
	{"created_at", TIMESTAMPTZOID, 0, false},
	{"ended_at", TIMESTAMPTZOID, 0, true},
	{"confirmed_at", TIMESTAMPTZOID, 0, true},
	{NULL}
};

static const ColumnSpec request_columns[] = {
	{"event_id", INT8OID, 0, false},
	{"idempotency_key", TEXTOID, 0, false},
	{"user_id", PLAN_USER_ID, 0, false},
	{"quantity", INT4OID, 0, false},
	{"is_hold", BOOLOID, 0, false},
	{"ttl", INTERVALOID, 0, true},
	{"ids", INT8ARRAYOID, 0, true},
	{"expires_at", TIMESTAMPTZOID, 0, true},
	{"user_ids", PLAN_USER_ID_ARRAY, 0, true},
	{"statuses", TEXTARRAYOID, 0, true},
	{"created_at", TIMESTAMPTZOID, 0, false},
	{NULL}
};

static const ColumnSpec user_limit_columns[] = {
	{"event_id", INT8OID, 0, false},
	{"user_id", PLAN_USER_ID, 0, false},
	{NULL}
};

/*
 * Raises 55000 unless a column with users' ids has the collation of the column
 * in the ticket table.  So all statements agree on which ids are equal, and in
 * which order users are locked.
 */
static void
check_collation(const BookingTables *tables, Relation rel, AttrNumber attnum)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attnum - 1);

	if (att->attcollation == tables->user_id_collation)
		return;
	error_unusable(psprintf("table %s.%s has a column \"%s\" with collation \"%s\" instead of \"%s\"",
							BOOKING_SCHEMA, RelationGetRelationName(rel),
							NameStr(att->attname),
							get_collation_name(att->attcollation),
							get_collation_name(tables->user_id_collation)),
				   "Give all columns with user ids the collation of booking.ticket.user_id.");
}

/* Finds the columns of a table by name; 55000 names one that is not right. */
static void
find_columns(BookingTables *tables, Relation rel, const ColumnSpec *spec)
{
	for (; spec->name != NULL; spec++)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(rel), spec->name);
		Oid			type;
		Oid			wanted = spec->type;

		if (wanted == PLAN_USER_ID)
			wanted = tables->user_id_type;
		else if (wanted == PLAN_USER_ID_ARRAY)
			wanted = get_array_type(tables->user_id_type);
		if (attnum == InvalidAttrNumber)
			error_unusable(
				psprintf("table %s.%s has no column \"%s\"", BOOKING_SCHEMA,
						 RelationGetRelationName(rel), spec->name),
				"Rename it back, or restore it from a table made by booking.create_tables() in another database.");
		type = TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid;
		if (type != wanted)
			error_unusable(
				psprintf(
					"table %s.%s has a column \"%s\" of type %s instead of %s",
					BOOKING_SCHEMA, RelationGetRelationName(rel), spec->name,
					format_type_be(type), format_type_be(wanted)),
				"Change the column's type back.");
		if (wanted != spec->type && OidIsValid(tables->user_id_collation))
			check_collation(tables, rel, attnum);
		if (spec->attnum != 0)
			*(AttrNumber *) ((char *) tables + spec->attnum) = attnum;
	}
}

/* Raises 55000: the primary key is missing, or has other columns. */
pg_noreturn static void
error_no_primary_key(Relation rel)
{
	error_unusable(psprintf("table %s.%s has lost its primary key",
							BOOKING_SCHEMA, RelationGetRelationName(rel)),
				   "Call booking.create_tables(), which makes it again.");
}

/*
 * Raises 55000 unless a table has a primary key, on which ON CONFLICT and the
 * locks of single rows depend.  (The tickets of a partitioned table may have
 * another one.)
 */
static void
check_primary_key(Relation rel)
{
	if (!OidIsValid(compat_primary_key(rel)))
		error_no_primary_key(rel);
}

/*
 * The same for the keys of requests, which are looked for in that index without
 * the executor (request/key_lock.c).
 */
static void
check_request_key(Relation rel)
{
	Relation	index;
	int2vector *columns;
	bool		as_made;

	check_primary_key(rel);
	index = index_open(compat_primary_key(rel), AccessShareLock);
	columns = &index->rd_index->indkey;
	as_made = columns->dim1 == 2 &&
		columns->values[0] == get_attnum(RelationGetRelid(rel), "event_id") &&
		columns->values[1] ==
			get_attnum(RelationGetRelid(rel), "idempotency_key");
	index_close(index, AccessShareLock);
	if (!as_made)
		error_no_primary_key(rel);
}

/* Checks the columns of a table, and that it has the owner of all of them. */
static void
inspect_table(BookingTables *tables, Relation rel, const ColumnSpec *columns)
{
	find_columns(tables, rel, columns);
	if (rel->rd_rel->relowner != tables->owner)
		error_unusable(psprintf("table %s.%s has another owner than table %s.ticket",
								BOOKING_SCHEMA, RelationGetRelationName(rel),
								BOOKING_SCHEMA),
					   "Give all booking tables the same owner by ALTER TABLE ... OWNER TO.");
}

/*
 * True if the table has a trigger, enabled or not, that calls the function for
 * all events and levels in the mask.
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

/* Raises 55000: the table lacks a trigger of create_tables(). */
pg_noreturn static void
error_no_trigger(Relation rel)
{
	error_unusable(psprintf("table %s.%s lacks a trigger of pg_booking",
							BOOKING_SCHEMA, RelationGetRelationName(rel)),
				   "Call booking.create_tables(), which attaches it again, and then booking.verify().");
}

/* Raises 55000 unless a table has the triggers by which its rows count. */
static void
check_triggers(Relation rel, Oid function)
{
	if (!has_trigger(rel, function,
					 TRIGGER_TYPE_ROW | TRIGGER_TYPE_INSERT |
						 TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE) ||
		!has_trigger(rel, function, TRIGGER_TYPE_TRUNCATE))
		error_no_trigger(rel);
}

/*
 * Raises 55000 unless the inventory has the trigger by which a statement is
 * settled, or refused if it writes the inventory itself.  It has no other
 * (shape.c).
 */
static void
check_settle_trigger(Relation inventory, Oid function)
{
	const Trigger *trigger =
		inventory->trigdesc == NULL ? NULL : inventory->trigdesc->triggers;

	if (trigger == NULL || trigger->tgfoid != function ||
		trigger->tgtype !=
			(TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE |
			 TRIGGER_TYPE_TRUNCATE) ||
		trigger->tgqual != NULL)
		error_no_trigger(inventory);
}

/*
 * True if an INSERT would fire a trigger that is not AFTER ROW.  Those that
 * are, such as a foreign key's, are fired without a statement, too
 * (row_triggers.c).
 */
static bool
has_other_insert_trigger(Relation rel)
{
	TriggerDesc *triggers = rel->trigdesc;

	return triggers != NULL &&
		(triggers->trig_insert_before_row ||
		 triggers->trig_insert_instead_row ||
		 triggers->trig_insert_before_statement ||
		 triggers->trig_insert_after_statement ||
		 triggers->trig_insert_new_table);
}

/* True if the default of the column is clock_timestamp(), and nothing else. */
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

/* True if the ticket table has just the columns that create_tables() made. */
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
 * True if the ticket table is plain, except for child tables: no invalidation
 * message tells when the last one has gone, so booking_call.c looks for them.
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
		!has_other_insert_trigger(rel) &&
		!has_superclass(RelationGetRelid(rel));
}

/*
 * Returns the OID of a trigger function of ours, or InvalidOid.  Privileges on
 * it don't matter: the current user may have reached us through a view.
 */
static Oid
find_trigger_function(Oid schema, const char *name)
{
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(NULL, 0)),
						   ObjectIdGetDatum(schema));
}

/*
 * Finds the type of users' ids, and their collation; raises 55000 unless the
 * type is one of three.  By a nondeterministic collation, texts with other
 * bytes can be equal.
 */
static void
find_user_id_type(BookingTables *tables, Relation ticket)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(ticket), "user_id");
	Form_pg_attribute att = attnum == InvalidAttrNumber ?
		NULL :
		TupleDescAttr(RelationGetDescr(ticket), attnum - 1);
	Oid			type = att == NULL ? INT8OID : att->atttypid;

	if (type != INT8OID && type != UUIDOID && type != TEXTOID)
		error_unusable(psprintf("table %s.ticket has a column \"user_id\" of type %s",
								BOOKING_SCHEMA, format_type_be(type)),
					   "User ids are of type bigint, uuid or text.");
	tables->user_id_type = type;
	tables->user_id_collation = att == NULL ? InvalidOid : att->attcollation;
	tables->user_id_by_image = !OidIsValid(tables->user_id_collation) ||
		get_collation_isdeterministic(tables->user_id_collation);
}

/* Raises 55000 unless the pools of the inventory have the key event_id. */
static void
check_pool_key(const PoolShape *shape, Relation inventory)
{
	if (shape->key.count != 1 ||
		shape->key.column[0].attnum != get_attnum(shape->relid, "event_id"))
		error_unusable(psprintf("table %s.%s has lost its primary key",
								BOOKING_SCHEMA,
								RelationGetRelationName(inventory)),
					   "The table is internal to pg_booking. Leave it as it was made.");
}

/*
 * Raises 55000 unless the table of the history has users' ids of the type and
 * collation that the ticket table has them in.
 */
void
inspect_history(BookingTables *tables, Relation history)
{
	static const ColumnSpec columns[] = {
		{"user_id", PLAN_USER_ID, 0, true},
		{NULL}
	};

	find_columns(tables, history, columns);
}

/*
 * Fills *tables from the open relations; raises 55000 if one of them is not as
 * it must be.
 */
void
inspect_tables(BookingTables *tables, const OpenTables *open)
{
	Relation	ticket = open->ticket;
	Oid			schema = RelationGetNamespace(ticket);

	tables->ticket_trigger = find_trigger_function(schema, "ticket_changed");
	tables->owner = ticket->rd_rel->relowner;
	find_user_id_type(tables, ticket);
	inspect_table(tables, ticket, ticket_columns);
	inspect_table(tables, open->event, event_columns);
	inspect_table(tables, open->inventory, inventory_columns);
	inspect_table(tables, open->hold, hold_columns);
	inspect_table(tables, open->request, request_columns);
	inspect_table(tables, open->user_limit, user_limit_columns);
	check_primary_key(open->event);
	check_primary_key(open->hold);
	check_request_key(open->request);
	check_primary_key(open->user_limit);
	shape_load(&tables->pool_shape, open->inventory, &inventory_layout);
	check_pool_key(&tables->pool_shape, open->inventory);

	check_settle_trigger(open->inventory,
						 find_trigger_function(schema, "inventory_settle"));
	check_triggers(open->event, find_trigger_function(schema, "event_changed"));
	check_triggers(open->hold, find_trigger_function(schema, "hold_changed"));
	check_triggers(ticket, tables->ticket_trigger);
	tables->ticket_is_plain = ticket_is_plain(tables, ticket);
	if (tables->ticket_is_plain)
		tables->ticket_id_sequence =
			compat_identity_sequence(ticket, tables->ticket_ticket_id);
}
