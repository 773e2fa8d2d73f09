-- Capacity constraints and every way to write a row.
--
-- Promises:
--   - Whatever SQL writes rows of either table, no key ever exceeds its capacity, and
--     verify_capacity() finds nothing wrong.
--   - A statement is judged as a whole: what its rows give comes before what they take.
--   - Foreign keys between the two tables do what they do without a constraint.
CALL recreate_booking();
CALL recreate_shop();
DELETE FROM shop_show WHERE id > 2;
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    quantity_column => 'quantity', condition => $$status <> 'cancelled'$$, constraint_name => 'c');

-- ---- rows that come in ----

SELECT n, t.*
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (show_id) VALUES (1), (2), (1), (2)'),
    (2, 'INSERT INTO shop_ticket (show_id) VALUES (2), (1)'),
    (3, 'INSERT INTO shop_ticket (show_id) SELECT 2 FROM generate_series(1, 2)'),
    (4, 'INSERT INTO shop_ticket (show_id) SELECT 2'),
    (5, 'INSERT INTO shop_ticket (show_id) SELECT 2'),
    -- ON CONFLICT: ids 1 to 4 and 9 are there
    (11, 'INSERT INTO shop_ticket (id, show_id) VALUES (1, 1) ON CONFLICT DO NOTHING'),
    (12, 'INSERT INTO shop_ticket (id, show_id) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET show_id = 2'),
    (13, 'INSERT INTO shop_ticket (id, show_id) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET note = ''x'''),
    (14, 'INSERT INTO shop_ticket (id, show_id) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET status = ''cancelled'''),
    (15, 'INSERT INTO shop_ticket (id, show_id) VALUES (1, 1), (20, 1)'
         ' ON CONFLICT (id) DO UPDATE SET status = ''paid'''),
    (16, 'INSERT INTO shop_ticket (id, show_id) VALUES (1, 1), (20, 1) ON CONFLICT (id) DO NOTHING'),
    -- MERGE: 1 is cancelled, 20 is there
    (21, 'MERGE INTO shop_ticket t USING (VALUES (1), (21)) s (id) ON t.id = s.id'
         ' WHEN MATCHED THEN UPDATE SET status = ''paid'''
         ' WHEN NOT MATCHED THEN INSERT (id, show_id) VALUES (s.id, 1)'),
    (22, 'MERGE INTO shop_ticket t USING (VALUES (20), (21)) s (id) ON t.id = s.id'
         ' WHEN MATCHED THEN DELETE'
         ' WHEN NOT MATCHED THEN INSERT (id, show_id) VALUES (s.id, 1)'),
    (23, 'MERGE INTO shop_ticket t USING (VALUES (22), (23)) s (id) ON t.id = s.id'
         ' WHEN NOT MATCHED THEN INSERT (id, show_id) VALUES (s.id, 2)')) AS s (n, statement),
    then_pools('c', statement) t
ORDER BY n;
SELECT id, show_id, status FROM shop_ticket ORDER BY id;

TRUNCATE shop_ticket;
SELECT pools('c');
COPY shop_ticket (show_id, quantity) FROM stdin;
1	1
2	2
1	1
\.
SELECT pools('c');
COPY shop_ticket (show_id, quantity) FROM stdin;
2	1
2	1
\.
SELECT pools('c');

-- ---- rows that change ----

