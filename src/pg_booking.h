/*-------------------------------------------------------------------------
 *
 * pg_booking.h
 *	  What the files of pg_booking share.
 *
 * A call runs through these layers, each of which knows only those below it:
 *
 *	booking.c, trigger.c	the SQL functions and the triggers
 *	ticket.c, event.c		the rows of the two tables
 *	inventory.c				take and give places: the protocol of the stripes
 *	reserve.c				places that a long transaction has taken ahead
 *	stripe.c				one inventory row: read its newest version, write it
 *	rowwriter.c				insert a row and its index entries
 *	catalog.c, plan.c		cached OIDs and shapes; kept SPI plans
 *	errors.c				every refusal that a user can meet
 *
 * Lock order, the same in every function: the event's row or the ticket's,
 * where one that is there is changed; then stripes, stripe 0 first where more
 * than one is needed; then a ticket is written.  It is the order in which a
 * plain UPDATE or DELETE and its trigger go.  A plain INSERT can't: its trigger
 * comes after the row, and so after the row's keys in unique indexes and the
 * locks of its foreign keys.
 * Tables are locked before rows, ticket before inventory.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PG_BOOKING_H
#define PG_BOOKING_H

#include "postgres.h"

#include "access/attnum.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "storage/buf.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "compat.h"

/* ---- settings (pg_booking.c) ---- */

extern bool booking_direct_path;
extern bool booking_split_always;

/* ---- catalog.c: the tables of this database ---- */

typedef struct BookingTables
{
	Oid			event;
	Oid			inventory;
	Oid			ticket;
	Oid			owner;			/* of all three */
	Oid			ticket_id_sequence;
	Oid			ticket_trigger; /* our trigger functions */
	Oid			event_trigger;
	bool		ticket_is_plain;	/* may the direct path insert into it? */

	AttrNumber	event_event_id;
	AttrNumber	event_capacity;
	AttrNumber	inventory_event_id;
	AttrNumber	inventory_stripe;
	AttrNumber	inventory_available;
	AttrNumber	ticket_ticket_id;
	AttrNumber	ticket_event_id;
	AttrNumber	ticket_user_id;
	AttrNumber	ticket_booked_at;
	AttrNumber	ticket_cancelled_at;
} BookingTables;

/*
 * One call into pg_booking: the tables open and locked, the user switched to
 * their owner.
 */
typedef struct BookingCall
{
	BookingTables tables;		/* a copy: the cache may be emptied meanwhile */
	Relation	ticket;
	Relation	inventory;
	Oid			caller;
	int			caller_context;
	int			guc_level;		/* of the search_path, or 0: the caller's */
} BookingCall;

extern void booking_catalog_init(void);
extern void booking_begin(BookingCall *call, const char *what);
extern void booking_begin_unchecked(BookingCall *call);
extern bool booking_begin_again(BookingCall *call, const BookingTables *tables);
extern void booking_guard_search_path(BookingCall *call);
extern void booking_begin_read(BookingCall *call);
extern void booking_check_tables(void);
extern void booking_end(BookingCall *call);
extern bool booking_ticket_is_plain(const BookingCall *call);
extern bool booking_is_our_table(Relation rel, Oid table);

/* ---- plan.c: SQL that is planned once ---- */

extern void booking_connect(BookingCall *call);

typedef struct BookingPlan
{
	const char *sql;
	int			nargs;
	Oid			argtypes[4];
	SPIPlanPtr	plan;			/* NULL until first used */
} BookingPlan;

extern uint64 booking_execute(BookingPlan *plan, Datum *values, bool read_only);
extern uint64 booking_execute_latest(BookingPlan *plan, Datum *values,
									 int limit);
extern Datum booking_result(uint64 row, int column, bool *isnull);

/* ---- stripe.c: one inventory row ---- */

/*
 * An event has at most this many stripes: enough that the sessions of a large
 * server each find one of their own, few enough that all of them fit on a
 * handful of pages.
 */
#define BOOKING_MAX_STRIPES 256
#define BOOKING_MAX_STRIPE_BITS 8

