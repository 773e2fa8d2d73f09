/*-------------------------------------------------------------------------
 *
 * ticket.c
 *	  The rows of the ticket table: insert them, lock one, change its state.
 *
 * Tickets are inserted in one of two ways with the same result.  The direct
 * path writes the row and its index entries by the table access method; it is
 * taken when the table is as create_tables() made it but for its indexes
 * (catalog.c decides).  The SQL path runs an INSERT, which honours whatever
 * the user has added.
 *
 * Places ahead.  A function takes or gives places before it writes the ticket,
 * in order to refuse without a write and to wait while nobody waits for it.
 * The INSERT or UPDATE that follows fires our trigger, which must not do so
 * again: it asks booking_settle_ahead() first.  What is ahead counts at the
 * nesting level of subtransactions where it was put there, so that rolling
 * back to a savepoint can't undo its use.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "ticket.h"
#include "user.h"

/* So many tickets are put into the table at once. */
#define TICKETS_AT_ONCE 1000

/* Places that the function now running has taken (given, if negative). */
typedef struct PlacesAhead
{
	int64		event_id;
	const Datum *user_id;		/* for whom, or NULL: for several */
	int64		places;
	int			nest_level;
	struct PlacesAhead *outer;
} PlacesAhead;

static PlacesAhead *ahead = NULL;

static BookingPlan insert_plan = {
	.sql = "INSERT INTO booking.ticket (event_id, user_id, hold_id)"
		   " SELECT $1, u, $3 FROM pg_catalog.unnest($2) AS u"
		   " RETURNING ticket_id, event_id OPERATOR(pg_catalog.=) $1"
		   " AND cancelled_at IS NULL AND hold_id IS NOT DISTINCT FROM $3,"
		   " user_id",
	.nargs = 3,
	.argtypes = { INT8OID, BOOKING_USER_ID_ARRAY, INT8OID },
};

