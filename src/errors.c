/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  Every refusal that a user of pg_booking can meet, written once.
 *
 * The class TK is ours: the SQL standard keeps the classes that begin with
 * 0-4 and A-H for itself.  What the core raises (40001, 40P01, 55P03, 57014,
 * 25006) is never caught or wrapped, so that a client's retry logic works.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Raises 22004 when argument number argno, called name, is NULL. */
void
booking_check_argument(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}

/*
 * Raises 22023 unless quantity (in tickets) is at least 1 and the array of
 * the tickets' ids can be built.
 */
void
booking_check_quantity(int32 quantity)
{
	int most = (int) ((MaxAllocSize - ARR_OVERHEAD_NONULLS(1)) / sizeof(int64));

	if (quantity < 1 || quantity > most)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("quantity must be between 1 and %d", most),
				 errdetail("The quantity asked for is %d.", quantity)));
}

/* TK001: the event has fewer places left than the quantity asked for. */
pg_noreturn static void
error_sold_out(int64 event_id, int32 quantity, int64 left)
{
	ereport(ERROR,
			(errcode(ERRCODE_BOOKING_SOLD_OUT),
			 left == 0 ?
				 errmsg("event " INT64_FORMAT " is sold out", event_id) :
				 errmsg("event " INT64_FORMAT " has too few places left", event_id),
			 errdetail("Places left: " INT64_FORMAT "; asked for: %d.",
					   left, quantity),
			 errhint("Places come back when tickets are cancelled, holds end, or the capacity is raised.")));
}

/* TK002: the user would have more places of the event than it allows. */
pg_noreturn static void
error_user_limit(int64 event_id, int32 quantity, const Claim *claim)
{
	int32		asked = quantity + claim->brought;
	int64		owned = claim->owned - (claim->written ? asked : 0);

	ereport(ERROR,
			(errcode(ERRCODE_BOOKING_USER_LIMIT),
			 errmsg("event " INT64_FORMAT " allows %d places per user",
					event_id, claim->rules.max_per_user),
			 errdetail("Places of the user: " INT64_FORMAT "; asked for: %d.",
					   owned, asked),
			 errhint("Live tickets and holds count. See max_per_user in booking.event.")));
}

/* TK003: the sale has not opened yet, or is over. */
pg_noreturn static void
error_not_on_sale(int64 event_id, const SaleRules *rules)
{
	bool		over = rules->sales_end <= GetCurrentTimestamp();

	ereport(ERROR,
			(errcode(ERRCODE_BOOKING_NOT_ON_SALE),
			 errmsg("event " INT64_FORMAT " is not on sale", event_id),
			 over ?
				 errdetail("The sale closed at %s.",
						   timestamptz_to_str(rules->sales_end)) :
				 errdetail("The sale opens at %s.",
						   timestamptz_to_str(rules->sales_start)),
			 errhint("See sales_start and sales_end in booking.event.")));
}

/* Raises what booking_take() has returned instead of TAKE_DONE. */
void
booking_error_refused(int64 event_id, int32 quantity, TakeResult refusal,
					  const Claim *claim)
{
	switch (refusal)
	{
		case TAKE_SOLD_OUT:
			error_sold_out(event_id, quantity, claim->left);
			break;
		case TAKE_USER_LIMIT:
			error_user_limit(event_id, quantity, claim);
			break;
		case TAKE_NOT_ON_SALE:
			error_not_on_sale(event_id, &claim->rules);
			break;
		default:
			/* can't happen: the callers raise the others */
			elog(ERROR, "unexpected refusal %d", refusal);
	}
}

/* P0002: there is no such event. */
void
booking_error_no_event(int64 event_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("event " INT64_FORMAT " does not exist", event_id),
			 errhint("Insert it into booking.event first. If another transaction did, it must have committed.")));
}

