-- Conditions of capacity constraints: which rows count, and how that is kept.
--
-- An INSERT evaluates the WHEN clause of the trigger for DELETE, from an expression that the session keeps.

CALL recreate_booking();
CREATE TABLE cond_show (id integer PRIMARY KEY, capacity integer);
CREATE TABLE cond_ticket (id integer GENERATED ALWAYS AS IDENTITY, note text, show_id integer, status text);
INSERT INTO cond_show VALUES (1, 3), (2, 3);

-- How many places are left of both shows, and whether the pools are right.
CREATE FUNCTION left_of_shows() RETURNS text LANGUAGE sql AS $$
    SELECT format('%s, %s; problems: %s', booking.places_left('c', 1), booking.places_left('c', 2),
                  (SELECT count(*) FROM booking.verify_capacity('c')))
$$;

-- ---- functions of each language ----

CREATE FUNCTION counts_sql(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$
    SELECT $1 IS DISTINCT FROM 'cancelled' ORDER BY 1 LIMIT 1
$$;
CREATE FUNCTION counts_plpgsql(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF $1 = 'error' THEN
        RAISE EXCEPTION 'the condition fails';
    END IF;
    RETURN $1 IS DISTINCT FROM 'cancelled';
END
$$;

SELECT booking.add_capacity_constraint('cond_ticket', '{show_id}', 'cond_show', 'capacity', constraint_name => 'c',
    condition => 'public.counts_sql(status) AND public.counts_plpgsql(status)');
INSERT INTO cond_ticket (show_id, status) VALUES (1, 'sold'), (1, NULL), (1, 'cancelled'), (2, 'cancelled');
SELECT left_of_shows();

-- An error in the condition, within a savepoint and without.
INSERT INTO cond_ticket (show_id, status) VALUES (1, 'error');
BEGIN;
INSERT INTO cond_ticket (show_id, status) VALUES (2, 'sold');
SAVEPOINT s;
INSERT INTO cond_ticket (show_id, status) VALUES (1, 'error');
ROLLBACK TO s;
INSERT INTO cond_ticket (show_id, status) VALUES (2, 'sold'), (2, 'cancelled');
SAVEPOINT s;
INSERT INTO cond_ticket (show_id, status) VALUES (1, 'sold');
ROLLBACK TO s;
COMMIT;
SELECT left_of_shows();

-- A function of the condition that changes: the next transaction sees it.
CREATE OR REPLACE FUNCTION counts_sql(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT false';
INSERT INTO cond_ticket (show_id, status) VALUES (1, 'sold'), (1, 'sold'), (1, 'sold');
CREATE OR REPLACE FUNCTION counts_sql(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS
    $$SELECT $1 IS DISTINCT FROM 'cancelled'$$;
SELECT key, expected, found FROM booking.verify_capacity('c');

-- The same where PostgreSQL inlines the function, and counts the rows again in between.
SELECT booking.drop_capacity_constraint('c');
TRUNCATE cond_ticket;
CREATE FUNCTION counts_inline(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$SELECT $1 = 'sold'$$;
SELECT booking.add_capacity_constraint('cond_ticket', '{show_id}', 'cond_show', 'capacity', constraint_name => 'c',
    condition => 'public.counts_inline(status)');
INSERT INTO cond_ticket (show_id, status) VALUES (1, 'sold');
BEGIN;
INSERT INTO cond_ticket (show_id, status) VALUES (2, 'paid');
CREATE OR REPLACE FUNCTION counts_inline(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS
    $$SELECT $1 IN ('sold', 'paid')$$;
SELECT booking.rebuild_capacity('c');
INSERT INTO cond_ticket (show_id, status) VALUES (1, 'paid');
SELECT left_of_shows();
COMMIT;
INSERT INTO cond_ticket (show_id, status) VALUES (1, 'paid'), (1, 'paid');

-- A function that rolls back a part of its work leaves no memory behind.
SELECT booking.drop_capacity_constraint('c');
TRUNCATE cond_ticket;
SELECT booking.add_capacity_constraint('cond_ticket', '{show_id}', 'cond_show', 'capacity', constraint_name => 'c',
    condition => 'public.is_number(status)');
BEGIN;
INSERT INTO cond_ticket (show_id, status) SELECT 1, 'x' FROM generate_series(1, 3000);
SELECT sum(total_bytes) < 50000 AS little FROM pg_backend_memory_contexts WHERE name = 'pg_booking conditions';
COMMIT;

-- ---- system columns ----

SELECT code, message FROM diagnosed($$SELECT booking.add_capacity_constraint('cond_ticket', '{show_id}',
    capacity => 1, constraint_name => 'sys', condition => 'xmin IS NOT NULL')$$);

-- ---- another condition in the same session ----

SELECT booking.drop_capacity_constraint('c');
TRUNCATE cond_ticket;
SELECT booking.add_capacity_constraint('cond_ticket', '{show_id}', 'cond_show', 'capacity', constraint_name => 'c',
    condition => 'status = ''sold''');
INSERT INTO cond_ticket (show_id, status) VALUES (1, 'sold'), (1, NULL), (1, 'paid');
SELECT left_of_shows();
BEGIN;
INSERT INTO cond_ticket (show_id, status) VALUES (1, 'sold');
SELECT booking.drop_capacity_constraint('c');
SELECT booking.add_capacity_constraint('cond_ticket', '{show_id}', 'cond_show', 'capacity', constraint_name => 'c',
    condition => 'status = ''paid''');
INSERT INTO cond_ticket (show_id, status) VALUES (1, 'sold'), (1, 'paid');
SELECT left_of_shows();
ROLLBACK;
INSERT INTO cond_ticket (show_id, status) VALUES (1, 'sold'), (1, 'paid');
SELECT left_of_shows();

-- A column that is not in the condition goes, another one comes.
ALTER TABLE cond_ticket DROP note, ADD more integer DEFAULT 7;
INSERT INTO cond_ticket (show_id, status) VALUES (2, 'sold'), (2, 'paid');
SELECT left_of_shows();

-- ---- the whole row, and the table's OID ----

SELECT booking.drop_capacity_constraint('c');
TRUNCATE cond_ticket;
CREATE FUNCTION counts_row(cond_ticket) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1.status = ''sold''';
SELECT booking.add_capacity_constraint('cond_ticket', '{show_id}', 'cond_show', 'capacity', constraint_name => 'c',
    condition => 'public.counts_row(cond_ticket) AND tableoid = ''public.cond_ticket''::regclass::oid');
INSERT INTO cond_ticket (show_id, status) VALUES (1, 'sold'), (1, 'paid');
UPDATE cond_ticket SET status = 'sold';
SELECT left_of_shows();

-- ---- a condition that writes rows of its own table ----

SELECT booking.drop_capacity_constraint('c');
TRUNCATE cond_ticket;
CREATE FUNCTION write_one(text) RETURNS boolean VOLATILE LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cond_ticket (show_id, status) VALUES (2, 'sold');
    RETURN true;
END
$$;
CREATE FUNCTION counts_writing(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    RETURN $1 || repeat('x', 2000) = 'sold' || repeat('x', 2000)
        OR $1 = 'write' AND (SELECT write_one($1)) AND $1 || repeat('y', 2000) = 'write' || repeat('y', 2000);
END
$$;
SELECT booking.add_capacity_constraint('cond_ticket', '{show_id}', 'cond_show', 'capacity', constraint_name => 'c',
    condition => 'public.counts_writing(status)');
INSERT INTO cond_ticket (show_id, status) VALUES (1, 'write'), (1, 'sold');
SELECT show_id, status FROM cond_ticket ORDER BY 1, 2;
SELECT booking.places_left('c', 1), booking.places_left('c', 2);

-- ---- partitions whose columns have other places ----

SELECT booking.drop_capacity_constraint('c');
CREATE TABLE cond_parts (id integer, show_id integer, status text) PARTITION BY RANGE (id);
CREATE TABLE cond_part_1 PARTITION OF cond_parts FOR VALUES FROM (1) TO (10);
CREATE TABLE cond_part_2 (status text, gone integer, show_id integer, id integer);
ALTER TABLE cond_part_2 DROP gone;
ALTER TABLE cond_parts ATTACH PARTITION cond_part_2 FOR VALUES FROM (10) TO (20);
SELECT booking.add_capacity_constraint('cond_parts', '{show_id}', 'cond_show', 'capacity', constraint_name => 'c',
    condition => 'status = ''sold''');
INSERT INTO cond_parts VALUES (1, 1, 'sold'), (2, 1, 'paid'), (11, 1, 'sold'), (12, 1, 'paid'), (13, 2, 'sold');
SELECT left_of_shows();
UPDATE cond_parts SET id = id + 10 WHERE id < 10;
UPDATE cond_parts SET status = 'cancelled' WHERE id = 13;
SELECT left_of_shows();

DROP TABLE cond_parts;
SELECT booking.drop_capacity_constraint('c');
DROP TABLE cond_show, cond_ticket CASCADE;
DROP FUNCTION counts_sql, counts_plpgsql, counts_inline, counts_writing, write_one, left_of_shows;
