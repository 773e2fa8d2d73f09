--
-- Tables that their owner has damaged: a constraint was dropped, a trigger was
-- disabled, or rows were written that only pg_booking may write.
--
-- Promises:
--   - Everything that needs the missing part raises its own SQLSTATE.  A hint says
--     how to repair it.
--   - No place is sold twice and nothing is left half done.
--   - verify() names each kind of damage.

CALL recreate_booking();
INSERT INTO booking.event (capacity) VALUES (10), (4);
SELECT booking.book_ticket(1, 1) AS live, booking.book_ticket(1, 2, 'a key') AS keyed,
       booking.book_ticket(1, 3) AS cancelled \gset
SELECT booking.cancel_ticket(:cancelled);
SELECT hold_id AS hold FROM booking.hold_tickets(1, 4, 2) \gset
SELECT hold_id AS confirmed FROM booking.hold_tickets(1, 5) \gset
SELECT cardinality(booking.confirm_hold(:confirmed)) AS tickets;
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)
VALUES (1, 6, 1, '2020-01-01') RETURNING hold_id AS expired \gset
SELECT * FROM places();
CREATE TEMP TABLE tickets_before AS SELECT * FROM booking.ticket;
CREATE TEMP TABLE inventory_before AS SELECT sum(available) FROM booking.inventory;

-- ---- constraints ----

-- The triggers check what the CHECK constraints check: 23514.
SELECT n, a.code, a.message
FROM (VALUES
    (1, 'ALTER TABLE booking.event DROP CONSTRAINT event_capacity_check',
        'INSERT INTO booking.event (capacity) VALUES (-1)'),
    (2, 'ALTER TABLE booking.event DROP CONSTRAINT event_capacity_check',
        'UPDATE booking.event SET capacity = -1 WHERE event_id = 2'),
    (5, 'ALTER TABLE booking.event DROP CONSTRAINT event_max_per_user_check',
        'INSERT INTO booking.event (capacity, max_per_user) VALUES (1, 0)'),
    (6, 'ALTER TABLE booking.event DROP CONSTRAINT event_max_per_user_check',
        'UPDATE booking.event SET max_per_user = -1'),
    (3, 'ALTER TABLE booking.event DROP CONSTRAINT event_max_per_order_check',
        'UPDATE booking.event SET max_per_order = 0'),
    (4, 'ALTER TABLE booking.event DROP CONSTRAINT event_min_per_order_check',
        'INSERT INTO booking.event (capacity, min_per_order) VALUES (1, -1)'),
    (7, 'ALTER TABLE booking.hold DROP CONSTRAINT hold_quantity_check',
        'INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)'
        ' VALUES (1, 1, 0, ''infinity'')'),
    (8, 'ALTER TABLE booking.hold DROP CONSTRAINT hold_quantity_check',
        'UPDATE booking.hold SET quantity = -1')) AS t (n, change, statement),
    after_change(change, statement) a
ORDER BY n;

-- The user adds a NOT NULL constraint.  PostgreSQL's 23502 is raised, whichever way
-- the ticket is inserted.
SELECT n, a.code, a.message
FROM (VALUES
    (1, 'seat', 'SELECT booking.book_ticket(1, 1)'),
    (2, 'redeemed_at', 'SELECT booking.book_batch(1, ARRAY[1, 2])'),
    (3, 'seat', 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 1)'),
    (4, 'seat', 'INSERT INTO booking.ticket (event_id, user_id, seat) VALUES (1, 1, ''A1'')'))
    AS t (n, changed, statement),
    after_change(format('TRUNCATE booking.ticket; ALTER TABLE booking.ticket ALTER %I SET NOT NULL',
                        changed), statement) a
ORDER BY n;

