-- Capacity constraints whose rows expire.
--
-- Promises:
--   - Rows past their time keep their places until somebody needs them: then they are
--     ended by on_expiry.  places_left() counts their places as free.
--   - A row that has no time, or whose time has not come, keeps its places.
--   - expire_rows() ends expired rows, at most as many as asked for.
CALL recreate_booking();
CALL recreate_shop();
ALTER TABLE shop_ticket ADD expires timestamptz;

-- Returns the rows that are there; the argument makes it come after a statement.
CREATE FUNCTION ids(code text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT string_agg(id::text, ' ' ORDER BY id) FROM shop_ticket);
END
$$;

-- ---- DELETE ----

SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    quantity_column => 'quantity', condition => $$status <> 'cancelled'$$,
    expires_at => 'expires', on_expiry => ' Delete ', constraint_name => 'd');
SELECT n, t.code, t.detail, t.pools, booking.places_left('d', 2) AS places_left, left_over
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (id, show_id, expires) VALUES (101, 2, ''2020-01-03'')'),
    (2, 'INSERT INTO shop_ticket (id, show_id, expires) VALUES (102, 2, ''2020-01-01''), (103, 2, NULL)'),
    -- the oldest is ended first, and only as many as needed
    (3, 'INSERT INTO shop_ticket (id, show_id, expires) VALUES (104, 2, ''infinity'')'),
    (4, 'INSERT INTO shop_ticket (id, show_id) VALUES (105, 2)'),
    (5, 'INSERT INTO shop_ticket (id, show_id) VALUES (106, 2)'),
    (6, 'DELETE FROM shop_ticket WHERE id = 105'),
    (7, 'INSERT INTO shop_ticket (id, show_id, quantity, expires) VALUES (107, 2, 1, ''2020-01-01'')'),
    -- rows that take no place are of no use, and stay
    (8, 'INSERT INTO shop_ticket (id, show_id, quantity, expires, status) VALUES'
        ' (108, 2, 0, ''2010-01-01'', ''paid''), (109, 2, NULL, ''2010-01-01'', ''paid''),'
        ' (110, 2, 1, ''2010-01-01'', ''cancelled''), (111, NULL, 1, ''2010-01-01'', ''paid'')'),
    (9, 'INSERT INTO shop_ticket (id, show_id) VALUES (112, 2)'),
    -- by an UPDATE a row expires sooner, or no more
    (10, 'UPDATE shop_ticket SET expires = ''2020-01-01'' WHERE id = 103'),
    (11, 'UPDATE shop_ticket SET expires = NULL WHERE id = 103'),
    (12, 'INSERT INTO shop_ticket (id, show_id) VALUES (113, 2)'),
    (13, 'UPDATE shop_ticket SET expires = ''2020-01-01'' WHERE id = 103'),
    (14, 'INSERT INTO shop_ticket (id, show_id) VALUES (113, 2)'),
    -- two of a kind, and not enough
    (15, 'UPDATE shop_ticket SET expires = ''2020-01-01'' WHERE id IN (112, 113)'),
    (16, 'INSERT INTO shop_ticket (id, show_id, quantity) VALUES (114, 2, 3)'),
    (17, 'INSERT INTO shop_ticket (id, show_id, quantity) VALUES (114, 2, 2)'),
    -- a row that is as good as gone in the same statement
    (18, 'UPDATE shop_ticket SET quantity = 1, expires = ''2020-01-01'' WHERE id = 114'),
    (19, 'UPDATE shop_ticket SET quantity = 3 WHERE id = 104'),
    (20, 'UPDATE shop_show SET capacity = 2 WHERE id = 2'),
    (21, 'DELETE FROM shop_ticket')) AS s (n, statement),
    then_pools('d', statement) t, ids(t.code) left_over
ORDER BY n;

