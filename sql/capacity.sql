-- Capacity constraints: each argument, the view and the functions around them.
--
-- Promises:
--   - Rows of a table never exceed the capacity of their key, whatever the capacity
--     and the places of a row come from.  A row too many is refused with 23514.
--   - places_left() is what the capacity leaves; null if it is unlimited.
--   - A constraint that is dropped leaves nothing.
--   - verify_capacity() finds wrong pools, and rebuild_capacity() mends them.
CALL recreate_booking();
CALL recreate_shop();

-- ---- a column is the capacity ----

SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}',
    capacity_table => 'shop_show', capacity_column => 'capacity');
SELECT pools('shop_ticket_show_id_capacity');

SELECT n, t.*
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    (2, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    (3, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    -- no place at all, none for a null, no limit
    (4, 'INSERT INTO shop_ticket (show_id) VALUES (3)'),
    (5, 'INSERT INTO shop_ticket (show_id) VALUES (NULL)'),
    (6, 'INSERT INTO shop_ticket (show_id) SELECT 4 FROM generate_series(1, 100)'),
    -- a key without a capacity
    (7, 'INSERT INTO shop_ticket (show_id) VALUES (5)'),
    -- places come back
    (8, 'DELETE FROM shop_ticket WHERE id = 1'),
    (9, 'UPDATE shop_ticket SET show_id = 2 WHERE id = 2')) AS s (n, statement),
    then_pools('shop_ticket_show_id_capacity', statement) t
ORDER BY n;

SELECT k, booking.places_left('shop_ticket_show_id_capacity', k) AS places_left
FROM generate_series(1, 4) k ORDER BY k;

SELECT * FROM diagnosed('INSERT INTO shop_ticket (show_id) VALUES (1), (1), (1)') \gx
SELECT * FROM diagnosed('INSERT INTO shop_ticket (show_id) VALUES (5)') \gx

SELECT * FROM booking.capacity_constraints \gx

-- What it consists of.
SELECT c.relname, pg_get_userbyid(c.relowner) = current_user AS mine
FROM pg_class c
WHERE relnamespace = 'booking'::regnamespace AND relname LIKE 'shop%' ORDER BY relname;
SELECT tgrelid::regclass AS rel, tgname, tgfoid::regproc AS function
FROM pg_trigger WHERE tgname LIKE '\_booking\_%' ORDER BY tgrelid::regclass::text, tgname;

-- ---- drop ----

SELECT booking.drop_capacity_constraint('shop_ticket_show_id_capacity');
SELECT * FROM booking.capacity_constraints;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE '\_booking\_%';
SELECT count(*) FROM pg_class WHERE relnamespace = 'booking'::regnamespace AND relname LIKE 'shop%';
INSERT INTO shop_ticket (show_id) SELECT 1 FROM generate_series(1, 9);
SELECT * FROM diagnosed($$SELECT booking.drop_capacity_constraint('shop_ticket_show_id_capacity')$$);
SELECT booking.drop_capacity_constraint('shop_ticket_show_id_capacity', if_exists => true);

-- A table of schema booking that is no constraint is not dropped.
SELECT code, message FROM diagnosed($$SELECT booking.drop_capacity_constraint('ticket')$$);
SELECT to_regclass('booking.ticket');

-- ---- all other arguments ----

-- A constant for every key.
CALL recreate_shop();
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', capacity => 2,
    constraint_name => 'two');
SELECT n, t.*
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (show_id) VALUES (1), (1), (77)'),
    (2, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    (3, 'INSERT INTO shop_ticket (show_id) VALUES (8), (8), (8)'),
    (4, 'INSERT INTO shop_ticket (show_id) VALUES (NULL), (NULL), (NULL)'),
    (5, 'DELETE FROM shop_ticket WHERE show_id = 1'))
    AS s (n, statement), then_pools('two', statement) t
ORDER BY n;
SELECT booking.places_left('two', 1) AS one, booking.places_left('two', 77) AS seventy_seven,
       booking.places_left('two', 5) AS never_seen;