TRUNCATE shop_ticket RESTART IDENTITY;
INSERT INTO shop_ticket (show_id, quantity) VALUES (1, 1), (1, 1), (2, 2), (2, 1);
SELECT pools('c');
SELECT n, t.*
FROM (VALUES
    (1, 'UPDATE shop_ticket SET show_id = 2 WHERE id = 1'),
    -- two full keys exchange tickets: one each way, then all
    (2, 'UPDATE shop_ticket SET show_id = 3 - show_id WHERE id IN (1, 4)'),
    (3, 'UPDATE shop_ticket SET show_id = 3 - show_id'),
    (4, 'UPDATE shop_ticket SET show_id = 3 - show_id WHERE id IN (1, 2, 3)'),
    (5, 'UPDATE shop_ticket SET show_id = NULL WHERE id = 1'),
    (6, 'UPDATE shop_ticket SET show_id = 1 WHERE id = 1'),
    (7, 'UPDATE shop_ticket SET show_id = 1 WHERE id = 1'),
    (8, 'UPDATE shop_ticket SET quantity = 2 WHERE id = 3'),
    (9, 'UPDATE shop_ticket SET quantity = 3 WHERE id = 3'),
    (10, 'UPDATE shop_ticket SET status = ''cancelled'', quantity = 100 WHERE id = 3'),
    (11, 'UPDATE shop_ticket SET quantity = 3 WHERE id = 3'),
    (12, 'UPDATE shop_ticket SET status = NULL WHERE id = 3'),
    (13, 'UPDATE shop_ticket SET status = ''paid'', quantity = 2 WHERE id = 3'),
    (14, 'UPDATE shop_ticket SET status = ''used'''),
    (15, 'UPDATE shop_ticket SET quantity = quantity, show_id = show_id'),
    (16, 'UPDATE shop_ticket SET quantity = NULL WHERE id = 3'),
    (17, 'UPDATE shop_ticket SET quantity = 4 - coalesce(quantity, 0) WHERE show_id = 2'),
    (18, 'DELETE FROM shop_ticket WHERE show_id = 1'),
    (19, 'DELETE FROM shop_ticket')) AS s (n, statement),
    then_pools('c', statement) t
ORDER BY n;

-- Places move from row to row within a statement, also with data-modifying CTEs.
TRUNCATE shop_ticket RESTART IDENTITY;
INSERT INTO shop_ticket (show_id, quantity) VALUES (1, 1), (1, 1), (2, 2), (2, 1);
SELECT n, t.*
FROM (VALUES
    (1, 'WITH gone AS (DELETE FROM shop_ticket WHERE id = 1 RETURNING show_id)'
        ' INSERT INTO shop_ticket (show_id) SELECT show_id FROM gone'),
    (2, 'WITH new AS (INSERT INTO shop_ticket (show_id) VALUES (1))'
        ' DELETE FROM shop_ticket WHERE id = 2'),
    (3, 'WITH new AS (INSERT INTO shop_ticket (show_id) VALUES (1))'
        ' SELECT 1'),
    (4, 'WITH a AS (INSERT INTO shop_ticket (show_id) VALUES (1), (2)),'
        ' b AS (UPDATE shop_ticket SET status = ''cancelled'' WHERE id = 4)'
        ' DELETE FROM shop_ticket WHERE id = 5'),
    (5, 'WITH a AS (INSERT INTO shop_ticket (show_id) VALUES (1), (2)),'
        ' b AS (UPDATE shop_ticket SET quantity = 1 WHERE id = 3)'
        ' SELECT 1'),
    -- rows of both tables by one statement
    (6, 'WITH a AS (UPDATE shop_show SET capacity = 3 WHERE id = 1)'
        ' INSERT INTO shop_ticket (show_id) VALUES (1)'),
    (7, 'WITH a AS (INSERT INTO shop_show VALUES (3, 1))'
        ' INSERT INTO shop_ticket (show_id) VALUES (3)'),
    (8, 'WITH a AS (DELETE FROM shop_ticket WHERE show_id = 3)'
        ' DELETE FROM shop_show WHERE id = 3'),
    (9, 'WITH a AS (DELETE FROM shop_show WHERE id = 2)'
        ' DELETE FROM shop_ticket WHERE show_id = 2'),
    (10, 'INSERT INTO shop_show VALUES (2, 3)'),
    (11, 'WITH a AS (UPDATE shop_show SET capacity = 2 WHERE id = 1)'
         ' DELETE FROM shop_ticket WHERE id = (SELECT min(id) FROM shop_ticket WHERE show_id = 1)'),
    (12, 'WITH a AS (UPDATE shop_show SET capacity = 1 WHERE id = 1)'
         ' UPDATE shop_ticket SET note = ''x'''),
    (13, 'UPDATE shop_show SET capacity = 3 WHERE id = 1')) AS s (n, statement),
    then_pools('c', statement) t
ORDER BY n;

