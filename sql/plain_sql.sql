--
-- Plain SQL on the tables is as safe as the functions.
--
-- Promises:
--   - INSERT, UPDATE, DELETE, COPY, MERGE and TRUNCATE obey the capacity exactly
--     as the functions do.  This also holds for several of them in one statement
--     or transaction, and if part of that is rolled back.
--   - An event is an ordinary row.  Its inventory follows it.
CALL recreate_booking();
\set SHOW_CONTEXT never

INSERT INTO booking.event (name, capacity)
VALUES ('concert', 10), ('theatre', 3), ('opera', 5);

-- INSERT of one row, as an ORM does it.
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 42)
RETURNING ticket_id, event_id, user_id, seat, cancelled_at;
-- INSERT of several rows for several events.
INSERT INTO booking.ticket (event_id, user_id, seat)
VALUES (1, 43, 'A1'), (2, 43, 'A1'), (1, 44, 'A2');
-- A ticket that is inserted as cancelled takes no place.
INSERT INTO booking.ticket (event_id, user_id, cancelled_at) VALUES (1, 45, now());
-- INSERT ... SELECT.
INSERT INTO booking.ticket (event_id, user_id) SELECT 3, u FROM generate_series(1, 4) u;
SELECT * FROM places();
-- One row too many: no row is inserted.
INSERT INTO booking.ticket (event_id, user_id) SELECT 2, u FROM generate_series(1, 3) u;
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.ticket (event_id, user_id) VALUES (3, 5), (3, 6);
\echo :LAST_ERROR_SQLSTATE
-- One event has enough places, the other does not: no row is inserted.
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 5), (3, 5), (3, 6);
\echo :LAST_ERROR_SQLSTATE
-- INSERT of a live and of a cancelled ticket for an event that does not exist.
INSERT INTO booking.ticket (event_id, user_id) VALUES (9, 1);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.ticket (event_id, user_id, cancelled_at) VALUES (9, 1, now());
\echo :LAST_ERROR_SQLSTATE
-- An empty label is no seat.
BEGIN;
INSERT INTO booking.ticket (event_id, user_id, seat) VALUES (1, 47, ''), (1, 48, ''), (1, 49, ' ');
ROLLBACK;
-- INSERT of a seat that is taken.
INSERT INTO booking.ticket (event_id, user_id, seat) VALUES (1, 46, 'A1');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM places();

-- COPY.
COPY booking.ticket (event_id, user_id) FROM stdin;
1	50
2	50
1	51
\.
COPY booking.ticket (event_id, user_id) FROM stdin;
1	52
2	52
2	53
\.
SELECT * FROM places();

-- ON CONFLICT: a row that is not inserted takes no place.
INSERT INTO booking.ticket (event_id, user_id, seat)
VALUES (1, 60, 'A1'), (1, 60, 'B1'), (1, 60, 'A2') ON CONFLICT DO NOTHING;
INSERT INTO booking.ticket (ticket_id, event_id, user_id) VALUES (1, 1, 61), (100, 1, 61)
ON CONFLICT (ticket_id) DO UPDATE SET user_id = excluded.user_id;
INSERT INTO booking.ticket (ticket_id, event_id, user_id) VALUES (1, 1, 61)
ON CONFLICT (ticket_id) DO UPDATE SET cancelled_at = now();
SELECT * FROM places() WHERE event_id = 1;

-- A prepared statement is executed until it gets a generic plan.
PREPARE buy (bigint, bigint) AS INSERT INTO booking.ticket (event_id, user_id) VALUES ($1, $2);
SELECT available FROM booking.availability(1);
EXECUTE buy (1, 1);
EXECUTE buy (1, 2);
EXECUTE buy (1, 3);
EXECUTE buy (1, 4);
EXECUTE buy (1, 5);
\echo :LAST_ERROR_SQLSTATE
DELETE FROM booking.ticket WHERE event_id = 1 AND user_id BETWEEN 2 AND 4;
EXECUTE buy (1, 5);
EXECUTE buy (1, 6);
EXECUTE buy (1, 7);
EXECUTE buy (1, 8);
DEALLOCATE buy;
PREPARE book (bigint) AS SELECT count(booking.book_ticket(1, $1));
DELETE FROM booking.ticket WHERE event_id = 1 AND user_id IN (5, 6, 7);
EXECUTE book (5);
EXECUTE book (6);
EXECUTE book (7);
EXECUTE book (8);
DEALLOCATE book;

