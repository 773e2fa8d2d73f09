/*-------------------------------------------------------------------------
 *
 * stripe.c
 *	  One inventory row: find it, read its newest version, write it.
 *
 * The only place that reads a row in order to decide on it, and the only one
 * that writes one.  A change is a compare-and-swap: it reads the newest
 * version, computes the next one from it, and hands both to heap_update(),
 * which succeeds only if that version is still the newest when the row is
 * locked; else somebody else was first, and the caller looks again.  So
 * nothing that was read before the lock is ever used after it.
 *
 * "Newest" is what SnapshotSelf sees: what has been committed by now, and
 * what this transaction did.  A row version is addressed by its TID.  Reading
 * one keeps its page pinned until it is written, so that pruning can't give
 * the TID to another row in between; the event's id is checked all the same,
 * for the TID may have been remembered for long.
 *
 * Under REPEATABLE READ and SERIALIZABLE a row that has changed since the
 * transaction's snapshot is 40001, as for the core's UPDATE.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/*
 * From a version that was remembered to the newest one lie as many steps as
 * others have written it meanwhile.  After this many the index is quicker.
 */
#define MAX_STEPS 32

/* Up to so many index entries of an event are left to the core to judge. */
#define FEW_ENTRIES 8

/* A row version in its pinned page. */
typedef struct PinnedRow
{
	HeapTupleData tuple;
	Buffer		buffer;
	TransactionId xmin;
	int32		number;
	int32		available;
	SaleRules	rules;
	TransactionId holder;		/* invalid: nobody else has it locked */
} PinnedRow;

/*
 * Who else has the row locked or is writing it?  The answer is a hint: it may
 * have changed when the caller reads it.  The buffer is locked.
 */
static TransactionId
current_holder(HeapTupleHeader header)
{
	TransactionId xmax = HeapTupleHeaderGetRawXmax(header);

	if (header->t_infomask & HEAP_XMAX_INVALID)
		return InvalidTransactionId;
	if (header->t_infomask & HEAP_XMAX_IS_MULTI)
		return MultiXactIdIsRunning((MultiXactId) xmax,
									HEAP_XMAX_IS_LOCKED_ONLY(
										header->t_infomask)) ?
			FrozenTransactionId :
			InvalidTransactionId;
	if (TransactionIdIsCurrentTransactionId(xmax) ||
		!TransactionIdIsInProgress(xmax))
		return InvalidTransactionId;
	return xmax;
}

/*
 * Pins a page: in the buffer where it was seen last, if it is still there, for
 * that takes no look-up.  InvalidBuffer: there is no such page any more, for
 * vacuum has cut it off since its number was remembered.
 */
static Buffer
pin_page(Relation rel, BlockNumber block, Buffer seen_in)
{
	if (BufferIsValid(seen_in) && booking_read_recent(rel, block, seen_in))
		return seen_in;
	if (block >= RelationGetNumberOfBlocks(rel))
		return InvalidBuffer;
	return ReadBuffer(rel, block);
}

/*
 * Prunes the pinned page when it is half full.  The core would do so at every
 * visit, for the table's low fillfactor asks for free pages; but then each
 * booking of a quiet event pays for a pruning of its own, and its WAL.
 */
static void
prune_half_full(Relation rel, Buffer buffer)
{
	if (PageGetHeapFreeSpace(BufferGetPage(buffer)) < BLCKSZ / 2)
		heap_page_prune_opt(rel, buffer);
}

/*
 * Reads the version at *tid, whose page was last seen in a buffer, or not
 * (InvalidBuffer).  Returns true where it is the newest, its page pinned; else
 * false, nothing pinned, and *tid is moved to the version that followed it, or
 * made invalid where none did.
 */
