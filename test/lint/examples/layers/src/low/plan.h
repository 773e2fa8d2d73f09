#ifndef PLAN_H
#define PLAN_H

#include "high/sale.h"

typedef struct Plan
{
	int			sale_limit;
	struct Plan *next;
} Plan;

extern void plan_run(Plan *plan, int (*each) (Plan *plan));
extern void execute_plan(Plan *plan);
extern int plan_count[];
extern bool busy;

#endif							/* PLAN_H */
