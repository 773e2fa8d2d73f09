/* ---- capacity constraints ---- */

/*
 * A constraint c on table t with capacity table e consists of:
 *   - the pool table booking.c, owned by the owner of t, with a trigger that
 *     settles each statement; its arguments are the constant capacity,
 *     allow_excess, on_expiry, the names of t and e, and that of e's owner
 *   - triggers of t: c_insert, c_update, c_delete, whose WHEN clause is the
 *     condition, and c_truncate
 *   - triggers of e: c_capacity_changed for INSERT and DELETE,
 *     c_capacity_updated, c_capacity_truncated (not ..._update, for a
 *     constraint may be called c_capacity and have t = e)
 * Their names begin with _booking_.  PostgreSQL fires triggers by their names:
 * so they come after those of foreign keys, which lock rows before we lock
 * stripes, and before a user's, unless that begins with a capital or a digit.
 * The triggers of t and e have the arguments: c, the column of the quantity or
 * capacity, the column of the expiry, the columns of the key.
 */

CREATE FUNCTION booking.capacity_count()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_capacity_count'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.capacity_count() IS
'Trigger of a table with a capacity constraint: new rows take places, removed rows give them back. '
'Attached by add_capacity_constraint().';

CREATE FUNCTION booking.capacity_settle()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_capacity_settle'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.capacity_settle() IS
'Trigger of the pool table of a capacity constraint: judges a statement at its end. '
'Raises 23514 if a key has too few places left, 23503 if a key has no capacity, 55000 if it is the '
'user''s statement that changes the pool table. Attached by add_capacity_constraint().';

CREATE FUNCTION booking.capacity_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_capacity_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.capacity_changed() IS
'Trigger of a capacity table: the places of a key follow its row. Raises 23514 if a capacity '
'is lowered below the places taken, 23503 if a row is removed whose key is in use. '
'Attached by add_capacity_constraint().';

CREATE FUNCTION booking.capacity_truncated()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_capacity_truncated'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.capacity_truncated() IS
'Trigger of both tables of a capacity constraint: counts all keys again after TRUNCATE. '
'Raises 23503 if rows are left whose keys have no capacity any more. '
'Attached by add_capacity_constraint().';

CREATE FUNCTION booking.parse_condition(on_table regclass, condition text, alias text)
RETURNS text
AS 'MODULE_PATHNAME', 'booking_parse_condition'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION booking.parse_condition(regclass, text, text) IS
'Internal: returns a condition over the columns of a table with each column named by the alias. '
'Raises what PostgreSQL raises for the predicate of an index, and 42P17 if it is not immutable.';

CREATE FUNCTION booking.trigger_condition(trigger oid, alias text)
RETURNS text
AS 'MODULE_PATHNAME', 'booking_trigger_condition'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION booking.trigger_condition(oid, text) IS
'Internal: returns the WHEN clause of a trigger for DELETE, with the alias; null if it has none.';

CREATE FUNCTION booking.places_left(constraint_name name, VARIADIC key "any")
RETURNS bigint
AS 'MODULE_PATHNAME', 'booking_places_left'
LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.places_left(name, "any") IS
'Returns how many places are left under a key of a capacity constraint, those of expired rows '
'included; null if the capacity is unlimited. Locks nothing; its cost does not depend on the rows. '
'Raises 42704 if there is no such constraint, 23503 if the key has no capacity, 22004 for a null '
'key, 22023 for another number of columns than the key has.';

