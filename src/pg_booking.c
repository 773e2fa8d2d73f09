/*-------------------------------------------------------------------------
 *
 * pg_booking.c
 *	  The module: its magic block, its settings, its callbacks.
 *
 * Nothing needs to be preloaded, and there is no background worker: the first
 * call of a function in a session loads the library.  README.md in this folder
 * shows how the code is arranged.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "constraint/condition.h"
#include "constraint/definition.h"
#include "history/history_table.h"
#include "hold/expiry.h"
#include "lock/lock_assert.h"
#include "lock/lock_table.h"
#include "pool/guard.h"
#include "pool/pending.h"
#include "pool/pool.h"
#include "server/compat.h"
#include "server/fault.h"
#include "server/plan.h"
#include "server/rowwriter.h"
#include "tables/tables.h"
#include "ticket/ticket.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

/* Declares the settings and registers the callbacks; once a session. */
void
_PG_init(void)
{
	DefineCustomBoolVariable("booking.direct_path",
							 "Inserts rows by direct table access if that does all that INSERT would do.",
							 "If off, every row is inserted by an SQL statement. The results are the same.",
							 &row_shape_direct_path,
							 true,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("booking.importing",
							 "Loads tickets and holds without asking the sale rules.",
							 "For rows that were sold before. It counts only for the owner of the tables.",
							 &guard_importing,
							 false,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("booking.debug_split_always",
							 "Splits an event's inventory at every booking.",
							 "For tests of pg_booking: it makes what otherwise happens under load only.",
							 &pool_debug_split_always,
							 false,
							 PGC_SUSET,
							 GUC_NOT_IN_SAMPLE | GUC_NO_SHOW_ALL,
							 NULL, NULL, NULL);

	fault_init();
	MarkGUCPrefixReserved("booking");

	tables_init();
	plan_init();
	row_writer_init();
	pool_init();
	condition_init();
	definition_init();
	pending_init();
	expiry_init();
	history_table_init();
	lock_table_init();
	lock_assert_init();
}
