/*-------------------------------------------------------------------------
 *
 * call.c
 *	  Running as the owner of the tables for the time of one call.
 *
 * The technique is that of the foreign keys' checks (ri_triggers.c): the user
 * is switched together with SECURITY_LOCAL_USERID_CHANGE, under which SET ROLE
 * and the like are refused.  An error restores the user as it always does.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "server/call.h"

/*
 * Raises 25006 in a read-only transaction and on a standby, and 25000 in a
 * parallel operation.  The function is named in the message.
 */
void
call_check_may_write(const char *function)
{
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
}

/*
 * Makes the owner the current user until call_end().  user_id_type is the
 * type of users' ids in the tables of the call, or InvalidOid.  They are
 * compared by their bytes, unless the caller says otherwise.
 */
void
call_begin(Call *call, Oid owner, Oid user_id_type)
{
	call->owner = owner;
	call->user_id_type = user_id_type;
	call->user_id_collation = InvalidOid;
	call->user_id_by_image = true;
	call->guc_level = 0;
	GetUserIdAndSecContext(&call->caller, &call->caller_context);
	SetUserIdAndSecContext(owner, call_context(call));
}

/* By what a trigger function is fired, as a bit of the mask; 0: by neither. */
static int
fired_by(TriggerEvent event)
{
	if (!TRIGGER_FIRED_AFTER(event))
		return 0;
	if (TRIGGER_FIRED_FOR_ROW(event))
		return CALL_AFTER_ROW;
	if (TRIGGER_FIRED_BY_INSERT(event))
		return CALL_AFTER_INSERT;
	return TRIGGER_FIRED_BY_TRUNCATE(event) ? CALL_AFTER_TRUNCATE :
											  CALL_AFTER_CHANGE;
}

/*
 * Returns the data of the trigger that calls the function.  Raises 39P01 if it
 * is not fired by one of these events.
 */
TriggerData *
call_trigger_data(FunctionCallInfo fcinfo, const char *function, int allowed)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || (fired_by(data->tg_event) & allowed) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"booking.%s\" must be called by a trigger that pg_booking attaches",
						function)));
	return data;
}

/* The statement that fires a trigger, for messages. */
const char *
call_statement(TriggerEvent event)
{
	if (TRIGGER_FIRED_BY_INSERT(event))
		return "INSERT";
	if (TRIGGER_FIRED_BY_UPDATE(event))
		return "UPDATE";
	return TRIGGER_FIRED_BY_DELETE(event) ? "DELETE" : "TRUNCATE";
}

/*
 * True if a row version is still the newest.  Another trigger of the table may
 * have updated or deleted it since; then our trigger was called for that, too.
 * (The checks of foreign keys look at this in the same way.)
 */
bool
call_row_is_newest(const TriggerData *data, TupleTableSlot *slot)
{
	return table_tuple_satisfies_snapshot(data->tg_relation, slot,
										  SnapshotSelf);
}

/* True if this transaction has written the old row version. */
bool
call_old_row_is_ours(const TriggerData *data)
{
	return TransactionIdIsCurrentTransactionId(
		HeapTupleHeaderGetXmin(data->tg_trigtuple->t_data));
}

/* The depth of triggers: 0 outside of any. */
int
call_trigger_depth(void)
{
	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0));
}

/*
 * True if rows of the table were changed for which AFTER triggers are still to
 * fire, deferred ones included.
 */
bool
call_has_pending_triggers(Oid table)
{
	List	   *tables;
	ListCell   *lc;

	if (get_rel_relkind(table) != RELKIND_PARTITIONED_TABLE)
		return AfterTriggerPendingOnRel(table);
	tables = find_all_inheritors(table, NoLock, NULL);
	foreach(lc, tables)
	{
		if (AfterTriggerPendingOnRel(lfirst_oid(lc)))
			return true;
	}
	return false;
}

/* Ends a call: the caller is the current user again, with its search_path. */
void
call_end(Call *call)
{
	if (call->guc_level != 0)
		AtEOXact_GUC(true, call->guc_level);
	SetUserIdAndSecContext(call->caller, call->caller_context);
}

/* Makes the caller the current user again, until call_resume(). */
void
call_suspend(const Call *call)
{
	SetUserIdAndSecContext(call->caller, call->caller_context);
}

void
call_resume(const Call *call)
{
	SetUserIdAndSecContext(call->owner, call_context(call));
}

/*
 * The security context of a call.  SECURITY_NOFORCE_RLS of an outer call does
 * not extend to it.
 */
int
call_context(const Call *call)
{
	return (call->caller_context & ~SECURITY_NOFORCE_RLS) |
		SECURITY_LOCAL_USERID_CHANGE;
}

/*
 * Sets search_path to pg_catalog until call_end(), unless the caller owns the
 * tables.  To be called before anything runs that may be a user's code:
 * triggers, policies, functions of indexes.  Such code runs as the owner, and
 * the caller's search_path must not decide what it finds.
 */
void
call_guard_search_path(Call *call)
{
	if (call->caller != call->owner)
		call_fix_search_path(call);
}

/* The same even if the caller owns the tables. */
void
call_fix_search_path(Call *call)
{
	if (call->guc_level != 0)
		return;
	call->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}
