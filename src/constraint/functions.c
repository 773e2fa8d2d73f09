/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  The SQL functions around capacity constraints.
 *
 * add_capacity_constraint() and drop_capacity_constraint() are in PL/pgSQL
 * (constraint.sql); this file has what they need of the parser.
 *
 * Copyright (c) 2026, The pg_booking developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "constraint/policy.h"
#include "server/errors.h"

SQL_FUNCTION(booking_places_left);
SQL_FUNCTION(booking_expire_rows);
SQL_FUNCTION(booking_flush_capacity);
SQL_FUNCTION(booking_execute_newest);
SQL_FUNCTION(booking_parse_condition);
SQL_FUNCTION(booking_trigger_condition);

/* Parses the text of an expression; raises 42601 if it is more than one. */
static Node *
parse_text(const char *text)
{
	List	   *statements = raw_parser(psprintf("SELECT %s", text),
										RAW_PARSE_DEFAULT);
	SelectStmt *select;
	ResTarget  *target;

	select = list_length(statements) == 1 ?
		castNode(SelectStmt, linitial_node(RawStmt, statements)->stmt) :
		NULL;
	if (select == NULL || list_length(select->targetList) != 1 ||
		select->fromClause != NIL || select->whereClause != NULL ||
		select->groupClause != NIL || select->havingClause != NULL ||
		select->sortClause != NIL || select->limitCount != NULL ||
		select->limitOffset != NULL || select->lockingClause != NIL ||
		select->distinctClause != NIL || select->windowClause != NIL ||
		select->intoClause != NULL || select->withClause != NULL ||
		select->op != SETOP_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("condition must be one expression over the columns of the table")));
	target = linitial_node(ResTarget, select->targetList);
	if (target->name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("condition must be one expression over the columns of the table")));
	return target->val;
}

/*
 * parse_condition(table, condition, alias): returns the condition as SQL that
 * names each column with the alias, such as new.status.  Raises what
 * PostgreSQL raises for the predicate of an index: 42804 if it is not boolean,
 * 0A000 for a subquery, 42703, 42P01 ...; and 42P17 if it is not immutable.
 */
Datum
booking_parse_condition(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *alias = text_to_cstring(PG_GETARG_TEXT_PP(2));
	Relation	rel = table_open(relid, AccessShareLock);
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item;
	Node	   *expr;
	char	   *result;

	item = addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL,
										 false, true);
	addNSItemToQuery(pstate, item, true, true, true);
	expr =
		transformWhereClause(pstate,
							 parse_text(text_to_cstring(PG_GETARG_TEXT_PP(1))),
							 EXPR_KIND_INDEX_PREDICATE, "condition");
	assign_expr_collations(pstate, expr);
	if (contain_mutable_functions(expr))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("functions in the condition of a capacity constraint must be marked IMMUTABLE")));
	result = deparse_expression(expr, deparse_context_for(alias, relid), true,
								false);
	free_parsestate(pstate);
	table_close(rel, AccessShareLock);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

/*
 * trigger_condition(trigger, alias): returns the WHEN clause of a trigger that
 * fires for new rows, as SQL with the alias; null if it has none.
 */
Datum
booking_trigger_condition(PG_FUNCTION_ARGS)
{
	Oid			trigger = PG_GETARG_OID(0);
	char	   *alias = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Relation	pg_trigger = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *result = NULL;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger));
	scan = systable_beginscan(pg_trigger, TriggerOidIndexId, true, NULL, 1,
							  &key);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_trigger_tgqual,
										 RelationGetDescr(pg_trigger), &isnull);

		if (!isnull)
		{
			Oid			relid = ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid;
			Node	   *expr = stringToNode(TextDatumGetCString(value));

			ChangeVarNodes(expr, PRS2_NEW_VARNO, 1, 0);
			result = deparse_expression(expr, deparse_context_for(alias, relid),
										true, false);
		}
	}
	systable_endscan(scan);
	table_close(pg_trigger, AccessShareLock);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

/* Converts an argument of any type to the type of a column of the key. */
static Datum
convert(Datum value, Oid from, Form_pg_attribute att)
{
	Oid			function;
	Oid			param;
	bool		is_varlena;
	char	   *text;

	if (from == att->atttypid)
		return att->attlen == -1 ? PointerGetDatum(PG_DETOAST_DATUM(value)) :
								   value;
	if (from == UNKNOWNOID)
		text = DatumGetCString(value);
	else
	{
		getTypeOutputInfo(from, &function, &is_varlena);
		text = OidOutputFunctionCall(function, value);
	}
	getTypeInputInfo(att->atttypid, &function, &param);
	return OidInputFunctionCall(function, text, param, att->atttypmod);
}

/*
 * Reads the key from the arguments after the constraint's name.  Raises 22023
 * if their number is not that of the key's columns, and 22004 if one is null.
 */
static void
key_arguments(FunctionCallInfo fcinfo, const CapacityConstraint *constraint,
			  PoolKey *key)
{
	const KeyColumns *columns = &constraint->definition->shape.key;
	TupleDesc	desc = RelationGetDescr(constraint->pool.rel);
	Datum	   *values;
	Oid		   *types;
	bool	   *nulls;
	int			count = extract_variadic_args(fcinfo, 1, false, &values,
											  &types, &nulls);

	if (count != columns->count)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg(
				 "the key of capacity constraint \"%s\" has %d columns, not %d",
				 constraint->definition->name, columns->count, Max(count, 0))));
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("key of capacity constraint \"%s\" must not be null",
							constraint->definition->name)));
		key->value[i] =
			convert(values[i], types[i],
					TupleDescAttr(desc, columns->column[i].attnum - 1));
	}
}

