/*-------------------------------------------------------------------------
 *
 * subtransaction.c
 *	  A part of a call that can be undone, with the row locks that it took.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "subtransaction.h"

#include "access/xact.h"
#include "utils/resowner.h"

/*
 * Does the work in a subtransaction, which is committed if the work returns
 * true, and rolled back if it returns false or raises an error; the error goes
 * on to the caller.  (Unless it is rolled back here an error would leave the
 * session in a failed transaction block that nobody has begun.)
 *
 * The search_path is guarded before, for what is set within ends with it.
 */
bool
booking_run_subtransaction(BookingCall *call, SubTransactionWork work,
						   void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;
	ErrorData  *volatile error = NULL;

	booking_guard_search_path(call);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		done = work(call, arg);
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
