/*-------------------------------------------------------------------------
 *
 * preload.c
 *	  What the runtimes of the sanitizers need before the server starts.
 *
 * test/sanitize.sh loads this library between the two, linked with -z
 * initfirst.
 *
 * AddressSanitizer's sets itself up when malloc() is first called, and looks
 * for a symbol that is missing, which makes the C library translate a message.
 * Debian's server loads a library (libgpg-error) whose constructor calls
 * bindtextdomain(), and that calls malloc() with the lock of the translations
 * held: the server would hang.  So malloc() is called before.
 *
 * UndefinedBehaviorSanitizer's reads its options from the environment when it
 * has the first thing to report.  By then the server's title has overwritten
 * them.  So they are kept here.
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

/* (So early getenv() finds nothing, and strdup() does without malloc().) */
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

/* The runtime calls this. */
const char *
__ubsan_default_options(void)
{
	return options;
}