-- expire_rows()
UPDATE shop_show SET capacity = 5 WHERE id IN (1, 2);
INSERT INTO shop_ticket (id, show_id, expires) VALUES
    (1, 1, '2020-01-05'), (2, 1, '2020-01-01'), (3, 2, '2020-01-03'), (4, 2, 'infinity'),
    (5, 2, NULL), (6, NULL, '2020-01-01');
SELECT booking.expire_rows('d', 0);
SELECT booking.expire_rows('d', 2);
SELECT string_agg(id::text, ' ' ORDER BY id), pools('d') FROM shop_ticket;
SELECT booking.expire_rows('d');
SELECT string_agg(id::text, ' ' ORDER BY id), pools('d') FROM shop_ticket;
SELECT booking.expire_rows('d');
-- what has expired and was not reclaimed keeps its places, also when it is rebuilt
INSERT INTO shop_ticket (id, show_id, expires) SELECT g, 1, '2020-01-01' FROM generate_series(11, 15) g;
SELECT booking.rebuild_capacity('d');
SELECT pools('d'), booking.places_left('d', 1);
-- a capacity is lowered: expired rows go first
SELECT * FROM then_pools('d', 'UPDATE shop_show SET capacity = 2 WHERE id = 1');
-- rolled back, all is as it was
BEGIN;
INSERT INTO shop_ticket (id, show_id, quantity) VALUES (20, 1, 2);
SELECT string_agg(id::text, ' ' ORDER BY id) FROM shop_ticket WHERE show_id = 1;
ROLLBACK;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM shop_ticket WHERE show_id = 1;
SELECT pools('d');
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO shop_ticket (id, show_id, quantity) VALUES (20, 1, 2);
COMMIT;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM shop_ticket WHERE show_id = 1;
-- expiry while the session watches
UPDATE shop_ticket SET expires = clock_timestamp() + '300 milliseconds' WHERE id = 20;
SELECT code FROM outcome('INSERT INTO shop_ticket (id, show_id) VALUES (21, 1)');
SELECT booking.places_left('d', 1);
SELECT pg_sleep(0.4);
SELECT booking.places_left('d', 1);
SELECT code FROM outcome('INSERT INTO shop_ticket (id, show_id) VALUES (21, 1)');
SELECT pools('d');
SELECT booking.drop_capacity_constraint('d');

-- ---- UPDATE ----

CALL recreate_shop();
ALTER TABLE shop_ticket ADD expires timestamptz;
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    condition => $$status <> 'cancelled'$$, expires_at => 'expires',
    on_expiry => $$status = 'cancelled', note = concat(note, ' late') -- $$, constraint_name => 'u');
INSERT INTO shop_ticket (show_id, expires, note) VALUES
    (1, '2020-01-01', 'a'), (1, '2020-01-01', 'b'), (2, '2020-01-01', 'c');
