/*-------------------------------------------------------------------------
 *
 * sale_rules.h
 *	  The rules of an event's sale: its window, the limit per user, and the
 *	  size of an order.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef SALE_RULES_H
#define SALE_RULES_H

#include "datatype/timestamp.h"

#include "pool/stripe.h"

/* Columns of the event's row, and the terms of its pool. */
typedef struct SaleRules
{
	TimestampTz sales_start;	/* DT_NOBEGIN: none */
	TimestampTz sales_end;		/* DT_NOEND: none */
	int32		max_per_user;	/* places; 0: no limit */
	int32		min_per_order;	/* places; 0: no limit */
	int32		max_per_order;	/* places; 0: no limit */
} SaleRules;

extern void sale_rules_from_terms(const PoolTerms *terms, SaleRules *rules);
extern void sale_rules_to_terms(const SaleRules *rules, PoolTerms *terms);
extern bool sale_rules_equal(const SaleRules *a, const SaleRules *b);
extern bool sale_rules_any(const SaleRules *rules);
extern bool sale_rules_in_window(const SaleRules *rules);
extern bool sale_rules_in_size(const SaleRules *rules, int32 quantity);

#endif							/* SALE_RULES_H */
