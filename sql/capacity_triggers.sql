-- Capacity constraints beside triggers, functions and foreign keys of the user's.
--
-- Promises:
--   - What they do while a statement is checked is counted exactly, also when it is rolled back.
--   - None of it crashes the server, hangs, or leaves memory behind.
CALL recreate_booking();
CREATE TABLE cap_show (id integer PRIMARY KEY, capacity bigint);
CREATE TABLE cap_ticket (id integer, show_id integer, status text DEFAULT 'live', expires_at timestamptz);
CREATE FUNCTION add_c(more text DEFAULT '') RETURNS name LANGUAGE plpgsql AS $$
DECLARE
    name name;
BEGIN
    EXECUTE 'SELECT booking.add_capacity_constraint(''cap_ticket'', ''{show_id}'', ''cap_show'', ''capacity'','
        ' constraint_name => ''c''' || more || ')' INTO name;
    RETURN name;
END
$$;

-- ---- another trigger on the pool table ----

SELECT add_c();
INSERT INTO cap_show VALUES (1, 2);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER other AFTER INSERT ON booking.c FOR EACH STATEMENT
    WHEN (pg_trigger_depth() < 9) EXECUTE FUNCTION nothing();
INSERT INTO cap_ticket (show_id) VALUES (1);
DROP TRIGGER other ON booking.c;
INSERT INTO cap_ticket (show_id) VALUES (1);

-- ---- refusals in one transaction leave no memory behind ----

BEGIN;
DO $$
BEGIN
    FOR i IN 1 .. 5000 LOOP
        BEGIN
            INSERT INTO cap_ticket (show_id) VALUES (1), (1), (1);
        EXCEPTION WHEN check_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;
SELECT coalesce(sum(total_bytes), 0) < 100000 AS little
FROM pg_backend_memory_contexts WHERE name LIKE 'pg_booking%';
COMMIT;

-- ---- savepoints, while the trigger of the pool table is disabled ----

ALTER TABLE booking.c DISABLE TRIGGER ALL;
BEGIN;
SAVEPOINT a;
INSERT INTO cap_ticket (show_id) VALUES (1), (1), (1);
RELEASE a;
SAVEPOINT b;
SELECT 1 / 0;
ROLLBACK TO b;
COMMIT;
ALTER TABLE booking.c ENABLE TRIGGER ALL;
SELECT count(*) FROM cap_ticket;
SELECT booking.drop_capacity_constraint('c');
TRUNCATE cap_ticket, cap_show;

-- ---- a row that a trigger ends before it was counted, under a key without a limit ----

SELECT add_c(', condition => ''status <> ''''twice''''''');
INSERT INTO cap_show VALUES (1, NULL);
CREATE FUNCTION end_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cap_ticket SET status = 'twice' WHERE id = new.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER "A" AFTER INSERT ON cap_ticket FOR EACH ROW EXECUTE FUNCTION end_it();
INSERT INTO cap_ticket VALUES (1, 1);
SELECT status FROM cap_ticket;
SELECT * FROM booking.verify_capacity('c');
DROP TRIGGER "A" ON cap_ticket;
SELECT booking.drop_capacity_constraint('c');
TRUNCATE cap_ticket, cap_show;

-- ---- triggers that fire while expired rows are ended ----

-- One deletes another row of the key, and that is rolled back.
SELECT add_c(', condition => ''status = ''''live'''''', expires_at => ''expires_at'', on_expiry => $x$status = ''gone''$x$');
INSERT INTO cap_show VALUES (1, 3);
INSERT INTO cap_ticket VALUES (1, 1, 'live', '2020-01-01'), (2, 1, 'live', NULL), (3, 1, 'live', NULL);
CREATE FUNCTION delete_and_undo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        DELETE FROM public.cap_ticket WHERE id = 2;
        RAISE EXCEPTION 'undone';
    EXCEPTION WHEN raise_exception THEN
        NULL;
    END;
    RETURN NULL;
END
$$;
CREATE TRIGGER b AFTER UPDATE ON cap_ticket FOR EACH ROW WHEN (new.status = 'gone') EXECUTE FUNCTION delete_and_undo();
INSERT INTO cap_ticket VALUES (4, 1);
INSERT INTO cap_ticket VALUES (5, 1);
SELECT id, status FROM cap_ticket ORDER BY id;
SELECT * FROM booking.verify_capacity('c');

-- Another one deletes it for good: its place comes back, too.
CREATE OR REPLACE FUNCTION delete_and_undo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM public.cap_ticket WHERE id = 2;
    RETURN NULL;
END
$$;
UPDATE cap_ticket SET expires_at = '2020-01-01' WHERE id = 3;
INSERT INTO cap_ticket VALUES (6, 1);
INSERT INTO cap_ticket VALUES (7, 1);
INSERT INTO cap_ticket VALUES (8, 1);
SELECT id, status FROM cap_ticket ORDER BY id;
SELECT * FROM booking.verify_capacity('c');
SELECT booking.drop_capacity_constraint('c');
DROP TRIGGER b ON cap_ticket;
TRUNCATE cap_ticket, cap_show;

-- A third one keeps a row from being deleted: an error, and nothing is done.
SELECT add_c(', expires_at => ''expires_at'', on_expiry => ''DELETE''');
INSERT INTO cap_show VALUES (1, 2);
INSERT INTO cap_ticket VALUES (1, 1, 'live', '2020-01-01'), (2, 1, 'live', '2020-01-01');
CREATE FUNCTION keep_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN old.id = 1 THEN NULL ELSE old END;
END
$$;
CREATE TRIGGER k BEFORE DELETE ON cap_ticket FOR EACH ROW EXECUTE FUNCTION keep_first();
SET statement_timeout = '20s';
INSERT INTO cap_ticket VALUES (3, 1), (4, 1);
RESET statement_timeout;
INSERT INTO cap_ticket VALUES (3, 1);
SELECT id FROM cap_ticket ORDER BY id;
SELECT * FROM booking.verify_capacity('c');
DROP TRIGGER k ON cap_ticket;
SELECT booking.drop_capacity_constraint('c');
TRUNCATE cap_ticket, cap_show;

