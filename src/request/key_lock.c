/*-------------------------------------------------------------------------
 *
 * key_lock.c
 *	  Locks an idempotency key.
 *
 * A key is locked in two ways, one after the other.  During the call it is a
 * lock on its name (server/name_lock.c).  A call that succeeds ends by
 * inserting the key's row, which is the lock from then on until the commit: who
 * finds it uncommitted waits for its transaction.  So a refusal writes nothing,
 * and a transaction can use any number of keys.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/skey.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "request/key_lock.h"
#include "server/name_lock.h"
#include "server/rowversion.h"

/*
 * Locks the key of the event.  Waits for a call with the same key, and for a
 * transaction that has made one and is still open.  Returns true if the key has
 * a row then: committed, or of this transaction.  rel is booking.request.
 * Raises 55000 if this call is part of another one with the same key.
 */
bool
key_lock_begin(Relation rel, int64 event_id, text *key)
{
	ScanKeyData keys[2];
	TransactionId writer;
	ItemPointerData tid;
	bool		found;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(event_id));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_TEXTEQ,
				PointerGetDatum(key));
	for (;;)
	{
		if (name_lock_acquire(NAME_LOCK_KEY, event_id, key, true) ==
			LOCKACQUIRE_ALREADY_HELD)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the request with this idempotency key has no answer"),
					 errhint("A trigger must not send the key of the statement that fired it.")));
		found = row_version_find(rel, keys, 2, &writer, &tid);
		if (!TransactionIdIsValid(writer))
			return found || row_version_exists(rel, keys, 2);
		/* or the writer, if it sends the key again, would wait for us */
		key_lock_end(event_id, key);
		CHECK_FOR_INTERRUPTS();
		XactLockTableWait(writer, rel, &tid, XLTW_InsertIndexUnique);
	}
}

/*
 * Ends the call's lock on the key.  If the call has failed, the end of its
 * (sub)transaction does so.
 */
void
key_lock_end(int64 event_id, text *key)
{
	name_lock_release(NAME_LOCK_KEY, event_id, key);
}
