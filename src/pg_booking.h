/*-------------------------------------------------------------------------
 *
 * pg_booking.h
 *	  What the files of pg_booking share.
 *
 * A call runs through these layers, each of which knows only those below it:
 *
 *	booking.c, holding.c, batch.c, trigger.c, history.c
 *							the SQL functions and the triggers
 *	request.c				idempotency keys
 *	ticket.c, event.c		the rows of these tables
 *	inventory.c				take and give places: the protocol of the stripes
 *	hold.c					the rows of the holds, and their expiry
 *	claim.c					who may take places: sales window, limit per user
 *	remembered.c			where a session last saw a stripe
 *	reserve.c				places that a long transaction has taken ahead
 *	stripe.c				one inventory row: read its newest version, write it
 *	rowwriter.c				insert a row and its index entries
 *	user.c, result.c		users' ids, of whichever type; ids and rows
 *	catalog.c, plan.c		cached OIDs and shapes; kept SPI plans
 *	errors.c				every refusal that a user can meet
 *	fault.c					where tests kill the backend; not in any other build
 *
 * Lock order, the same in every function:
 *
 *	1. an idempotency key
 *	2. the event's row or the ticket's, where one that is there is changed
 *	3. the user at the event, where it has a limit per user
 *	4. holds, by expiry, then id
 *	5. stripes, stripe 0 first where more than one is needed
 *	6. then the row of a ticket or hold is written.
 *
 * It is the order in which a plain UPDATE or DELETE of a ticket and its trigger
 * go; of a hold too, unless the trigger has to lock the user.  A plain INSERT
 * can't: its trigger comes after the row, and so after the row's keys in unique
 * indexes and the locks of its foreign keys.
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
#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "storage/buf.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "compat.h"
#include "fault.h"

/* ---- settings (pg_booking.c) ---- */

extern bool booking_direct_path;
extern bool booking_split_always;

/* ---- catalog.c: the tables of this database ---- */

