/*-------------------------------------------------------------------------
 *
 * errors.h
 *	  SQLSTATEs, diagnostic fields, and the errors that all features raise.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef ERRORS_H
#define ERRORS_H

#include "fmgr.h"

#include "server/compat.h"

#define BOOKING_SCHEMA "booking"

/*
 * Implementation-defined subclasses of 23, integrity constraint violation.
 * 23T07 is left free for "the seat is taken".
 */
#define ERRCODE_SOLD_OUT MAKE_SQLSTATE('2', '3', 'T', '0', '1')
#define ERRCODE_USER_LIMIT MAKE_SQLSTATE('2', '3', 'T', '0', '2')
#define ERRCODE_NOT_ON_SALE MAKE_SQLSTATE('2', '3', 'T', '0', '3')
#define ERRCODE_HOLD_EXPIRED MAKE_SQLSTATE('2', '3', 'T', '0', '4')
#define ERRCODE_WRONG_STATE MAKE_SQLSTATE('2', '3', 'T', '0', '5')
#define ERRCODE_IDEMPOTENCY_MISMATCH MAKE_SQLSTATE('2', '3', 'T', '0', '6')
#define ERRCODE_CAPACITY_IN_USE MAKE_SQLSTATE('2', '3', 'T', '0', '8')
#define ERRCODE_LOCK_LOST MAKE_SQLSTATE('2', '3', 'T', '0', '9')
#define ERRCODE_LOCKED MAKE_SQLSTATE('2', '3', 'T', '1', '0')

extern int	error_fields(const char *table, const char *column,
						const char *constraint);
extern void error_check_argument(FunctionCallInfo fcinfo, int argno,
								 const char *name);
extern void error_check_quantity(int32 quantity);
pg_noreturn extern void error_no_row(const char *table, int64 id);
pg_noreturn extern void error_row_changed(const char *table);
pg_noreturn extern void error_conflict(void);
pg_noreturn extern void error_no_table(const char *table);
pg_noreturn extern void error_unusable(const char *message, const char *hint);

#endif							/* ERRORS_H */
