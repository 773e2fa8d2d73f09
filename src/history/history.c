/*-------------------------------------------------------------------------
 *
 * history.c
 *	  The triggers of the history of tickets and holds.
 *
 * keep_history() attaches them.  One keeps the history; until then it costs
 * nothing.  The other refuses every change of what is written, except that of
 * forget_user() if the owner of the history calls that.
 *
 * The first writes as the tables' owner, so that a change by plain SQL is
 * recorded whatever rights its user has on the history.  It records the
 * session's user: inside our functions the current user is the owner, except in
 * those that run with the rights of the caller.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "event/handover.h"
#include "history/history_table.h"
#include "server/compat.h"
#include "server/plan.h"
#include "server/rowwriter.h"
#include "tables/moved_row.h"
#include "tables/trigger.h"
#include "tables/user_id.h"

SQL_FUNCTION(booking_record_history);
SQL_FUNCTION(booking_refuse_history_change);

static SqlPlan record_plan = {
	.sql = "INSERT INTO booking.history"
		   " (session_user_name, table_name, action, event_id, user_id, ticket_id, hold_id, quantity)"
		   " VALUES (SESSION_USER, $1, $2, $3, $4, $5, $6, $7)",
	.nargs = 7,
	.argtypes = { TEXTOID, TEXTOID, INT8OID, PLAN_USER_ID, INT8OID, INT8OID,
				  INT4OID },
};

/* A version of a row. */
typedef struct Version
{
	Relation	rel;
	TupleTableSlot *slot;
} Version;

/* True if the column was null and has a value now. */
static bool
was_set(const Version *old, const Version *new, const char *column)
{
	bool		before;
	bool		after;

	(void) trigger_value(old->rel, old->slot, column, &before);
	(void) trigger_value(new->rel, new->slot, column, &after);
	return before && !after;
}

/* True if the row has become another user's. */
static bool
user_changed(const BookingCall *call, const Version *old, const Version *new)
{
	bool		was_null;
	bool		is_null;
	Datum		before = trigger_value(old->rel, old->slot, "user_id", &was_null);
	Datum		after = trigger_value(new->rel, new->slot, "user_id", &is_null);

	if (was_null || is_null)
		return was_null != is_null;
	return !user_id_equal(&call->base, before, after);
}

/* True if the row has come to another event. */
static bool
event_changed(const Version *old, const Version *new)
{
	bool		isnull;
	Datum		before = trigger_value(old->rel, old->slot, "event_id", &isnull);
	Datum		after = trigger_value(new->rel, new->slot, "event_id", &isnull);

	return DatumGetInt64(before) != DatumGetInt64(after);
}

/* Returns what an UPDATE has done to a ticket. */
static const char *
ticket_action(const BookingCall *call, const Version *old, const Version *new)
{
	if (was_set(old, new, "cancelled_at"))
		return "cancelled";
	if (was_set(new, old, "cancelled_at"))
		return "reinstated";
	if (was_set(old, new, "redeemed_at"))
		return "redeemed";
	if (was_set(new, old, "redeemed_at"))
		return "unredeemed";
	if (user_changed(call, old, new))
		return handover_is_forgetting("ticket") ? "user_forgotten" :
												  "transferred";
	return event_changed(old, new) ? "moved" : "changed";
}

/* Returns what an UPDATE has done to a hold. */
static const char *
hold_action(const BookingCall *call, const Version *old, const Version *new)
{
	TimestampTz ended;
	TimestampTz before;
	TimestampTz after;
	bool		isnull;

	ended = DatumGetTimestampTz(
		trigger_value(new->rel, new->slot, "ended_at", &isnull));
	before = DatumGetTimestampTz(
		trigger_value(old->rel, old->slot, "expires_at", &isnull));
	after = DatumGetTimestampTz(
		trigger_value(new->rel, new->slot, "expires_at", &isnull));
	if (was_set(old, new, "confirmed_at"))
		return "confirmed";
	if (was_set(old, new, "ended_at"))
		return ended < after ? "released" : "expired";
	if (user_changed(call, old, new))
		return handover_is_forgetting("hold") ? "user_forgotten" :
												"transferred";
	return after > before ? "extended" : "changed";
}

/* Returns what an INSERT has done to a ticket. */
static const char *
arrival_action(const BookingCall *call, const TriggerData *data)
{
	Version		new = {data->tg_relation, data->tg_trigslot};
	Version		old;
	MovedRow	moved;
	const char *action;

	if (!moved_row_arrives(data, &moved))
		return handover_is_by_staff() ? "booked_by_staff" : "booked";
	old.rel = moved.rel;
	old.slot = moved.slot;
	action = ticket_action(call, &old, &new);
	moved_row_close(&moved);
	return action;
}

/*
 * Returns what the statement has done to the row; NULL if that is recorded when
 * the row arrives in another partition.
 */
