--
-- Statements that change a pool table: booking.inventory, or that of a constraint.
--
-- Promises:
--   - UPDATE, DELETE and TRUNCATE are refused, also for the owner.
--   - They are allowed while booking.importing is on, and if they remove the rows
--     of events that are gone.
--   - Clean-ups that empty all tables work in one statement.  One table at a time,
--     the first refusal says what to do.
--   - What changes a pool for us still works: TRUNCATE of the tables that it
--     follows, and the functions that compute it again.
CALL recreate_booking();
\set SHOW_CONTEXT never
SELECT booking.keep_history();
INSERT INTO booking.event (event_id, capacity) VALUES (1, 5), (2, 5);
SELECT booking.book_ticket(1, 1) AS ticket_id, hold_id FROM booking.hold_tickets(2, 1, 2);

-- ---- the inventory ----

SELECT n, o.code, o.message, o.hint
FROM (VALUES
    (1, 'UPDATE booking.inventory SET available = 9'),
    (2, 'UPDATE booking.inventory SET available = 9 WHERE false'),
    (3, 'DELETE FROM booking.inventory WHERE event_id = 1'),
    (4, 'TRUNCATE booking.inventory'),
    (5, 'INSERT INTO booking.inventory (event_id, stripe, available) VALUES (1, 0, 9)'
        ' ON CONFLICT (event_id, stripe) DO UPDATE SET available = 9'),
    (6, 'MERGE INTO booking.inventory i USING booking.event e ON i.event_id = e.event_id'
        ' WHEN MATCHED THEN DELETE'),
    (7, 'WITH gone AS (DELETE FROM booking.inventory RETURNING 1) SELECT count(*) FROM gone'),
    (8, 'TRUNCATE booking.inventory, booking.ticket, booking.hold')) AS t (n, statement),
    outcome(statement) o
ORDER BY n;
SELECT * FROM places();
-- With booking.importing they are the owner's business.
SELECT n, a.code, a.message
FROM (VALUES
    (1, 'UPDATE booking.inventory SET available = 9'),
    (2, 'DELETE FROM booking.inventory'),
    (3, 'TRUNCATE booking.inventory')) AS t (n, change),
    after_change(change, 'DO $d$ DECLARE r text; BEGIN SELECT string_agg(problem, '', '') INTO r'
                         ' FROM booking.verify(); RAISE ''%'', r; END $d$') a
ORDER BY n;

-- A statement that has deleted the stripes looks for them again.
INSERT INTO booking.event (event_id, capacity) VALUES (3, 5);    -- in one stripe
CREATE FUNCTION in_time(statement text) RETURNS text LANGUAGE plpgsql
SET statement_timeout = '20s' AS $$
BEGIN
    RETURN (SELECT concat_ws(': ', o.code, o.message) FROM outcome(statement) o);
END
$$;
SELECT n, in_time(statement)
FROM (VALUES
    (1, 'WITH d AS (DELETE FROM booking.inventory WHERE event_id = 3 RETURNING 1)'
        ' SELECT booking.book_ticket(3, 7) FROM d'),
    (2, 'WITH u AS (UPDATE booking.event SET capacity = 60 WHERE event_id = 3 RETURNING 1),'
        ' i AS (DELETE FROM booking.inventory RETURNING 1) SELECT * FROM u, i LIMIT 1'))
    AS t (n, statement)
ORDER BY n;
BEGIN;
DELETE FROM booking.hold;
DELETE FROM booking.ticket;
SELECT in_time('WITH d AS (DELETE FROM booking.event RETURNING 1),'
               ' i AS (DELETE FROM booking.inventory RETURNING 1) SELECT * FROM d, i LIMIT 1');
SELECT * FROM places();
ROLLBACK;
DELETE FROM booking.event WHERE event_id = 3;
SELECT * FROM places();

