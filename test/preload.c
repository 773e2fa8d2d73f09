/*-------------------------------------------------------------------------
 *
 * preload.c
 *	  Prepares the runtimes of the sanitizers before the server starts.
 *
 * test/sanitize.sh preloads this library between the two runtimes, linked with
 * -z initfirst, so that its constructor runs before all others.
 *
 * AddressSanitizer's runtime sets itself up at the first call of malloc().  It
 * then looks for a missing symbol, and the C library translates the error
 * message.  Debian's server loads a library (libgpg-error) whose constructor
 * calls bindtextdomain().  That function calls malloc() while it holds the lock
 * of the translations.  If this were the first call, the server would hang.  So
 * the constructor here calls malloc() before.
 *
 * UndefinedBehaviorSanitizer's runtime reads its options from the environment
 * at its first report.  By then the server has overwritten the environment with
 * its process title.  So the options are copied here.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#define VARIABLE "UBSAN_OPTIONS="

extern const char *__ubsan_default_options(void);
static void start(int argc, char **argv, char **env)
	__attribute__((constructor));

static char *options;

/* (At this time getenv() finds nothing, and strdup() does not use malloc().) */
static void
start(int argc, char **argv, char **env)
{
	const char *found = "";

	(void) argc;
	(void) argv;
	for (; *env != NULL; env++)
	{
		if (strncmp(*env, VARIABLE, strlen(VARIABLE)) == 0)
			found = *env + strlen(VARIABLE);
	}
	options = malloc(strlen(found) + 1);
	if (options == NULL)
		abort();
	strcpy(options, found);
}

/* UndefinedBehaviorSanitizer's runtime calls this to get its options. */
const char *
__ubsan_default_options(void)
{
	return options;
}