SELECT * FROM booking.capacity_constraints \gx
SELECT booking.drop_capacity_constraint('two');

-- Capacity 0: no row at all.
SELECT booking.add_capacity_constraint('shop_ticket', '{id}', capacity => 0,
    constraint_name => 'none', allow_excess => true);
SELECT code, detail FROM outcome('INSERT INTO shop_ticket (show_id) VALUES (1)');
SELECT booking.drop_capacity_constraint('none');

-- A quantity, and a condition.
CALL recreate_shop();
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}',
    capacity_table => 'shop_show', capacity_column => 'capacity', capacity_key => '{id}',
    quantity_column => 'quantity', condition => $$status <> 'cancelled'$$,
    constraint_name => 'places');
SELECT n, t.*
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (show_id, quantity) VALUES (2, 2)'),
    (2, 'INSERT INTO shop_ticket (show_id, quantity) VALUES (2, 2)'),
    (3, 'INSERT INTO shop_ticket (show_id, quantity, status) VALUES (2, 2, ''cancelled'')'),
    -- a condition that is null does not count, as with a partial index
    (4, 'INSERT INTO shop_ticket (show_id, quantity, status) VALUES (2, 9, NULL)'),
    (5, 'INSERT INTO shop_ticket (show_id, quantity) VALUES (2, 0)'),
    (6, 'INSERT INTO shop_ticket (show_id, quantity) VALUES (2, NULL)'),
    (7, 'INSERT INTO shop_ticket (show_id, quantity) VALUES (2, -1)'),
    (8, 'UPDATE shop_ticket SET quantity = 3 WHERE id = 1'),
    (9, 'UPDATE shop_ticket SET quantity = 4 WHERE id = 1'),
    (10, 'UPDATE shop_ticket SET quantity = -1 WHERE id = 1'),
    (11, 'UPDATE shop_ticket SET status = ''paid'' WHERE id = 3'),
    (12, 'UPDATE shop_ticket SET status = ''cancelled'' WHERE id = 1'),
    (13, 'UPDATE shop_ticket SET status = ''paid'' WHERE id = 3'),
    (14, 'UPDATE shop_ticket SET note = ''x''')) AS s (n, statement),
    then_pools('places', statement) t
ORDER BY n;
SELECT * FROM diagnosed('INSERT INTO shop_ticket (show_id, quantity) VALUES (2, -1)') \gx
SELECT condition, quantity_column FROM booking.capacity_constraints;

-- allow_excess: what is there already is accepted, and sold no further.
SELECT booking.drop_capacity_constraint('places');
CALL recreate_shop();
INSERT INTO shop_ticket (show_id) VALUES (1), (1), (1), (1), (2);
SELECT * FROM diagnosed($$SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}',
    capacity_table => 'shop_show', capacity_column => 'capacity')$$) \gx
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', capacity_table => 'shop_show',
    capacity_column => 'capacity', allow_excess => true, constraint_name => 'lenient');
