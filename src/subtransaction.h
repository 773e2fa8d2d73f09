/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *	  A part of a call that can be undone (subtransaction.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef BOOKING_SUBTRANSACTION_H
#define BOOKING_SUBTRANSACTION_H

#include "pg_booking.h"

/* What is done in it; returns whether it is to stay done. */
typedef bool (*SubTransactionWork)(BookingCall *call, void *arg);

extern bool booking_run_subtransaction(BookingCall *call,
									   SubTransactionWork work, void *arg);

#endif							/* BOOKING_SUBTRANSACTION_H */
