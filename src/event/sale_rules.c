/*-------------------------------------------------------------------------
 *
 * sale_rules.c
 *	  The rules of an event's sale: its window, and the limit per user.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "event/sale_rules.h"
#include "tables/inspect.h"

/* Reads the rules from the terms of a stripe. */
void
sale_rules_from_terms(const PoolTerms *terms, SaleRules *rules)
{
	rules->sales_start = terms->isnull[INSPECT_TERM_SALES_START] ?
		DT_NOBEGIN :
		DatumGetTimestampTz(terms->value[INSPECT_TERM_SALES_START]);
	rules->sales_end = terms->isnull[INSPECT_TERM_SALES_END] ?
		DT_NOEND :
		DatumGetTimestampTz(terms->value[INSPECT_TERM_SALES_END]);
	rules->max_per_user = terms->isnull[INSPECT_TERM_MAX_PER_USER] ?
		0 :
		DatumGetInt32(terms->value[INSPECT_TERM_MAX_PER_USER]);
}

/* Makes terms of the rules. */
void
sale_rules_to_terms(const SaleRules *rules, PoolTerms *terms)
{
	terms->value[INSPECT_TERM_SALES_START] =
		TimestampTzGetDatum(rules->sales_start);
	terms->isnull[INSPECT_TERM_SALES_START] =
		TIMESTAMP_IS_NOBEGIN(rules->sales_start);
	terms->value[INSPECT_TERM_SALES_END] =
		TimestampTzGetDatum(rules->sales_end);
	terms->isnull[INSPECT_TERM_SALES_END] =
		TIMESTAMP_IS_NOEND(rules->sales_end);
	terms->value[INSPECT_TERM_MAX_PER_USER] =
		Int32GetDatum(rules->max_per_user);
	terms->isnull[INSPECT_TERM_MAX_PER_USER] = rules->max_per_user == 0;
}

/* True if the rules are the same. */
bool
sale_rules_equal(const SaleRules *a, const SaleRules *b)
{
	return a->sales_start == b->sales_start && a->sales_end == b->sales_end &&
		a->max_per_user == b->max_per_user;
}

/* True if there is any rule. */
bool
sale_rules_any(const SaleRules *rules)
{
	return rules->max_per_user != 0 ||
		!TIMESTAMP_IS_NOBEGIN(rules->sales_start) ||
		!TIMESTAMP_IS_NOEND(rules->sales_end);
}

/* True if the event is on sale now, by the clock. */
bool
sale_rules_in_window(const SaleRules *rules)
{
	TimestampTz now;

	if (TIMESTAMP_IS_NOBEGIN(rules->sales_start) &&
		TIMESTAMP_IS_NOEND(rules->sales_end))
		return true;
	now = GetCurrentTimestamp();
	return rules->sales_start <= now && now < rules->sales_end;
}