-- Statements within statements: a function that a query calls, and triggers.
TRUNCATE shop_ticket RESTART IDENTITY;
CREATE FUNCTION sell(show integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shop_ticket (show_id) VALUES (show);
    RETURN 'sold';
EXCEPTION WHEN check_violation THEN
    RETURN 'refused';
END
$$;
SELECT sell(1), sell(1), sell(1), sell(1), sell(2);
SELECT pools('c');
UPDATE shop_ticket SET note = sell(2) WHERE id = 1;
SELECT note FROM shop_ticket WHERE id = 1;
SELECT pools('c');

CREATE FUNCTION sell_two() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shop_ticket (show_id) VALUES (NEW.show_id), (NEW.show_id);
    RETURN NULL;
EXCEPTION WHEN check_violation THEN
    RETURN NULL;
END
$$;
TRUNCATE shop_ticket RESTART IDENTITY;
-- before our triggers and after them, by their names
CREATE TRIGGER "A_first" AFTER INSERT ON shop_ticket FOR EACH ROW
    WHEN (new.note = 'three') EXECUTE FUNCTION sell_two();
SELECT n, t.*
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (show_id, note) VALUES (2, ''three'')'),
    (2, 'INSERT INTO shop_ticket (show_id, note) VALUES (1, ''three'')'),
    (3, 'INSERT INTO shop_ticket (show_id, note) VALUES (1, ''three'')'),
    (4, 'DELETE FROM shop_ticket')) AS s (n, statement),
    then_pools('c', statement) t
ORDER BY n;
ALTER TRIGGER "A_first" ON shop_ticket RENAME TO z_last;
SELECT n, t.*
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (show_id, note) VALUES (2, ''three'')'),
    (2, 'INSERT INTO shop_ticket (show_id, note) VALUES (1, ''three'')'),
    (3, 'INSERT INTO shop_ticket (show_id, note) VALUES (1, ''three'')'),
    (4, 'DELETE FROM shop_ticket')) AS s (n, statement),
    then_pools('c', statement) t
ORDER BY n;
DROP TRIGGER z_last ON shop_ticket;
DROP FUNCTION sell_two, sell;

-- What a BEFORE trigger or a rule makes of the row is what counts.
CREATE FUNCTION other_show() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.note = 'drop' THEN
        RETURN NULL;
    END IF;
    NEW.show_id := 2;
    RETURN NEW;
END
$$;
CREATE TRIGGER b BEFORE INSERT OR UPDATE ON shop_ticket FOR EACH ROW EXECUTE FUNCTION other_show();
SELECT n, t.*
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (show_id) VALUES (1), (1), (1)'),
    (2, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    (3, 'INSERT INTO shop_ticket (show_id, note) VALUES (1, ''drop'')')) AS s (n, statement),
    then_pools('c', statement) t
ORDER BY n;
DROP TRIGGER b ON shop_ticket;
DROP FUNCTION other_show;

-- ---- savepoints, isolation levels ----

TRUNCATE shop_ticket RESTART IDENTITY;
BEGIN;
INSERT INTO shop_ticket (show_id) VALUES (1);
SAVEPOINT a;
INSERT INTO shop_ticket (show_id) VALUES (1);
SELECT pools('c');
ROLLBACK TO a;
SELECT pools('c');
INSERT INTO shop_ticket (show_id) VALUES (1), (1);
ROLLBACK TO a;
SELECT pools('c');
INSERT INTO shop_ticket (show_id) VALUES (1);
SAVEPOINT b;
DELETE FROM shop_ticket;
SELECT pools('c');
ROLLBACK TO b;
RELEASE a;
COMMIT;
SELECT pools('c');
BEGIN ISOLATION LEVEL REPEATABLE READ;
DELETE FROM shop_ticket WHERE id = (SELECT min(id) FROM shop_ticket);
INSERT INTO shop_ticket (show_id) VALUES (1);
SELECT code, detail FROM outcome('INSERT INTO shop_ticket (show_id, quantity) VALUES (1, 2)');
UPDATE shop_show SET capacity = 4 WHERE id = 1;
INSERT INTO shop_ticket (show_id) VALUES (1);
SELECT pools('c');
COMMIT;
SELECT pools('c');
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE shop_show SET capacity = 2 WHERE id = 1;
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
DELETE FROM shop_ticket;
INSERT INTO shop_ticket (show_id) VALUES (1), (1), (2);
UPDATE shop_show SET capacity = 2 WHERE id = 1;
SELECT code, detail FROM outcome('INSERT INTO shop_ticket (show_id) VALUES (1)');
COMMIT;
SELECT pools('c');
BEGIN READ ONLY;
SELECT booking.places_left('c', 2);
SELECT code, message FROM outcome('INSERT INTO shop_ticket (show_id) VALUES (2)');
SELECT code, message FROM outcome($$SELECT booking.rebuild_capacity('c')$$);
COMMIT;

