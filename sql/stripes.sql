--
-- An event's places are spread over many stripes.
--
-- Promises:
--   - Every place can be sold, alone or with others, up to the last one.
--   - A refusal says how many places are left in all stripes, and takes none.
--   - The capacity can be lowered, and places come back, whatever the stripes.
--   - A sold-out event has one row again.
--   - An event never has more than 256 stripes.
--
-- Which stripes exist at a moment depends on the session.  So the test shows only
-- what is true for all of them.
CALL recreate_booking();
\set SHOW_CONTEXT never
SET booking.debug_split_always = on;
SET synchronous_commit = off;

CREATE FUNCTION stripes(of_event bigint) RETURNS bigint
LANGUAGE sql AS 'SELECT count(*) FROM booking.inventory WHERE event_id = of_event';
CREATE FUNCTION largest_stripe(of_event bigint) RETURNS integer
LANGUAGE sql AS 'SELECT max(available) FROM booking.inventory WHERE event_id = of_event';

INSERT INTO booking.event (event_id, capacity)
VALUES (1, 5000), (2, 600), (3, 1000), (4, 8), (5, 1), (6, 0), (7, 2);
SELECT stripes(1);

-- Each booking runs in its own transaction.  The number of stripes grows.
CREATE PROCEDURE sell(event_id bigint, tickets integer)
LANGUAGE plpgsql
AS $$
DECLARE
    most bigint := 0;
BEGIN
    FOR u IN 1..tickets LOOP
        PERFORM booking.book_ticket(event_id, u);
        COMMIT;
        most := greatest(most, stripes(event_id));
    END LOOP;
    RAISE INFO 'several stripes: %; never too many: %; problems: %',
        most > 1, most <= 256, (SELECT count(*) FROM booking.verify(event_id));
END
$$;
CALL sell(1, 500);
SELECT stripes(1) > 8 AS many;
SELECT * FROM places() WHERE event_id = 1;
-- Only stripe 0 may be empty.
SELECT count(*) FROM booking.inventory WHERE event_id = 1 AND available = 0 AND stripe <> 0;

