/*-------------------------------------------------------------------------
 *
 * lock_holder.c
 *	  Does a token still prove that its holder has the lock?
 *
 * No clock takes part here.  A lock that has expired and that no other owner
 * has acquired is still its holder's.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "lock/lock_change.h"
#include "lock/lock_holder.h"
#include "server/errors.h"

/*
 * Raises 23T09: the token is not the lock's, or not any more.  holder is who
 * has the lock now, or NULL.
 */
pg_noreturn static void
error_lost(text *resource, int64 token, const LockRow *holder)
{
	const char *name = text_to_cstring(resource);

	ereport(ERROR,
			(errcode(ERRCODE_LOCK_LOST),
			 errmsg("lock \"%s\" is lost", name),
			 holder == NULL ?
				 errdetail("Token " INT64_FORMAT " is not the lock's, which has no holder.",
						   token) :
				 holder->expires_at > GetCurrentTimestamp() ?
				 errdetail("Token " INT64_FORMAT " is not the lock's. Owner \"%s\" has it until %s.",
						   token, text_to_cstring(holder->owner),
						   timestamptz_to_str(holder->expires_at)) :
				 errdetail("Token " INT64_FORMAT " is not the lock's. Owner \"%s\" had it until %s, and none has acquired it since.",
						   token, text_to_cstring(holder->owner),
						   timestamptz_to_str(holder->expires_at)),
			 errhint("Roll back what was written under the lock, and acquire it again."),
			 error_fields(LOCK_TABLE_NAME, "token", "resource_lock_token")));
}

/*
 * Pins the newest version of the lock's row if it has the token.  Otherwise
 * returns false: row->owner is NULL if the lock has no row.
 */
bool
lock_holder_pin(LockCall *call, text *resource, int64 token, LockRow *row)
{
	if (!lock_row_pin(call, resource, row))
	{
		row->owner = NULL;
		return false;
	}
	if (row->token == token)
		return true;
	lock_row_unpin(row);
	return false;
}

/*
 * Locks the row until the transaction ends, after waiting for a transaction
 * that has it locked in a mode that conflicts, and leaves it pinned.  Raises
 * 23T09 if the token is not the lock's by then.  Raises 40001 as
 * lock_change_check() says; a token that is lost is 23T09 even then,
 * because trying again would not help.
 */
void
lock_holder_lock(LockCall *call, text *resource, int64 token,
				 LockTupleMode mode, LockRow *row)
{
	int			attempts = 0;

	do
	{
		lock_row_check_attempts(&attempts);
		if (!lock_holder_pin(call, resource, token, row))
			error_lost(resource, token, row->owner == NULL ? NULL : row);
	} while (lock_row_lock(call, row, mode, true) != LOCK_ROW_OK);
	lock_change_check(call, resource);
}