-- A null that was written without NOT NULL raises 55000.  It is never used as a
-- number.
SELECT n, a.code, a.message, a.detail
FROM (VALUES
    (1, 'ALTER TABLE booking.hold ALTER created_at DROP NOT NULL;'
        ' UPDATE booking.hold SET created_at = NULL',
        'SELECT booking.confirm_hold(%1$s)'),
    (2, 'ALTER TABLE booking.hold ALTER created_at DROP NOT NULL;'
        ' UPDATE booking.hold SET created_at = NULL',
        'SELECT booking.expire_holds()'),
    (3, 'ALTER TABLE booking.inventory ALTER available DROP NOT NULL;'
        ' UPDATE booking.inventory SET available = NULL',
        'SELECT booking.book_ticket(1, 1)'),
    (4, 'ALTER TABLE booking.inventory ALTER available DROP NOT NULL;'
        ' UPDATE booking.inventory SET available = NULL',
        'SELECT booking.cancel_ticket(%2$s)')) AS t (n, change, statement),
    after_change(change, format(statement, :hold, :live)) a
ORDER BY n;

-- ---- the inventory ----

-- The inventory is missing.  Everything that takes or gives places or reads the
-- sale rules raises 55000, with a hint.  Everything else works.
SELECT n, a.code, a.message
FROM (VALUES
    (1, 'SELECT booking.book_ticket(1, 7)'),
    (2, 'SELECT booking.try_book_ticket(1, 7)'),
    (3, 'SELECT booking.book_tickets(1, 7, 2)'),
    (4, 'SELECT booking.book_batch(1, ARRAY[7, 8])'),
    (5, 'SELECT booking.hold_tickets(1, 7)'),
    (6, 'SELECT booking.book_ticket(1, 7, ''another key'')'),
    (7, 'SELECT booking.cancel_ticket(%1$s)'),
    (8, 'SELECT booking.release_hold(%2$s)'),
    (9, 'SELECT booking.confirm_hold(%3$s, ''rebook'')'),
    (11, 'SELECT booking.availability(1)'),
    (12, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 7)'),
    (13, 'INSERT INTO booking.ticket (event_id, user_id, cancelled_at) VALUES (1, 7, now())'),
    (14, 'UPDATE booking.ticket SET cancelled_at = now() WHERE ticket_id = %1$s'),
    (15, 'UPDATE booking.ticket SET event_id = 2 WHERE ticket_id = %1$s'),
    (16, 'DELETE FROM booking.ticket WHERE ticket_id = %1$s'),
    (17, 'DELETE FROM booking.hold WHERE hold_id = %2$s'),
    (18, 'UPDATE booking.event SET capacity = 11 WHERE event_id = 1'),
    (19, 'UPDATE booking.event SET capacity = 3 WHERE event_id = 1'),
    (20, 'UPDATE booking.event SET capacity = 3 WHERE event_id = 2'),
    (21, 'UPDATE booking.event SET max_per_user = 1 WHERE event_id = 1'),
    (22, 'SELECT booking.book_ticket(1, 2, ''a key'')'),
    (23, 'SELECT booking.redeem_ticket(%1$s)'),
    (31, 'SELECT booking.unredeem_ticket(%1$s)'),
    (32, 'SELECT booking.move_ticket(%1$s, 2)'),
    (33, 'SELECT booking.book_as_staff(1, 7)'),
    (34, 'SELECT booking.change_hold(%2$s, 1)'),
    (35, 'SELECT booking.cancel_event(1)'),
    (24, 'SELECT booking.transfer_ticket(%1$s, 7)'),
    (25, 'SELECT booking.confirm_hold(%2$s)'),
    (26, 'SELECT booking.extend_hold(%2$s, ''20 minutes'')'),
    (27, 'UPDATE booking.event SET name = ''x'''),
    (28, 'DELETE FROM booking.event WHERE event_id = 2')) AS t (n, statement),
    after_change('DELETE FROM booking.inventory',
                 format(statement, :live, :hold, :expired)) a
ORDER BY n;
BEGIN;
SET booking.importing = on;
DELETE FROM booking.inventory;
RESET booking.importing;
SELECT code, detail, hint FROM outcome('SELECT booking.book_ticket(1, 7)');
SELECT * FROM booking.verify();
SELECT booking.rebuild_inventory(1), booking.rebuild_inventory(2);
SELECT * FROM booking.verify();
SELECT booking.book_ticket(1, 7) > 0 AS booked;
ROLLBACK;

