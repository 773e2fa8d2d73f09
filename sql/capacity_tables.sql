-- Capacity constraints: what may happen to the tables, and who may do what.
--
-- Promises:
--   - Partitions that come and go, and rows that move, are counted.
--   - A table that is renamed or changed is followed, or the next write raises 55000,
--     which says what to do.
--   - Rows that were written past the triggers are found and mended.
--   - A table that is dropped leaves nothing that hurts.
--   - No other role takes or gives places of a constraint whose table is another's.  Nothing of
--     the session's search_path runs.
CALL recreate_booking();
CALL recreate_shop();
SET client_min_messages = warning;

-- ---- partitioned tables ----

DROP TABLE shop_ticket;
CREATE TABLE shop_ticket (id integer, show_id integer, status text DEFAULT 'paid', note text)
    PARTITION BY RANGE (id);
CREATE TABLE shop_ticket_1 PARTITION OF shop_ticket FOR VALUES FROM (1) TO (100);
-- a partition whose columns have other numbers
CREATE TABLE shop_ticket_2 (note text, gone integer, status text DEFAULT 'paid', show_id integer, id integer);
ALTER TABLE shop_ticket_2 DROP gone;
INSERT INTO shop_ticket_2 (id, show_id) VALUES (101, 1);
ALTER TABLE shop_ticket ATTACH PARTITION shop_ticket_2 FOR VALUES FROM (100) TO (200);
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    condition => $$status <> 'cancelled'$$, constraint_name => 'c');
SELECT n, t.*
FROM (VALUES
    (1, 'INSERT INTO shop_ticket VALUES (1, 1), (102, 2)'),
    (2, 'INSERT INTO shop_ticket VALUES (2, 1)'),
    (3, 'INSERT INTO shop_ticket_1 VALUES (2, 1)'),
    (4, 'INSERT INTO shop_ticket_2 (id, show_id) VALUES (103, 1)'),
    -- rows move between partitions, and between keys at the same time
    (5, 'UPDATE shop_ticket SET id = 111 WHERE id = 1'),
    (6, 'UPDATE shop_ticket SET id = 11, show_id = 2 WHERE id = 111'),
    (7, 'UPDATE shop_ticket SET id = 112 - id, show_id = 3 - show_id WHERE show_id IN (1, 2) AND id < 111'),
    (8, 'UPDATE shop_ticket SET id = id + 1, status = ''cancelled'' WHERE id = 101'),
    (9, 'UPDATE shop_ticket SET id = id - 50 WHERE status = ''cancelled'''),
    (10, 'UPDATE shop_ticket SET status = ''paid'''),
    (11, 'INSERT INTO shop_ticket (id, show_id) SELECT g, 1 FROM generate_series(20, 120, 50) g'),
    (12, 'INSERT INTO shop_ticket (id, show_id) SELECT g, 4 FROM generate_series(20, 120, 10) g'),
    (13, 'DELETE FROM shop_ticket WHERE show_id = 4'),
    (14, 'TRUNCATE shop_ticket')) AS s (n, statement),
    then_pools('c', statement) t
