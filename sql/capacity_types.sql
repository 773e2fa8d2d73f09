-- Capacity constraints: the types of keys, quantities and capacities.
--
-- Promises:
--   - Values that are equal by their type's btree equality share a capacity, and others
--     do not.
--   - A row with a null in its key is not counted.
--   - A sum of places is exact, however large the quantities are.
CALL recreate_booking();
CREATE COLLATION IF NOT EXISTS regress_no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN regress_code AS text CHECK (value <> '');
CREATE TYPE regress_tier AS ENUM ('gold', 'tin');
-- Their operators are not in pg_catalog.
CREATE EXTENSION citext;
CREATE EXTENSION ltree;

-- For a type: two values, the first also written another way.  Rows with either
-- writing of the first share its capacity of 2, with and without a capacity table;
-- the second has 1.
CREATE FUNCTION with_type(type text, a text, a_again text, b text)
RETURNS TABLE (case_ text, codes text, pools text)
LANGUAGE plpgsql
SET client_min_messages = warning
AS $$
DECLARE
    k text;
    o text;
BEGIN
    FOR i IN 1..2 LOOP
        DROP TABLE IF EXISTS t, c;
        PERFORM booking.drop_capacity_constraint('c', true);
        EXECUTE format('CREATE TABLE t (k %1$s, n integer); CREATE TABLE c (k %1$s PRIMARY KEY, n integer)', type);
        EXECUTE format('INSERT INTO c VALUES (%L, 2), (%L, 1)', a, b);
        EXECUTE format('INSERT INTO t VALUES (%L)', a_again);
        IF i = 1 THEN
            PERFORM booking.add_capacity_constraint('public.t', '{k}', 'public.c', 'n', constraint_name => 'c');
        ELSE
            PERFORM booking.add_capacity_constraint('public.t', '{k}', capacity => 2, constraint_name => 'c');
        END IF;
        codes := '';
        FOREACH k IN ARRAY ARRAY[a, a_again, a, b, b, NULL] LOOP
            SELECT code INTO o FROM outcome(format('INSERT INTO t VALUES (%L)', k));
            codes := codes || CASE o WHEN '00000' THEN ' ok' ELSE ' ' || o END;
        END LOOP;
        SELECT code INTO o FROM outcome(format('UPDATE t SET k = %L WHERE k = %L', b, a));
        codes := codes || '; ' || o;
        SELECT code INTO o FROM outcome(format('DELETE FROM t WHERE k = %L', b));
        EXECUTE format('UPDATE t SET k = %L WHERE k = %L AND ctid = (SELECT min(ctid) FROM t)', b, a);
        EXECUTE format('SELECT concat_ws('' '', booking.places_left(''c'', %1$L::%3$s), booking.places_left(''c'', %2$L::%3$s))',
                       a_again, b, replace(type, 'COLLATE regress_no_case', '')) INTO o;
        codes := codes || '; ' || o;
        case_ := CASE i WHEN 1 THEN 'table' ELSE 'constant' END;
        pools := pools('c');
        RETURN NEXT;
    END LOOP;
