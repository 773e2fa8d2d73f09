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

#include "tables/inspect.h"

extern void tables_init(void);
extern void tables_lock(BookingTables *tables, LOCKMODE lockmode);
extern bool tables_are_current(const BookingTables *tables);

#endif							/* TABLES_H */
