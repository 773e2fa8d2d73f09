--
-- The user owns the tables, the extension owns the functions.
--
-- Promises:
--   - CREATE EXTENSION creates functions only.
--   - create_tables() creates the documented tables.  It can be called again.
--   - DROP EXTENSION is refused while the triggers exist.  CASCADE loses no row.
--   - After that, create_tables() attaches the triggers again.  It warns if the
--     inventory is out of date, and rebuild_inventory() repairs that.
\set VERBOSITY terse

CREATE EXTENSION pg_booking;

-- The extension contains functions only.  The schema is not a member of it.
SELECT p.oid::regprocedure AS function, p.provolatile AS volatility, p.proparallel AS parallel,
       p.prosecdef AS definer, p.proisstrict AS strict
FROM pg_depend d
    JOIN pg_extension x ON x.oid = d.refobjid
    JOIN pg_proc p ON p.oid = d.objid
WHERE x.extname = 'pg_booking' AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass
ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT d.classid::regclass AS something_else
FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
WHERE x.extname = 'pg_booking' AND d.deptype = 'e' AND d.classid <> 'pg_proc'::regclass
    AND d.classid <> 'pg_type'::regclass    -- the view's row type, from 18 on
    AND (d.classid, d.objid) <> ('pg_class'::regclass, 'booking.capacity_constraints'::regclass);

-- Before create_tables(), nothing can be booked.
SELECT booking.book_ticket(1, 1);
\echo :LAST_ERROR_SQLSTATE

SELECT booking.create_tables();

-- The columns, indexes, constraints and triggers are as documented.
SELECT c.relname AS table_name, a.attname AS column_name,
       format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
       a.attidentity AS identity, pg_get_expr(d.adbin, d.adrelid) AS default
FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'booking'::regnamespace AND c.relkind = 'r'
ORDER BY c.relname, a.attnum;
SELECT tablename, indexdef FROM pg_indexes
WHERE schemaname = 'booking' ORDER BY tablename, indexname COLLATE "C";
SELECT conrelid::regclass AS table_name, pg_get_constraintdef(oid) AS definition
FROM pg_constraint
WHERE connamespace = 'booking'::regnamespace AND contype IN ('c', 'f')
ORDER BY 1, 2;
SELECT tgrelid::regclass AS table_name, tgname, tgfoid::regproc AS function
FROM pg_trigger
WHERE NOT tgisinternal
    AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'booking'::regnamespace)
ORDER BY 1, 2;

-- The tables are not members of the extension.  The caller of create_tables()
-- owns them.
SELECT count(*) AS members
FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
WHERE x.extname = 'pg_booking' AND d.deptype = 'e' AND d.classid = 'pg_class'::regclass
    AND d.objid <> 'booking.capacity_constraints'::regclass;
SELECT relname, relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user) AS mine
FROM pg_class
WHERE relnamespace = 'booking'::regnamespace AND relkind IN ('r', 'v', 'S')
ORDER BY relname;

-- Everything that a user sees has a COMMENT.
SELECT p.oid::regprocedure::text AS not_explained
FROM pg_proc p
WHERE p.pronamespace = 'booking'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL
UNION ALL
SELECT c.oid::regclass::text
FROM pg_class c
WHERE c.relnamespace = 'booking'::regnamespace AND c.relkind IN ('r', 'v')
    AND obj_description(c.oid, 'pg_class') IS NULL;
-- So has each column, except those whose names say everything.
SELECT a.attrelid::regclass::text AS table_name,
       string_agg(a.attname, ', ' ORDER BY a.attnum) AS not_explained
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'booking'::regnamespace AND c.relkind IN ('r', 'v')
    AND a.attnum > 0 AND col_description(a.attrelid, a.attnum) IS NULL
GROUP BY a.attrelid ORDER BY a.attrelid::regclass::text COLLATE "C";

-- A second call of create_tables() changes nothing.
INSERT INTO booking.event (name, capacity) VALUES ('concert', 3), ('theatre', 2);
SELECT booking.book_ticket(1, 100), booking.book_tickets(2, 200, 2);
CREATE TEMP TABLE before AS
    SELECT oid, relname, relfilenode, reltuples FROM pg_class
    WHERE relnamespace = 'booking'::regnamespace;