SELECT n, t.*, booking.places_left('lenient', 1)
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    (2, 'DELETE FROM shop_ticket WHERE id = 1'),
    (3, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    (4, 'DELETE FROM shop_ticket WHERE id = 2'),
    (5, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    (6, 'DELETE FROM shop_ticket WHERE id = 3'),
    (7, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    (8, 'INSERT INTO shop_ticket (show_id) VALUES (1)'),
    -- a capacity that is lowered below what is taken, and raised again
    (9, 'UPDATE shop_show SET capacity = 0 WHERE id = 1'),
    (10, 'UPDATE shop_show SET capacity = 3 WHERE id = 1')) AS s (n, statement),
    then_pools('lenient', statement) t
ORDER BY n;
UPDATE shop_show SET capacity = 1 WHERE id = 1;
SELECT * FROM booking.verify_capacity('lenient') \gx

-- ---- damage, verify and rebuild ----

SELECT booking.rebuild_capacity('lenient');
SELECT pools('lenient');
UPDATE shop_show SET capacity = 5 WHERE id = 1;
SELECT * FROM booking.verify_capacity();
SELECT n, v.*
FROM (VALUES
    (1, 'UPDATE booking.lenient SET available = available + 1 WHERE show_id = 1 AND stripe = 0'),
    (2, 'DELETE FROM booking.lenient WHERE show_id = 1'),
    (3, 'UPDATE booking.lenient SET capacity = 9 WHERE show_id = 1'),
    (4, 'UPDATE booking.lenient SET capacity = NULL WHERE show_id = 1'),
    (5, 'INSERT INTO booking.lenient VALUES (99, 0, 1, 1)'),
    (6, 'INSERT INTO booking.lenient VALUES (99, 1, 1, 1)'),
    (7, 'UPDATE booking.lenient SET available = available - 1, capacity = 4 WHERE show_id = 1 AND stripe = 0'))
    AS s (n, damage),
    LATERAL (SELECT a.code, a.message, a.detail FROM after_change(damage,
        'DO $d$ DECLARE r text; BEGIN'
        ' SELECT string_agg(concat_ws('' '', v.key, v.problem, v.expected, v.found), ''; '' ORDER BY v.key, v.problem)'
        ' INTO r FROM booking.verify_capacity(''lenient'') v; RAISE EXCEPTION ''%'', r;'
        ' END $d$') a) v
ORDER BY n;
SELECT n, a.code, a.message
FROM (VALUES
    (1, 'UPDATE booking.lenient SET available = available + 1 WHERE show_id = 1'),
    (2, 'DELETE FROM booking.lenient'),
    (3, 'UPDATE booking.lenient SET capacity = 9'),
    (4, 'INSERT INTO booking.lenient VALUES (99, 1, 1, 1)')) AS s (n, damage),
    after_change(damage || $$; SELECT booking.rebuild_capacity('lenient')$$,
        $$DO 'BEGIN RAISE EXCEPTION ''%'', pools(''lenient''); END'$$) a
ORDER BY n;

-- The functions' own bad input.
SELECT n, d.code, d.message, d.hint
FROM (VALUES
    (1, 'SELECT booking.rebuild_capacity(''nothing'')'),
    (2, 'SELECT booking.places_left(''nothing'', 1)'),
    (3, 'SELECT booking.places_left(NULL, 1)'),
    (4, 'SELECT booking.places_left(''lenient'', 99)'),
    (5, 'SELECT booking.places_left(''lenient'', NULL::integer)'),
    (6, 'SELECT booking.places_left(''lenient'', 1, 2)'),
    (7, 'SELECT booking.places_left(''lenient'', VARIADIC ''{}''::integer[])'),
    (8, 'SELECT booking.places_left(''lenient'', ''x'')'),
    (9, 'SELECT booking.places_left(''ticket'', 1)'),
    (10, 'SELECT booking.expire_rows(''nothing'')'),
    (11, 'SELECT booking.expire_rows(''lenient'')'),
    (12, 'SELECT booking.expire_rows(''lenient'', -1)'),
    (13, 'SELECT booking.expire_rows(NULL)'),
    (14, 'SELECT * FROM booking.verify_capacity(''nothing'')'),
    (15, 'SELECT booking.rebuild_capacity(NULL)'),
    (16, 'SELECT booking.drop_capacity_constraint(NULL)'),
    (17, 'SELECT booking.places_left(''lenient'', VARIADIC NULL::integer[])')) AS s (n, statement),
    diagnosed(statement) d
ORDER BY n;
-- Any type that reads as the key's is good for places_left().
SELECT booking.places_left('lenient', 2) AS integer, booking.places_left('lenient', '2') AS unknown,
       booking.places_left('lenient', 2::bigint) AS bigint,
       booking.places_left('lenient', '2'::text) AS text,
       booking.places_left('lenient', VARIADIC ARRAY[2]) AS variadic;

-- Names: quoted, long, and of several constraints on one table.
CALL recreate_shop();
SELECT booking.drop_capacity_constraint('lenient', true);
CREATE SCHEMA "Regress Shop";
CREATE TABLE "Regress Shop"."The ""Show""" ("Its 'Id'" integer PRIMARY KEY, "Max $1" integer);
CREATE TABLE "Regress Shop"."A Ticket for a table with a very long name \ of all" (
    "Show \ 'Id'" integer, "Quantity %s" integer, "Status $x$" text);
INSERT INTO "Regress Shop"."The ""Show""" VALUES (1, 2);
SELECT booking.add_capacity_constraint('"Regress Shop"."A Ticket for a table with a very long name \ of all"',
    ARRAY['Show \ ''Id'''], '"Regress Shop"."The ""Show"""', 'Max $1',
    quantity_column => 'Quantity %s', condition => '"Status $x$" <> ''%I''') AS name \gset
\echo :name
SELECT n, t.*
FROM (VALUES (1, 1), (2, 2), (3, 1), (4, 1)) AS s (n, places),
     then_pools(:'name', format('INSERT INTO "Regress Shop"."A Ticket for a table with a very long name \ of all"'
                                ' VALUES (1, %s, ''y'')', places)) t
ORDER BY n;
SELECT * FROM booking.capacity_constraints \gx
SELECT booking.rebuild_capacity(:'name');
SELECT pools(:'name'), booking.places_left(:'name', 1);
TRUNCATE "Regress Shop"."A Ticket for a table with a very long name \ of all";
SELECT pools(:'name');
-- A second constraint on the same columns gets another name.
SELECT * FROM diagnosed($$SELECT booking.add_capacity_constraint(
    '"Regress Shop"."A Ticket for a table with a very long name \ of all"',
    ARRAY['Show \ ''Id'''], capacity => 1)$$) \gx
SELECT booking.add_capacity_constraint('"Regress Shop"."A Ticket for a table with a very long name \ of all"',
    ARRAY['Show \ ''Id'''], capacity => 1, constraint_name => repeat('x', 63)) = repeat('x', 63) AS long_name;
SELECT booking.add_capacity_constraint('"Regress Shop"."A Ticket for a table with a very long name \ of all"',
    ARRAY['Show \ ''Id'''], capacity => 1, constraint_name => repeat('x', 62) || 'y') = repeat('x', 62) || 'y' AS alike;
INSERT INTO "Regress Shop"."A Ticket for a table with a very long name \ of all" VALUES (1, 1, 'y');
SELECT pools(repeat('x', 63)) AS x, pools(repeat('x', 62) || 'y') AS y;
SELECT code, message FROM outcome(
    'INSERT INTO "Regress Shop"."A Ticket for a table with a very long name \ of all" VALUES (1, 1, ''y'')');
SELECT booking.drop_capacity_constraint(constraint_name) FROM booking.capacity_constraints;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE '\_booking\_%';
SET client_min_messages = warning;
DROP SCHEMA "Regress Shop" CASCADE;
RESET client_min_messages;

-- Names that are not ASCII, and a dot in a name.
CREATE TABLE "Größe.x" ("Schlüssel" integer, "é.\001" integer);
SELECT booking.add_capacity_constraint('"Größe.x"', '{Schlüssel}', capacity => 1,
    quantity_column => 'é.\001', constraint_name => 'Größe') AS name;
INSERT INTO "Größe.x" VALUES (1, 1);
SELECT * FROM diagnosed('INSERT INTO "Größe.x" VALUES (1, 1)') \gx
SELECT * FROM booking.capacity_constraints \gx
SELECT pools('Größe'), booking.places_left('Größe', 1);
SELECT booking.add_capacity_constraint('"Größe.x"', '{Schlüssel}', capacity => 9,
    constraint_name => repeat('ü', 31)) = repeat('ü', 31) AS name;
SELECT pools(repeat('ü', 31)::name);
DROP TABLE "Größe.x";
CALL recreate_shop();
