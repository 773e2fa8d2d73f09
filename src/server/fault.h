/*-------------------------------------------------------------------------
 *
 * fault.h
 *	  Points at which a test kills the backend; nothing in any other build.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef FAULT_H
#define FAULT_H

#ifdef BOOKING_FAULT_POINTS
extern void fault_init(void);
extern void fault_point(const char *name);
#else
#define fault_init() ((void) 0)
#define fault_point(name) ((void) 0)
#endif

#endif /* FAULT_H */
