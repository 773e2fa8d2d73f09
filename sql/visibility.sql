--
-- What one session sees of its own bookings.
--
-- Promises:
--   - Calls in one statement, in one transaction and in exception blocks see what
--     earlier calls did.  This holds under every isolation level.
--   - In a read-only transaction, PostgreSQL's own error is raised.
--   - After a transaction with very many tickets, the inventory is exact.
CALL recreate_booking();
\set SHOW_CONTEXT never

INSERT INTO booking.event (event_id, capacity) VALUES (1, 10), (2, 3), (3, 0), (4, 100000);

-- Many calls in one statement, up to the last place.
SELECT u, status FROM generate_series(1, 5) u, booking.try_book_ticket(2, u) ORDER BY u;
SELECT count(booking.book_ticket(1, u)) FROM generate_series(1, 10) u;
SELECT booking.cancel_ticket(ticket_id) FROM booking.ticket WHERE event_id = 2;
SELECT booking.book_ticket(2, u) FROM generate_series(1, 4) u;
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM places() WHERE event_id < 4;
-- One statement books and cancels by turns, for two events.
SELECT count(booking.book_ticket(2, u)), count(booking.cancel_ticket(t))
FROM (SELECT row_number() OVER (ORDER BY ticket_id) AS u, ticket_id AS t
      FROM booking.ticket WHERE event_id = 1 ORDER BY ticket_id LIMIT 3) x;
SELECT * FROM places() WHERE event_id < 4;
-- The calls are part of a statement that writes.
WITH booked AS (SELECT booking.book_ticket(1, u) AS ticket_id FROM generate_series(1, 3) u)
INSERT INTO booking.ticket (event_id, user_id) SELECT 4, ticket_id FROM booked;
INSERT INTO booking.ticket (event_id, user_id) SELECT 1, booking.book_ticket(4, 9);
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.ticket SET user_id = booking.book_ticket(4, 5) WHERE event_id = 2;
DELETE FROM booking.ticket WHERE event_id = 2 AND booking.cancel_ticket(ticket_id);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM places() WHERE event_id < 4;
-- A cursor is fetched row by row, with other bookings in between.
DELETE FROM booking.ticket WHERE event_id = 2;
BEGIN;
DECLARE c CURSOR FOR
    SELECT u, status FROM generate_series(1, 6) u, booking.try_book_ticket(2, u);
FETCH 1 FROM c;
SELECT status FROM booking.try_book_ticket(2, 100);
FETCH 1 FROM c;
SAVEPOINT a;
FETCH 1 FROM c;
COMMIT;
SELECT * FROM places() WHERE event_id = 2;

-- Loops with exception blocks.  A sold-out event ends the loop.  A block that
-- fails gives its places back.
DELETE FROM booking.ticket;
DO $$
DECLARE
    booked integer := 0;
BEGIN
    LOOP
        BEGIN
            PERFORM booking.book_ticket(1, booked);
            booked := booked + 1;
        EXCEPTION WHEN SQLSTATE '23T01' THEN
            EXIT;
        END;
    END LOOP;
    RAISE INFO 'booked %', booked;
END
$$;
SELECT * FROM booking.verify();
DO $$
BEGIN
    FOR i IN 1..60 LOOP
        BEGIN
            PERFORM booking.book_tickets(4, i, i);
            IF i % 3 = 0 THEN
                RAISE division_by_zero;
            END IF;
            BEGIN
                PERFORM booking.book_ticket(4, -i);
                INSERT INTO booking.ticket (event_id, user_id) VALUES (4, -i);
                IF i % 3 = 1 THEN
                    RAISE division_by_zero;
                END IF;
            EXCEPTION WHEN division_by_zero THEN
                PERFORM booking.cancel_ticket(min(ticket_id))
                FROM booking.ticket WHERE event_id = 4 AND user_id = i AND cancelled_at IS NULL;
            END;
        EXCEPTION WHEN division_by_zero THEN
        END;
    END LOOP;
END
$$;
-- If i % 3 = 1, i tickets are booked and one is cancelled.  If i % 3 = 2, i + 2
-- tickets are booked.  If i % 3 = 0, all is rolled back.
SELECT count(*) FILTER (WHERE cancelled_at IS NULL) AS live,
       (SELECT sum(i) - 20 FROM generate_series(1, 58, 3) i) +
       (SELECT sum(i + 2) FROM generate_series(2, 59, 3) i) AS expected,
       count(*) FILTER (WHERE cancelled_at IS NOT NULL) AS cancelled