static bool
read_version(Relation rel, ItemPointer tid, Buffer seen_in, PinnedRow *row)
{
	OffsetNumber offset = ItemPointerGetOffsetNumber(tid);
	Page		page;
	ItemId		item;
	bool		newest = false;

	row->buffer = pin_page(rel, ItemPointerGetBlockNumber(tid), seen_in);
	if (!BufferIsValid(row->buffer))
	{
		ItemPointerSetInvalid(tid);
		return false;
	}
	prune_half_full(rel, row->buffer);
	LockBuffer(row->buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(row->buffer);

	if (offset <= PageGetMaxOffsetNumber(page) &&
		ItemIdIsNormal(item = PageGetItemId(page, offset)))
	{
		row->tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
		row->tuple.t_len = ItemIdGetLength(item);
		row->tuple.t_tableOid = RelationGetRelid(rel);
		row->tuple.t_self = *tid;
		newest = HeapTupleSatisfiesVisibility(&row->tuple, SnapshotSelf,
											  row->buffer);
		if (newest)
		{
			row->xmin = HeapTupleHeaderGetRawXmin(row->tuple.t_data);
			row->holder = current_holder(row->tuple.t_data);
		}
		else if (HeapTupleHeaderIndicatesMovedPartitions(row->tuple.t_data) ||
				 ItemPointerEquals(tid, &row->tuple.t_data->t_ctid))
			ItemPointerSetInvalid(tid);
		else
			*tid = row->tuple.t_data->t_ctid;
	}
	else
		ItemPointerSetInvalid(tid);

	LockBuffer(row->buffer, BUFFER_LOCK_UNLOCK);
	if (!newest)
		ReleaseBuffer(row->buffer);
	return newest;
}

/* Raises 55000: somebody else has written into the inventory. */
pg_noreturn static void
error_foreign_row(void)
{
	booking_error_shape("booking.inventory holds a row that pg_booking did not write.",
						"Call booking.rebuild_inventory() for every event that booking.verify() names.");
}

/* A column of an inventory row that is never null. */
static Datum
row_column(BookingCall *call, HeapTuple tuple, AttrNumber attnum)
{
	bool		isnull;
	Datum value =
		heap_getattr(tuple, attnum, RelationGetDescr(call->inventory), &isnull);

	if (isnull)
		error_foreign_row();
	return value;
}

/* The conditions of sale in an inventory row. */
static void
read_rules(BookingCall *call, HeapTuple tuple, SaleRules *rules)
{
	TupleDesc	desc = RelationGetDescr(call->inventory);
	BookingTables *tables = &call->tables;
	bool		isnull;
	Datum		value;

	value = heap_getattr(tuple, tables->inventory_sales_start, desc, &isnull);
	rules->sales_start = isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
	value = heap_getattr(tuple, tables->inventory_sales_end, desc, &isnull);
	rules->sales_end = isnull ? DT_NOEND : DatumGetTimestampTz(value);
	value = heap_getattr(tuple, tables->inventory_max_per_user, desc, &isnull);
	rules->max_per_user = isnull ? 0 : DatumGetInt32(value);
}

/* The same, in the other direction, for three columns in that order. */
static void
rules_to_values(const SaleRules *rules, Datum *values, bool *isnull)
{
	values[0] = TimestampTzGetDatum(rules->sales_start);
	isnull[0] = TIMESTAMP_IS_NOBEGIN(rules->sales_start);
	values[1] = TimestampTzGetDatum(rules->sales_end);
	isnull[1] = TIMESTAMP_IS_NOEND(rules->sales_end);
	values[2] = Int32GetDatum(rules->max_per_user);
	isnull[2] = rules->max_per_user == 0;
}

/* Are there any conditions? */
bool
stripe_has_rules(const SaleRules *rules)
{
	return rules->max_per_user != 0 ||
		!TIMESTAMP_IS_NOBEGIN(rules->sales_start) ||
		!TIMESTAMP_IS_NOEND(rules->sales_end);
}

/* Are the conditions the same? */
bool
stripe_same_rules(const SaleRules *a, const SaleRules *b)
{
	return a->sales_start == b->sales_start && a->sales_end == b->sales_end &&
		a->max_per_user == b->max_per_user;
}

/*
 * Pins the newest version of the stripe, starting at stripe->tid, where it is
 * left.  False where it can't be found from there.
 */
static bool
pin_newest(BookingCall *call, int64 event_id, Stripe *stripe, PinnedRow *row)
{
	BookingTables *tables = &call->tables;
	ItemPointer tid = &stripe->tid;

	for (int step = 0; step < MAX_STEPS && ItemPointerIsValid(tid); step++)
	{
		if (!read_version(call->inventory, tid, stripe->seen_in, row))
			continue;
		if (DatumGetInt64(row_column(call, &row->tuple,
									 tables->inventory_event_id)) != event_id)
		{
			ReleaseBuffer(row->buffer);
			return false;
		}
		row->number = DatumGetInt32(
			row_column(call, &row->tuple, tables->inventory_stripe));
		row->available = DatumGetInt32(
			row_column(call, &row->tuple, tables->inventory_available));
		read_rules(call, &row->tuple, &row->rules);
		return true;
	}
	return false;
}

/*
 * Pins the version that stripe->tid names, or a newer one, if the conditions
 * of sale in it are still those in stripe->rules, by which the caller has
 * decided.  Where the isolation level forbids a newer one: 40001, unless what
 * the stripe names is of our own making; then it is just not found.
 */
static bool
pin_stripe(BookingCall *call, int64 event_id, Stripe *stripe, PinnedRow *row)
{
	ItemPointerData seen = stripe->tid;
	bool		found = pin_newest(call, event_id, stripe, row);
	bool		same;

	same = found && ItemPointerEquals(&seen, &stripe->tid) &&
		TransactionIdEquals(stripe->xmin, row->xmin);
	if (!same && IsolationUsesXactSnapshot())
	{
		if (!TransactionIdIsCurrentTransactionId(stripe->xmin))
			booking_error_conflict();
		if (found)
			ReleaseBuffer(row->buffer);
		return false;
	}
	if (found && !stripe_same_rules(&stripe->rules, &row->rules))
	{
		ReleaseBuffer(row->buffer);
		return false;
	}
	return found;
}

/*
 * What became of an attempt to write a row.  Advances the command counter
 * after a success, for the next call of the same statement must meet the new
 * version as an old one.
 */
static StripeChange
written(TM_Result result)
{
	switch (result)
	{
		case TM_Ok:
			CommandCounterIncrement();
			return STRIPE_CHANGED;
		case TM_Updated:
		case TM_Deleted:
			if (IsolationUsesXactSnapshot())
				booking_error_conflict();
			return STRIPE_GONE;
		default:
			/* can't happen: the row was seen, and is waited for */
			elog(ERROR, "unexpected result %d of writing an inventory row", result);
			return STRIPE_GONE; /* keep the compiler quiet */
	}
}

/* Deletes the pinned row, waiting for whoever has it locked. */
static StripeChange
delete_row(BookingCall *call, PinnedRow *row)
{
	TM_FailureData failure;
	TM_Result	result;

	result = heap_delete(call->inventory, &row->tuple.t_self,
						 GetCurrentCommandId(true), InvalidSnapshot, true,
						 &failure, false);
	ReleaseBuffer(row->buffer);
	return written(result);
}

/*
 * Writes the pinned row with new values in some columns, waiting for whoever
 * has it locked; *stripe then tells where the new version is.
 */
static StripeChange
update_row(BookingCall *call, PinnedRow *row, int ncolumns, int *columns,
		   Datum *values, bool *isnull, Stripe *stripe)
{
	Relation	rel = call->inventory;
	TM_FailureData failure;
	TM_Result	result;
	HeapTuple	tuple;

	tuple = heap_modify_tuple_by_cols(&row->tuple, RelationGetDescr(rel),
									  ncolumns, columns, values, isnull);
	result = booking_heap_update(rel, &row->tuple.t_self, tuple,
								 GetCurrentCommandId(true), &failure);
	ReleaseBuffer(row->buffer);
	stripe->seen_in = row->buffer;	/* a hint: mostly it is on the same page */

	/* an update that was not HOT needs entries in every index */
	if (result == TM_Ok && !HeapTupleIsHeapOnly(tuple))
	{
		RowWriter	writer;

		fault_point("stripe: not in the index");
		row_writer_open(&writer, rel, false);
		row_writer_index_update(&writer, tuple);
		row_writer_close(&writer);
	}
	stripe->tid = tuple->t_self;
	stripe->xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
	heap_freetuple(tuple);
	return written(result);
}

/* Writes the pinned row with that many places available. */
static StripeChange
update_available(BookingCall *call, PinnedRow *row, int32 available,
				 Stripe *stripe)
{
	int			column = call->tables.inventory_available;
	Datum		value = Int32GetDatum(available);
	bool		isnull = false;

	return update_row(call, row, 1, &column, &value, &isnull, stripe);
}

/*
 * Writes other conditions of sale into the stripe, waiting for whoever has it
 * locked, and locks it until the end of the transaction.  STRIPE_GONE: the row
 * has changed meanwhile; look again.
 */
StripeChange
stripe_set_rules(BookingCall *call, int64 event_id, Stripe *stripe,
				 const SaleRules *rules)
{
	int			columns[3] = {call->tables.inventory_sales_start,
					   call->tables.inventory_sales_end,
					   call->tables.inventory_max_per_user };
	Datum		values[3];
	bool		isnull[3];
	PinnedRow	row;

	if (!pin_stripe(call, event_id, stripe, &row))
		return STRIPE_GONE;
	rules_to_values(rules, values, isnull);
	stripe->rules = *rules;
	return update_row(call, &row, 3, columns, values, isnull, stripe);
}

/*
 * How many of the places that are wished for may be taken ahead of their use,
 * when so many are left?  None where the event has conditions of sale: there
 * each place is judged by itself.
 */
static int32
places_ahead(const PinnedRow *row, int32 wish, int64 available)
{
	if (stripe_has_rules(&row->rules))
		return 0;
	return (int32) Max(Min(wish, available - 1), 0);
}

/*
 * Adds delta places (which may be negative) to the stripe at or after
 * stripe->tid, and locks it until the end of the transaction.  A stripe that
 * is left without a place is deleted, unless it is stripe 0, which stays for
 * as long as the event does.
 *
 * STRIPE_SHORT: it has too few places; nothing was written or locked.
 * STRIPE_BUSY: another transaction has it locked, and the mode is not
 * STRIPE_WAIT; holder says who.  STRIPE_FREE: it could be changed, and the mode
 * is STRIPE_LOOK.  STRIPE_GONE: the row has changed meanwhile; look again.  But
 * for STRIPE_GONE, *stripe says what the row says now; its tid is invalid
 * where the row was deleted.
 *
 * more, where it is not NULL, says how many places may be taken beyond delta if
 * one is left then, and on STRIPE_CHANGED how many were.
 *
 * STRIPE_UNLESS_BUSY is an intention and no guarantee: whoever locks the row
 * just after it was seen free is waited for, as heap_update() always does.
 */
StripeChange
stripe_change(BookingCall *call, int64 event_id, Stripe *stripe, int64 delta,
			  int32 *more, StripeMode mode)
{
	PinnedRow	row;
	int64		available;
	StripeChange result;

	if (!pin_stripe(call, event_id, stripe, &row))
		return STRIPE_GONE;
	stripe->xmin = row.xmin;
	stripe->number = row.number;
	stripe->available = row.available;
	stripe->holder = row.holder;
	available = row.available + delta;
	if (available < 0 || mode == STRIPE_LOOK ||
		(TransactionIdIsValid(row.holder) && mode == STRIPE_UNLESS_BUSY))
	{
		ReleaseBuffer(row.buffer);
		if (available < 0)
			return STRIPE_SHORT;
		return TransactionIdIsValid(row.holder) ? STRIPE_BUSY : STRIPE_FREE;
	}
	if (more != NULL)
	{
		*more = places_ahead(&row, *more, available);
		available -= *more;
	}
	if (available > PG_INT32_MAX)
	{
		ReleaseBuffer(row.buffer);
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("inventory of event " INT64_FORMAT " is out of range", event_id)));
	}

	fault_point("stripe: before the write");
	if (available == 0 && delta < 0 && row.number != 0)
	{
		result = delete_row(call, &row);
		ItemPointerSetInvalid(&stripe->tid);
		fault_point("stripe: drained");
	}
	else
		result = update_available(call, &row, (int32) available, stripe);
	fault_point("stripe: written");
	stripe->available = (int32) available;
	return result;
}

