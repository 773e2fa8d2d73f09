/*-------------------------------------------------------------------------
 *
 * history_table.c
 *	  May a row of the history be inserted without a statement?
 *
 * What was found is kept until an invalidation message names the table.  It is
 * kept apart from what is known of the other tables (tables/tables.c): a call
 * without a history must not wait for a lock on the table.  And autovacuum of a
 * table that only grows must not make a session forget the stripes.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "history/history_table.h"

static struct
{
	bool		is_valid;
	Oid			relid;
	uint64		generation;		/* of the other tables (tables.c) */
	RowShape	shape;
} known;

/* Forgets it if the message is about the table. */
static void
forget(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == known.relid)
		known.is_valid = false;
}

/* Registers the callback; once a session. */
void
history_table_init(void)
{
	CacheRegisterRelcacheCallback(forget, (Datum) 0);
}

/* Returns the table, by its name, or InvalidOid. */
static Oid
find(const BookingCall *call)
{
	Oid			relid = get_relname_relid("history",
										  RelationGetNamespace(call->ticket));

	return get_rel_relkind(relid) == RELKIND_RELATION ? relid : InvalidOid;
}

/* True if what is known is true of the table, which is locked. */
static bool
is_known(const BookingCall *call)
{
	return known.is_valid && known.generation == call->tables.generation;
}

/*
 * Looks at the table; it stays known unless a message arrives.  If that fails,
 * a shape is known that is not plain.
 */
static void
look_at(const BookingCall *call, Relation history, RowShape *shape)
{
	known.relid = RelationGetRelid(history);
	known.generation = call->tables.generation;
	known.shape = (RowShape){.is_plain = false};
	known.is_valid = true;
	inspect_history_shape(&call->tables, history, shape);
	known.shape = *shape;
}

/*
 * Opens the history, locked ROW EXCLUSIVE, and fills *shape, if a row can be
 * inserted without a statement; otherwise returns NULL.
 */
Relation
history_table_open(const BookingCall *call, RowShape *shape)
{
	Oid			relid = is_known(call) ? known.relid : find(call);
	Relation	history;

	history =
		OidIsValid(relid) ? try_table_open(relid, RowExclusiveLock) : NULL;
	if (history == NULL)
		return NULL;
	*shape = known.shape;

	/* it may have been altered or renamed while its lock was waited for */
	if (!is_known(call) && find(call) == relid)
		look_at(call, history, shape);
	if (is_known(call) && known.relid == relid &&
		booking_call_is_plain(call, shape, history))
		return history;
	table_close(history, NoLock);
	return NULL;
}
