--
-- Tables that somebody has tampered with: their owner has dropped a constraint,
-- disabled a trigger, or written where only pg_booking writes.
--
-- Promises: whatever needs what is missing says so, by an SQLSTATE of its own
-- and a hint that mends it; nothing is sold twice, nothing is left half done,
-- and verify() names each kind of damage.
--

CALL afresh();
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

-- The triggers don't rely upon the CHECKs and NOT NULLs of the tables: 23514.
SELECT n, a.code, a.message
FROM (VALUES
    (1, 'ALTER TABLE booking.event DROP CONSTRAINT event_capacity_check',
        'INSERT INTO booking.event (capacity) VALUES (-1)'),
    (2, 'ALTER TABLE booking.event DROP CONSTRAINT event_capacity_check',
        'UPDATE booking.event SET capacity = -1 WHERE event_id = 2'),
    (3, 'ALTER TABLE booking.event ALTER capacity DROP NOT NULL',
        'INSERT INTO booking.event (capacity) VALUES (NULL)'),
    (4, 'ALTER TABLE booking.event ALTER capacity DROP NOT NULL',
        'UPDATE booking.event SET capacity = NULL WHERE event_id = 2'),
    (5, 'ALTER TABLE booking.event DROP CONSTRAINT event_max_per_user_check',
        'INSERT INTO booking.event (capacity, max_per_user) VALUES (1, 0)'),
    (6, 'ALTER TABLE booking.event DROP CONSTRAINT event_max_per_user_check',
        'UPDATE booking.event SET max_per_user = -1'),
    (7, 'ALTER TABLE booking.hold DROP CONSTRAINT hold_quantity_check',
        'INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)'
        ' VALUES (1, 1, 0, ''infinity'')'),
    (8, 'ALTER TABLE booking.hold DROP CONSTRAINT hold_quantity_check',
        'UPDATE booking.hold SET quantity = -1')) AS t (n, change, statement),
    after_change(change, statement) a
ORDER BY n;

-- A NOT NULL more than create_tables() made: the core's own 23502, whatever the
-- way in.
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

-- A null that was written without them: 55000, and never taken for a number.
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

-- It has gone: 55000 from whatever gives or takes a place or asks for the
-- conditions of sale, and a hint that mends it.  All else goes on.
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
    (24, 'SELECT booking.transfer_ticket(%1$s, 7)'),
    (25, 'SELECT booking.confirm_hold(%2$s)'),
    (26, 'SELECT booking.extend_hold(%2$s, ''20 minutes'')'),
    (27, 'UPDATE booking.event SET name = ''x'''),
    (28, 'DELETE FROM booking.event WHERE event_id = 2')) AS t (n, statement),
    after_change('DELETE FROM booking.inventory',
                 format(statement, :live, :hold, :expired)) a
ORDER BY n;
BEGIN;
DELETE FROM booking.inventory;
SELECT code, detail, hint FROM outcome('SELECT booking.book_ticket(1, 7)');
SELECT * FROM booking.verify();
SELECT booking.rebuild_inventory(1), booking.rebuild_inventory(2);
SELECT * FROM booking.verify();
SELECT booking.book_ticket(1, 7) > 0 AS booked;
ROLLBACK;

-- One event whose inventory is missing does not stop the sweep of the others.
BEGIN;
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (2, 6, 1, '2020-01-01');
DELETE FROM booking.inventory WHERE event_id = 1;
SELECT booking.expire_holds(1);
SELECT booking.expire_holds(1);
SELECT event_id, count(*) FROM booking.hold WHERE ended_at IS NULL GROUP BY 1 ORDER BY 1;
ROLLBACK;

-- It has no stripe 0: 55000 from whatever needs more than one stripe.
SELECT n, a.code, a.message, a.detail
FROM (VALUES
    (1, 'UPDATE booking.event SET capacity = 9 WHERE event_id = 1'),
    (2, 'UPDATE booking.event SET max_per_user = 1 WHERE event_id = 1'),
    (3, 'DELETE FROM booking.event WHERE event_id = 2')) AS t (n, statement),
    after_change('UPDATE booking.inventory SET stripe = stripe + 100', statement) a
ORDER BY n;

-- It has more places than a number can say: 22003, and not a negative number.
SELECT n, a.code, a.message
FROM (VALUES
    (1, 'SELECT booking.cancel_ticket(%1$s)'),
    (2, 'DELETE FROM booking.ticket WHERE ticket_id = %1$s'),
    (3, 'SELECT booking.release_hold(%2$s)'),
    (4, 'UPDATE booking.event SET capacity = 2147483647 WHERE event_id = 1')) AS t (n, statement),
    after_change('UPDATE booking.inventory SET available = 2147483647',
                 format(statement, :live, :hold)) a
