/*-------------------------------------------------------------------------
 *
 * tables.c
 *	  Where the booking tables of this database are.
 *
 * What was looked up is kept in the struct `known`.  It is valid only when it
 * is complete, and becomes invalid as soon as an invalidation message names one
 * of its relations.  Messages are processed when a lock is acquired.  So a
 * call locks the tables first, and then asks whether `known` is still valid.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "pool/remembered.h"
#include "server/errors.h"
#include "tables/inspect.h"
#include "tables/tables.h"

static BookingTables known;
static bool known_is_valid = false;

/* Counts the messages that have made `known` invalid. */
static uint64 generation = 0;

/*
 * Makes `known` invalid if the message is about one of its relations; then
 * what is remembered of the stripes may be wrong, too.
 */
static void
forget_relation(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) ||
		relid == known.inventory || relid == known.ticket ||
		relid == known.event || relid == known.hold ||
		relid == known.request || relid == known.user_limit)
	{
		known_is_valid = false;
		generation++;
		remembered_forget_all();
	}
}

/* The same when a schema was changed. */
static void
forget_schema(Datum arg, int cacheid, uint32 hashvalue)
{
	forget_relation((Datum) 0, InvalidOid);
}

/* Registers the callbacks; once a session, before the first look-up. */
void
tables_init(void)
{
	CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, forget_schema, (Datum) 0);
}

/* Returns the OID of a table of ours; raises 42P01 if it is missing. */
static Oid
find_table(Oid schema, const char *name)
{
	Oid			oid = OidIsValid(schema) ?
		get_relname_relid(name, schema) :
		InvalidOid;

	if (!OidIsValid(oid))
		error_no_table(name);
	return oid;
}

/* Finds the tables by their names. */
static void
find_tables(BookingTables *tables)
{
	Oid			schema = get_namespace_oid(BOOKING_SCHEMA, true);

	tables->event = find_table(schema, "event");
	tables->ticket = find_table(schema, "ticket");
	tables->inventory = find_table(schema, "inventory");
	tables->hold = find_table(schema, "hold");
	tables->request = find_table(schema, "request");
	tables->user_limit = find_table(schema, "user_limit");
}

/* True if these are the same tables. */
static bool
same_tables(const BookingTables *a, const BookingTables *b)
{
	return a->event == b->event && a->ticket == b->ticket &&
		a->inventory == b->inventory && a->hold == b->hold &&
		a->request == b->request && a->user_limit == b->user_limit;
}

/*
 * Finds the tables and locks them, until the names still lead to the locked
 * tables.  Locks on tables that were renamed in between are kept, so this ends
 * however many messages arrive.
 */
static void
find_and_lock(BookingTables *tables, LOCKMODE lockmode)
{
	BookingTables found;

	find_tables(&found);
	do
	{
		CHECK_FOR_INTERRUPTS();
		*tables = found;
		LockRelationOid(tables->event, AccessShareLock);
		LockRelationOid(tables->hold, AccessShareLock);
		LockRelationOid(tables->request, AccessShareLock);
		LockRelationOid(tables->user_limit, AccessShareLock);
		LockRelationOid(tables->ticket, lockmode);
		LockRelationOid(tables->inventory, lockmode);
		find_tables(&found);
	} while (!same_tables(&found, tables));
}

/*
 * Fills *tables under the locks, and publishes it as `known`, unless a message
 * has arrived in the meantime.  It is good for this call anyway.
 */
static void
load(BookingTables *tables, LOCKMODE lockmode)
{
	uint64		started;
	OpenTables	open;

	memset(tables, 0, sizeof(*tables));
	find_and_lock(tables, lockmode);

	/* from here on, messages about these tables are counted */
	known = *tables;
	started = generation;
	tables->generation = started;
	open.event = table_open(tables->event, NoLock);
	open.ticket = table_open(tables->ticket, NoLock);
	open.inventory = table_open(tables->inventory, NoLock);
	open.hold = table_open(tables->hold, NoLock);
	open.request = table_open(tables->request, NoLock);
	open.user_limit = table_open(tables->user_limit, NoLock);
	inspect_tables(tables, &open);
	table_close(open.user_limit, AccessShareLock);
	table_close(open.request, AccessShareLock);
	table_close(open.hold, AccessShareLock);
	table_close(open.inventory, NoLock);
	table_close(open.ticket, NoLock);
	table_close(open.event, AccessShareLock);

	if (started == generation)
	{
		known = *tables;
		known_is_valid = true;
	}
}

/*
 * Locks ticket and inventory, and fills *tables, which is then true for as
 * long as the locks are held.  Raises 42P01 or 55000.
 */
void
tables_lock(BookingTables *tables, LOCKMODE lockmode)
{
	if (known_is_valid)
	{
		*tables = known;
		LockRelationOid(tables->ticket, lockmode);
		LockRelationOid(tables->inventory, lockmode);
	}
	if (!known_is_valid)
		load(tables, lockmode);
}

/*
 * True if *tables still is what a new look-up would find.  To be asked under a
 * lock on the table in question, if that is not ticket or inventory.
 */
bool
tables_are_current(const BookingTables *tables)
{
	return tables->generation == generation;
}
