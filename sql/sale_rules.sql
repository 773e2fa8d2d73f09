--
-- The sale rules: max_per_user, sales_start and sales_end.
--
-- Promises:
--   - No user gets more places than max_per_user, whichever way they are booked.
--     Live tickets and holds count together.  Expired holds don't count.
--   - The limit can be changed or removed at any time.  That takes no place away.
--   - Before and after the sale, nothing is sold or held.  Everything that takes no
--     place still works.
CALL recreate_booking();
\set SHOW_CONTEXT never

-- Returns how many places of an event a user has.
CREATE FUNCTION owned(of_event bigint, of_user bigint) RETURNS bigint
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT (SELECT count(*) FROM booking.ticket
            WHERE event_id = of_event AND user_id = of_user AND cancelled_at IS NULL)
         + (SELECT coalesce(sum(quantity), 0) FROM booking.hold
            WHERE event_id = of_event AND user_id = of_user AND ended_at IS NULL
                AND expires_at > clock_timestamp());
END;

INSERT INTO booking.event (event_id, capacity, max_per_user)
VALUES (1, 100, 2), (2, 100, 4), (3, 100, NULL), (4, 2, 2);

-- ---- the limit per user: every way to book ----

-- The functions.
SELECT booking.book_ticket(1, 1) > 0 AS booked;
SELECT status FROM booking.try_book_ticket(1, 1);
SELECT status, ticket_id FROM booking.try_book_ticket(1, 1);
SELECT booking.book_ticket(1, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.book_tickets(1, 2, 3);
\echo :LAST_ERROR_SQLSTATE
SELECT cardinality(booking.book_tickets(1, 2, 2)) AS tickets;
SELECT booking.hold_tickets(1, 2);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.hold_tickets(1, 3, 3);
\echo :LAST_ERROR_SQLSTATE
SELECT hold_id AS hold FROM booking.hold_tickets(1, 3, 2) \gset
SELECT status FROM booking.try_book_ticket(1, 3);
-- Other users and other events.
SELECT status FROM booking.try_book_ticket(1, 4);
SELECT status FROM booking.try_book_ticket(2, 1);
SELECT cardinality(booking.book_tickets(3, 1, 50)) AS tickets;
-- A confirmed hold counts as its tickets.
SELECT cardinality(booking.confirm_hold(:hold)) AS tickets;
SELECT status FROM booking.try_book_ticket(1, 3);
-- A cancelled ticket and a released hold don't count.
SELECT booking.cancel_ticket(min(ticket_id)) FROM booking.ticket WHERE event_id = 1 AND user_id = 3;
SELECT status FROM booking.try_book_ticket(1, 3);
SELECT status FROM booking.try_book_ticket(1, 3);
SELECT hold_id AS hold FROM booking.hold_tickets(1, 5, 2) \gset
SELECT booking.release_hold(:hold);
SELECT cardinality(booking.book_tickets(1, 5, 2)) AS tickets;
-- The event is sold out and the user is over the limit.  Either refusal is right.
SELECT cardinality(booking.book_tickets(4, 1, 2)) AS tickets;
SELECT status IN ('user_limit', 'sold_out') AS refused FROM booking.try_book_ticket(4, 1);
SELECT status FROM booking.try_book_ticket(4, 2);
SELECT * FROM booking.verify();

-- INSERT of one row, INSERT of several rows, and COPY: all rows or none.
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 1);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 6), (1, 7), (1, 6);
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 8), (1, 8), (1, 8);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 8), (1, 9), (1, 7), (1, 7);
\echo :LAST_ERROR_SQLSTATE
SELECT u, owned(1, u) FROM generate_series(6, 9) u;
COPY booking.ticket (event_id, user_id) FROM stdin;
1	8
1	9
1	8
\.
COPY booking.ticket (event_id, user_id) FROM stdin;
1	9
1	10
1	9
\.
SELECT u, owned(1, u) FROM generate_series(8, 10) u;
-- A cancelled ticket counts when it becomes live again.
INSERT INTO booking.ticket (event_id, user_id, cancelled_at)
VALUES (1, 10, now()), (1, 10, now()), (1, 10, now());
UPDATE booking.ticket SET cancelled_at = NULL WHERE event_id = 1 AND user_id = 10;
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.ticket SET cancelled_at = NULL
WHERE ticket_id IN (SELECT ticket_id FROM booking.ticket WHERE event_id = 1 AND user_id = 10
                    ORDER BY 1 LIMIT 2);