/*
 * Deletes the stripe, whatever it holds, waiting for whoever has it locked;
 * *stripe then says how many places that were.
 */
StripeChange
stripe_delete(BookingCall *call, int64 event_id, Stripe *stripe)
{
	PinnedRow	row;

	if (!pin_stripe(call, event_id, stripe, &row))
		return STRIPE_GONE;
	stripe->available = row.available;
	ItemPointerSetInvalid(&stripe->tid);
	return delete_row(call, &row);
}

/* Inserts a stripe; 23505 where the event has one of that number. */
void
stripe_insert(BookingCall *call, int64 event_id, int32 number, int32 available,
			  const SaleRules *rules)
{
	BookingTables *tables = &call->tables;
	const AttrNumber columns[6] = {
		tables->inventory_event_id, tables->inventory_stripe,
		tables->inventory_available, tables->inventory_sales_start,
		tables->inventory_sales_end, tables->inventory_max_per_user
	};
	Datum		values[6];
	bool		isnull[6] = {false, false, false};
	RowWriter	writer;
	TupleTableSlot *slot;

	values[0] = Int64GetDatum(event_id);
	values[1] = Int32GetDatum(number);
	values[2] = Int32GetDatum(available);
	rules_to_values(rules, values + 3, isnull + 3);

	row_writer_open(&writer, call->inventory, false);
	slot = writer.slot;
	memset(slot->tts_isnull, true,
		   RelationGetDescr(call->inventory)->natts * sizeof(bool));
	for (int i = 0; i < 6; i++)
	{
		slot->tts_values[columns[i] - 1] = values[i];
		slot->tts_isnull[columns[i] - 1] = isnull[i];
	}
	ExecStoreVirtualTuple(slot);
	row_writer_insert(&writer);
	row_writer_close(&writer);
	CommandCounterIncrement();
}

