/*-------------------------------------------------------------------------
 *
 * ticket.c
 *	  The rows of the ticket table: insert them, lock one, change its state.
 *
 * Tickets are inserted in one of two ways with the same result.  The direct
 * path writes the row and its index entries by the table access method, and
 * fires what a foreign key or another AFTER ROW trigger needs.  It is taken if
 * an INSERT would do no more than that (tables/row_shape.c decides).  The SQL
 * path runs an INSERT, which honours everything that the user has added.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "event/handover.h"
#include "server/errors.h"
#include "server/fault.h"
#include "server/plan.h"
#include "server/rowwriter.h"
#include "server/subtransaction.h"
#include "tables/user_id.h"
#include "ticket/ticket.h"

/* This many tickets are put into the table at once. */
#define TICKETS_AT_ONCE 1000

/*
 * A ticket is looked for this often if it moves from partition to partition, or
 * if a function of the user's raises 40001.
 */
#define LOCK_ATTEMPTS 100

static SqlPlan insert_plan = {
	.sql = "INSERT INTO booking.ticket (event_id, user_id, hold_id)"
		   " SELECT $1, u, $3 FROM pg_catalog.unnest($2) AS u"
		   " RETURNING ticket_id, event_id OPERATOR(pg_catalog.=) $1"
		   " AND cancelled_at IS NULL AND hold_id IS NOT DISTINCT FROM $3,"
		   " user_id",
	.nargs = 3,
	.argtypes = { INT8OID, PLAN_USER_ID_ARRAY, INT8OID },
};

static SqlPlan of_hold_plan = {
	.sql = "SELECT ticket_id FROM booking.ticket"
		   " WHERE hold_id OPERATOR(pg_catalog.=) $1 ORDER BY ticket_id",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static SqlPlan lock_plan = {
	.sql = "SELECT event_id, user_id, cancelled_at, redeemed_at FROM booking.ticket"
		   " WHERE ticket_id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static SqlPlan cancel_plan = {
	.sql = "UPDATE booking.ticket SET cancelled_at = pg_catalog.clock_timestamp()"
		   " WHERE ticket_id OPERATOR(pg_catalog.=) $1"
		   " RETURNING event_id OPERATOR(pg_catalog.=) $2 AND cancelled_at IS NOT NULL",
	.nargs = 2,
	.argtypes = { INT8OID, INT8OID },
};

static SqlPlan redeem_plan = {
	.sql = "UPDATE booking.ticket SET redeemed_at = $2"
		   " WHERE ticket_id OPERATOR(pg_catalog.=) $1"
		   " RETURNING redeemed_at IS NOT NULL, redeemed_at",
	.nargs = 2,
	.argtypes = { INT8OID, TIMESTAMPTZOID },
};

static SqlPlan unredeem_plan = {
	.sql = "UPDATE booking.ticket SET redeemed_at = NULL"
		   " WHERE ticket_id OPERATOR(pg_catalog.=) $1"
		   " RETURNING redeemed_at IS NULL",
	.nargs = 1,
	.argtypes = { INT8OID },
};

static SqlPlan transfer_plan = {
	.sql = "UPDATE booking.ticket SET user_id = $2"
		   " WHERE ticket_id OPERATOR(pg_catalog.=) $1"
		   " RETURNING user_id OPERATOR(pg_catalog.=) $2",
	.nargs = 2,
	.argtypes = { INT8OID, PLAN_USER_ID },
};

static SqlPlan move_plan = {
	.sql = "UPDATE booking.ticket SET event_id = $2"
		   " WHERE ticket_id OPERATOR(pg_catalog.=) $1"
		   " RETURNING event_id OPERATOR(pg_catalog.=) $2",
	.nargs = 2,
	.argtypes = { INT8OID, INT8OID },
};

/* The user that ticket $1 or $2 gets. */
#define OTHER_USER \
	"CASE WHEN ticket_id OPERATOR(pg_catalog.=) $1 THEN $4 ELSE $3 END"

static SqlPlan exchange_plan = {
	.sql = "UPDATE booking.ticket SET user_id = " OTHER_USER
		   " WHERE ticket_id OPERATOR(pg_catalog.=) ANY (ARRAY[$1, $2])"
		   " RETURNING user_id OPERATOR(pg_catalog.=) " OTHER_USER,
	.nargs = 4,
	.argtypes = { INT8OID, INT8OID, PLAN_USER_ID, PLAN_USER_ID },
};

/* Returns for whom ticket number i is. */
static Datum
user_of(const NewTickets *new, int32 i)
{
	return new->user_ids == NULL ? new->user_id : new->user_ids[i];
}

/* Returns for whom the tickets are, as an array. */
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
	return user_id_array(&call->base, user_ids, quantity);
}

