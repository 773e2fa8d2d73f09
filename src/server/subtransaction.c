/*-------------------------------------------------------------------------
 *
 * subtransaction.c
 *	  A part of a call that can be undone, with the row locks that it took.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/resowner.h"

#include "server/fault.h"
#include "server/subtransaction.h"

/*
 * Runs the work in a subtransaction, which is committed if the work returns
 * true, and rolled back if it returns false or raises an error.  The error is
 * raised again after the rollback: otherwise it would leave the session in a
 * failed transaction block that no user has begun.
 *
 * The search_path is put aside first, because what is set within a
 * subtransaction ends with it.
 */
bool
subtransaction_run(Call *call, SubtransactionWork work, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;
	ErrorData  *volatile error = NULL;

	call_guard_search_path(call);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		done = work(arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();

	fault_point("subtransaction: before its end");
	if (done)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL)
		ReThrowError(error);
	return done;
}