-- Many rows, one by one and at once: places are prefetched, and given back.
UPDATE shop_show SET capacity = 1000 WHERE id = 1;
DELETE FROM shop_ticket;
DO $$
BEGIN
    FOR i IN 1..300 LOOP
        INSERT INTO shop_ticket (show_id) VALUES (1);
    END LOOP;
END
$$;
SELECT pools('c');
BEGIN;
DO $$
BEGIN
    FOR i IN 1..300 LOOP
        INSERT INTO shop_ticket (show_id) VALUES (1);
    END LOOP;
END
$$;
SELECT booking.places_left('c', 1);
SELECT code, detail FROM outcome('INSERT INTO shop_ticket (show_id, quantity) VALUES (1, 401)');
SELECT code, detail FROM outcome('UPDATE shop_show SET capacity = 599 WHERE id = 1');
UPDATE shop_show SET capacity = 600 WHERE id = 1;
SELECT code, detail FROM outcome('INSERT INTO shop_ticket (show_id) VALUES (1)');
COMMIT;
SELECT pools('c');
INSERT INTO shop_show SELECT g, 1 FROM generate_series(101, 400) g;
INSERT INTO shop_ticket (show_id) SELECT g FROM generate_series(101, 400) g;
SELECT code, detail FROM outcome('INSERT INTO shop_ticket (show_id) SELECT g FROM generate_series(400, 101, -1) g');
UPDATE shop_ticket SET show_id = 501 - show_id WHERE show_id > 100;
SELECT count(*), sum(available) FROM booking.c WHERE show_id > 100;
DELETE FROM shop_ticket WHERE show_id > 100;
DELETE FROM shop_show WHERE id > 100;
SELECT pools('c');

-- ---- the capacity table ----

CALL recreate_shop();
SELECT booking.drop_capacity_constraint('c', true);
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    constraint_name => 'c');
INSERT INTO shop_ticket (show_id) VALUES (1), (2), (2), (4);
SELECT n, t.*
FROM (VALUES
    (1, 'INSERT INTO shop_show VALUES (5, 1)'),
    (2, 'INSERT INTO shop_show VALUES (6, -1)'),
    (3, 'UPDATE shop_show SET capacity = -1 WHERE id = 1'),
    (4, 'UPDATE shop_show SET capacity = 5 WHERE id = 1'),
    (5, 'UPDATE shop_show SET capacity = 1 WHERE id = 1'),
    (6, 'UPDATE shop_show SET capacity = 0 WHERE id = 1'),
    (7, 'UPDATE shop_show SET capacity = NULL WHERE id = 1'),
    (8, 'UPDATE shop_show SET capacity = 0 WHERE id = 1'),
    (9, 'UPDATE shop_show SET capacity = 2 WHERE id = 1'),
    (10, 'UPDATE shop_show SET capacity = 1 WHERE id = 4'),
    (11, 'UPDATE shop_show SET capacity = 2147483647 WHERE id = 4'),
    (12, 'UPDATE shop_show SET capacity = NULL WHERE id = 4'),
    (13, 'UPDATE shop_show SET capacity = capacity + 1'),
    -- without a foreign key a row whose key is in use must stay
    (14, 'DELETE FROM shop_show WHERE id = 1'),
    (15, 'DELETE FROM shop_show WHERE id IN (3, 5)'),
    (16, 'UPDATE shop_show SET id = 7 WHERE id = 1'),
    (17, 'DELETE FROM shop_show WHERE id = 4'),
    (18, 'DELETE FROM shop_ticket WHERE show_id = 4'),
    (19, 'DELETE FROM shop_show WHERE id = 4'),
    (20, 'INSERT INTO shop_show VALUES (4, 0)'),
    (21, 'UPDATE shop_show SET id = 8, capacity = 9 WHERE id = 4'),
    (22, 'DELETE FROM shop_show WHERE id = 8')) AS s (n, statement),
    then_pools('c', statement) t