SELECT pools('u'), booking.places_left('u', 1);
INSERT INTO shop_ticket (show_id, note) VALUES (1, 'd');
SELECT pools('u'), string_agg(status, ' ' ORDER BY id) FROM shop_ticket WHERE show_id = 1;
INSERT INTO shop_ticket (show_id, note) VALUES (1, 'd');
SELECT id, show_id, status, note FROM shop_ticket ORDER BY id;
SELECT code FROM outcome('INSERT INTO shop_ticket (show_id) VALUES (1)');
SELECT booking.expire_rows('u');
SELECT id, show_id, status, note FROM shop_ticket ORDER BY id;
SELECT pools('u');
SELECT on_expiry, expires_at FROM booking.capacity_constraints;
-- the text means the same whatever the session's search_path
CREATE SCHEMA regress_capacity_evil;
CREATE FUNCTION regress_capacity_evil.concat(text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'evil' $$;
UPDATE shop_show SET capacity = 1 WHERE id = 3;
INSERT INTO shop_ticket (show_id, expires, note) VALUES (3, '2020-01-01', 'e');
SET search_path = regress_capacity_evil, pg_catalog, public;
INSERT INTO shop_ticket (show_id) VALUES (3);
RESET search_path;
SELECT note, status FROM shop_ticket WHERE show_id = 3 ORDER BY id;
DROP FUNCTION regress_capacity_evil.concat;
DROP SCHEMA regress_capacity_evil;
-- An on_expiry that names a column which was renamed is found before it is needed.
SELECT problem FROM booking.verify_capacity();
BEGIN;
ALTER TABLE shop_ticket RENAME note TO remark;
SELECT problem FROM booking.verify_capacity();
UPDATE shop_ticket SET expires = '2020-01-01' WHERE show_id = 1 AND status <> 'cancelled';
DO $$
DECLARE context text;
BEGIN
    INSERT INTO shop_ticket (show_id) VALUES (1), (1);
EXCEPTION WHEN undefined_column THEN
    GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
    RAISE NOTICE '%: %', SQLERRM, (SELECT string_agg(line, '; ') FROM regexp_split_to_table(context, E'\n') line
                                   WHERE line ~ '^on_expiry');
END
$$;
ROLLBACK;
-- A column that the statements of the constraint need is named as by an INSERT.
BEGIN;
ALTER TABLE shop_ticket RENAME expires TO until;
SELECT code, message, hint FROM diagnosed($$SELECT booking.places_left('u', 1)$$);
SELECT code, message FROM diagnosed($$SELECT booking.expire_rows('u')$$);
SELECT code, message FROM diagnosed($$SELECT booking.rebuild_capacity('u')$$);
ROLLBACK;
SELECT booking.drop_capacity_constraint('u');

-- ---- rows that do not go ----

-- An on_expiry that leaves a row counted is an error, and no endless loop.
CALL recreate_shop();
ALTER TABLE shop_ticket ADD expires timestamptz;
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    condition => $$status <> 'gone'$$,
    expires_at => 'expires', on_expiry => $$status = 'cancelled'$$, constraint_name => 'n');
INSERT INTO shop_ticket (show_id, expires) VALUES (1, '2020-01-01'), (1, '2020-01-01');
SET statement_timeout = '20s';
SELECT * FROM diagnosed('INSERT INTO shop_ticket (show_id) VALUES (1)') \gx
SELECT * FROM diagnosed($$SELECT booking.expire_rows('n')$$) \gx
SELECT pools('n');
SELECT booking.drop_capacity_constraint('n');
-- Nor is a trigger that keeps the row.
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    expires_at => 'expires', on_expiry => 'DELETE', constraint_name => 'n');
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER keep BEFORE DELETE ON shop_ticket FOR EACH ROW EXECUTE FUNCTION keep();
SELECT * FROM diagnosed('INSERT INTO shop_ticket (show_id) VALUES (1)') \gx
DROP TRIGGER keep ON shop_ticket;
DROP FUNCTION keep;
INSERT INTO shop_ticket (show_id) VALUES (1);
SELECT pools('n');
-- A trigger that ends the rows in its own way.
SELECT booking.drop_capacity_constraint('n');
CALL recreate_shop();
ALTER TABLE shop_ticket ADD expires timestamptz;
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    condition => $$status <> 'gone'$$, expires_at => 'expires', on_expiry => 'DELETE', constraint_name => 'n');
CREATE FUNCTION soft_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE public.shop_ticket SET status = 'gone' WHERE id = old.id; RETURN NULL; END
$$;
CREATE TRIGGER soft_delete BEFORE DELETE ON shop_ticket FOR EACH ROW EXECUTE FUNCTION soft_delete();
INSERT INTO shop_ticket (show_id, expires) VALUES (1, '2020-01-01'), (1, '2020-01-01');
INSERT INTO shop_ticket (show_id) VALUES (1);
SELECT status, count(*) FROM shop_ticket GROUP BY 1 ORDER BY 1;
SELECT pools('n');
SELECT * FROM booking.verify_capacity();
DROP FUNCTION soft_delete CASCADE;
-- Rows that expire to each other's key.
SELECT booking.drop_capacity_constraint('n');
CALL recreate_shop();
ALTER TABLE shop_ticket ADD expires timestamptz;
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', capacity => 1,
    expires_at => 'expires', on_expiry => 'show_id = 3 - show_id', constraint_name => 'n');
