/*-------------------------------------------------------------------------
 *
 * placed_row.h
 *	  Rows that hold places of an event, as the triggers see them.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PLACED_ROW_H
#define PLACED_ROW_H

#include "datatype/timestamp.h"

#include "tables/booking_call.h"

/* A row of the ticket or hold table. */
typedef struct PlacedRow
{
	const char *table;			/* ticket or hold */
	int64		event_id;
	Datum		user_id;
	int32		places;			/* that it holds; 0: it is not live */
	TimestampTz expires_at;		/* DT_NOEND: never */
	CommandId	removed_in;		/* the command that has removed the row */
} PlacedRow;

extern bool placed_row_is_imported(const BookingCall *call);
extern void placed_row_added(BookingCall *call, const PlacedRow *row);
extern void placed_row_changed(BookingCall *call, const PlacedRow *old,
							   const PlacedRow *new);
extern void placed_row_removed(BookingCall *call, const PlacedRow *row);
extern void placed_row_moved(BookingCall *call, const PlacedRow *old,
							 const PlacedRow *new);

extern void placed_row_lowered(BookingCall *call, int64 event_id,
							   int32 capacity, int32 places);

#endif							/* PLACED_ROW_H */
