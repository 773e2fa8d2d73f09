/*-------------------------------------------------------------------------
 *
 * lock_assert.c
 *	  assert_lock(): what was written under a lock commits only while it holds.
 *
 * An assertion share-locks the row of the lock until the transaction ends, so
 * that no other owner can take the lock over before what was written under it
 * is committed.  It is made at once, or just before the commit.  The latter
 * delays renewals and releases for a shorter time.
 *
 * Assertions for the commit are kept in a list.  They are as transactional as
 * the rows: a savepoint that is rolled back takes its assertions with it, one
 * that is released hands them to its parent.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "lock/lock_assert.h"
#include "lock/lock_holder.h"

/* An assertion that is checked before the commit. */
typedef struct Assertion
{
	text	   *resource;
	int64		token;
	int			level;			/* of subtransactions */
	int			released_at;	/* the level that released the lock, or 0 */
} Assertion;

/* Those of this transaction.  In TopTransactionContext. */
static List *assertions = NIL;

/* Compares names by their bytes, as the primary key does. */
static int
compare_names(const text *a, const text *b)
{
	int			length_a = (int) VARSIZE_ANY_EXHDR(a);
	int			length_b = (int) VARSIZE_ANY_EXHDR(b);
	int			result = memcmp(VARDATA_ANY(a), VARDATA_ANY(b),
								Min(length_a, length_b));

	return result != 0 ? result : length_a - length_b;
}

/* True if this was asserted. */
static bool
is_assertion_of(const Assertion *assertion, const text *resource, int64 token)
{
	return assertion->token == token &&
		compare_names(assertion->resource, resource) == 0;
}

/* The order in which the assertions are checked. */
static int
compare_assertions(const ListCell *a, const ListCell *b)
{
	return compare_names(((Assertion *) lfirst(a))->resource,
						 ((Assertion *) lfirst(b))->resource);
}

/*
 * Share-locks the row of the lock until the transaction ends.  Waits for a
 * transaction that is renewing or releasing it.  Raises 23T09 and 40001 as
 * lock_holder_lock() does.  FOR KEY SHARE would not do: a take-over is a NO KEY
 * UPDATE.
 */
void
lock_assert_now(text *resource, int64 token)
{
	LockCall	call;
	LockRow		row;

	lock_table_begin(&call, RowExclusiveLock);
	lock_holder_lock(&call, resource, token, LockTupleShare, &row);
	lock_row_unpin(&row);
	lock_table_end(&call);
}

/* Does the same before the transaction commits or is prepared. */
void
lock_assert_at_commit(text *resource, int64 token)
{
	MemoryContext old;
	Assertion  *assertion;
	ListCell   *lc;

	foreach(lc, assertions)
	{
		assertion = lfirst(lc);
		if (assertion->released_at == 0 &&
			is_assertion_of(assertion, resource, token))
			return;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	assertion = palloc0(sizeof(Assertion));
	assertion->resource =
		DatumGetTextPCopy(PointerGetDatum(resource));
	assertion->token = token;
	assertion->level = GetCurrentTransactionNestLevel();
	assertions = lappend(assertions, assertion);
	MemoryContextSwitchTo(old);
}

/*
 * To be called when this transaction has released the lock.  What was asserted
 * for the commit holds from now on, because nothing can change the row before
 * the commit.  It is not checked again: the row is gone then.
 */
void
lock_assert_released(text *resource, int64 token)
{
	ListCell   *lc;

	foreach(lc, assertions)
	{
		Assertion  *assertion = lfirst(lc);

		if (assertion->released_at == 0 &&
			is_assertion_of(assertion, resource, token))
			assertion->released_at = GetCurrentTransactionNestLevel();
	}
}

/*
 * Checks the assertions.  They are sorted, so two transactions that have
 * asserted the same locks lock them in the same order.
 */
static void
check_all(void)
{
	ListCell   *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	list_sort(assertions, compare_assertions);
	foreach(lc, assertions)
	{
		Assertion  *assertion = lfirst(lc);

		if (assertion->released_at == 0)
			lock_assert_now(assertion->resource, assertion->token);
	}
	PopActiveSnapshot();
}

/* Checks the assertions before the commit, and forgets them at the end. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if ((event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE) &&
		assertions != NIL)
		check_all();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE ||
		event == XACT_EVENT_ABORT)
		assertions = NIL;		/* the memory goes with the transaction's */
}

/*
 * At the end of a subtransaction its assertions and releases become its
 * parent's, or are undone.  The nest level is still the subtransaction's own.
 */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	ListCell   *lc;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(lc, assertions)
	{
		Assertion  *assertion = lfirst(lc);

		if (event == SUBXACT_EVENT_COMMIT_SUB)
		{
			assertion->level = Min(assertion->level, level - 1);
			assertion->released_at = Min(assertion->released_at, level - 1);
		}
		else if (assertion->level == level)
			assertions = foreach_delete_current(assertions, lc);
		else if (assertion->released_at == level)
			assertion->released_at = 0;
	}
}

/* Registers the callbacks; once a session. */
void
lock_assert_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