-- A fourth one takes each place at once that comes back.
CREATE TABLE cap_loop (id serial, k integer, expires_at timestamptz);
SELECT booking.add_capacity_constraint('cap_loop', '{k}', capacity => 1, expires_at => 'expires_at',
    on_expiry => 'DELETE', constraint_name => 'l');
CREATE FUNCTION take_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.cap_loop (k) VALUES (old.k);
    RETURN NULL;
EXCEPTION WHEN check_violation THEN
    RETURN NULL;
END
$$;
CREATE TRIGGER t AFTER DELETE ON cap_loop FOR EACH ROW EXECUTE FUNCTION take_it();
SET statement_timeout = '60s';
INSERT INTO cap_loop (k, expires_at) VALUES (2, '2020-01-01'), (2, '2020-01-01');
RESET statement_timeout;
SELECT booking.drop_capacity_constraint('l');
DROP TABLE cap_loop;

-- ---- foreign keys ----

-- One on other columns doesn't decide about the rows of a capacity that goes.
ALTER TABLE cap_ticket ADD upsell_id integer REFERENCES cap_show;
SELECT add_c();
INSERT INTO cap_show VALUES (1, 1);
INSERT INTO cap_ticket (show_id) VALUES (1);
DELETE FROM cap_show WHERE id = 1;
ALTER TABLE cap_ticket DROP upsell_id;

-- One on the key does, also if it is deferred and the table has another name by now.
ALTER TABLE cap_ticket ADD FOREIGN KEY (show_id) REFERENCES cap_show DEFERRABLE INITIALLY DEFERRED;
BEGIN;
DELETE FROM cap_show;
INSERT INTO cap_show VALUES (1, 1);
COMMIT;
ALTER TABLE cap_ticket RENAME TO cap_renamed;
BEGIN;
DELETE FROM cap_show;
INSERT INTO cap_show VALUES (1, 10);
COMMIT;
ALTER TABLE cap_renamed RENAME TO cap_ticket;
SELECT booking.places_left('c', 1);

-- A disabled one doesn't.
BEGIN;
ALTER TABLE cap_show DISABLE TRIGGER ALL;
ALTER TABLE cap_show ENABLE TRIGGER _booking_c_capacity_changed;
DELETE FROM cap_show;
ROLLBACK;

-- TRUNCATE of the rows after their capacity has gone.
BEGIN;
DELETE FROM cap_show;
TRUNCATE cap_ticket;
INSERT INTO cap_show VALUES (1, 10);
COMMIT;
SELECT booking.places_left('c', 1);
SELECT * FROM booking.verify_capacity('c');

-- ---- a capacity out of range that was loaded without triggers ----

SET session_replication_role = replica;
INSERT INTO cap_show VALUES (2, -1), (3, 3000000000);
RESET session_replication_role;
SELECT booking.rebuild_capacity('c');
SELECT key, problem FROM booking.verify_capacity('c') ORDER BY 1, 2;
INSERT INTO cap_ticket (show_id) VALUES (2);
UPDATE cap_show SET capacity = 5 WHERE id = 2;
INSERT INTO cap_ticket (show_id) VALUES (2);
DELETE FROM cap_show WHERE id = 3;
SELECT * FROM booking.verify_capacity('c');
SELECT booking.drop_capacity_constraint('c');