/*
 * places_left(constraint_name, VARIADIC key): returns the places that are left
 * under the key, those of expired rows included; null: unlimited.  Locks
 * nothing.  Raises 42704, 23503 if the key has no capacity, 22004, 22023.
 */
Datum
booking_places_left(PG_FUNCTION_ARGS)
{
	CapacityConstraint	constraint;
	PoolKey		key;
	PoolTerms	terms;
	int64		places = 0;
	bool		found;

	error_check_argument(fcinfo, 0, "constraint_name");
	definition_open(&constraint,
					definition_open_pool(NameStr(*PG_GETARG_NAME(0)),
										 AccessShareLock),
					&policy_callbacks);
	key_arguments(fcinfo, &constraint, &key);
	found = pool_read(&constraint.pool, &key, &places, &terms);
	if (!found && !constraint.definition->is_constant)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("key %s of capacity constraint \"%s\" has no capacity",
						key_describe(&constraint.definition->shape.key,
									 constraint.pool.rel, &key),
						constraint.definition->name),
				 errdetail("It is not present in table %s.",
						   constraint.definition->capacity_table),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME,
									constraint.definition->name)));
	if (!found)
		places = constraint.definition->capacity;
	definition_close(&constraint);
	if (found && terms.isnull[DEFINITION_TERM_CAPACITY])
		PG_RETURN_NULL();
	PG_RETURN_INT64(Max(places, 0));
}

/*
 * expire_rows(constraint_name, max_rows): ends expired rows of the constraint,
 * at most that many (null: all), skipping those that are locked; returns how
 * many. Raises 42704, 22004, 22023, and 55000 if its rows don't expire.
 */
Datum
booking_expire_rows(PG_FUNCTION_ARGS)
{
	CapacityConstraint	constraint;
	int64		most = PG_ARGISNULL(1) ? PG_INT64_MAX : PG_GETARG_INT32(1);
	int64		rows;

	error_check_argument(fcinfo, 0, "constraint_name");
	if (most < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must not be negative")));
	call_check_may_write("booking.expire_rows()");
	definition_open(&constraint,
					definition_open_pool(NameStr(*PG_GETARG_NAME(0)),
										 RowExclusiveLock),
					&policy_callbacks);
	if (constraint.definition->on_expiry[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of capacity constraint \"%s\" don't expire",
						constraint.definition->name),
				 errhint("Add the constraint with expires_at and on_expiry.")));
	rows = policy_expire(&constraint, most);
	definition_close(&constraint);
	PG_RETURN_INT32((int32) Min(rows, PG_INT32_MAX));
}

/*
 * flush_capacity(): gives back what this transaction has prefetched, as its
 * commit would.  Every user may call it: it only changes how his own
 * transaction keeps its books.
 */
Datum
booking_flush_capacity(PG_FUNCTION_ARGS)
{
	pool_flush_all();
	PG_RETURN_VOID();
}

/* Returns the first row of the last result as an array of text, or NULL. */
static Datum
first_row(MemoryContext context)
{
	Datum		values[MaxTupleAttributeNumber];
	bool		nulls[MaxTupleAttributeNumber];
	MemoryContext old;
	int			dims[1];
	int			lower[1] = {1};
	Datum		result;

	if (SPI_tuptable == NULL || SPI_processed == 0)
		return (Datum) 0;
	dims[0] = SPI_tuptable->tupdesc->natts;
	old = MemoryContextSwitchTo(context);
	for (int i = 0; i < dims[0]; i++)
	{
		char	   *text = SPI_getvalue(SPI_tuptable->vals[0],
										SPI_tuptable->tupdesc, i + 1);

		nulls[i] = text == NULL;
		values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(text);
	}
	result = PointerGetDatum(construct_md_array(values, nulls, 1, dims, lower,
												TEXTOID, -1, false,
												TYPALIGN_INT));
	MemoryContextSwitchTo(old);
	return result;
}

/*
 * execute_newest(statement): executes the statement with the rights of the
 * caller, like EXECUTE, but with a snapshot that is taken now, whatever the
 * isolation level is.  Returns the first row of its result; null if it has
 * none.  Rows must be counted in this way after their table was locked: under
 * REPEATABLE READ the transaction's snapshot is older than the lock.
 */
Datum
booking_execute_newest(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	SPIPlanPtr	plan;
	Datum		result;
	int			code;

	SPI_connect();
	plan = SPI_prepare(text_to_cstring(PG_GETARG_TEXT_PP(0)), 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	code = SPI_execute_snapshot(plan, NULL, NULL,
								IsolationUsesXactSnapshot() ?
									GetLatestSnapshot() :
									InvalidSnapshot,
								InvalidSnapshot, false, true, 0);
	if (code < 0)
		elog(ERROR, "SPI could not execute a statement: %s",
			 SPI_result_code_string(code));
	result = first_row(context);
	SPI_finish();
	if (result == (Datum) 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}
