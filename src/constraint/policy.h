/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  The policy of the constraints' pools: rows that have expired come back.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef POLICY_H
#define POLICY_H

#include "utils/tuplestore.h"

#include "constraint/definition.h"

extern const PoolPolicy policy_callbacks;

extern bool policy_is_reclaiming(void);
extern bool policy_accept_given(const TriggerColumns *columns,
								const PoolKey *key, int64 places);
extern int64 policy_count_rows(CapacityConstraint *constraint,
							   const PoolKey *key);
extern void policy_count_all(CapacityConstraint *constraint,
							 Tuplestorestate *store, TupleDesc desc);
extern bool policy_is_delete(const char *on_expiry);
extern void policy_refill(CapacityConstraint *constraint);
extern char *policy_find_orphans(CapacityConstraint *constraint);
extern void policy_check_expiry(CapacityConstraint *constraint);
extern int64 policy_expire(CapacityConstraint *constraint, int64 most);

#endif							/* POLICY_H */
