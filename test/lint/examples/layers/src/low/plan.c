#include "low/plan.h"

int			plan_count[] = {0};

/* sale_take() is not called here */
void
plan_run(Plan *plan, int (*each) (Plan *plan))
{
	elog(LOG, "sale_take");
	plan->sale_limit = SALE_DONE;
	sale_take(plan->sale_limit);
}
