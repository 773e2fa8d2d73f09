/*-------------------------------------------------------------------------
 *
 * booking_call.c
 *	  One call of a function or trigger on the booking tables.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

#include "server/errors.h"
#include "tables/booking_call.h"

/*
 * Locks and opens ticket and inventory, and becomes the tables' owner, or
 * remains the caller.
 */
static void
begin(BookingCall *call, LOCKMODE lockmode, bool as_owner)
{
	tables_lock(&call->tables, lockmode);
	call->ticket = table_open(call->tables.ticket, NoLock);
	call->inventory = table_open(call->tables.inventory, NoLock);
	call_begin(&call->base, as_owner ? call->tables.owner : GetUserId(),
			   call->tables.user_id_type);
	call->base.user_id_collation = call->tables.user_id_collation;
	call->base.user_id_by_image = call->tables.user_id_by_image;
}

/*
 * Begins a call that may write.  Locks ticket and inventory ROW EXCLUSIVE
 * until the transaction ends, and makes their owner the current user until
 * booking_call_end().  Raises 25006 in a read-only transaction and on a
 * standby, 42P01 before create_tables(), 55000 if a table was altered beyond
 * use.  The function is named in messages.
 */
void
booking_call_begin(BookingCall *call, const char *function)
{
	call_check_may_write(function);
	begin(call, RowExclusiveLock, true);
}

/*
 * The same, except that the caller remains the current user: PostgreSQL asks
 * for his rights on the tables.
 */
void
booking_call_begin_as_caller(BookingCall *call, const char *function)
{
	call_check_may_write(function);
	begin(call, RowExclusiveLock, false);
}

/*
 * The same in a transaction that has become read-only since an earlier call,
 * whose work it finishes.
 */
void
booking_call_begin_internal(BookingCall *call)
{
	begin(call, RowExclusiveLock, true);
}

/* Begins a call that only reads; also on a standby. */
void
booking_call_begin_read(BookingCall *call)
{
	begin(call, AccessShareLock, true);
}

/* Ends a call.  The locks are kept until the end of the transaction. */
void
booking_call_end(BookingCall *call)
{
	call_end(&call->base);
	table_close(call->inventory, NoLock);
	table_close(call->ticket, NoLock);
}

/*
 * Raises 42P01 or 55000 unless the tables are there and have the shape that is
 * needed.  Keeps no lock, unless the tables had to be looked up again.
 */
void
booking_call_check_tables(void)
{
	BookingCall call;

	booking_call_begin_read(&call);
	booking_call_end(&call);
	UnlockRelationOid(call.tables.inventory, AccessShareLock);
	UnlockRelationOid(call.tables.ticket, AccessShareLock);
}

/*
 * Opens a table of ours other than ticket and inventory, which are open.
 * Raises 42P01 if it was dropped while its lock was waited for.
 */
Relation
booking_call_open(Oid table, const char *name, LOCKMODE lockmode)
{
	Relation	rel = try_table_open(table, lockmode);

	if (rel == NULL)
		error_no_table(name);
	return rel;
}

/*
 * True if the direct path may write rows of the table, which is open, and
 * locked ROW EXCLUSIVE.  It may have been altered since the call began.
 */
bool
booking_call_is_plain(const BookingCall *call, const RowShape *shape,
					  Relation rel)
{
	return row_shape_direct_path && shape->is_plain &&
		tables_are_current(&call->tables) && !row_shape_has_children(rel);
}

/* The same for the tickets. */
bool
booking_call_is_ticket_plain(const BookingCall *call)
{
	return booking_call_is_plain(call, &call->tables.ticket_shape,
								 call->ticket);
}

/*
 * True if rows of the table, which is open and locked, may be found by the id
 * without a statement.
 */
bool
booking_call_may_find(const BookingCall *call, const RowShape *shape,
					  Relation rel)
{
	return row_shape_direct_path && shape->has_id_key &&
		tables_are_current(&call->tables) && !row_shape_has_children(rel);
}

/*
 * True if the direct path may also change rows of the table.  Under REPEATABLE
 * READ a statement must: it compares the row with the snapshot.
 */
bool
booking_call_may_update(const BookingCall *call, const RowShape *shape,
						Relation rel)
{
	return booking_call_is_plain(call, shape, rel) && shape->is_updatable &&
		!IsolationUsesXactSnapshot();
}

/* Opens a writer to insert rows of a plain table or to update them. */
static void
open_writer(BookingCall *call, const RowShape *shape, Relation rel,
			RowTriggersEvent event, RowWriter *writer)
{
	/* a user's code, such as a trigger, must not see the caller's path */
	if (row_writer_runs_code(rel, event, shape->trigger))
		call_guard_search_path(&call->base);
	row_writer_open_kept(writer, rel, event, shape->trigger);
}

/*
 * Opens a writer to insert rows of a table, which is open, and for which
 * booking_call_is_plain() is true.
 */
void
booking_call_open_writer(BookingCall *call, const RowShape *shape,
						 Relation rel, RowWriter *writer)
{
	open_writer(call, shape, rel, ROW_TRIGGERS_INSERT, writer);
}

/* The same to update rows, if booking_call_may_update() is true. */
void
booking_call_open_updater(BookingCall *call, const RowShape *shape,
						  Relation rel, RowWriter *writer)
{
	open_writer(call, shape, rel, ROW_TRIGGERS_UPDATE, writer);
}

/* Closes it.  The next command sees the rows. */
void
booking_call_close_writer(RowWriter *writer)
{
	row_writer_close(writer);
	CommandCounterIncrement();
}

/* True if rel is the table, or a partition of it at any depth. */
bool
booking_call_is_our_table(Relation rel, Oid table)
{
	if (RelationGetRelid(rel) == table)
		return true;
	return rel->rd_rel->relispartition &&
		list_member_oid(get_partition_ancestors(RelationGetRelid(rel)), table);
}