CREATE FUNCTION booking.expire_rows(constraint_name name, max_rows integer DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'booking_expire_rows'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.expire_rows(name, integer) IS
'Ends expired rows of a capacity constraint by its on_expiry, at most max_rows of them (null: '
'all), and returns how many. Skips rows that are locked. For a scheduler; nothing depends on it. '
'Raises 42704 if there is no such constraint, 55000 if its rows do not expire, 22023 for a '
'negative number.';

CREATE FUNCTION booking.trigger_words(arguments bytea, number smallint)
RETURNS text[]
AS 'MODULE_PATHNAME', 'booking_trigger_words'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION booking.trigger_words(bytea, smallint) IS
'Internal: returns the arguments of a trigger as an array.';

CREATE FUNCTION booking.full_name(rel regclass)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = rel
$$;

COMMENT ON FUNCTION booking.full_name(regclass) IS
'Internal: the name of a table with its schema.';

/*
 * The triggers of constraints by their names and arguments.  Every user may
 * attach our trigger functions to tables of his own.  So a trigger counts only
 * as definition.c says.
 */
CREATE VIEW booking.capacity_constraints AS
WITH args AS (
    SELECT t.oid, t.tgrelid, t.tgfoid, t.tgtype, c.relowner,
           booking.trigger_words(t.tgargs, t.tgnargs) AS arg
    FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    WHERE t.tgparentid = 0
      AND t.tgfoid IN ('booking.capacity_count'::regproc, 'booking.capacity_changed'::regproc,
                       'booking.capacity_settle'::regproc)
)
SELECT c.relname AS constraint_name,
       removed.tgrelid::regclass AS on_table,
       removed.arg[4:]::name[] AS key_columns,
       changed.tgrelid::regclass AS capacity_table,
       changed.arg[2]::name AS capacity_column,
       changed.arg[4:]::name[] AS capacity_key,
       nullif(settle.arg[1], '')::integer AS capacity,
       nullif(removed.arg[2], '')::name AS quantity_column,
       booking.trigger_condition(removed.oid, 'new') AS condition,
       settle.arg[2] = 't' AS allow_excess,
       nullif(removed.arg[3], '')::name AS expires_at,
       nullif(settle.arg[3], '') AS on_expiry
FROM args settle
JOIN pg_catalog.pg_class c ON c.oid = settle.tgrelid
                          AND c.relnamespace = 'booking'::regnamespace
LEFT JOIN args removed ON removed.tgfoid = 'booking.capacity_count'::regproc
                      AND removed.tgtype & 8 <> 0 AND removed.arg[1] = c.relname
                      AND removed.relowner = c.relowner
LEFT JOIN args changed ON changed.tgfoid = 'booking.capacity_changed'::regproc
                      AND changed.tgtype & 8 <> 0 AND changed.arg[1] = c.relname
                      AND (changed.relowner = c.relowner
                           OR pg_catalog.pg_get_userbyid(changed.relowner) = settle.arg[6]
                              AND pg_catalog.has_table_privilege(c.relowner, changed.tgrelid, 'TRIGGER'))
WHERE settle.tgfoid = 'booking.capacity_settle'::regproc;

COMMENT ON VIEW booking.capacity_constraints IS
'The capacity constraints of this database. condition names the columns of a row as new.column.';

COMMENT ON COLUMN booking.capacity_constraints.constraint_name IS
'Also the name of the pool table in schema booking.';
COMMENT ON COLUMN booking.capacity_constraints.on_table IS
'Its rows take places; null if it was dropped.';
COMMENT ON COLUMN booking.capacity_constraints.key_columns IS
'Rows with equal values in them share a capacity.';
COMMENT ON COLUMN booking.capacity_constraints.capacity_table IS
'Where the capacity stands; null if it is a constant.';
COMMENT ON COLUMN booking.capacity_constraints.capacity_column IS
'Column of capacity_table; null in a row means unlimited.';
COMMENT ON COLUMN booking.capacity_constraints.capacity_key IS
'Columns of capacity_table that correspond to key_columns.';
COMMENT ON COLUMN booking.capacity_constraints.capacity IS
'The same for every key; null if it stands in capacity_table.';
COMMENT ON COLUMN booking.capacity_constraints.quantity_column IS
'Places that a row takes; null: one each.';
COMMENT ON COLUMN booking.capacity_constraints.condition IS
'Which rows count; null: all.';
COMMENT ON COLUMN booking.capacity_constraints.allow_excess IS
'Whether a capacity may be lowered below the places taken.';
COMMENT ON COLUMN booking.capacity_constraints.expires_at IS
'After this time a row may be ended when no place is left; null: never.';
COMMENT ON COLUMN booking.capacity_constraints.on_expiry IS
'How an expired row is ended: DELETE, or the SET list of an UPDATE.';

CREATE FUNCTION booking.missing_column(of_constraint text, of_capacity_table boolean)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%I of table %s', col, rel)
    FROM booking.capacity_constraints c,
         LATERAL (SELECT c.on_table, unnest(c.key_columns || c.quantity_column || c.expires_at)
                  UNION ALL
                  SELECT c.capacity_table, unnest(c.capacity_key || c.capacity_column)
                  WHERE of_capacity_table) AS needed (rel, col)
    WHERE c.constraint_name = of_constraint::name AND col IS NOT NULL
      AND NOT EXISTS (SELECT FROM pg_attribute a
                      WHERE a.attrelid = rel AND a.attname = col AND NOT a.attisdropped)
    LIMIT 1
$$;

COMMENT ON FUNCTION booking.missing_column(text, boolean) IS
'Internal: returns a column that a capacity constraint names, with those of the capacity table or '
'without them, and that is not there; null if all are there.';

CREATE FUNCTION booking.capacity_sql(constraint_name text, kind text)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c record;
    missing text := booking.missing_column(constraint_name, kind = 'fill');
    keys text;        -- the key's columns of the constrained table
    not_null text;
    same_key text;    -- as the arguments of the statement
    counts text;      -- which rows count
    places text;      -- of a row
    pool text := format('booking.%I', constraint_name);
    n integer;
BEGIN
    SELECT * INTO c FROM booking.capacity_constraints v
    WHERE v.constraint_name = capacity_sql.constraint_name::name;
    IF c.on_table IS NULL THEN
        RETURN NULL;
    END IF;
    IF kind = 'fill' AND c.capacity IS NULL AND c.capacity_table IS NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('capacity constraint "%s" has lost its capacity table', constraint_name),
            HINT = 'Drop the constraint by booking.drop_capacity_constraint().';
    END IF;
    IF missing IS NOT NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('capacity constraint "%s" needs the column %s, which is not there',
                             constraint_name, missing),
            HINT = 'Rename the column back, or drop the constraint and add it again.';
    END IF;
    n := cardinality(c.key_columns);
    SELECT string_agg(format('new.%I', k), ', ' ORDER BY i),
           string_agg(format('new.%I IS NOT NULL', k), ' AND ' ORDER BY i),
           string_agg(format('new.%I OPERATOR(%s) $%s', k, booking.equality(c.on_table, k), i),
                      ' AND ' ORDER BY i)
    INTO keys, not_null, same_key
    FROM unnest(c.key_columns) WITH ORDINALITY AS u (k, i);
    counts := coalesce('(' || c.condition || ')', 'true')
        || coalesce(' AND new.' || quote_ident(c.quantity_column) || ' > 0', '');
    -- sums are cut near the end of their type, so that verify_capacity() finds an absurd quantity
    -- that was written without triggers
    places := coalesce('coalesce(new.' || quote_ident(c.quantity_column) || '::bigint, 0)', '1::bigint');

    CASE kind
    WHEN 'count' THEN
        RETURN format('SELECT least(coalesce(sum(%s), 0), 9000000000000000000)::bigint'
                      ' FROM %s AS new WHERE %s AND %s',
                      places, c.on_table, same_key, counts);
    WHEN 'empty' THEN
        RETURN format('DELETE FROM %s', pool);
    WHEN 'taken' THEN
        RETURN format('SELECT %s, least(sum(%s), 9000000000000000000)::bigint'
                      ' FROM %s AS new WHERE %s AND %s GROUP BY %s',
                      keys, places, c.on_table, not_null, counts, keys);
    WHEN 'orphans' THEN
        -- keys of rows that have no capacity: their number, and the five with most places
        RETURN format('SELECT count(*), string_agg(concat_ws('', '', %s), ''; '' ORDER BY available)'
                      ' FROM (SELECT * FROM %s WHERE capacity = -1 ORDER BY available LIMIT 5) AS new',
                      keys, pool);
    WHEN 'expired' THEN
        -- places, the next expiry, and the table whose triggers must have fired
        RETURN format('SELECT (SELECT least(coalesce(sum(h.places), 0), 9000000000000000000)::bigint FROM'
                      ' (SELECT %1$s AS places FROM %2$s AS new WHERE %3$s AND %4$s'
                      ' AND new.%5$I <= $%6$s ORDER BY new.%5$I LIMIT $%7$s) h),'
                      ' (SELECT new.%5$I FROM %2$s AS new WHERE %3$s AND %4$s'
                      ' AND new.%5$I > $%6$s ORDER BY new.%5$I LIMIT 1), %8$s::oid',
                      places, c.on_table, same_key, counts, c.expires_at, n + 1, n + 2,
                      c.on_table::oid);
    WHEN 'reclaim', 'reclaim unlocked' THEN
        -- how many rows were found, and how many were ended
        RETURN format('WITH l AS (SELECT new.tableoid, new.ctid FROM %s AS new WHERE %s AND %s'
                      ' AND new.%I <= $%s ORDER BY new.%I LIMIT $%s FOR UPDATE%s),'
                      ' d AS (%s WHERE (new.tableoid, new.ctid) IN (SELECT l.tableoid, l.ctid FROM l)'
                      ' RETURNING 1)'
                      ' SELECT (SELECT count(*) FROM l), (SELECT count(*) FROM d)',
                      c.on_table, same_key, counts, c.expires_at, n + 1, c.expires_at, n + 2,
                      CASE kind WHEN 'reclaim' THEN '' ELSE ' SKIP LOCKED' END,
                      booking.expiry_statement(c.on_table, c.on_expiry));
    WHEN 'explain expiry' THEN
        RETURN 'EXPLAIN ' || booking.expiry_statement(c.on_table, c.on_expiry) || ' WHERE false';
    WHEN 'expire' THEN
        RETURN format('%s WHERE (new.tableoid, new.ctid) IN (SELECT l.tableoid, l.ctid FROM'
                      ' (SELECT new.tableoid, new.ctid FROM %s AS new WHERE %s AND %s'
                      ' AND new.%I <= $1 ORDER BY new.%I LIMIT $2 FOR UPDATE SKIP LOCKED) l)',
                      booking.expiry_statement(c.on_table, c.on_expiry),
                      c.on_table, not_null, counts, c.expires_at, c.expires_at);
    WHEN 'fill' THEN
        IF c.capacity IS NOT NULL THEN
            RETURN format('INSERT INTO %s SELECT %s, 0, (%s - sum(%s))::integer, %s'
                          ' FROM %s AS new WHERE %s AND %s GROUP BY %s',
                          pool, keys, c.capacity, places, c.capacity,
                          c.on_table, not_null, counts, keys);
        END IF;
        -- a key with rows, but without a capacity, has the capacity -1 and a deficit
        RETURN format('INSERT INTO %s SELECT %s, 0,'
                      ' (CASE WHEN c.%I IS NULL THEN 0 WHEN c.%I IS NULL THEN 2000000000'
                      ' ELSE least(greatest(c.%I, 0), 2147483647) END'
                      ' - coalesce(t.taken, 0))::integer,'
                      ' CASE WHEN c.%I IS NULL THEN -1'
                      ' WHEN c.%I IS NULL THEN NULL ELSE least(greatest(c.%I, 0), 2147483647) END'
                      ' FROM (SELECT * FROM %s AS c WHERE %s) AS c'
                      ' FULL JOIN (SELECT %s, sum(%s) FROM %s AS new'
                      ' WHERE %s AND %s GROUP BY %s) AS t (%s, taken) ON %s',
                      pool,
                      (SELECT string_agg(format('coalesce(c.%I, t.k%s)', k, i), ', ' ORDER BY i)
                       FROM unnest(c.capacity_key) WITH ORDINALITY AS u (k, i)),
                      c.capacity_key[1], c.capacity_column, c.capacity_column,
                      c.capacity_key[1], c.capacity_column, c.capacity_column,
                      c.capacity_table,
                      (SELECT string_agg(format('c.%I IS NOT NULL', k), ' AND ' ORDER BY i)
                       FROM unnest(c.capacity_key) WITH ORDINALITY AS u (k, i)),
                      keys, places, c.on_table, not_null, counts, keys,
                      (SELECT string_agg(format('k%s', i), ', ' ORDER BY i)
                       FROM generate_series(1, n) i),
                      (SELECT string_agg(format('t.k%s OPERATOR(%s) c.%I', i,
                                                booking.equality(c.on_table, c.key_columns[i]), k),
                                         ' AND ' ORDER BY i)
                       FROM unnest(c.capacity_key) WITH ORDINALITY AS u (k, i)));
    END CASE;
END
$$;

COMMENT ON FUNCTION booking.capacity_sql(text, text) IS
'Internal: returns the SQL by which a capacity constraint counts, fills, finds and ends rows; '
'null if there is no such constraint.';

CREATE FUNCTION booking.equality(on_table regclass, column_name name)
RETURNS text
AS 'MODULE_PATHNAME', 'booking_equality'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION booking.equality(regclass, name) IS
'Internal: returns the operator, with its schema, by which values of a column are equal; '
'null if the type of the column has no btree operator class.';

CREATE FUNCTION booking.difference(on_table regclass, column_name name)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    -- IS DISTINCT FROM finds its operator by the search_path
    SELECT format(CASE WHEN booking.equality(on_table, column_name) LIKE 'pg_catalog.%'
                       THEN 'old.%1$I IS DISTINCT FROM new.%1$I'
                       ELSE 'num_nulls(old.%1$I, new.%1$I) < 2'
                            ' AND (old.%1$I OPERATOR(%2$s) new.%1$I) IS NOT TRUE' END,
                  column_name, booking.equality(on_table, column_name))
$$;

COMMENT ON FUNCTION booking.difference(regclass, name) IS
'Internal: returns the condition under which an UPDATE has changed a column.';

CREATE FUNCTION booking.expiry_statement(on_table regclass, on_expiry text)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN upper(trim(on_expiry)) = 'DELETE'
                THEN format('DELETE FROM %s AS new', on_table)
                ELSE format(E'UPDATE %s AS new SET %s\n', on_table, on_expiry) END
$$;

COMMENT ON FUNCTION booking.expiry_statement(regclass, text) IS
'Internal: returns the beginning of the statement that ends expired rows.';

CREATE FUNCTION booking.check_expiry(on_expiry text)
RETURNS void
AS 'MODULE_PATHNAME', 'booking_check_expiry'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION booking.check_expiry(text) IS
'Internal: raises 42601 unless the text is DELETE or the SET list of an UPDATE.';

CREATE FUNCTION booking.short_name(base text, suffix text)
RETURNS name
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hash text := '_' || left(md5(base), 8);
    kept integer := 63 - octet_length(suffix) - octet_length(hash);
BEGIN
    IF octet_length(base || suffix) <= 63 THEN
        RETURN base || suffix;
    END IF;
    WHILE octet_length(left(base, kept)) > 63 - octet_length(suffix) - octet_length(hash) LOOP
        kept := kept - 1;
    END LOOP;
    RETURN left(base, kept) || hash || suffix;
END
$$;

COMMENT ON FUNCTION booking.short_name(text, text) IS
'Internal: returns base and suffix as one name of at most 63 bytes. If they are longer, a hash '
'of base takes the place of its end, so that names stay different.';

CREATE FUNCTION booking.check_capacity_arguments(
    on_table regclass, key_columns name[], capacity_table regclass, capacity_column name,
    capacity_key name[], capacity integer, quantity_column name, expires_at name, on_expiry text)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    col name;
    i integer;
    kind "char";
    type_of regtype;
    other regtype;
    virtual_in regclass;
BEGIN
    IF on_table IS NULL OR key_columns IS NULL
       OR EXISTS (SELECT FROM unnest(key_columns) k WHERE k IS NULL) THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'arguments "on_table" and "key_columns" must not be null';
    END IF;
    IF array_position(capacity_key, NULL) IS NOT NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'argument "capacity_key" must not contain null';
    END IF;
    IF cardinality(key_columns) NOT BETWEEN 1 AND 4 OR array_ndims(key_columns) > 1 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'the key must have 1 to 4 columns',
            DETAIL = format('It has %s.', cardinality(key_columns)),
            HINT = 'Pass an array of column names, such as ''{show_id}''.';
    END IF;
    IF (capacity IS NULL) = (capacity_table IS NULL)
       OR (capacity_table IS NULL) <> (capacity_column IS NULL)
       OR (capacity_table IS NULL AND capacity_key IS NOT NULL) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'the capacity must be either a constant or a column',
            HINT = 'Pass either capacity, or capacity_table and capacity_column.';
    END IF;
    IF (expires_at IS NULL) <> (on_expiry IS NULL) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'expires_at and on_expiry go together',
            HINT = 'Pass both or neither.';
    END IF;
    BEGIN
        PERFORM booking.check_expiry(on_expiry);
    EXCEPTION WHEN syntax_error THEN
        RAISE syntax_error USING
            MESSAGE = 'on_expiry must be DELETE or the SET list of an UPDATE',
            DETAIL = CASE WHEN sqlerrm LIKE 'on_expiry%' THEN '' ELSE sqlerrm END,
            HINT = 'Pass only what follows SET, for example: status = ''expired''.';
    END;
    IF capacity < 0 THEN
        RAISE check_violation USING
            MESSAGE = 'the capacity must not be negative',
            DETAIL = format('It is %s.', capacity),
            HINT = 'Pass 0 or more; for no limit drop the constraint.';
    END IF;
    FOR i IN 1..2 LOOP
        CONTINUE WHEN i = 2 AND capacity_table IS NULL;
        IF NOT EXISTS (SELECT FROM pg_class
                       WHERE oid = CASE i WHEN 1 THEN on_table ELSE capacity_table END) THEN
            RAISE undefined_table USING
                MESSAGE = format('table with OID %s does not exist',
                                 CASE i WHEN 1 THEN on_table ELSE capacity_table END::oid);
        END IF;
        SELECT relkind INTO kind FROM pg_class
        WHERE oid = CASE i WHEN 1 THEN on_table ELSE capacity_table END
          AND relpersistence <> 't' AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
          AND relkind IN ('r', 'p')
          AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = pg_class.oid)
          AND (relkind = 'p'
               OR NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = pg_class.oid));
        IF NOT FOUND THEN
            RAISE wrong_object_type USING
                MESSAGE = format('"%s" cannot have a capacity constraint',
                                 CASE i WHEN 1 THEN on_table ELSE capacity_table END),
                DETAIL = 'It must be an ordinary or partitioned table: no view, foreign,'
                         ' temporary or system table, no partition and no child or parent table.',
                HINT = 'Of a partitioned table, name the table itself, not a partition.';
        END IF;
    END LOOP;
    FOREACH col IN ARRAY key_columns || quantity_column || expires_at LOOP
        IF col IS NOT NULL
           AND NOT EXISTS (SELECT FROM pg_attribute a
                           WHERE a.attrelid = on_table AND a.attname = col
                             AND a.attnum > 0 AND NOT a.attisdropped) THEN
            RAISE undefined_column USING
                MESSAGE = format('column "%s" of table %s does not exist', col, on_table),
                HINT = 'key_columns, quantity_column and expires_at name columns of on_table.';
        END IF;
    END LOOP;
    SELECT a.attname, a.attrelid::regclass INTO col, virtual_in
    FROM pg_attribute a
    WHERE a.attgenerated = 'v'
      AND (a.attrelid = on_table AND a.attname = ANY (key_columns || quantity_column || expires_at)
           OR a.attrelid = capacity_table AND a.attname = ANY (capacity_key || capacity_column))
    LIMIT 1;
    IF FOUND THEN
        RAISE feature_not_supported USING
            MESSAGE = format('column "%s" of table %s is generated, but not stored', col, virtual_in),
            DETAIL = 'The triggers of a capacity constraint would not see its values.',
            HINT = 'Make it GENERATED ALWAYS AS (...) STORED.';
    END IF;
    SELECT k INTO col FROM unnest(key_columns) k GROUP BY k HAVING count(*) > 1 LIMIT 1;
    IF FOUND THEN
        RAISE duplicate_column USING
            MESSAGE = format('column "%s" appears twice in the key', col),
            HINT = 'Name each column once.';
    END IF;
    FOREACH col IN ARRAY key_columns LOOP
        IF col IN ('stripe', 'available', 'capacity') THEN
            RAISE duplicate_column USING
                MESSAGE = format('column "%s" of table %s cannot be part of a key', col, on_table),
                DETAIL = 'The pool table has a column of this name itself.',
                HINT = 'Rename the column.';
        END IF;
        IF EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                   WHERE a.attrelid = on_table AND a.attname = col AND t.typtype = 'c') THEN
            RAISE datatype_mismatch USING
                MESSAGE = format('column "%s" of table %s cannot be part of a key', col, on_table),
                DETAIL = 'Its type is composite.',
                HINT = 'Use its fields as columns of their own.';
        END IF;
        IF booking.equality(on_table, col) IS NULL THEN
            RAISE datatype_mismatch USING
                MESSAGE = format('column "%s" of table %s cannot be part of a key', col, on_table),
                DETAIL = 'Its type has no btree operator class.',
                HINT = 'Give the column a type that can be sorted.';
        END IF;
    END LOOP;
    SELECT atttypid INTO type_of FROM pg_attribute
    WHERE attrelid = on_table AND attname = quantity_column;
    IF type_of NOT IN ('smallint'::regtype, 'integer', 'bigint') THEN
        RAISE datatype_mismatch USING
            MESSAGE = format('column "%s" of table %s cannot be a quantity',
                             quantity_column, on_table),
            DETAIL = format('Its type is %s.', type_of),
            HINT = 'Its type must be smallint, integer or bigint.';
    END IF;
    SELECT atttypid INTO type_of FROM pg_attribute
    WHERE attrelid = on_table AND attname = check_capacity_arguments.expires_at;
    IF type_of <> 'timestamptz'::regtype THEN
        RAISE datatype_mismatch USING
            MESSAGE = format('column "%s" of table %s cannot be a time of expiry',
                             expires_at, on_table),
            DETAIL = format('Its type is %s.', type_of),
            HINT = 'Its type must be timestamp with time zone.';
    END IF;
    IF capacity_table IS NULL THEN
        RETURN;
    END IF;
    FOREACH col IN ARRAY capacity_key || capacity_column LOOP
        IF NOT EXISTS (SELECT FROM pg_attribute a
                       WHERE a.attrelid = capacity_table AND a.attname = col
                         AND a.attnum > 0 AND NOT a.attisdropped) THEN
            RAISE undefined_column USING
                MESSAGE = format('column "%s" of table %s does not exist', col, capacity_table),
                HINT = 'capacity_column and capacity_key name columns of capacity_table.';
        END IF;
    END LOOP;
    IF capacity_key = '{}' THEN
        RAISE datatype_mismatch USING
            MESSAGE = format('table %s has no primary key', capacity_table),
            HINT = 'Pass capacity_key, the columns of a unique constraint.';
    END IF;
    IF cardinality(capacity_key) <> cardinality(key_columns) THEN
        RAISE datatype_mismatch USING
            MESSAGE = 'the keys of the two tables have different numbers of columns',
            DETAIL = format('Table %s: %s; table %s: %s.', on_table, cardinality(key_columns),
                            capacity_table, cardinality(capacity_key)),
            HINT = 'capacity_key must name as many columns as key_columns; its default is the primary key.';
    END IF;
    FOR i IN 1..cardinality(key_columns) LOOP
        SELECT a.atttypid, b.atttypid INTO type_of, other
        FROM pg_attribute a, pg_attribute b
        WHERE a.attrelid = on_table AND a.attname = key_columns[i]
          AND b.attrelid = capacity_table AND b.attname = capacity_key[i];
        IF type_of <> other THEN
            RAISE datatype_mismatch USING
                MESSAGE = format('columns "%s" of table %s and "%s" of table %s have different types',
                                 key_columns[i], on_table, capacity_key[i], capacity_table),
                DETAIL = format('They are %s and %s.', type_of, other),
                HINT = 'Give both columns the same type.';
        END IF;
    END LOOP;
    SELECT atttypid INTO type_of FROM pg_attribute
    WHERE attrelid = capacity_table AND attname = capacity_column;
    IF type_of NOT IN ('smallint'::regtype, 'integer', 'bigint') THEN
        RAISE datatype_mismatch USING
            MESSAGE = format('column "%s" of table %s cannot be a capacity',
                             capacity_column, capacity_table),
            DETAIL = format('Its type is %s.', type_of),
            HINT = 'Its type must be smallint, integer or bigint.';
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_index x
        WHERE x.indrelid = capacity_table AND x.indisunique AND x.indimmediate
          AND x.indpred IS NULL AND x.indexprs IS NULL
          AND (SELECT array_agg(a.attname ORDER BY a.attname)
               FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
               JOIN pg_attribute a ON a.attrelid = capacity_table AND a.attnum = k.attnum
               WHERE k.n <= x.indnkeyatts)
              = (SELECT array_agg(k ORDER BY k) FROM unnest(capacity_key) k)) THEN
        RAISE invalid_foreign_key USING
            MESSAGE = format('table %s has no unique constraint on (%s)', capacity_table,
                             (SELECT string_agg(quote_ident(k), ', ') FROM unnest(capacity_key) k)),
            HINT = 'Name the columns of a unique constraint in capacity_key.';
    END IF;