-- MERGE.
MERGE INTO booking.ticket t
USING (VALUES (5, 'cancel'), (6, 'delete'), (70, 'book'), (71, 'book')) AS s (user_id, wish)
ON t.event_id = 1 AND t.user_id = s.user_id
WHEN MATCHED AND wish = 'cancel' THEN UPDATE SET cancelled_at = now()
WHEN MATCHED AND wish = 'delete' THEN DELETE
WHEN NOT MATCHED THEN INSERT (event_id, user_id) VALUES (1, s.user_id);
SELECT * FROM places() WHERE event_id = 1;

-- INSERT and DELETE through an updatable view.
CREATE VIEW concert AS SELECT ticket_id, event_id, user_id FROM booking.ticket WHERE event_id = 2;
INSERT INTO concert (event_id, user_id) VALUES (2, 80);
INSERT INTO concert (event_id, user_id) VALUES (2, 81);
\echo :LAST_ERROR_SQLSTATE
DELETE FROM concert WHERE user_id = 80;
DROP VIEW concert;
SELECT * FROM places() WHERE event_id = 2;

-- UPDATE cancels tickets and makes them live again.
UPDATE booking.ticket SET cancelled_at = now() WHERE event_id = 3 AND user_id <= 2;
SELECT * FROM places() WHERE event_id = 3;
UPDATE booking.ticket SET cancelled_at = cancelled_at + interval '1 s' WHERE event_id = 3;
UPDATE booking.ticket SET cancelled_at = NULL WHERE event_id = 3 AND user_id = 1;
SELECT * FROM places() WHERE event_id = 3;
SELECT cardinality(booking.book_tickets(3, 90, 2)) AS tickets;
UPDATE booking.ticket SET cancelled_at = NULL WHERE event_id = 3 AND user_id = 2;
\echo :LAST_ERROR_SQLSTATE
-- One statement swaps live and cancelled tickets.
UPDATE booking.ticket SET cancelled_at = now() WHERE event_id = 3 AND user_id = 1;
UPDATE booking.ticket SET cancelled_at = CASE WHEN cancelled_at IS NULL THEN now() END
WHERE event_id = 3;
SELECT * FROM places() WHERE event_id = 3;
-- A cancelled ticket can't become live again if its seat was sold to someone
-- else.
INSERT INTO booking.ticket (event_id, user_id, seat, cancelled_at) VALUES (3, 91, 'C1', now());
INSERT INTO booking.ticket (event_id, user_id, seat) VALUES (3, 92, 'C1');
UPDATE booking.ticket SET cancelled_at = NULL WHERE event_id = 3 AND user_id = 91;
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM places() WHERE event_id = 3;

-- UPDATE of columns that don't affect places.
UPDATE booking.ticket SET user_id = user_id + 1000, redeemed_at = now(), seat = NULL;
UPDATE booking.ticket SET seat = 'moves' WHERE event_id = 3 AND user_id = 1092;
SELECT * FROM places();

-- UPDATE moves tickets to other events, in both directions.
UPDATE booking.ticket SET event_id = 2 WHERE event_id = 3 AND seat = 'moves';
SELECT * FROM places() WHERE event_id > 1;
UPDATE booking.ticket SET event_id = 2 WHERE event_id = 1 AND user_id >= 1060;
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.ticket SET event_id = 3 WHERE event_id = 2;
UPDATE booking.ticket SET event_id = 9 WHERE event_id = 1;
\echo :LAST_ERROR_SQLSTATE
-- A cancelled ticket moves without a place.
UPDATE booking.ticket SET event_id = 2 WHERE event_id = 3 AND cancelled_at IS NOT NULL;
SELECT * FROM places();
-- One UPDATE moves and cancels tickets.  Another one moves a ticket and makes it
-- live again.
UPDATE booking.ticket SET event_id = 2, cancelled_at = now()
WHERE ticket_id IN (SELECT ticket_id FROM booking.ticket
                    WHERE event_id = 3 AND cancelled_at IS NULL ORDER BY 1 LIMIT 2);
