/*-------------------------------------------------------------------------
 *
 * booking_call.h
 *	  One call of a function or trigger on the booking tables.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef BOOKING_CALL_H
#define BOOKING_CALL_H

#include "server/call.h"
#include "server/rowwriter.h"
#include "tables/tables.h"

typedef struct BookingCall
{
	Call		base;
	BookingTables tables;		/* a copy: a message may empty the cache */
	Relation	ticket;			/* open and locked, as is the inventory */
	Relation	inventory;
} BookingCall;

extern void booking_call_begin(BookingCall *call, const char *function);
extern void booking_call_begin_as_caller(BookingCall *call,
										 const char *function);
extern void booking_call_begin_internal(BookingCall *call);
extern void booking_call_begin_read(BookingCall *call);
extern void booking_call_end(BookingCall *call);
extern void booking_call_check_tables(void);
extern Relation booking_call_open(Oid table, const char *name,
								  LOCKMODE lockmode);
extern bool booking_call_is_ticket_plain(const BookingCall *call);
extern bool booking_call_is_plain(const BookingCall *call,
								  const RowShape *shape, Relation rel);
extern bool booking_call_may_find(const BookingCall *call,
								  const RowShape *shape, Relation rel);
extern bool booking_call_may_update(const BookingCall *call,
									const RowShape *shape, Relation rel);
extern void booking_call_open_writer(BookingCall *call,
									 const RowShape *shape, Relation rel,
									 RowWriter *writer);
extern void booking_call_open_updater(BookingCall *call,
									  const RowShape *shape, Relation rel,
									  RowWriter *writer);
extern void booking_call_close_writer(RowWriter *writer);
extern bool booking_call_is_our_table(Relation rel, Oid table);

#endif							/* BOOKING_CALL_H */
