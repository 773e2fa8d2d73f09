/*-------------------------------------------------------------------------
 *
 * sale.c
 *	  Taking places of an event by its sale rules, and giving them back.
 *
 * An event's places are a pool with the key event_id, in booking.inventory.
 * Its sale rules are the terms of the pool.  This file is the policy: the
 * window is judged by the clock, not by the start of the transaction, before a
 * stripe is locked and again after a wait; the limit per user by user_limit.c;
 * expired holds are reclaimed.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "event/event.h"
#include "event/handover.h"
#include "event/refusal.h"
#include "event/sale.h"
#include "event/user_limit.h"
#include "server/errors.h"

/* Set once a session, by expiry_init(). */
static const SaleReclaimer *reclaimer = NULL;

/* Tells how expired holds are found and ended. */
void
sale_set_reclaimer(const SaleReclaimer *new_reclaimer)
{
	reclaimer = new_reclaimer;
}

/* ---- the policy of the events' pools (pool.h) ---- */

static bool
is_open(PoolClaim *pool_claim, const PoolTerms *terms)
{
	Claim	   *claim = (Claim *) pool_claim;
	SaleRules	rules;

	if (!claim->in_window)
		return true;
	sale_rules_from_terms(terms, &rules);
	if (sale_rules_in_window(&rules))
		return true;
	claim->refusal = SALE_NOT_ON_SALE;
	return false;
}

static PoolVerdict
judge(PoolClaim *pool_claim, const PoolTerms *terms, int32 quantity)
{
	Claim	   *claim = (Claim *) pool_claim;
	SaleRules	rules;

	if (!claim->within_limit && !claim->is_order)
		return POOL_ALLOW;
	sale_rules_from_terms(terms, &rules);
	if (claim->is_order && !sale_rules_in_size(&rules, quantity))
	{
		claim->refusal = SALE_ORDER_SIZE;
		return POOL_REFUSE;
	}
	if (!claim->within_limit || rules.max_per_user == 0)
		return POOL_ALLOW;
	if (!claim->counted)
		return POOL_PREPARE;
	if (claim->owned + (claim->rows == NULL ? quantity : 0) <=
		rules.max_per_user)
		return POOL_ALLOW;
	claim->refusal = SALE_USER_LIMIT;
	return POOL_REFUSE;
}

/*
 * Locks the users of the rows at the event, and returns the places of the one
 * who has most.
 */
static int64
count_rows(BookingCall *call, Claim *claim)
{
	const ClaimRows *rows = claim->rows;

	if (rows->count > 1)
		return user_limit_count_most(call, claim->event_id, rows->user_id,
									 rows->places, rows->count, &claim->asked);
	claim->asked = rows->places[0];
	return user_limit_count(call, claim->event_id, rows->user_id[0]);
}

static void
prepare(Pool *pool, const PoolKey *key, PoolClaim *pool_claim)
{
	Claim	   *claim = (Claim *) pool_claim;

	if (claim->rows == NULL)
		claim->owned = user_limit_count(pool->context, claim->event_id,
										claim->user_id);
	else
		claim->owned = count_rows(pool->context, claim);
	claim->counted = true;
}

/* With any rule, each booking is judged by itself. */
static bool
may_prefetch(const PoolTerms *terms)
{
	SaleRules	rules;

	sale_rules_from_terms(terms, &rules);
	return !sale_rules_any(&rules);
}

static int64
reclaimable(Pool *pool, const PoolKey *key, Snapshot snapshot, int64 most,
			TimestampTz *next)
{
	return reclaimer->expired_places(pool->context,
									 DatumGetInt64(key->value[0]), snapshot,
									 most, next);
}

static int64
reclaim(Pool *pool, const PoolKey *key, int64 places, bool wait)
{
	return reclaimer->end_expired(pool->context, DatumGetInt64(key->value[0]),
								  places, wait);
}

static const PoolPolicy sale_policy = {
	.is_open = is_open,
	.judge = judge,
	.prepare = prepare,
	.may_prefetch = may_prefetch,
	.reclaimable = reclaimable,
	.reclaim = reclaim,
};