UPDATE booking.ticket SET event_id = 3, cancelled_at = NULL
WHERE ticket_id = (SELECT min(ticket_id) FROM booking.ticket WHERE event_id = 2);
SELECT * FROM places();
-- UPDATE of a ticket's id.
UPDATE booking.ticket SET ticket_id = -ticket_id WHERE event_id = 3;
UPDATE booking.ticket SET ticket_id = -ticket_id WHERE event_id = 3;
SELECT * FROM booking.verify();

-- DELETE gives back the places of live tickets.
DELETE FROM booking.ticket WHERE event_id = 2;
SELECT * FROM places() WHERE event_id = 2;
DELETE FROM booking.ticket WHERE event_id = 1 AND cancelled_at IS NULL;
SELECT * FROM places();

-- Several statements in one transaction, part of which is rolled back.
BEGIN;
INSERT INTO booking.ticket (event_id, user_id) VALUES (2, 1);
SAVEPOINT a;
INSERT INTO booking.ticket (event_id, user_id) VALUES (2, 2), (2, 3);
SAVEPOINT b;
INSERT INTO booking.ticket (event_id, user_id) VALUES (2, 4);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO b;
UPDATE booking.ticket SET cancelled_at = now() WHERE event_id = 2 AND user_id = 2;
SELECT status FROM booking.try_book_ticket(2, 5);
SELECT status FROM booking.try_book_ticket(2, 6);
SAVEPOINT c;
TRUNCATE booking.ticket;
SELECT * FROM places();
SELECT cardinality(booking.book_tickets(2, 7, 3)) AS tickets;
ROLLBACK TO c;
SELECT event_id, user_id, cancelled_at IS NOT NULL AS cancelled
FROM booking.ticket WHERE event_id = 2 ORDER BY user_id;
RELEASE b;
ROLLBACK TO a;
SELECT * FROM booking.availability(2);
SELECT cardinality(booking.book_tickets(2, 8, 2)) AS tickets;
SELECT status FROM booking.try_book_ticket(2, 9);
COMMIT;
SELECT * FROM places() WHERE event_id = 2;
SELECT * FROM booking.verify();

-- Many tickets in one transaction, booked, rolled back and booked again.  No
-- place is lost.
INSERT INTO booking.event (event_id, capacity) VALUES (50, 1000);
BEGIN;
INSERT INTO booking.ticket (event_id, user_id) SELECT 50, u FROM generate_series(1, 300) u;
SAVEPOINT a;
INSERT INTO booking.ticket (event_id, user_id) SELECT 50, u FROM generate_series(301, 700) u;
SELECT available FROM booking.availability(50);
ROLLBACK TO a;
SELECT available FROM booking.availability(50);
DELETE FROM booking.ticket WHERE event_id = 50 AND user_id <= 100;
SELECT available FROM booking.availability(50);
INSERT INTO booking.ticket (event_id, user_id) SELECT 50, u FROM generate_series(1, 800) u;
SAVEPOINT b;
INSERT INTO booking.ticket (event_id, user_id) VALUES (50, 1);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO b;
SELECT available FROM booking.availability(50);
UPDATE booking.ticket SET cancelled_at = now() WHERE event_id = 50 AND user_id % 2 = 0;
COMMIT;
SELECT * FROM places() WHERE event_id = 50;
BEGIN;
SELECT count(booking.book_ticket(50, u)) FROM generate_series(1, 40) u;
UPDATE booking.event SET capacity = capacity - 100 WHERE event_id = 50;
SELECT capacity, available FROM booking.availability(50);
SELECT count(booking.book_ticket(50, u)) FROM generate_series(1, 40) u;
UPDATE booking.event SET capacity = capacity + 1 WHERE event_id = 50;
SELECT capacity, available FROM booking.availability(50);
ROLLBACK;
BEGIN;
SELECT count(booking.book_ticket(50, u)) FROM generate_series(1, 40) u;
DELETE FROM booking.ticket WHERE event_id = 50;
DELETE FROM booking.event WHERE event_id = 50;
SAVEPOINT a;
INSERT INTO booking.event (event_id, capacity) VALUES (50, 20);
SELECT count(booking.book_ticket(50, u)) FROM generate_series(1, 20) u;
SELECT status FROM booking.try_book_ticket(50, 1);
ROLLBACK TO a;
COMMIT;
SELECT * FROM places() WHERE event_id = 50;
SELECT * FROM booking.verify();