CREATE TEMP TABLE triggers_before AS SELECT oid, tgname, tgenabled FROM pg_trigger;
SELECT booking.create_tables();
SELECT count(*) AS changed
FROM before FULL JOIN (SELECT oid, relfilenode FROM pg_class
                       WHERE relnamespace = 'booking'::regnamespace) now
    USING (oid, relfilenode)
WHERE before.relname IS NULL OR now.oid IS NULL;
SELECT count(*) AS changed
FROM triggers_before b FULL JOIN pg_trigger t USING (oid, tgname, tgenabled)
WHERE b.oid IS NULL OR t.oid IS NULL;
DROP TABLE before, triggers_before;
SELECT * FROM places();

-- The extension can't be dropped while the triggers exist.
DROP EXTENSION pg_booking;
\echo :LAST_ERROR_SQLSTATE
SELECT booking.book_ticket(1, 101);

-- The user adds a column, an index and a view.
ALTER TABLE booking.ticket ADD COLUMN note text DEFAULT 'none';
CREATE INDEX ticket_note_idx ON booking.ticket (note);
CREATE VIEW booking.live AS SELECT * FROM booking.ticket WHERE cancelled_at IS NULL;

-- CASCADE drops the functions and triggers, but no row, column or index.
SET client_min_messages = warning;
DROP EXTENSION pg_booking CASCADE;
RESET client_min_messages;

SELECT event_id, name, capacity FROM booking.event ORDER BY event_id;
SELECT ticket_id, event_id, user_id, note FROM booking.live ORDER BY ticket_id;
SELECT count(*) AS indexes FROM pg_index WHERE indrelid = 'booking.ticket'::regclass;
SELECT count(*) AS triggers FROM pg_trigger
WHERE tgrelid IN ('booking.event'::regclass, 'booking.hold'::regclass, 'booking.ticket'::regclass);
SELECT booking.book_ticket(1, 102);
\echo :LAST_ERROR_SQLSTATE

-- The extension is created again.  The functions report the missing triggers,
-- and create_tables() attaches them.
CREATE EXTENSION pg_booking;
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT booking.book_ticket(1, 102);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.create_tables();
SELECT booking.book_ticket(1, 102);
SELECT * FROM booking.verify();

-- Rows written while the triggers were missing are not counted.  create_tables()
-- warns about that, and rebuild_inventory() repairs it.
SET client_min_messages = error;
DROP EXTENSION pg_booking CASCADE;
RESET client_min_messages;
DELETE FROM booking.ticket WHERE event_id = 1;
INSERT INTO booking.ticket (event_id, user_id, cancelled_at)
VALUES (1, 103, NULL), (1, 104, now());
UPDATE booking.event SET capacity = 5 WHERE event_id = 2;
INSERT INTO booking.event (name, capacity) VALUES ('opera', 7);
CREATE EXTENSION pg_booking;
SELECT booking.create_tables();
SELECT * FROM booking.verify();
SELECT * FROM booking.verify(2);
SELECT booking.book_ticket(3, 105);
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.event SET capacity = 8 WHERE event_id = 3;
\echo :LAST_ERROR_SQLSTATE
SELECT booking.rebuild_inventory(event_id) FROM booking.event ORDER BY event_id;
SELECT * FROM places();
SELECT booking.book_ticket(3, 105) > 0 AS booked;
SELECT * FROM booking.verify();

CREATE PROCEDURE past_the_triggers(statement text) LANGUAGE plpgsql SET session_replication_role = replica AS $$
BEGIN
    EXECUTE statement;
