/*-------------------------------------------------------------------------
 *
 * handover.h
 *	  A function tells the triggers which places it has taken already.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include "server/plan.h"
#include "tables/booking_call.h"

/*
 * Places of an event that a function has taken (given, if negative) for rows
 * that the statement it runs now will write.  Or what else the triggers must
 * know of that statement.
 */
typedef struct Handover
{
	int64		event_id;
	const Datum *user_id;		/* for whom; NULL: for several users */
	int64		places;
	const char *forgets_in; /* a table in which a user is forgotten, or NULL */
	bool		by_staff;		/* the staff books tickets */
	bool		over_limit;		/* the limit per user does not apply */
	int			nest_level;
	int			depth;			/* of the triggers of these rows */
	bool		is_stale;		/* a trigger has taken places, too */
	struct Handover *outer;
} Handover;

extern uint64 handover_execute(BookingCall *call, Handover *handover,
							   SqlPlan *plan, Datum *values, const char *nulls);
extern bool handover_is_here(int64 event_id);
extern int64 handover_accept(const BookingCall *call, int64 event_id,
							 const Datum *user_id, int64 places);
extern bool handover_is_stale(void);
extern void handover_note_taking(int64 event_id);
extern bool handover_is_forgetting(const char *table);
extern bool handover_is_by_staff(void);

#endif							/* HANDOVER_H */