typedef struct BookingTables
{
	Oid			event;
	Oid			inventory;
	Oid			ticket;
	Oid			hold;
	Oid			request;
	Oid			user_limit;
	Oid			owner;			/* of all of them */
	Oid			user_id_type;	/* wherever there is a user */
	Oid			ticket_id_sequence;
	Oid			ticket_trigger; /* our trigger functions */
	Oid			event_trigger;
	Oid			hold_trigger;
	bool		ticket_is_plain;	/* may the direct path insert into it? */

	AttrNumber	event_event_id;
	AttrNumber	event_capacity;
	AttrNumber	inventory_event_id;
	AttrNumber	inventory_stripe;
	AttrNumber	inventory_available;
	AttrNumber	inventory_max_per_user;
	AttrNumber	inventory_sales_start;
	AttrNumber	inventory_sales_end;
	AttrNumber	ticket_ticket_id;
	AttrNumber	ticket_event_id;
	AttrNumber	ticket_user_id;
	AttrNumber	ticket_hold_id;
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
extern int	booking_context(const BookingCall *call);
extern bool booking_ticket_is_plain(const BookingCall *call);
extern bool booking_is_our_table(Relation rel, Oid table);

/* ---- plan.c: SQL that is planned once ---- */

extern void booking_connect(BookingCall *call);
extern void booking_connect_for_all_rows(BookingCall *call);
extern void booking_finish(BookingCall *call);

#define BOOKING_PLAN_ARGS 8

/* In the place of a type: that of the column user_id, its array. */
#define BOOKING_USER_ID ((Oid) 1)
#define BOOKING_USER_ID_ARRAY ((Oid) 2)

typedef struct BookingPlan
{
	const char *sql;
	int			nargs;
	Oid			argtypes[BOOKING_PLAN_ARGS];
	SPIPlanPtr	plan;			/* NULL until first used */
	Oid			user_id_type;	/* for which it was made */
	uint64		calls;
} BookingPlan;

extern uint64 booking_execute(BookingPlan *plan, Datum *values, bool read_only);
extern uint64 booking_execute_nulls(BookingPlan *plan, Datum *values,
									const char *nulls);
extern uint64 booking_execute_snapshot(BookingPlan *plan, Datum *values,
									   Snapshot snapshot);
extern uint64 booking_execute_latest(BookingPlan *plan, Datum *values,
									 int limit);
extern void booking_check_attempts(const char *table, int *attempts);
extern Datum booking_result(uint64 row, int column, Oid type, bool *isnull);

/* ---- stripe.c: one inventory row ---- */

/*
 * An event has at most this many stripes: enough that the sessions of a large
 * server each find one of their own, few enough that all of them fit on a
 * handful of pages.
 */
#define BOOKING_MAX_STRIPES 256
#define BOOKING_MAX_STRIPE_BITS 8

/*
 * The conditions on which an event is sold.  They are columns of the event's
 * row, and kept in each of its stripes: so what is locked to take a place says
 * whether it may be taken.
 */
typedef struct SaleRules
{
	TimestampTz sales_start;	/* DT_NOBEGIN: at all times */
	TimestampTz sales_end;		/* DT_NOEND: likewise */
	int32		max_per_user;	/* places; 0: no limit */
} SaleRules;

typedef struct Stripe
{
	ItemPointerData tid;
	TransactionId xmin;			/* who wrote this version */
	Buffer		seen_in;		/* where its page was, perhaps; or invalid */
	int32		number;
	int32		available;		/* places */
	TransactionId holder;		/* who was seen to have it locked, if any */
	SaleRules	rules;
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
	STRIPE_FREE,				/* nobody has; it was only looked at */
	STRIPE_GONE					/* it is not what it was when it was read */
} StripeChange;

typedef enum StripeMode
{
	STRIPE_LOOK,				/* change nothing */
	STRIPE_UNLESS_BUSY,			/* change it if nobody has it locked */
	STRIPE_WAIT					/* change it, after a wait if need be */
} StripeMode;

extern bool stripe_has_rules(const SaleRules *rules);
extern bool stripe_same_rules(const SaleRules *a, const SaleRules *b);
extern void stripe_read_all(BookingCall *call, int64 event_id,
							Snapshot snapshot, StripeSet *set);
extern StripeChange stripe_change(BookingCall *call, int64 event_id,
								  Stripe *stripe, int64 delta, int32 *more,
								  StripeMode mode);
extern StripeChange stripe_delete(BookingCall *call, int64 event_id,
								  Stripe *stripe);
extern void stripe_insert(BookingCall *call, int64 event_id, int32 number,
						  int32 available, const SaleRules *rules);
extern StripeChange stripe_set_rules(BookingCall *call, int64 event_id,
									 Stripe *stripe, const SaleRules *rules);

/* ---- inventory.c: take and give ---- */

typedef enum TakeResult
{
	TAKE_DONE,
	TAKE_SOLD_OUT,
	TAKE_NO_EVENT,
	TAKE_NOT_ON_SALE,
	TAKE_USER_LIMIT,
	TAKE_COUNT_FIRST, /* inside only: the user's places are to be counted */
	TAKE_AGAIN					/* inside only: look again */
} TakeResult;

/* For whom places are taken, on which conditions, and what came of it. */
typedef struct Claim
{
	Datum		user_id;
	bool		in_window;		/* only while the event is on sale */
	bool		within_limit;	/* only up to the event's limit per user */
	bool		written;		/* the row is in its table already */
	int32		brought;		/* its places, where none is taken for it */

	bool		counted;		/* has what the user owns been counted? */
	int64		owned;			/* places, where it has */
	int64		left;			/* on TAKE_SOLD_OUT: so many places */
	SaleRules	rules;			/* by which it was decided */
} Claim;

extern TakeResult booking_take(BookingCall *call, int64 event_id,
							   int32 quantity, Claim *claim);
extern void booking_set_rules(BookingCall *call, int64 event_id,
							  const SaleRules *rules);
extern bool booking_give(BookingCall *call, int64 event_id, int32 quantity);
extern bool booking_give_now(BookingCall *call, int64 event_id,
							 int32 quantity);
extern void booking_end_expired(BookingCall *call, int64 event_id);
extern bool booking_nothing_left(BookingCall *call, int64 event_id);
extern void booking_touch_stripe(BookingCall *call, int64 event_id);
extern int64 booking_drop_stripes(BookingCall *call, int64 event_id);

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
extern void row_writer_insert_many(RowWriter *writer, TupleTableSlot **slots,
								   int count,
								   struct BulkInsertStateData *bulk);
extern void row_writer_index_update(RowWriter *writer, HeapTuple tuple);
extern bool row_writer_is_kept(Relation rel);
extern void row_writer_close(RowWriter *writer);

/* ---- errors.c ---- */

#define ERRCODE_BOOKING_SOLD_OUT MAKE_SQLSTATE('T', 'K', '0', '0', '1')
#define ERRCODE_BOOKING_USER_LIMIT MAKE_SQLSTATE('T', 'K', '0', '0', '2')
#define ERRCODE_BOOKING_NOT_ON_SALE MAKE_SQLSTATE('T', 'K', '0', '0', '3')
#define ERRCODE_BOOKING_HOLD_EXPIRED MAKE_SQLSTATE('T', 'K', '0', '0', '4')
#define ERRCODE_BOOKING_WRONG_STATE MAKE_SQLSTATE('T', 'K', '0', '0', '5')
#define ERRCODE_BOOKING_KEY_MISMATCH MAKE_SQLSTATE('T', 'K', '0', '0', '6')
#define ERRCODE_BOOKING_CAPACITY_IN_USE MAKE_SQLSTATE('T', 'K', '0', '0', '8')

extern void booking_check_argument(FunctionCallInfo fcinfo, int argno,
								   const char *name);
extern void booking_check_quantity(int32 quantity);
pg_noreturn extern void booking_error_refused(int64 event_id, int32 quantity,
											  TakeResult refusal,
											  const Claim *claim);
pg_noreturn extern void booking_error_no_event(int64 event_id);
pg_noreturn extern void booking_error_no_inventory(int64 event_id);
extern void booking_warn_no_inventory(int64 event_id);
pg_noreturn extern void booking_error_no_row(const char *what, int64 id);
pg_noreturn extern void booking_error_wrong_state(const char *what, int64 id,
												  const char *refused,
												  const char *state);
pg_noreturn extern void
booking_error_hold_expired(int64 hold_id, TimestampTz expires_at);
pg_noreturn extern void booking_error_ttl(const char *detail);
pg_noreturn extern void booking_error_key_mismatch(int64 event_id,
												   const char *argument);
pg_noreturn extern void booking_error_row_changed(const char *table);
pg_noreturn extern void
booking_error_capacity_in_use(int64 event_id, int32 capacity, int64 taken);
pg_noreturn extern void booking_error_conflict(void);
pg_noreturn extern void booking_error_no_tables(const char *missing);
pg_noreturn extern void booking_error_shape(const char *detail,
											const char *hint);

#endif							/* PG_BOOKING_H */
