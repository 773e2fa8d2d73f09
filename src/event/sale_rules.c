/*-------------------------------------------------------------------------
 *
 * sale_rules.c
 *	  The rules of an event's sale: its window, the limit per user, and the
 *	  size of an order.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "event/sale_rules.h"
#include "tables/inspect.h"

/* Returns a term that is a number of places, or 0 if it is null. */
static int32
places_term(const PoolTerms *terms, int term)
{
	return terms->isnull[term] ? 0 : DatumGetInt32(terms->value[term]);
}

/* Sets a term that is a number of places; 0 is null. */
static void
set_places_term(PoolTerms *terms, int term, int32 places)
{
	terms->value[term] = Int32GetDatum(places);
	terms->isnull[term] = places == 0;
}

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
	rules->max_per_user = places_term(terms, INSPECT_TERM_MAX_PER_USER);
	rules->min_per_order = places_term(terms, INSPECT_TERM_MIN_PER_ORDER);
	rules->max_per_order = places_term(terms, INSPECT_TERM_MAX_PER_ORDER);
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
	set_places_term(terms, INSPECT_TERM_MAX_PER_USER, rules->max_per_user);
	set_places_term(terms, INSPECT_TERM_MIN_PER_ORDER, rules->min_per_order);
	set_places_term(terms, INSPECT_TERM_MAX_PER_ORDER, rules->max_per_order);
}

/* True if the rules are the same. */
bool
sale_rules_equal(const SaleRules *a, const SaleRules *b)
{
	return a->sales_start == b->sales_start && a->sales_end == b->sales_end &&
		a->max_per_user == b->max_per_user &&
		a->min_per_order == b->min_per_order &&
		a->max_per_order == b->max_per_order;
}

/* True if there is any rule. */
bool
sale_rules_any(const SaleRules *rules)
{
	return rules->max_per_user != 0 || rules->min_per_order != 0 ||
		rules->max_per_order != 0 ||
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

/* True if the event takes orders of that many places. */
bool
sale_rules_in_size(const SaleRules *rules, int32 quantity)
{
	return quantity >= rules->min_per_order &&
		(rules->max_per_order == 0 || quantity <= rules->max_per_order);
}