-- The capacity is a column.  Raise it.
UPDATE booking.event SET capacity = 4 WHERE event_id = 2;
SELECT status FROM booking.try_book_ticket(2, 10);
SELECT status FROM booking.try_book_ticket(2, 10);
-- The capacity can be lowered to the number of places taken, but not below.
UPDATE booking.event SET capacity = 6 WHERE event_id = 2;
UPDATE booking.event SET capacity = 3 WHERE event_id = 2;
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.event SET capacity = 0 WHERE event_id = 2;
UPDATE booking.event SET capacity = 4 WHERE event_id = 2;
SELECT * FROM places() WHERE event_id = 2;
-- UPDATE of all events at once: if one capacity can't be lowered, no capacity is.
UPDATE booking.event SET capacity = capacity - 1;
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.event SET capacity = capacity + 1;
UPDATE booking.event SET name = name || '!', capacity = capacity;
INSERT INTO booking.event (event_id, name, capacity) VALUES (2, 'theatre', 7)
ON CONFLICT (event_id) DO UPDATE SET capacity = excluded.capacity;
SELECT * FROM places();
-- The capacity is raised from 0 and lowered to 0 again.
INSERT INTO booking.event (event_id, capacity) VALUES (20, 0);
SELECT status FROM booking.try_book_ticket(20, 1);
UPDATE booking.event SET capacity = 1 WHERE event_id = 20;
SELECT status FROM booking.try_book_ticket(20, 1);
SELECT booking.cancel_ticket(ticket_id) FROM booking.ticket WHERE event_id = 20;
UPDATE booking.event SET capacity = 0 WHERE event_id = 20;
SELECT status FROM booking.try_book_ticket(20, 1);
-- The capacity is changed twice in a transaction.  One change is rolled back.
BEGIN;
UPDATE booking.event SET capacity = 5 WHERE event_id = 20;
SAVEPOINT a;
UPDATE booking.event SET capacity = 9 WHERE event_id = 20;
SELECT cardinality(booking.book_tickets(20, 1, 7)) AS tickets;
ROLLBACK TO a;
SELECT cardinality(booking.book_tickets(20, 1, 5)) AS tickets;
SELECT status FROM booking.try_book_ticket(20, 1);
COMMIT;
SELECT * FROM places() WHERE event_id = 20;