/*
 * Inserts by an INSERT statement, which fires all triggers.  unnest() returns
 * the users in the order of the array, and the rows come back in that order.
 * Raises 55000 if one was changed on the way.
 */
static void
insert_by_sql(BookingCall *call, const NewTickets *new, int32 quantity,
			  Datum *ticket_ids)
{
	Call	   *base = &call->base;
	Handover	handover = {
		.event_id = new->event_id,
		.user_id = new->user_ids == NULL ? &new->user_id : NULL,
		.places = quantity,
		.by_staff = new->by_staff,
		.over_limit = new->over_limit
	};
	Datum		values[3];
	uint64		rows;

	values[0] = Int64GetDatum(new->event_id);
	values[1] = PointerGetDatum(users_of(call, new, quantity));
	values[2] = Int64GetDatum(new->hold_id);

	plan_connect(base);
	rows = handover_execute(call, &handover, &insert_plan, values,
							new->hold_id == 0 ? "  n" : NULL);
	plan_check_rows(base, "ticket", rows, quantity, 2);
	for (int32 i = 0; i < quantity; i++)
	{
		bool		isnull;
		Datum		user_id = plan_result(base, i, 3, PLAN_USER_ID, &isnull);

		if (isnull || !user_id_equal(base, user_id, user_of(new, i)))
			error_row_changed("ticket");
		ticket_ids[i] = plan_result(base, i, 1, INT8OID, &isnull);
	}
	plan_disconnect(base);
}

/*
 * Stores a new ticket for the user in the slot, as an INSERT would make it
 * with the defaults of the table, and returns its id.
 */
static Datum
fill_ticket(BookingCall *call, RowWriter *writer, TupleTableSlot *slot,
			const NewTickets *new, Datum user_id)
{
	const RowShape *shape = &call->tables.ticket_shape;
	Datum		ticket_id;

	ticket_id =
		Int64GetDatum(nextval_internal(shape->id_sequence, false));
	row_writer_begin_row(writer, slot);
	row_writer_set(slot, shape->attnum[INSPECT_TICKET_ID], ticket_id);
	row_writer_set(slot, shape->attnum[INSPECT_TICKET_EVENT_ID],
				   Int64GetDatum(new->event_id));
	row_writer_set(slot, shape->attnum[INSPECT_TICKET_USER_ID], user_id);
	if (new->hold_id != 0)
		row_writer_set(slot, shape->attnum[INSPECT_TICKET_HOLD_ID],
					   Int64GetDatum(new->hold_id));
	return ticket_id;
}

/* Inserts many tickets, a thousand at a time, as COPY does. */
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
				fill_ticket(call, writer, slots[i], new,
							user_of(new, done + i));
		row_writer_insert_many(writer, slots, some, bulk);
		CHECK_FOR_INTERRUPTS();
	}
	for (int32 i = 0; i < width; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	FreeBulkInsertState(bulk);
	table_finish_bulk_insert(call->ticket, 0);
}