ORDER BY n;
COPY shop_ticket (id, show_id) FROM stdin;
1	1
150	1
2	2
\.
SELECT pools('c');
COPY shop_ticket (id, show_id) FROM stdin;
3	2
151	2
152	2
\.
SELECT pools('c');
-- New partitions, and those that are detached: rebuild_capacity() counts their rows.
CREATE TABLE shop_ticket_3 PARTITION OF shop_ticket FOR VALUES FROM (200) TO (300);
SELECT * FROM then_pools('c', 'INSERT INTO shop_ticket VALUES (200, 1)');
SELECT * FROM then_pools('c', 'INSERT INTO shop_ticket VALUES (200, 2)');
ALTER TABLE shop_ticket DETACH PARTITION shop_ticket_2;
SELECT pools('c');
SELECT booking.rebuild_capacity('c');
SELECT pools('c');
INSERT INTO shop_ticket_2 (id, show_id) VALUES (160, 1), (161, 1), (162, 1);
SELECT pools('c');
ALTER TABLE shop_ticket ATTACH PARTITION shop_ticket_2 FOR VALUES FROM (100) TO (200);
SELECT pools('c');
SELECT booking.rebuild_capacity('c');
SELECT pools('c');
SELECT * FROM then_pools('c', 'INSERT INTO shop_ticket VALUES (201, 1)');
DELETE FROM shop_ticket WHERE id >= 160 AND show_id = 1;
SELECT pools('c');
-- TRUNCATE and DROP of a single partition.
TRUNCATE shop_ticket_1;
SELECT pools('c');
SELECT booking.rebuild_capacity('c');
SELECT pools('c');
DROP TABLE shop_ticket_3;
SELECT booking.rebuild_capacity('c');
SELECT pools('c');
SELECT booking.drop_capacity_constraint('c');
SELECT count(*) FROM pg_trigger WHERE tgfoid::regproc::text LIKE 'booking.capacity%';
-- A capacity table with partitions.
DROP TABLE shop_ticket, shop_show;
CREATE TABLE shop_show (id integer PRIMARY KEY, capacity integer) PARTITION BY LIST (id);
CREATE TABLE shop_show_1 PARTITION OF shop_show FOR VALUES IN (1, 3);
CREATE TABLE shop_show_2 PARTITION OF shop_show FOR VALUES IN (2, 4);
INSERT INTO shop_show VALUES (1, 2), (2, 3);
CREATE TABLE shop_ticket (id integer, show_id integer REFERENCES shop_show ON UPDATE CASCADE);
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity', constraint_name => 'c');
SELECT n, t.*
FROM (VALUES
    (1, 'INSERT INTO shop_ticket VALUES (1, 1), (2, 2)'),
    (2, 'UPDATE shop_show SET capacity = capacity - 1'),
    (3, 'INSERT INTO shop_ticket VALUES (3, 1)'),
    (4, 'INSERT INTO shop_show_1 VALUES (3, 1)'),
    (5, 'INSERT INTO shop_ticket VALUES (3, 3)'),
    -- within a partition, and into another
    (6, 'UPDATE shop_show SET id = 4 WHERE id = 2'),
    (7, 'UPDATE shop_show SET id = 2 WHERE id = 1'),
    (8, 'DELETE FROM shop_ticket WHERE show_id = 3'),
    (9, 'DELETE FROM shop_show WHERE id = 3')) AS s (n, statement),
    then_pools('c', statement) t
ORDER BY n;
SELECT booking.drop_capacity_constraint('c');

-- ---- changed tables ----