-- An event that has tickets can't be deleted or get another id.
DELETE FROM booking.event WHERE event_id = 20;
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.event SET event_id = 21 WHERE event_id = 20;
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.ticket SET cancelled_at = now() WHERE event_id = 20;
DELETE FROM booking.event WHERE event_id = 20;
\echo :LAST_ERROR_SQLSTATE
DELETE FROM booking.ticket WHERE event_id = 20;
UPDATE booking.event SET event_id = 21, capacity = 2 WHERE event_id = 20;
SELECT booking.book_ticket(20, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT u, status FROM generate_series(1, 3) u, booking.try_book_ticket(21, u) ORDER BY u;
-- An event can't get an id that is taken.
UPDATE booking.event SET event_id = 1 WHERE event_id = 3;
\echo :LAST_ERROR_SQLSTATE
DELETE FROM booking.ticket WHERE event_id = 21;
DELETE FROM booking.event WHERE event_id = 21;
SELECT booking.book_ticket(21, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) AS stripes FROM booking.inventory WHERE event_id IN (20, 21);

-- Several events get other ids at once.
INSERT INTO booking.event (event_id, capacity) SELECT e, e FROM generate_series(31, 35) e;
UPDATE booking.event SET event_id = event_id + 10 WHERE event_id BETWEEN 31 AND 35;
SELECT event_id, available FROM booking.inventory WHERE event_id BETWEEN 30 AND 49 ORDER BY 1;
DELETE FROM booking.event WHERE event_id BETWEEN 41 AND 45;
SELECT count(*) AS stripes FROM booking.inventory WHERE event_id BETWEEN 30 AND 49;

-- An event is deleted and created again with the same id, in one transaction.
BEGIN;
INSERT INTO booking.event (event_id, capacity) VALUES (30, 1);
SELECT u, status FROM generate_series(1, 2) u, booking.try_book_ticket(30, u) ORDER BY u;
DELETE FROM booking.ticket WHERE event_id = 30;
DELETE FROM booking.event WHERE event_id = 30;
INSERT INTO booking.event (event_id, capacity) VALUES (30, 2);
SELECT u, status FROM generate_series(1, 3) u, booking.try_book_ticket(30, u) ORDER BY u;
COMMIT;
SELECT * FROM places() WHERE event_id = 30;

-- One statement creates or deletes an event together with its tickets.
WITH e AS (INSERT INTO booking.event (event_id, capacity) VALUES (31, 2) RETURNING event_id)
INSERT INTO booking.ticket (event_id, user_id) SELECT event_id, u FROM e, generate_series(1, 2) u;
SELECT * FROM places() WHERE event_id = 31;
WITH e AS (INSERT INTO booking.event (event_id, capacity) VALUES (32, 2) RETURNING event_id)
INSERT INTO booking.ticket (event_id, user_id) SELECT event_id, u FROM e, generate_series(1, 3) u;
\echo :LAST_ERROR_SQLSTATE
WITH t AS (DELETE FROM booking.ticket WHERE event_id = 31)
DELETE FROM booking.event WHERE event_id = 31;
WITH e AS (DELETE FROM booking.event WHERE event_id = 30)
DELETE FROM booking.ticket WHERE event_id = 30;
SELECT count(*) AS stripes FROM booking.inventory WHERE event_id IN (30, 31, 32);
-- The event can't be deleted if the statement deletes only some of its tickets.
INSERT INTO booking.event (event_id, capacity) VALUES (33, 2);
INSERT INTO booking.ticket (event_id, user_id) VALUES (33, 1), (33, 2);
WITH t AS (DELETE FROM booking.ticket WHERE event_id = 33 AND user_id = 1)
DELETE FROM booking.event WHERE event_id = 33;
\echo :LAST_ERROR_SQLSTATE
-- One part of a statement gives a place back and another part takes it.
WITH old AS (UPDATE booking.ticket SET cancelled_at = now()
             WHERE event_id = 33 AND user_id = 1 RETURNING event_id)
INSERT INTO booking.ticket (event_id, user_id) SELECT event_id, 3 FROM old;
WITH new AS (INSERT INTO booking.ticket (event_id, user_id) VALUES (33, 4) RETURNING event_id)
UPDATE booking.ticket SET cancelled_at = now() FROM new
WHERE ticket.event_id = new.event_id AND user_id = 2;
SELECT * FROM places() WHERE event_id = 33;

-- A statement is judged at its end: two full events exchange tickets.
INSERT INTO booking.event (event_id, capacity) VALUES (34, 2);
INSERT INTO booking.ticket (event_id, user_id) VALUES (34, 5), (34, 6);
UPDATE booking.ticket SET event_id = 67 - event_id WHERE event_id IN (33, 34) AND user_id IN (3, 4, 5, 6);
SELECT event_id, array_agg(user_id ORDER BY user_id) AS users FROM booking.ticket
WHERE event_id IN (33, 34) AND cancelled_at IS NULL GROUP BY 1 ORDER BY 1;
SELECT * FROM places() WHERE event_id IN (33, 34);
-- Three tickets move, but only two come back.
UPDATE booking.event SET capacity = 3 WHERE event_id = 33;
INSERT INTO booking.ticket (event_id, user_id) VALUES (33, 7);
UPDATE booking.ticket SET event_id = 67 - event_id WHERE event_id IN (33, 34) AND cancelled_at IS NULL;
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM places() WHERE event_id IN (33, 34);
-- A hold becomes larger while another becomes smaller; a ticket replaces a hold.
DELETE FROM booking.ticket WHERE event_id = 33 AND cancelled_at IS NULL;
SELECT booking.hold_tickets(33, 1, 2) IS NOT NULL AND booking.hold_tickets(33, 2, 1) IS NOT NULL AS held;
UPDATE booking.hold SET quantity = 3 - quantity WHERE event_id = 33;
SELECT user_id, quantity FROM booking.hold WHERE event_id = 33 ORDER BY 1;
WITH gone AS (DELETE FROM booking.hold WHERE event_id = 33 AND user_id = 1 RETURNING event_id)
INSERT INTO booking.ticket (event_id, user_id) SELECT event_id, 1 FROM gone;
SELECT * FROM places() WHERE event_id = 33;
-- A trigger sees the places of before the statement, and its own statements are
-- judged by themselves.
CREATE FUNCTION see_places() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% of event %: % available', TG_OP, new.event_id,
        (SELECT available FROM booking.availability(new.event_id));
    IF new.user_id = 8 THEN
        INSERT INTO booking.ticket (event_id, user_id) VALUES (new.event_id, 9);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER see AFTER INSERT ON booking.ticket FOR EACH ROW EXECUTE FUNCTION see_places();
UPDATE booking.event SET capacity = 4 WHERE event_id = 33;
INSERT INTO booking.ticket (event_id, user_id) VALUES (33, 8), (33, 10);
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.event SET capacity = 6 WHERE event_id = 33;
INSERT INTO booking.ticket (event_id, user_id) VALUES (33, 8), (33, 10);
SELECT * FROM places() WHERE event_id = 33;
SELECT * FROM booking.verify();
DROP TRIGGER see ON booking.ticket;
DROP FUNCTION see_places();
-- A trigger books for the next in line when a place comes back, after each row or
-- after the statement.  If that is undone, the place comes back all the same.
CREATE FUNCTION next_in_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM booking.book_ticket(33, 100);
    BEGIN
        INSERT INTO booking.ticket (event_id, user_id) VALUES (33, 101);
        RAISE division_by_zero;
    EXCEPTION
        WHEN division_by_zero THEN RAISE NOTICE 'undone';
        WHEN SQLSTATE '23T01' THEN RAISE NOTICE 'sold out';
    END;
    RETURN NULL;
END $$;
CREATE TRIGGER a_next_row AFTER UPDATE ON booking.ticket FOR EACH ROW EXECUTE FUNCTION next_in_line();
UPDATE booking.ticket SET cancelled_at = now() WHERE event_id = 33 AND user_id = 8;
DROP TRIGGER a_next_row ON booking.ticket;
CREATE TRIGGER next_all AFTER DELETE ON booking.ticket FOR EACH STATEMENT EXECUTE FUNCTION next_in_line();
DELETE FROM booking.ticket WHERE event_id = 33 AND user_id IN (9, 10);
DROP TRIGGER next_all ON booking.ticket;
DROP FUNCTION next_in_line();
SELECT * FROM places() WHERE event_id = 33;
-- The capacity is lowered by the places that the statement gives, or by more.
WITH gone AS (DELETE FROM booking.ticket WHERE event_id = 33 AND user_id = 100 RETURNING event_id)
UPDATE booking.event SET capacity = capacity - (SELECT count(*) FROM gone) - 2 WHERE event_id = 33;
WITH gone AS (DELETE FROM booking.ticket WHERE event_id = 33 AND user_id = 100 RETURNING event_id)
UPDATE booking.event SET capacity = capacity - (SELECT count(*) FROM gone) - 1 WHERE event_id = 33;
SELECT * FROM places() WHERE event_id = 33;
SELECT * FROM booking.verify();
-- A trigger replaces the event of a ticket that is not counted yet.
ALTER TABLE booking.ticket ADD CONSTRAINT ticket_event_fk FOREIGN KEY (event_id) REFERENCES booking.event
    ON DELETE CASCADE;
CREATE FUNCTION replace_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM booking.event WHERE event_id = new.event_id;
    INSERT INTO booking.event (event_id, capacity) VALUES (new.event_id, 5);
    RETURN NULL;
END $$;
CREATE TRIGGER replace AFTER INSERT ON booking.ticket FOR EACH ROW EXECUTE FUNCTION replace_it();
INSERT INTO booking.event (event_id, capacity) VALUES (35, 3);
INSERT INTO booking.ticket (event_id, user_id) VALUES (35, 1);
SELECT * FROM places() WHERE event_id = 35;
SELECT * FROM booking.verify();
DROP TRIGGER replace ON booking.ticket;
DROP FUNCTION replace_it();
ALTER TABLE booking.ticket DROP CONSTRAINT ticket_event_fk;
DELETE FROM booking.event WHERE event_id = 35;
DELETE FROM booking.hold WHERE event_id = 33;
DELETE FROM booking.ticket WHERE event_id IN (33, 34) AND cancelled_at IS NULL;
UPDATE booking.ticket SET event_id = 33 WHERE event_id = 34;
DELETE FROM booking.event WHERE event_id = 34;
UPDATE booking.event SET capacity = 2 WHERE event_id = 33;

-- TRUNCATE of the tickets gives all places back.
TRUNCATE booking.ticket;
SELECT * FROM places();
BEGIN;
SELECT cardinality(booking.book_tickets(1, 1, 5)) AS tickets;
TRUNCATE booking.ticket;
SELECT * FROM booking.availability(1);
ROLLBACK;
SELECT * FROM places() WHERE event_id = 1;
-- TRUNCATE of the events is refused while there are tickets, even cancelled
-- ones.
INSERT INTO booking.ticket (event_id, user_id, cancelled_at) VALUES (1, 1, now());
TRUNCATE booking.event;
\echo :LAST_ERROR_SQLSTATE
BEGIN;
TRUNCATE booking.ticket;
TRUNCATE booking.event;
SELECT count(*) FROM booking.inventory;
ROLLBACK;
TRUNCATE booking.event, booking.ticket RESTART IDENTITY;
SELECT count(*) FROM booking.inventory;
INSERT INTO booking.event (capacity) VALUES (1) RETURNING event_id;
SELECT booking.book_ticket(1, 1);
TRUNCATE booking.ticket, booking.event RESTART IDENTITY;
SELECT booking.book_ticket(1, 1);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.event (capacity) VALUES (2) RETURNING event_id;
TRUNCATE booking.event;
INSERT INTO booking.event (event_id, capacity) VALUES (1, 3);
SELECT * FROM places();

-- The user's own foreign key cascades an event's deletion and its new id to the
-- tickets.
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 1), (1, 2);
ALTER TABLE booking.ticket ADD CONSTRAINT ticket_event_fk
    FOREIGN KEY (event_id) REFERENCES booking.event ON UPDATE CASCADE ON DELETE CASCADE;