/* Inserts by the table access method and the executor's index code. */
static void
insert_directly(BookingCall *call, const NewTickets *new, int32 quantity,
				Datum *ticket_ids)
{
	RowWriter	writer;

	booking_call_open_writer(call, &call->tables.ticket_shape, call->ticket,
							 &writer);
	if (quantity == 1)
	{
		ticket_ids[0] =
			fill_ticket(call, &writer, writer.slot, new, user_of(new, 0));
		row_writer_insert(&writer);
	}
	else
		insert_many(call, &writer, new, quantity, ticket_ids);
	booking_call_close_writer(&writer);
}

/*
 * Inserts quantity tickets, whose places the caller has taken, and stores
 * their ids in ticket_ids.  Raises what the table's constraints and triggers
 * raise.
 */
void
ticket_insert(BookingCall *call, const NewTickets *new, int32 quantity,
			  Datum *ticket_ids)
{
	/* only a statement tells the history that the staff books */
	if (!new->by_staff && booking_call_is_ticket_plain(call))
		insert_directly(call, new, quantity, ticket_ids);
	else
		insert_by_sql(call, new, quantity, ticket_ids);
	fault_point("ticket: inserted");
}

/*
 * Returns the ids of a hold's tickets, cancelled ones too, and their number in
 * *count.  The newest snapshot is used: a hold must not be confirmed twice.
 */
Datum *
ticket_ids_of_hold(BookingCall *call, int64 hold_id, int *count)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		value = Int64GetDatum(hold_id);
	Datum	   *ticket_ids;
	bool		isnull;

	plan_connect_for_all_rows(&call->base);
	*count = (int) plan_execute_latest(&call->base, &of_hold_plan, &value, 0);
	ticket_ids = MemoryContextAllocHuge(context,
										Max(*count, 1) * sizeof(Datum));
	for (int i = 0; i < *count; i++)
		ticket_ids[i] = plan_result(&call->base, i, 1, INT8OID, &isnull);
	plan_disconnect(&call->base);
	return ticket_ids;
}

/* A ticket to lock and read. */
typedef struct LockAttempt
{
	BookingCall *call;
	int64		ticket_id;
	TicketState *state;
	bool		found;
} LockAttempt;

/* Locks the ticket and reads it.  A SubtransactionWork, always done. */
static bool
attempt_to_lock(void *arg)
{
	LockAttempt *attempt = arg;
	TicketState *state = attempt->state;
	Call	   *base = &attempt->call->base;
	Datum		value = Int64GetDatum(attempt->ticket_id);
	Datum		user_id;
	bool		isnull;
	bool		live;
	bool		unredeemed;

	attempt->found = plan_execute(base, &lock_plan, &value, NULL) > 0;
	if (!attempt->found)
		return true;
	state->event_id = DatumGetInt64(plan_result(base, 0, 1, INT8OID, &isnull));
	user_id = plan_result(base, 0, 2, PLAN_USER_ID, &isnull);
	state->has_user = !isnull;
	if (!isnull)
		state->user_id = user_id_copy(base, user_id);
	(void) plan_result(base, 0, 3, TIMESTAMPTZOID, &live);
	state->redeemed_at = DatumGetTimestampTz(
		plan_result(base, 0, 4, TIMESTAMPTZOID, &unredeemed));
	state->cancelled = !live;
	state->redeemed = !unredeemed;
	return true;
}

/*
 * True if the error is the one of a row that another session has moved to
 * another partition, and a new snapshot may find it there.
 */
static bool
may_have_moved(MemoryContext context, int attempts)
{
	ErrorData  *error;
	bool		moved;

	if (IsolationUsesXactSnapshot() || attempts >= LOCK_ATTEMPTS)
		return false;
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	moved = error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE;
	FreeErrorData(error);
	return moved;
}

/*
 * The same for a partitioned table.  A row that moves while it is waited for is
 * 40001 to PostgreSQL.  The attempt is undone, and the row looked for again.
 */