SELECT owned(1, 10);
-- INSERT and UPDATE of holds.
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (1, 10, 1, 'infinity');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (1, 11, 3, 'infinity');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)
VALUES (1, 11, 1, 'infinity'), (1, 11, 1, 'infinity');
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (1, 11, 1, 'infinity');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at, ended_at)
VALUES (1, 11, 3, 'infinity', now());
SELECT statement, o.code
FROM (VALUES
    (1, 'UPDATE booking.hold SET ended_at = NULL WHERE event_id = 1 AND user_id = 11'),
    (2, 'UPDATE booking.hold SET quantity = 2 WHERE event_id = 1 AND user_id = 11 AND ended_at IS NULL'),
    (3, 'UPDATE booking.hold SET user_id = 10 WHERE event_id = 1 AND user_id = 11 AND ended_at IS NULL'))
    AS t (n, statement), outcome(statement) o
ORDER BY n;
UPDATE booking.hold SET user_id = 12 WHERE event_id = 1 AND user_id = 11 AND ended_at IS NULL;
SELECT u, owned(1, u) FROM generate_series(10, 12) u;
SELECT * FROM booking.verify();

-- A transfer by the function and by UPDATE.
SELECT ticket_id AS ticket FROM booking.ticket WHERE event_id = 1 AND user_id = 7 \gset
SELECT booking.transfer_ticket(:ticket, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.transfer_ticket(:ticket, 9);
SELECT booking.transfer_ticket(:ticket, 9);
UPDATE booking.ticket SET user_id = 1 WHERE ticket_id = :ticket;
\echo :LAST_ERROR_SQLSTATE
SELECT code FROM outcome('UPDATE booking.ticket SET user_id = 13'
                         ' WHERE event_id = 1 AND user_id IN (8, 9)');
UPDATE booking.ticket SET user_id = 13 WHERE event_id = 1 AND user_id = 8;
-- An UPDATE of a user's tickets is allowed at the limit if it adds none.
UPDATE booking.ticket SET user_id = user_id, seat = NULL WHERE event_id = 1;
UPDATE booking.ticket SET event_id = 2 WHERE event_id = 1 AND user_id = 13;
SELECT owned(1, 13), owned(2, 13);
-- Two users at the limit exchange their tickets, and a third wants one more.
BEGIN;
UPDATE booking.ticket SET user_id = 7 - user_id WHERE event_id = 1 AND user_id IN (1, 6);
SELECT owned(1, 1), owned(1, 6);
UPDATE booking.ticket SET user_id = CASE user_id WHEN 1 THEN 6 ELSE 1 END
WHERE event_id = 1 AND user_id IN (1, 6, 9);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
-- The window applies to a ticket that another one makes room for.
BEGIN;
UPDATE booking.event SET sales_end = '2000-01-01' WHERE event_id = 1;
WITH gone AS (DELETE FROM booking.ticket WHERE event_id = 1 AND user_id = 9 RETURNING event_id)
INSERT INTO booking.ticket (event_id, user_id) SELECT event_id, 9 FROM gone;
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
-- A ticket is moved from another event.
UPDATE booking.ticket SET event_id = 1
WHERE ticket_id = (SELECT min(ticket_id) FROM booking.ticket WHERE event_id = 3 AND user_id = 1);
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.ticket SET event_id = 1 WHERE event_id = 2 AND user_id = 13;
SELECT owned(1, 13), owned(2, 13);
-- A ticket gets another event and another user.
UPDATE booking.ticket SET event_id = 1, user_id = 13
WHERE ticket_id = (SELECT min(ticket_id) FROM booking.ticket WHERE event_id = 3 AND user_id = 1);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM booking.verify();

-- The same after many bookings in the transaction, for the same event and for
-- another one.
BEGIN;
SELECT count(booking.book_ticket(3, u)) FROM generate_series(1, 40) u;
SELECT status FROM booking.try_book_ticket(1, 14);
SELECT u, o.code
FROM (VALUES (13), (15)) AS t (u),
     outcome(format('UPDATE booking.ticket SET user_id = %s WHERE event_id = 1 AND user_id = 14', u)) o
ORDER BY u;
SELECT booking.transfer_ticket(ticket_id, 16) FROM booking.ticket WHERE event_id = 1 AND user_id = 15;
SELECT count(booking.transfer_ticket(ticket_id, 17)) FROM booking.ticket
WHERE event_id = 3 AND user_id BETWEEN 2 AND 9;
ROLLBACK;
BEGIN;
SELECT count(booking.book_ticket(3, u)) FROM generate_series(1, 40) u;
SELECT code FROM outcome('SELECT booking.transfer_ticket(min(ticket_id), 13)'
                         ' FROM booking.ticket WHERE event_id = 1 AND user_id = 6');
SELECT booking.transfer_ticket(min(ticket_id), 14) FROM booking.ticket
WHERE event_id = 1 AND user_id = 6;
SELECT owned(1, 6), owned(1, 13), owned(1, 14);
ROLLBACK;
SELECT * FROM booking.verify();

-- ---- expired holds don't count, before and after a sweep ----

SELECT hold_id AS hold FROM booking.hold_tickets(2, 20, 4, '1 microsecond') \gset
SELECT cardinality(booking.book_tickets(2, 20, 4)) AS tickets;
SELECT ended_at FROM booking.hold WHERE hold_id = :hold;
-- They can't be rebooked over the limit.
SELECT booking.confirm_hold(:hold, 'rebook');
\echo :LAST_ERROR_SQLSTATE
SELECT booking.expire_holds();
SELECT booking.confirm_hold(:hold, 'rebook');
\echo :LAST_ERROR_SQLSTATE
DELETE FROM booking.ticket WHERE event_id = 2 AND user_id = 20;
SELECT cardinality(booking.confirm_hold(:hold, 'rebook')) AS tickets;
SELECT owned(2, 20);
-- The user's only places are in the expired hold.
SELECT hold_id AS hold FROM booking.hold_tickets(2, 21, 4, '1 microsecond') \gset
SELECT cardinality(booking.confirm_hold(:hold, 'rebook')) AS tickets;
SELECT owned(2, 21);
-- Tickets and a hold are inserted beside an expired hold.  The expired hold can't
-- be made live again.
SELECT hold_id AS hold FROM booking.hold_tickets(2, 22, 4, '1 microsecond') \gset
INSERT INTO booking.ticket (event_id, user_id) VALUES (2, 22);
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (2, 22, 3, 'infinity');
SELECT owned(2, 22);
SELECT code FROM outcome(format('UPDATE booking.hold SET expires_at = %L WHERE hold_id = %s',
                                'infinity', :hold));
SELECT owned(2, 22);
SELECT * FROM booking.verify();
UPDATE booking.hold SET ended_at = now() WHERE event_id = 2 AND ended_at IS NULL;

-- Places are counted rightly whatever indexes the tickets have.
BEGIN;
DROP INDEX booking.ticket_user_id_event_id_idx;
CREATE INDEX unredeemed ON booking.ticket (user_id, event_id) WHERE redeemed_at IS NULL;
SELECT booking.redeem_ticket(ticket_id) IS NOT NULL AS redeemed
FROM unnest(booking.book_tickets(1, 77, 2)) AS ticket_id;
SELECT status FROM booking.try_book_ticket(1, 77);
CREATE INDEX live ON booking.ticket (event_id, user_id) WHERE cancelled_at IS NULL;
SELECT status FROM booking.try_book_ticket(1, 77);
SELECT status FROM booking.try_book_ticket(1, 78);
ROLLBACK;

-- ---- the limit is changed ----

-- A user has more places than the new limit.  They stay, and no more are booked.
UPDATE booking.event SET max_per_user = 3 WHERE event_id = 3;
SELECT owned(3, 1);
SELECT status FROM booking.try_book_ticket(3, 1);
SELECT cardinality(booking.book_tickets(3, 2, 3)) AS tickets;
SELECT status FROM booking.try_book_ticket(3, 2);
SELECT problem, expected, found FROM booking.verify(3);
DELETE FROM booking.ticket WHERE event_id = 3 AND user_id = 1;
-- The limit is raised, lowered and removed.
UPDATE booking.event SET max_per_user = 4 WHERE event_id = 3;
SELECT status FROM booking.try_book_ticket(3, 2);
SELECT status FROM booking.try_book_ticket(3, 2);
UPDATE booking.event SET max_per_user = 1 WHERE event_id = 3;
SELECT status FROM booking.try_book_ticket(3, 3);
SELECT status FROM booking.try_book_ticket(3, 3);
SELECT booking.cancel_ticket(min(ticket_id)) FROM booking.ticket WHERE event_id = 3 AND user_id = 2;
SELECT status FROM booking.try_book_ticket(3, 2);
UPDATE booking.event SET max_per_user = NULL WHERE event_id = 3;
SELECT cardinality(booking.book_tickets(3, 2, 10)) AS tickets;
-- The limit is changed in a transaction that is rolled back.
BEGIN;
UPDATE booking.event SET max_per_user = 1, capacity = capacity + 1 WHERE event_id = 3;
SELECT status FROM booking.try_book_ticket(3, 2);
SAVEPOINT a;
UPDATE booking.event SET max_per_user = NULL WHERE event_id = 3;
SELECT status FROM booking.try_book_ticket(3, 2);
ROLLBACK TO a;
SELECT status FROM booking.try_book_ticket(3, 2);
ROLLBACK;
SELECT status FROM booking.try_book_ticket(3, 2);
-- Many bookings in one transaction, before and after the limit is set.
BEGIN;
SELECT count(booking.book_ticket(3, u)) FROM generate_series(100, 130) u;
UPDATE booking.event SET max_per_user = 1 WHERE event_id = 3;
SELECT status, count(*) FROM generate_series(125, 135) u, booking.try_book_ticket(3, u)
GROUP BY status ORDER BY status;
COMMIT;
SELECT status, count(*) FROM generate_series(125, 140) u, booking.try_book_ticket(3, u)
GROUP BY status ORDER BY status;
UPDATE booking.event SET max_per_user = NULL WHERE event_id = 3;
SELECT max_per_user, o.code
FROM (VALUES (0), (-1)) AS t (max_per_user),
     outcome(format('UPDATE booking.event SET max_per_user = %s', max_per_user)) o;
SELECT status FROM booking.try_book_ticket(3, 125);
SELECT * FROM booking.verify();

-- A user's trigger books for the same user.  Both tickets count.
CREATE FUNCTION companion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.user_id = 30 AND pg_trigger_depth() = 1 THEN
        INSERT INTO booking.ticket (event_id, user_id) VALUES (NEW.event_id, NEW.user_id);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER companion BEFORE INSERT ON booking.ticket
    FOR EACH ROW EXECUTE FUNCTION companion();
SELECT statement, o.code, owned(1, 30)
FROM (VALUES
    (1, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 30)'),
    (2, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 30)')) AS t (n, statement),
    outcome(statement) o
ORDER BY n;
DROP TRIGGER companion ON booking.ticket;
DROP FUNCTION companion;
SELECT * FROM booking.verify();

-- A user's trigger books for another user who is at the limit.  The whole
-- statement is refused.
CREATE FUNCTION companion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.user_id = 31 THEN
        INSERT INTO booking.ticket (event_id, user_id) VALUES (NEW.event_id, 32);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER companion BEFORE INSERT ON booking.ticket
    FOR EACH ROW EXECUTE FUNCTION companion();
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 32);
SELECT n, s, o.code, owned(1, 31), owned(1, 32)
FROM (VALUES (1, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 31)'),
             (2, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 31)'),
             (3, 'SELECT booking.book_ticket(1, 31)'),
             (4, 'SELECT booking.book_tickets(1, 31, 1)'),
             (5, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 33), (1, 31)')) AS t (n, s),
    outcome(s) o
ORDER BY n;
SELECT owned(1, 31), owned(1, 32), owned(1, 33);
DROP TRIGGER companion ON booking.ticket;
DROP FUNCTION companion;
SELECT * FROM booking.verify();

-- ---- the sales window ----

SET datestyle = 'ISO';
SET timezone = 'UTC';
INSERT INTO booking.event (event_id, capacity, sales_start, sales_end)
VALUES (11, 10, '2000-01-01', '2100-01-01'), (12, 10, '2100-01-01', NULL),
       (13, 10, NULL, '2000-01-01'), (14, 10, '2000-01-01', '2000-01-02'),
       (15, 10, 'infinity', NULL), (16, 10, '-infinity', 'infinity'), (17, 10, NULL, '-infinity');
SELECT e, status, ticket_id IS NOT NULL AS has_ticket
FROM generate_series(11, 17) e, booking.try_book_ticket(e, 1) ORDER BY e;
SELECT * FROM booking.verify();
SELECT booking.book_ticket(12, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.book_ticket(13, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.book_ticket(15, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT e, o.code FROM generate_series(11, 14) e,
    outcome(format('SELECT booking.book_tickets(%s, 1, 2)', e)) o ORDER BY e;
SELECT e, o.code FROM generate_series(11, 14) e,
    outcome(format('SELECT booking.hold_tickets(%s, 1)', e)) o ORDER BY e;
SELECT e, o.code FROM generate_series(11, 14) e,
    outcome(format('INSERT INTO booking.ticket (event_id, user_id) VALUES (%s, 1)', e)) o ORDER BY e;
SELECT e, o.code FROM generate_series(11, 14) e,
    outcome(format('INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)'
                   ' VALUES (%s, 1, 1, ''infinity'')', e)) o ORDER BY e;
COPY booking.ticket (event_id, user_id) FROM stdin;
11	1
12	1
\.
-- A cancelled ticket or an ended hold can be inserted at any time.
INSERT INTO booking.ticket (event_id, user_id, cancelled_at) VALUES (12, 1, now());
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at, ended_at)
VALUES (12, 1, 1, 'infinity', now());
-- It can't be made live.
SELECT code FROM outcome('UPDATE booking.ticket SET cancelled_at = NULL WHERE event_id = 12');
SELECT code FROM outcome('UPDATE booking.hold SET ended_at = NULL WHERE event_id = 12');
SELECT * FROM places() WHERE event_id > 10;

-- After the sale, holds are confirmed, and tickets are cancelled, transferred and
-- redeemed.
SELECT count(booking.cancel_ticket(ticket_id)) FROM booking.ticket
WHERE event_id = 11 AND cancelled_at IS NULL;
SELECT booking.release_hold(hold_id) FROM booking.hold
WHERE event_id = 11 AND ended_at IS NULL ORDER BY hold_id;
SELECT hold_id AS hold FROM booking.hold_tickets(11, 1, 2) \gset
SELECT hold_id AS other FROM booking.hold_tickets(11, 2, 2) \gset
SELECT hold_id AS expired FROM booking.hold_tickets(11, 3, 1, '1 microsecond') \gset
SELECT booking.book_ticket(11, 4) AS ticket \gset
UPDATE booking.event SET sales_end = now() WHERE event_id = 11;
SELECT booking.extend_hold(:hold, '30 minutes') > now() + interval '29 minutes' AS extended;
SELECT cardinality(booking.confirm_hold(:hold)) AS tickets;
SELECT booking.release_hold(:other);
SELECT booking.transfer_ticket(:ticket, 5);
SELECT status FROM booking.redeem_ticket(:ticket);
SELECT booking.cancel_ticket(min(ticket_id)) FROM booking.ticket WHERE hold_id = :hold;
-- An expired hold can be rebooked only during the sale.
SELECT code FROM outcome(format('SELECT booking.confirm_hold(%s)', :expired));
SELECT code FROM outcome(format('SELECT booking.confirm_hold(%s, %L)', :expired, 'rebook'));
-- No ticket is reinstated and no hold enlarged, unless the transaction opens the sale.
SELECT max(ticket_id) AS cancelled FROM booking.ticket
WHERE event_id = 11 AND hold_id = :hold AND cancelled_at IS NOT NULL \gset
BEGIN;
SELECT code FROM outcome(format('UPDATE booking.ticket SET cancelled_at = NULL'
                                ' WHERE ticket_id = %s', :cancelled));
UPDATE booking.event SET sales_end = NULL WHERE event_id = 11;
UPDATE booking.ticket SET cancelled_at = NULL WHERE ticket_id = :cancelled;
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)
VALUES (11, 6, 2, 'infinity') RETURNING hold_id AS live \gset
UPDATE booking.event SET sales_end = now() WHERE event_id = 11;
SELECT quantity, code FROM (VALUES (3), (1), (2)) AS q (quantity),
    outcome(format('UPDATE booking.hold SET quantity = %s WHERE hold_id = %s', quantity, :live));
SELECT * FROM booking.verify();
ROLLBACK;
-- The capacity and availability() work as before.
UPDATE booking.event SET capacity = 2 WHERE event_id = 11;
SELECT code FROM outcome('UPDATE booking.event SET capacity = 1 WHERE event_id = 11');
SELECT * FROM booking.availability(11);
UPDATE booking.event SET sales_end = NULL WHERE event_id = 11;
SELECT code FROM outcome(format('SELECT booking.confirm_hold(%s, %L)', :expired, 'rebook'));
UPDATE booking.event SET capacity = 3 WHERE event_id = 11;
SELECT cardinality(booking.confirm_hold(:expired, 'rebook')) AS tickets;
SELECT * FROM booking.verify();

-- The sales window is changed in a transaction.  The clock decides, not the
-- transaction's start.
BEGIN;
SELECT status FROM booking.try_book_ticket(12, 1);
UPDATE booking.event SET sales_start = clock_timestamp() WHERE event_id = 12;
SELECT (SELECT sales_start > now() FROM booking.event WHERE event_id = 12) AS after_our_start,
       status
FROM booking.try_book_ticket(12, 1);
SAVEPOINT a;
UPDATE booking.event SET sales_end = clock_timestamp() WHERE event_id = 12;
SELECT status FROM booking.try_book_ticket(12, 1);
ROLLBACK TO a;
SELECT status FROM booking.try_book_ticket(12, 1);
SELECT count(booking.book_ticket(12, 1)) FROM generate_series(1, 8) u;
UPDATE booking.event SET sales_start = NULL, sales_end = clock_timestamp(), capacity = 20
WHERE event_id = 12;
SELECT status FROM booking.try_book_ticket(12, 1);
UPDATE booking.event SET sales_end = NULL WHERE event_id = 12;
SELECT status FROM booking.try_book_ticket(12, 1);
ROLLBACK;
SELECT status FROM booking.try_book_ticket(12, 1);
SELECT * FROM booking.availability(12);
-- The sale opens at sales_start.
UPDATE booking.event SET sales_start = clock_timestamp() + interval '0.2 s' WHERE event_id = 12;
SELECT pg_sleep(0.25);
SELECT status FROM booking.try_book_ticket(12, 1);
-- The sale closes at sales_end.
UPDATE booking.event SET sales_start = NULL, sales_end = clock_timestamp() + interval '0.2 s'
WHERE event_id = 12;
SELECT pg_sleep(0.25);
SELECT status FROM booking.try_book_ticket(12, 1);
SELECT code FROM outcome('UPDATE booking.event SET sales_start = now(), sales_end = now()');
-- The sales window and the limit together.
UPDATE booking.event SET sales_end = NULL, max_per_user = 1 WHERE event_id = 12;
SELECT u, status FROM generate_series(1, 2) u, booking.try_book_ticket(12, u) ORDER BY u;
UPDATE booking.event SET sales_start = 'infinity' WHERE event_id = 12;
SELECT status FROM booking.try_book_ticket(12, 1);
-- An event that gets another id keeps its sale rules.
DELETE FROM booking.ticket WHERE event_id = 12;
UPDATE booking.event SET event_id = 18 WHERE event_id = 12;
SELECT status FROM booking.try_book_ticket(18, 1);
UPDATE booking.event SET sales_start = NULL WHERE event_id = 18;
SELECT n, status FROM generate_series(1, 2) n, booking.try_book_ticket(18, 1 + 0 * n) ORDER BY n;

-- ---- every stripe has the sale rules ----

SET booking.debug_split_always = on;
UPDATE booking.event SET max_per_user = NULL, capacity = 1000 WHERE event_id = 18;
CREATE PROCEDURE sell(event_id bigint, from_user integer, to_user integer)
LANGUAGE plpgsql
AS $$
BEGIN
    FOR u IN from_user..to_user LOOP
        PERFORM booking.book_ticket(event_id, u);
        COMMIT;
    END LOOP;
END
$$;
CALL sell(18, 1, 100);
SELECT count(*) > 1 AS several FROM booking.inventory WHERE event_id = 18;
UPDATE booking.event SET max_per_user = 3, sales_start = '2000-01-01', sales_end = '2100-01-01'
WHERE event_id = 18;
SELECT * FROM booking.verify();
SELECT status FROM booking.try_book_ticket(18, 1);
CALL sell(18, 2, 100);
SELECT status FROM booking.try_book_ticket(18, 1);
UPDATE booking.event SET max_per_user = 4, sales_end = '2000-01-02' WHERE event_id = 18;
SELECT status, count(*) FROM generate_series(200, 260) u, booking.try_book_ticket(18, u)
GROUP BY status;
SELECT * FROM booking.verify();
SELECT booking.rebuild_inventory(18);
SELECT status FROM booking.try_book_ticket(18, 201);
SELECT * FROM booking.verify();
TRUNCATE booking.ticket;
SELECT status FROM booking.try_book_ticket(18, 201);
SELECT * FROM booking.verify();
RESET booking.debug_split_always;
-- The sale rules are changed while the triggers are disabled.  verify() reports it
-- and rebuild_inventory() repairs it.
ALTER TABLE booking.event DISABLE TRIGGER USER;
UPDATE booking.event SET max_per_user = 5, sales_end = NULL WHERE event_id = 18;
ALTER TABLE booking.event ENABLE TRIGGER USER;
SELECT problem FROM booking.verify(18);
SELECT booking.rebuild_inventory(18);
SELECT * FROM booking.verify();
SELECT n, status FROM generate_series(1, 6) n, booking.try_book_ticket(18, 1 + 0 * n) ORDER BY n;

-- ---- places that come back in a transaction obey the sale rules ----

INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (21, 20, 2), (22, 20, NULL);
BEGIN;
SELECT count(booking.book_ticket(21, u)) FROM generate_series(1, 20) u;
SELECT count(booking.cancel_ticket(ticket_id)) FROM booking.ticket
WHERE event_id = 21 AND user_id > 5;
SELECT booking.book_ticket(21, 7) > 0 AS booked;
SELECT booking.book_ticket(21, 7) > 0 AS booked;
SAVEPOINT a;
SELECT booking.book_ticket(21, 7);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO a;
SELECT n, status FROM generate_series(1, 3) n, booking.try_book_ticket(21, 8 + 0 * n) ORDER BY n;
COMMIT;
SELECT status FROM booking.try_book_ticket(21, 7);
SELECT u, owned(21, u) FROM generate_series(5, 9) u;
SELECT * FROM booking.availability(21);
SELECT count(booking.book_ticket(22, u)) FROM generate_series(1, 20) u;
UPDATE booking.event SET sales_end = '2000-01-01' WHERE event_id = 22;
BEGIN;
SELECT count(booking.cancel_ticket(ticket_id)) FROM booking.ticket
WHERE event_id = 22 AND user_id > 5;
SELECT status FROM booking.try_book_ticket(22, 30);
SELECT code FROM outcome('SELECT booking.book_tickets(22, 30, 2)');
SELECT code FROM outcome('SELECT booking.hold_tickets(22, 30)');
SELECT code FROM outcome('INSERT INTO booking.ticket (event_id, user_id) VALUES (22, 30)');
COMMIT;
SELECT * FROM booking.availability(22);
SELECT * FROM booking.verify();

DROP PROCEDURE sell;
DROP FUNCTION owned;
SELECT * FROM damage();
SELECT * FROM booking.verify();

-- They also obey sale rules that the same transaction has set.
INSERT INTO booking.event (event_id, capacity) VALUES (23, 100);
BEGIN;
SELECT count(booking.book_ticket(23, u)) FROM generate_series(1, 12) u;
UPDATE booking.event SET max_per_user = 1 WHERE event_id = 23;
DELETE FROM booking.ticket WHERE event_id = 23 AND user_id > 10;
SELECT status FROM booking.try_book_ticket(23, 1);
UPDATE booking.event SET max_per_user = NULL, sales_end = '2000-01-01' WHERE event_id = 23;
DELETE FROM booking.ticket WHERE event_id = 23 AND user_id > 8;
SELECT status FROM booking.try_book_ticket(23, 13);
COMMIT;
INSERT INTO booking.event (event_id, capacity) VALUES (24, 100);
BEGIN;
SELECT count(booking.book_ticket(24, u)) FROM generate_series(1, 12) u;
SET LOCAL session_replication_role = replica;
UPDATE booking.event SET max_per_user = 1 WHERE event_id = 24;
SET LOCAL session_replication_role = origin;
SELECT booking.rebuild_inventory(24);
DELETE FROM booking.ticket WHERE event_id = 24 AND user_id > 10;
SELECT status FROM booking.try_book_ticket(24, 1);
COMMIT;
SELECT * FROM booking.availability(23);
SELECT * FROM booking.verify();
-- They also obey the sale rules of an event that the transaction has created again
-- under the same id.
INSERT INTO booking.event (event_id, capacity) VALUES (25, 100);
BEGIN;
SELECT count(booking.book_ticket(25, u)) FROM generate_series(1, 12) u;
DELETE FROM booking.ticket WHERE event_id = 25;
DELETE FROM booking.event WHERE event_id = 25;
INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (25, 10, 1);
UPDATE booking.event SET capacity = 15 WHERE event_id = 25;
SELECT n, status FROM generate_series(1, 2) n, booking.try_book_ticket(25, 1 + 0 * n) ORDER BY n;
COMMIT;
BEGIN;
UPDATE booking.event SET max_per_user = NULL WHERE event_id = 25;
SELECT count(booking.book_ticket(25, u)) FROM generate_series(2, 13) u;
TRUNCATE booking.event, booking.ticket, booking.hold;
INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (25, 10, 1);
UPDATE booking.event SET capacity = 15 WHERE event_id = 25;
SELECT n, status FROM generate_series(1, 2) n, booking.try_book_ticket(25, 1 + 0 * n) ORDER BY n;
COMMIT;
SELECT * FROM booking.verify();

-- A trigger books for the same user, or for another one, before or after the row.
-- What was judged is judged again, on each way.
CREATE FUNCTION book_too() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        INSERT INTO booking.ticket (event_id, user_id) VALUES (new.event_id, TG_ARGV[0]::bigint);
    END IF;
    RETURN new;
END
$$;
INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (27, 20, 1), (28, 20, 2);
INSERT INTO booking.ticket (event_id, user_id) VALUES (27, 13);
CREATE TEMP TABLE ways (n integer, statement text);
INSERT INTO ways VALUES
    (1, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (%s, %s)'),
    (2, 'SELECT booking.book_ticket(%s, %s)'),
    (3, 'SELECT * FROM booking.book_batch(%s, ARRAY[%s])'),
    (4, 'SELECT booking.confirm_hold(hold_id) FROM booking.hold_tickets(%s, %s)');
CREATE TRIGGER book_too BEFORE INSERT ON booking.ticket FOR EACH ROW EXECUTE FUNCTION book_too('7');
SELECT n, a.code, b.code AS limit_of_2 FROM ways,
    after_change('SELECT', format(statement, 27, 7)) a, after_change('SELECT', format(statement, 28, 7)) b
ORDER BY n;
DROP TRIGGER book_too ON booking.ticket;
CREATE TRIGGER book_too AFTER INSERT ON booking.ticket FOR EACH ROW EXECUTE FUNCTION book_too('13');
SELECT n, a.code, b.code AS limit_of_2 FROM ways,
    after_change('SELECT', format(statement, 27, 7)) a, after_change('SELECT', format(statement, 28, 7)) b
ORDER BY n;
DROP TRIGGER book_too ON booking.ticket;
DROP FUNCTION book_too;
DROP TABLE ways;
SELECT * FROM booking.verify();

-- A trigger updates the event again, before or after ours by its name.  The newest
-- rules count.
CREATE FUNCTION lower_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE booking.event SET max_per_user = CASE new.max_per_user WHEN 3 THEN 1 ELSE 4 END, capacity = capacity - 1
    WHERE event_id = new.event_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER "A" AFTER UPDATE ON booking.event
    FOR EACH ROW WHEN (new.max_per_user IN (3, 4) AND pg_trigger_depth() = 0) EXECUTE FUNCTION lower_again();
INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (29, 20, 1), (30, 20, 5), (31, 20, 1), (33, 20, 1);
UPDATE booking.event SET max_per_user = 3, capacity = 15 WHERE event_id IN (29, 30);
UPDATE booking.event SET max_per_user = 4, capacity = 15 WHERE event_id = 33;
ALTER TRIGGER "A" ON booking.event RENAME TO a;
UPDATE booking.event SET max_per_user = 3, capacity = 15 WHERE event_id = 31;
SELECT e.event_id, e.max_per_user, e.capacity, sum(i.available) AS available,
       array_agg(DISTINCT i.max_per_user) AS in_inventory
FROM booking.event e JOIN booking.inventory i USING (event_id) WHERE event_id BETWEEN 29 AND 33
GROUP BY e.event_id ORDER BY 1;
DROP TRIGGER a ON booking.event;
DROP FUNCTION lower_again;
-- A trigger books a place of a new event.
CREATE FUNCTION book_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM booking.book_ticket(new.event_id, 1);
    RETURN NULL;
END
$$;
CREATE TRIGGER a AFTER INSERT ON booking.event FOR EACH ROW EXECUTE FUNCTION book_first();
INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (32, 2, 1);
SELECT available, booked FROM booking.availability(32);
DROP TRIGGER a ON booking.event;
DROP FUNCTION book_first;
SELECT * FROM booking.verify();

-- They also obey the limit if the session remembers, in the same entry, a stripe
-- of another event that has none.
INSERT INTO booking.event (event_id, capacity, max_per_user)
VALUES (1000, 20, NULL), (1001 + 4294967296, 20, 1);
SELECT count(booking.book_ticket(1001 + 4294967296, u)) FROM generate_series(1, 10) u;
BEGIN;
SELECT count(booking.book_ticket(1000, u)) FROM generate_series(1, 12) u;
DELETE FROM booking.ticket WHERE event_id = 1001 + 4294967296 AND user_id > 5;
SELECT status FROM booking.try_book_ticket(1001 + 4294967296, 1);
COMMIT;
SELECT * FROM booking.verify();

-- ---- rows that were sold before ----

-- The owner loads them with booking.importing, whatever the sale rules are now.
INSERT INTO booking.event (event_id, capacity, max_per_user, sales_end) VALUES (90, 3, 1, now() - interval '1 day');
CREATE ROLE regress_importer;
GRANT USAGE ON SCHEMA booking TO regress_importer;
GRANT INSERT ON booking.ticket, booking.hold TO regress_importer;
SELECT code FROM outcome('INSERT INTO booking.ticket (event_id, user_id) VALUES (90, 1)');
SET booking.importing = on;
INSERT INTO booking.ticket (event_id, user_id) VALUES (90, 1), (90, 1);
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (90, 1, 1, now() + interval '1 day');
-- The capacity holds, functions ask as always, and others can't use it.
SELECT code FROM outcome('INSERT INTO booking.ticket (event_id, user_id) VALUES (90, 2)');
UPDATE booking.event SET capacity = 9 WHERE event_id = 90;
SELECT status FROM booking.try_book_ticket(90, 2);
SET ROLE regress_importer;
SELECT code FROM outcome('INSERT INTO booking.ticket (event_id, user_id) VALUES (90, 2)');
SELECT code FROM outcome($$INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)
    VALUES (90, 2, 1, now() + interval '1 day')$$);
RESET ROLE;
RESET booking.importing;
DROP OWNED BY regress_importer;
DROP ROLE regress_importer;
SELECT * FROM places() WHERE event_id = 90;
SELECT problem, expected, found FROM booking.verify(90);

-- An event that the same statement inserts has no inventory before its end.
WITH e AS (INSERT INTO booking.event (event_id, capacity) VALUES (91, 5) RETURNING event_id)
SELECT booking.book_ticket(event_id, 1) FROM e;
