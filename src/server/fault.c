/*-------------------------------------------------------------------------
 *
 * fault.c
 *	  Points at which a test kills the backend.
 *
 * Only in a build with FAULT_POINTS=1, which "make faults" makes for itself.
 * A session names a point, a number of passages to let go by, and a file.
 * After those passages, the session that manages to remove the file kills
 * itself with SIGKILL.  So one session dies, and none after recovery.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "server/fault.h"

#ifdef BOOKING_FAULT_POINTS

static char *fault_point_name = NULL;
static char *fault_file = NULL;
static int	fault_passages = 0;
static int passed = 0; /* how often this session has passed the point */

/* Declares the settings; once a session. */
void
fault_init(void)
{
	DefineCustomStringVariable("booking.fault_point",
							   "The point at which the backend kills itself.",
							   NULL, &fault_point_name, "", PGC_SUSET, 0,
							   NULL, NULL, NULL);
	DefineCustomStringVariable("booking.fault_file",
							   "The file that has to be there, and is removed.",
							   NULL, &fault_file, "", PGC_SUSET, 0,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("booking.fault_passages",
							"How often the point is passed before.",
							NULL, &fault_passages, 0, 0, INT_MAX, PGC_SUSET, 0,
							NULL, NULL, NULL);
}

/* Kills the backend, if this is the point and the passage that were named. */
void
fault_point(const char *name)
{
	if (strcmp(name, fault_point_name) != 0 || passed++ < fault_passages ||
		unlink(fault_file) != 0)
		return;
	kill(MyProcPid, SIGKILL);
	pause();
}

#endif
