/*-------------------------------------------------------------------------
 *
 * expiry.h
 *	  Ends holds that have expired.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef EXPIRY_H
#define EXPIRY_H

#include "tables/booking_call.h"

extern void expiry_init(void);
extern int32 expiry_sweep(BookingCall *call, int32 most);

#endif							/* EXPIRY_H */
