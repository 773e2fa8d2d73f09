/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Keeps statements of the user's from changing a pool table.
 *
 * Clean-ups of test suites empty all tables that they find, and admin sites
 * offer all tables for editing.  A pool table that is changed in this way sells
 * places twice or not at all.  pool.c writes it below the level of statements,
 * so its trigger sees statements of others only, and the few of ours that lift
 * the guard.  Against the owner's intent it protects no more than any trigger.
 *
 * INSERT is not refused: a dump that is restored inserts the rows, and ours
 * must be able to fire the trigger by it (pending.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"
#include "utils/rel.h"

#include "pool/guard.h"
#include "server/call.h"
#include "server/errors.h"

bool		guard_importing = false;

/*
 * Lifts the guard for statements of ours, until the caller ends the GUC nest
 * level that it has begun.
 */
void
guard_lift(void)
{
	(void) set_config_option("booking.importing", "on", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* Raises 55000: the statement that fires the trigger changes a pool table. */
void
guard_refuse(const TriggerData *data, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s is refused: table %s.%s is kept by pg_booking",
					call_statement(data->tg_event), BOOKING_SCHEMA,
					RelationGetRelationName(data->tg_relation)),
			 errhint("%s", hint)));
}