/* Adds a row that the index led to, in its pinned page, to the set. */
static void
add_to_set(BookingCall *call, HeapTuple tuple, Buffer buffer, StripeSet *set)
{
	Stripe	   *stripe = &set->stripe[set->count];
	int32		number = DatumGetInt32(
		row_column(call, tuple, call->tables.inventory_stripe));

	if (set->count == BOOKING_MAX_STRIPES || number < 0 ||
		number >= BOOKING_MAX_STRIPES)
		error_foreign_row();
	stripe->tid = tuple->t_self;
	stripe->xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
	stripe->seen_in = buffer;
	stripe->number = number;
	stripe->available = DatumGetInt32(
		row_column(call, tuple, call->tables.inventory_available));
	read_rules(call, tuple, &stripe->rules);
	stripe->holder = InvalidTransactionId;
	set->total += stripe->available;
	set->count++;
}

/*
 * The last version of the HOT chain that begins at root, or NULL where the
 * chain is not as simple as it mostly is.  The page is locked.  (PostgreSQL's
 * macros want a Page that is not const.)
 */
static HeapTupleHeader
chain_end(Page page, ItemPointer root)	/* NOLINT(readability-non-const-*) */
{
	OffsetNumber offset = ItemPointerGetOffsetNumber(root);
	TransactionId expected_xmin = InvalidTransactionId;

	if (offset <= PageGetMaxOffsetNumber(page) &&
		ItemIdIsRedirected(PageGetItemId(page, offset)))
		offset = ItemIdGetRedirect(PageGetItemId(page, offset));

	for (;;)
	{
		ItemId		item;
		HeapTupleHeader header;

		if (offset < FirstOffsetNumber || offset > PageGetMaxOffsetNumber(page))
			return NULL;
		item = PageGetItemId(page, offset);
		if (!ItemIdIsNormal(item))
			return NULL;
		header = (HeapTupleHeader) PageGetItem(page, item);
		if (TransactionIdIsValid(expected_xmin) &&
			!TransactionIdEquals(expected_xmin, HeapTupleHeaderGetXmin(header)))
			return NULL;
		if (!HeapTupleHeaderIsHotUpdated(header))
			return header;
		if (header->t_infomask & HEAP_XMAX_IS_MULTI)
			return NULL;
		expected_xmin = HeapTupleHeaderGetRawXmax(header);
		offset = ItemPointerGetOffsetNumber(&header->t_ctid);
	}
}

