/*-------------------------------------------------------------------------
 *
 * key.h
 *	  The key of a pool: one to four values of any type that btree compares.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef KEY_H
#define KEY_H

#include "access/attnum.h"
#include "utils/relcache.h"
#include "utils/typcache.h"

#define KEY_MAX_COLUMNS 4

/* A column of the key, in the table of stripes. */
typedef struct KeyColumn
{
	AttrNumber	attnum;
	Oid			typid;
	Oid			collation;
	int16		typlen;
	bool		typbyval;
	TypeCacheEntry *type;		/* NULL: an integer, compared as a Datum */
} KeyColumn;

typedef struct KeyColumns
{
	int			count;
	KeyColumn	column[KEY_MAX_COLUMNS];
} KeyColumns;

/*
 * The key of a pool.  No value is null or toasted (key_set).  Values that are
 * passed by reference belong to the caller, unless key_copy() has made them.
 */
typedef struct PoolKey
{
	Datum		value[KEY_MAX_COLUMNS];
} PoolKey;

extern void key_init_column(KeyColumn *column, AttrNumber attnum, Oid type,
							Oid collation);
extern void key_equality_function(const KeyColumn *column,
								  FmgrInfo *function);
extern bool key_same_columns(const KeyColumns *a, const KeyColumns *b);
extern void key_set(const KeyColumns *columns, PoolKey *key, int column,
					Datum value);
extern bool key_column_equal(const KeyColumn *column, Datum a, Datum b);
extern bool key_equal(const KeyColumns *columns, const PoolKey *a,
					  const PoolKey *b);
extern int	key_compare(const KeyColumns *columns, const PoolKey *a,
					   const PoolKey *b);
extern uint32 key_hash(const KeyColumns *columns, const PoolKey *key);
extern void key_copy(const KeyColumns *columns, const PoolKey *key,
					 MemoryContext context, PoolKey *copy);
extern char *key_describe(const KeyColumns *columns, Relation rel,
						  const PoolKey *key);

#endif							/* KEY_H */
