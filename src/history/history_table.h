/*-------------------------------------------------------------------------
 *
 * history_table.h
 *	  May a row of the history be inserted without a statement?
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef HISTORY_TABLE_H
#define HISTORY_TABLE_H

#include "tables/booking_call.h"

extern void history_table_init(void);
extern Relation history_table_open(const BookingCall *call, RowShape *shape);

#endif							/* HISTORY_TABLE_H */
