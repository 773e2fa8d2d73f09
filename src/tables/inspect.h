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
#include "tables/row_shape.h"
#include "tables/user_index.h"

/* The terms of an event's pool: the columns of its sale rules. */
enum
{
	INSPECT_TERM_SALES_START,
	INSPECT_TERM_SALES_END,
	INSPECT_TERM_MAX_PER_USER,
	INSPECT_TERM_MIN_PER_ORDER,
	INSPECT_TERM_MAX_PER_ORDER
};

/* The columns that we read or write, in the order of their shapes. */
enum
{
	INSPECT_EVENT_ID,
	INSPECT_EVENT_HOLD_TTL,
	INSPECT_EVENT_MAX_HOLD_TTL
};

enum
{
	INSPECT_TICKET_ID,
	INSPECT_TICKET_EVENT_ID,
	INSPECT_TICKET_USER_ID,
	INSPECT_TICKET_HOLD_ID,
	INSPECT_TICKET_BOOKED_AT,
	INSPECT_TICKET_CANCELLED_AT
};

enum
{
	INSPECT_HOLD_ID,
	INSPECT_HOLD_EVENT_ID,
	INSPECT_HOLD_USER_ID,
	INSPECT_HOLD_QUANTITY,
	INSPECT_HOLD_EXPIRES_AT,
	INSPECT_HOLD_CREATED_AT,
	INSPECT_HOLD_ENDED_AT,
	INSPECT_HOLD_CONFIRMED_AT
};

enum
{
	INSPECT_REQUEST_EVENT_ID,
	INSPECT_REQUEST_KEY,
	INSPECT_REQUEST_USER_ID,
	INSPECT_REQUEST_QUANTITY,
	INSPECT_REQUEST_IS_HOLD,
	INSPECT_REQUEST_TTL,
	INSPECT_REQUEST_IDS,
	INSPECT_REQUEST_EXPIRES_AT,
	INSPECT_REQUEST_USER_IDS,
	INSPECT_REQUEST_STATUSES,
	INSPECT_REQUEST_CREATED_AT
};

enum
{
	INSPECT_USER_LIMIT_EVENT_ID,
	INSPECT_USER_LIMIT_USER_ID
};

enum
{
	INSPECT_HISTORY_ID,
	INSPECT_HISTORY_HAPPENED_AT,
	INSPECT_HISTORY_SESSION_USER_NAME,
	INSPECT_HISTORY_TABLE_NAME,
	INSPECT_HISTORY_ACTION,
	INSPECT_HISTORY_EVENT_ID,
	INSPECT_HISTORY_USER_ID,
	INSPECT_HISTORY_TICKET_ID,
	INSPECT_HISTORY_HOLD_ID,
	INSPECT_HISTORY_QUANTITY
};

typedef struct BookingTables
{
	Oid			event;
	Oid			inventory;
	Oid			ticket;
	Oid			hold;
	Oid			request;
	Oid			user_limit;
	Oid owner; /* of all of them */
	Oid			user_id_type;	/* of each column user_id */
	Oid			user_id_collation;	/* of each, or InvalidOid */
	bool		user_id_by_image;	/* equal ids have the same bytes */
	PoolShape	pool_shape;		/* of the inventory */
	RowShape	event_shape;
	RowShape	ticket_shape;
	RowShape	hold_shape;
	RowShape	request_shape;
	RowShape	user_limit_shape;
	UserIndex	ticket_user_index;
	UserIndex	hold_user_index;
	uint64		generation;		/* tables.c */
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
extern void inspect_history_shape(const BookingTables *tables,
								  Relation history, RowShape *shape);

#endif							/* INSPECT_H */