/* Opens the pool of an event for the time of the call. */
void
sale_open_pool(BookingCall *call, int64 event_id, SalePool *pool)
{
	pool->pool.call = &call->base;
	pool->pool.rel = call->inventory;
	pool->pool.shape = &call->tables.pool_shape;
	pool->pool.policy = &sale_policy;
	pool->pool.context = call;
	pool->key.value[0] = Int64GetDatum(event_id);
}

/* ---- take and give ---- */

/*
 * To be called after the event's pool was not found.  Raises 55000 if the event
 * exists and still has no pool.
 */
void
sale_check_no_event(BookingCall *call, int64 event_id)
{
	SalePool	pool;

	sale_open_pool(call, event_id, &pool);
	if (event_exists(call, event_id) && !pool_exists(&pool.pool, &pool.key))
		refusal_no_inventory(event_id);
}

/* The same; otherwise raises 23503 (see refusal_no_event). */
void
sale_raise_no_event(BookingCall *call, int64 event_id, const char *table)
{
	sale_check_no_event(call, event_id);
	refusal_no_event(event_id, table);
}

/*
 * Takes quantity places of the event for the claim, all or none, as
 * pool_take() does.  Quantity 0 takes nothing, but is judged, and locks a
 * stripe all the same.  A limit per user locks the user.
 *
 * SALE_NO_EVENT: sale_raise_no_event() raises the error.  For the other
 * refusals sale_error_refused() does.
 */
SaleResult
sale_take(BookingCall *call, int64 event_id, int32 quantity, Claim *claim)
{
	SalePool	pool;

	sale_open_pool(call, event_id, &pool);
	claim->event_id = event_id;
	handover_note_taking(event_id);
	switch (pool_take(&pool.pool, &pool.key, quantity, &claim->pool))
	{
		case POOL_TAKEN:
			return SALE_DONE;
		case POOL_SOLD_OUT:
			return SALE_SOLD_OUT;
		case POOL_REFUSED:
			return claim->refusal;
		default:
			return SALE_NO_EVENT;
	}
}

/* The same; raises 23T01, 23T02, 23T03, 23503 or 55000 if it can't. */
void
sale_take_or_raise(BookingCall *call, int64 event_id, int32 quantity,
				   Claim *claim, const char *table)
{
	SaleResult	result = sale_take(call, event_id, quantity, claim);

	if (result == SALE_NO_EVENT)
		sale_raise_no_event(call, event_id, table);
	if (result != SALE_DONE)
		sale_error_refused(event_id, quantity, result, claim);
}

/*
 * Gives places back to the event, as pool_give() does.  Returns false if the
 * event has no pool.
 */
bool
sale_give(BookingCall *call, int64 event_id, int32 quantity)
{
	SalePool	pool;

	sale_open_pool(call, event_id, &pool);
	return pool_give(&pool.pool, &pool.key, quantity);
}

/* The same; raises 23503 or 55000 if it can't. */
void
sale_give_or_raise(BookingCall *call, int64 event_id, int32 quantity,
				   const char *table)
{
	if (!sale_give(call, event_id, quantity))
		sale_raise_no_event(call, event_id, table);
}

/* ---- refusals ---- */

/* Raises 23T01: the event has fewer places left than the quantity. */
pg_noreturn static void
error_sold_out(int64 event_id, int32 quantity, int64 left)
{
	left = Max(left, 0);		/* the event may be oversold */
	ereport(ERROR,
			(errcode(ERRCODE_SOLD_OUT),
			 left == 0 ?
				 errmsg("event " INT64_FORMAT " is sold out", event_id) :
				 errmsg("event " INT64_FORMAT " has too few places left", event_id),
			 errdetail("Places left: " INT64_FORMAT "; asked for: %d.",
					   left, quantity),
			 errhint("Places come back when tickets are cancelled, holds end, or the capacity is raised."),
			 error_fields("event", "capacity", "event_capacity")));
}