END
$$;
SELECT type, w.*
FROM (VALUES
    (1, 'smallint', '1', '+1', '-2'), (2, 'integer', '1', '01', '-2147483648'),
    (3, 'bigint', '1', '01', '9223372036854775807'),
    (4, 'uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11',
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'),
    (5, 'text', 'a', 'a', 'A'), (6, 'varchar', 'a', 'a', 'a '), (7, 'varchar(5)', 'a', 'a', 'b'),
    (8, 'character(5)', 'a', 'a  ', 'b'), (9, 'text COLLATE "C"', 'é', 'é', 'e'),
    (10, 'text COLLATE regress_no_case', 'abc', 'ABC', 'abd'),
    (11, 'date', '2026-01-02', 'Jan 2 2026', 'infinity'), (12, 'numeric', '1', '1.00', '1.01'),
    (13, 'numeric(8,2)', '1', '1.001', '1.01'), (14, 'regress_code', 'a', 'a', 'b'),
    (15, 'regress_tier', 'gold', 'gold', 'tin'), (16, 'boolean', 'true', 't', 'f'),
    (17, 'timestamptz', '2026-01-01 00:00+00', '2026-01-01 01:00+01', '2026-01-01 01:00+00'),
    (18, 'double precision', '0', '-0', '1'), (19, 'integer[]', '{1,2}', '{ 1, "2" }', '{2,1}'),
    (20, 'inet', '10.0.0.1', '10.0.0.1/32', '10.0.0.2'), (21, 'interval', '1 day', '24 hours', '1 hour'),
    (22, 'jsonb', '{"a":1,"b":2}', '{"b":2, "a":1}', '{}'), (23, 'bytea', '\x61', 'a', '\x'),
    (24, 'name', 'a', 'a', 'b'), (25, '"char"', 'a', 'a', 'b'), (26, 'oid', '1', '01', '4294967295'),
    (27, 'time', '10:00', '10:00:00', '10:01'), (28, 'money', '1', '1.00', '2'),
    (29, 'int4range', '[1,2]', '[1,3)', 'empty'), (30, 'citext', 'abc', 'ABC', 'abd'),
    (31, 'ltree', 'a.b', 'a.b', 'a.c'))
    AS v (n, type, a, a_again, b), with_type(type, a, a_again, b) w
ORDER BY n, case_ DESC;

-- A key that is large: it is compressed or stored out of line.
SELECT w.case_, w.codes, length(w.pools) FROM with_type('text', repeat('x', 2000), repeat('x', 2000), repeat('x', 1999) || 'y') w;

-- Keys of two to four columns, of different types; a null in any column is not counted.
SET client_min_messages = warning;
DROP TABLE t, c;
SELECT booking.drop_capacity_constraint('c', true);
RESET client_min_messages;
CREATE TABLE t (a integer, b text COLLATE regress_no_case, c date, d uuid, n integer DEFAULT 1);
CREATE TABLE c (z uuid, y date, x text COLLATE regress_no_case, w integer, n bigint, PRIMARY KEY (w, x, y, z));
INSERT INTO c VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2026-01-01', 'Ab', 1, 2);
SELECT booking.add_capacity_constraint('t', '{a,b,c,d}', 'c', 'n', constraint_name => 'four');
SELECT booking.add_capacity_constraint('t', '{b,d}', capacity => 2, constraint_name => 'two');
CREATE UNIQUE INDEX ON c (w, y, z);
SELECT booking.add_capacity_constraint('t', '{d,c,a}', 'c', 'n', '{z,y,w}', constraint_name => 'three');
SELECT n, t.code, t.detail, t.pools AS four, two, three
FROM (VALUES
    (1, '1, ''AB'', ''2026-01-01'', ''a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'''),
    (2, '1, ''ab'', ''2026-01-01'', ''a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'''),
    (3, '1, ''aB'', ''2026-01-01'', ''a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'''),
    (4, 'NULL, ''q'', ''2026-01-01'', ''a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'''),
    (5, '1, NULL, NULL, ''a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'''),
    (6, '1, ''ab'', ''2026-01-01'', NULL'),
    (7, '1, ''ac'', ''2026-01-01'', ''a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'''))
    AS s (n, row), then_pools('four', format('INSERT INTO t VALUES (%s)', row)) t,
    LATERAL (SELECT pools(('two' || left(t.code, 0))::name) AS two,
                    pools(('three' || left(t.code, 0))::name) AS three) p
ORDER BY n;
SELECT booking.places_left('four', 1, 'aB', '2026-01-01', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11') AS four,
       booking.places_left('two', 'q', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11') AS two;
DROP TABLE t, c;
SELECT booking.drop_capacity_constraint(v.c, true) FROM (VALUES ('two'), ('three'), ('four')) v (c);

-- ---- quantities and capacities ----

CREATE FUNCTION with_quantity(quantity text, capacity text)
RETURNS TABLE (n integer, code text, detail text, pools text)
LANGUAGE plpgsql
SET client_min_messages = warning
AS $$
DECLARE
    statement text;
    most bigint := CASE capacity WHEN 'smallint' THEN 32767 ELSE 2147483647 END;
BEGIN
    DROP TABLE IF EXISTS t, c;
    PERFORM booking.drop_capacity_constraint('c', true);
    EXECUTE format('CREATE TABLE t (k integer, q %s); CREATE TABLE c (k integer PRIMARY KEY, n %s)', quantity, capacity);
    EXECUTE format('INSERT INTO c VALUES (1, %s), (2, NULL), (3, 5)', most);
    PERFORM booking.add_capacity_constraint('public.t', '{k}', 'public.c', 'n', quantity_column => 'q', constraint_name => 'c');
    n := 0;
    FOREACH statement IN ARRAY ARRAY[
        'INSERT INTO t VALUES (1, 32767)',
        'INSERT INTO t VALUES (1, 1)',
        'INSERT INTO t VALUES (1, 2147483647)',
        'INSERT INTO t VALUES (1, 9223372036854775807)',
        'INSERT INTO t VALUES (1, 9223372036854775807), (1, 9223372036854775807), (1, 3)',
        'INSERT INTO t VALUES (2, 2000000000), (3, 5)',
        'INSERT INTO t VALUES (2, 1)',
        'INSERT INTO t VALUES (3, NULL), (3, 0)',
        'INSERT INTO t VALUES (3, -1)',
        'UPDATE t SET q = 0 WHERE k = 2',
        'UPDATE c SET n = 9223372036854775807 WHERE k = 3',
        'UPDATE c SET n = 2147483648 WHERE k = 3',
        'UPDATE c SET n = NULL WHERE k = 1',
        'UPDATE c SET n = 0 WHERE k = 2',
        'DELETE FROM t']
    LOOP
        n := n + 1;
        SELECT o.code, o.detail, o.pools INTO code, detail, pools FROM then_pools('c', statement) o;
        RETURN NEXT;
    END LOOP;
END
$$;
SELECT * FROM with_quantity('smallint', 'smallint');
SELECT * FROM with_quantity('integer', 'integer');
SELECT * FROM with_quantity('bigint', 'bigint');
SET client_min_messages = warning;
DROP TABLE t, c;
DROP FUNCTION with_type, with_quantity;
SELECT booking.drop_capacity_constraint('c', true);
DROP COLLATION regress_no_case;
DROP DOMAIN regress_code;
DROP TYPE regress_tier;
DROP EXTENSION citext, ltree;

-- ---- generated columns ----

-- Virtual ones (PostgreSQL 18) are refused everywhere.  Prints the same on all versions.
DO $$
DECLARE
    arguments text;
    o record;
BEGIN
    IF current_setting('server_version_num')::integer < 180000 THEN
        RETURN;
    END IF;
    EXECUTE 'CREATE TABLE t (k integer, n integer, v integer GENERATED ALWAYS AS (k + 1) VIRTUAL,'
            ' w timestamptz GENERATED ALWAYS AS (timestamptz ''2026-01-01 00:00+00'') VIRTUAL)';
    EXECUTE 'CREATE TABLE c (k integer PRIMARY KEY, n integer, v integer GENERATED ALWAYS AS (k + 1) VIRTUAL)';
    FOREACH arguments IN ARRAY ARRAY[
        '''{v}'', capacity => 1',
        '''{n,v}'', capacity => 1',
        '''{k}'', capacity => 1, quantity_column => ''v''',
        '''{k}'', capacity => 1, expires_at => ''w'', on_expiry => ''DELETE''',
        '''{k}'', ''public.c'', ''v''',
        '''{k}'', ''public.c'', ''n'', ''{v}''']
    LOOP
        SELECT * INTO o FROM diagnosed('SELECT booking.add_capacity_constraint(''public.t'', ' || arguments || ')');
        IF o.code <> '0A000' OR o.message !~ '^column "[vw]" of table "?(public.)?[tc]"?'
           OR o.detail = '' OR o.hint = '' THEN
            RAISE EXCEPTION '%: % %', arguments, o.code, o.message;
        END IF;
    END LOOP;
    DROP TABLE t, c;
END
$$;
-- Stored ones can be a key, a quantity and a capacity.
CREATE TABLE t (a integer, k integer GENERATED ALWAYS AS (a % 10) STORED, q integer GENERATED ALWAYS AS (a / 10) STORED);
CREATE TABLE c (k integer PRIMARY KEY, m integer, n integer GENERATED ALWAYS AS (m * 2) STORED);
INSERT INTO c VALUES (1, 2), (2, 1);
SELECT booking.add_capacity_constraint('t', '{k}', 'c', 'n', quantity_column => 'q', constraint_name => 'g');
SELECT n, t.*
FROM (VALUES
    (1, 'INSERT INTO t VALUES (31), (12)'),
    (2, 'INSERT INTO t VALUES (21)'),
    (3, 'UPDATE t SET a = 41 WHERE a = 31'),
    (4, 'UPDATE t SET a = 22 WHERE a = 41'),
    (5, 'UPDATE c SET m = 2 WHERE k = 2'),
    (6, 'UPDATE t SET a = 22 WHERE a = 41'),
    (7, 'UPDATE c SET m = 1 WHERE k = 2')) AS s (n, statement),
    then_pools('g', statement) t
ORDER BY n;
-- An expression that changes needs rebuild_capacity(): from PostgreSQL 17 on.
DO $$
BEGIN
    IF current_setting('server_version_num')::integer < 170000 THEN
        RETURN;
    END IF;
    EXECUTE 'ALTER TABLE t ALTER k SET EXPRESSION AS (a % 10 + 0 * a)';
    PERFORM booking.rebuild_capacity('g');
    IF (SELECT count(*) FROM booking.verify_capacity('g')) > 0 THEN
        RAISE EXCEPTION 'the constraint was not rebuilt';
    END IF;
    EXECUTE 'ALTER TABLE t ALTER k SET EXPRESSION AS (3 - a % 10)';
    IF (SELECT count(*) FROM booking.verify_capacity('g')) = 0 THEN
        RAISE EXCEPTION 'the rows have not changed';
    END IF;
    PERFORM booking.rebuild_capacity('g');
    IF EXISTS (SELECT FROM booking.verify_capacity('g') WHERE problem NOT LIKE 'more places%') THEN
        RAISE EXCEPTION 'the constraint was not rebuilt';
    END IF;
END
$$;
SELECT booking.drop_capacity_constraint('g');
DROP TABLE t, c;
