/*-------------------------------------------------------------------------
 *
 * user_lock.c
 *	  Locks a user at an event until the transaction ends.
 *
 * The lock is the user's row in booking.user_limit, which is inserted if it is
 * missing.  Only events with a limit have such rows, and those for which users
 * asked with on_held => 'return'.  Several users are locked in the order of
 * their ids.
 *
 * One user is locked without a statement if the table is plain.  Under
 * REPEATABLE READ and SERIALIZABLE a statement does it, because that knows when
 * to raise 40001.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "event/user_lock.h"
#include "server/plan.h"
#include "server/rowversion.h"
#include "server/rowwriter.h"
#include "tables/user_id.h"

/* $2 is ascending, and unnest() returns it in its order. */
static SqlPlan add_users_plan = {
	.sql = "INSERT INTO booking.user_limit (event_id, user_id)"
		   " SELECT $1, u FROM pg_catalog.unnest($2) AS u"
		   " ON CONFLICT (event_id, user_id) DO NOTHING",
	.nargs = 2,
	.argtypes = { INT8OID, PLAN_USER_ID_ARRAY },
};

static SqlPlan lock_users_plan = {
	.sql = "SELECT 1 FROM booking.user_limit"
		   " WHERE event_id OPERATOR(pg_catalog.=) $1"
		   " AND user_id OPERATOR(pg_catalog.=) ANY ($2)"
		   " ORDER BY user_id FOR NO KEY UPDATE",
	.nargs = 2,
	.argtypes = { INT8OID, PLAN_USER_ID_ARRAY },
};

/* Prepares the search for the user's row in the primary key. */
static void
init_keys(ScanKey keys, const BookingCall *call, int64 event_id,
		  Datum user_id)
{
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(event_id));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber,
				user_index_eq(call->tables.user_id_type), user_id);
}

/*
 * Inserts the user's row, which locks him.  Returns false if another
 * transaction has inserted it just now.
 */
static bool
insert_row(BookingCall *call, Relation rel, int64 event_id, Datum user_id)
{
	const RowShape *shape = &call->tables.user_limit_shape;
	RowWriter	writer;
	bool		inserted;

	booking_call_open_writer(call, shape, rel, &writer);
	row_writer_begin_row(&writer, writer.slot);
	row_writer_set(writer.slot, shape->attnum[INSPECT_USER_LIMIT_EVENT_ID],
				   Int64GetDatum(event_id));
	row_writer_set(writer.slot, shape->attnum[INSPECT_USER_LIMIT_USER_ID],
				   user_id);
	inserted = row_writer_try_insert(&writer);
	booking_call_close_writer(&writer);
	return inserted;
}

/* True if the version is the user's: its TID may be another row's now. */
static bool
is_of(const BookingCall *call, Relation rel, HeapTuple tuple, int64 event_id,
	  Datum user_id)
{
	const AttrNumber *attnum = call->tables.user_limit_shape.attnum;
	bool		isnull;
	int64		found_event = DatumGetInt64(
		heap_getattr(tuple, attnum[INSPECT_USER_LIMIT_EVENT_ID],
					 RelationGetDescr(rel), &isnull));
	Datum		found_user = heap_getattr(tuple,
										  attnum[INSPECT_USER_LIMIT_USER_ID],
										  RelationGetDescr(rel), &isnull);

	return found_event == event_id &&
		user_id_equal(&call->base, found_user, user_id);
}

/*
 * Locks the user's row, which is at *tid, after waiting for another transaction
 * that has it locked.  Returns false if it is not there any more.
 */
static bool
lock_row(BookingCall *call, Relation rel, ItemPointer tid, int64 event_id,
		 Datum user_id)
{
	RowVersion	version;
	bool		locked;

	if (!row_version_pin_newest(rel, tid, InvalidBuffer, &version))
		return false;
	locked = is_of(call, rel, &version.tuple, event_id, user_id) &&
		(TransactionIdIsCurrentTransactionId(version.xmin) ||
		 row_version_lock(rel, &version, LockTupleNoKeyExclusive, true) ==
			 TM_Ok);
	ReleaseBuffer(version.buffer);
	return locked;
}

/* Locks the user without a statement. */
static void
lock_directly(BookingCall *call, Relation rel, int64 event_id, Datum user_id)
{
	ScanKeyData keys[2];
	TransactionId writer;
	ItemPointerData tid;
	bool		locked = false;
	int			attempts = 0;

	init_keys(keys, call, event_id, user_id);
	while (!locked)
	{
		plan_check_attempts("user_limit", &attempts);
		if (!row_version_find(rel, keys, 2, &writer, &tid))
			locked = insert_row(call, rel, event_id, user_id);
		else if (TransactionIdIsValid(writer))
			XactLockTableWait(writer, rel, &tid, XLTW_InsertIndexUnique);
		else
			locked = lock_row(call, rel, &tid, event_id, user_id);
	}
}

/*
 * Locks several users, whose ids are ascending, in this order.  If the limit
 * is lifted at the same time, purge() may delete the row of a user who is not
 * locked yet.  So this repeats until all are locked.  Such a user is then
 * locked out of order, so two batches for the same users can deadlock (40P01).
 */
void
user_lock_several(BookingCall *call, int64 event_id, ArrayType *user_ids,
				  int count)
{
	Call	   *base = &call->base;
	Datum		values[2];
	int			attempts = 0;

	values[0] = Int64GetDatum(event_id);
	values[1] = PointerGetDatum(user_ids);
	plan_connect_for_all_rows(base);
	do
	{
		plan_check_attempts("user_limit", &attempts);
		(void) plan_execute(base, &add_users_plan, values, NULL);
	} while (plan_execute(base, &lock_users_plan, values, NULL) <
			 (uint64) count);
	plan_disconnect(base);
}

/*
 * Locks the user at the event until the end of the transaction, after waiting
 * for another transaction that has him locked.  Raises 40001 as the isolation
 * level demands.
 */
void
user_lock_one(BookingCall *call, int64 event_id, Datum user_id)
{
	Relation	rel;

	rel = booking_call_open(call->tables.user_limit, "user_limit",
							RowExclusiveLock);
	if (!IsolationUsesXactSnapshot() &&
		booking_call_is_plain(call, &call->tables.user_limit_shape, rel))
		lock_directly(call, rel, event_id, user_id);
	else
		user_lock_several(call, event_id,
						  user_id_array(&call->base, &user_id, 1), 1);
	table_close(rel, NoLock);
}