/* 55000: the event is there and its inventory is not. */
void
booking_error_no_inventory(int64 event_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("event " INT64_FORMAT " has no inventory", event_id),
			 errdetail("The event was written while the triggers of pg_booking were disabled or missing."),
			 errhint("Call booking.rebuild_inventory(" INT64_FORMAT ").",
					 event_id)));
}

/* A sweep has met expired holds of an event without inventory. */
void
booking_warn_no_inventory(int64 event_id)
{
	ereport(WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("event " INT64_FORMAT " has no inventory", event_id),
			 errdetail("Expired holds of such events are left as they are."),
			 errhint("booking.verify() names them. Call booking.rebuild_inventory(), or delete the holds if the event is gone.")));
}

/* P0002: there is no such ticket, or hold. */
void
booking_error_no_row(const char *what, int64 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("%s " INT64_FORMAT " does not exist", what, id)));
}

/*
 * TK005: what = "ticket" or "hold" is in a state in which it can't be what was
 * asked, such as refused = "cancelled", state = "redeemed".
 */
void
booking_error_wrong_state(const char *what, int64 id, const char *refused,
						  const char *state)
{
	ereport(ERROR,
			(errcode(ERRCODE_BOOKING_WRONG_STATE),
			 errmsg("%s " INT64_FORMAT " cannot be %s", what, id, refused),
			 errdetail("The %s is already %s.", what, state)));
}

/* TK004: the hold has expired, be it swept or not. */
void
booking_error_hold_expired(int64 hold_id, TimestampTz expires_at)
{
	ereport(ERROR,
			(errcode(ERRCODE_BOOKING_HOLD_EXPIRED),
			 errmsg("hold " INT64_FORMAT " has expired", hold_id),
			 errdetail("It expired at %s.", timestamptz_to_str(expires_at)),
			 errhint("confirm_hold(hold_id, if_expired => 'rebook') books the places anew if there are any.")));
}

/* 22023: how long a hold is to last is out of range. */
void
booking_error_ttl(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("ttl is out of range"),
			 errdetail_internal("%s", detail)));
}

/* TK006: the key was used before, with other arguments. */
void
booking_error_key_mismatch(int64 event_id, const char *argument)
{
	ereport(ERROR,
			(errcode(ERRCODE_BOOKING_KEY_MISMATCH),
			 errmsg("idempotency key was used before with other arguments"),
			 errdetail("For event " INT64_FORMAT " it was sent with another %s.",
					   event_id, argument),
			 errhint("Send a new key with every new request, and the same only with a retry.")));
}

/* 55000: a trigger or rule has had its way with a row of ours. */
void
booking_error_row_changed(const char *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("a trigger or rule on booking.%s did not let a row be written as asked",
					table),
			 errhint("What such a trigger may do is raise an error, or fill in columns of its own.")));
}

/* TK008: the new capacity is below the number of places taken. */
void
booking_error_capacity_in_use(int64 event_id, int32 capacity, int64 taken)
{
	ereport(ERROR,
			(errcode(ERRCODE_BOOKING_CAPACITY_IN_USE),
			 errmsg("capacity of event " INT64_FORMAT " cannot be lowered to %d",
					event_id, capacity),
			 errdetail("Places taken: " INT64_FORMAT ".", taken),
			 errhint("Cancel tickets first, or lower the capacity to no less than the places taken.")));
}

/*
 * 40001: under REPEATABLE READ or SERIALIZABLE a row was changed since the
 * transaction's snapshot; in the core's own words, for a client may look at
 * them.
 */
void
booking_error_conflict(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent update")));
}

/* 42P01: create_tables() has not been called in this database. */
void
booking_error_no_tables(const char *missing)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("table booking.%s does not exist", missing),
			 errhint("Create the tables of pg_booking by SELECT booking.create_tables().")));
}

/* 55000: a table is not as pg_booking needs it. */
void
booking_error_shape(const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the tables of pg_booking do not have the shape it needs"),
			 errdetail_internal("%s", detail),
			 errhint("%s", hint)));
}
