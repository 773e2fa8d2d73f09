#include "postgres.h"

int
reserve_settle(int ahead)
{
	MarkGUCPrefixReserved("reserve");
	return ahead;
}
