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
#include "access/stratnum.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
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
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "constraint/policy.h"
#include "pool/prefetch.h"
#include "pool/remembered.h"
#include "server/errors.h"

SQL_FUNCTION(booking_places_left);
SQL_FUNCTION(booking_expire_rows);
SQL_FUNCTION(booking_flush_capacity);
SQL_FUNCTION(booking_parse_condition);
SQL_FUNCTION(booking_trigger_condition);
SQL_FUNCTION(booking_trigger_words);
SQL_FUNCTION(booking_equality);
SQL_FUNCTION(booking_check_not_in_use);
SQL_FUNCTION(booking_refill_capacity);
SQL_FUNCTION(booking_capacity_taken);
SQL_FUNCTION(booking_check_constraint_expiry);
SQL_FUNCTION(booking_check_expiry);

/*
 * Parses the text of a condition, which may be what can follow WHERE; raises
 * 42601 if it is more than that.
 */
static Node *
parse_text(const char *text)
{
	List	   *statements = raw_parser(psprintf("SELECT WHERE %s", text),
										RAW_PARSE_DEFAULT);
	SelectStmt *select;

	select = list_length(statements) == 1 ?
		castNode(SelectStmt, linitial_node(RawStmt, statements)->stmt) :
		NULL;
	if (select == NULL || select->whereClause == NULL ||
		select->groupClause != NIL || select->havingClause != NULL ||
		select->sortClause != NIL || select->limitCount != NULL ||
		select->limitOffset != NULL || select->lockingClause != NIL ||
		select->windowClause != NIL || select->op != SETOP_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("condition must be one expression over the columns of the table")));
	return select == NULL ? NULL : select->whereClause;
}

/* Raises 0A000 if the condition uses a system column other than tableoid. */
static void
check_no_system_columns(Node *expr)
{
	Bitmapset  *attnums = NULL;

	pull_varattnos(expr, 1, &attnums);
	for (int attnum = FirstLowInvalidHeapAttributeNumber + 1; attnum < 0;
		 attnum++)
	{
		if (attnum != TableOidAttributeNumber &&
			bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, attnums))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("condition must not use system columns")));
	}
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
				 errmsg("functions in the condition of a capacity constraint must be marked IMMUTABLE"),
				 errhint("For rows that count only until a certain time, pass expires_at and on_expiry.")));
	check_no_system_columns(expr);
	result = deparse_expression(expr, deparse_context_for(alias, relid), true,
								false);
	free_parsestate(pstate);
	table_close(rel, AccessShareLock);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

/*
 * trigger_condition(trigger, alias): returns the WHEN clause of a trigger for
 * DELETE, as SQL with the alias; null if it has none.
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

			ChangeVarNodes(expr, PRS2_OLD_VARNO, 1, 0);
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

/*
 * trigger_words(arguments, number): returns the arguments of a trigger as
 * pg_trigger has them, one after the other, each ended by a zero byte.
 */
Datum
booking_trigger_words(PG_FUNCTION_ARGS)
{
	bytea	   *arguments = PG_GETARG_BYTEA_PP(0);
	int			number = PG_GETARG_INT16(1);
	const char *word = VARDATA_ANY(arguments);
	const char *end = word + VARSIZE_ANY_EXHDR(arguments);
	ArrayBuildState *words = initArrayResult(TEXTOID, CurrentMemoryContext,
											 false);

	for (int i = 0; i < number && word < end; i++)
	{
		size_t		length = strnlen(word, end - word);

		words = accumArrayResult(
			words,
			PointerGetDatum(cstring_to_text_with_len(word, (int) length)),
			false, TEXTOID, CurrentMemoryContext);
		word += length + 1;
	}
	PG_RETURN_DATUM(makeArrayResult(words, CurrentMemoryContext));
}

/*
 * equality(table, column): returns the operator, with its schema, by which the
 * default btree operator class of the column's type compares; null if there is
 * none.
 */
Datum
booking_equality(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	AttrNumber	attnum = get_attnum(relid, NameStr(*PG_GETARG_NAME(1)));
	Oid			opclass = attnum == InvalidAttrNumber ?
		InvalidOid :
		GetDefaultOpClass(getBaseType(get_atttype(relid, attnum)),
						  BTREE_AM_OID);
	Oid			operator;
	HeapTuple	tuple;
	Form_pg_operator form;
	char	   *result;

	if (!OidIsValid(opclass))
		PG_RETURN_NULL();
	operator= get_opfamily_member(get_opclass_family(opclass),
								  get_opclass_input_type(opclass),
								  get_opclass_input_type(opclass),
								  BTEqualStrategyNumber);
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	if (!HeapTupleIsValid(tuple))
		PG_RETURN_NULL();
	form = (Form_pg_operator) GETSTRUCT(tuple);
	result = psprintf("%s.%s",
					  quote_identifier(get_namespace_name(form->oprnamespace)),
					  NameStr(form->oprname));
	ReleaseSysCache(tuple);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

/*
 * check_expiry(on_expiry): raises 42601 unless it is DELETE, or only the SET
 * list of an UPDATE.
 */
Datum
booking_check_expiry(PG_FUNCTION_ARGS)
{
	char	   *expiry = text_to_cstring(PG_GETARG_TEXT_PP(0));
	List	   *statements;
	UpdateStmt *update = NULL;

	if (policy_is_delete(expiry))
		PG_RETURN_VOID();
	statements = raw_parser(psprintf("UPDATE x SET %s\n", expiry),
							RAW_PARSE_DEFAULT);
	if (list_length(statements) == 1)
		update = castNode(UpdateStmt,
						  linitial_node(RawStmt, statements)->stmt);
	if (update == NULL || update->whereClause != NULL ||
		update->fromClause != NIL || compat_has_returning(update))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("on_expiry must be DELETE or the SET list of an UPDATE")));
	PG_RETURN_VOID();
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
	const KeyColumns *columns = &constraint->shape.key;
	TupleDesc	desc = RelationGetDescr(constraint->pool.rel);
	Datum	   *values;
	Oid		   *types;
	bool	   *nulls;
	int			count = extract_variadic_args(fcinfo, 1, false, &values,
											  &types, &nulls);

	if (count != columns->count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the key of capacity constraint \"%s\" has %d columns, not %d",
						constraint->name, columns->count, Max(count, 0))));
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("key of capacity constraint \"%s\" must not be null",
							constraint->name)));
		key->value[i] =
			convert(values[i], types[i],
					TupleDescAttr(desc, columns->column[i].attnum - 1));
	}
}

