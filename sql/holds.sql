--
-- The sale in two steps: hold, then confirm.
--
-- Promises:
--   - A hold takes its places at once.  It ends once: it is confirmed into
--     tickets, released, or ended because it has expired.
--   - An expired hold becomes tickets only by 'rebook', which takes the places
--     again.
--   - A repeated confirmation returns the same tickets.
--   - The places of expired holds can be sold without any sweep.
--   - Plain SQL on the hold table obeys the capacity as the functions do.
--
-- A hold with a ttl of one microsecond has expired at the next statement.  Other
-- holds expire by an UPDATE, so that the test seldom has to wait.
CALL recreate_booking();
\set SHOW_CONTEXT never

-- Returns the places of each event and the places of its holds that have not
-- ended.
CREATE FUNCTION held_places()
RETURNS TABLE (event_id bigint, capacity integer, free bigint, live bigint, held bigint,
               availability text)
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT p.event_id, p.capacity, p.free, p.live,
           (SELECT coalesce(sum(quantity), 0) FROM booking.hold h
            WHERE h.event_id = p.event_id AND h.ended_at IS NULL),
           (SELECT format('%s free, %s held, %s booked', a.available, a.held, a.booked)
            FROM booking.availability(p.event_id) a)
    FROM places() p;
END;
CREATE PROCEDURE let_expire(variadic hold_ids bigint[])
LANGUAGE sql
BEGIN ATOMIC
    UPDATE booking.hold SET expires_at = clock_timestamp() - interval '1 second'
    WHERE hold_id = ANY (hold_ids);
END;

INSERT INTO booking.event (event_id, name, capacity) VALUES (1, 'concert', 10), (2, 'theatre', 3);

-- ---- hold, confirm ----

SELECT hold_id, expires_at > clock_timestamp() + interval '9 minutes' AS after_nine_minutes,
       expires_at < clock_timestamp() + interval '11 minutes' AS before_eleven
FROM booking.hold_tickets(1, 42);
SELECT hold_id, expires_at - clock_timestamp() BETWEEN '29 minutes' AND '31 minutes' AS half_an_hour
FROM booking.hold_tickets(event_id => 1, user_id => 43, quantity => 4, ttl => '30 minutes');
SELECT hold_id, event_id, user_id, quantity, expires_at > created_at AS later, ended_at
FROM booking.hold ORDER BY hold_id;
SELECT * FROM held_places();
SELECT booking.confirm_hold(2);
SELECT ticket_id, event_id, user_id, seat, hold_id, redeemed_at, cancelled_at
FROM booking.ticket ORDER BY ticket_id;
SELECT quantity, ended_at <= clock_timestamp() AS ended, ended_at < expires_at AS in_time
FROM booking.hold WHERE hold_id = 2;
SELECT * FROM held_places();
-- A repeated confirmation returns the same tickets, whatever happened to them.
SELECT booking.confirm_hold(2);
SELECT booking.confirm_hold(2, 'rebook');
SELECT booking.cancel_ticket(1);
SELECT status FROM booking.redeem_ticket(2);
SELECT booking.confirm_hold(2);
CALL let_expire(2);
SELECT booking.confirm_hold(2), booking.confirm_hold(2, 'rebook');
SELECT * FROM held_places();
SELECT * FROM booking.verify();
-- A confirmation writes no inventory row.
BEGIN;
CREATE TEMP TABLE before AS
    SELECT stripe, ctid AS tid, xmin::text AS writer, xmax::text AS locker
    FROM booking.inventory WHERE event_id = 1;
SELECT cardinality(booking.confirm_hold(1)) AS tickets;
SELECT count(*) AS touched
FROM before b FULL JOIN (SELECT * , ctid, xmin, xmax FROM booking.inventory WHERE event_id = 1) i
    ON i.stripe = b.stripe AND i.ctid = b.tid AND i.xmin::text = b.writer AND i.xmax::text = b.locker
WHERE b.stripe IS NULL OR i.stripe IS NULL;
ROLLBACK;
SELECT * FROM held_places() WHERE event_id = 1;

-- ---- release ----

SELECT booking.release_hold(1);
SELECT booking.release_hold(1);
SELECT booking.release_hold(99);
SELECT booking.release_hold(2);
SELECT * FROM held_places();
SELECT booking.confirm_hold(1);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.confirm_hold(1, 'rebook');
\echo :LAST_ERROR_SQLSTATE
SELECT booking.extend_hold(1, '1 minute');
\echo :LAST_ERROR_SQLSTATE
SELECT booking.extend_hold(2, '1 minute');
\echo :LAST_ERROR_SQLSTATE

-- ---- in one transaction, with a part rolled back ----

BEGIN;
SELECT hold_id AS hold FROM booking.hold_tickets(2, 1, 2) \gset
SAVEPOINT a;
SELECT cardinality(booking.confirm_hold(:hold)) AS tickets;
SELECT * FROM held_places() WHERE event_id = 2;
ROLLBACK TO a;
SELECT booking.release_hold(:hold);
SELECT cardinality(booking.book_tickets(2, 2, 3)) AS tickets;
ROLLBACK TO a;
SELECT * FROM held_places() WHERE event_id = 2;
SELECT booking.hold_tickets(2, 1, 2);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO a;
SELECT status FROM booking.try_book_ticket(2, 3);
SELECT status FROM booking.try_book_ticket(2, 3);
SELECT cardinality(booking.confirm_hold(:hold)) AS tickets;
COMMIT;
SELECT * FROM held_places() WHERE event_id = 2;
DELETE FROM booking.ticket WHERE event_id = 2;
SELECT * FROM booking.verify();

-- ---- refusals ----