END
$$;
-- An oversold event is sold no further until enough places have come back.
CALL past_the_triggers('INSERT INTO booking.ticket (event_id, user_id) SELECT 2, u FROM generate_series(1, 9) u');
SELECT * FROM booking.verify();
SELECT * FROM booking.rebuild_inventory();
SELECT * FROM booking.rebuild_inventory();
SELECT * FROM booking.verify();
SELECT * FROM booking.availability(2);
SELECT available, held, booked FROM booking.sales WHERE event_id = 2;
SELECT n, o.code, o.message, o.detail
FROM (VALUES (1, 'SELECT booking.book_ticket(2, 1)'),
             (2, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (2, 1)'),
             (3, 'UPDATE booking.event SET capacity = capacity - 1 WHERE event_id = 2'),
             (4, 'SELECT booking.cancel_ticket(ticket_id) FROM booking.ticket'
                 ' WHERE event_id = 2 AND user_id = 9'),
             (5, 'SELECT booking.try_book_ticket(2, 1)'),
             (6, 'UPDATE booking.event SET capacity = capacity + 1 WHERE event_id = 2'),
             (7, 'SELECT booking.try_book_ticket(2, 1)'),
             (8, 'DELETE FROM booking.ticket WHERE event_id = 2 AND user_id IN (7, 8)')) AS s (n, statement),
     outcome(statement) o
ORDER BY n;
SELECT * FROM booking.verify();
UPDATE booking.ticket SET cancelled_at = now() WHERE event_id = 2 AND user_id > 3 AND cancelled_at IS NULL;
SELECT * FROM booking.verify();
SELECT status FROM booking.try_book_ticket(2, 9);
SELECT * FROM places();
-- So is one that has come without inventory, and an inventory without an event goes.
CALL past_the_triggers('INSERT INTO booking.event (event_id, capacity) VALUES (50, 1)');
CALL past_the_triggers('INSERT INTO booking.ticket (event_id, user_id) VALUES (50, 1), (50, 2)');
INSERT INTO booking.inventory (event_id, stripe, available) VALUES (51, 0, 7);
SELECT * FROM booking.verify();
SELECT * FROM booking.rebuild_inventory();
SELECT * FROM booking.verify();
DELETE FROM booking.ticket WHERE event_id = 50;
SELECT * FROM booking.availability(50);
DELETE FROM booking.event WHERE event_id = 50;
SELECT * FROM booking.verify();
-- An oversold event is replaced, and its tickets go with it.
INSERT INTO booking.event (event_id, capacity) VALUES (52, 1);
CALL past_the_triggers('INSERT INTO booking.ticket (event_id, user_id) VALUES (52, 1), (52, 2), (52, 3)');
SELECT * FROM booking.rebuild_inventory(52);
BEGIN;
ALTER TABLE booking.ticket ADD FOREIGN KEY (event_id) REFERENCES booking.event ON DELETE CASCADE;
WITH gone AS (DELETE FROM booking.event WHERE event_id = 52 RETURNING event_id)
INSERT INTO booking.event (event_id, capacity) SELECT event_id, 1 FROM gone;
SELECT * FROM booking.availability(52);
SELECT * FROM booking.verify();
ROLLBACK;
SELECT ord, status FROM booking.book_batch(52, ARRAY[7, 8]);
DELETE FROM booking.ticket WHERE event_id = 52;
DELETE FROM booking.event WHERE event_id = 52;
DROP PROCEDURE past_the_triggers;

-- create_tables() also replaces a single trigger that was dropped.
DROP TRIGGER _booking_ticket_changed ON booking.ticket;
SELECT booking.book_ticket(3, 106);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.ticket (event_id, user_id) VALUES (3, 106);
SELECT booking.create_tables();
SELECT * FROM booking.verify();
SELECT booking.rebuild_inventory(3);
INSERT INTO booking.ticket (event_id, user_id) VALUES (3, 107);
SELECT * FROM places();

-- It also replaces a table that was dropped.  It warns again if the remaining
-- tables don't match the new one.
SET client_min_messages = error;
DROP TABLE booking.inventory CASCADE;
RESET client_min_messages;
SELECT booking.book_ticket(3, 108);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.create_tables();
SELECT event_id, problem FROM booking.verify();
SELECT booking.rebuild_inventory(event_id) FROM booking.event ORDER BY event_id;
SELECT booking.book_ticket(3, 108) > 0 AS booked;
DROP VIEW booking.live, booking.sales;
DROP TABLE booking.ticket;
SELECT booking.create_tables();
SELECT event_id, problem FROM booking.verify();
SELECT booking.rebuild_inventory(event_id) FROM booking.event ORDER BY event_id;
SELECT * FROM places();

-- If the hold table is dropped, rebuild_inventory() gives its places back.
SELECT expires_at > now() AS held FROM booking.hold_tickets(1, 1, 2);
DROP VIEW booking.sales;
DROP TABLE booking.hold;
SELECT booking.book_ticket(1, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.create_tables();
SELECT event_id, problem FROM booking.verify();
SELECT booking.rebuild_inventory(1);
SELECT * FROM places() WHERE event_id = 1;
-- No warning is needed for the view, or for tables that hold no places.
DROP VIEW booking.sales;
DROP TABLE booking.request, booking.user_limit;
SELECT booking.book_ticket(1, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.create_tables();
SELECT booking.book_ticket(1, 1, 'a key') > 0 AS booked;
SELECT event_id, available, booked FROM booking.sales WHERE event_id = 1;
-- create_tables() also replaces the trigger of the hold table.
DROP TRIGGER _booking_hold_changed ON booking.hold;
SELECT booking.book_ticket(1, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.create_tables();
SELECT * FROM booking.verify();

-- CREATE EXTENSION uses the schema if it exists.  DROP EXTENSION does not drop
-- it.
SET client_min_messages = error;
DROP EXTENSION pg_booking CASCADE;
DROP TABLE booking.event, booking.inventory, booking.ticket, booking.hold, booking.request,
    booking.user_limit CASCADE;
RESET client_min_messages;
SELECT nspname FROM pg_namespace WHERE nspname = 'booking';
CREATE EXTENSION pg_booking;
SELECT booking.create_tables();
INSERT INTO booking.event (capacity) VALUES (1);
SELECT booking.book_ticket(1, 1);

-- A renamed trigger is recognized.  create_tables() does not attach a second
-- one.
ALTER TRIGGER _booking_ticket_changed ON booking.ticket RENAME TO a_first;
SELECT booking.create_tables();
SELECT tgname FROM pg_trigger WHERE tgrelid = 'booking.ticket'::regclass ORDER BY tgname;
ALTER TRIGGER a_first ON booking.ticket RENAME TO _booking_ticket_changed;

-- A transaction that books many tickets prefetches places and gives the unused
-- ones back at its end.  That works whatever it did to the tables in between.
INSERT INTO booking.event (capacity) VALUES (1000), (1000);
BEGIN;
SELECT count(booking.book_ticket(2, u)) FROM generate_series(1, 60) u;
SET LOCAL client_min_messages = warning;
DROP EXTENSION pg_booking CASCADE;
COMMIT;
CREATE EXTENSION pg_booking;
SELECT booking.create_tables();
SELECT * FROM booking.availability(2);
BEGIN;
SELECT count(booking.book_ticket(2, u)) FROM generate_series(1, 60) u;
ALTER TABLE booking.ticket RENAME TO sold;
COMMIT;
ALTER TABLE booking.sold RENAME TO ticket;
SELECT * FROM booking.availability(2);
BEGIN;
SELECT count(booking.book_ticket(2, u)) FROM generate_series(1, 60) u;
SET TRANSACTION READ ONLY;
COMMIT;
SELECT * FROM booking.availability(2);
BEGIN;
SELECT count(booking.book_ticket(3, u)) FROM generate_series(1, 60) u;
DELETE FROM booking.ticket WHERE event_id = 3;
DELETE FROM booking.event WHERE event_id = 3;
COMMIT;
SELECT count(*) FROM booking.inventory WHERE event_id = 3;
BEGIN;
SELECT count(booking.book_ticket(2, u)) FROM generate_series(1, 60) u;
DROP VIEW booking.sales;
DROP TABLE booking.event, booking.inventory, booking.ticket;
COMMIT;
SELECT booking.create_tables();
INSERT INTO booking.event (capacity) VALUES (1);
SELECT booking.book_ticket(1, 1);
SELECT * FROM damage();
SELECT * FROM booking.verify();
