-- Capacity constraints: what add_capacity_constraint() refuses.
--
-- Promises:
--   - Each bad input raises an error of its own, which says what is wrong and what
--     to do.
--   - Nothing half made is left behind: no trigger, no table, no constraint.
CALL recreate_booking();
CALL recreate_shop();
CREATE VIEW shop_view AS SELECT * FROM shop_ticket;
CREATE MATERIALIZED VIEW shop_stored AS SELECT * FROM shop_ticket;
CREATE TEMP TABLE shop_temp AS SELECT * FROM shop_ticket;
CREATE FOREIGN DATA WRAPPER regress_nothing;
CREATE SERVER regress_nowhere FOREIGN DATA WRAPPER regress_nothing;
CREATE FOREIGN TABLE shop_foreign (show_id integer) SERVER regress_nowhere;
CREATE TABLE shop_parent (show_id integer);
CREATE TABLE shop_child () INHERITS (shop_parent);
CREATE TABLE shop_parts (show_id integer) PARTITION BY LIST (show_id);
CREATE TABLE shop_part PARTITION OF shop_parts FOR VALUES IN (1);
CREATE SEQUENCE shop_sequence;
CREATE TABLE shop_types (
    show_id bigint PRIMARY KEY, small smallint, number numeric, name text, day timestamp,
    at timestamptz, place point, doc json, capacity integer, money numeric, part integer,
    late integer UNIQUE DEFERRABLE, expr integer);
CREATE UNIQUE INDEX ON shop_types (part) WHERE capacity > 0;
CREATE UNIQUE INDEX ON shop_types (abs(expr));
CREATE FUNCTION volatile_f(integer) RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT true';
CREATE FUNCTION stable_f(integer) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';

-- Calls add_capacity_constraint() with the arguments given, and returns how that ended.
CREATE FUNCTION adding(arguments text)
RETURNS TABLE (code text, message text, detail text, hint text, fields text)
LANGUAGE sql
AS $$ SELECT * FROM diagnosed('SELECT booking.add_capacity_constraint(' || arguments || ')') $$;