INSERT INTO shop_ticket (show_id, expires) VALUES (1, '2020-01-01'), (2, '2020-01-01');
SELECT code, message FROM diagnosed('INSERT INTO shop_ticket (show_id) VALUES (1)');
SELECT pools('n');
RESET statement_timeout;

-- A constant capacity, and a key of two columns.
SELECT booking.drop_capacity_constraint('n');
CALL recreate_shop();
ALTER TABLE shop_ticket ADD expires timestamptz;
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id,note}', capacity => 1,
    expires_at => 'expires', on_expiry => 'note = NULL', constraint_name => 'k');
SELECT n, t.*
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (show_id, note, expires) VALUES (1, ''a'', ''2020-01-01'')'),
    (2, 'INSERT INTO shop_ticket (show_id, note, expires) VALUES (1, ''b'', ''2020-01-01'')'),
    (3, 'INSERT INTO shop_ticket (show_id, note) VALUES (1, ''a'')'),
    (4, 'INSERT INTO shop_ticket (show_id, note) VALUES (1, ''a'')')) AS s (n, statement),
    then_pools('k', statement) t
ORDER BY n;
SELECT id, note FROM shop_ticket ORDER BY id;
SELECT booking.places_left('k', 1, 'a') AS a, booking.places_left('k', 1, 'b') AS b;

-- An expired row is added and reclaimed by one statement.  The other constraint
-- has no pool yet for its key.
CREATE TABLE shop_pair (id integer PRIMARY KEY, a integer, b integer, expires timestamptz);
SELECT booking.add_capacity_constraint('shop_pair', '{a}', capacity => 1,
    expires_at => 'expires', on_expiry => 'DELETE', constraint_name => 'pair_a');
SELECT booking.add_capacity_constraint('shop_pair', '{b}', capacity => 5, constraint_name => 'pair_b');
INSERT INTO shop_pair VALUES (1, 1, 1, '2020-01-01'), (2, 1, 2, NULL);
INSERT INTO shop_pair VALUES (3, 2, 1, NULL);
SELECT id, a, b FROM shop_pair ORDER BY id;
SELECT booking.places_left('pair_b', 1) AS one, booking.places_left('pair_b', 2) AS two;
SELECT * FROM booking.verify_capacity();

-- A function is refused while its statement ends the expired row.  This is undone,
-- so the next one finds the row again.
CREATE FUNCTION add_pair(integer) RETURNS void LANGUAGE sql AS 'INSERT INTO shop_pair VALUES ($1, 3, 3)';
INSERT INTO shop_pair VALUES (4, 3, 3, '2020-01-01');
WITH moved AS (UPDATE shop_pair SET a = NULL WHERE id = 4 RETURNING 5 AS id)
SELECT add_pair(id) FROM moved;
\echo :LAST_ERROR_SQLSTATE
SELECT add_pair(5);
SELECT id FROM shop_pair WHERE a = 3;
DROP FUNCTION add_pair;
DROP TABLE shop_pair CASCADE;
SELECT booking.drop_capacity_constraint(n) FROM unnest(ARRAY['pair_a', 'pair_b']) n;

-- ---- what settling one key does to others ----

-- The statement lowers a capacity, and one of the rows that go is reclaimed by it.
CREATE TABLE shop_area (area integer PRIMARY KEY, capacity integer);
CREATE TABLE shop_place (id integer PRIMARY KEY, tier integer, area integer, note text, expires timestamptz);
INSERT INTO shop_area VALUES (1, 5), (2, 100);
SELECT booking.add_capacity_constraint('shop_place', '{tier}', capacity => 4,
    expires_at => 'expires', on_expiry => 'DELETE', constraint_name => 'place_tier');
