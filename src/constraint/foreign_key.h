/*-------------------------------------------------------------------------
 *
 * foreign_key.h
 *	  Foreign keys between a constrained table and its capacity table.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef FOREIGN_KEY_H
#define FOREIGN_KEY_H

#include "constraint/definition.h"

extern bool foreign_key_decides(const CapacityConstraint *constraint,
								const TriggerColumns *columns, Relation rel);

#endif							/* FOREIGN_KEY_H */