-- A missing inventory of one event does not stop the sweep of the others.
BEGIN;
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (2, 6, 1, '2020-01-01');
SET booking.importing = on;
DELETE FROM booking.inventory WHERE event_id = 1;
RESET booking.importing;
SELECT booking.expire_holds(1);
SELECT booking.expire_holds(1);
SELECT event_id, count(*) FROM booking.hold WHERE ended_at IS NULL GROUP BY 1 ORDER BY 1;
ROLLBACK;

-- Stripe 0 is missing.  Everything that needs more than one stripe raises 55000.
SELECT n, a.code, a.message, a.detail
FROM (VALUES
    (1, 'UPDATE booking.event SET capacity = 9 WHERE event_id = 1'),
    (2, 'UPDATE booking.event SET max_per_user = 1 WHERE event_id = 1'),
    (3, 'DELETE FROM booking.event WHERE event_id = 2')) AS t (n, statement),
    after_change('UPDATE booking.inventory SET stripe = stripe + 100', statement) a
ORDER BY n;

-- The trigger of the inventory does not settle what a statement takes.
SELECT n, a.code, a.message
FROM (VALUES
    (1, 'DROP TRIGGER _booking_inventory_settle ON booking.inventory'),
    (2, 'CREATE OR REPLACE TRIGGER _booking_inventory_settle AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE'
        ' ON booking.inventory WHEN (false) EXECUTE FUNCTION booking.inventory_settle()'),
    (3, 'CREATE OR REPLACE TRIGGER _booking_inventory_settle BEFORE INSERT ON booking.inventory'
        ' EXECUTE FUNCTION booking.inventory_settle()'),
    (4, 'CREATE OR REPLACE TRIGGER _booking_inventory_settle AFTER INSERT ON booking.inventory'
        ' EXECUTE FUNCTION booking.event_changed()'),
    (5, 'CREATE TRIGGER another AFTER INSERT ON booking.inventory'
        ' EXECUTE FUNCTION booking.inventory_settle()'),
    (6, 'CREATE OR REPLACE TRIGGER _booking_inventory_settle AFTER INSERT ON booking.inventory'
        ' FOR EACH ROW EXECUTE FUNCTION booking.inventory_settle()'),
    (7, 'CREATE OR REPLACE TRIGGER _booking_inventory_settle AFTER INSERT ON booking.inventory'
        ' EXECUTE FUNCTION booking.inventory_settle()')) AS t (n, change),
    after_change(change, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 7)') a
ORDER BY n;
BEGIN;
ALTER TABLE booking.inventory DISABLE TRIGGER USER;
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 7);
COMMIT;
\echo :LAST_ERROR_SQLSTATE
-- create_tables() attaches a missing one again.
BEGIN;
DROP TRIGGER _booking_inventory_settle ON booking.inventory;
SELECT booking.create_tables();
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 7);
SELECT * FROM booking.verify();
ROLLBACK;

-- More places than an event can have, in one statement.
BEGIN;
UPDATE booking.event SET capacity = 2147483647 WHERE event_id = 2;
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)
SELECT 2, 1, (available - n)::integer, 'infinity'
FROM booking.availability(2), generate_series(0, 1) n;
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;

-- The number of places overflows: 22003, not a negative number.
SELECT n, a.code, a.message
FROM (VALUES
    (1, 'SELECT booking.cancel_ticket(%1$s)'),
    (2, 'DELETE FROM booking.ticket WHERE ticket_id = %1$s'),
    (3, 'SELECT booking.release_hold(%2$s)'),
    (4, 'UPDATE booking.event SET capacity = 2147483647 WHERE event_id = 1')) AS t (n, statement),
    after_change('UPDATE booking.inventory SET available = 2147483647',
                 format(statement, :live, :hold)) a
ORDER BY n;