ORDER BY n;
SELECT * FROM diagnosed('DELETE FROM shop_show WHERE id = 1') \gx
SELECT * FROM diagnosed('UPDATE shop_show SET capacity = 0 WHERE id = 1') \gx
SELECT * FROM diagnosed('UPDATE shop_show SET capacity = -7 WHERE id = 1') \gx

-- A key that is dropped and made again by one transaction.
BEGIN;
DELETE FROM shop_ticket WHERE show_id = 1;
DELETE FROM shop_show WHERE id = 1;
INSERT INTO shop_show VALUES (1, 1);
INSERT INTO shop_ticket (show_id) VALUES (1);
SELECT code, detail FROM outcome('INSERT INTO shop_ticket (show_id) VALUES (1)');
SELECT pools('c');
SAVEPOINT s;
DELETE FROM shop_ticket WHERE show_id = 1;
DELETE FROM shop_show WHERE id = 1;
SELECT pools('c');
ROLLBACK TO s;
SELECT pools('c');
COMMIT;
SELECT pools('c');

-- ---- TRUNCATE ----

SELECT n, t.*
FROM (VALUES
    (1, 'TRUNCATE shop_ticket'),
    (2, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    (3, 'TRUNCATE shop_show, shop_ticket'),
    (4, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    (5, 'INSERT INTO shop_show VALUES (1, 2), (2, 2)'),
    (6, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    -- TRUNCATE of the capacity table alone is refused while rows are left
    (7, 'TRUNCATE shop_show'),
    (11, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    (12, 'INSERT INTO shop_show VALUES (1, 2)'),
    (13, 'INSERT INTO shop_ticket (show_id) VALUES (1), (1)'),
    (14, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    (15, 'TRUNCATE shop_show'),
    (16, 'INSERT INTO shop_show VALUES (1, 1)'),
    (17, 'DELETE FROM shop_ticket'),
    (18, 'TRUNCATE shop_ticket'),
    (19, 'TRUNCATE shop_show'),
    (20, 'INSERT INTO shop_show VALUES (1, 2), (2, 2)')) AS s (n, statement),
    then_pools('c', statement) t
ORDER BY n;
BEGIN;
INSERT INTO shop_ticket (show_id) VALUES (1);
TRUNCATE shop_ticket;
INSERT INTO shop_ticket (show_id) VALUES (1), (1);
SAVEPOINT a;
TRUNCATE shop_ticket;
ROLLBACK TO a;
SELECT code FROM outcome('INSERT INTO shop_ticket (show_id) VALUES (1)');
COMMIT;
SELECT pools('c');
ALTER TABLE shop_ticket ADD FOREIGN KEY (show_id) REFERENCES shop_show;
SET client_min_messages = warning;
TRUNCATE shop_show CASCADE;
RESET client_min_messages;
SELECT pools('c');
INSERT INTO shop_show VALUES (1, 2), (2, 2);
SELECT pools('c');

-- ---- foreign keys ----

-- Runs the same statements with a foreign key that has these actions.
CREATE FUNCTION with_foreign_key(actions text)
RETURNS TABLE (actions_ text, n integer, code text, pools text, tickets text)
LANGUAGE plpgsql
AS $$
DECLARE
    statement text;
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    ALTER TABLE shop_ticket DROP CONSTRAINT IF EXISTS shop_ticket_show_id_fkey;
    DELETE FROM shop_ticket;
    DELETE FROM shop_show;
    INSERT INTO shop_show VALUES (1, 2), (2, 2), (9, 1);
    ALTER TABLE shop_ticket ALTER show_id SET DEFAULT 9;
    EXECUTE format('ALTER TABLE shop_ticket ADD CONSTRAINT shop_ticket_show_id_fkey'
                   ' FOREIGN KEY (show_id) REFERENCES shop_show %s', actions);
    INSERT INTO shop_ticket (id, show_id) VALUES (1, 1), (2, 2), (3, 2);
    actions_ := actions;
    n := 0;
    FOREACH statement IN ARRAY ARRAY[
        'UPDATE shop_show SET id = 3 WHERE id = 1',
        'UPDATE shop_show SET id = id + 10 WHERE id < 9',
        'DELETE FROM shop_show WHERE id IN (1, 3, 11, 13)',
        'DELETE FROM shop_show WHERE id IN (2, 12)',
        'INSERT INTO shop_show VALUES (1, 1)',
        'INSERT INTO shop_ticket (show_id) VALUES (1)',
        'INSERT INTO shop_ticket (show_id) VALUES (1)']
    LOOP
        n := n + 1;
        SELECT t.code, t.pools INTO code, pools FROM then_pools('c', statement) t;
        SELECT string_agg(coalesce(show_id::text, 'null'), ' ' ORDER BY id) INTO tickets FROM shop_ticket;
        RETURN NEXT;
    END LOOP;
END
$$;
SELECT n, code, pools, tickets FROM with_foreign_key('');
-- From 18 on, RESTRICT raises 23001.
SELECT n, replace(code, '23001', '23503') AS code, pools, tickets
FROM with_foreign_key('ON DELETE RESTRICT ON UPDATE RESTRICT');
SELECT n, code, pools, tickets FROM with_foreign_key('ON DELETE CASCADE ON UPDATE CASCADE');
SELECT n, code, pools, tickets FROM with_foreign_key('ON DELETE SET NULL ON UPDATE SET NULL');
-- a default whose key has one place
SELECT n, code, pools, tickets FROM with_foreign_key('ON DELETE SET DEFAULT ON UPDATE SET DEFAULT');
SELECT n, code, pools, tickets FROM with_foreign_key('ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED');
SELECT n, code, pools, tickets FROM with_foreign_key('ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE');

-- Keys that move up by one, in an order that a unique index allows: each pool is
-- dropped and made again by the same statement.
SELECT code FROM with_foreign_key('ON UPDATE CASCADE ON DELETE CASCADE') WHERE n = 0;
DELETE FROM shop_ticket;
DELETE FROM shop_show;
INSERT INTO shop_show VALUES (3, 5), (2, 5), (1, 5);
INSERT INTO shop_ticket (id, show_id) VALUES (1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 3);
SELECT * FROM then_pools('c', 'UPDATE shop_show SET id = id + 1');
SELECT string_agg(show_id::text, ' ' ORDER BY id) FROM shop_ticket;
SELECT * FROM then_pools('c', 'DELETE FROM shop_show');
INSERT INTO shop_show VALUES (3, 3), (2, 2), (1, 1);
INSERT INTO shop_ticket (id, show_id) VALUES (1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 3);
SELECT * FROM then_pools('c', 'UPDATE shop_show SET id = id + 1');
SELECT string_agg(show_id::text, ' ' ORDER BY id) FROM shop_ticket;
SELECT * FROM then_pools('c', 'UPDATE shop_show SET id = id - 1, capacity = capacity - 1 WHERE id = 2');
SELECT * FROM then_pools('c', 'DELETE FROM shop_show');

-- A foreign key that is checked at the commit: a row may come first, but with a
-- constraint its key must be there already.
ALTER TABLE shop_ticket DROP CONSTRAINT shop_ticket_show_id_fkey;
ALTER TABLE shop_ticket ADD CONSTRAINT shop_ticket_show_id_fkey
    FOREIGN KEY (show_id) REFERENCES shop_show DEFERRABLE INITIALLY DEFERRED;
SELECT * FROM then_pools('c', 'INSERT INTO shop_ticket (show_id) VALUES (1)');
INSERT INTO shop_show VALUES (1, 2), (2, 2);
INSERT INTO shop_ticket (show_id) VALUES (1), (1);
-- The parent is replaced while its rows stay.
BEGIN;
DELETE FROM shop_show WHERE id = 1;
INSERT INTO shop_show VALUES (1, 3);
SELECT pools('c');
INSERT INTO shop_ticket (show_id) VALUES (1);
SELECT code FROM outcome('INSERT INTO shop_ticket (show_id) VALUES (1)');
COMMIT;
SELECT pools('c');
BEGIN;
DELETE FROM shop_show WHERE id = 1;
SELECT code, detail FROM outcome('INSERT INTO shop_show VALUES (1, 2)');
ROLLBACK;
BEGIN;
DELETE FROM shop_show WHERE id = 1;
DELETE FROM shop_ticket WHERE id = (SELECT min(id) FROM shop_ticket WHERE show_id = 1);
INSERT INTO shop_show VALUES (1, 3);
SELECT pools('c');
DELETE FROM shop_ticket WHERE show_id = 1;
SELECT pools('c');
COMMIT;
SELECT pools('c');

-- ---- several constraints on one table, and a table that is both ----

CALL recreate_shop();
SELECT booking.drop_capacity_constraint('c', true);
ALTER TABLE shop_show ADD doors integer;
CREATE TABLE shop_tier (show_id integer, tier text, capacity integer, PRIMARY KEY (show_id, tier));
INSERT INTO shop_tier VALUES (1, 'gold', 1), (1, 'tin', 9);
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    constraint_name => 'by_show');
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id,status}', 'shop_tier', 'capacity',
    constraint_name => 'by_tier');
-- shows: at most three of one capacity
SELECT booking.add_capacity_constraint('shop_show', '{doors}', capacity => 3,
    constraint_name => 'alike');
SELECT n, t.code, t.detail, t.pools AS by_tier, by_show, alike
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (show_id, status) VALUES (1, ''gold'')'),
    (2, 'INSERT INTO shop_ticket (show_id, status) VALUES (1, ''gold'')'),
    (3, 'INSERT INTO shop_ticket (show_id, status) VALUES (1, ''tin'')'),
    (4, 'INSERT INTO shop_ticket (show_id, status) VALUES (1, ''tin'')'),
    (5, 'UPDATE shop_ticket SET status = ''tin'''),
    (6, 'UPDATE shop_show SET doors = 3, capacity = 3 WHERE id = 1'),
    (7, 'INSERT INTO shop_show VALUES (5, 3, 3), (6, 3, 3)'),
    (8, 'INSERT INTO shop_show VALUES (7, 3, 3)'),
    (9, 'UPDATE shop_show SET doors = 4, capacity = 4 WHERE doors = 3 AND id > 1'),
    (10, 'UPDATE shop_show SET doors = 3 WHERE id <> 5'),
    (11, 'DELETE FROM shop_show WHERE id = 5'),
    (12, 'TRUNCATE shop_ticket, shop_show'),
    (13, 'TRUNCATE shop_tier')) AS s (n, statement),
    then_pools('by_tier', statement) t,
    LATERAL (SELECT pools(('by_show' || left(t.code, 0))::name) AS by_show,
                    pools(('alike' || left(t.code, 0))::name) AS alike) p
ORDER BY n;
-- A table that is its own capacity table: at most a number of children for each node.
CREATE TABLE node (id integer PRIMARY KEY, parent integer REFERENCES node ON DELETE CASCADE ON UPDATE CASCADE,
                   children integer);
SELECT booking.add_capacity_constraint('node', '{parent}', 'node', 'children', constraint_name => 'tree');
SELECT n, t.*
FROM (VALUES
    (1, 'INSERT INTO node VALUES (1, NULL, 2)'),
    (2, 'INSERT INTO node VALUES (2, 1, 1), (3, 1, 1)'),
    (3, 'INSERT INTO node VALUES (4, 1, 1)'),
    (4, 'INSERT INTO node VALUES (4, 2, 1), (5, 4, 0)'),
    (5, 'UPDATE node SET id = 14 WHERE id = 4'),
    (6, 'UPDATE node SET parent = 3 WHERE id = 14'),
    (7, 'UPDATE node SET children = 0 WHERE id = 3'),
    (8, 'UPDATE node SET id = 11 WHERE id = 1'),
    (9, 'DELETE FROM node WHERE id = 3'),
    (10, 'INSERT INTO node VALUES (3, 11, 7)'),
    (11, 'INSERT INTO node VALUES (6, 11, 7)'),
    (12, 'TRUNCATE node'),
    (13, 'INSERT INTO node VALUES (1, 1, 1)'),
    (14, 'INSERT INTO node VALUES (2, 1, 1)'),
    (15, 'DELETE FROM node')) AS s (n, statement),
    then_pools('tree', statement) t
ORDER BY n;
SET client_min_messages = warning;
DROP TABLE node, shop_tier;
DROP FUNCTION with_foreign_key;
