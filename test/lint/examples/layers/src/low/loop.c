#include "low/loop.h"

void
loop_again(void)
{
	int			n = WRITER_SIZE;
}

void
writer_flush(void)
{
}