ORDER BY n;

-- It is no table of ours.
SELECT n, a.code, a.detail, o.detail
FROM (VALUES
    (1, 'CREATE VIEW booking.inventory AS SELECT * FROM booking.renamed'),
    (2, 'CREATE TABLE booking.inventory (LIKE booking.renamed INCLUDING ALL)'
        ' PARTITION BY HASH (event_id)')) AS t (n, replacement),
    LATERAL (SELECT 'ALTER TABLE booking.inventory RENAME TO renamed; ' || replacement) c (change),
    after_change(change, 'SELECT booking.book_ticket(1, 7)') a,
    after_change(change, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 7)') o
ORDER BY n;

-- It goes while a transaction has places in reserve, which have nowhere to go:
-- neither settle_inventory() nor the commit passes over that.
BEGIN;
INSERT INTO booking.event (event_id, capacity) VALUES (100, 1000);
SELECT count(booking.book_ticket(100, n)) FROM generate_series(1, 20) n;
DELETE FROM booking.inventory;
SELECT code, message, hint FROM outcome('SELECT booking.settle_inventory()');
SELECT code FROM outcome('SELECT * FROM booking.verify()');
SELECT code FROM outcome('SELECT booking.book_tickets(100, 1, 500)');
COMMIT;
\echo :LAST_ERROR_SQLSTATE

-- ---- what else is pg_booking's own ----

-- an answer to a request that is not what was asked for
SELECT a.code, a.message, a.detail
FROM after_change('UPDATE booking.request SET ids = ARRAY[1, 2]',
                  'SELECT booking.book_ticket(1, 2, ''a key'')') a;

-- several rows of one event
SELECT a.code, a.message, a.detail
FROM after_change('UPDATE booking.event SET max_per_user = 5 WHERE event_id = 2;'
                  ' CREATE TABLE booking.special () INHERITS (booking.event);'
                  ' INSERT INTO booking.special (event_id, capacity, max_per_user)'
                  ' SELECT 2, 1, 5 FROM generate_series(1, 20)',
                  'SELECT booking.book_batch(2, ARRAY[7, 8])') a;

-- a trigger that keeps the rows out by which keys and users are locked: no endless loop
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

-- a hold that has become tickets can't be made to hold their places once more
SELECT n, o.code, o.message, o.detail
FROM (VALUES
    (1, 'UPDATE booking.hold SET ended_at = NULL WHERE hold_id = %s'),
    (2, 'UPDATE booking.hold SET ended_at = NULL, expires_at = ''infinity'', event_id = 2'
        ' WHERE hold_id = %s'),
    (3, 'UPDATE booking.hold SET ended_at = ended_at WHERE hold_id = %s'))
    AS t (n, statement), outcome(format(statement, :confirmed)) o
ORDER BY n;

-- what verify() finds of what was written past the triggers
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
UPDATE booking.inventory SET available = -1 WHERE event_id = 2;
SELECT * FROM booking.verify();
-- that is no place to be had
SELECT o.code, o.message, o.detail FROM outcome('SELECT booking.book_ticket(2, 1)') o;
SELECT booking.rebuild_inventory(2);
SELECT * FROM booking.verify();
ROLLBACK;
-- ... though it is one of several stripes alone, and the sums are right
BEGIN;
UPDATE booking.event SET max_per_user = 1 WHERE event_id = 2;
INSERT INTO booking.inventory (event_id, stripe, available, max_per_user) VALUES (2, 1, 0, 9);
SELECT * FROM booking.verify();
ROLLBACK;
BEGIN;
ALTER TABLE booking.inventory DROP CONSTRAINT inventory_available_check;
UPDATE booking.inventory SET available = -1 WHERE event_id = 2;
INSERT INTO booking.inventory (event_id, stripe, available) VALUES (2, 1, 5);
SELECT * FROM booking.verify();
ROLLBACK;
BEGIN;
UPDATE booking.inventory SET stripe = 1 WHERE event_id = 2;
SELECT * FROM booking.verify();
ROLLBACK;
-- ... and who has too much in holds
BEGIN;
UPDATE booking.event SET max_per_user = 1 WHERE event_id = 2;
CALL past_the_triggers('INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)'
                       ' VALUES (2, 7, 2, ''infinity'')');
UPDATE booking.inventory SET available = 2 WHERE event_id = 2;
SELECT * FROM booking.verify();
ROLLBACK;
DROP PROCEDURE past_the_triggers;

-- after all that nothing has changed
SELECT * FROM (TABLE booking.ticket EXCEPT TABLE tickets_before) changed;
SELECT sum(available) = (TABLE inventory_before) AS same FROM booking.inventory;
SELECT * FROM places();
SELECT * FROM damage();
SELECT * FROM booking.verify();