FROM booking.ticket WHERE event_id = 4;
SELECT * FROM booking.verify();
-- A procedure that commits in its loop.
CREATE PROCEDURE book_and_commit()
LANGUAGE plpgsql
AS $$
BEGIN
    FOR i IN 1..30 LOOP
        PERFORM booking.book_ticket(4, 1000 + i % 7);
        IF i % 10 = 0 THEN
            COMMIT;
        ELSIF i % 10 = 5 THEN
            ROLLBACK;
        END IF;
    END LOOP;
END
$$;
CALL book_and_commit();
SELECT count(*) FROM booking.ticket WHERE event_id = 4 AND user_id >= 1000;
DROP PROCEDURE book_and_commit;
SELECT * FROM booking.verify();

-- Very many bookings in one transaction.  It sees exact numbers at all times.
TRUNCATE booking.ticket;
BEGIN;
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 100) u;
SELECT * FROM booking.availability(4);
SAVEPOINT a;
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 5000) u;
SELECT * FROM booking.availability(4);
SAVEPOINT b;
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 200) u;
RELEASE b;
SELECT * FROM booking.availability(4);
SAVEPOINT c;
SELECT cardinality(booking.book_tickets(4, 1, 20000)) AS tickets;
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 100) u;
ROLLBACK TO c;
SELECT * FROM booking.availability(4);
SELECT * FROM booking.verify();
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 100) u;
ROLLBACK TO a;
SELECT * FROM booking.availability(4);
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 30) u;
COMMIT;
SELECT * FROM places() WHERE event_id = 4;
-- A transaction books up to the last place.  Another one also cancels half of
-- the tickets and books again.
BEGIN;
UPDATE booking.event SET capacity = 300 WHERE event_id = 4;
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 169) u;
SELECT available FROM booking.availability(4);
SELECT booking.book_tickets(4, 1, 2);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN;
UPDATE booking.event SET capacity = 300 WHERE event_id = 4;
SELECT count(*) FILTER (WHERE status = 'booked') AS booked,
       count(*) FILTER (WHERE status = 'sold_out') AS sold_out
FROM generate_series(1, 400) u, booking.try_book_ticket(4, u);
UPDATE booking.ticket SET cancelled_at = now() WHERE event_id = 4 AND user_id % 2 = 0;
SELECT count(*) FILTER (WHERE status = 'booked') > 80 AS booked_again
FROM generate_series(1, 400) u, booking.try_book_ticket(4, u);
SELECT available FROM booking.availability(4);
SAVEPOINT a;
UPDATE booking.event SET capacity = 299 WHERE event_id = 4;
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO a;
COMMIT;
SELECT capacity, free, live FROM places() WHERE event_id = 4;
-- The capacity is lowered after many bookings, by as many places as are left.
UPDATE booking.event SET capacity = 1000 WHERE event_id = 4;
BEGIN;
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 100) u;
SAVEPOINT a;
UPDATE booking.event SET capacity = 399 WHERE event_id = 4;
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO a;
UPDATE booking.event SET capacity = 401 WHERE event_id = 4;
SELECT status FROM booking.try_book_ticket(4, 1);
SELECT status FROM booking.try_book_ticket(4, 1);
COMMIT;
SELECT capacity, free, live FROM places() WHERE event_id = 4;
-- Many bookings, then everything that replaces the inventory.
UPDATE booking.event SET capacity = 1000 WHERE event_id = 4;
BEGIN;
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 100) u;
SELECT booking.rebuild_inventory(4);
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 100) u;
COMMIT;
SELECT capacity, free, live FROM places() WHERE event_id = 4;
BEGIN;
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 100) u;
SAVEPOINT a;
TRUNCATE booking.ticket;
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 50) u;
SELECT available FROM booking.availability(4);
ROLLBACK TO a;
SELECT available FROM booking.availability(4);
COMMIT;
SELECT capacity, free, live FROM places() WHERE event_id = 4;
BEGIN;
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 100) u;
TRUNCATE booking.ticket;
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 50) u;
COMMIT;
SELECT capacity, free, live FROM places() WHERE event_id = 4;
BEGIN;
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 100) u;
TRUNCATE booking.event, booking.ticket;
INSERT INTO booking.event (event_id, capacity) VALUES (4, 1000), (1, 10), (2, 3);
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 50) u;
COMMIT;
SELECT capacity, free, live FROM places() WHERE event_id = 4;
BEGIN;
SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 100) u;
DELETE FROM booking.ticket;
UPDATE booking.event SET event_id = 5 WHERE event_id = 4;
SELECT count(booking.book_ticket(5, u)) FROM generate_series(1, 50) u;
SAVEPOINT a;
DELETE FROM booking.ticket;
DELETE FROM booking.event WHERE event_id = 5;
INSERT INTO booking.event (event_id, capacity) VALUES (5, 60);
SELECT count(*) FILTER (WHERE status = 'booked') AS booked
FROM generate_series(1, 70) u, booking.try_book_ticket(5, u);
ROLLBACK TO a;
SELECT count(booking.book_ticket(5, u)) FROM generate_series(1, 50) u;
UPDATE booking.event SET event_id = 4 WHERE false;
COMMIT;
SELECT event_id, capacity, free, live FROM places() WHERE event_id > 2;
-- availability() shows the state at the start of its statement, even if that
-- statement books.
WITH booked AS MATERIALIZED (
    SELECT count(booking.book_ticket(5, u)) AS n FROM generate_series(1, 60) u)