-- Clean-ups.
SELECT n, o.code, o.message, o.hint
FROM (VALUES
    (1, 'TRUNCATE booking.event'),
    (2, 'DELETE FROM booking.event')) AS t (n, statement), outcome(statement) o
ORDER BY n;
BEGIN;
ALTER TABLE booking.history DISABLE TRIGGER USER;
TRUNCATE booking.event, booking.history, booking.hold, booking.inventory, booking.request,
    booking.ticket, booking.user_limit RESTART IDENTITY;
SELECT count(*) FROM booking.inventory;
INSERT INTO booking.event (capacity) VALUES (3);
SELECT event_id, status FROM booking.event, booking.try_book_ticket(event_id, 1);
SELECT * FROM booking.verify();
ROLLBACK;
BEGIN;
DELETE FROM booking.hold;
DELETE FROM booking.ticket;
DELETE FROM booking.event;
DELETE FROM booking.inventory;
TRUNCATE booking.inventory;
SELECT code FROM outcome('UPDATE booking.inventory SET available = 9');
DELETE FROM booking.request;
INSERT INTO booking.event (capacity) VALUES (3);
SELECT * FROM booking.verify();
ROLLBACK;
-- What computes the inventory again.
BEGIN;
TRUNCATE booking.ticket;
SELECT * FROM places();
TRUNCATE booking.hold;
SELECT * FROM places();
SELECT * FROM booking.rebuild_inventory();
SHOW booking.importing;
TRUNCATE booking.event;
SELECT * FROM places();
ROLLBACK;
-- The guard is up again after each of these, also after an error in them.
BEGIN;
SAVEPOINT a;
TRUNCATE booking.event;
ROLLBACK TO a;
SELECT * FROM booking.rebuild_inventory(1);
SHOW booking.importing;
SELECT code FROM outcome('DELETE FROM booking.inventory');
ROLLBACK;

-- ---- the pool table of a constraint ----

CREATE TABLE guarded_show (id bigint PRIMARY KEY, capacity integer);
CREATE TABLE guarded_ticket (id bigint PRIMARY KEY, show_id bigint, user_id bigint);
INSERT INTO guarded_show VALUES (1, 2), (2, 2);
INSERT INTO guarded_ticket VALUES (1, 1, 7);
SELECT booking.add_capacity_constraint('guarded_ticket', '{show_id}', 'guarded_show', 'capacity');
SELECT booking.add_capacity_constraint('guarded_ticket', '{user_id}', capacity => 2);
SELECT n, pool, o.code, o.message, o.hint
FROM (VALUES (1, 'guarded_ticket_show_id_capacity'), (2, 'guarded_ticket_user_id_capacity'))
       AS p (n, pool),
     (VALUES (1, 'UPDATE booking.%I SET available = 9'), (2, 'DELETE FROM booking.%I'),
             (3, 'TRUNCATE booking.%I'), (4, 'TRUNCATE guarded_ticket, guarded_show, booking.%I'))
       AS s (m, statement),
     outcome(format(statement, pool)) o
ORDER BY n, m;
SELECT a.code, a.message
FROM after_change('DELETE FROM booking.guarded_ticket_show_id_capacity',
                  'INSERT INTO guarded_ticket VALUES (9, 2, 9)') a;
-- What computes the pool again.
BEGIN;
TRUNCATE guarded_ticket;
SELECT booking.places_left('guarded_ticket_show_id_capacity', 1);
SELECT booking.rebuild_capacity('guarded_ticket_user_id_capacity');
TRUNCATE guarded_show;
SELECT count(*) FROM booking.guarded_ticket_show_id_capacity;
SHOW booking.importing;
ROLLBACK;
DROP TABLE guarded_show, guarded_ticket;
SELECT booking.drop_capacity_constraint('guarded_ticket_show_id_capacity', true),
       booking.drop_capacity_constraint('guarded_ticket_user_id_capacity', true);

DROP FUNCTION in_time;
SELECT * FROM damage();
SELECT * FROM booking.verify();