-- ---- a column that was renamed ----

SELECT add_c();
ALTER TABLE cap_ticket RENAME show_id TO renamed;
SELECT problem FROM booking.verify_capacity();
SELECT code, message, hint FROM diagnosed('SELECT booking.rebuild_capacity(''c'')') \gx
ALTER TABLE cap_ticket RENAME renamed TO show_id;
ALTER TABLE cap_show RENAME capacity TO "the Size";
SELECT problem FROM booking.verify_capacity('c');
ALTER TABLE cap_show RENAME "the Size" TO capacity;
SELECT problem FROM booking.verify_capacity('c');
SELECT booking.drop_capacity_constraint('c');

-- ---- the constrained table is gone ----

SELECT add_c(', expires_at => ''expires_at'', on_expiry => ''DELETE''');
BEGIN;
DROP TABLE cap_ticket;
SAVEPOINT s;
SELECT booking.places_left('c', 1);
ROLLBACK TO s;
UPDATE cap_show SET capacity = 0;
ROLLBACK;
SELECT booking.drop_capacity_constraint('c');

-- ---- many new keys of a constant capacity in one statement ----

CREATE TABLE cap_address (user_id integer);
SELECT booking.add_capacity_constraint('cap_address', '{user_id}', capacity => 2, constraint_name => 'a');
BEGIN;
INSERT INTO cap_address SELECT g FROM generate_series(1, 15000) g, generate_series(1, 2);
SELECT count(*) < 1000 AS few_locks FROM pg_locks;
COMMIT;
INSERT INTO cap_address VALUES (15000);
INSERT INTO cap_address VALUES (15001);
SELECT * FROM booking.verify_capacity('a');
SELECT booking.drop_capacity_constraint('a');
-- The same under a name that must be quoted.
SELECT booking.add_capacity_constraint('cap_address', '{user_id}', capacity => 3, constraint_name => 'A b');
INSERT INTO cap_address VALUES (15000), (15002);
SELECT booking.places_left('A b', 15000), booking.places_left('A b', 15002);
SELECT booking.drop_capacity_constraint('A b');

-- A trigger removes the first row of a new key before it was counted.
SELECT booking.add_capacity_constraint('cap_address', '{user_id}', capacity => 1, allow_excess => true,
    constraint_name => 'a');
CREATE FUNCTION remove_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM cap_address WHERE user_id = new.user_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER r AFTER INSERT ON cap_address FOR EACH ROW WHEN (new.user_id = -1) EXECUTE FUNCTION remove_it();
INSERT INTO cap_address VALUES (-1);
SELECT booking.places_left('a', -1);
DROP TRIGGER r ON cap_address;
-- The same, but undone.
CREATE FUNCTION remove_and_undo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM cap_address WHERE user_id = new.user_id;
    RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
    RETURN NULL;
END
$$;
CREATE TRIGGER r AFTER INSERT ON cap_address FOR EACH ROW WHEN (new.user_id = -2) EXECUTE FUNCTION remove_and_undo();
INSERT INTO cap_address VALUES (-2);
INSERT INTO cap_address VALUES (-2);
SELECT key, problem FROM booking.verify_capacity('a') WHERE key = '-2';
DROP TRIGGER r ON cap_address;
DROP FUNCTION remove_and_undo;
INSERT INTO cap_address VALUES (-1);
INSERT INTO cap_address VALUES (-1);
SELECT key, problem FROM booking.verify_capacity('a') WHERE key = '-1';
SELECT booking.drop_capacity_constraint('a');

-- ---- triggers of the capacity table that write the row again ----

SELECT add_c();
CREATE FUNCTION write_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.capacity = 90 THEN
        DELETE FROM cap_show WHERE id = new.id;
    ELSIF new.capacity = 91 THEN
        UPDATE cap_show SET id = 92, capacity = 2 WHERE id = new.id;
    ELSIF new.capacity = 4 AND pg_trigger_depth() < 2 THEN
        UPDATE cap_show SET capacity = 4 WHERE id = new.id;
    ELSIF new.capacity > 5 THEN
        UPDATE cap_show SET capacity = 5 WHERE id = new.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER "A" AFTER INSERT OR UPDATE ON cap_show FOR EACH ROW EXECUTE FUNCTION write_again();