-- The inventory is not an ordinary table.
SELECT n, a.code, a.message, o.message
FROM (VALUES
    (1, 'CREATE VIEW booking.inventory AS SELECT * FROM booking.renamed'),
    (2, 'CREATE TABLE booking.inventory (LIKE booking.renamed INCLUDING ALL)'
        ' PARTITION BY HASH (event_id)')) AS t (n, replacement),
    LATERAL (SELECT 'ALTER TABLE booking.inventory RENAME TO renamed; ' || replacement) c (change),
    after_change(change, 'SELECT booking.book_ticket(1, 7)') a,
    after_change(change, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 7)') o
ORDER BY n;

-- The inventory is deleted while a transaction has prefetched places.  Neither
-- flush_inventory() nor the commit ignores that.
BEGIN;
SET LOCAL booking.debug_split_always = off;    -- which stripe has how much depends on the session
INSERT INTO booking.event (event_id, capacity) VALUES (100, 1000);
SELECT count(booking.book_ticket(100, n)) FROM generate_series(1, 20) n;
SET booking.importing = on;
DELETE FROM booking.inventory;
RESET booking.importing;
SELECT code, message, hint FROM outcome('SELECT booking.flush_inventory()');
SELECT code FROM outcome('SELECT * FROM booking.verify()');
SELECT code FROM outcome('SELECT booking.book_tickets(100, 1, 500)');
COMMIT;
\echo :LAST_ERROR_SQLSTATE

-- ---- pg_booking's other tables ----

-- The stored answer of a request does not fit the request.
SELECT a.code, a.message, a.detail
FROM after_change('UPDATE booking.request SET ids = ARRAY[1, 2]',
                  'SELECT booking.book_ticket(1, 2, ''a key'')') a;

-- There are several rows for one event.
SELECT a.code, a.message, a.detail
FROM after_change('UPDATE booking.event SET max_per_user = 5 WHERE event_id = 2;'
                  ' CREATE TABLE booking.special () INHERITS (booking.event);'
                  ' INSERT INTO booking.special (event_id, capacity, max_per_user)'
                  ' SELECT 2, 1, 5 FROM generate_series(1, 20)',
                  'SELECT booking.book_batch(2, ARRAY[7, 8])') a;

-- A trigger drops the rows by which keys and users are locked.  That must not cause
-- an endless loop.
CREATE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
SELECT n, a.code, a.message
FROM (VALUES
    (1, 'request', 'SELECT booking.book_ticket(2, 7, ''a key'')'),
    (2, 'user_limit', 'SELECT booking.book_ticket(2, 7)'),
    (3, 'user_limit', 'SELECT booking.book_batch(2, ARRAY[7, 8])')) AS t (n, changed, statement),
    after_change(format('UPDATE booking.event SET max_per_user = 5;'
                        ' CREATE TRIGGER keep_out BEFORE INSERT ON booking.%I'
                        ' FOR EACH ROW EXECUTE FUNCTION keep_out()', changed), statement) a
ORDER BY n;
DROP FUNCTION keep_out();

-- A hold that became tickets can't be made live again.
SELECT n, o.code, o.message, o.detail
FROM (VALUES
    (1, 'UPDATE booking.hold SET ended_at = NULL WHERE hold_id = %s'),
    (2, 'UPDATE booking.hold SET ended_at = NULL, expires_at = ''infinity'', event_id = 2'
        ' WHERE hold_id = %s'),
    (3, 'UPDATE booking.hold SET ended_at = ended_at WHERE hold_id = %s'))
    AS t (n, statement), outcome(format(statement, :confirmed)) o
ORDER BY n;

-- verify() finds what was written without the triggers.
CREATE PROCEDURE past_the_triggers(statement text)
LANGUAGE plpgsql
SET session_replication_role = replica
AS $$
BEGIN
    EXECUTE statement;
