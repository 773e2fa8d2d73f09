#include "high/sale.h"

void
_PG_init(void)
{
	sale_take(SALE_DONE);
}
