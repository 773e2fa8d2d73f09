/*-------------------------------------------------------------------------
 *
 * tables.h
 *	  Where the booking tables of this database are.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef TABLES_H
#define TABLES_H

#include "storage/lockdefs.h"

#include "pool/shape.h"

/* The terms of an event's pool: the columns of its sale rules. */
enum
{
	TABLES_TERM_SALES_START,
	TABLES_TERM_SALES_END,
	TABLES_TERM_MAX_PER_USER
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
	PoolShape	pool_shape;		/* of the inventory */
	bool		ticket_is_plain;	/* inspect.c */
	Oid			ticket_id_sequence; /* if it is */

	AttrNumber	ticket_ticket_id;
	AttrNumber	ticket_event_id;
	AttrNumber	ticket_user_id;
	AttrNumber	ticket_hold_id;
	AttrNumber	ticket_booked_at;
} BookingTables;

extern void tables_init(void);
extern void tables_lock(BookingTables *tables, LOCKMODE lockmode);

#endif							/* TABLES_H */
