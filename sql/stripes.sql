--
-- An event's places in many stripes.
--
-- Promises: however an event's places are spread, every one of them can be
-- sold, alone or with others, to the last; a refusal says how many are left in
-- all and leaves them there; the capacity is lowered and cancelled places come
-- back whatever stripes there are; an event that is sold out is one row again;
-- there are never more than 256 stripes.
--
-- Which stripes there are at a moment depends upon the session; so what is
-- shown is what must hold for all of them.
--
CALL afresh();
\set SHOW_CONTEXT never
SET booking.split_always = on;
SET synchronous_commit = off;

CREATE FUNCTION stripes(of_event bigint) RETURNS bigint
LANGUAGE sql AS 'SELECT count(*) FROM booking.inventory WHERE event_id = of_event';
CREATE FUNCTION widest(of_event bigint) RETURNS integer
LANGUAGE sql AS 'SELECT max(available) FROM booking.inventory WHERE event_id = of_event';

INSERT INTO booking.event (event_id, capacity)
VALUES (1, 5000), (2, 600), (3, 1000), (4, 8), (5, 1), (6, 0), (7, 2);
SELECT stripes(1);

-- a booking in each of many transactions: the stripes grow
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
-- none is empty, but for stripe 0, perhaps
SELECT count(*) FROM booking.inventory WHERE event_id = 1 AND available = 0 AND stripe <> 0;

-- to the last place; then one row is left, that says none
CALL sell(2, 600);
SELECT stripe, available FROM booking.inventory WHERE event_id = 2;
SELECT booking.book_ticket(2, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT status FROM booking.try_book_ticket(2, 1);
-- a place that comes back can be sold, once
SELECT booking.cancel_ticket(min(ticket_id)) FROM booking.ticket WHERE event_id = 2;
SELECT u, status FROM generate_series(1, 2) u, booking.try_book_ticket(2, u) ORDER BY u;
SELECT stripe, available FROM booking.inventory WHERE event_id = 2;

-- few places: each is sold, none twice
SELECT e, count(*) FILTER (WHERE status = 'booked') AS booked,
       count(*) FILTER (WHERE status = 'sold_out') AS sold_out
FROM generate_series(4, 7) e, generate_series(1, 12) u, booking.try_book_ticket(e, u)
GROUP BY e ORDER BY e;
SELECT event_id, stripe, available FROM booking.inventory
WHERE event_id BETWEEN 4 AND 7 ORDER BY event_id, stripe;

-- a quantity that no stripe has is gathered from several
CALL sell(3, 200);
SELECT widest(3) < 500 AS none_has_so_many;
SELECT cardinality(booking.book_tickets(3, 1, 500)) AS tickets;
SELECT * FROM places() WHERE event_id = 3;
-- too large a quantity: refused with the sum, which stays what it was
SELECT widest(3) < 301 AS none_has_so_many;
SELECT booking.book_tickets(3, 1, 301);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM places() WHERE event_id = 3;
SELECT code FROM outcome('SELECT booking.book_tickets(3, 1, 1000000)');
-- all that is left: one row
SELECT cardinality(booking.book_tickets(3, 1, 300)) AS tickets;
SELECT stripe, available FROM booking.inventory WHERE event_id = 3;
SELECT * FROM booking.verify();

-- many in one transaction
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

-- splits and drains that are rolled back, by savepoints and by exceptions
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

-- A stripe is drained, the event found to be sold out, and all that undone:
-- what the session has learnt of the stripes on the way is undone, too.
INSERT INTO booking.event (event_id, capacity) VALUES (20, 15);
DELETE FROM booking.inventory WHERE event_id = 20;
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

-- That an event is sold out is remembered of a row version, by its place and its
-- writer.  A later version of stripe 0, to which pruning has given the place,
-- does not tell of the other stripe that there is now.
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
UPDATE booking.inventory SET available = 0 WHERE event_id = 21;
SELECT status FROM booking.try_book_ticket(21, 1);
SELECT ctid AS place, xmin AS writer FROM booking.inventory WHERE event_id = 21 \gset
INSERT INTO booking.inventory (event_id, stripe, available) VALUES (21, 1, 1);
CALL write_stripe_0_until(21, :'place');
SELECT stripe, available, ctid = :'place' AS same_place, xmin = :'writer' AS same_writer
FROM booking.inventory WHERE event_id = 21 ORDER BY stripe;
SELECT status FROM booking.try_book_ticket(21, 1);
SELECT * FROM places() WHERE event_id = 21;

-- cancelled places come back to any stripe, and all can be sold again
UPDATE booking.ticket SET cancelled_at = now() WHERE event_id IN (1, 3) AND user_id % 2 = 0;
SELECT count(booking.cancel_ticket(ticket_id)) FROM booking.ticket
WHERE event_id = 3 AND user_id % 3 = 0 AND cancelled_at IS NULL;
SELECT available AS left FROM booking.availability(3) \gset
SELECT count(*) FILTER (WHERE status = 'booked') = :left AS all_sold,
       count(*) FILTER (WHERE status = 'sold_out') AS sold_out
FROM generate_series(1, :left + 3) u, booking.try_book_ticket(3, u);
SELECT stripe, available FROM booking.inventory WHERE event_id = 3;
SELECT * FROM booking.verify();

-- the capacity, raised and lowered across the stripes there are
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

-- tickets that come and go by plain SQL
INSERT INTO booking.ticket (event_id, user_id) SELECT 1, u FROM generate_series(1, 1000) u;
DELETE FROM booking.ticket WHERE event_id = 1 AND user_id % 3 = 0;
INSERT INTO booking.event (event_id, capacity) VALUES (8, 10000);
CALL sell(8, 100);
UPDATE booking.ticket SET event_id = 8 WHERE event_id = 1;
UPDATE booking.ticket SET event_id = 1 WHERE event_id = 8 AND user_id % 2 = 0;
SELECT * FROM booking.verify();

-- REPEATABLE READ has nothing to split for, but meets many stripes all the same
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

-- what replaces the inventory leaves one stripe, which then splits again
SELECT stripes(8) > 1 AS several;
SELECT booking.rebuild_inventory(8);
SELECT stripes(8);
CALL sell(8, 100);
TRUNCATE booking.ticket;
SELECT event_id, stripe, available FROM booking.inventory ORDER BY event_id, stripe;
CALL sell(8, 100);
-- an event goes with all its stripes
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

-- As many stripes as there may be: no more come, and all is sold.  (They are
-- put there by hand: to make so many, many sessions must meet.)
CREATE PROCEDURE spread(of_event bigint, each integer)
LANGUAGE sql
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
-- one by one, none more than once: each stripe is drained in its turn
SELECT count(*) FILTER (WHERE status = 'booked') AS booked,
       count(*) FILTER (WHERE status = 'sold_out') AS sold_out
FROM generate_series(1, 2600) u, booking.try_book_ticket(11, u);
SELECT stripe, available FROM booking.inventory WHERE event_id = 11;
-- the capacity goes down over all of them
UPDATE booking.event SET capacity = 7 WHERE event_id = 12;
SELECT sum(available), count(*) <= 256 AS not_too_many FROM booking.inventory WHERE event_id = 12;
UPDATE booking.event SET capacity = 0 WHERE event_id = 12;
SELECT stripe, available FROM booking.inventory WHERE event_id = 12;
DELETE FROM booking.event WHERE event_id = 12;

DROP PROCEDURE sell, spread;
DROP FUNCTION stripes, widest;
SELECT * FROM damage();
SELECT * FROM booking.verify();