-- All places are sold.  One row is left, without a place.
CALL sell(2, 600);
SELECT stripe, available FROM booking.inventory WHERE event_id = 2;
SELECT booking.book_ticket(2, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT status FROM booking.try_book_ticket(2, 1);
-- A place that comes back can be sold once.
SELECT booking.cancel_ticket(min(ticket_id)) FROM booking.ticket WHERE event_id = 2;
SELECT u, status FROM generate_series(1, 2) u, booking.try_book_ticket(2, u) ORDER BY u;
SELECT stripe, available FROM booking.inventory WHERE event_id = 2;

-- Events with few places: each place is sold once.
SELECT e, count(*) FILTER (WHERE status = 'booked') AS booked,
       count(*) FILTER (WHERE status = 'sold_out') AS sold_out
FROM generate_series(4, 7) e, generate_series(1, 12) u, booking.try_book_ticket(e, u)
GROUP BY e ORDER BY e;
SELECT event_id, stripe, available FROM booking.inventory
WHERE event_id BETWEEN 4 AND 7 ORDER BY event_id, stripe;

-- The quantity is larger than any stripe.  It is gathered from several.
CALL sell(3, 200);
SELECT largest_stripe(3) < 500 AS too_few_in_one_stripe;
SELECT cardinality(booking.book_tickets(3, 1, 500)) AS tickets;
SELECT * FROM places() WHERE event_id = 3;
-- The quantity is larger than all stripes together.  The refusal reports the sum
-- and changes nothing.
SELECT largest_stripe(3) < 301 AS too_few_in_one_stripe;
SELECT booking.book_tickets(3, 1, 301);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM places() WHERE event_id = 3;
SELECT code FROM outcome('SELECT booking.book_tickets(3, 1, 1000000)');
-- After the last places are sold, one row is left.
SELECT cardinality(booking.book_tickets(3, 1, 300)) AS tickets;
SELECT stripe, available FROM booking.inventory WHERE event_id = 3;
SELECT * FROM booking.verify();

-- Many tickets in one transaction.
DELETE FROM booking.ticket WHERE event_id = 3;
BEGIN;
SELECT count(booking.book_ticket(3, u)) FROM generate_series(1, 700) u;
SELECT * FROM booking.verify(3);
SELECT count(booking.book_ticket(3, u)) FROM generate_series(701, 720) u;
DELETE FROM booking.ticket WHERE event_id = 3 AND user_id > 700;
SAVEPOINT a;
SELECT cardinality(booking.book_tickets(3, 1, 290)) AS tickets;
SELECT booking.book_tickets(3, 1, 11);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO a;
SELECT cardinality(booking.book_tickets(3, 1, 299)) AS tickets;
SELECT u, status FROM generate_series(1, 2) u, booking.try_book_ticket(3, u) ORDER BY u;
ROLLBACK TO a;
SELECT * FROM booking.availability(3);
COMMIT;
SELECT * FROM places() WHERE event_id = 3;

-- Splits and drains are rolled back, by savepoints and by exceptions.
DELETE FROM booking.ticket WHERE event_id = 3;
CREATE TEMP TABLE stripes_before AS
    SELECT stripe, available FROM booking.inventory WHERE event_id = 3;
BEGIN;
SELECT cardinality(booking.book_tickets(3, u, 3)) FROM generate_series(1, 4) u;
SAVEPOINT a;
SELECT count(booking.book_ticket(3, u)) FROM generate_series(1, 5) u;
UPDATE booking.event SET capacity = 900 WHERE event_id = 3;
SAVEPOINT b;
SELECT cardinality(booking.book_tickets(3, 1, 883)) AS tickets;
SELECT stripe, available FROM booking.inventory WHERE event_id = 3;
SELECT status FROM booking.try_book_ticket(3, 1);
ROLLBACK TO b;
SELECT status FROM booking.try_book_ticket(3, 1);
SELECT cardinality(booking.book_tickets(3, 1, 882)) AS tickets;
SELECT status FROM booking.try_book_ticket(3, 1);
ROLLBACK TO a;
SELECT * FROM booking.availability(3);
SELECT * FROM booking.verify(3);
SELECT cardinality(booking.book_tickets(3, 1, 988)) AS tickets;
SELECT status FROM booking.try_book_ticket(3, 1);
ROLLBACK;
SELECT * FROM (SELECT stripe, available FROM booking.inventory WHERE event_id = 3) i
    FULL JOIN stripes_before b USING (stripe)
WHERE i.available IS DISTINCT FROM b.available;
DROP TABLE stripes_before;
DO $$
BEGIN
    FOR i IN 1..200 LOOP
        BEGIN
            PERFORM booking.book_tickets(3, i, 1 + i % 5);
            IF i % 2 = 0 THEN
                PERFORM booking.book_tickets(3, i, a.available::integer) FROM booking.availability(3) a;
                IF (SELECT status FROM booking.try_book_ticket(3, i)) <> 'sold_out' THEN
                    RAISE 'a place too many';
                END IF;
                RAISE division_by_zero;
            END IF;
        EXCEPTION WHEN division_by_zero THEN
        END;
    END LOOP;
END
$$;
SELECT * FROM places() WHERE event_id = 3;
SELECT * FROM booking.verify();

-- The session drains a stripe, finds the event sold out, and rolls back.  What it
-- remembered of the stripes is rolled back, too.
INSERT INTO booking.event (event_id, capacity) VALUES (20, 15);
SET booking.importing = on;
DELETE FROM booking.inventory WHERE event_id = 20;
RESET booking.importing;
INSERT INTO booking.inventory (event_id, stripe, available) VALUES (20, 0, 0), (20, 1, 15);
BEGIN;
SAVEPOINT a;
SELECT cardinality(booking.book_tickets(20, 1, 15)) AS tickets;
SELECT status FROM booking.try_book_ticket(20, 2);
ROLLBACK TO a;
SELECT status FROM booking.try_book_ticket(20, 2);
ROLLBACK;
BEGIN;
SELECT cardinality(booking.book_tickets(20, 1, 15)) AS tickets;
SELECT status FROM booking.try_book_ticket(20, 2);
ROLLBACK;
SELECT status FROM booking.try_book_ticket(20, 2);
SELECT * FROM places() WHERE event_id = 20;

-- A session remembers "sold out" for a row version, by its TID and its xmin.
-- Pruning gives the TID to a later version of stripe 0.  The session must not
-- take that for the remembered version, because there is another stripe now.
CREATE PROCEDURE write_stripe_0_until(of_event bigint, at tid)
LANGUAGE plpgsql
AS $$
BEGIN
    FOR i IN 1..1000 LOOP
        UPDATE booking.inventory SET available = 0 WHERE event_id = of_event AND stripe = 0;
        COMMIT;
        EXIT WHEN EXISTS (SELECT FROM booking.inventory WHERE event_id = of_event AND ctid = at);
    END LOOP;
END
$$;
INSERT INTO booking.event (event_id, capacity) VALUES (21, 1);
SET booking.importing = on;
UPDATE booking.inventory SET available = 0 WHERE event_id = 21;
RESET booking.importing;
SELECT status FROM booking.try_book_ticket(21, 1);
SELECT ctid AS tid, xmin AS writer FROM booking.inventory WHERE event_id = 21 \gset
INSERT INTO booking.inventory (event_id, stripe, available) VALUES (21, 1, 1);
SET booking.importing = on;
CALL write_stripe_0_until(21, :'tid');
RESET booking.importing;
SELECT stripe, available, ctid = :'tid' AS same_tid, xmin = :'writer' AS same_writer
FROM booking.inventory WHERE event_id = 21 ORDER BY stripe;
SELECT status FROM booking.try_book_ticket(21, 1);
SELECT * FROM places() WHERE event_id = 21;

-- Cancelled places come back to any stripe.  All of them can be sold again.
UPDATE booking.ticket SET cancelled_at = now() WHERE event_id IN (1, 3) AND user_id % 2 = 0;
SELECT count(booking.cancel_ticket(ticket_id)) FROM booking.ticket
WHERE event_id = 3 AND user_id % 3 = 0 AND cancelled_at IS NULL;
SELECT available AS left FROM booking.availability(3) \gset
SELECT count(*) FILTER (WHERE status = 'booked') = :left AS all_sold,
       count(*) FILTER (WHERE status = 'sold_out') AS sold_out
FROM generate_series(1, :left + 3) u, booking.try_book_ticket(3, u);
SELECT stripe, available FROM booking.inventory WHERE event_id = 3;
SELECT * FROM booking.verify();

-- The capacity is raised and lowered while there are several stripes.
CALL sell(1, 100);
SELECT stripes(1) > 1 AS several;
SELECT capacity - available AS taken FROM booking.availability(1) \gset
UPDATE booking.event SET capacity = :taken + 50 WHERE event_id = 1;
SELECT sum(available) FROM booking.inventory WHERE event_id = 1;
UPDATE booking.event SET capacity = :taken - 1 WHERE event_id = 1;
\echo :LAST_ERROR_SQLSTATE
SELECT sum(available) FROM booking.inventory WHERE event_id = 1;
SELECT count(booking.book_ticket(1, u)) FROM generate_series(1, 10) u;
UPDATE booking.event SET capacity = capacity + 1000 WHERE event_id = 1;
SELECT sum(available) FROM booking.inventory WHERE event_id = 1;
UPDATE booking.event SET capacity = :taken + 10 WHERE event_id = 1;
SELECT stripe, available FROM booking.inventory WHERE event_id = 1;
SELECT status FROM booking.try_book_ticket(1, 1);
UPDATE booking.event SET capacity = 6000 WHERE event_id = 1;
CALL sell(1, 100);
SELECT * FROM booking.verify();

-- Plain SQL inserts, moves and deletes tickets.
INSERT INTO booking.ticket (event_id, user_id) SELECT 1, u FROM generate_series(1, 1000) u;
DELETE FROM booking.ticket WHERE event_id = 1 AND user_id % 3 = 0;
INSERT INTO booking.event (event_id, capacity) VALUES (8, 10000);
CALL sell(8, 100);
UPDATE booking.ticket SET event_id = 8 WHERE event_id = 1;
UPDATE booking.ticket SET event_id = 1 WHERE event_id = 8 AND user_id % 2 = 0;
SELECT * FROM booking.verify();

-- REPEATABLE READ never splits, but it finds many stripes.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT available AS left FROM booking.availability(8) \gset
SELECT count(booking.book_ticket(8, u)) FROM generate_series(1, 100) u;
SELECT cardinality(booking.book_tickets(8, 1, :left - 150)) = :left - 150 AS all_but_50;
SELECT booking.book_tickets(8, 1, 51);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(booking.cancel_ticket(ticket_id)) > 0 AS some FROM booking.ticket WHERE event_id = 8;
SELECT available AS left FROM booking.availability(8) \gset
SELECT cardinality(booking.book_tickets(8, 1, :left)) = :left AS all;
SELECT stripe, available FROM booking.inventory WHERE event_id = 8;
SELECT status FROM booking.try_book_ticket(8, 1);
ROLLBACK;
SELECT * FROM booking.verify();

-- What replaces the inventory leaves one stripe.  That one splits again.
SELECT stripes(8) > 1 AS several;
SELECT booking.rebuild_inventory(8);
SELECT stripes(8);
CALL sell(8, 100);
TRUNCATE booking.ticket;
SELECT event_id, stripe, available FROM booking.inventory ORDER BY event_id, stripe;
CALL sell(8, 100);
-- When an event is deleted, all its stripes are deleted.
SELECT stripes(8) > 1 AS several;
DELETE FROM booking.event WHERE event_id = 8;
\echo :LAST_ERROR_SQLSTATE
SELECT stripes(8) > 1 AS several;
DELETE FROM booking.ticket WHERE event_id = 8;
BEGIN;
UPDATE booking.event SET event_id = 9, capacity = 77 WHERE event_id = 8;
SELECT stripes(8), stripes(9);
ROLLBACK;
BEGIN;
DELETE FROM booking.event WHERE event_id = 8;
SELECT stripes(8);
ROLLBACK;
SELECT cardinality(booking.book_tickets(8, 1, 10000)) AS tickets;
DELETE FROM booking.ticket WHERE event_id = 8;
CALL sell(8, 30);
DELETE FROM booking.ticket WHERE event_id = 8;
DELETE FROM booking.event WHERE event_id = 8;
SELECT stripes(8);
SELECT * FROM booking.verify();

-- Events with the largest possible number of stripes.  No stripe is added, and all
-- places are sold.  The test inserts the stripes, because bookings make that many
-- only if many sessions meet.
CREATE PROCEDURE spread(of_event bigint, each integer)
LANGUAGE sql
SET booking.importing = on
AS $$
    DELETE FROM booking.inventory WHERE event_id = of_event;
    INSERT INTO booking.inventory SELECT of_event, s, each FROM generate_series(0, 255) s;
$$;
INSERT INTO booking.event (event_id, capacity) VALUES (10, 2560), (11, 2560), (12, 2560);
CALL spread(10, 10);
CALL spread(11, 10);
CALL spread(12, 10);
SELECT * FROM booking.verify();
CALL sell(10, 100);
SELECT * FROM places() WHERE event_id = 10;
SELECT cardinality(booking.book_tickets(10, 1, 2000)) AS tickets;
SELECT booking.book_tickets(10, 1, 461);
SELECT * FROM places() WHERE event_id = 10;
SELECT count(*) FILTER (WHERE status = 'booked') AS booked,
       count(*) FILTER (WHERE status = 'sold_out') AS sold_out
FROM generate_series(1, 500) u, booking.try_book_ticket(10, u);
SELECT stripe, available FROM booking.inventory WHERE event_id = 10;
-- Single bookings drain each stripe in turn.
SELECT count(*) FILTER (WHERE status = 'booked') AS booked,
       count(*) FILTER (WHERE status = 'sold_out') AS sold_out
FROM generate_series(1, 2600) u, booking.try_book_ticket(11, u);
SELECT stripe, available FROM booking.inventory WHERE event_id = 11;
-- The capacity is lowered across all stripes.
UPDATE booking.event SET capacity = 7 WHERE event_id = 12;
SELECT sum(available), count(*) <= 256 AS not_too_many FROM booking.inventory WHERE event_id = 12;
UPDATE booking.event SET capacity = 0 WHERE event_id = 12;
SELECT stripe, available FROM booking.inventory WHERE event_id = 12;
DELETE FROM booking.event WHERE event_id = 12;

DROP PROCEDURE sell, spread;
DROP FUNCTION stripes, largest_stripe;
SELECT * FROM damage();
SELECT * FROM booking.verify();
