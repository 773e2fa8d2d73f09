/*-------------------------------------------------------------------------
 *
 * inspect.c
 *	  Checks that the booking tables have the shape that the C code needs.
 *
 * The tables belong to the user, who may alter them at any time.  Each column
 * that the code relies on must be there and have its type, and the triggers
 * must be attached.  Anything else is 55000, and the message names it.
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
	.nterms = 5,
	.term_name = {
		[INSPECT_TERM_SALES_START] = "sales_start",
		[INSPECT_TERM_SALES_END] = "sales_end",
		[INSPECT_TERM_MAX_PER_USER] = "max_per_user",
		[INSPECT_TERM_MIN_PER_ORDER] = "min_per_order",
		[INSPECT_TERM_MAX_PER_ORDER] = "max_per_order",
	},
	.term_type = {
		[INSPECT_TERM_SALES_START] = TIMESTAMPTZOID,
		[INSPECT_TERM_SALES_END] = TIMESTAMPTZOID,
		[INSPECT_TERM_MAX_PER_USER] = INT4OID,
		[INSPECT_TERM_MIN_PER_ORDER] = INT4OID,
		[INSPECT_TERM_MAX_PER_ORDER] = INT4OID,
	},
	.has_trigger = true,
	.repair_hint = "Call booking.rebuild_inventory() for each event that booking.verify() names.",
};

static const RowShapeColumn event_columns[] = {
	[INSPECT_EVENT_ID] = {"event_id", INT8OID, ROW_SHAPE_VALUE},
	[INSPECT_EVENT_HOLD_TTL] = {"hold_ttl", INTERVALOID, ROW_SHAPE_VALUE},
	[INSPECT_EVENT_MAX_HOLD_TTL] = {"max_hold_ttl", INTERVALOID, ROW_SHAPE_VALUE},
	{"capacity", INT4OID, ROW_SHAPE_VALUE},
	{"max_per_user", INT4OID, ROW_SHAPE_VALUE},
	{"min_per_order", INT4OID, ROW_SHAPE_VALUE},
	{"max_per_order", INT4OID, ROW_SHAPE_VALUE},
	{"sales_start", TIMESTAMPTZOID, ROW_SHAPE_VALUE},
	{"sales_end", TIMESTAMPTZOID, ROW_SHAPE_VALUE},
	{"created_at", TIMESTAMPTZOID, ROW_SHAPE_VALUE},
	{NULL}
};

static const RowShapeColumn inventory_columns[] = {
	{"event_id", INT8OID, ROW_SHAPE_VALUE},
	{NULL}
};

static const RowShapeColumn ticket_columns[] = {
	[INSPECT_TICKET_ID] = {"ticket_id", INT8OID, ROW_SHAPE_IDENTITY},
	[INSPECT_TICKET_EVENT_ID] = {"event_id", INT8OID, ROW_SHAPE_VALUE},
	[INSPECT_TICKET_USER_ID] = {"user_id", PLAN_USER_ID, ROW_SHAPE_VALUE},
	[INSPECT_TICKET_HOLD_ID] = {"hold_id", INT8OID, ROW_SHAPE_NULLABLE},
	[INSPECT_TICKET_BOOKED_AT] = {"booked_at", TIMESTAMPTZOID, ROW_SHAPE_DEFAULT},
	[INSPECT_TICKET_CANCELLED_AT] = {"cancelled_at", TIMESTAMPTZOID, ROW_SHAPE_NULLABLE},
	{"seat", TEXTOID, ROW_SHAPE_NULLABLE},
	{"redeemed_at", TIMESTAMPTZOID, ROW_SHAPE_NULLABLE},
	{NULL}
};

static const RowShapeColumn hold_columns[] = {
	[INSPECT_HOLD_ID] = {"hold_id", INT8OID, ROW_SHAPE_IDENTITY},
	[INSPECT_HOLD_EVENT_ID] = {"event_id", INT8OID, ROW_SHAPE_VALUE},
	[INSPECT_HOLD_USER_ID] = {"user_id", PLAN_USER_ID, ROW_SHAPE_VALUE},
	[INSPECT_HOLD_QUANTITY] = {"quantity", INT4OID, ROW_SHAPE_POSITIVE},
	[INSPECT_HOLD_EXPIRES_AT] = {"expires_at", TIMESTAMPTZOID, ROW_SHAPE_VALUE},
	[INSPECT_HOLD_CREATED_AT] = {"created_at", TIMESTAMPTZOID, ROW_SHAPE_DEFAULT},
	[INSPECT_HOLD_ENDED_AT] = {"ended_at", TIMESTAMPTZOID, ROW_SHAPE_NULLABLE},
	[INSPECT_HOLD_CONFIRMED_AT] = {"confirmed_at", TIMESTAMPTZOID, ROW_SHAPE_NULLABLE},
	{NULL}
};

static const RowShapeColumn request_columns[] = {
	[INSPECT_REQUEST_EVENT_ID] = {"event_id", INT8OID, ROW_SHAPE_VALUE},
	[INSPECT_REQUEST_KEY] = {"idempotency_key", TEXTOID, ROW_SHAPE_VALUE},
	[INSPECT_REQUEST_USER_ID] = {"user_id", PLAN_USER_ID, ROW_SHAPE_VALUE},
	[INSPECT_REQUEST_QUANTITY] = {"quantity", INT4OID, ROW_SHAPE_VALUE},
	[INSPECT_REQUEST_IS_HOLD] = {"is_hold", BOOLOID, ROW_SHAPE_VALUE},
	[INSPECT_REQUEST_TTL] = {"ttl", INTERVALOID, ROW_SHAPE_NULLABLE},
	[INSPECT_REQUEST_IDS] = {"ids", INT8ARRAYOID, ROW_SHAPE_NULLABLE},
	[INSPECT_REQUEST_EXPIRES_AT] = {"expires_at", TIMESTAMPTZOID, ROW_SHAPE_NULLABLE},
	[INSPECT_REQUEST_USER_IDS] = {"user_ids", PLAN_USER_ID_ARRAY, ROW_SHAPE_NULLABLE},
	[INSPECT_REQUEST_STATUSES] = {"statuses", TEXTARRAYOID, ROW_SHAPE_NULLABLE},
	[INSPECT_REQUEST_CREATED_AT] = {"created_at", TIMESTAMPTZOID, ROW_SHAPE_DEFAULT},
	{NULL}
};

static const RowShapeColumn user_limit_columns[] = {
	[INSPECT_USER_LIMIT_EVENT_ID] = {"event_id", INT8OID, ROW_SHAPE_VALUE},
	[INSPECT_USER_LIMIT_USER_ID] = {"user_id", PLAN_USER_ID, ROW_SHAPE_VALUE},
	{NULL}
};

/* The history is looked at only when it is written (history/history.c). */
static const RowShapeColumn history_columns[] = {
	[INSPECT_HISTORY_ID] = {"history_id", INT8OID, ROW_SHAPE_IDENTITY},
	[INSPECT_HISTORY_HAPPENED_AT] = {"happened_at", TIMESTAMPTZOID, ROW_SHAPE_DEFAULT},
	[INSPECT_HISTORY_SESSION_USER_NAME] = {"session_user_name", NAMEOID, ROW_SHAPE_VALUE},
	[INSPECT_HISTORY_TABLE_NAME] = {"table_name", TEXTOID, ROW_SHAPE_VALUE},
	[INSPECT_HISTORY_ACTION] = {"action", TEXTOID, ROW_SHAPE_VALUE},
	[INSPECT_HISTORY_EVENT_ID] = {"event_id", INT8OID, ROW_SHAPE_NULLABLE},
	[INSPECT_HISTORY_USER_ID] = {"user_id", PLAN_USER_ID, ROW_SHAPE_NULLABLE},
	[INSPECT_HISTORY_TICKET_ID] = {"ticket_id", INT8OID, ROW_SHAPE_NULLABLE},
	[INSPECT_HISTORY_HOLD_ID] = {"hold_id", INT8OID, ROW_SHAPE_NULLABLE},
	[INSPECT_HISTORY_QUANTITY] = {"quantity", INT4OID, ROW_SHAPE_NULLABLE},
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

/* The type that the column must have. */
static Oid
wanted_type(const BookingTables *tables, const RowShapeColumn *column)
{
	if (column->type == PLAN_USER_ID)
		return tables->user_id_type;
	if (column->type == PLAN_USER_ID_ARRAY)
		return get_array_type(tables->user_id_type);
	return column->type;
}

/*
 * Finds the columns of a table by name, and stores where they are in shape,
 * unless that is NULL; 55000 names one that is not right.  A column that a
 * later version has added may be missing: the library is installed before
 * create_tables() is called again.
 */
static void
find_columns(const BookingTables *tables, Relation rel,
			 const RowShapeColumn *columns, RowShape *shape)
{
	for (const RowShapeColumn *spec = columns; spec->name != NULL; spec++)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(rel), spec->name);
		Oid			type;
		Oid			wanted = wanted_type(tables, spec);

		if (attnum == InvalidAttrNumber && spec->kind == ROW_SHAPE_ADDED)
			continue;
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
		if (shape != NULL)
			shape->attnum[spec - columns] = attnum;
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

/* True if the primary key consists of these two columns, in this order. */
static bool
primary_key_is(Relation rel, AttrNumber first, AttrNumber second)
{
	Relation	index = index_open(compat_primary_key(rel), AccessShareLock);
	int2vector *columns = &index->rd_index->indkey;
	bool		result = columns->dim1 == 2 && columns->values[0] == first &&
		columns->values[1] == second;

	index_close(index, AccessShareLock);
	return result;
}

/*
 * Raises 55000 unless the requests are an ordinary table whose primary key is
 * as it was made: keys are looked for in it without the executor
 * (request/key_lock.c).
 */
static void
check_request_key(Relation rel, const RowShape *shape)
{
	check_primary_key(rel);
	if (rel->rd_rel->relkind != RELKIND_RELATION)
		error_unusable(psprintf("table %s.%s is not an ordinary table",
								BOOKING_SCHEMA, RelationGetRelationName(rel)),
					   "The table is internal to pg_booking. Leave it as it was made.");
	if (!primary_key_is(rel, shape->attnum[INSPECT_REQUEST_EVENT_ID],
						shape->attnum[INSPECT_REQUEST_KEY]))
		error_no_primary_key(rel);
}

/* Checks the columns of a table, and that it has the owner of all of them. */
static void
inspect_table(const BookingTables *tables, Relation rel,
			  const RowShapeColumn *columns, RowShape *shape)
{
	find_columns(tables, rel, columns, shape);
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
	static const RowShapeColumn columns[] = {
		{"user_id", PLAN_USER_ID, ROW_SHAPE_VALUE},
		{NULL}
	};

	find_columns(tables, history, columns, NULL);
}

/*
 * Fills *shape, which is plain if a row of the history can be inserted without
 * a statement: by the owner of the tickets, who must own it for that.
 */
void
inspect_history_shape(const BookingTables *tables, Relation history,
					  RowShape *shape)
{
	shape->is_plain = false;
	if (history->rd_rel->relowner != tables->owner)
		return;
	for (const RowShapeColumn *spec = history_columns; spec->name != NULL;
		 spec++)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(history), spec->name);

		if (attnum == InvalidAttrNumber ||
			TupleDescAttr(RelationGetDescr(history), attnum - 1)->atttypid !=
				wanted_type(tables, spec))
			return;
		shape->attnum[spec - history_columns] = attnum;
	}
	row_shape_find(shape, history, history_columns, InvalidOid);
}