SELECT n, t.code, t.detail
FROM (VALUES
    (1, 'INSERT INTO cap_show VALUES (90, 90)'),
    (2, 'INSERT INTO cap_ticket (show_id) VALUES (90)'),
    (3, 'INSERT INTO cap_show VALUES (91, 91)'),
    (4, 'INSERT INTO cap_ticket (show_id) VALUES (91)'),
    (5, 'INSERT INTO cap_ticket (show_id) VALUES (92), (92)'),
    (6, 'INSERT INTO cap_ticket (show_id) VALUES (92)'),
    (7, 'INSERT INTO cap_show VALUES (93, 9)'),
    (8, 'UPDATE cap_show SET capacity = 7 WHERE id = 92'),
    (9, 'INSERT INTO cap_show VALUES (94, 4)'),
    (10, 'UPDATE cap_show SET capacity = 4 WHERE id = 92')) AS s (n, statement), diagnosed(statement) t
ORDER BY n;
SELECT id, capacity, booking.places_left('c', id) FROM cap_show WHERE id >= 90 ORDER BY id;
SELECT * FROM booking.verify_capacity('c');
DROP TRIGGER "A" ON cap_show;
SELECT booking.drop_capacity_constraint('c');

-- ---- columns that are generated, but not stored (PostgreSQL 18) ----

DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 180000 THEN
        EXECUTE 'CREATE TABLE cap_virtual (a integer, k integer GENERATED ALWAYS AS (a + 1) VIRTUAL)';
        PERFORM booking.add_capacity_constraint('cap_virtual', '{k}', capacity => 2);
    ELSE
        RAISE feature_not_supported USING MESSAGE = 'column "k" of table public.cap_virtual is generated, but not stored';
    END IF;
EXCEPTION WHEN feature_not_supported THEN
    RAISE NOTICE '%', sqlerrm;
END
$$;
-- A key of a composite type.
CREATE TABLE cap_row (k cap_show);
SELECT code, message, detail
FROM diagnosed('SELECT booking.add_capacity_constraint(''cap_row'', ''{k}'', capacity => 2)') \gx
DROP TABLE cap_row;
-- A stored one is an ordinary column.
CREATE TABLE cap_stored (a integer, k integer GENERATED ALWAYS AS (a / 10) STORED);
SELECT booking.add_capacity_constraint('cap_stored', '{k}', capacity => 2, constraint_name => 's');
INSERT INTO cap_stored VALUES (10), (11), (20);
INSERT INTO cap_stored VALUES (12);
UPDATE cap_stored SET a = 22 WHERE a = 11;
INSERT INTO cap_stored VALUES (12);
SELECT * FROM booking.verify_capacity('s');
SELECT booking.drop_capacity_constraint('s');

-- ---- quantities near the end of their type, loaded without triggers ----

CREATE TABLE cap_weight (k integer, weight bigint);
SELECT booking.add_capacity_constraint('cap_weight', '{k}', capacity => 9, quantity_column => 'weight',
    constraint_name => 'w');
SET session_replication_role = replica;
INSERT INTO cap_weight VALUES (1, 2), (2, 9223372036854775807), (2, 9223372036854775807);
RESET session_replication_role;
SELECT key, problem, expected FROM booking.verify_capacity('w') ORDER BY 1, 2;
SELECT code, message FROM diagnosed('SELECT booking.rebuild_capacity(''w'')');
DELETE FROM cap_weight WHERE k = 2;
SELECT booking.rebuild_capacity('w');
SELECT * FROM booking.verify_capacity('w');
SELECT booking.drop_capacity_constraint('w');

-- ---- a row goes within the statement that makes its capacity ----

SELECT booking.add_capacity_constraint('cap_ticket', '{show_id}', 'cap_show', 'capacity', constraint_name => 'c');
CREATE FUNCTION remove_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.show_id = 96 THEN
        BEGIN
            DELETE FROM cap_ticket WHERE id = new.id;
            RAISE division_by_zero;
        EXCEPTION WHEN division_by_zero THEN
        END;
    END IF;
    IF new.show_id < 97 THEN
        DELETE FROM cap_ticket WHERE id = new.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER r AFTER INSERT ON cap_ticket FOR EACH ROW EXECUTE FUNCTION remove_ticket();
WITH s AS (INSERT INTO cap_show VALUES (95, 1), (96, 2), (97, 3) RETURNING id)
INSERT INTO cap_ticket (id, show_id) SELECT id, id FROM s;
SELECT id, booking.places_left('c', id) FROM cap_show WHERE id >= 95 ORDER BY id;
SELECT * FROM booking.verify_capacity('c');
DROP TRIGGER r ON cap_ticket;
SELECT booking.drop_capacity_constraint('c');

DROP TABLE cap_address, cap_ticket, cap_show, cap_stored, cap_weight;
DROP FUNCTION add_c, nothing, end_it, delete_and_undo, keep_first, take_it, remove_it, write_again, remove_ticket;