typedef struct Stripe
{
	ItemPointerData tid;
	TransactionId xmin;			/* who wrote this version */
	Buffer		seen_in;		/* where its page was, perhaps; or invalid */
	int32		number;
	int32		available;		/* places */
	TransactionId holder;		/* who was seen to have it locked, if any */
} Stripe;

typedef struct StripeSet
{
	int			count;
	int64		total;			/* places in all stripes */
	Stripe		stripe[BOOKING_MAX_STRIPES];	/* ascending by number */
} StripeSet;

typedef enum StripeChange
{
	STRIPE_CHANGED,				/* done */
	STRIPE_SHORT,				/* it has too few places */
	STRIPE_BUSY,				/* another transaction has it locked */
	STRIPE_GONE					/* the version asked for is not the newest */
} StripeChange;

extern void stripe_read_all(BookingCall *call, int64 event_id,
							Snapshot snapshot, StripeSet *set);
extern StripeChange stripe_change(BookingCall *call, int64 event_id,
								  Stripe *stripe, int64 delta, int32 *more,
								  bool wait);
extern StripeChange stripe_delete(BookingCall *call, int64 event_id,
								  Stripe *stripe);
extern void stripe_insert(BookingCall *call, int64 event_id,
						  int32 number, int32 available);

/* ---- inventory.c: take and give ---- */

typedef enum TakeResult
{
	TAKE_DONE,
	TAKE_SOLD_OUT,
	TAKE_NO_EVENT
} TakeResult;

extern TakeResult booking_take(BookingCall *call, int64 event_id,
							   int32 quantity, int64 *left);
extern bool booking_give(BookingCall *call, int64 event_id, int32 quantity);
extern bool booking_give_now(BookingCall *call, int64 event_id,
							 int32 quantity);
extern void booking_drop_stripes(BookingCall *call, int64 event_id);
extern void booking_forget_stripes(void);
extern void booking_inventory_init(void);

/* ---- rowwriter.c ---- */

typedef struct RowWriter
{
	Relation	rel;
	TupleTableSlot *slot;		/* the caller stores the row here */
	MemoryContext context;		/* of all that follows */
	struct EState *estate;
	struct ResultRelInfo *result_rel;
	Oid		   *index_oids;
} RowWriter;

extern void row_writer_init(void);
extern void row_writer_open(RowWriter *writer, Relation rel, bool may_keep);
extern void row_writer_insert(RowWriter *writer);
extern void row_writer_index_update(RowWriter *writer, HeapTuple tuple);
extern bool row_writer_is_kept(Relation rel);
extern void row_writer_close(RowWriter *writer);

/* ---- errors.c ---- */

#define ERRCODE_BOOKING_SOLD_OUT MAKE_SQLSTATE('T', 'K', '0', '0', '1')
#define ERRCODE_BOOKING_WRONG_STATE MAKE_SQLSTATE('T', 'K', '0', '0', '5')
#define ERRCODE_BOOKING_CAPACITY_IN_USE MAKE_SQLSTATE('T', 'K', '0', '0', '8')

extern void booking_check_argument(FunctionCallInfo fcinfo, int argno,
								   const char *name);
extern void booking_check_quantity(int32 quantity);
pg_noreturn extern void booking_error_sold_out(int64 event_id, int32 quantity,
											   int64 left);
pg_noreturn extern void booking_error_no_event(int64 event_id);
pg_noreturn extern void booking_error_no_inventory(int64 event_id);
pg_noreturn extern void booking_error_no_ticket(int64 ticket_id);
pg_noreturn extern void booking_error_wrong_state(int64 ticket_id,
												  const char *refused,
												  const char *state);
pg_noreturn extern void
booking_error_capacity_in_use(int64 event_id, int32 capacity, int64 taken);
pg_noreturn extern void booking_error_conflict(void);
pg_noreturn extern void booking_error_no_tables(const char *missing);
pg_noreturn extern void booking_error_shape(const char *detail,
											const char *hint);

#endif							/* PG_BOOKING_H */
