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

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "ticket.h"

/* Places that the function now running has taken (given, if negative). */
typedef struct PlacesAhead
{
	int64		event_id;
	int64		places;
	int			nest_level;
	struct PlacesAhead *outer;
} PlacesAhead;

static PlacesAhead *ahead = NULL;

static BookingPlan insert_plan = {
	"INSERT INTO booking.ticket (event_id, user_id)"
	" SELECT $1, $2 FROM pg_catalog.generate_series(1, $3)"
	" RETURNING ticket_id, event_id OPERATOR(pg_catalog.=) $1"
	" AND user_id OPERATOR(pg_catalog.=) $2 AND cancelled_at IS NULL",
	3,
	{ INT8OID, INT8OID, INT4OID },
	NULL
};

static BookingPlan lock_plan = {
	"SELECT event_id, cancelled_at, redeemed_at FROM booking.ticket"
	" WHERE ticket_id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE",
	1,
	{ INT8OID },
	NULL
};

static BookingPlan cancel_plan = {
	"UPDATE booking.ticket SET cancelled_at = pg_catalog.clock_timestamp()"
	" WHERE ticket_id OPERATOR(pg_catalog.=) $1"
	" RETURNING event_id OPERATOR(pg_catalog.=) $2 AND cancelled_at IS NOT NULL",
	2,
	{ INT8OID, INT8OID },
	NULL
};

static BookingPlan redeem_plan = {
	"UPDATE booking.ticket SET redeemed_at = pg_catalog.clock_timestamp()"
	" WHERE ticket_id OPERATOR(pg_catalog.=) $1"
	" RETURNING redeemed_at IS NOT NULL, redeemed_at",
	1,
	{ INT8OID },
	NULL
};

static BookingPlan transfer_plan = {
	"UPDATE booking.ticket SET user_id = $2"
	" WHERE ticket_id OPERATOR(pg_catalog.=) $1"
	" RETURNING user_id OPERATOR(pg_catalog.=) $2",
	2,
	{ INT8OID, INT8OID },
	NULL
};

/*
 * Our trigger is about to take places of the event (give, if negative): how
 * many remain to be taken or given after those that a function took ahead?
 */
int64
booking_settle_ahead(int64 event_id, int64 places)
{
	if (ahead == NULL || ahead->event_id != event_id ||
		ahead->nest_level != GetCurrentTransactionNestLevel() ||
		(places > 0) != (ahead->places > 0) || ahead->places == 0)
		return places;

	/* the trigger works row by row, so it never asks for more than is ahead */
	ahead->places -= places;
	return 0;
}

/* Runs a statement that changes tickets for which places are ahead. */
static uint64
execute_with_ahead(BookingPlan *plan, Datum *values, int64 event_id,
				   int64 places)
{
	PlacesAhead mine = { event_id, places, GetCurrentTransactionNestLevel(),
						 ahead };
	uint64		rows = 0;

	ahead = &mine;
	PG_TRY();
	{
		rows = booking_execute(plan, values, false);
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
 * of the user's has changed or dropped it.
 */
static void
check_rows(uint64 rows, uint64 expected, int column)
{
	bool		kept = rows == expected;

	for (uint64 i = 0; i < rows && kept; i++)
	{
		bool		isnull;
		Datum		same = booking_result(i, column, &isnull);

		kept = !isnull && DatumGetBool(same);
	}
	if (!kept)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a trigger or rule on booking.ticket did not let a ticket be written as asked"),
				 errhint("What such a trigger may do is raise an error, or fill in columns of its own.")));
}

/* Inserts by a kept INSERT statement, which fires all triggers. */
static void
insert_by_sql(BookingCall *call, int64 event_id, Datum user_id,
			  int32 quantity, Datum *ticket_ids)
{
	Datum		values[3];
	uint64		rows;

	values[0] = Int64GetDatum(event_id);
	values[1] = user_id;
	values[2] = Int32GetDatum(quantity);

	booking_connect(call);
	rows = execute_with_ahead(&insert_plan, values, event_id, quantity);
	check_rows(rows, quantity, 2);
	for (uint64 i = 0; i < rows; i++)
	{
		bool		isnull;

		ticket_ids[i] = booking_result(i, 1, &isnull);
	}
	SPI_finish();
}

/* Inserts by the table access method and the executor's index insertion. */
static void
insert_directly(BookingCall *call, int64 event_id, Datum user_id,
				int32 quantity, Datum *ticket_ids)
{
	BookingTables *tables = &call->tables;
	int			natts = RelationGetDescr(call->ticket)->natts;
	RowWriter	writer;

	if (!row_writer_is_kept(call->ticket))
		booking_guard_search_path(call);
	row_writer_open(&writer, call->ticket, true);
	for (int32 i = 0; i < quantity; i++)
	{
		TupleTableSlot *slot = writer.slot;

		CHECK_FOR_INTERRUPTS();
		ticket_ids[i] =
			Int64GetDatum(nextval_internal(tables->ticket_id_sequence, false));
		ExecClearTuple(slot);
		memset(slot->tts_isnull, true, natts * sizeof(bool));
		slot->tts_values[tables->ticket_ticket_id - 1] = ticket_ids[i];
		slot->tts_isnull[tables->ticket_ticket_id - 1] = false;
		slot->tts_values[tables->ticket_event_id - 1] = Int64GetDatum(event_id);
		slot->tts_isnull[tables->ticket_event_id - 1] = false;
		slot->tts_values[tables->ticket_user_id - 1] = user_id;
		slot->tts_isnull[tables->ticket_user_id - 1] = false;
		slot->tts_values[tables->ticket_booked_at - 1] =
			TimestampTzGetDatum(GetCurrentTimestamp());
		slot->tts_isnull[tables->ticket_booked_at - 1] = false;
		ExecStoreVirtualTuple(slot);
		row_writer_insert(&writer);
	}
	row_writer_close(&writer);
	CommandCounterIncrement();
}

/*
 * Inserts quantity tickets whose places the caller has taken, and stores their
 * ids in ticket_ids.  Raises what the table's constraints and triggers raise.
 */
void
booking_insert_tickets(BookingCall *call, int64 event_id, Datum user_id,
					   int32 quantity, Datum *ticket_ids)
{
	if (booking_direct_path && booking_ticket_is_plain(call))
		insert_directly(call, event_id, user_id, quantity, ticket_ids);
	else
		insert_by_sql(call, event_id, user_id, quantity, ticket_ids);
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
	state->event_id = DatumGetInt64(booking_result(0, 1, &event_isnull));
	(void) booking_result(0, 2, &live);
	state->redeemed_at =
		DatumGetTimestampTz(booking_result(0, 3, &unredeemed));
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
	check_rows(execute_with_ahead(&cancel_plan, values, event_id, -1), 1, 1);
}

/* Marks a locked ticket as redeemed and returns the time.  SPI is connected. */
TimestampTz
booking_redeem_row(int64 ticket_id)
{
	Datum		value = Int64GetDatum(ticket_id);
	bool		isnull;

	check_rows(booking_execute(&redeem_plan, &value, false), 1, 1);
	return DatumGetTimestampTz(booking_result(0, 2, &isnull));
}

/* Makes a locked ticket another user's.  SPI is connected. */
void
booking_transfer_row(int64 ticket_id, Datum user_id)
{
	Datum		values[2];

	values[0] = Int64GetDatum(ticket_id);
	values[1] = user_id;
	check_rows(booking_execute(&transfer_plan, values, false), 1, 1);
}
