/*-------------------------------------------------------------------------
 *
 * trigger.c
 *	  What the triggers of all features need.
 *
 * The triggers fire AFTER each row.  A BEFORE trigger may be followed by
 * another one that changes or drops the row; an AFTER trigger sees what was
 * stored.
 *
 * Every user may attach a trigger function to a table of his own.  So each
 * checks that it was fired by the table that it is for.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "utils/combocid.h"
#include "utils/rel.h"

#include "server/errors.h"
#include "tables/trigger.h"

/*
 * Begins the call of a trigger and returns its data.  Raises 39P01 unless it
 * was fired after a row, or after TRUNCATE.
 */
TriggerData *
trigger_begin(FunctionCallInfo fcinfo, BookingCall *call, const char *function)
{
	TriggerData *data = call_trigger_data(fcinfo, function,
										  CALL_AFTER_ROW | CALL_AFTER_TRUNCATE);

	booking_call_begin(call, function);
	return data;
}

/* Raises 39P01 unless the trigger was fired by this table of ours. */
void
trigger_check_table(TriggerData *data, const char *function, Oid table)
{
	if (!booking_call_is_our_table(data->tg_relation, table))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"booking.%s\" must not be called by a trigger on table \"%s\"",
						function, RelationGetRelationName(data->tg_relation))));
}

/*
 * Returns the number of a column.  It is found by name, because a partition may
 * have it in another place; without the system caches, which cost more.
 */
static AttrNumber
column_number(Relation rel, const char *column)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (strcmp(NameStr(att->attname), column) == 0 && !att->attisdropped)
			return att->attnum;
	}
	/* can't happen: inspect.c has found all of them */
	error_unusable(psprintf("table \"%s\" has no column \"%s\"",
							RelationGetRelationName(rel), column),
				   "Rename it back.");
}

/* Returns a column of a row. */
Datum
trigger_value(Relation rel, TupleTableSlot *slot, const char *column,
			  bool *isnull)
{
	return slot_getattr(slot, column_number(rel, column), isnull);
}

/* The same; raises 23502 if it is null, its NOT NULL having been dropped. */
Datum
trigger_value_not_null(Relation rel, TupleTableSlot *slot, const char *column)
{
	bool		isnull;
	Datum		value = trigger_value(rel, slot, column, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("column \"%s\" of table \"%s\" must not be null",
						column, RelationGetRelationName(rel)),
				 errtablecol(rel, column_number(rel, column))));
	return value;
}

/*
 * Returns the command of this transaction that has removed the old version of
 * the row, or InvalidCommandId.
 */
CommandId
trigger_removed_in(const TriggerData *data)
{
	HeapTupleHeader header = data->tg_trigtuple->t_data;

	if (!TransactionIdIsCurrentTransactionId(
			HeapTupleHeaderGetUpdateXid(header)))
		return InvalidCommandId;
	return HeapTupleHeaderGetCmax(header);
}