SELECT n, a.code, a.message, a.detail, a.hint
FROM (VALUES
    -- tables
    (1, '''nothing'', ''{a}'', capacity => 1'),
    (2, '''shop_ticket'', ''{show_id}'', ''nothing'', ''capacity'''),
    (3, '''shop_view'', ''{show_id}'', capacity => 1'),
    (4, '''shop_stored'', ''{show_id}'', capacity => 1'),
    (5, '''shop_foreign'', ''{show_id}'', capacity => 1'),
    (6, '''shop_temp'', ''{show_id}'', capacity => 1'),
    (7, '''pg_class'', ''{relname}'', capacity => 1'),
    (8, '''information_schema.sql_parts'', ''{feature_id}'', capacity => 1'),
    (9, '''shop_parent'', ''{show_id}'', capacity => 1'),
    (10, '''shop_child'', ''{show_id}'', capacity => 1'),
    (11, '''shop_part'', ''{show_id}'', capacity => 1'),
    (12, '''shop_sequence'', ''{last_value}'', capacity => 1'),
    (13, '''shop_ticket_pkey'', ''{id}'', capacity => 1'),
    (14, '''shop_ticket'', ''{show_id}'', ''shop_view'', ''capacity'', ''{show_id}'''),
    (15, '''shop_ticket'', ''{show_id}'', ''shop_temp'', ''quantity'', ''{show_id}'''),
    (16, '0, ''{show_id}'', capacity => 1'),
    (17, '987654321, ''{show_id}'', capacity => 1'),
    (18, '''booking.ticket'', ''{user_id}'', ''shop_part'', ''show_id'', ''{show_id}'''),
    -- columns
    (21, '''shop_ticket'', ''{nothing}'', capacity => 1'),
    (22, '''shop_ticket'', ''{show_id,nothing}'', capacity => 1'),
    (23, '''shop_ticket'', ''{show_id}'', capacity => 1, quantity_column => ''nothing'''),
    (24, '''shop_ticket'', ''{show_id}'', capacity => 1, expires_at => ''nothing'', on_expiry => ''DELETE'''),
    (25, '''shop_ticket'', ''{show_id}'', ''shop_show'', ''nothing'''),
    (26, '''shop_ticket'', ''{show_id}'', ''shop_show'', ''capacity'', ''{nothing}'''),
    (27, '''shop_ticket'', ''{ctid}'', capacity => 1'),
    (28, '''shop_ticket'', ''{}'', capacity => 1'),
    (29, '''shop_ticket'', ''{id,show_id,status,quantity,note}'', capacity => 1'),
    (30, '''shop_ticket'', ''{show_id,show_id}'', capacity => 1'),
    (31, '''shop_show'', ''{capacity}'', capacity => 1'),
    (32, '''shop_ticket'', ''{{show_id},{id}}'', capacity => 1'),
    -- types
    (41, '''shop_ticket'', ''{show_id}'', ''shop_types'', ''capacity'''),
    (42, '''shop_types'', ''{doc}'', capacity => 1'),
    (43, '''shop_types'', ''{place}'', capacity => 1'),
    (44, '''shop_types'', ''{show_id}'', capacity => 1, quantity_column => ''number'''),
    (45, '''shop_types'', ''{show_id}'', capacity => 1, expires_at => ''day'', on_expiry => ''DELETE'''),
    (46, '''shop_types'', ''{show_id}'', ''shop_types'', ''money'''),
    (47, '''shop_ticket'', ''{show_id,id}'', ''shop_show'', ''capacity'''),
    -- a key that is not unique
    (51, '''shop_ticket'', ''{show_id}'', ''shop_show'', ''capacity'', ''{capacity}'''),
    (52, '''shop_ticket'', ''{show_id}'', ''shop_types'', ''capacity'', ''{part}'''),
    (53, '''shop_ticket'', ''{show_id}'', ''shop_types'', ''capacity'', ''{late}'''),
    (54, '''shop_ticket'', ''{show_id}'', ''shop_types'', ''capacity'', ''{expr}'''),
    (55, '''shop_ticket'', ''{show_id}'', ''shop_parts'', ''show_id'''),
    -- the condition
    (61, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''status'''),
    (62, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''1'''),
    (63, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''public.volatile_f(id)'''),
    (64, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''public.stable_f(id)'''),
    (65, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''now() > ''''2020-01-01'''''''),
    (66, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''id = (SELECT 1)'''),
    (67, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''EXISTS (SELECT FROM public.shop_show)'''),
    (68, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''count(*) > 1'''),
    (69, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''row_number() OVER () = 1'''),
    (70, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''generate_series(1, 2) = 1'''),
    (71, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''shop_show.id = 1'''),
    (72, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''nothing = 1'''),
    (73, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''nothing(id)'''),
    (74, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''id ='''),
    (75, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => '''''),
    (76, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''true; DROP TABLE shop_show'''),
    (77, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''true, true'''),
    (78, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''true FROM shop_show'''),
    (79, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''true AS x'''),
    (80, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''true UNION SELECT false'''),
    (81, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''id = $1'''),
    (82, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''true) OR (true'''),
    (83, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''*'''),
    (84, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''DISTINCT true'''),
    (85, '''shop_ticket'', ''{show_id}'', capacity => 1, condition => ''shop_ticket'''),
    -- capacity
    (91, '''shop_ticket'', ''{show_id}'''),
    (92, '''shop_ticket'', ''{show_id}'', ''shop_show'', ''capacity'', capacity => 1'),
    (93, '''shop_ticket'', ''{show_id}'', ''shop_show'''),
    (94, '''shop_ticket'', ''{show_id}'', capacity_column => ''capacity'''),
    (95, '''shop_ticket'', ''{show_id}'', capacity_column => ''capacity'', capacity => 1'),
    (96, '''shop_ticket'', ''{show_id}'', capacity => -1'),
    (97, 'NULL, ''{show_id}'', capacity => 1'),
    (98, '''shop_ticket'', NULL, capacity => 1'),
    (99, '''shop_ticket'', ''{show_id,NULL}'', capacity => 1'),
    (100, '''shop_ticket'', ''{show_id}'', capacity => 1, capacity_key => ''{id}'''),
    (101, '''shop_ticket'', ''{show_id}'', capacity => 1, allow_excess => NULL'),
    (102, '''shop_ticket'', ''{show_id}'', ''shop_show'', ''capacity'', ''{NULL}'''),
    -- expiry
    (111, '''shop_types'', ''{show_id}'', capacity => 1, expires_at => ''at'''),
    (112, '''shop_types'', ''{show_id}'', capacity => 1, on_expiry => ''DELETE'''),
    (121, '''shop_types'', ''{show_id}'', capacity => 1, expires_at => ''at'', on_expiry => ''name = NULL'''),
    (113, '''shop_types'', ''{show_id}'', capacity => 1, expires_at => ''at'', on_expiry => '''''),
    (114, '''shop_types'', ''{show_id}'', capacity => 1, expires_at => ''at'', on_expiry => ''TRUNCATE'''),
    (115, '''shop_types'', ''{show_id}'', capacity => 1, expires_at => ''at'', on_expiry => ''nothing = 1'''),
    (116, '''shop_types'', ''{show_id}'', capacity => 1, expires_at => ''at'', on_expiry => ''name = 1.5::point'''),
    (117, '''shop_types'', ''{show_id}'', capacity => 1, expires_at => ''at'', on_expiry => ''name = '''''''' WHERE false'''),
    (118, '''shop_types'', ''{show_id}'', capacity => 1, expires_at => ''at'', on_expiry => ''name = 1; DROP TABLE shop_types'''),
    (119, '''shop_types'', ''{show_id}'', capacity => 1, expires_at => ''at'', on_expiry => ''name = x FROM shop_show'''),
    (120, '''shop_types'', ''{show_id}'', capacity => 1, expires_at => ''at'', on_expiry => ''name = 1 RETURNING *'''),
    -- names
    (131, '''shop_ticket'', ''{show_id}'', capacity => 1, constraint_name => ''ticket'''),
    (132, '''shop_ticket'', ''{show_id}'', capacity => 1, constraint_name => ''capacity_constraints'''),
    (133, '''shop_ticket'', ''{show_id}'', capacity => 1, constraint_name => ''ticket_pkey'''),
    (134, '''shop_ticket'', ''{show_id}'', capacity => 1, constraint_name => ''''')) AS t (n, arguments),
    adding(arguments) a
ORDER BY n;

-- Rows that exceed the capacity: the five worst keys are named, the worst first.
INSERT INTO shop_show SELECT g, 1 FROM generate_series(11, 17) g;
INSERT INTO shop_ticket (show_id) SELECT g FROM generate_series(11, 17) g, generate_series(1, g - 9);
SELECT * FROM adding('''shop_ticket'', ''{show_id}'', ''shop_show'', ''capacity''') \gx
SELECT * FROM adding('''shop_ticket'', ''{show_id}'', capacity => 6') \gx
SELECT * FROM adding('''shop_ticket'', ''{status,show_id}'', capacity => 7') \gx
-- Rows without a capacity.
INSERT INTO shop_ticket (show_id) VALUES (99), (98), (98);
SELECT * FROM adding('''shop_ticket'', ''{show_id}'', ''shop_show'', ''capacity'', allow_excess => true') \gx
DELETE FROM shop_ticket WHERE show_id > 90;
-- Rows that are no good by themselves.
DELETE FROM shop_ticket;
INSERT INTO shop_ticket (show_id, quantity) VALUES (1, -1);
SELECT * FROM adding('''shop_ticket'', ''{show_id}'', capacity => 6, quantity_column => ''quantity''') \gx
DELETE FROM shop_ticket;
UPDATE shop_show SET capacity = -5 WHERE id = 2;
SELECT * FROM adding('''shop_ticket'', ''{show_id}'', ''shop_show'', ''capacity''') \gx
DELETE FROM shop_show;
ALTER TABLE shop_show ALTER capacity TYPE bigint;
INSERT INTO shop_show VALUES (1, 3000000000);
SELECT * FROM adding('''shop_ticket'', ''{show_id}'', ''shop_show'', ''capacity''') \gx
UPDATE shop_show SET capacity = 2147483647;
DROP VIEW shop_view;
DROP MATERIALIZED VIEW shop_stored;
ALTER TABLE shop_ticket ALTER quantity TYPE bigint;
INSERT INTO shop_ticket (show_id, quantity) VALUES (1, 2147483647), (1, 2147483647), (1, 2147483647);
SELECT code, message FROM adding('''shop_ticket'', ''{show_id}'', ''shop_show'', ''capacity'', quantity_column => ''quantity'', allow_excess => true');
DELETE FROM shop_ticket;

-- Nothing is left.
SELECT * FROM booking.capacity_constraints;
SELECT tgname, tgrelid::regclass FROM pg_trigger WHERE tgfoid::regproc::text LIKE '%capacity%';
SELECT relname FROM pg_class
WHERE relnamespace = 'booking'::regnamespace AND relkind = 'r' AND relname NOT IN
    ('event', 'ticket', 'hold', 'inventory', 'request', 'user_tally', 'user_limit', 'resource_lock', 'history');

-- A name that a constraint has already.
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', capacity => 2);
SELECT * FROM adding('''shop_ticket'', ''{show_id}'', capacity => 6') \gx
SELECT * FROM adding('''shop_parts'', ''{show_id}'', capacity => 6, constraint_name => ''shop_ticket_show_id_capacity''') \gx

-- The trigger functions may only be called by the triggers that belong to them.
SELECT n, d.code, d.message
FROM (VALUES (1, 'SELECT booking.capacity_count()'),
             (3, 'SELECT booking.capacity_settle()'), (4, 'SELECT booking.capacity_changed()'),
             (5, 'SELECT booking.capacity_truncated()'),
             (6, 'SELECT booking.capacity_sql(''nothing'', ''fill'')'),
             (7, 'SELECT booking.capacity_sql(''shop_ticket_show_id_capacity'', ''nothing'')'),
             (8, 'SELECT * FROM booking.capacity_taken(''shop_ticket_show_id_capacity'') AS t (a text)'),
             (9, 'SELECT booking.trigger_words(''\x61'', 3::smallint)')) AS t (n, statement), diagnosed(statement) d
ORDER BY n;
CREATE TABLE mine (a integer, b text);
SELECT n, a.code, a.message
FROM (VALUES
    (1, 'BEFORE INSERT', 'ROW', 'capacity_count(''shop_ticket_show_id_capacity'', '''', '''', ''a'')'),
    (2, 'AFTER INSERT', 'STATEMENT', 'capacity_count(''shop_ticket_show_id_capacity'', '''', '''', ''a'')'),
    (3, 'AFTER INSERT', 'ROW', 'capacity_count()'),
    (4, 'AFTER INSERT', 'ROW', 'capacity_count(''nothing'', '''', '''', ''a'')'),
    (5, 'AFTER INSERT', 'ROW', 'capacity_count(''ticket'', '''', '''', ''a'')'),
    (6, 'AFTER INSERT', 'ROW', 'capacity_count(''shop_ticket_show_id_capacity'', '''', '''', ''a'', ''a'')'),
    (7, 'AFTER INSERT', 'ROW', 'capacity_count(''shop_ticket_show_id_capacity'', '''', '''', ''b'')'),
    (8, 'AFTER INSERT', 'ROW', 'capacity_count(''shop_ticket_show_id_capacity'', ''b'', '''', ''a'')'),
    (9, 'AFTER INSERT', 'ROW', 'capacity_count(''shop_ticket_show_id_capacity'', '''', ''a'', ''a'')'),
    (10, 'AFTER INSERT', 'ROW', 'capacity_settle(''1'', ''t'', '''', '''', '''')'),
    (11, 'AFTER INSERT', 'STATEMENT', 'capacity_settle()'),
    (12, 'AFTER INSERT', 'STATEMENT', 'capacity_changed(''shop_ticket_show_id_capacity'', '''', '''', ''a'')'),
    (13, 'AFTER INSERT', 'ROW', 'capacity_changed(''shop_ticket_show_id_capacity'', '''', '''', ''a'')'),
    (14, 'AFTER INSERT', 'STATEMENT', 'capacity_truncated(''shop_ticket_show_id_capacity'', '''', '''', ''a'')'),
    (15, 'AFTER INSERT', 'ROW', 'capacity_truncated()'),
    (16, 'AFTER INSERT OR DELETE', 'ROW', 'capacity_changed(''shop_ticket_show_id_capacity'', '''', '''', ''a'')'))
    AS t (n, event, level, function),
    after_change(format('CREATE TRIGGER t %s ON mine FOR EACH %s EXECUTE FUNCTION booking.%s', event, level, function),
                 'INSERT INTO mine VALUES (1, 2)') a
ORDER BY n;
BEGIN;
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON mine DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION booking.capacity_count('shop_ticket_show_id_capacity', '', '', 'a');
INSERT INTO mine VALUES (1, 'x');
COMMIT;

-- The pool table is not to be touched.
SELECT n, a.code, a.message, a.detail
FROM (VALUES
    (1, 'ALTER TABLE booking.shop_ticket_show_id_capacity DISABLE TRIGGER ALL'),
    (2, 'DROP TRIGGER _booking_capacity_settle ON booking.shop_ticket_show_id_capacity'),
    (3, 'ALTER TABLE booking.shop_ticket_show_id_capacity DROP CONSTRAINT shop_ticket_show_id_capacity_pkey'),
    (4, 'ALTER TABLE booking.shop_ticket_show_id_capacity ADD x integer'),
    (5, 'ALTER TABLE booking.shop_ticket_show_id_capacity DROP available'),
    (6, 'DROP TABLE booking.shop_ticket_show_id_capacity'),
    (7, 'ALTER TABLE booking.shop_ticket_show_id_capacity RENAME TO other'))
    AS t (n, change),
    after_change(change, 'INSERT INTO shop_ticket (show_id) VALUES (7), (7), (7)') a
ORDER BY n;
-- A trigger that is disabled is found at the latest by the commit.
BEGIN;
ALTER TABLE booking.shop_ticket_show_id_capacity DISABLE TRIGGER ALL;
INSERT INTO shop_ticket (show_id) VALUES (7), (7), (7);
COMMIT;
-- A negative quantity that was loaded without triggers takes no place, and can go.
ALTER TABLE shop_show ALTER capacity TYPE bigint;
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity', '{id}',
    quantity_column => 'quantity', constraint_name => 'q');
SET session_replication_role = replica;
INSERT INTO shop_ticket (id, show_id, quantity) VALUES (7777, 1, -5);
RESET session_replication_role;
SELECT booking.rebuild_capacity('q');
SELECT booking.places_left('q', 1);
DELETE FROM shop_ticket WHERE id = 7777;
SELECT booking.places_left('q', 1);
-- A capacity that was loaded without triggers has no pool until the constraint is rebuilt.
SET session_replication_role = replica;
INSERT INTO shop_show VALUES (7777, 5);
RESET session_replication_role;
SELECT code, message FROM diagnosed('UPDATE shop_show SET capacity = 6 WHERE id = 7777');
DELETE FROM shop_show WHERE id = 7777;
SELECT booking.drop_capacity_constraint('q');
SELECT count(*) FROM shop_ticket;
-- The caller of an internal function expects other columns.
INSERT INTO shop_ticket (id, show_id) VALUES (7777, 1);
SELECT code, message
FROM diagnosed('SELECT * FROM booking.capacity_taken(''shop_ticket_show_id_capacity'') AS t (a text, b text)');
DELETE FROM shop_ticket WHERE id = 7777;
SELECT pools('shop_ticket_show_id_capacity');

SET client_min_messages = warning;
DROP TABLE mine, shop_types, shop_parts, shop_parent, shop_child, shop_temp;
DROP FOREIGN DATA WRAPPER regress_nothing CASCADE;
DROP SEQUENCE shop_sequence;
DROP FUNCTION volatile_f, stable_f, adding;
