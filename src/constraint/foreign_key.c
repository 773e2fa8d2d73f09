/*-------------------------------------------------------------------------
 *
 * foreign_key.c
 *	  Foreign keys between a constrained table and its capacity table.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_trigger.h"
#include "nodes/pg_list.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "constraint/foreign_key.h"

/* A foreign key that the triggers of the capacity table belong to. */
typedef struct Reference
{
	Oid			constraint;
	Oid			table;			/* that refers to the capacity table */
} Reference;

/* Returns the foreign keys that refer to the table and are not disabled. */
static List *
references_to(Relation rel)
{
	const TriggerDesc *triggers = rel->trigdesc;
	List	   *references = NIL;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		Reference  *reference;

		if (!trigger->tgisinternal || !OidIsValid(trigger->tgconstrrelid) ||
			!OidIsValid(trigger->tgconstraint) ||
			trigger->tgenabled == TRIGGER_DISABLED)
			continue;
		reference = palloc(sizeof(Reference));
		reference->constraint = trigger->tgconstraint;
		reference->table = trigger->tgconstrrelid;
		references = lappend(references, reference);
	}
	return references;
}

/*
 * Finds the key's columns in the constrained table.  Returns false if the table
 * is not that of the constraint: it has no trigger of it, or another owner, or
 * is only a partition.
 */
static bool
find_key(const CapacityConstraint *constraint, Relation table, int count,
		 AttrNumber *attnums)
{
	const TriggerDesc *triggers = table->trigdesc;
	char	   *names[KEY_MAX_COLUMNS];
	bool		found = false;

	if (table->rd_rel->relowner != constraint->call.owner ||
		table->rd_rel->relispartition)
		return false;
	for (int i = 0; triggers != NULL && i < triggers->numtriggers && !found;
		 i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		found = !trigger->tgisinternal && TRIGGER_FOR_ROW(trigger->tgtype) &&
			TRIGGER_FOR_DELETE(trigger->tgtype) &&
			trigger->tgnargs == DEFINITION_ARG_KEYS + count &&
			strcmp(trigger->tgargs[DEFINITION_ARG_NAME],
				   constraint->name) == 0;
		for (int key = 0; found && key < count; key++)
			names[key] = pstrdup(trigger->tgargs[DEFINITION_ARG_KEYS + key]);
	}
	for (int key = 0; found && key < count; key++)
		attnums[key] = get_attnum(RelationGetRelid(table), names[key]);
	return found;
}

/* True if the pairs of columns of the foreign key are those of the key. */
static bool
is_on_key(const ForeignKeyCacheInfo *foreign_key, int count,
		  const AttrNumber *attnums, const TriggerColumns *columns)
{
	if (foreign_key->nkeys != count)
		return false;
	for (int i = 0; i < count; i++)
	{
		bool		found = false;

		for (int key = 0; key < count && !found; key++)
			found = foreign_key->conkey[i] == attnums[key] &&
				foreign_key->confkey[i] == columns->key.column[key].attnum;
		if (!found)
			return false;
	}
	return true;
}

/*
 * True if a foreign key decides about the rows whose capacity goes: one from
 * the constrained table to the capacity table, rel, that compares the columns
 * of the key.  columns are those of the capacity table's trigger.
 */
bool
foreign_key_decides(const CapacityConstraint *constraint,
					const TriggerColumns *columns, Relation rel)
{
	int			count = columns->key.count;
	bool		decides = false;
	ListCell   *lc;

	foreach(lc, references_to(rel))
	{
		const Reference *reference = lfirst(lc);
		Relation	table = table_open(reference->table, AccessShareLock);
		AttrNumber	attnums[KEY_MAX_COLUMNS];
		ListCell   *fk;

		if (find_key(constraint, table, count, attnums))
		{
			foreach(fk, RelationGetFKeyList(table))
			{
				const ForeignKeyCacheInfo *info = lfirst(fk);

				if (info->conoid == reference->constraint)
					decides |= is_on_key(info, count, attnums, columns);
			}
		}
		table_close(table, AccessShareLock);
	}
	return decides;
}