static void
lock_in_partitions(LockAttempt *attempt)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;
	volatile int attempts = 0;

	while (!done)
	{
		attempts++;
		PG_TRY();
		{
			done = subtransaction_run(&attempt->call->base, attempt_to_lock,
									  attempt);
		}
		PG_CATCH();
		{
			if (!may_have_moved(context, attempts))
				PG_RE_THROW();
			FlushErrorState();
		}
		PG_END_TRY();
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Locks a ticket until the end of the transaction, as an UPDATE of it would,
 * and then reads it.  Returns false if there is none.  The caller has
 * connected to SPI, here and below.
 */
bool
ticket_lock(BookingCall *call, int64 ticket_id, TicketState *state)
{
	LockAttempt attempt = { .call = call,
							.ticket_id = ticket_id,
							.state = state };

	if (call->ticket->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		lock_in_partitions(&attempt);
	else
		(void) attempt_to_lock(&attempt);
	return attempt.found;
}

/* Marks a ticket as cancelled that is locked, and whose place is given back. */
void
ticket_cancel(BookingCall *call, int64 event_id, int64 ticket_id)
{
	Handover	handover = {.event_id = event_id, .places = -1};
	Datum		values[2];

	values[0] = Int64GetDatum(ticket_id);
	values[1] = Int64GetDatum(event_id);
	plan_check_rows(&call->base, "ticket",
					handover_execute(call, &handover, &cancel_plan, values,
									 NULL),
					1, 1);
}

/*
 * Marks a locked ticket as redeemed at that time, and returns the time that is
 * in the row then.
 */
TimestampTz
ticket_redeem(BookingCall *call, int64 ticket_id, TimestampTz at)
{
	Datum		values[2];
	bool		isnull;

	values[0] = Int64GetDatum(ticket_id);
	values[1] = TimestampTzGetDatum(at);
	plan_check_rows(&call->base, "ticket",
					plan_execute(&call->base, &redeem_plan, values, NULL),
					1, 1);
	return DatumGetTimestampTz(plan_result(&call->base, 0, 2, TIMESTAMPTZOID,
										   &isnull));
}

/* Marks a locked ticket as not redeemed. */
void
ticket_unredeem(BookingCall *call, int64 ticket_id)
{
	Datum		value = Int64GetDatum(ticket_id);

	plan_check_rows(&call->base, "ticket",
					plan_execute(&call->base, &unredeem_plan, &value, NULL),
					1, 1);
}

/* Gives a locked ticket to another user. */
void
ticket_transfer(BookingCall *call, int64 ticket_id, Datum user_id)
{
	Datum		values[2];

	values[0] = Int64GetDatum(ticket_id);
	values[1] = user_id;
	plan_check_rows(&call->base, "ticket",
					plan_execute(&call->base, &transfer_plan, values, NULL),
					1, 1);
}

/*
 * Moves a locked ticket to another event.  The trigger takes a place there and
 * gives one back here.
 */
void
ticket_move(BookingCall *call, int64 ticket_id, int64 event_id)
{
	Datum		values[2];

	values[0] = Int64GetDatum(ticket_id);
	values[1] = Int64GetDatum(event_id);
	plan_check_rows(&call->base, "ticket",
					plan_execute(&call->base, &move_plan, values, NULL), 1, 1);
}

/* Gives each of two locked tickets to the user of the other. */
void
ticket_exchange(BookingCall *call, const int64 *ticket_ids,
				const TicketState *states)
{
	Datum		values[4];

	values[0] = Int64GetDatum(ticket_ids[0]);
	values[1] = Int64GetDatum(ticket_ids[1]);
	values[2] = states[0].user_id;
	values[3] = states[1].user_id;
	plan_check_rows(&call->base, "ticket",
					plan_execute(&call->base, &exchange_plan, values, NULL),
					2, 1);
}
