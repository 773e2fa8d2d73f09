#include "low/plan.h"

typedef enum SaleResult
{
	SALE_DONE,					/* fine */
	SALE_SOLD_OUT = 3
} SaleResult;

extern SaleResult sale_take(int n);
