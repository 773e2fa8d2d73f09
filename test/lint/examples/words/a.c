/*
 * a.c
 *	  Nobody reads this.
 *
 * A comment that goes on for so
 * many lines as it likes.
 */
int			nobody = 1;			/* fine: a name */

static const char *message = "the row is to be had anew";
static char letter = '"';	/* whoever */