/*
 * Is nothing in the HOT chain that begins at root visible to the snapshot, and
 * yet all of it kept for an older one?  The page is locked.
 *
 * While an old snapshot is held, a hot event leaves thousands of such chains,
 * each as long as a page.  To see that one ended before our snapshot, its last
 * version is enough, and its hint bits; the core would judge each version.  In
 * doubt the answer is no, and the core is asked.
 */
static bool
chain_is_past(Relation rel, ItemPointer root, Snapshot snapshot, Page page)
{
	HeapTupleHeader end = chain_end(page, root);
	TransactionId xmax;

	if (end == NULL ||
		(end->t_infomask & HEAP_XMAX_COMMITTED) == 0 ||
		(end->t_infomask & HEAP_XMAX_IS_MULTI) != 0 ||
		HEAP_XMAX_IS_LOCKED_ONLY(end->t_infomask))
		return false;
	xmax = HeapTupleHeaderGetRawXmax(end);
	return !XidInMVCCSnapshot(xmax, snapshot) &&
		!GlobalVisTestIsRemovableXid(GlobalVisTestFor(rel), xmax);
}

/*
 * Adds what the snapshot sees of the HOT chain that begins at root to the set.
 * Returns whether all of the chain is dead to everybody, so that the index may
 * forget it.  The page is pinned.
 */