static BookingPlan of_hold_plan = {
	.sql = "SELECT ticket_id FROM booking.ticket"
		   " WHERE hold_id OPERATOR(pg_catalog.=) $1 ORDER BY ticket_id",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static BookingPlan lock_plan = {
	.sql = "SELECT event_id, cancelled_at, redeemed_at FROM booking.ticket"
		   " WHERE ticket_id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static BookingPlan cancel_plan = {
	.sql = "UPDATE booking.ticket SET cancelled_at = pg_catalog.clock_timestamp()"
		   " WHERE ticket_id OPERATOR(pg_catalog.=) $1"
		   " RETURNING event_id OPERATOR(pg_catalog.=) $2 AND cancelled_at IS NOT NULL",
	.nargs = 2,
	.argtypes = { INT8OID, INT8OID },
};

static BookingPlan redeem_plan = {
	.sql = "UPDATE booking.ticket SET redeemed_at = pg_catalog.clock_timestamp()"
		   " WHERE ticket_id OPERATOR(pg_catalog.=) $1"
		   " RETURNING redeemed_at IS NOT NULL, redeemed_at",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static BookingPlan transfer_plan = {
	.sql = "UPDATE booking.ticket SET user_id = $2"
		   " WHERE ticket_id OPERATOR(pg_catalog.=) $1"
		   " RETURNING user_id OPERATOR(pg_catalog.=) $2",
	.nargs = 2,
	.argtypes = { INT8OID, BOOKING_USER_ID },
};

/* Were places taken ahead for that user? */
static bool
is_ahead_for(const BookingCall *call, const Datum *user_id)
{
	return ahead->user_id == NULL || user_id == NULL ||
		user_id_equal(call, *ahead->user_id, *user_id);
}

/*
 * Our trigger is about to take places of the event for a user (give, if
 * negative): how many remain to be taken or given after those that a function
 * took ahead?
 */
int64
booking_settle_ahead(const BookingCall *call, int64 event_id,
					 const Datum *user_id, int64 places)
{
	if (ahead == NULL || ahead->event_id != event_id ||
		ahead->nest_level != GetCurrentTransactionNestLevel() ||
		(places > 0) != (ahead->places > 0) || ahead->places == 0 ||
		!is_ahead_for(call, user_id))
		return places;

	/* the trigger works row by row, so it never asks for more than is ahead */
	ahead->places -= places;
	return 0;
}

/*
 * Runs a statement that changes rows for which places are ahead: taken, or
 * given if negative, for a user (NULL: several).  nulls as for
 * booking_execute_nulls(), or NULL.
 */
uint64
booking_execute_ahead(BookingPlan *plan, Datum *values, const char *nulls,
					  int64 event_id, const Datum *user_id, int64 places)
{
	PlacesAhead mine = { event_id, user_id, places,
						 GetCurrentTransactionNestLevel(), ahead };
	uint64		rows = 0;

	ahead = &mine;
	PG_TRY();
	{
		rows = booking_execute_nulls(plan, values, nulls);
	}
	PG_FINALLY();
	{
		ahead = mine.outer;
	}
	PG_END_TRY();
	return rows;
}

/*
 * Raises 55000 unless the statement returned that many rows, in each of which
 * the column says that the row is what was asked for.  Else a trigger or rule
 * of the user's on the table has changed or dropped it.
 */
void
booking_check_rows(const char *table, uint64 rows, uint64 expected, int column)
{
	bool		kept = rows == expected;

	for (uint64 i = 0; i < rows && kept; i++)
	{
		bool		isnull;
		Datum		same = booking_result(i, column, BOOLOID, &isnull);

		kept = !isnull && DatumGetBool(same);
	}
	if (!kept)
		booking_error_row_changed(table);
}

/* For whom is ticket number i? */
static Datum
user_of(const NewTickets *new, int32 i)
{
	return new->user_ids == NULL ? new->user_id : new->user_ids[i];
}

/* For whom are the tickets, as an array? */
static ArrayType *
users_of(const BookingCall *call, const NewTickets *new, int32 quantity)
{
	Datum	   *user_ids = new->user_ids;

	if (user_ids == NULL)
	{
		user_ids = palloc_extended(quantity * sizeof(Datum), MCXT_ALLOC_HUGE);
		for (int32 i = 0; i < quantity; i++)
			user_ids[i] = new->user_id;
	}
	return user_id_array(call, user_ids, quantity);
}

/*
 * Inserts by a kept INSERT statement, which fires all triggers.  unnest() gives
 * the users in the array's order, and the rows come back in it: 55000 where one
 * is another user's than it was asked for.
 */
static void
insert_by_sql(BookingCall *call, const NewTickets *new, int32 quantity,
			  Datum *ticket_ids)
{
	Datum		values[3];
	uint64		rows;

	values[0] = Int64GetDatum(new->event_id);
	values[1] = PointerGetDatum(users_of(call, new, quantity));
	values[2] = Int64GetDatum(new->hold_id);

	booking_connect(call);
	rows = booking_execute_ahead(&insert_plan, values,
								 new->hold_id == 0 ? "  n" : NULL,
								 new->event_id,
								 new->user_ids == NULL ? &new->user_id : NULL,
								 quantity);
	booking_check_rows("ticket", rows, quantity, 2);
	for (int32 i = 0; i < quantity; i++)
	{
		bool		isnull;
		Datum		user_id = booking_result(i, 3, BOOKING_USER_ID, &isnull);

		if (isnull || !user_id_equal(call, user_id, user_of(new, i)))
			booking_error_row_changed("ticket");
		ticket_ids[i] = booking_result(i, 1, INT8OID, &isnull);
	}
	booking_finish(call);
}

/*
 * Stores a new ticket for the user in the slot, as INSERT and the table's
 * defaults would make it, and returns its id.
 */
static Datum
fill_ticket(BookingCall *call, TupleTableSlot *slot, const NewTickets *new,
			Datum user_id)
{
	BookingTables *tables = &call->tables;
	Datum		ticket_id;

	ticket_id =
		Int64GetDatum(nextval_internal(tables->ticket_id_sequence, false));
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true,
		   RelationGetDescr(call->ticket)->natts * sizeof(bool));
	slot->tts_values[tables->ticket_ticket_id - 1] = ticket_id;
	slot->tts_isnull[tables->ticket_ticket_id - 1] = false;
	slot->tts_values[tables->ticket_event_id - 1] =
		Int64GetDatum(new->event_id);
	slot->tts_isnull[tables->ticket_event_id - 1] = false;
	slot->tts_values[tables->ticket_user_id - 1] = user_id;
	slot->tts_isnull[tables->ticket_user_id - 1] = false;
	slot->tts_values[tables->ticket_hold_id - 1] = Int64GetDatum(new->hold_id);
	slot->tts_isnull[tables->ticket_hold_id - 1] = new->hold_id == 0;
	slot->tts_values[tables->ticket_booked_at - 1] =
		TimestampTzGetDatum(GetCurrentTimestamp());
	slot->tts_isnull[tables->ticket_booked_at - 1] = false;
	ExecStoreVirtualTuple(slot);
	return ticket_id;
}

/* Inserts many tickets, a thousand at a time, as COPY does it. */
static void
insert_many(BookingCall *call, RowWriter *writer, const NewTickets *new,
			int32 quantity, Datum *ticket_ids)
{
	TupleTableSlot *slots[TICKETS_AT_ONCE];
	BulkInsertState bulk = GetBulkInsertState();
	int32		width = Min(quantity, TICKETS_AT_ONCE);

	for (int32 i = 0; i < width; i++)
		slots[i] = table_slot_create(call->ticket, NULL);
	for (int32 done = 0; done < quantity; done += width)
	{
		int32		some = Min(width, quantity - done);

		for (int32 i = 0; i < some; i++)
			ticket_ids[done + i] =
				fill_ticket(call, slots[i], new, user_of(new, done + i));
		row_writer_insert_many(writer, slots, some, bulk);
		CHECK_FOR_INTERRUPTS();
	}
	for (int32 i = 0; i < width; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	FreeBulkInsertState(bulk);
	table_finish_bulk_insert(call->ticket, 0);
}

/* Inserts by the table access method and the executor's index insertion. */
static void
insert_directly(BookingCall *call, const NewTickets *new, int32 quantity,
				Datum *ticket_ids)
{
	RowWriter	writer;

	if (!row_writer_is_kept(call->ticket))
		booking_guard_search_path(call);
	row_writer_open(&writer, call->ticket, true);
	if (quantity == 1)
	{
		ticket_ids[0] = fill_ticket(call, writer.slot, new, user_of(new, 0));
		row_writer_insert(&writer);
	}
	else
		insert_many(call, &writer, new, quantity, ticket_ids);
	row_writer_close(&writer);
	CommandCounterIncrement();
}

/*
 * Inserts quantity tickets whose places the caller has taken, and stores their
 * ids in ticket_ids.  Raises what the table's constraints and triggers raise.
 */
void
booking_insert_tickets(BookingCall *call, const NewTickets *new,
					   int32 quantity, Datum *ticket_ids)
{
	if (booking_direct_path && booking_ticket_is_plain(call))
		insert_directly(call, new, quantity, ticket_ids);
	else
		insert_by_sql(call, new, quantity, ticket_ids);
	fault_point("ticket: inserted");
}

/*
 * The ids of a hold's tickets, cancelled ones too; their number in *count.  All
 * that are there now, for a hold must not be confirmed twice.
 */
Datum *
booking_tickets_of_hold(BookingCall *call, int64 hold_id, int *count)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		value = Int64GetDatum(hold_id);
	Datum	   *ticket_ids;
	bool		isnull;

	booking_connect_for_all_rows(call);
	*count = (int) booking_execute_latest(&of_hold_plan, &value, 0);
	ticket_ids = MemoryContextAllocHuge(context,
										Max(*count, 1) * sizeof(Datum));
	for (int i = 0; i < *count; i++)
		ticket_ids[i] = booking_result(i, 1, INT8OID, &isnull);
	booking_finish(call);
	return ticket_ids;
}

/*
 * Locks a ticket until the end of the transaction, as an UPDATE of it would,
 * and reads it as it is then; false: there is none.  SPI is connected.
 */
bool
booking_lock_ticket(int64 ticket_id, TicketState *state)
{
	Datum		value = Int64GetDatum(ticket_id);
	bool		event_isnull;
	bool		live;
	bool		unredeemed;

	if (booking_execute(&lock_plan, &value, false) == 0)
		return false;
	state->event_id =
		DatumGetInt64(booking_result(0, 1, INT8OID, &event_isnull));
	(void) booking_result(0, 2, TIMESTAMPTZOID, &live);
	state->redeemed_at =
		DatumGetTimestampTz(booking_result(0, 3, TIMESTAMPTZOID, &unredeemed));
	state->cancelled = !live;
	state->redeemed = !unredeemed;
	return true;
}

/*
 * Marks a ticket as cancelled, which the caller has locked and whose place it
 * has given back.  SPI is connected.
 */
void
booking_cancel_row(int64 event_id, int64 ticket_id)
{
	Datum		values[2];

	values[0] = Int64GetDatum(ticket_id);
	values[1] = Int64GetDatum(event_id);
	booking_check_rows("ticket",
					   booking_execute_ahead(&cancel_plan, values, NULL,
											 event_id, NULL, -1),
					   1, 1);
}

/* Marks a locked ticket as redeemed and returns the time.  SPI is connected. */
TimestampTz
booking_redeem_row(int64 ticket_id)
{
	Datum		value = Int64GetDatum(ticket_id);
	bool		isnull;

	booking_check_rows("ticket", booking_execute(&redeem_plan, &value, false),
					   1, 1);
	return DatumGetTimestampTz(booking_result(0, 2, TIMESTAMPTZOID, &isnull));
}

/* Makes a locked ticket another user's.  SPI is connected. */
void
booking_transfer_row(int64 ticket_id, Datum user_id)
{
	Datum		values[2];

	values[0] = Int64GetDatum(ticket_id);
	values[1] = user_id;
	booking_check_rows("ticket", booking_execute(&transfer_plan, values, false),
					   1, 1);
}