SELECT statement, o.code, o.message, o.detail
FROM (VALUES
    (1, 'SELECT booking.hold_tickets(2, 1, 4)'),
    (2, 'SELECT booking.hold_tickets(2, 1, 0)'),
    (3, 'SELECT booking.hold_tickets(2, 1, -1)'),
    (4, 'SELECT booking.hold_tickets(2, 1, 134217725)'),
    (5, 'SELECT booking.hold_tickets(2, 1, 1, ''0'')'),
    (6, 'SELECT booking.hold_tickets(2, 1, 1, ''-1 second'')'),
    (7, 'SELECT booking.hold_tickets(2, 1, 1, ''1 month -40 days'')'),
    (8, 'SELECT booking.hold_tickets(2, 1, 1, ''1 hour 1 microsecond'')'),
    (9, 'SELECT booking.hold_tickets(2, 1, 1, ''178000000 years'')'),
    (10, 'SELECT booking.confirm_hold(1, ''maybe'')'),
    (11, 'SELECT booking.confirm_hold(1, '''')'),
    (12, 'SELECT booking.confirm_hold(1, ''REBOOK'')'),
    (13, 'SELECT booking.confirm_hold(-1)'),
    (14, 'SELECT booking.confirm_hold(9223372036854775807, ''rebook'')'),
    (15, 'SELECT booking.extend_hold(99, ''1 minute'')'),
    (16, 'SELECT booking.extend_hold(1, NULL)'),
    (17, 'SELECT booking.expire_holds(-1)'),
    (18, 'SELECT booking.purge(''-1 second'')')) AS t (n, statement), outcome(statement) o
ORDER BY n;
-- A ttl of the whole hour is allowed.
SELECT booking.release_hold(hold_id) FROM booking.hold_tickets(2, 1, 1, '1 hour');
-- Months less days compare as if a month had 30 days, but the times count.
SELECT n, o.code, o.message
FROM (VALUES (1, '120 months -3600 days 1 minute'), (2, '1200000 months -36000000 days 1 minute'),
             (3, '-120 months 3600 days 1 minute')) AS t (n, ttl),
     outcome(format('SELECT * FROM booking.hold_tickets(1, 1, 1, %L)', ttl)) o
ORDER BY n;
SELECT n, o.code
FROM (VALUES (1, '120 months -3600 days 1 minute'), (2, '-120 months 3600 days 1 minute')) AS t (n, ttl),
     outcome(format('SELECT booking.extend_hold(hold_id, %L) FROM booking.hold_tickets(1, 1)', ttl)) o
ORDER BY n;
SELECT code FROM outcome('SELECT booking.purge(''-120 months 3600 days'')');
-- So is a longer ttl, if the event allows it.
UPDATE booking.event SET hold_ttl = '2 days', max_hold_ttl = '1 month' WHERE event_id = 2;
SELECT hold_id AS hold, expires_at - clock_timestamp() BETWEEN '47 hours' AND '49 hours' AS two_days
FROM booking.hold_tickets(2, 1) \gset
\echo :two_days
SELECT booking.release_hold(:hold);
-- What an event's hold_ttl and max_hold_ttl can be.
SELECT ttl, max_ttl, o.code
FROM (VALUES ('0', '1 hour'), ('-1 s', '1 hour'), ('2 hours', '1 hour'), ('1 hour', '11 years'))
       AS t (ttl, max_ttl),
     outcome(format('UPDATE booking.event SET hold_ttl = %L, max_hold_ttl = %L', ttl, max_ttl)) o;
UPDATE booking.event SET hold_ttl = DEFAULT, max_hold_ttl = DEFAULT;
SELECT * FROM held_places();
SELECT * FROM booking.verify();

-- ---- extend ----

SELECT hold_id AS hold, expires_at AS first FROM booking.hold_tickets(2, 1, 1, '5 minutes') \gset
-- An extension never makes a hold shorter.
SELECT booking.extend_hold(:hold, '1 minute') = :'first' AS same;
SELECT booking.extend_hold(:hold, '20 minutes') - clock_timestamp()
       BETWEEN '19 minutes' AND '21 minutes' AS twenty_minutes;
SELECT expires_at - clock_timestamp() BETWEEN '19 minutes' AND '21 minutes' AS stored
FROM booking.hold WHERE hold_id = :hold;
SELECT ttl, o.code, o.message
FROM (VALUES ('0'), ('-1 minute'), ('2 hours'), ('1 hour')) AS t (ttl),
     outcome(format('SELECT booking.extend_hold(%s, %L)', :hold, ttl)) o;
-- The hold ends at most max_hold_ttl after its creation.
UPDATE booking.hold SET created_at = created_at - interval '50 minutes' WHERE hold_id = :hold;
SELECT booking.extend_hold(:hold, '5 minutes') - clock_timestamp() > '19 minutes' AS kept;
SELECT code, message, detail ~ '^By the event''s max_hold_ttl of .*1 hour.* the hold ends at .* at the latest\.$' AS detail
FROM outcome(format('SELECT booking.extend_hold(%s, %L)', :hold, '25 minutes'));
UPDATE booking.event SET max_hold_ttl = '2 hours' WHERE event_id = 2;
SELECT booking.extend_hold(:hold, '25 minutes') - clock_timestamp() > '24 minutes' AS extended;
UPDATE booking.event SET max_hold_ttl = DEFAULT WHERE event_id = 2;
SELECT quantity, ended_at FROM booking.hold WHERE hold_id = :hold;
SELECT * FROM held_places() WHERE event_id = 2;
-- An expired hold can't be extended, before and after a sweep.
CALL let_expire(:hold);
SELECT code, message, detail ~ '^It expired at ' AS detail
FROM outcome(format('SELECT booking.extend_hold(%s, %L)', :hold, '10 minutes'));
SELECT booking.expire_holds();
SELECT code FROM outcome(format('SELECT booking.extend_hold(%s, %L)', :hold, '10 minutes'));

-- ---- an expired hold can't be confirmed, before and after a sweep ----

SELECT hold_id AS hold FROM booking.hold_tickets(2, 5, 2, '1 microsecond') \gset
SELECT code, message, detail ~ '^It expired at ' AS detail, hint
FROM outcome(format('SELECT booking.confirm_hold(%s)', :hold)) \gx
-- It still keeps its places.  They count as available.
SELECT * FROM held_places() WHERE event_id = 2;
SELECT available, held, booked FROM booking.sales WHERE event_id = 2;
SELECT booking.expire_holds();
SELECT booking.expire_holds();
SELECT * FROM held_places() WHERE event_id = 2;
SELECT ended_at >= expires_at AS expired FROM booking.hold WHERE hold_id = :hold;
SELECT code FROM outcome(format('SELECT booking.confirm_hold(%s)', :hold));
SELECT booking.release_hold(:hold);
SELECT code FROM outcome(format('SELECT booking.confirm_hold(%s)', :hold));

-- Rebook after a sweep.
SELECT cardinality(booking.confirm_hold(:hold, 'rebook')) AS tickets;
SELECT * FROM held_places() WHERE event_id = 2;
SELECT booking.confirm_hold(:hold) = array_agg(ticket_id ORDER BY ticket_id) AS same,
       min(user_id) AS user_id
FROM booking.ticket WHERE hold_id = :hold;
DELETE FROM booking.ticket WHERE event_id = 2;
-- Rebook before a sweep.
SELECT hold_id AS hold FROM booking.hold_tickets(2, 6, 3, '1 microsecond') \gset
SELECT cardinality(booking.confirm_hold(:hold, 'rebook')) AS tickets;
SELECT booking.confirm_hold(:hold) = booking.confirm_hold(:hold, 'rebook') AS same;
SELECT * FROM held_places() WHERE event_id = 2;
DELETE FROM booking.ticket WHERE event_id = 2;
-- Rebook before a sweep, with free places: the hold's own places go back.
SELECT hold_id AS hold FROM booking.hold_tickets(2, 6, 1, '1 microsecond') \gset
SELECT cardinality(booking.confirm_hold(:hold, 'rebook')) AS tickets;
SELECT * FROM held_places() WHERE event_id = 2;
DELETE FROM booking.ticket WHERE event_id = 2;
-- Rebook after a sweep, when the event has too few places or none.
SELECT hold_id AS hold FROM booking.hold_tickets(2, 7, 2, '1 microsecond') \gset
SELECT booking.expire_holds();
SELECT cardinality(booking.book_tickets(2, 8, 2)) AS tickets;
SELECT code, message, detail FROM outcome(format('SELECT booking.confirm_hold(%s, %L)', :hold, 'rebook'));
SELECT booking.book_ticket(2, 8) > 0 AS booked;
SELECT code, message, detail FROM outcome(format('SELECT booking.confirm_hold(%s, %L)', :hold, 'rebook'));
SELECT * FROM held_places() WHERE event_id = 2;
-- When there are places again, they are booked.
UPDATE booking.ticket SET cancelled_at = now() WHERE event_id = 2 AND user_id = 8;
SELECT cardinality(booking.confirm_hold(:hold, 'rebook')) AS tickets;
SELECT * FROM held_places() WHERE event_id = 2;
DELETE FROM booking.ticket WHERE event_id = 2;
SELECT * FROM booking.verify();

-- ---- what needs places ends expired holds, of its own event only ----

-- A booking does not end holds while there are other places.
SELECT hold_id AS elsewhere FROM booking.hold_tickets(1, 1, 2, '1 microsecond') \gset
SELECT hold_id AS expired FROM booking.hold_tickets(2, 1, 2, '1 microsecond') \gset
SELECT status FROM booking.try_book_ticket(2, 10);
SELECT * FROM held_places();
-- book_ticket() takes one place of the hold.  The other place is free.
SELECT booking.book_ticket(2, 11) > 0 AS booked;
SELECT * FROM held_places();
SELECT status FROM booking.try_book_ticket(2, 12);
SELECT status FROM booking.try_book_ticket(2, 13);
SELECT ended_at >= expires_at AS expired FROM booking.hold WHERE hold_id = :expired;
SELECT ended_at IS NULL AS untouched FROM booking.hold WHERE hold_id = :elsewhere;
DELETE FROM booking.ticket WHERE event_id = 2;
-- book_tickets() ends several holds, with and without free places.
SELECT count(hold_id) FROM generate_series(1, 2) u, booking.hold_tickets(2, u, 1, '1 microsecond');
SELECT cardinality(booking.book_tickets(2, 14, 3)) AS tickets;
SELECT code, message, detail FROM outcome('SELECT booking.book_tickets(2, 15, 1)');
DELETE FROM booking.ticket WHERE event_id = 2;
-- A hold that has not expired stays.  The refusal counts the places of expired
-- holds as left.
SELECT count(hold_id) FROM booking.hold_tickets(2, 1, 1, '1 microsecond');
SELECT hold_id AS live FROM booking.hold_tickets(2, 2, 1) \gset
SELECT code, message, detail FROM outcome('SELECT booking.book_tickets(2, 16, 3)');
SELECT * FROM held_places() WHERE event_id = 2;
SELECT cardinality(booking.book_tickets(2, 16, 2)) AS tickets;
SELECT cardinality(booking.confirm_hold(:live)) AS tickets;
DELETE FROM booking.ticket WHERE event_id = 2;
-- hold_tickets().
SELECT count(hold_id) FROM booking.hold_tickets(2, 1, 3, '1 microsecond');
SELECT hold_id AS live FROM booking.hold_tickets(2, 2, 2) \gset
SELECT * FROM held_places() WHERE event_id = 2;
SELECT booking.release_hold(:live);
-- INSERT of tickets and of a hold.
SELECT count(hold_id) FROM booking.hold_tickets(2, 1, 3, '1 microsecond');
INSERT INTO booking.ticket (event_id, user_id) VALUES (2, 17), (2, 17), (2, 17);
INSERT INTO booking.ticket (event_id, user_id) VALUES (2, 17);
\echo :LAST_ERROR_SQLSTATE
DELETE FROM booking.ticket WHERE event_id = 2;
SELECT count(hold_id) FROM booking.hold_tickets(2, 1, 3, '1 microsecond');
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (2, 18, 2, 'infinity');
SELECT * FROM held_places() WHERE event_id = 2;
UPDATE booking.hold SET ended_at = now() WHERE user_id = 18;
-- UPDATE of a cancelled ticket, and of a ticket from another event.
INSERT INTO booking.ticket (event_id, user_id, cancelled_at) VALUES (2, 19, now());
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 19);
SELECT count(hold_id) FROM booking.hold_tickets(2, 1, 3, '1 microsecond');
UPDATE booking.ticket SET cancelled_at = NULL WHERE user_id = 19 AND event_id = 2;
UPDATE booking.ticket SET event_id = 2 WHERE user_id = 19 AND event_id = 1;
SELECT * FROM held_places() WHERE event_id = 2;
DELETE FROM booking.ticket WHERE event_id = 2;
-- The capacity is lowered.
SELECT count(hold_id) FROM booking.hold_tickets(2, 1, 3, '1 microsecond');
UPDATE booking.event SET capacity = 0 WHERE event_id = 2;
SELECT * FROM held_places() WHERE event_id = 2;
UPDATE booking.event SET capacity = 3 WHERE event_id = 2;
-- After "sold out", places are found when a hold expires.
SELECT hold_id AS live FROM booking.hold_tickets(2, 1, 3) \gset
SELECT status FROM booking.try_book_ticket(2, 20);
SELECT status FROM booking.try_book_ticket(2, 20);
CALL let_expire(:live);
SELECT status FROM booking.try_book_ticket(2, 20);
DELETE FROM booking.ticket WHERE event_id = 2;
-- The same without any write in between.  On a slow machine the hold may have
-- expired at the first call, so that answer is not shown.
SELECT count(hold_id) FROM booking.hold_tickets(2, 1, 3, '40 milliseconds');
SELECT count(status) FROM booking.try_book_ticket(2, 21);
SELECT pg_sleep(0.05);
SELECT status FROM booking.try_book_ticket(2, 21);
DELETE FROM booking.ticket WHERE event_id = 2;
SELECT booking.expire_holds() >= 0 AS swept;
SELECT * FROM held_places();
SELECT * FROM booking.verify();

-- ---- the sweep ----

SELECT count(hold_id) FROM generate_series(1, 3) u, booking.hold_tickets(1, u, 1, '1 microsecond');
SELECT count(hold_id) FROM booking.hold_tickets(2, 1, 1, '1 microsecond');
SELECT hold_id AS live FROM booking.hold_tickets(2, 1, 1) \gset
SELECT booking.expire_holds(0);
SELECT booking.expire_holds(3);
SELECT booking.expire_holds(3);
SELECT booking.expire_holds();
SELECT * FROM held_places();
SELECT booking.release_hold(:live);

-- ---- plain SQL on the hold table ----

INSERT INTO booking.event (event_id, capacity) VALUES (3, 5), (4, 2);
-- INSERT.
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)
VALUES (3, 1, 2, 'infinity'), (3, 2, 2, 'infinity'), (4, 3, 1, 'infinity')
RETURNING hold_id IS NOT NULL AS has_id, created_at IS NOT NULL AS has_time, ended_at;
SELECT * FROM held_places() WHERE event_id > 2;
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (3, 3, 2, 'infinity');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)
VALUES (3, 3, 1, 'infinity'), (4, 3, 2, 'infinity');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (99, 3, 1, 'infinity');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at, ended_at)
VALUES (99, 3, 1, 'infinity', now());
\echo :LAST_ERROR_SQLSTATE
-- A hold that is inserted as ended takes no place.
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at, ended_at)
VALUES (3, 4, 1000, 'infinity', now());
SELECT * FROM held_places() WHERE event_id > 2;
COPY booking.hold (event_id, user_id, quantity, expires_at) FROM stdin;
3	5	1	infinity
4	5	2	infinity
\.
-- An inserted hold can be extended and confirmed.
SELECT booking.extend_hold(hold_id, '1 minute') FROM booking.hold
WHERE event_id = 3 AND user_id = 2;
SELECT cardinality(booking.confirm_hold(hold_id)) AS tickets FROM booking.hold
WHERE event_id = 3 AND user_id = 2;
DELETE FROM booking.ticket WHERE event_id = 3;
-- UPDATE of quantity.
UPDATE booking.hold SET quantity = 3 WHERE event_id = 3 AND user_id = 1;
SELECT * FROM held_places() WHERE event_id = 3;
UPDATE booking.hold SET quantity = 6 WHERE event_id = 3 AND user_id = 1;
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.hold SET quantity = 5 WHERE event_id = 3 AND user_id = 1;
UPDATE booking.hold SET quantity = 1 WHERE event_id = 3 AND user_id = 1;
SELECT * FROM held_places() WHERE event_id = 3;
SELECT code FROM outcome('UPDATE booking.hold SET quantity = 0 WHERE event_id = 3');
UPDATE booking.hold SET quantity = 500 WHERE event_id = 3 AND user_id = 4;
SELECT * FROM held_places() WHERE event_id = 3;
-- UPDATE of ended_at: holds are ended, and made live again if there are places.
UPDATE booking.hold SET ended_at = now() WHERE event_id = 3;
SELECT * FROM held_places() WHERE event_id = 3;
UPDATE booking.hold SET ended_at = NULL WHERE event_id = 3 AND user_id = 4;
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.hold SET ended_at = NULL, quantity = 5 WHERE event_id = 3 AND user_id = 4;
UPDATE booking.hold SET ended_at = NULL WHERE event_id = 3 AND user_id = 1;
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.hold SET ended_at = now(), quantity = 9 WHERE event_id = 3 AND user_id = 4;
UPDATE booking.hold SET ended_at = NULL WHERE event_id = 3 AND user_id = 1;
SELECT * FROM held_places() WHERE event_id = 3;
-- UPDATE of expires_at: an expired hold that was not ended becomes live again.
UPDATE booking.hold SET expires_at = now() - interval '1 h' WHERE event_id = 3 AND user_id = 1;
SELECT * FROM held_places() WHERE event_id = 3;
UPDATE booking.hold SET expires_at = 'infinity' WHERE event_id = 3 AND user_id = 1;
SELECT * FROM held_places() WHERE event_id = 3;
-- UPDATE of event_id: in both directions, to an event without places, and to an
-- event that does not exist.
UPDATE booking.hold SET event_id = 4 WHERE event_id = 3 AND user_id = 1;
SELECT * FROM held_places() WHERE event_id > 2;
UPDATE booking.hold SET event_id = 3, quantity = 2 WHERE event_id = 4 AND user_id = 1;
SELECT * FROM held_places() WHERE event_id > 2;
UPDATE booking.hold SET event_id = 4 WHERE event_id = 3 AND user_id = 1;
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.hold SET event_id = 99 WHERE event_id = 3 AND user_id = 1;
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.hold SET event_id = 99 WHERE event_id = 3 AND ended_at IS NOT NULL;
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.hold SET event_id = 4 WHERE event_id = 3 AND ended_at IS NOT NULL;
-- UPDATE of user_id and hold_id.
UPDATE booking.hold SET user_id = 77, hold_id = 1000 WHERE event_id = 3;
SELECT cardinality(booking.confirm_hold(1000)) AS tickets;
SELECT user_id, hold_id FROM booking.ticket WHERE event_id = 3;
SELECT * FROM held_places() WHERE event_id > 2;
-- Null values, and quantities below 1.
SELECT statement, o.code
FROM (VALUES
    (1, 'INSERT INTO booking.hold (user_id, quantity, expires_at) VALUES (1, 1, now())'),
    (2, 'INSERT INTO booking.hold (event_id, quantity, expires_at) VALUES (3, 1, now())'),
    (3, 'INSERT INTO booking.hold (event_id, user_id, expires_at) VALUES (3, 1, now())'),
    (4, 'INSERT INTO booking.hold (event_id, user_id, quantity) VALUES (3, 1, 1)'),
    (5, 'UPDATE booking.hold SET event_id = NULL'),
    (6, 'UPDATE booking.hold SET expires_at = NULL'),
    (7, 'UPDATE booking.hold SET quantity = -quantity'),
    (8, 'INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (4, 3, 0, now())')) AS t (n, statement), outcome(statement) o
ORDER BY n;
-- DELETE gives the places of live holds back.
SELECT count(hold_id) FROM booking.hold_tickets(3, 1, 2);
DELETE FROM booking.hold WHERE event_id = 3;
SELECT * FROM held_places() WHERE event_id > 2;
-- The tickets of a deleted hold stay.
SELECT count(*) FROM booking.ticket WHERE hold_id = 1000;
SELECT code FROM outcome('SELECT booking.confirm_hold(1000)');
SELECT booking.release_hold(1000);
-- TRUNCATE of the holds, rolled back and not.  The tickets stay.
SELECT count(hold_id) FROM generate_series(3, 4) e, booking.hold_tickets(e, 1);
BEGIN;
TRUNCATE booking.hold;
SELECT * FROM held_places();
SELECT cardinality(booking.book_tickets(3, 1, 3)) AS tickets;
ROLLBACK;
SELECT * FROM held_places() WHERE event_id > 2;
TRUNCATE booking.hold;
SELECT * FROM held_places();
SELECT * FROM booking.verify();
-- TRUNCATE of the tickets.  The holds stay.
SELECT count(hold_id) FROM booking.hold_tickets(3, 1, 2);
TRUNCATE booking.ticket;
SELECT * FROM held_places();
TRUNCATE booking.ticket, booking.hold;
SELECT * FROM held_places();
-- MERGE and ON CONFLICT.
INSERT INTO booking.hold (hold_id, event_id, user_id, quantity, expires_at)
VALUES (-1, 3, 1, 2, 'infinity'), (-2, 3, 2, 1, 'infinity');
MERGE INTO booking.hold h
USING (VALUES (-1, 'end'), (-2, 'delete'), (-3, 'hold')) AS s (id, wish) ON h.hold_id = s.id
WHEN MATCHED AND wish = 'end' THEN UPDATE SET ended_at = now()
WHEN MATCHED AND wish = 'delete' THEN DELETE
WHEN NOT MATCHED THEN INSERT (hold_id, event_id, user_id, quantity, expires_at)
    VALUES (s.id, 3, 1, 4, 'infinity');
SELECT * FROM held_places() WHERE event_id = 3;
INSERT INTO booking.hold (hold_id, event_id, user_id, quantity, expires_at)
VALUES (-3, 3, 1, 1, 'infinity') ON CONFLICT DO NOTHING;
INSERT INTO booking.hold (hold_id, event_id, user_id, quantity, expires_at)
VALUES (-3, 3, 1, 1, 'infinity') ON CONFLICT (hold_id) DO UPDATE SET quantity = 5;
SELECT * FROM held_places() WHERE event_id = 3;
DELETE FROM booking.hold;
SELECT * FROM booking.verify();

-- ---- the event: its capacity and its deletion ----

SELECT hold_id AS hold FROM booking.hold_tickets(3, 1, 3) \gset
UPDATE booking.event SET capacity = 3 WHERE event_id = 3;
UPDATE booking.event SET capacity = 2 WHERE event_id = 3;
\echo :LAST_ERROR_SQLSTATE
SELECT status FROM booking.try_book_ticket(3, 1);
SELECT booking.rebuild_inventory(3);
SELECT * FROM held_places() WHERE event_id = 3;
UPDATE booking.event SET capacity = 5 WHERE event_id = 3;
-- rebuild_inventory() counts the holds, also if more places are taken than the event
-- has.
ALTER TABLE booking.hold DISABLE TRIGGER USER;
UPDATE booking.hold SET quantity = 4 WHERE hold_id = :hold;
ALTER TABLE booking.hold ENABLE TRIGGER USER;
SELECT * FROM booking.verify();
SELECT booking.rebuild_inventory(3);
SELECT * FROM held_places() WHERE event_id = 3;
ALTER TABLE booking.hold DISABLE TRIGGER USER;
UPDATE booking.hold SET quantity = 6 WHERE hold_id = :hold;
ALTER TABLE booking.hold ENABLE TRIGGER USER;
SELECT booking.rebuild_inventory(3);
SELECT * FROM booking.verify();
ALTER TABLE booking.hold DISABLE TRIGGER USER;
UPDATE booking.hold SET quantity = 4 WHERE hold_id = :hold;
ALTER TABLE booking.hold ENABLE TRIGGER USER;
-- verify() also finds a live hold with tickets, and holds without an event.
BEGIN;
ALTER TABLE booking.hold DISABLE TRIGGER USER;
ALTER TABLE booking.ticket DISABLE TRIGGER USER;
UPDATE booking.hold SET event_id = 99 WHERE hold_id = :hold;
INSERT INTO booking.ticket (event_id, user_id, hold_id) VALUES (3, 1, :hold);
ALTER TABLE booking.ticket ENABLE TRIGGER USER;
ALTER TABLE booking.hold ENABLE TRIGGER USER;
SELECT * FROM booking.verify();
ROLLBACK;
-- An event with a live hold can't be deleted or get another id.  An event whose
-- holds have ended can.
DELETE FROM booking.event WHERE event_id = 3;
\echo :LAST_ERROR_SQLSTATE
UPDATE booking.event SET event_id = 33 WHERE event_id = 3;
\echo :LAST_ERROR_SQLSTATE
TRUNCATE booking.event;
\echo :LAST_ERROR_SQLSTATE
TRUNCATE booking.event, booking.ticket;
\echo :LAST_ERROR_SQLSTATE
CALL let_expire(:hold);
DELETE FROM booking.event WHERE event_id = 3;
\echo :LAST_ERROR_SQLSTATE
SELECT booking.expire_holds();
DELETE FROM booking.event WHERE event_id = 3;
SELECT count(*) FROM booking.hold WHERE event_id = 3;
SELECT code, message FROM outcome(format('SELECT booking.confirm_hold(%s, %L)', :hold, 'rebook'));
-- One statement deletes the hold and the event.
SELECT count(hold_id) FROM booking.hold_tickets(4, 1);
WITH h AS (DELETE FROM booking.hold WHERE event_id = 4)
DELETE FROM booking.event WHERE event_id = 4;
SELECT count(*) FROM booking.inventory WHERE event_id IN (3, 4);
BEGIN;
SELECT count(hold_id) FROM booking.hold_tickets(1, 1);
TRUNCATE booking.event, booking.ticket, booking.hold;
SELECT count(*) FROM booking.inventory;
ROLLBACK;
SELECT * FROM booking.verify();

-- A user's trigger changes the hold: the function raises 55000 and changes
-- nothing.
CREATE FUNCTION misbehave() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.user_id = 41 THEN
        RETURN NULL;
    ELSIF NEW.user_id = 42 THEN
        NEW.event_id := 2;
    ELSIF NEW.user_id = 43 THEN
        NEW.quantity := NEW.quantity + 1;
    ELSIF NEW.user_id = 44 THEN
        NEW.ended_at := CASE TG_OP WHEN 'INSERT' THEN now() END;
        NEW.expires_at := now();
    END IF;
    RETURN NEW;
END
$$;
INSERT INTO booking.hold (hold_id, event_id, user_id, quantity, expires_at)
SELECT -u, 1, u, 1, now() + interval '10 minutes' FROM unnest(ARRAY[41, 44]) u;
CREATE TRIGGER misbehave BEFORE INSERT OR UPDATE ON booking.hold
    FOR EACH ROW EXECUTE FUNCTION misbehave();
SELECT u, o.code, o.message FROM generate_series(41, 44) u,
    outcome(format('SELECT booking.hold_tickets(1, %s, 2)', u)) o ORDER BY u;
SELECT u, s, o.code FROM unnest(ARRAY[41, 44]) u,
    unnest(ARRAY['SELECT booking.confirm_hold(-%s)', 'SELECT booking.release_hold(-%s)',
                 'SELECT booking.extend_hold(-%s, ''30 minutes'')']) s,
    outcome(format(s, u)) o ORDER BY u, s COLLATE "C";
DROP TRIGGER misbehave ON booking.hold;
DROP FUNCTION misbehave;
SELECT user_id, quantity, ended_at FROM booking.hold WHERE hold_id < 0 ORDER BY user_id;
DELETE FROM booking.hold WHERE hold_id < 0;
SELECT * FROM booking.verify();

-- The user's columns, defaults and constraints work.
ALTER TABLE booking.hold ADD COLUMN note text DEFAULT 'none',
    ADD CONSTRAINT few CHECK (quantity < 4) NOT VALID;
SELECT hold_id AS hold FROM booking.hold_tickets(1, 1, 3) \gset
SELECT note FROM booking.hold WHERE hold_id = :hold;
SELECT code FROM outcome('SELECT booking.hold_tickets(1, 1, 4)');
SELECT cardinality(booking.confirm_hold(:hold)) AS tickets;
ALTER TABLE booking.hold DROP COLUMN note, DROP CONSTRAINT few;
SELECT * FROM booking.verify();

-- ---- many in one transaction ----

INSERT INTO booking.event (event_id, capacity) VALUES (50, 1000);
BEGIN;
SELECT count(hold_id) FROM generate_series(1, 50) u, booking.hold_tickets(50, u, 2);
SAVEPOINT a;
SELECT sum(cardinality(booking.confirm_hold(hold_id))) AS tickets FROM booking.hold
WHERE event_id = 50 AND user_id <= 20;
SELECT count(booking.release_hold(hold_id)) FROM booking.hold
WHERE event_id = 50 AND user_id > 40;
SELECT * FROM booking.availability(50);
ROLLBACK TO a;
SELECT * FROM booking.availability(50);
SELECT sum(cardinality(booking.confirm_hold(hold_id))) AS tickets FROM booking.hold
WHERE event_id = 50 AND user_id <= 30;
UPDATE booking.hold SET expires_at = now() WHERE event_id = 50 AND ended_at IS NULL;
SELECT booking.expire_holds();
SELECT cardinality(booking.book_tickets(50, 1, 940)) AS tickets;
SELECT status FROM booking.try_book_ticket(50, 1);
COMMIT;
SELECT * FROM held_places() WHERE event_id = 50;

-- ---- purge ----

SELECT count(hold_id) FROM generate_series(1, 3) u, booking.hold_tickets(1, u, 1);
SELECT count(*) FILTER (WHERE ended_at IS NULL) AS live, count(*) FILTER (WHERE ended_at IS NOT NULL) > 50 AS ended
FROM booking.hold;
SELECT booking.purge('1 day');
SELECT booking.purge('0') > 50 AS purged;
SELECT booking.purge('0');
SELECT count(*) FILTER (WHERE ended_at IS NULL) AS live, count(*) FILTER (WHERE ended_at IS NOT NULL) AS ended
FROM booking.hold;
SELECT * FROM held_places();
-- A foreign key to the hold: with SET NULL, the tickets stay when it is purged.
BEGIN;
SELECT hold_id AS hold FROM booking.hold_tickets(1, 1, 2) \gset
SELECT booking.confirm_hold(:hold) AS tickets \gset
ALTER TABLE booking.ticket
    ADD CONSTRAINT to_hold FOREIGN KEY (hold_id) REFERENCES booking.hold ON DELETE SET NULL NOT VALID;
SELECT booking.purge('0');
SELECT hold_id, cancelled_at, count(*) FROM booking.ticket
WHERE ticket_id = ANY (:'tickets') GROUP BY 1, 2;
SELECT hold_id AS hold FROM booking.hold_tickets(1, 1, 1) \gset
SELECT cardinality(booking.confirm_hold(:hold)) AS tickets;
-- Without an action, it can't be purged.
ALTER TABLE booking.ticket DROP CONSTRAINT to_hold,
    ADD CONSTRAINT to_hold FOREIGN KEY (hold_id) REFERENCES booking.hold NOT VALID;
SELECT code FROM outcome('SELECT booking.purge(''0'')');
ROLLBACK;
SELECT * FROM held_places();

-- ---- a rollback also undoes what a session remembers of "sold out" ----

INSERT INTO booking.event (event_id, capacity) VALUES (60, 1), (61, 12);
SELECT hold_id AS hold FROM booking.hold_tickets(60, 1, 1, '300 ms') \gset
BEGIN;
SELECT cardinality(booking.confirm_hold(:hold)) AS tickets;
SELECT status FROM booking.try_book_ticket(60, 2);
ROLLBACK;
SELECT pg_sleep(0.35);
SELECT status FROM booking.try_book_ticket(60, 2);
SELECT * FROM booking.availability(60);
-- The same if places came back after "sold out".
SELECT count(booking.book_ticket(61, u)) FROM generate_series(1, 12) u;
BEGIN;
SELECT count(booking.cancel_ticket(ticket_id)) FROM booking.ticket
WHERE event_id = 61 AND user_id <= 9;
SELECT count(booking.book_ticket(61, u)) FROM generate_series(21, 29) u;
SELECT status FROM booking.try_book_ticket(61, 30);
SELECT booking.cancel_ticket(ticket_id) FROM booking.ticket WHERE event_id = 61 AND user_id = 29;
SELECT count(hold_id) FROM booking.hold_tickets(61, 30, 1, '50 ms');
COMMIT;
SELECT pg_sleep(0.1);
SELECT status FROM booking.try_book_ticket(61, 31);
SELECT * FROM booking.availability(61);
SELECT * FROM booking.verify();

-- ---- an event without hold_ttl raises 55000 ----

BEGIN;
ALTER TABLE booking.event ALTER hold_ttl DROP NOT NULL;
UPDATE booking.event SET hold_ttl = NULL WHERE event_id = 1;
SELECT statement, o.code, o.message
FROM (VALUES (1, 'SELECT booking.hold_tickets(1, 1)'),
             (2, 'SELECT booking.hold_tickets(1, 1, 1, ''1 minute'')')) AS t (n, statement),
    outcome(statement) o
ORDER BY n;
ROLLBACK;
SELECT count(hold_id) FROM booking.hold_tickets(1, 1);

-- ---- a trigger of the user's that writes a hold while a ticket is booked ----

-- The place that book_ticket() has taken is the ticket's.  The hold takes its own.
INSERT INTO booking.event (event_id, capacity) VALUES (70, 10);
CREATE FUNCTION keep_more() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)
    VALUES (new.event_id, new.user_id, new.user_id, 'infinity');
    RETURN new;
END
$$;
CREATE TRIGGER keep_more BEFORE INSERT ON booking.ticket
    FOR EACH ROW WHEN (new.event_id = 70) EXECUTE FUNCTION keep_more();
SELECT booking.book_ticket(70, 3) > 0 AS booked;
SELECT booking.book_ticket(70, 1) > 0 AS booked;
SELECT available, held, booked FROM booking.availability(70);
SELECT code, message FROM outcome('SELECT booking.book_ticket(70, 4)');
INSERT INTO booking.ticket (event_id, user_id) VALUES (70, 2);
SELECT available, held, booked FROM booking.availability(70);
SELECT * FROM booking.verify();
DROP TRIGGER keep_more ON booking.ticket;
DROP FUNCTION keep_more;
-- A trigger removes a ticket while a hold of several places is released or taken:
-- each place is counted once.
CREATE FUNCTION remove_one() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM booking.ticket WHERE ticket_id IN
        (SELECT min(ticket_id) FROM booking.ticket WHERE event_id = 70 AND user_id = 3);
    INSERT INTO booking.ticket (event_id, user_id) VALUES (70, 9);
    DELETE FROM booking.ticket WHERE event_id = 70 AND user_id = 3;
    RETURN NULL;
END
$$;
UPDATE booking.event SET capacity = 20 WHERE event_id = 70;
SELECT cardinality(booking.book_tickets(70, 3, 4)) AS tickets;
CREATE TRIGGER "A_first" AFTER INSERT OR UPDATE ON booking.hold
    FOR EACH ROW WHEN (new.event_id = 70) EXECUTE FUNCTION remove_one();
SELECT booking.release_hold(hold_id) FROM booking.hold
WHERE event_id = 70 AND quantity = 3 AND ended_at IS NULL;
SELECT * FROM booking.verify();
SELECT cardinality(booking.book_tickets(70, 3, 2)) AS tickets;
SELECT booking.hold_tickets(70, 5, 3) IS NOT NULL AS held;
SELECT * FROM booking.verify();
DROP TRIGGER "A_first" ON booking.hold;
DROP FUNCTION remove_one;
-- The default of a column writes rows while a function writes its own.  Such a row
-- may use what the function has taken for the same user.  Then the function's row
-- takes places of its own.
INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (74, 20, NULL), (75, 20, 1);
INSERT INTO booking.ticket (event_id, user_id) VALUES (75, 8);
CREATE FUNCTION write_and_undo(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
    RETURN 'undone';
END
$$;
CREATE FUNCTION write_too() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    statement text := nullif(current_setting('regress.write', true), '');
BEGIN
    IF statement IS NULL THEN
        RETURN NULL;
    END IF;
    SET regress.write = '';
    IF statement LIKE '%undone%' THEN
        RETURN write_and_undo(statement);
    END IF;
    EXECUTE statement;
    RETURN 'written';
END
$$;
ALTER TABLE booking.ticket ADD note text DEFAULT write_too();
ALTER TABLE booking.hold ADD note text DEFAULT write_too();
SELECT n, o.code, v.problem
FROM (VALUES
    (1, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (74, 7)', 'SELECT booking.book_ticket(74, 7)'),
    (2, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (74, 7) /* undone */', 'SELECT booking.book_ticket(74, 7)'),
    (3, 'INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (74, 7, 3, ''infinity'')',
        'SELECT booking.book_ticket(74, 7)'),
    (4, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (74, 7)', 'SELECT booking.hold_tickets(74, 7, 3)'),
    (5, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (75, 7)', 'SELECT booking.book_ticket(75, 7)'),
    (6, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (75, 8)', 'SELECT booking.book_ticket(75, 7)'))
        AS s (n, too, statement),
    LATERAL (SELECT code FROM set_config('regress.write', too, false), outcome(statement)) o
    LEFT JOIN LATERAL (SELECT problem FROM booking.verify() WHERE o.code IS NOT NULL) v ON true
ORDER BY n;
SELECT count(*), sum(CASE WHEN note = 'written' THEN 1 END) AS written,
       sum(CASE WHEN note = 'undone' THEN 1 END) AS undone
FROM booking.ticket WHERE event_id IN (74, 75);
SELECT * FROM booking.verify();
ALTER TABLE booking.ticket DROP note;
ALTER TABLE booking.hold DROP note;
DROP FUNCTION write_too, write_and_undo;
-- A trigger ends another hold that the sweep is about to end: its places would come
-- back twice.
INSERT INTO booking.event (event_id, capacity) VALUES (71, 1), (72, 1);
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)
VALUES (71, 7, 1, now() - interval '1 s'), (72, 7, 1, now() - interval '1 s');
CREATE FUNCTION end_other() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE booking.hold SET ended_at = now()
    WHERE user_id = old.user_id AND event_id <> old.event_id AND ended_at IS NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER end_other AFTER UPDATE ON booking.hold
    FOR EACH ROW WHEN (old.user_id = 7) EXECUTE FUNCTION end_other();
SELECT code FROM outcome('SELECT booking.expire_holds()');
DROP TRIGGER end_other ON booking.hold;
DROP FUNCTION end_other;
SELECT booking.expire_holds();
SELECT * FROM booking.verify();
-- A trigger makes all pools again while a statement is not settled.
CREATE FUNCTION clear_holds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE booking.hold;
    RETURN NULL;
END
$$;
CREATE TRIGGER z AFTER DELETE ON booking.ticket
    FOR EACH ROW WHEN (old.event_id = 71) EXECUTE FUNCTION clear_holds();
SELECT booking.book_ticket(71, 1) > 0 AS booked;
SELECT code, message FROM outcome('DELETE FROM booking.ticket WHERE event_id = 71');
DROP TRIGGER z ON booking.ticket;
DROP FUNCTION clear_holds;
SELECT * FROM booking.verify();

-- A function is refused while its statement ends the expired hold.  This is undone,
-- so the next call finds the hold again.
INSERT INTO booking.event (event_id, capacity) VALUES (73, 1);
SELECT hold_id AS h FROM booking.hold_tickets(73, 1, 1) \gset
CALL let_expire(:h);
WITH ended AS (UPDATE booking.hold SET ended_at = now() WHERE event_id = 73 RETURNING event_id)
SELECT booking.book_ticket(event_id, 2) FROM ended;
\echo :LAST_ERROR_SQLSTATE
SELECT booking.book_ticket(73, 2) > 0 AS booked;

-- ---- the same rules on every way in ----

-- max_hold_ttl holds for plain SQL, too; 'infinity' is until the hold is released.
INSERT INTO booking.event (event_id, capacity) VALUES (80, 50), (81, 50);
UPDATE booking.event SET max_hold_ttl = '3 hours' WHERE event_id = 81;
INSERT INTO booking.hold (hold_id, event_id, user_id, quantity, expires_at, ended_at) VALUES
    (800, 80, 1, 1, now() + interval '30 minutes', NULL), (801, 81, 1, 1, now() + interval '2 hours', NULL),
    (802, 80, 2, 1, now() + interval '2 hours', now());
SELECT n, o.code, o.message
FROM (VALUES
    (1, $$INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (80, 1, 1, now() + interval '2 hours')$$),
    (2, $$INSERT INTO booking.hold (event_id, user_id, quantity, created_at, expires_at)
          VALUES (80, 1, 1, now() + interval '1 hour', now() + interval '2 hours')$$),
    (3, $$UPDATE booking.hold SET expires_at = expires_at + interval '1 hour' WHERE hold_id = 800$$),
    (4, $$UPDATE booking.hold SET event_id = 80 WHERE hold_id = 801$$),
    (5, $$UPDATE booking.hold SET ended_at = NULL WHERE hold_id = 802$$),
    (6, $$UPDATE booking.hold SET expires_at = 'infinity' WHERE hold_id = 800$$),
    (7, $$UPDATE booking.event SET max_hold_ttl = '1 hour' WHERE event_id = 81$$),
    (8, $$UPDATE booking.hold SET quantity = 2, expires_at = expires_at - interval '1 minute' WHERE hold_id = 801$$),
    (9, $$UPDATE booking.hold SET expires_at = expires_at + interval '1 minute' WHERE hold_id = 801$$))
    AS t (n, statement), outcome(statement) o ORDER BY n;
-- A ticket can't be made from a live hold but by confirm_hold().
INSERT INTO booking.hold (hold_id, event_id, user_id, quantity, expires_at, ended_at) VALUES
    (810, 80, 1, 2, 'infinity', NULL), (811, 80, 1, 2, 'infinity', now());
SELECT n, o.code, o.message, o.detail, o.hint, o.fields
FROM (VALUES
    (1, 'INSERT INTO booking.ticket (event_id, user_id, hold_id) VALUES (80, 1, 810)'),
    (2, 'INSERT INTO booking.ticket (event_id, user_id, hold_id, cancelled_at) VALUES (80, 1, 810, now())'),
    (3, 'INSERT INTO booking.ticket (ticket_id, event_id, user_id, hold_id) VALUES (-811, 80, 1, 811)'),
    (4, 'INSERT INTO booking.ticket (ticket_id, event_id, user_id, hold_id) VALUES (-812, 80, 1, 99999)'),
    (5, 'UPDATE booking.ticket SET hold_id = 810 WHERE ticket_id = -811'),
    (6, 'UPDATE booking.ticket SET hold_id = NULL, seat = ''1'' WHERE ticket_id = -811'),
    (7, 'UPDATE booking.ticket SET hold_id = 811 WHERE ticket_id = -811'),
    (8, 'UPDATE booking.hold SET ended_at = NULL WHERE hold_id = 811'))
    AS t (n, statement), diagnosed(statement) o ORDER BY n;
SELECT cardinality(booking.confirm_hold(810)) AS tickets, booking.confirm_hold(811);
-- After its tickets were deleted, a confirmed hold stays confirmed, however that was done.
SELECT hold_id AS in_time FROM booking.hold_tickets(80, 3, 2) \gset
SELECT hold_id AS late FROM booking.hold_tickets(80, 3, 2) \gset
SELECT hold_id AS swept FROM booking.hold_tickets(80, 3, 2) \gset
CALL let_expire(:late, :swept);
SELECT cardinality(booking.confirm_hold(:late, 'rebook'));
SELECT booking.expire_holds();
SELECT cardinality(booking.confirm_hold(:swept, 'rebook')), cardinality(booking.confirm_hold(:in_time));
SELECT count(*) FROM booking.hold WHERE confirmed_at IS NOT NULL AND hold_id IN (:late, :swept, :in_time);
DELETE FROM booking.ticket WHERE ticket_id = (SELECT min(ticket_id) FROM booking.ticket WHERE hold_id = :late);
SELECT cardinality(booking.confirm_hold(:late)) AS rest;
DELETE FROM booking.ticket WHERE hold_id IN (:late, :swept, :in_time);
SELECT h.n, f.n, regexp_replace(o.message, 'hold \d+', 'hold n') AS message, o.code, o.detail
FROM (VALUES (1, :late), (2, :swept), (3, :in_time)) AS h (n, hold_id),
     (VALUES (1, 'SELECT booking.confirm_hold(%s)'), (2, 'SELECT booking.confirm_hold(%s, ''rebook'')'),
             (3, 'SELECT booking.extend_hold(%s, ''1 minute'')'), (4, 'SELECT booking.release_hold(%s)'),
             (5, 'UPDATE booking.hold SET ended_at = NULL WHERE hold_id = %s')) AS f (n, call),
     outcome(format(call, hold_id)) o ORDER BY 1, 2;
SELECT code, message FROM outcome($$INSERT INTO booking.hold (hold_id, event_id, user_id, quantity, expires_at, confirmed_at)
    VALUES (820, 80, 1, 1, 'infinity', now())$$);
-- An event that was deleted and created again is another one.
SELECT booking.cancel_ticket(ticket_id) FROM booking.ticket WHERE event_id = 80 AND cancelled_at IS NULL;
INSERT INTO booking.event (event_id, capacity) VALUES (82, 5);
SELECT hold_id AS old FROM booking.hold_tickets(82, 1, 2) \gset
CALL let_expire(:old);
SELECT booking.expire_holds();
DELETE FROM booking.event WHERE event_id = 82;
SELECT code FROM outcome(format('SELECT booking.confirm_hold(%s, ''rebook'')', :old));
INSERT INTO booking.event (event_id, capacity) VALUES (82, 5);
SELECT code, regexp_replace(message, 'hold \d+', 'hold n') AS message, detail, fields
FROM diagnosed(format('SELECT booking.confirm_hold(%s, ''rebook'')', :old));
SELECT * FROM held_places() WHERE event_id >= 80 ORDER BY event_id;

-- ---- who needs one place ends up to a hundred expired holds ----

INSERT INTO booking.event (event_id, capacity) VALUES (90, 150);
SELECT count(h.hold_id) FROM generate_series(1, 150) u,
    booking.hold_tickets(90, u::bigint, 1, '1 microsecond') h;
SELECT booking.book_ticket(90, 1) > 0 AS booked;
SELECT count(*) FILTER (WHERE ended_at IS NULL) AS live FROM booking.hold WHERE event_id = 90;
SELECT booking.expire_holds();
SELECT * FROM held_places() WHERE event_id = 90;

DROP PROCEDURE let_expire;
DROP FUNCTION held_places;
SELECT * FROM damage();
SELECT * FROM booking.verify();

-- PostgreSQL plans a statement again after VACUUM, and would scan the whole table
-- because it is small.  The statement still finds its row by an index.
\c -
SELECT count(booking.release_hold(-n)) FROM generate_series(1, 5) n;
VACUUM ANALYZE booking.hold;
BEGIN;
SELECT booking.release_hold(-1);
SELECT seq_scan, idx_scan > 0 AS index_used
FROM pg_stat_xact_user_tables WHERE relid = 'booking.hold'::regclass;
ROLLBACK;
-- The same after a change of search_path.
BEGIN;
SET LOCAL search_path = booking;
SELECT release_hold(-1);
SELECT seq_scan, idx_scan > 0 AS index_used
FROM pg_stat_xact_user_tables WHERE relid = 'booking.hold'::regclass;
ROLLBACK;