END
$$;

COMMENT ON FUNCTION booking.check_capacity_arguments(regclass, name[], regclass, name, name[],
    integer, name, name, text) IS
'Internal: checks the arguments of add_capacity_constraint().';

CREATE FUNCTION booking.check_excess(constraint_name name, allow_excess boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    keys text;
    worst text;
    number bigint;
    found text[];
    c record;
BEGIN
    SELECT * INTO c FROM booking.capacity_constraints v
    WHERE v.constraint_name = check_excess.constraint_name;
    SELECT string_agg(quote_ident(k), ', ' ORDER BY i) INTO keys
    FROM unnest(c.key_columns) WITH ORDINALITY AS u (k, i);
    -- rows that are no good by themselves
    IF c.quantity_column IS NOT NULL THEN
        EXECUTE format('SELECT count(*), min(new.%1$I) FROM %2$s AS new WHERE new.%1$I < 0 AND %3$s',
                       c.quantity_column, c.on_table, coalesce(c.condition, 'true'))
        INTO number, worst;
        IF number > 0 THEN
            RAISE check_violation USING
                MESSAGE = format('capacity constraint "%s" is violated by some rows', constraint_name),
                DETAIL = format('Number of rows whose "%s" is negative: %s; the least is %s.',
                                c.quantity_column, number, worst),
                HINT = 'Correct these rows.',
                CONSTRAINT = constraint_name;
        END IF;
    END IF;
    -- rows whose key has no capacity
    IF c.capacity_table IS NOT NULL THEN
        EXECUTE format('SELECT count(*), string_agg(k, '', '' ORDER BY available, k) FILTER (WHERE r <= 5)'
                       ' FROM (SELECT format(''(%%s)'', concat_ws('', '', %s)) AS k, available,'
                       ' row_number() OVER (ORDER BY available) AS r'
                       ' FROM booking.%I WHERE capacity = -1) x', keys, constraint_name)
        INTO number, worst;
        IF number > 0 THEN
            RAISE foreign_key_violation USING
                MESSAGE = format('table %s has rows whose key is not present in table %s',
                                 c.on_table, c.capacity_table),
                DETAIL = format('Number of keys: %s. Values of (%s): %s.', number, keys, worst),
                HINT = 'Add the missing rows to that table, or remove the rows.',
                CONSTRAINT = constraint_name;
        END IF;
    END IF;
    IF allow_excess THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT count(*), string_agg(format(''(%%s): %%s of %%s'', k, capacity - available, capacity), ''; '''
                   ' ORDER BY available) FILTER (WHERE r <= 5)'
                   ' FROM (SELECT concat_ws('', '', %s) AS k, available, capacity,'
                   ' row_number() OVER (ORDER BY available) AS r'
                   ' FROM booking.%I WHERE available < 0) x', keys, constraint_name)
    INTO number, worst;
    IF number > 0 THEN
        RAISE check_violation USING
            MESSAGE = format('capacity constraint "%s" is violated by some rows', constraint_name),
            DETAIL = format('Number of keys over their capacity: %s. Places taken for (%s): %s.',
                            number, keys, worst),
            HINT = 'Remove rows, raise the capacities, or pass allow_excess => true:'
                   ' then no row is added to such a key until enough have gone.',
            CONSTRAINT = constraint_name;
    END IF;
END
$$;

COMMENT ON FUNCTION booking.check_excess(name, boolean) IS
'Internal: raises 23503 for rows without a capacity, and 23514, naming the five worst keys, if '
'rows exceed it.';

CREATE FUNCTION booking.check_not_in_use(rel regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'booking_check_not_in_use'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.check_not_in_use(regclass) IS
'Internal: raises 55006 if a statement of this session is reading or writing the table.';

CREATE FUNCTION booking.refill_capacity(constraint_name name)
RETURNS void
AS 'MODULE_PATHNAME', 'booking_refill_capacity'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.refill_capacity(name) IS
'Internal: makes the pools of a capacity constraint again. Raises 42501 unless the caller owns it.';

CREATE FUNCTION booking.check_constraint_expiry(constraint_name name)
RETURNS void
AS 'MODULE_PATHNAME', 'booking_check_constraint_expiry'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.check_constraint_expiry(name) IS
'Internal: raises what the statement that ends expired rows would raise when it is planned, as the '
'owner of the table. Raises 42501 unless the caller may read the pool table.';

CREATE FUNCTION booking.capacity_taken(constraint_name name)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'booking_capacity_taken'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.capacity_taken(name) IS
'Internal: returns each key of a capacity constraint with the places that rows take. They are '
'counted with the rights of the owner. Raises 42501 unless the caller may read the pool table.';

CREATE FUNCTION booking.add_capacity_constraint(
    on_table regclass,
    key_columns name[],
    capacity_table regclass DEFAULT NULL,
    capacity_column name DEFAULT NULL,
    capacity_key name[] DEFAULT NULL,
    capacity integer DEFAULT NULL,
    quantity_column name DEFAULT NULL,
    condition text DEFAULT NULL,
    allow_excess boolean DEFAULT false,
    expires_at name DEFAULT NULL,
    on_expiry text DEFAULT NULL,
    constraint_name name DEFAULT NULL)
RETURNS name
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner regrole;
    args text;
    when_new text;
    when_old text;
    changed text;
    keys text;
    columns text;
    i integer;
BEGIN
    IF capacity_table IS NOT NULL AND capacity_key IS NULL THEN
        SELECT array_agg(a.attname ORDER BY k.n) INTO capacity_key
        FROM pg_index x
        CROSS JOIN unnest(x.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
        JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum
        WHERE x.indrelid = capacity_table AND x.indisprimary AND k.n <= x.indnkeyatts;
        capacity_key := coalesce(capacity_key, '{}');
    END IF;
    IF allow_excess IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'argument "allow_excess" must not be null';
    END IF;
    PERFORM booking.check_capacity_arguments(on_table, key_columns, capacity_table, capacity_column,
        capacity_key, capacity, quantity_column, expires_at, on_expiry);
    SELECT relowner INTO owner FROM pg_class WHERE oid = on_table;
    IF NOT pg_has_role(owner, 'USAGE') THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('must be owner of table %s', on_table);
    END IF;
    constraint_name := coalesce(constraint_name, booking.short_name(
        (SELECT relname FROM pg_class WHERE oid = on_table) || '_'
        || array_to_string(key_columns, '_'), '_capacity'));
    IF to_regclass(format('booking.%I', constraint_name)) IS NOT NULL THEN
        RAISE duplicate_object USING
            MESSAGE = format('capacity constraint "%s" cannot be added: booking.%I exists',
                             constraint_name, constraint_name),
            HINT = CASE WHEN EXISTS (SELECT FROM booking.capacity_constraints v
                                     WHERE v.constraint_name = add_capacity_constraint.constraint_name)
                        THEN 'Pass another constraint_name, or drop that constraint first.'
                        ELSE 'Pass another constraint_name. If the table was left by DROP EXTENSION, drop it first.' END;
    END IF;
    IF constraint_name = '' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'constraint_name must not be empty',
            HINT = 'Pass null for a name made of the table and the columns.';
    END IF;
    IF on_expiry IS NOT NULL THEN
        -- raises what is wrong with it, and runs nothing
        EXECUTE 'EXPLAIN ' || booking.expiry_statement(on_table, on_expiry) || ' WHERE false';
        -- without a condition, only the key or the quantity can make a row count no more
        IF condition IS NULL AND upper(trim(on_expiry)) <> 'DELETE'
           AND NOT EXISTS (SELECT FROM unnest(key_columns || quantity_column) k
                           WHERE position(k::text IN on_expiry) > 0) THEN
            RAISE invalid_parameter_value USING
                MESSAGE = 'rows would count as before after on_expiry',
                HINT = 'Pass a condition that is false after it, or ''DELETE''.';
        END IF;
    END IF;
    when_new := booking.parse_condition(on_table, condition, 'new');
    when_old := booking.parse_condition(on_table, condition, 'old');

    PERFORM booking.check_left_triggers(constraint_name, owner, capacity_table);

    -- the pool table
    SELECT string_agg(format('%I %s%s NOT NULL', k, format_type(a.atttypid, -1),
                             CASE WHEN a.attcollation <> 0
                                  THEN format(' COLLATE %s', a.attcollation::regcollation) ELSE '' END),
                      ', ' ORDER BY n),
           string_agg(quote_ident(k), ', ' ORDER BY n)
    INTO args, keys
    FROM unnest(key_columns) WITH ORDINALITY AS u (k, n)
    JOIN pg_attribute a ON a.attrelid = on_table AND a.attname = k;
    EXECUTE format('CREATE TABLE booking.%I (%s,'
                   ' stripe integer NOT NULL CONSTRAINT %I CHECK (stripe BETWEEN 0 AND 255),'
                   ' available integer NOT NULL CONSTRAINT %I CHECK (available >= 0 OR stripe = 0),'
                   ' capacity integer, PRIMARY KEY (%s, stripe)) WITH (fillfactor = 10)',
                   constraint_name, args, booking.short_name(constraint_name, '_stripe_check'),
                   booking.short_name(constraint_name, '_available_check'), keys);
    EXECUTE format('COMMENT ON TABLE booking.%I IS %L', constraint_name,
                   'Internal to pg_booking: the free places of capacity constraint '
                   || quote_ident(constraint_name) || ' of table ' || on_table || '. Do not write to it.');
    EXECUTE format('ALTER TABLE booking.%I OWNER TO %s', constraint_name, owner);
    EXECUTE format('CREATE TRIGGER _booking_capacity_settle AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE'
                   ' ON booking.%I FOR EACH STATEMENT EXECUTE FUNCTION booking.capacity_settle(%L, %L, %L, %L, %L, %L)',
                   constraint_name, coalesce(capacity::text, ''),
                   CASE WHEN allow_excess THEN 't' ELSE 'f' END,
                   coalesce(on_expiry, ''), booking.full_name(on_table),
                   coalesce(booking.full_name(capacity_table), ''),
                   coalesce((SELECT pg_get_userbyid(relowner) FROM pg_class
                             WHERE oid = capacity_table), ''));

    -- the triggers of the constrained table: locks it against writers
    SELECT string_agg(quote_literal(w), ', ' ORDER BY n) INTO args
    FROM unnest(ARRAY[constraint_name::text, coalesce(quantity_column, ''), coalesce(expires_at, '')]
                || key_columns::text[]) WITH ORDINALITY AS u (w, n);
    SELECT string_agg(booking.difference(on_table, k), ' OR ' ORDER BY n) INTO changed
    FROM unnest(key_columns || quantity_column || expires_at) WITH ORDINALITY AS u (k, n)
    WHERE k IS NOT NULL;
    changed := changed
        || coalesce(' OR ((' || when_old || ') IS TRUE) <> ((' || when_new || ') IS TRUE)', '');
    FOR i IN 1..3 LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER %s ON %s FOR EACH ROW%s EXECUTE FUNCTION booking.capacity_count(%s)',
            booking.short_name('_booking_' || constraint_name, (ARRAY['_insert', '_update', '_delete'])[i]),
            (ARRAY['INSERT', 'UPDATE', 'DELETE'])[i],
            on_table,
            coalesce(' WHEN (' || (ARRAY[NULL, changed, when_old])[i] || ')', ''),
            args);
    END LOOP;
    EXECUTE format('CREATE TRIGGER %I AFTER TRUNCATE ON %s'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION booking.capacity_truncated(%s)',
                   booking.short_name('_booking_' || constraint_name, '_truncate'), on_table, args);

    -- the triggers of the capacity table; a dropped constraint may have left them there
    IF capacity_table IS NOT NULL THEN
        SELECT string_agg(quote_literal(w), ', ' ORDER BY n) INTO args
        FROM unnest(ARRAY[constraint_name::text, capacity_column, '']
                    || capacity_key::text[]) WITH ORDINALITY AS u (w, n);
        EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR DELETE ON %s'
                       ' FOR EACH ROW EXECUTE FUNCTION booking.capacity_changed(%s)',
                       booking.short_name('_booking_' || constraint_name, '_capacity_changed'),
                       capacity_table, args);
        -- This must see every UPDATE, for another trigger may have changed the row before.  So the
        -- clause is always true.  It names the columns, and PostgreSQL then refuses to change their
        -- type.  check_watched() compares them with the columns that have these names now.
        SELECT string_agg(format('old.%1$I, new.%1$I', k), ', ' ORDER BY n) INTO columns
        FROM unnest(capacity_key || capacity_column) WITH ORDINALITY AS u (k, n);
        EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER UPDATE ON %s'
                       ' FOR EACH ROW WHEN (num_nulls(%s) >= 0)'
                       ' EXECUTE FUNCTION booking.capacity_changed(%s)',
                       booking.short_name('_booking_' || constraint_name, '_capacity_updated'),
                       capacity_table, columns, args);
        EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER TRUNCATE ON %s'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION booking.capacity_truncated(%s)',
                       booking.short_name('_booking_' || constraint_name, '_capacity_truncated'),
                       capacity_table, args);
    END IF;

    IF capacity_table IS NOT NULL THEN
        EXECUTE format('SELECT count(*) FROM %2$s WHERE %1$I NOT BETWEEN 0 AND 2147483647',
                       capacity_column, capacity_table) INTO i;
        IF i > 0 THEN
            RAISE check_violation USING
                MESSAGE = format('capacity constraint "%s" is violated by some capacities', constraint_name),
                DETAIL = format('Rows of table %s whose "%s" is not between 0 and 2147483647: %s.',
                                capacity_table, capacity_column, i),
                HINT = 'Correct these rows; null is unlimited.',
                CONSTRAINT = constraint_name;
        END IF;
    END IF;
    PERFORM booking.check_not_in_use(on_table);
    PERFORM booking.refill_capacity(constraint_name);
    PERFORM booking.check_excess(constraint_name, allow_excess);
    RETURN constraint_name;
END
$$;

COMMENT ON FUNCTION booking.add_capacity_constraint(regclass, name[], regclass, name, name[],
    integer, name, text, boolean, name, text, name) IS
'From now on at most as many rows of on_table have equal values in key_columns as the capacity '
'says: a column of capacity_table (null: unlimited), or a constant. Returns the name of the '
'constraint. quantity_column: places of a row. condition: which rows count. allow_excess: keys '
'that are over their capacity are accepted. expires_at, on_expiry (DELETE, or the SET list of an '
'UPDATE): rows that are ended when no place is left. Locks both tables against writers until the '
'transaction ends. Rows too many are refused with 23514. Needs ownership of on_table, TRIGGER and '
'SELECT on capacity_table, CREATE on schema booking.';

CREATE FUNCTION booking.check_left_triggers(constraint_name name, owner oid, capacity_table regclass)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    other regclass;
BEGIN
    SELECT t.tgrelid INTO other
    FROM pg_trigger t JOIN pg_class r ON r.oid = t.tgrelid
    WHERE t.tgparentid = 0 AND t.tgrelid IS DISTINCT FROM capacity_table
      AND t.tgfoid = 'booking.capacity_changed'::regproc
      AND (booking.trigger_words(t.tgargs, t.tgnargs))[1] = constraint_name
      -- not what another user attaches to a table of his
      AND (r.relowner IN (check_left_triggers.owner,
                          (SELECT c.relowner FROM pg_class c WHERE c.oid = capacity_table))
           OR has_table_privilege(check_left_triggers.owner, t.tgrelid, 'TRIGGER')
              AND NOT (SELECT rolsuper FROM pg_roles WHERE oid = check_left_triggers.owner))
    LIMIT 1;
    IF FOUND THEN
        RAISE duplicate_object USING
            MESSAGE = format('capacity constraint "%s" cannot be added: table %s has triggers of an earlier one',
                             constraint_name, other),
            HINT = 'Drop these triggers, or pass another constraint_name.';
    END IF;
END
$$;

COMMENT ON FUNCTION booking.check_left_triggers(name, oid, regclass) IS
'Internal: raises 42710 if another table has triggers of a capacity constraint of that name, which '
'would be taken for those of the new one, or refuse what is written into that table.';

CREATE FUNCTION booking.drop_capacity_constraint(constraint_name name, if_exists boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pool regclass := (
        SELECT tgrelid FROM pg_trigger t JOIN pg_class r ON r.oid = t.tgrelid
        WHERE t.tgfoid = 'booking.capacity_settle'::regproc
          AND r.relnamespace = 'booking'::regnamespace AND r.relname = constraint_name);
    pool_owner oid := (SELECT relowner FROM pg_class WHERE oid = pool);
    exists boolean := pool IS NOT NULL;
    target record;
BEGIN
    IF constraint_name IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'argument "constraint_name" must not be null';
    END IF;
    IF pool IS NOT NULL AND NOT pg_has_role(pool_owner, 'USAGE') THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('must be owner of capacity constraint "%s"', constraint_name);
    END IF;
    -- Triggers of tables that others own are left: without a pool table those
    -- of a capacity table do nothing.
    FOR target IN
        SELECT t.tgname, t.tgrelid::regclass AS rel
        FROM pg_trigger t JOIN pg_class r ON r.oid = t.tgrelid
        WHERE t.tgparentid = 0 AND pg_has_role(r.relowner, 'USAGE')
          AND t.tgfoid IN ('booking.capacity_count'::regproc, 'booking.capacity_changed'::regproc,
                           'booking.capacity_truncated'::regproc)
          AND (booking.trigger_words(t.tgargs, t.tgnargs))[1] = constraint_name
          AND (pool IS NULL OR r.relowner = pool_owner
               OR pg_get_userbyid(r.relowner)
                  = (SELECT (booking.trigger_words(s.tgargs, s.tgnargs))[6] FROM pg_trigger s
                     WHERE s.tgrelid = pool AND s.tgfoid = 'booking.capacity_settle'::regproc))
        ORDER BY t.tgrelid, t.tgname
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', target.tgname, target.rel);
        exists := true;
    END LOOP;
    FOR target IN
        SELECT t.tgrelid::regclass AS rel, string_agg(quote_ident(t.tgname), ', ' ORDER BY t.tgname) AS names
        FROM pg_trigger t JOIN pg_class r ON r.oid = t.tgrelid
        WHERE t.tgparentid = 0 AND NOT pg_has_role(r.relowner, 'USAGE')
          AND t.tgfoid IN ('booking.capacity_changed'::regproc, 'booking.capacity_truncated'::regproc)
          AND (booking.trigger_words(t.tgargs, t.tgnargs))[1] = constraint_name
        GROUP BY t.tgrelid ORDER BY t.tgrelid
    LOOP
        RAISE NOTICE 'triggers of table % stay, because you don''t own it: %', target.rel, target.names
            USING HINT = 'They do nothing now. The owner of the table can drop them.';
    END LOOP;
    IF NOT exists AND if_exists THEN
        RAISE NOTICE 'capacity constraint "%" does not exist, skipping', constraint_name;
    ELSIF NOT exists THEN
        RAISE undefined_object USING
            MESSAGE = format('capacity constraint "%s" does not exist', constraint_name),
            HINT = 'booking.capacity_constraints lists the constraints.';
    END IF;
    IF pool IS NOT NULL THEN
        EXECUTE format('DROP TABLE %s', pool);
    END IF;
END
$$;

COMMENT ON FUNCTION booking.drop_capacity_constraint(name, boolean) IS
'Removes a capacity constraint: its triggers and its pool table. No row of yours is touched. '
'Raises 42704 if there is no such constraint, unless if_exists is true.';

CREATE FUNCTION booking.rebuild_capacity(constraint_name name)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c record;
BEGIN
    IF constraint_name IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'argument "constraint_name" must not be null';
    END IF;
    SELECT * INTO c FROM booking.capacity_constraints v
    WHERE v.constraint_name = rebuild_capacity.constraint_name;
    IF NOT FOUND OR c.on_table IS NULL THEN
        RAISE undefined_object USING
            MESSAGE = format('capacity constraint "%s" does not exist', constraint_name),
            HINT = 'booking.capacity_constraints lists the constraints.';
    END IF;
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', c.on_table);
    EXECUTE format('LOCK TABLE booking.%I IN ACCESS EXCLUSIVE MODE', constraint_name);
    PERFORM booking.check_not_in_use(c.on_table);
    PERFORM booking.refill_capacity(constraint_name);
END
$$;

COMMENT ON FUNCTION booking.rebuild_capacity(name) IS
'Counts the rows of a capacity constraint again, for instance after data was loaded without '
'triggers. Keys that are over their capacity become deficits. Locks the table against writers '
'until the transaction ends. Raises 42704 if there is no such constraint, 55006 if a statement of '
'this session is using the table.';

CREATE FUNCTION booking.verify_capacity(for_constraint name DEFAULT NULL)
RETURNS TABLE (constraint_name name, key text, problem text, expected bigint, found bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    checked name;
    c record;         -- without a type that DROP EXTENSION elsewhere could take away
    keys text;
    ks text;
    types text;
    same_key text;
    either_key text;
BEGIN
    IF for_constraint IS NOT NULL
       AND NOT EXISTS (SELECT FROM booking.capacity_constraints v
                       WHERE v.constraint_name = for_constraint) THEN
        RAISE undefined_object USING
            MESSAGE = format('capacity constraint "%s" does not exist', for_constraint),
            HINT = 'booking.capacity_constraints lists the constraints.';
    END IF;
    PERFORM booking.flush_capacity();
    FOR checked IN SELECT v.constraint_name FROM booking.capacity_constraints v
                   WHERE for_constraint IS NULL OR v.constraint_name = for_constraint
                   ORDER BY v.constraint_name
    LOOP
        -- from here on it can't be dropped, so all statements see the same constraint
        BEGIN
            EXECUTE format('LOCK TABLE booking.%I IN ACCESS SHARE MODE', checked);
        EXCEPTION WHEN undefined_table THEN
            CONTINUE;
        END;
        SELECT * INTO c FROM booking.capacity_constraints v WHERE v.constraint_name = checked;
        CONTINUE WHEN NOT FOUND;
        IF NOT EXISTS (SELECT FROM pg_class p WHERE p.oid = format('booking.%I', checked)::regclass) THEN
            RAISE serialization_failure USING
                MESSAGE = 'could not serialize access due to concurrent update',
                DETAIL = format('Capacity constraint "%s" was made again after the transaction''s snapshot.', checked);
        END IF;
        IF c.on_table IS NULL OR (c.capacity IS NULL AND c.capacity_table IS NULL) THEN
            RETURN QUERY SELECT c.constraint_name, NULL::text,
                'the triggers of the constraint are missing', NULL::bigint, NULL::bigint;
            CONTINUE;
        END IF;
        IF (SELECT count(*) FROM pg_trigger t
            WHERE t.tgparentid = 0 AND t.tgenabled IN ('O', 'A')
              AND (t.tgrelid IN (c.on_table, c.capacity_table)
                   AND (booking.trigger_words(t.tgargs, t.tgnargs))[1] = c.constraint_name
                   AND t.tgfoid IN ('booking.capacity_count'::regproc, 'booking.capacity_changed'::regproc,
                                    'booking.capacity_truncated'::regproc)
                   OR t.tgrelid = format('booking.%I', c.constraint_name)::regclass
                   AND t.tgfoid = 'booking.capacity_settle'::regproc))
           < (CASE WHEN c.capacity_table IS NULL THEN 5 ELSE 8 END) THEN
            RETURN QUERY SELECT c.constraint_name, NULL::text,
                'a trigger of the constraint is missing or disabled', NULL::bigint, NULL::bigint;
        END IF;
        RETURN QUERY
            SELECT c.constraint_name, NULL::text,
                   format('trigger %I of partition %s is disabled', t.tgname, t.tgrelid::regclass),
                   NULL::bigint, NULL::bigint
            FROM pg_trigger t
            WHERE t.tgparentid <> 0 AND t.tgenabled NOT IN ('O', 'A')
              AND t.tgfoid IN ('booking.capacity_count'::regproc, 'booking.capacity_changed'::regproc)
              AND (booking.trigger_words(t.tgargs, t.tgnargs))[1] = c.constraint_name
              AND pg_partition_root(t.tgrelid) IN (pg_partition_root(c.on_table),
                                                   pg_partition_root(c.capacity_table))
            ORDER BY t.tgrelid, t.tgname;
        IF booking.missing_column(c.constraint_name, true) IS NOT NULL THEN
            RETURN QUERY SELECT c.constraint_name, NULL::text,
                format('there is no column %s', booking.missing_column(c.constraint_name, true)),
                NULL::bigint, NULL::bigint;
            CONTINUE;
        END IF;
        BEGIN
            PERFORM booking.check_constraint_expiry(c.constraint_name);
        EXCEPTION WHEN syntax_error_or_access_rule_violation OR data_exception OR feature_not_supported THEN
            RETURN QUERY SELECT c.constraint_name, NULL::text,
                format('on_expiry fails: %s', sqlerrm), NULL::bigint, NULL::bigint;
        END;
        SELECT string_agg(format('p.%I', k), ', ' ORDER BY i),
               string_agg(format('k%s', i), ', ' ORDER BY i),
               string_agg(format('k%s %s%s', i, format_type(a.atttypid, -1),
                                 CASE WHEN a.attcollation <> 0
                                      THEN format(' COLLATE %s', a.attcollation::regcollation) ELSE '' END),
                          ', ' ORDER BY i),
               string_agg(format('p.k%1$s OPERATOR(%2$s) t.k%1$s', i, booking.equality(c.on_table, k)),
                          ' AND ' ORDER BY i),
               string_agg(format('coalesce(p.k%1$s, t.k%1$s)', i), ', ' ORDER BY i)
        INTO keys, ks, types, same_key, either_key
        FROM unnest(c.key_columns) WITH ORDINALITY AS u (k, i)
        JOIN pg_attribute a ON a.attrelid = format('booking.%I', c.constraint_name)::regclass
                           AND a.attname = k;
        RETURN QUERY EXECUTE format($sql$
            WITH p (%2$s, available, least, first, capacity, orphan) AS (
                SELECT %1$s, sum(p.available)::bigint, min(p.available), min(p.stripe),
                       min(coalesce(p.capacity, 2000000000)), min(p.capacity) = -1
                FROM booking.%3$I p GROUP BY %1$s
            ), t AS (
                SELECT * FROM booking.capacity_taken(%5$L) AS t (%4$s, taken bigint)
            ), j AS (
                SELECT p.*, t.taken, concat_ws(',', %8$s) AS key FROM p FULL JOIN t ON %7$s
            )
            SELECT %5$L::name, j.key,
                   'available places and the rows that count do not add up to the capacity',
                   coalesce(j.capacity, %6$s)::bigint,
                   coalesce(j.available, %6$s)::bigint + coalesce(j.taken, 0)
            FROM j
            WHERE coalesce(j.available, %6$s) + coalesce(j.taken, 0)
                  IS DISTINCT FROM CASE WHEN j.orphan THEN 0 ELSE coalesce(j.capacity, %6$s) END
          UNION ALL
            SELECT %5$L::name, j.key, 'rows have a key without a capacity', 0::bigint, j.taken
            FROM j WHERE j.taken > 0 AND (j.orphan OR coalesce(j.capacity, %6$s) IS NULL)
          UNION ALL
            SELECT %5$L::name, j.key, 'more places are taken than the capacity', j.capacity::bigint,
                   j.taken
            FROM j WHERE j.available < 0 AND NOT j.orphan
          UNION ALL
            SELECT %5$L::name, j.key, 'the key has no stripe 0', 0::bigint, j.first::bigint
            FROM j WHERE j.first <> 0
            ORDER BY 2, 3$sql$,
            keys, ks, c.constraint_name, types,
            c.constraint_name, coalesce(c.capacity::text, 'NULL::integer'), same_key, either_key);
        IF c.capacity_table IS NOT NULL THEN
            RETURN QUERY EXECUTE format($sql$
                SELECT %1$L::name, concat_ws(',', %2$s),
                       'the pool has another capacity than the capacity table',
                       c.%3$I::bigint, p.capacity::bigint
                FROM %4$s c FULL JOIN (SELECT * FROM booking.%5$I
                                       WHERE stripe = 0 AND capacity IS DISTINCT FROM -1) p ON %6$s
                WHERE (c.%7$I IS NULL) <> (p.%8$I IS NULL) OR c.%3$I IS DISTINCT FROM p.capacity
                ORDER BY 2$sql$,
                c.constraint_name,
                (SELECT string_agg(format('coalesce(p.%I, c.%I)', c.key_columns[i], k), ', ' ORDER BY i)
                 FROM unnest(c.capacity_key) WITH ORDINALITY AS u (k, i)),
                c.capacity_column, c.capacity_table, c.constraint_name,
                (SELECT string_agg(format('p.%I OPERATOR(%s) c.%I', c.key_columns[i],
                                          booking.equality(c.on_table, c.key_columns[i]), k),
                                   ' AND ' ORDER BY i)
                 FROM unnest(c.capacity_key) WITH ORDINALITY AS u (k, i)),
                c.capacity_key[1], c.key_columns[1]);
        END IF;
    END LOOP;
END
$$;

COMMENT ON FUNCTION booking.verify_capacity(name) IS
'Checks the pools of one capacity constraint, or of all (null), against the rows of its tables: '
'returns a row for each problem, and none if all is well. Keys over their capacity are reported. '
'Raises 40001 if a constraint is newer than the transaction''s snapshot. Locks no row, and tables with expiring rows as an UPDATE does. Runs with the rights of the caller, who needs SELECT on the tables.';

CREATE FUNCTION booking.flush_capacity()
RETURNS void
AS 'MODULE_PATHNAME', 'booking_flush_capacity'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.flush_capacity() IS
'Internal: gives places that this transaction has prefetched back to their pools, as its commit '
'would. Called by verify_capacity().';