SELECT n, a.available + a.booked = a.capacity AS adds_up,
       a.available BETWEEN 840 AND 900 AS plausible
FROM booked, booking.availability(4 + n - n + 1) a;
BEGIN;
SELECT count(booking.book_ticket(5, u)) FROM generate_series(1, 20) u;
DECLARE c CURSOR FOR SELECT available BETWEEN 720 AND 820 AS plausible
    FROM generate_series(1, 2) g, booking.availability(4 + g - g + 1);
FETCH 1 FROM c;
SELECT count(booking.book_ticket(5, u)) FROM generate_series(1, 100) u;
FETCH 1 FROM c;
COMMIT;
SELECT * FROM booking.verify();
-- The tables are altered after many bookings in the same transaction.
BEGIN;
SELECT count(booking.book_ticket(5, u)) FROM generate_series(1, 40) u;
ALTER TABLE booking.ticket ADD COLUMN note text;
SELECT count(booking.book_ticket(5, u)) FROM generate_series(1, 40) u;
ALTER TABLE booking.ticket DROP COLUMN note;
CREATE INDEX inventory_available_idx ON booking.inventory (available);
COMMIT;
SELECT * FROM booking.verify();
SELECT * FROM damage();
DROP INDEX booking.inventory_available_idx;
BEGIN;
SELECT count(booking.book_ticket(5, u)) FROM generate_series(1, 40) u;
SET TRANSACTION READ ONLY;
SELECT * FROM booking.verify();
COMMIT;
SELECT * FROM booking.verify();

-- A transaction that is rolled back leaves nothing.
SELECT free, live FROM places() WHERE event_id = 5 \gset before_
BEGIN;
SELECT count(booking.book_ticket(5, u)) FROM generate_series(1, 90) u;
INSERT INTO booking.ticket (event_id, user_id) SELECT 5, u FROM generate_series(1, 90) u;
ROLLBACK;
SELECT free = :before_free AND live = :before_live AS same FROM places() WHERE event_id = 5;

-- Under every isolation level, a transaction sees its own bookings, cancellations
-- and changes of the capacity, and what it rolled back.
TRUNCATE booking.event, booking.ticket RESTART IDENTITY;
INSERT INTO booking.event (capacity) VALUES (5), (50);
CREATE PROCEDURE see_own()
LANGUAGE plpgsql
AS $$
DECLARE
    ticket bigint;
