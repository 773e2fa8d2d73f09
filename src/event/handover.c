/*-------------------------------------------------------------------------
 *
 * handover.c
 *	  A function tells the triggers which places it has taken already.
 *
 * A function takes or gives places before it writes the ticket or hold.  So it
 * waits for a stripe before its ticket or hold exists.  The statement that it
 * runs then fires our trigger, which must not take or give the same places
 * again.  A trigger gets no argument of ours, so this needs a variable of the
 * session.
 *
 * A handover is accepted only by the rows of that statement, not by rows that a
 * trigger of the user's writes in between, and only at the nesting level of
 * subtransactions where it was made.  So no savepoint can undo the rows and
 * leave the handover used.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"

#include "event/handover.h"
#include "tables/user_id.h"

/* The innermost handover.  It is set only while its statement runs. */
static Handover *current = NULL;

/*
 * Runs a statement that writes the rows for which places were taken or given.
 * nulls is as for plan_execute().  If it forgets a user, it must miss no row,
 * so it runs with the newest snapshot, and no value may be null.
 */
uint64
handover_execute(BookingCall *call, Handover *handover, SqlPlan *plan,
				 Datum *values, const char *nulls)
{
	uint64		rows = 0;

	handover->nest_level = GetCurrentTransactionNestLevel();
	handover->depth = call_trigger_depth() + 1;
	handover->is_stale = false;
	handover->outer = current;
	current = handover;
	PG_TRY();
	{
		rows = handover->forgets_in != NULL ?
			plan_execute_latest(&call->base, plan, values, 0) :
			plan_execute(&call->base, plan, values, nulls);
	}
	PG_FINALLY();
	{
		current = handover->outer;
	}
	PG_END_TRY();
	return rows;
}

/* How many of the places are left of the handover; 0 if it is of other sign. */
static int64
left_of(int64 places)
{
	return places > 0 ?
		Max(Min(places, current->places), 0) :
		Min(Max(places, current->places), 0);
}

/* True if the places were taken for that user, as far as is known. */
static bool
is_for_user(const BookingCall *call, const Datum *user_id)
{
	return current->user_id == NULL || user_id == NULL ||
		user_id_equal(&call->base, *current->user_id, *user_id);
}

/* True if the statement of a function has fired the trigger that asks. */
static bool
is_fired_by_function(void)
{
	return current != NULL &&
		current->nest_level == GetCurrentTransactionNestLevel() &&
		current->depth == call_trigger_depth();
}

/*
 * True if a trigger is fired by the statement of a function that has judged
 * what it writes for the event.
 */
bool
handover_is_here(int64 event_id)
{
	return is_fired_by_function() && current->event_id == event_id;
}

/*
 * A trigger is about to take places of the event for a user (give, if
 * negative).  Returns how many of them a function has taken or given already.
 */
int64
handover_accept(const BookingCall *call, int64 event_id, const Datum *user_id,
				int64 places)
{
	int64		accepted;

	if (!handover_is_here(event_id) || !is_for_user(call, user_id))
		return 0;
	accepted = left_of(places);
	current->places -= accepted;
	return accepted;
}

/*
 * True if triggers of the user's have taken places of the event since the
 * handover was made: then the limit per user has to be judged again, unless it
 * does not apply.
 */
bool
handover_is_stale(void)
{
	return current != NULL && current->is_stale && !current->over_limit;
}

/* Places of the event are about to be taken. */
void
handover_note_taking(int64 event_id)
{
	for (Handover *handover = current; handover; handover = handover->outer)
		handover->is_stale |= handover->event_id == event_id;
}

/*
 * True if the statement that runs now is forget_user()'s on that table, and
 * has fired the trigger that asks.  A statement of a user's trigger is not.
 */
bool
handover_is_forgetting(const char *table)
{
	return is_fired_by_function() && current->forgets_in != NULL &&
		strcmp(current->forgets_in, table) == 0;
}

/* True if the rows are tickets that the staff books. */
bool
handover_is_by_staff(void)
{
	return is_fired_by_function() && current->by_staff;
}
