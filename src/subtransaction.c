/*-------------------------------------------------------------------------
 *
 * subtransaction.c
 *	  A subtransaction within a call.
 *
 * An error in it is not caught here: it ends the caller's transaction, or the
 * savepoint that the caller has set, and this with it.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "subtransaction.h"

#include "access/xact.h"

/*
 * Begins one, in the caller's memory context.  The search_path is guarded
 * before, for what is set within ends with it.
 */
void
subtransaction_begin(BookingCall *call, SubTransaction *sub)
{
	booking_guard_search_path(call);
	sub->context = CurrentMemoryContext;
	sub->owner = CurrentResourceOwner;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(sub->context);
}

/* Goes back to where it was begun. */
static void
return_to_caller(SubTransaction *sub)
{
	MemoryContextSwitchTo(sub->context);
	CurrentResourceOwner = sub->owner;
}

/* Makes what it did the caller's. */
void
subtransaction_commit(SubTransaction *sub)
{
	ReleaseCurrentSubTransaction();
	return_to_caller(sub);
}

/* Undoes what it did, and lets go of its row locks. */
void
subtransaction_roll_back(SubTransaction *sub)
{
	RollbackAndReleaseCurrentSubTransaction();
	return_to_caller(sub);
}
