/*-------------------------------------------------------------------------
 *
 * trigger.h
 *	  What the triggers of all features need.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef TRIGGER_H_
#define TRIGGER_H_

#include "commands/trigger.h"
#include "fmgr.h"

#include "tables/booking_call.h"

extern TriggerData *trigger_begin(FunctionCallInfo fcinfo, BookingCall *call,
								  const char *function);
extern void trigger_check_table(TriggerData *data, const char *function,
								Oid table);
extern Datum trigger_value(Relation rel, TupleTableSlot *slot,
						   const char *column, bool *isnull);
extern Datum trigger_value_not_null(Relation rel, TupleTableSlot *slot,
									const char *column);
extern CommandId trigger_removed_in(const TriggerData *data);

#endif							/* TRIGGER_H_ */
