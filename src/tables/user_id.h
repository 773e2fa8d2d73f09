/*-------------------------------------------------------------------------
 *
 * user_id.h
 *	  Users' ids, of the type that the tables have them in.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef USER_ID_H
#define USER_ID_H

#include "fmgr.h"
#include "utils/array.h"

#include "server/call.h"

/* Several users' ids, some of which may be equal. */
typedef struct UserIdSet
{
	ArrayType  *distinct;		/* each user once, ascending */
	int			count;			/* of those */
	ArrayType  *alike;			/* for each id the first that is equal to it */
} UserIdSet;

extern Datum user_id_argument(const Call *call, FunctionCallInfo fcinfo,
							  int argno);
extern Datum *user_id_array_argument(const Call *call,
									 FunctionCallInfo fcinfo, int argno,
									 int *count);
extern bool user_id_equal(const Call *call, Datum a, Datum b);
extern bool user_id_arrays_equal(const Call *call, ArrayType *a, ArrayType *b);
extern Datum user_id_copy(const Call *call, Datum user_id);
extern ArrayType *user_id_array(const Call *call, Datum *user_ids,
								int count);
extern void user_id_set(const Call *call, Datum *user_ids, int count,
						UserIdSet *set);

#endif							/* USER_ID_H */
