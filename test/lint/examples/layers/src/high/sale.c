#include "high/sale.h"

SaleResult
sale_take(int n)
{
	plan_run(NULL, NULL);
	return n > WRITER_SIZE ? SALE_DONE : SALE_SOLD_OUT;
}