static const char *
action_of(const BookingCall *call, const TriggerData *data, bool is_hold)
{
	Version		old = {data->tg_relation, data->tg_trigslot};
	Version		new = {data->tg_relation, data->tg_newslot};

	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		return is_hold ? "held" : arrival_action(call, data);
	if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		return !is_hold && moved_row_leaves(data) ? NULL : "deleted";
	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		return "truncated";
	return is_hold ? hold_action(call, &old, &new) :
					 ticket_action(call, &old, &new);
}

/* The arguments of record_plan, in its order. */
static const int argument_columns[] = {
	INSPECT_HISTORY_TABLE_NAME,
	INSPECT_HISTORY_ACTION,
	INSPECT_HISTORY_EVENT_ID,
	INSPECT_HISTORY_USER_ID,
	INSPECT_HISTORY_TICKET_ID,
	INSPECT_HISTORY_HOLD_ID,
	INSPECT_HISTORY_QUANTITY
};

/* Copies a column of the row into the arguments of the statement. */
static void
copy_column(Relation rel, TupleTableSlot *slot, const char *column, int place,
			Datum *values, char *nulls)
{
	bool		isnull;

	values[place] = trigger_value(rel, slot, column, &isnull);
	if (!isnull)
		nulls[place] = ' ';
}

/* Inserts a row of the history without a statement, as record_plan would. */
static void
insert_directly(BookingCall *call, const RowShape *shape, Relation history,
				const Datum *values, const char *nulls)
{
	NameData	session_user;
	RowWriter	writer;
	TupleTableSlot *slot;

	namestrcpy(&session_user, GetUserNameFromId(GetSessionUserId(), false));
	booking_call_open_writer(call, shape, history, &writer);
	slot = writer.slot;
	row_writer_begin_row(&writer, slot);
	row_writer_set(slot, shape->attnum[INSPECT_HISTORY_ID],
				   Int64GetDatum(nextval_internal(shape->id_sequence, false)));
	row_writer_set(slot, shape->attnum[INSPECT_HISTORY_SESSION_USER_NAME],
				   NameGetDatum(&session_user));
	for (int i = 0; i < (int) lengthof(argument_columns); i++)
	{
		if (nulls[i] == ' ')
			row_writer_set(slot, shape->attnum[argument_columns[i]],
						   values[i]);
	}
	row_writer_insert(&writer);
	booking_call_close_writer(&writer);
}

/* Writes a row of the history. */
static void
record(BookingCall *call, const TriggerData *data, bool is_hold,
	   const char *action)
{
	Relation	rel = data->tg_relation;
	Datum		values[lengthof(argument_columns)] = {0};
	char		nulls[] = "  nnnnn";
	RowShape	shape;
	Relation	history;

	values[0] = CStringGetTextDatum(is_hold ? "hold" : "ticket");
	values[1] = CStringGetTextDatum(action);
	if (!TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
	{
		TupleTableSlot *slot = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ?
			data->tg_newslot :
			data->tg_trigslot;

		copy_column(rel, slot, "event_id", 2, values, nulls);
		copy_column(rel, slot, "user_id", 3, values, nulls);
		copy_column(rel, slot, "hold_id", 5, values, nulls);
		if (is_hold)
			copy_column(rel, slot, "quantity", 6, values, nulls);
		else
			copy_column(rel, slot, "ticket_id", 4, values, nulls);
	}
	history = history_table_open(call, &shape);
	if (history != NULL)
	{
		insert_directly(call, &shape, history, values, nulls);
		table_close(history, NoLock);
		return;
	}
	plan_connect_for_all_rows(&call->base);
	(void) plan_execute(&call->base, &record_plan, values, nulls);
	plan_disconnect(&call->base);
}

/* The trigger of the ticket and hold tables, after a row or a TRUNCATE. */
Datum
booking_record_history(PG_FUNCTION_ARGS)
{
	BookingCall call;
	TriggerData *data = trigger_begin(fcinfo, &call, "record_history");
	bool		is_hold =
		booking_call_is_our_table(data->tg_relation, call.tables.hold);
	const char *action;

	trigger_check_table(data, "record_history",
						is_hold ? call.tables.hold : call.tables.ticket);
	action = action_of(&call, data, is_hold);
	if (action != NULL)
		record(&call, data, is_hold, action);
	booking_call_end(&call);
	PG_RETURN_POINTER(NULL);
}

/*
 * The trigger of the history, before an UPDATE, DELETE or TRUNCATE.  Raises
 * 55000, unless the statement is forget_user()'s and the current user owns the
 * history.  No other statement can pass: see handover_is_forgetting().
 */
Datum
booking_refuse_history_change(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_FOR_STATEMENT(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"booking.%s\" must be called by a trigger that pg_booking attaches",
						"refuse_history_change")));
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event) &&
		handover_is_forgetting("history") &&
		compat_owns_table(RelationGetRelid(data->tg_relation), GetUserId()))
		PG_RETURN_POINTER(NULL);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s is refused: table booking.history is append-only",
					call_statement(data->tg_event)),
			 errhint("To remove old rows, the table's owner can disable the trigger booking_history_is_append_only.")));
}