BEGIN
    RAISE INFO '% ---', current_setting('transaction_isolation');
    RAISE INFO 'first: %', (SELECT available FROM booking.availability(1));
    ticket := booking.book_ticket(1, 1);
    INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 2);
    RAISE INFO 'three are left: %', cardinality(booking.book_tickets(1, 1, 3));
    RAISE INFO 'none is left: %', (SELECT status FROM booking.try_book_ticket(1, 3));
    PERFORM booking.cancel_ticket(ticket);
    RAISE INFO 'one came back: %', (SELECT status FROM booking.try_book_ticket(1, 3));
    UPDATE booking.event SET capacity = 7 WHERE event_id = 1;
    BEGIN
        RAISE INFO 'two more: %', cardinality(booking.book_tickets(1, 1, 2));
        RAISE INFO 'no third: %', (SELECT status FROM booking.try_book_ticket(1, 3));
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN
    END;
    RAISE INFO 'again: %', cardinality(booking.book_tickets(1, 1, 2));
    RAISE INFO 'last: %', (SELECT available FROM booking.availability(1));
    BEGIN
        UPDATE booking.event SET capacity = 6 WHERE event_id = 1;
    EXCEPTION WHEN SQLSTATE '23T08' THEN
        RAISE INFO 'capacity in use';
    END;
    RAISE INFO 'forty: %', (SELECT count(booking.book_ticket(2, u)) FROM generate_series(1, 40) u);
    RAISE INFO 'of twenty more: %', (SELECT count(*) FROM generate_series(1, 20) u,
                                     booking.try_book_ticket(2, u) WHERE status = 'booked');
    INSERT INTO booking.event (event_id, capacity) VALUES (3, 2);
    RAISE INFO 'a new event: %', cardinality(booking.book_tickets(3, 1, 2));
    DELETE FROM booking.ticket WHERE event_id = 3;
    DELETE FROM booking.event WHERE event_id = 3;
    RAISE INFO 'problems: %', (SELECT count(*) FROM booking.verify());
    PERFORM booking.rebuild_inventory(2);
    TRUNCATE booking.ticket;
    UPDATE booking.event SET capacity = 5 WHERE event_id = 1;
END
$$;
CALL see_own();
BEGIN ISOLATION LEVEL REPEATABLE READ;
CALL see_own();
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
CALL see_own();
COMMIT;
SELECT * FROM places();
BEGIN ISOLATION LEVEL SERIALIZABLE;
CALL see_own();
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
CALL see_own();
COMMIT;
SELECT * FROM places();
SELECT * FROM booking.verify();

-- A transaction writes a stripe more than once, the last time to set a limit.  It
-- finds the stripe again and there is no conflict with itself.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT status FROM booking.try_book_ticket(1, 7);
UPDATE booking.event SET max_per_user = 2 WHERE event_id = 1;
SELECT (booking.try_book_ticket(1, 7)).status FROM generate_series(1, 2);
UPDATE booking.event SET max_per_user = NULL WHERE event_id = 1;
SELECT status FROM booking.try_book_ticket(1, 7);
SELECT * FROM places() WHERE event_id = 1;
SELECT * FROM booking.verify();
ROLLBACK;

-- In a read-only transaction, everything that could write raises 25006.  That also
-- holds if there is nothing to write.  What only reads works.
SELECT booking.book_ticket(1, 1) AS ticket \gset
SELECT booking.cancel_ticket(:ticket);
SET default_transaction_read_only = on;
SELECT statement, o.code, o.message
FROM (VALUES
    (1, 'SELECT booking.book_ticket(1, 1)'),
    (2, 'SELECT booking.try_book_ticket(1, 1)'),
    (3, 'SELECT booking.book_tickets(1, 1, 1)'),
    (4, 'SELECT booking.cancel_ticket(1)'),
    (5, 'SELECT booking.transfer_ticket(1, 1)'),
    (6, 'SELECT booking.redeem_ticket(1)'),
    (7, 'SELECT booking.rebuild_inventory(1)'),
    (8, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 1)'),
    (9, 'SELECT booking.book_ticket(99, 1)'),
    (10, 'SELECT booking.verify()'),
    (11, 'SELECT booking.availability(1)'),
    (12, 'SELECT booking.book_as_staff(1, 1)'),
    (13, 'SELECT booking.change_hold(1, 1)'),
    (14, 'SELECT booking.move_ticket(1, 1)'),
    (15, 'SELECT booking.exchange_tickets(1, 1)'),
    (16, 'SELECT booking.unredeem_ticket(1)'),
    (17, 'SELECT booking.cancel_event(1)')) AS t (n, statement), outcome(statement) o
ORDER BY n;
SELECT * FROM booking.availability(1);
SELECT * FROM booking.verify();
RESET default_transaction_read_only;

DROP PROCEDURE see_own;
SELECT * FROM places();
SELECT * FROM damage();
SELECT * FROM booking.verify();
