/*-------------------------------------------------------------------------
 *
 * call.h
 *	  Running as the owner of the tables for the time of one call.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef CALL_H
#define CALL_H

#include "commands/trigger.h"
#include "fmgr.h"

/* What a trigger function may be fired by; a bit mask. */
#define CALL_AFTER_ROW 1
#define CALL_AFTER_INSERT 2		/* a statement, as is TRUNCATE */
#define CALL_AFTER_TRUNCATE 4
#define CALL_AFTER_CHANGE 8		/* an UPDATE or DELETE, as a statement */

/*
 * One call into pg_booking.  The caller has granted EXECUTE on a function, or
 * may write a table; what the call does to internal tables it does as their
 * owner, as the check of a foreign key does.
 */
typedef struct Call
{
	Oid			owner;			/* the current user between begin and end */
	Oid			user_id_type;	/* what PLAN_USER_ID stands for (plan.h) */
	Oid user_id_collation;		/* by which users' ids are compared, if any */
	bool user_id_by_image;		/* equal ids have the same bytes (user_id.c) */
	Oid			caller;			/* the current user before */
	int			caller_context;
	int			guc_level;		/* of our search_path; 0: the caller's holds */
} Call;

extern void call_check_may_write(const char *function);
extern void call_begin(Call *call, Oid owner, Oid user_id_type);
extern void call_end(Call *call);
extern void call_suspend(const Call *call);
extern void call_resume(const Call *call);
extern int	call_context(const Call *call);
extern TriggerData *call_trigger_data(FunctionCallInfo fcinfo,
									  const char *function, int allowed);
extern const char *call_statement(TriggerEvent event);
extern bool call_row_is_newest(const TriggerData *data, TupleTableSlot *slot);
extern bool call_old_row_is_ours(const TriggerData *data);
extern int	call_trigger_depth(void);
extern bool call_has_pending_triggers(Oid table);
extern void call_guard_search_path(Call *call);
extern void call_fix_search_path(Call *call);

#endif							/* CALL_H */
