/*-------------------------------------------------------------------------
 *
 * inspect.h
 *	  Checks that the booking tables have the shape that the C code needs.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef INSPECT_H
#define INSPECT_H

#include "tables/tables.h"

/* All booking tables, open. */
typedef struct OpenTables
{
	Relation	event;
	Relation	inventory;
	Relation	ticket;
	Relation	hold;
	Relation	request;
	Relation	user_limit;
} OpenTables;

extern void inspect_tables(BookingTables *tables, const OpenTables *open);

#endif							/* INSPECT_H */