/* Finds by which ways rows can be read and written without a statement. */
static void
find_shapes(BookingTables *tables, const OpenTables *open, Oid ticket_trigger,
			Oid hold_trigger)
{
	RowShape   *ticket = &tables->ticket_shape;
	RowShape   *hold = &tables->hold_shape;
	RowShape   *user = &tables->user_limit_shape;

	row_shape_find(&tables->event_shape, open->event, event_columns,
				   InvalidOid);
	row_shape_find(ticket, open->ticket, ticket_columns, ticket_trigger);
	row_shape_find(hold, open->hold, hold_columns, hold_trigger);
	row_shape_find(&tables->request_shape, open->request, request_columns,
				   InvalidOid);
	row_shape_find(user, open->user_limit, user_limit_columns, InvalidOid);
	user->is_plain &=
		primary_key_is(open->user_limit,
					   user->attnum[INSPECT_USER_LIMIT_EVENT_ID],
					   user->attnum[INSPECT_USER_LIMIT_USER_ID]);
	user_index_find(&tables->ticket_user_index, open->ticket,
					ticket->attnum[INSPECT_TICKET_EVENT_ID],
					ticket->attnum[INSPECT_TICKET_USER_ID],
					ticket->attnum[INSPECT_TICKET_CANCELLED_AT]);
	user_index_find(&tables->hold_user_index, open->hold,
					hold->attnum[INSPECT_HOLD_EVENT_ID],
					hold->attnum[INSPECT_HOLD_USER_ID],
					hold->attnum[INSPECT_HOLD_ENDED_AT]);
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
	Oid			ticket_trigger = find_trigger_function(schema, "ticket_changed");
	Oid			hold_trigger = find_trigger_function(schema, "hold_changed");

	tables->owner = ticket->rd_rel->relowner;
	find_user_id_type(tables, ticket);
	inspect_table(tables, ticket, ticket_columns, &tables->ticket_shape);
	inspect_table(tables, open->event, event_columns, &tables->event_shape);
	inspect_table(tables, open->inventory, inventory_columns, NULL);
	inspect_table(tables, open->hold, hold_columns, &tables->hold_shape);
	inspect_table(tables, open->request, request_columns,
				  &tables->request_shape);
	inspect_table(tables, open->user_limit, user_limit_columns,
				  &tables->user_limit_shape);
	check_primary_key(open->event);
	check_primary_key(open->hold);
	check_request_key(open->request, &tables->request_shape);
	check_primary_key(open->user_limit);
	shape_load(&tables->pool_shape, open->inventory, &inventory_layout);
	check_pool_key(&tables->pool_shape, open->inventory);

	check_settle_trigger(open->inventory,
						 find_trigger_function(schema, "inventory_settle"));
	check_triggers(open->event, find_trigger_function(schema, "event_changed"));
	check_triggers(open->hold, hold_trigger);
	check_triggers(ticket, ticket_trigger);
	find_shapes(tables, open, ticket_trigger, hold_trigger);
}
