/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  Every refusal that a user of pg_booking can meet, written once.
 *
 * The class TK is ours: the SQL standard keeps the classes that begin with
 * 0-4 and A-H for itself.  What the core raises (40001, 40P01, 55P03, 57014,
 * 25006) is never caught or wrapped, so that a client's retry logic works.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "utils/array.h"
#include "utils/memutils.h"

/* Raises 22004 when argument number argno, called name, is NULL. */
void
booking_check_argument(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}

/*
 * Raises 22023 unless quantity (in tickets) is at least 1 and the array of
 * the tickets' ids can be built.
 */
void
booking_check_quantity(int32 quantity)
{
	int most = (int) ((MaxAllocSize - ARR_OVERHEAD_NONULLS(1)) / sizeof(int64));

	if (quantity < 1 || quantity > most)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("quantity must be between 1 and %d", most),
				 errdetail("The quantity asked for is %d.", quantity)));
}

/* TK001: the event has fewer places left than the quantity asked for. */
void
booking_error_sold_out(int64 event_id, int32 quantity, int64 left)
{
	ereport(ERROR,
			(errcode(ERRCODE_BOOKING_SOLD_OUT),
			 left == 0 ?
				 errmsg("event " INT64_FORMAT " is sold out", event_id) :
				 errmsg("event " INT64_FORMAT " has too few places left", event_id),
			 errdetail("Places left: " INT64_FORMAT "; asked for: %d.",
					   left, quantity),
			 errhint("Places come back when tickets are cancelled or the capacity is raised.")));
}

/* P0002: there is no such event. */
void
booking_error_no_event(int64 event_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("event " INT64_FORMAT " does not exist", event_id),
			 errhint("Insert it into booking.event first. If another transaction did, it must have committed.")));
}

/* 55000: the event is there and its inventory is not. */
void
booking_error_no_inventory(int64 event_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("event " INT64_FORMAT " has no inventory", event_id),
			 errdetail("The event was written while the triggers of pg_booking were disabled or missing."),
			 errhint("Call booking.rebuild_inventory(" INT64_FORMAT ").",
					 event_id)));
}

/* P0002: there is no such ticket. */
void
booking_error_no_ticket(int64 ticket_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("ticket " INT64_FORMAT " does not exist", ticket_id)));
}

/*
 * TK005: the ticket is in a state in which it can't be what was asked, such
 * as refused = "cancelled", state = "redeemed".
 */
void
booking_error_wrong_state(int64 ticket_id, const char *refused,
						  const char *state)
{
	ereport(ERROR,
			(errcode(ERRCODE_BOOKING_WRONG_STATE),
			 errmsg("ticket " INT64_FORMAT " cannot be %s", ticket_id, refused),
			 errdetail("The ticket is already %s.", state)));
}

/* TK008: the new capacity is below the number of places taken. */
void
booking_error_capacity_in_use(int64 event_id, int32 capacity, int64 taken)
{
	ereport(ERROR,
			(errcode(ERRCODE_BOOKING_CAPACITY_IN_USE),
			 errmsg("capacity of event " INT64_FORMAT " cannot be lowered to %d",
					event_id, capacity),
			 errdetail("Places taken: " INT64_FORMAT ".", taken),
			 errhint("Cancel tickets first, or lower the capacity to no less than the places taken.")));
}

/*
 * 40001: under REPEATABLE READ or SERIALIZABLE a row was changed since the
 * transaction's snapshot; in the core's own words, for a client may look at
 * them.
 */
void
booking_error_conflict(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent update")));
}

/* 42P01: create_tables() has not been called in this database. */
void
booking_error_no_tables(const char *missing)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("table booking.%s does not exist", missing),
			 errhint("Create the tables of pg_booking by SELECT booking.create_tables().")));
}

/* 55000: a table is not as pg_booking needs it. */
void
booking_error_shape(const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the tables of pg_booking do not have the shape it needs"),
			 errdetail_internal("%s", detail),
			 errhint("%s", hint)));
}
