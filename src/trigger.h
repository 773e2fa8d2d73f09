/*-------------------------------------------------------------------------
 *
 * trigger.h
 *	  What the triggers share (trigger.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef BOOKING_TRIGGER_H
#define BOOKING_TRIGGER_H

#include "pg_booking.h"

#include "commands/trigger.h"

extern TriggerData *trigger_begin(FunctionCallInfo fcinfo, BookingCall *call,
								  const char *name);
extern void trigger_check_table(BookingCall *call, TriggerData *data,
								const char *name, Oid table);
extern Datum trigger_row_value(Relation rel, TupleTableSlot *slot,
							   const char *column, bool *isnull);

#endif							/* BOOKING_TRIGGER_H */