/* Raises 23T02: the user would have more places than the event allows. */
pg_noreturn static void
error_user_limit(int64 event_id, int32 quantity, const Claim *claim,
				 const SaleRules *rules)
{
	int64		asked = claim->rows == NULL ? quantity : claim->asked;

	ereport(ERROR,
			(errcode(ERRCODE_USER_LIMIT),
			 errmsg_plural("event " INT64_FORMAT " allows %d place per user",
						   "event " INT64_FORMAT " allows %d places per user",
						   rules->max_per_user, event_id, rules->max_per_user),
			 errdetail("Places of the user: " INT64_FORMAT "; asked for: " INT64_FORMAT ".",
					   claim->owned - claim->asked, asked),
			 errhint("Live tickets and holds count. See max_per_user in booking.event."),
			 error_fields("event", "max_per_user", "event_max_per_user")));
}

/* Raises 23T03: the sale has not opened yet, or is over. */
pg_noreturn static void
error_not_on_sale(int64 event_id, const SaleRules *rules)
{
	bool		over = rules->sales_end <= GetCurrentTimestamp();

	ereport(ERROR,
			(errcode(ERRCODE_NOT_ON_SALE),
			 errmsg("event " INT64_FORMAT " is not on sale", event_id),
			 over ?
				 errdetail("The sale closed at %s.",
						   timestamptz_to_str(rules->sales_end)) :
				 errdetail("The sale opens at %s.",
						   timestamptz_to_str(rules->sales_start)),
			 errhint("See sales_start and sales_end in booking.event."),
			 error_fields("event", over ? "sales_end" : "sales_start",
						  "event_sales_window")));
}

/* Raises 22023: the event takes no orders of that many places. */
pg_noreturn static void
error_order_size(int64 event_id, int32 quantity, const SaleRules *rules)
{
	bool		too_few = quantity < rules->min_per_order;
	int32		bound = too_few ? rules->min_per_order : rules->max_per_order;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 too_few ?
				 errmsg("event " INT64_FORMAT " takes orders of at least %d places", event_id, bound) :
				 errmsg_plural("event " INT64_FORMAT " takes orders of at most %d place",
							   "event " INT64_FORMAT " takes orders of at most %d places",
							   bound, event_id, bound),
			 errdetail("Asked for: %d.", quantity),
			 errhint("See min_per_order and max_per_order in booking.event."),
			 error_fields("event", too_few ? "min_per_order" : "max_per_order",
						  "event_order_size")));
}

/*
 * Raises 22023 if the event takes no orders of that many places.  Reads a
 * stripe of its pool; locks nothing.
 */
void
sale_check_order_size(BookingCall *call, int64 event_id, int32 quantity)
{
	SalePool	pool;
	PoolTerms	terms;
	SaleRules	rules;
	int64		left;

	sale_open_pool(call, event_id, &pool);
	if (!pool_read(&pool.pool, &pool.key, &left, &terms))
		return;					/* the taking raises that there is no pool */
	sale_rules_from_terms(&terms, &rules);
	if (!sale_rules_in_size(&rules, quantity))
		error_order_size(event_id, quantity, &rules);
}

/* Raises the refusal that sale_take() has returned. */
void
sale_error_refused(int64 event_id, int32 quantity, SaleResult refusal,
				   const Claim *claim)
{
	SaleRules	rules;

	sale_rules_from_terms(&claim->pool.terms, &rules);
	switch (refusal)
	{
		case SALE_SOLD_OUT:
			error_sold_out(event_id, quantity, claim->pool.left);
			break;
		case SALE_USER_LIMIT:
			error_user_limit(event_id, quantity, claim, &rules);
			break;
		case SALE_NOT_ON_SALE:
			error_not_on_sale(event_id, &rules);
			break;
		case SALE_ORDER_SIZE:
			error_order_size(event_id, quantity, &rules);
			break;
		default:
			/* can't happen: the callers raise the others */
			elog(ERROR, "unexpected refusal %d", refusal);
	}
}