SELECT booking.add_capacity_constraint('shop_place', '{area}', 'shop_area', 'capacity',
    constraint_name => 'place_area');
INSERT INTO shop_place VALUES (1, 1, 1), (2, 1, 1), (3, 1, 1), (4, 1, 1);
INSERT INTO shop_place VALUES (6, 2, 2), (7, 2, 2), (8, 2, 2);
INSERT INTO shop_place VALUES (5, 2, 1, '', '2020-01-01');
WITH gone AS (DELETE FROM shop_place WHERE id IN (1, 2)),
     lowered AS (UPDATE shop_area SET capacity = 3 WHERE area = 1)
INSERT INTO shop_place VALUES (9, 2, 2);
SELECT id, tier, area FROM shop_place ORDER BY id;
SELECT * FROM booking.verify_capacity();
-- One row more, and it is refused.
INSERT INTO shop_place VALUES (1, 1, 1);
WITH lowered AS (UPDATE shop_area SET capacity = 2 WHERE area = 1)
DELETE FROM shop_place WHERE id = 9;
\echo :LAST_ERROR_SQLSTATE
DROP TABLE shop_place, shop_area CASCADE;
SELECT booking.drop_capacity_constraint(n) FROM unnest(ARRAY['place_tier', 'place_area']) n;

-- A trigger is refused while another key of the statement is settled.  This is undone,
-- so the next statement finds the expired row again.
CREATE TABLE shop_place (id integer PRIMARY KEY, tier integer, note text, expires timestamptz);
SELECT booking.add_capacity_constraint('shop_place', '{tier}', capacity => 1,
    expires_at => 'expires', on_expiry => 'DELETE', constraint_name => 'place_tier');
CREATE FUNCTION while_expiring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF old.note = 'book' THEN
        BEGIN
            INSERT INTO public.shop_place VALUES (11, 2);
        EXCEPTION WHEN check_violation THEN
            RAISE NOTICE 'refused';
        END;
        RAISE EXCEPTION 'no';
    END IF;
    TRUNCATE public.shop_area;
    RETURN old;
END
$$;
CREATE TRIGGER while_expiring BEFORE DELETE ON shop_place
    FOR EACH ROW WHEN (old.note = 'book') EXECUTE FUNCTION while_expiring();
INSERT INTO shop_place VALUES (1, 1, 'book', '2020-01-01'), (2, 2, '', '2020-01-01');
WITH later AS (UPDATE shop_place SET expires = 'infinity' WHERE id = 2)
INSERT INTO shop_place VALUES (10, 1);
INSERT INTO shop_place VALUES (12, 2);
SELECT id, tier FROM shop_place ORDER BY id;
DROP TRIGGER while_expiring ON shop_place;
-- A trigger makes the pools again while the statement is settled.
SELECT booking.drop_capacity_constraint('place_tier');
CREATE TABLE shop_area (tier integer PRIMARY KEY, capacity integer);
INSERT INTO shop_area SELECT g, 1 FROM generate_series(1, 4) g;
SELECT booking.add_capacity_constraint('shop_place', '{tier}', 'shop_area', 'capacity',
    expires_at => 'expires', on_expiry => 'DELETE', constraint_name => 'place_tier');
CREATE TRIGGER while_expiring AFTER DELETE ON shop_place
    FOR EACH ROW WHEN (old.note = 'rebuild') EXECUTE FUNCTION while_expiring();
INSERT INTO shop_place VALUES (3, 3, 'rebuild', '2020-01-01');
SELECT code, message FROM outcome('INSERT INTO shop_place VALUES (13, 3), (14, 4)');
SELECT * FROM booking.verify_capacity();
DROP TABLE shop_place, shop_area CASCADE;
DROP FUNCTION while_expiring;
SELECT booking.drop_capacity_constraint('place_tier');
