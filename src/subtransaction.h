/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *	  A subtransaction within a call, which is rolled back to let go of row
 *	  locks (subtransaction.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef BOOKING_SUBTRANSACTION_H
#define BOOKING_SUBTRANSACTION_H

#include "pg_booking.h"

#include "utils/resowner.h"

typedef struct SubTransaction
{
	MemoryContext context;
	ResourceOwner owner;
} SubTransaction;

extern void subtransaction_begin(BookingCall *call, SubTransaction *sub);
extern void subtransaction_commit(SubTransaction *sub);
extern void subtransaction_roll_back(SubTransaction *sub);

#endif							/* BOOKING_SUBTRANSACTION_H */
