/*-------------------------------------------------------------------------
 *
 * claim.h
 *	  Who may take places of an event, and when (claim.c).
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef BOOKING_CLAIM_H
#define BOOKING_CLAIM_H

#include "pg_booking.h"

extern TakeResult claim_judge(Claim *claim, const SaleRules *rules,
							  int32 quantity);
extern bool claim_on_sale(const Claim *claim, const SaleRules *rules);
extern void claim_lock_user(BookingCall *call, int64 event_id, Datum user_id);
extern void claim_count(BookingCall *call, int64 event_id, Claim *claim);
extern int32 claim_judge_users(BookingCall *call, int64 event_id,
							   Datum *user_ids, int count, bool *over_limit);

#endif							/* BOOKING_CLAIM_H */