/*
 * places_left(constraint_name, VARIADIC key): returns the places that are left
 * under the key, those of expired rows included; null: unlimited.  Locks
 * nothing.  Raises 42704, 23503 if the key has no capacity, 40001 if only the
 * transaction's snapshot shows none, 22004, 22023.
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
	definition_load(&constraint,
					definition_open_pool(NameStr(*PG_GETARG_NAME(0)),
										 AccessShareLock),
					&policy_callbacks);
	/* the types' functions are run as the caller */
	key_arguments(fcinfo, &constraint, &key);
	call_begin(&constraint.call, constraint.pool.rel->rd_rel->relowner,
			   InvalidOid);
	found = pool_read(&constraint.pool, &key, &places, &terms) &&
		!definition_has_no_capacity(&terms);
	if (!found && !constraint.is_constant)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("key %s of capacity constraint \"%s\" has no capacity",
						key_describe(&constraint.shape.key, constraint.pool.rel,
									 &key),
						constraint.name),
				 errdetail("It is not present in table %s.",
						   constraint.capacity_table),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint.name)));
	if (!found)
		places = constraint.capacity;
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
	if (constraint.on_expiry[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of capacity constraint \"%s\" don't expire",
						constraint.name),
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

/* Raises 42501 unless the caller has the rights of the constraint's owner. */
static void
check_owner(const CapacityConstraint *constraint)
{
	if (!has_privs_of_role(constraint->call.caller, constraint->call.owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of capacity constraint \"%s\"",
						constraint->name)));
}

/* Raises 42501 unless the caller may read the pool table. */
static void
check_may_read(const CapacityConstraint *constraint)
{
	Relation	pool = constraint->pool.rel;

	if (pg_class_aclcheck(RelationGetRelid(pool), constraint->call.caller,
						  ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table %s.%s", BOOKING_SCHEMA,
						RelationGetRelationName(pool))));
}

/*
 * check_not_in_use(rel): raises 55006 if a statement of this session is reading
 * or writing the table, as ALTER TABLE does.  The statement has written rows
 * whose triggers have not fired, so they would count twice.
 */
Datum
booking_check_not_in_use(PG_FUNCTION_ARGS)
{
	Relation	rel = table_open(PG_GETARG_OID(0), AccessShareLock);

	if (rel->rd_refcnt != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot count the rows of \"%s\" because it is being used by active queries in this session",
						RelationGetRelationName(rel))));
	table_close(rel, AccessShareLock);
	PG_RETURN_VOID();
}

/*
 * refill_capacity(constraint_name): makes all pools of the constraint again
 * from the rows, which are counted with the rights of their owner.
 */
Datum
booking_refill_capacity(PG_FUNCTION_ARGS)
{
	CapacityConstraint	constraint;

	definition_open(&constraint,
					definition_open_pool(NameStr(*PG_GETARG_NAME(0)),
										 RowExclusiveLock),
					&policy_callbacks);
	check_owner(&constraint);
	pool_flush(&constraint.pool);
	prefetch_forget_lost(constraint.shape.relid);
	policy_refill(&constraint);
	remembered_forget_all();
	definition_close(&constraint);
	PG_RETURN_VOID();
}

/*
 * check_constraint_expiry(constraint_name): plans the statement that ends
 * expired rows, as the owner of the table, and raises what that raises.  The
 * caller must be allowed to read the pool table.
 */
Datum
booking_check_constraint_expiry(PG_FUNCTION_ARGS)
{
	CapacityConstraint	constraint;

	definition_open(&constraint,
					definition_open_pool(NameStr(*PG_GETARG_NAME(0)),
										 AccessShareLock),
					&policy_callbacks);
	check_may_read(&constraint);
	if (!RecoveryInProgress())	/* where an UPDATE can't be planned */
		policy_check_expiry(&constraint);
	definition_close(&constraint);
	PG_RETURN_VOID();
}

/*
 * capacity_taken(constraint_name): returns each key with the places that rows
 * take, which are counted with the rights of their owner.  The caller must be
 * allowed to read the pool table.
 */
Datum
booking_capacity_taken(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	CapacityConstraint	constraint;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	definition_open(&constraint,
					definition_open_pool(NameStr(*PG_GETARG_NAME(0)),
										 AccessShareLock),
					&policy_callbacks);
	check_may_read(&constraint);
	policy_count_all(&constraint, result->setResult, result->setDesc);
	definition_close(&constraint);
	return (Datum) 0;
}