CALL recreate_shop();
CREATE SCHEMA regress_capacity;
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    quantity_column => 'quantity', condition => $$status <> 'cancelled'$$, constraint_name => 'c');
INSERT INTO shop_ticket (show_id) VALUES (1), (2);
-- Each change, and what an INSERT that fits and an INSERT that does not say then.
SELECT n, f.code AS fits, u.code AS update, left(coalesce(u.message, ''), 110) AS message, e.code AS exceeds
FROM (VALUES
    (1, 'ALTER TABLE shop_ticket RENAME TO shop_t'),
    (2, 'ALTER TABLE shop_ticket SET SCHEMA regress_capacity'),
    (3, 'ALTER TABLE shop_show RENAME TO shop_s'),
    (4, 'ALTER TABLE shop_show SET SCHEMA regress_capacity'),
    (5, 'ALTER TABLE shop_ticket RENAME show_id TO show'),
    (6, 'ALTER TABLE shop_ticket RENAME quantity TO q'),
    (7, 'ALTER TABLE shop_ticket RENAME status TO state'),
    (8, 'ALTER TABLE shop_show RENAME capacity TO places'),
    (9, 'ALTER TABLE shop_show RENAME id TO show_id'),
    (10, 'ALTER TABLE shop_show RENAME capacity TO old; ALTER TABLE shop_show ADD capacity integer DEFAULT 9'),
    (13, 'ALTER TABLE shop_show DROP capacity CASCADE'),
    (14, 'ALTER TABLE shop_show DROP CONSTRAINT shop_show_pkey'),
    (15, 'ALTER TABLE shop_ticket ADD x integer, DROP note'),
    (17, 'ALTER TABLE shop_ticket DROP show_id CASCADE'))
    AS s (n, change),
    LATERAL after_change(change, $$DO 'DECLARE t text := (SELECT oid::regclass::text FROM pg_class WHERE relkind = ''r'' AND relname IN (''shop_ticket'', ''shop_t''));
        k text := (SELECT attname FROM pg_attribute WHERE attrelid = t::regclass AND attname IN (''show_id'', ''show''));
        BEGIN EXECUTE format(''INSERT INTO %s (%I) VALUES (1)'', t, coalesce(k, ''note'')); END'$$) f,
    LATERAL after_change(change, $$DO 'DECLARE t text := (SELECT oid::regclass::text FROM pg_class WHERE relkind = ''r'' AND relname IN (''shop_show'', ''shop_s''));
        k text := (SELECT attname FROM pg_attribute WHERE attrelid = t::regclass AND attname IN (''capacity'', ''places'') AND attnum > 0);
        BEGIN EXECUTE format(''UPDATE %s SET %2$I = %2$I + 1'', t, coalesce(k, ''id'')); END'$$) u,
    LATERAL after_change(change, $$DO 'DECLARE t text := (SELECT oid::regclass::text FROM pg_class WHERE relkind = ''r'' AND relname IN (''shop_ticket'', ''shop_t''));
        k text := (SELECT attname FROM pg_attribute WHERE attrelid = t::regclass AND attname IN (''show_id'', ''show''));
        BEGIN EXECUTE format(''INSERT INTO %s (%I) VALUES (1), (1)'', t, coalesce(k, ''note'')); END'$$) e
ORDER BY n;
-- PostgreSQL itself refuses these, and says why.
SELECT n, o.code, o.message, o.detail
FROM (VALUES
    (1, 'ALTER TABLE shop_ticket ALTER show_id TYPE bigint'),
    (2, 'ALTER TABLE shop_ticket ALTER quantity TYPE numeric'),
    (3, 'ALTER TABLE shop_ticket DROP status'),
    (4, 'ALTER TABLE shop_ticket DROP show_id'),
    (5, 'ALTER TABLE shop_show ALTER capacity TYPE numeric USING 2 * capacity'),
    (6, 'ALTER TABLE shop_show ALTER id TYPE bigint'),
    (7, 'ALTER TABLE shop_show DROP capacity')) AS s (n, statement), outcome(statement) o
ORDER BY n;
-- Two columns that have exchanged their names.
SELECT statement, a.code, a.message
FROM (VALUES ('UPDATE shop_show SET capacity = capacity'), ('INSERT INTO shop_show VALUES (8, 8)'),
             ('DELETE FROM shop_show')) AS s (statement),
     after_change('ALTER TABLE shop_show RENAME capacity TO x; ALTER TABLE shop_show RENAME id TO capacity;'
                  ' ALTER TABLE shop_show RENAME x TO id', statement) a;
SELECT * FROM outcome('ALTER TABLE shop_show RENAME id TO key; UPDATE shop_show SET capacity = 3') \gx
SELECT * FROM outcome('ALTER TABLE shop_ticket RENAME show_id TO show; INSERT INTO shop_ticket (show) VALUES (1)') \gx
-- Renamed tables stay in the view, and everything works with them.
ALTER TABLE shop_ticket RENAME TO shop_t;
ALTER TABLE shop_t SET SCHEMA regress_capacity;
ALTER TABLE shop_show RENAME TO shop_s;
SELECT on_table, capacity_table FROM booking.capacity_constraints;
SELECT booking.rebuild_capacity('c');
SELECT * FROM then_pools('c', 'UPDATE shop_s SET capacity = 5 WHERE id = 1');
SELECT * FROM then_pools('c', 'INSERT INTO regress_capacity.shop_t (show_id) SELECT 1 FROM generate_series(1, 5)');
SELECT * FROM then_pools('c', 'DELETE FROM shop_s WHERE id = 1');
SELECT * FROM then_pools('c', 'DELETE FROM shop_s WHERE id = 3');
ALTER TABLE regress_capacity.shop_t SET SCHEMA public;
ALTER TABLE shop_t RENAME TO shop_ticket;
ALTER TABLE shop_s RENAME TO shop_show;

-- ---- rows written past the triggers ----

SELECT n, t.*, v.problem, v.key, v.expected, v.found
FROM (VALUES
    (1, 'ALTER TABLE shop_ticket DISABLE TRIGGER ALL; INSERT INTO shop_ticket (show_id) VALUES (1);'
        ' ALTER TABLE shop_ticket ENABLE TRIGGER ALL'),
    (2, 'SELECT booking.rebuild_capacity(''c'')'),
    (3, 'SET session_replication_role = replica; DELETE FROM shop_ticket WHERE show_id = 2;'
        ' INSERT INTO shop_ticket (show_id) VALUES (77); INSERT INTO shop_show VALUES (5, 5);'
        ' SET session_replication_role = origin'),
    (4, 'SELECT booking.rebuild_capacity(''c'')'),
    (5, 'DELETE FROM shop_ticket WHERE show_id = 77'),
    (6, 'SELECT booking.rebuild_capacity(''c'')')) AS s (n, statement),
    then_pools('c', statement) t,
    LATERAL (SELECT string_agg(v.problem, '; ' ORDER BY v.key, v.problem) AS problem,
                    string_agg(v.key, '; ' ORDER BY v.key, v.problem) AS key,
                    string_agg(v.expected::text, '; ' ORDER BY v.key, v.problem) AS expected,
                    string_agg(v.found::text, '; ' ORDER BY v.key, v.problem) AS found
             FROM booking.verify_capacity(('c' || left(t.code, 0))::name) v) v
ORDER BY n;
-- Triggers that are missing or disabled are a problem by themselves.
SELECT n, a.message
FROM (VALUES
    (1, 'ALTER TABLE shop_ticket DISABLE TRIGGER ALL'),
    (2, 'ALTER TABLE shop_show DISABLE TRIGGER USER'),
    (3, 'DROP TRIGGER _booking_c_delete ON shop_ticket'),
    (4, 'DROP TRIGGER _booking_c_update ON shop_ticket'),
    (5, 'DROP TRIGGER _booking_c_insert ON shop_ticket'),
    (6, 'DROP TRIGGER _booking_c_capacity_changed ON shop_show'),
    (9, 'DROP TRIGGER _booking_c_capacity_updated ON shop_show'),
    (7, 'ALTER TABLE shop_ticket DROP status CASCADE'),
    (8, 'ALTER TABLE booking.c DISABLE TRIGGER ALL')) AS s (n, change),
    after_change(change, $$DO 'BEGIN RAISE ''%'', (SELECT string_agg(v.problem, ''; '') FROM booking.verify_capacity(''c'') v); END'$$) a
ORDER BY n;

-- ---- DROP ----

-- The table: its pool stays, and may be dropped.
BEGIN;
DROP TABLE shop_ticket;
SELECT * FROM booking.capacity_constraints;
SELECT problem FROM booking.verify_capacity();
SELECT code, message FROM outcome('UPDATE shop_show SET capacity = 1');
SELECT code, message FROM outcome('DELETE FROM shop_show WHERE id = 1');
SELECT code, message FROM outcome('DELETE FROM shop_show WHERE id = 2');
SELECT code, message FROM outcome('INSERT INTO shop_show VALUES (2, 1)');
SELECT code, message FROM outcome('TRUNCATE shop_show');
SELECT code, message FROM outcome($$SELECT booking.rebuild_capacity('c')$$);
SELECT booking.drop_capacity_constraint('c');
SELECT count(*) FROM pg_trigger WHERE tgfoid::regproc::text LIKE 'booking.capacity%';
ROLLBACK;
-- The capacity table: the capacities stay as they were.
BEGIN;
DROP TABLE shop_show;
SELECT problem FROM booking.verify_capacity();
SELECT code, message FROM outcome('INSERT INTO shop_ticket (show_id) VALUES (2)');
SELECT code, message FROM outcome('DELETE FROM shop_ticket WHERE show_id = 2');
SELECT code, message, hint FROM outcome('TRUNCATE shop_ticket');
SELECT code, message FROM outcome($$SELECT booking.rebuild_capacity('c')$$);
SELECT booking.drop_capacity_constraint('c');
INSERT INTO shop_ticket (show_id) SELECT 1 FROM generate_series(1, 9);
ROLLBACK;
-- The pool table.
BEGIN;
DROP TABLE booking.c;
SELECT code, message FROM outcome('INSERT INTO shop_ticket (show_id) VALUES (2)');
SELECT code, message FROM outcome('UPDATE shop_show SET capacity = 7');
SELECT booking.drop_capacity_constraint('c');
INSERT INTO shop_ticket (show_id) SELECT 1 FROM generate_series(1, 9);
ROLLBACK;
-- A trigger: what is left can be dropped.
BEGIN;
DROP TRIGGER _booking_c_insert ON shop_ticket;
SELECT booking.drop_capacity_constraint('c');
DELETE FROM shop_ticket;
SELECT count(*) FROM pg_trigger WHERE tgfoid::regproc::text LIKE 'booking.capacity%';
ROLLBACK;
-- The extension.
SELECT code, message FROM outcome('DROP EXTENSION pg_booking');
BEGIN;
DROP EXTENSION pg_booking CASCADE;
INSERT INTO shop_ticket (show_id) SELECT 1 FROM generate_series(1, 9);
UPDATE shop_show SET capacity = 0;
ROLLBACK;

-- ---- who may do what ----

SELECT booking.drop_capacity_constraint('c');
CALL recreate_shop();
CREATE ROLE regress_cap_owner;
CREATE ROLE regress_cap_writer;
CREATE ROLE regress_cap_outsider;
CREATE ROLE regress_cap_promoter;
GRANT USAGE, CREATE ON SCHEMA public TO regress_cap_owner, regress_cap_outsider, regress_cap_promoter;
ALTER TABLE shop_ticket OWNER TO regress_cap_owner;
ALTER TABLE shop_ticket ADD expires timestamptz;
ALTER TABLE shop_show OWNER TO regress_cap_promoter;
GRANT INSERT ON shop_ticket TO regress_cap_writer;
-- adding needs ownership, TRIGGER and SELECT on the capacity table, CREATE and EXECUTE
CREATE FUNCTION add_as(role text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    SELECT code || ' ' || message INTO result FROM outcome($s$SELECT booking.add_capacity_constraint(
        'public.shop_ticket', '{show_id}', 'public.shop_show', 'capacity', expires_at => 'expires',
        on_expiry => 'DELETE', constraint_name => 'c')$s$);
    RESET ROLE;
    RETURN result;
END
$$;
SELECT add_as('regress_cap_owner');
GRANT USAGE ON SCHEMA booking TO PUBLIC;
SELECT add_as('regress_cap_owner');
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA booking TO PUBLIC;
SELECT add_as('regress_cap_outsider');
SELECT add_as('regress_cap_owner');
GRANT CREATE ON SCHEMA booking TO regress_cap_owner, regress_cap_outsider;
SELECT add_as('regress_cap_owner');
GRANT TRIGGER ON shop_show TO regress_cap_owner;
SELECT add_as('regress_cap_owner');
GRANT SELECT ON shop_show TO regress_cap_owner;
SELECT add_as('regress_cap_outsider');
SELECT add_as('regress_cap_owner');
REVOKE ALL ON SCHEMA booking FROM PUBLIC, regress_cap_owner, regress_cap_outsider;
GRANT USAGE ON SCHEMA booking TO regress_cap_owner;
SELECT pools('c'), pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'booking.c'::regclass;

-- The writer may insert, and needs no right on anything else.
SET ROLE regress_cap_writer;
INSERT INTO shop_ticket (show_id) VALUES (1), (1);
SELECT code, message FROM diagnosed('INSERT INTO shop_ticket (show_id) VALUES (1)');
INSERT INTO shop_ticket (show_id, expires) VALUES (2, '2020-01-01'), (2, '2020-01-01'), (2, NULL);
INSERT INTO shop_ticket (show_id) VALUES (2);
SELECT code, message FROM diagnosed('SELECT * FROM booking.c');
SELECT code, message FROM diagnosed('DELETE FROM shop_ticket');
RESET ROLE;
SELECT pools('c');
SET ROLE regress_cap_promoter;
UPDATE shop_show SET capacity = 3 WHERE id = 1;
INSERT INTO shop_show VALUES (5, 1);
DELETE FROM shop_show WHERE id = 5;
SELECT code, detail FROM diagnosed('DELETE FROM shop_show WHERE id = 1');
SELECT code, detail FROM diagnosed('UPDATE shop_show SET capacity = 1 WHERE id = 1');
RESET ROLE;
SELECT pools('c');

-- A stranger attaches our trigger functions to a table of his own.
GRANT USAGE ON SCHEMA booking TO PUBLIC;
SET ROLE regress_cap_outsider;
CREATE TABLE mine (id integer, show_id integer, capacity integer, expires timestamptz);
INSERT INTO mine VALUES (1, 1, 1000, NULL), (2, 3, 1000, NULL);
CREATE FUNCTION stolen(integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RAISE EXCEPTION 'the stranger''s function runs as %', current_user;
END
$$;
CREATE TRIGGER _booking_c_delete AFTER DELETE ON mine FOR EACH ROW WHEN (stolen(old.id))
    EXECUTE FUNCTION booking.capacity_count('c', '', '', 'show_id');
DROP TRIGGER _booking_c_delete ON mine;
CREATE TRIGGER t AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION booking.capacity_count('c', '', '', 'show_id');
CREATE TRIGGER g AFTER DELETE ON mine FOR EACH ROW EXECUTE FUNCTION booking.capacity_count('c', '', '', 'show_id');
CREATE TRIGGER c AFTER UPDATE ON mine FOR EACH ROW EXECUTE FUNCTION booking.capacity_changed('c', 'capacity', '', 'show_id');
CREATE TRIGGER r AFTER TRUNCATE ON mine EXECUTE FUNCTION booking.capacity_truncated('c', '', '', 'show_id');
SELECT n, d.code, d.message
FROM (VALUES (1, 'INSERT INTO mine VALUES (3, 1)'), (2, 'DELETE FROM mine WHERE id = 1'),
             (3, 'UPDATE mine SET capacity = 2000'), (4, 'TRUNCATE mine'),
             (5, 'SELECT booking.refill_capacity(''c'')'),
             (10, 'SELECT booking.rebuild_capacity(''c'')'), (11, 'SELECT booking.drop_capacity_constraint(''c'')'),
             (6, 'SELECT * FROM booking.capacity_taken(''c'') AS t (k integer, n bigint)'),
             (7, 'INSERT INTO booking.c VALUES (1, 0, 5, 5)'),
             (8, 'CREATE TRIGGER x AFTER INSERT ON booking.c EXECUTE FUNCTION booking.capacity_settle()'),
             (9, 'CREATE TRIGGER x AFTER INSERT ON shop_ticket FOR EACH ROW EXECUTE FUNCTION booking.capacity_count()')) AS s (n, statement), diagnosed(statement) d
ORDER BY n;
-- Its triggers are not taken for those of the constraint.
SELECT on_table, capacity_table FROM booking.capacity_constraints;
RESET ROLE;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA booking TO regress_cap_owner;
SET ROLE regress_cap_owner;
SELECT booking.rebuild_capacity('c');
SELECT code, message FROM diagnosed('SELECT * FROM booking.verify_capacity(''c'')');
RESET ROLE;
SELECT pools('c');
-- A table with the former name of the capacity table, if that was renamed.
ALTER TABLE shop_show RENAME TO shop_s;
SET ROLE regress_cap_outsider;
SELECT code, message FROM diagnosed('CREATE TABLE shop_show (id integer PRIMARY KEY, capacity integer);'
    ' CREATE TRIGGER c AFTER INSERT ON shop_show FOR EACH ROW EXECUTE FUNCTION booking.capacity_changed(''c'', ''capacity'', '''', ''id'');'
    ' INSERT INTO shop_show VALUES (1, 1000)');
RESET ROLE;
SELECT booking.places_left('c', 1);
DROP TABLE IF EXISTS shop_show;
ALTER TABLE shop_s RENAME TO shop_show;

-- A superuser who rebuilds or verifies does not run the owner's functions as himself.
SET ROLE regress_cap_owner;
SELECT booking.drop_capacity_constraint('c');
CREATE FUNCTION spy(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RAISE NOTICE 'condition runs as %', current_user;
    RETURN true;
END
$$;
RESET ROLE;
GRANT CREATE ON SCHEMA booking TO regress_cap_owner;
SET ROLE regress_cap_owner;
DELETE FROM shop_ticket;
INSERT INTO shop_ticket (show_id) VALUES (1);
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    condition => 'public.spy(status)', constraint_name => 'c');
RESET ROLE;
SET client_min_messages = notice;
SELECT booking.rebuild_capacity('c');
SELECT * FROM booking.verify_capacity('c');
TRUNCATE shop_ticket;
SET client_min_messages = warning;
-- The owner's constraint goes; what is left on the other's table does no harm, and
-- the constraint can be added again.
SET ROLE regress_cap_owner;
SELECT booking.drop_capacity_constraint('c');
RESET ROLE;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'shop_show'::regclass AND NOT tgisinternal ORDER BY tgname;
SET ROLE regress_cap_promoter;
UPDATE shop_show SET capacity = 4 WHERE id = 1;
INSERT INTO shop_show VALUES (5, 1);
DELETE FROM shop_show WHERE id = 5;
RESET ROLE;
SET ROLE regress_cap_owner;
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity', constraint_name => 'c');
RESET ROLE;
SELECT * FROM then_pools('c', 'UPDATE shop_show SET capacity = 5 WHERE id = 1');

-- Row-level security does not hide rows from the count.
ALTER TABLE shop_ticket ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop_ticket FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON shop_ticket FOR INSERT WITH CHECK (true);
SET ROLE regress_cap_writer;
INSERT INTO shop_ticket (show_id) VALUES (1), (2);
RESET ROLE;
SET ROLE regress_cap_owner;
SELECT count(*) FROM shop_ticket;
SELECT booking.rebuild_capacity('c');
RESET ROLE;
SELECT pools('c');
ALTER TABLE shop_ticket DISABLE ROW LEVEL SECURITY;

-- Operators and functions of the session's search_path never run.
CREATE SCHEMA regress_hostile;
CREATE FUNCTION regress_hostile.trap(integer, integer) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'trapped as %', current_user; END $$;
CREATE FUNCTION regress_hostile.trap(text, text) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'trapped as %', current_user; END $$;
CREATE FUNCTION regress_hostile.trap(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'trapped as %', current_user; END $$;
CREATE OPERATOR regress_hostile.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = regress_hostile.trap);
CREATE OPERATOR regress_hostile.> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = regress_hostile.trap);
CREATE OPERATOR regress_hostile.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = regress_hostile.trap);
CREATE OPERATOR regress_hostile.<= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = regress_hostile.trap);
CREATE FUNCTION regress_hostile.sum_step(bigint, bigint) RETURNS bigint LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'trapped as %', current_user; END $$;
CREATE AGGREGATE regress_hostile.sum(bigint) (SFUNC = regress_hostile.sum_step, STYPE = bigint, INITCOND = 0);
GRANT USAGE ON SCHEMA regress_hostile TO PUBLIC;
SELECT booking.drop_capacity_constraint('c');
TRUNCATE shop_ticket;
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    quantity_column => 'quantity', condition => $$status <> 'cancelled'$$, expires_at => 'expires',
    on_expiry => $$status = 'cancelled'$$, constraint_name => 'c');
CREATE FUNCTION as_role(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    SET LOCAL search_path = regress_hostile, pg_catalog, public;
    BEGIN
        EXECUTE statement;
        result := 'ok';
    EXCEPTION WHEN OTHERS THEN
        result := SQLSTATE || ' ' || SQLERRM;
    END;
    RESET search_path;
    RESET ROLE;
    RETURN result;
END
$$;
SELECT n, as_role(role, statement)
FROM (VALUES
    (1, 'regress_cap_writer', 'INSERT INTO public.shop_ticket (show_id, expires) VALUES (2, ''2020-01-01''), (2, ''2020-01-01'')'),
    (2, 'regress_cap_writer', 'INSERT INTO public.shop_ticket (show_id, quantity) VALUES (2, 3)'),
    (3, 'regress_cap_writer', 'INSERT INTO public.shop_ticket (show_id) VALUES (2)'),
    (4, 'regress_cap_owner', 'UPDATE public.shop_ticket SET quantity = 2, expires = ''2020-01-01'''),
    (5, 'regress_cap_owner', 'INSERT INTO public.shop_ticket (show_id, quantity) VALUES (2, 3)'),
    (6, 'regress_cap_owner', 'SELECT booking.rebuild_capacity(''c'')'),
    (7, 'regress_cap_owner', 'SELECT booking.expire_rows(''c'')'),
    (8, current_user::text, 'SELECT booking.rebuild_capacity(''c'')'),
    (9, current_user::text, 'SELECT booking.verify_capacity(''c'')'),
    (10, 'regress_cap_promoter', 'UPDATE public.shop_show SET capacity = 9'),
    (11, 'regress_cap_owner', 'TRUNCATE public.shop_ticket'),
    (12, 'regress_cap_owner', 'SELECT booking.places_left(''c'', 2)')) AS s (n, role, statement)
ORDER BY n;
SELECT pools('c');

SELECT booking.drop_capacity_constraint('c');
DROP SCHEMA regress_hostile CASCADE;
DROP SCHEMA regress_capacity;
DROP FUNCTION as_role, add_as;
DROP FUNCTION spy CASCADE;
DROP TABLE mine;
DROP FUNCTION stolen;
CALL recreate_shop();
REVOKE ALL ON SCHEMA public FROM regress_cap_owner, regress_cap_outsider, regress_cap_promoter;
CALL recreate_booking();
DROP ROLE regress_cap_owner, regress_cap_writer, regress_cap_outsider, regress_cap_promoter;

-- ---- a column has the name of another one ----

CREATE TABLE cap_renamed (id integer, k integer, other integer, q integer DEFAULT 1, q2 integer DEFAULT 0);
SELECT booking.add_capacity_constraint('cap_renamed', '{k}', capacity => 2, quantity_column => 'q',
    constraint_name => 'renamed');
INSERT INTO cap_renamed VALUES (1, 1);
SELECT n, o.code, o.message
FROM (VALUES (1, 'ALTER TABLE cap_renamed RENAME k TO old_k; ALTER TABLE cap_renamed ADD k integer'),
             (2, 'ALTER TABLE cap_renamed RENAME k TO x; ALTER TABLE cap_renamed RENAME other TO k;'
                 ' ALTER TABLE cap_renamed RENAME x TO other'),
             (3, 'ALTER TABLE cap_renamed RENAME q TO x; ALTER TABLE cap_renamed RENAME q2 TO q'),
             (4, 'ALTER TABLE cap_renamed RENAME other TO another'),
             (5, 'ALTER TABLE cap_renamed RENAME q TO x; ALTER TABLE cap_renamed RENAME k TO q;'
                 ' ALTER TABLE cap_renamed RENAME x TO k')) AS s (n, change),
     after_change(change, 'INSERT INTO cap_renamed (id) VALUES (2)') o
ORDER BY n;
-- A column that was dropped with its trigger, and added again.
BEGIN;
ALTER TABLE cap_renamed DROP k CASCADE, ADD k integer;
SELECT code, message FROM diagnosed('INSERT INTO cap_renamed (id, k) VALUES (20, 1)');
ROLLBACK;

-- ---- names of triggers ----

-- The capacity table of one constraint is the table of another, whose name ends alike.
CREATE TABLE cap_venue (id integer PRIMARY KEY, seats integer);
CREATE TABLE cap_played (id integer PRIMARY KEY, venue_id integer, capacity integer);
CREATE TABLE cap_seat (show_id integer);
INSERT INTO cap_venue VALUES (1, 1);
SELECT booking.add_capacity_constraint('cap_played', '{venue_id}', 'cap_venue', 'seats');
SELECT booking.add_capacity_constraint('cap_seat', '{show_id}', 'cap_played', 'capacity',
    constraint_name => 'cap_played_venue_id');
INSERT INTO cap_played VALUES (1, 1, 5), (2, NULL, 5);
SELECT code, message FROM diagnosed('UPDATE cap_played SET venue_id = 1');
SELECT * FROM booking.verify_capacity('cap_played_venue_id_capacity');
SELECT * FROM booking.verify_capacity('cap_played_venue_id');
DROP TABLE cap_venue, cap_played, cap_seat CASCADE;
SELECT booking.drop_capacity_constraint(c) FROM unnest(ARRAY['cap_played_venue_id_capacity', 'cap_played_venue_id']) c;

-- ---- keys of another length or precision ----

CREATE TABLE cap_long (a numeric(10,4), b varchar(10), c char(5), capacity integer, UNIQUE (a, b, c));
CREATE TABLE cap_short (a numeric(5,1), b varchar(3), c char(3));
INSERT INTO cap_long VALUES (1.04, 'long name', 'x', 2), (1, 'abc', 'x', 1);
SELECT booking.add_capacity_constraint('cap_short', '{a,b,c}', 'cap_long', 'capacity', '{a,b,c}',
    constraint_name => 'short');
INSERT INTO cap_long VALUES (1.03, 'another', 'x', 2);
SELECT * FROM booking.verify_capacity('short');
INSERT INTO cap_short VALUES (1.01, 'abc', 'x');
SELECT code, message FROM diagnosed($$INSERT INTO cap_short VALUES (1, 'abc', 'x')$$);
TRUNCATE cap_short;
SELECT booking.rebuild_capacity('short');
SELECT * FROM booking.verify_capacity('short');
DROP TABLE cap_long, cap_short CASCADE;
SELECT booking.drop_capacity_constraint('short');

-- ---- a trigger that is disabled in one partition ----

CREATE TABLE cap_parted (k integer) PARTITION BY LIST (k);
CREATE TABLE cap_parted_1 PARTITION OF cap_parted FOR VALUES IN (1);
SELECT booking.add_capacity_constraint('cap_parted', '{k}', capacity => 1, constraint_name => 'parted');
ALTER TABLE cap_parted_1 DISABLE TRIGGER _booking_parted_insert;
SELECT problem FROM booking.verify_capacity('parted');
DROP TABLE cap_parted;
SELECT booking.drop_capacity_constraint('parted');

-- ---- counted while a statement is using the table ----
CREATE FUNCTION count_again() RETURNS void LANGUAGE sql AS $$ SELECT booking.rebuild_capacity('renamed') $$;
WITH gone AS (DELETE FROM cap_renamed RETURNING id) SELECT count_again() FROM gone;
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION add_again() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM booking.add_capacity_constraint('public.cap_renamed', '{id}', capacity => 1, constraint_name => 'again');
    RETURN 7;
END
$$;
INSERT INTO cap_renamed (id) SELECT id FROM (SELECT add_again() AS id OFFSET 0) a, generate_series(1, 3);
\echo :LAST_ERROR_SQLSTATE
SELECT count_again();
SELECT * FROM booking.verify_capacity();
DROP TABLE cap_renamed;
DROP FUNCTION count_again, add_again;
SELECT booking.drop_capacity_constraint('renamed');
