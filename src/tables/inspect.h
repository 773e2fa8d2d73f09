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

#include "pool/shape.h"

/* The terms of an event's pool: the columns of its sale rules. */
enum
{
	INSPECT_TERM_SALES_START,
	INSPECT_TERM_SALES_END,
	INSPECT_TERM_MAX_PER_USER
};

typedef struct BookingTables
{
	Oid			event;
	Oid			inventory;
	Oid			ticket;
	Oid			hold;
	Oid			request;
	Oid			user_limit;
	Oid			owner;			/* of all of them */
	Oid			user_id_type;	/* of each column user_id */
	Oid			user_id_collation;	/* of each, or InvalidOid */
	bool		user_id_by_image;	/* equal ids have the same bytes */
	PoolShape	pool_shape;		/* of the inventory */
	bool		ticket_is_plain;	/* inspect.c */
	Oid			ticket_id_sequence; /* if it is */
	Oid			ticket_trigger; /* the function of our trigger on it */

	AttrNumber	ticket_ticket_id;
	AttrNumber	ticket_event_id;
	AttrNumber	ticket_user_id;
	AttrNumber	ticket_hold_id;
	AttrNumber	ticket_booked_at;
} BookingTables;

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
extern void inspect_history(BookingTables *tables, Relation history);

#endif							/* INSPECT_H */