END
$$;
BEGIN;
CALL past_the_triggers('INSERT INTO booking.ticket (event_id, user_id) VALUES (2, 1), (99, 1)');
CALL past_the_triggers('UPDATE booking.event SET sales_end = ''2020-01-01'' WHERE event_id = 2');
INSERT INTO booking.inventory (event_id, stripe, available) VALUES (98, 0, 7);
SELECT * FROM booking.verify();
SELECT * FROM booking.verify(2);
SELECT booking.rebuild_inventory(2);
SELECT * FROM booking.verify();
ROLLBACK;
BEGIN;
ALTER TABLE booking.inventory DROP CONSTRAINT inventory_available_check;
SET booking.importing = on;
UPDATE booking.inventory SET available = -1 WHERE event_id = 2;
RESET booking.importing;
SELECT * FROM booking.verify();
-- A negative number of places can't be sold.
SELECT o.code, o.message, o.detail FROM outcome('SELECT booking.book_ticket(2, 1)') o;
SELECT booking.rebuild_inventory(2);
SELECT * FROM booking.verify();
ROLLBACK;
-- verify() also finds it in one of several stripes, even if the sums are right.
BEGIN;
UPDATE booking.event SET max_per_user = 1 WHERE event_id = 2;
INSERT INTO booking.inventory (event_id, stripe, available, max_per_user) VALUES (2, 1, 0, 9);
SELECT * FROM booking.verify();
ROLLBACK;
BEGIN;
ALTER TABLE booking.inventory DROP CONSTRAINT inventory_available_check;
SET booking.importing = on;
UPDATE booking.inventory SET available = -1 WHERE event_id = 2;
RESET booking.importing;
INSERT INTO booking.inventory (event_id, stripe, available) VALUES (2, 1, 5);
SELECT * FROM booking.verify();
ROLLBACK;
BEGIN;
SET booking.importing = on;
UPDATE booking.inventory SET stripe = 1 WHERE event_id = 2;
RESET booking.importing;
SELECT * FROM booking.verify();
ROLLBACK;
-- verify() finds a user whose holds are over the limit.
BEGIN;
UPDATE booking.event SET max_per_user = 1 WHERE event_id = 2;
CALL past_the_triggers('INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)'
                       ' VALUES (2, 7, 2, ''infinity'')');
SET booking.importing = on;
UPDATE booking.inventory SET available = 2 WHERE event_id = 2;
RESET booking.importing;
SELECT * FROM booking.verify();
ROLLBACK;
DROP PROCEDURE past_the_triggers;

-- A transaction that has prefetched places alters the key of the inventory.  The
-- places can't go back, so the commit fails, and nothing is lost.
SET client_min_messages = warning;
CREATE DOMAIN public.event_number AS bigint;
CREATE PROCEDURE alter_after_booking(change text)
LANGUAGE plpgsql
AS $$
BEGIN
    -- a stripe of its own, whatever the settings of the run
    PERFORM set_config('booking.debug_split_always', 'off', true);
    PERFORM booking.book_ticket(e.event_id, g) FROM generate_series(1, 20) g,
        (SELECT max(event_id) AS event_id FROM booking.event WHERE capacity >= 1000) e;
    DROP VIEW booking.sales;
    EXECUTE 'ALTER TABLE booking.inventory ' || change;
END
$$;
INSERT INTO booking.event (event_id, capacity) VALUES (77, 1000);
\set VERBOSITY terse
CALL alter_after_booking('ALTER COLUMN event_id TYPE numeric');
CALL alter_after_booking('ALTER COLUMN event_id TYPE text');
CALL alter_after_booking('ALTER COLUMN event_id TYPE public.event_number');
CALL alter_after_booking('DROP CONSTRAINT inventory_pkey,'
                         ' ADD PRIMARY KEY (event_id, available, stripe)');
\set VERBOSITY default
SELECT available FROM booking.availability(77);
DELETE FROM booking.event WHERE event_id = 77;
DROP PROCEDURE alter_after_booking;
DROP DOMAIN public.event_number;
RESET client_min_messages;

-- After all that, nothing has changed.
SELECT * FROM (TABLE booking.ticket EXCEPT TABLE tickets_before) changed;
SELECT sum(available) = (TABLE inventory_before) AS same FROM booking.inventory;
SELECT * FROM places();
SELECT * FROM damage();
SELECT * FROM booking.verify();
