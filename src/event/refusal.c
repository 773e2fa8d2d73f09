/*-------------------------------------------------------------------------
 *
 * refusal.c
 *	  Errors about an event: it is missing, in use, or without a pool.
 *
 * They are 23503, 55000 and 23T08.  The refusals of a sale are in sale.c.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "event/refusal.h"
#include "server/errors.h"

/*
 * Raises 23503: there is no such event.  table is ticket or hold, a row of
 * which would have referred to it, or event if it was only to be read.
 */
void
refusal_no_event(int64 event_id, const char *table)
{
	bool		read = strcmp(table, "event") == 0;

	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("event " INT64_FORMAT " does not exist", event_id),
			 errdetail("Key (event_id)=(" INT64_FORMAT ") is not present in table \"event\".",
					   event_id),
			 errhint("Insert it into booking.event first. If another transaction did, it must have committed."),
			 error_fields(table, "event_id",
						  read ? "event_pkey" :
								 psprintf("%s_event_id_fkey", table))));
}

/* Raises 55000: the event is there, but its pool is not. */
void
refusal_no_inventory(int64 event_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("event " INT64_FORMAT " has no inventory", event_id),
			 errdetail("This statement inserts the event, or it was written while the triggers of pg_booking were disabled or missing."),
			 errhint("If this statement inserts the event, book in the next one. Otherwise call booking.rebuild_inventory(" INT64_FORMAT ").",
					 event_id)));
}

/* Warns that a sweep has skipped expired holds of an event without a pool. */
void
refusal_warn_no_inventory(int64 event_id)
{
	ereport(WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("event " INT64_FORMAT " has no inventory", event_id),
			 errdetail("Expired holds of such events are left as they are."),
			 errhint("booking.verify() names the events. Call booking.rebuild_inventory(), or delete the holds if the event is gone.")));
}

/*
 * Raises 23503: the table, ticket or hold, has rows of the event.  As with a
 * foreign key, the absence of COLUMN NAME tells it from refusal_no_event().
 */
void
refusal_event_in_use(int64 event_id, const char *table)
{
	bool		tickets = strcmp(table, "ticket") == 0;

	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("event " INT64_FORMAT " still has %s", event_id,
					tickets ? "tickets" : "live holds"),
			 errdetail("Key (event_id)=(" INT64_FORMAT ") is still referenced from table \"%s\".",
					   event_id, table),
			 tickets ?
				 errhint("Cancelled tickets count too: they are the event's history. Delete its tickets first.") :
				 errhint("Release the holds first, or call booking.expire_holds() if they have expired."),
			 error_fields(table, NULL,
						  psprintf("%s_event_id_fkey", table))));
}

/* Raises 23T08: the new capacity is below the number of places taken. */
void
refusal_capacity_in_use(int64 event_id, int32 capacity, int64 taken)
{
	ereport(ERROR,
			(errcode(ERRCODE_CAPACITY_IN_USE),
			 errmsg("capacity of event " INT64_FORMAT " cannot be lowered to %d",
					event_id, capacity),
			 errdetail("Places taken: " INT64_FORMAT ".", taken),
			 errhint("Cancel tickets first, or lower the capacity to no less than the places taken."),
			 error_fields("event", "capacity", "event_capacity")));
}