UPDATE booking.event SET event_id = 2 WHERE event_id = 1;
SELECT * FROM places();
UPDATE booking.event SET event_id = 1, capacity = 1 WHERE event_id = 2;
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.event SET event_id = 1 WHERE event_id = 2;
SELECT * FROM places();
DELETE FROM booking.event WHERE event_id = 1;
SELECT (SELECT count(*) FROM booking.ticket) AS tickets,
       (SELECT count(*) FROM booking.inventory) AS stripes;
-- The same with more tickets, so that the transaction keeps the returned places
-- until it commits.
INSERT INTO booking.event (event_id, capacity) VALUES (1, 100);
SELECT count(*) FROM booking.book_batch(1, ARRAY(SELECT generate_series(1, 50)::bigint));
UPDATE booking.event SET event_id = 2 WHERE event_id = 1;
SELECT * FROM places();
BEGIN;
DELETE FROM booking.event WHERE event_id = 2;
INSERT INTO booking.event (event_id, capacity) VALUES (2, 10);
COMMIT;
SELECT * FROM places();
DELETE FROM booking.event WHERE event_id = 2;
-- The same if the statement gives the tickets' old event_id to another event.
-- The other event does not get their places.
INSERT INTO booking.event (event_id, capacity) VALUES (2, 10), (1, 10);
SELECT cardinality(booking.book_tickets(2, 1, 5)) + cardinality(booking.book_tickets(1, 1, 2)) AS tickets;
UPDATE booking.event SET event_id = event_id + 1;
SELECT * FROM places();
SELECT booking.hold_tickets(3, 1, 4) IS NOT NULL AS held;
BEGIN;
SAVEPOINT a;
WITH h AS (DELETE FROM booking.hold), e AS (DELETE FROM booking.event RETURNING event_id)
INSERT INTO booking.event (event_id, capacity) SELECT event_id, 7 FROM e;
SELECT * FROM places();
RELEASE a;
SELECT event_id, cardinality(booking.book_tickets(event_id, 1, 3)) AS tickets FROM booking.event ORDER BY 1;
DELETE FROM booking.ticket WHERE event_id = 3;
SELECT * FROM places();
ROLLBACK;
SELECT * FROM places();
DELETE FROM booking.hold;
DELETE FROM booking.event;
-- The same if the statement also takes places of the new event, or changes a hold
-- whose places went with the old event.
ALTER TABLE booking.hold ADD CONSTRAINT hold_event_fk
    FOREIGN KEY (event_id) REFERENCES booking.event ON DELETE CASCADE;