static bool
read_chain(BookingCall *call, ItemPointer root, Snapshot snapshot,
		   Buffer buffer, bool maybe_past, StripeSet *set)
{
	Relation	rel = call->inventory;
	ItemPointerData tid = *root;
	HeapTupleData tuple;
	bool		all_dead = false;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!(maybe_past &&
		  chain_is_past(rel, root, snapshot, BufferGetPage(buffer))) &&
		heap_hot_search_buffer(&tid, rel, buffer, snapshot, &tuple, &all_dead,
							   true))
		add_to_set(call, &tuple, buffer, set);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	return all_dead;
}

/*
 * Reads all stripes of the event that the snapshot sees, by the primary key.
 * Locks nothing.  The snapshot is registered by the caller, who keeps it for
 * as long as it uses the TIDs.
 */
void
stripe_read_all(BookingCall *call, int64 event_id, Snapshot snapshot,
				StripeSet *set)
{
	Relation	rel = call->inventory;
	Relation	index;
	IndexScanDesc scan;
	ScanKeyData key;
	ItemPointer tid;
	Buffer		buffer = InvalidBuffer;
	int			entries = 0;

	set->count = 0;
	set->total = 0;

	/*
	 * The index is asked for here, not remembered: REINDEX CONCURRENTLY may
	 * have replaced it, of which the lock on the table has told us.
	 */
	list_free(RelationGetIndexList(rel));
	index = index_open(rel->rd_pkindex, AccessShareLock);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(event_id));
	scan = booking_index_beginscan(rel, index, snapshot, 1);
	index_rescan(scan, &key, 1, NULL, 0);
	while ((tid = index_getnext_tid(scan, ForwardScanDirection)) != NULL)
	{
		Buffer		before = buffer;
		bool		all_dead;

		buffer =
			ReleaseAndReadBuffer(buffer, rel, ItemPointerGetBlockNumber(tid));
		if (buffer != before)
			prune_half_full(rel, buffer);

		/* a few entries are not worth a look of our own */
		all_dead = read_chain(call, tid, snapshot, buffer,
							  ++entries > FEW_ENTRIES, set);

		/* as the core's scans do; on a standby it would break old snapshots */
		scan->kill_prior_tuple = all_dead && !scan->xactStartedInRecovery;
	}
	if (BufferIsValid(buffer))
		ReleaseBuffer(buffer);
	index_endscan(scan);
	index_close(index, NoLock);
}
