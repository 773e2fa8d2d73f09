/*-------------------------------------------------------------------------
 *
 * pg_booking.c
 *	  The module: its magic block and its settings.
 *
 * There is nothing to preload and no background worker: the library is loaded
 * by the first call of one of its functions in a session.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "pg_booking.h"

#include "utils/guc.h"

#include "remembered.h"
#include "reserve.h"

PG_MODULE_MAGIC;

/* May tickets be inserted without SPI where that is known to be the same? */
bool		booking_direct_path = true;

/* For developers: split a stripe at every booking, not after a wait only. */
bool		booking_split_always = false;

void		_PG_init(void);

/* Declares the settings and registers the callbacks of the caches. */
void
_PG_init(void)
{
	DefineCustomBoolVariable("booking.direct_path",
							 "Inserts tickets by direct table access where that is equivalent to INSERT.",
							 "Off: every ticket is inserted by an SQL statement. The results are the same.",
							 &booking_direct_path,
							 true,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("booking.split_always",
							 "Splits an event's inventory at every booking.",
							 "A developer's setting: it exercises what else happens under load only.",
							 &booking_split_always,
							 false,
							 PGC_SUSET,
							 GUC_NOT_IN_SAMPLE | GUC_NO_SHOW_ALL,
							 NULL, NULL, NULL);

	fault_init();
	MarkGUCPrefixReserved("booking");

	booking_catalog_init();
	row_writer_init();
	remembered_init();
	reserve_init();
}