\set recreate_event 'WITH d AS (DELETE FROM booking.event RETURNING event_id), i AS (INSERT INTO booking.event (event_id, capacity) SELECT event_id, 10 FROM d RETURNING event_id)'
INSERT INTO booking.event (event_id, capacity) VALUES (1, 10);
SELECT booking.hold_tickets(1, 1, 3) IS NOT NULL AS held;
:recreate_event
INSERT INTO booking.ticket (event_id, user_id) SELECT event_id, 7 FROM i;
SELECT * FROM places();
SELECT booking.hold_tickets(1, 1, 3) IS NOT NULL AS held;
:recreate_event
UPDATE booking.hold SET quantity = 5 FROM i;
SELECT * FROM places();
SELECT booking.hold_tickets(1, 1, 3) IS NOT NULL AS held;
:recreate_event
UPDATE booking.hold SET quantity = 1 FROM i;
SELECT * FROM places();
-- Rows of an event are deleted without a trigger, then the event is created
-- again.  Later tickets still give their places back to it.
SELECT cardinality(booking.book_tickets(1, 1, 3)) AS tickets;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM booking.ticket;
SET LOCAL session_replication_role = origin;
DELETE FROM booking.event;
INSERT INTO booking.event (event_id, capacity) VALUES (1, 10);
SELECT cardinality(booking.book_tickets(1, 1, 2)) AS tickets;
DELETE FROM booking.ticket;
COMMIT;
SELECT * FROM places();
DELETE FROM booking.event;
ALTER TABLE booking.hold DROP CONSTRAINT hold_event_fk;
ALTER TABLE booking.ticket DROP CONSTRAINT ticket_event_fk;

SELECT * FROM damage();
SELECT * FROM booking.verify();
