--
-- The staff's side: events without a limit, bookings by the staff, the gate, and
-- whether an event is on sale.
--
-- Promises:
--   - A capacity of null is unlimited on every way in.  It can be set and removed at
--     any time, but not below the places taken.
--   - book_as_staff() passes over the sales window and the limit per user, as asked,
--     and never over the capacity.  The history says that the staff booked.
--   - redeem_ticket() knows a ticket of another event, and takes the time of a scan.
--     unredeem_ticket() takes it back.
--   - availability() and booking.sales say whether an event is on sale, or why not.
CALL recreate_booking();
\set SHOW_CONTEXT never
SELECT booking.keep_history();

-- ---- unlimited events ----

INSERT INTO booking.event (event_id, name, capacity) VALUES (1, 'open air', NULL), (2, 'hall', 3);
SELECT * FROM booking.availability(1);
SELECT cardinality(booking.book_tickets(1, 1, 1000)) AS booked;
SELECT hold_id AS hold FROM booking.hold_tickets(1, 2, 5) \gset
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 3), (1, 3);
SELECT count(*) AS booked FROM booking.book_batch(1, ARRAY[4, 5, 6]) WHERE status = 'booked';
SELECT status FROM booking.try_book_ticket(1, 7);
SELECT * FROM booking.availability(1);
SELECT event_id, capacity, available, held, booked, status FROM booking.sales ORDER BY event_id;
SELECT * FROM booking.verify();
-- It gets a capacity: not below what is taken, with holds.
SELECT code, message, detail, hint
FROM outcome('UPDATE booking.event SET capacity = 1010 WHERE event_id = 1');
UPDATE booking.event SET capacity = 1011 WHERE event_id = 1;
SELECT * FROM booking.availability(1);
SELECT status FROM booking.try_book_ticket(1, 8);
SELECT booking.release_hold(:hold);
SELECT status FROM booking.try_book_ticket(1, 8);
-- And loses it.
UPDATE booking.event SET capacity = NULL WHERE event_id = 1;
SELECT * FROM booking.availability(1);
SELECT * FROM booking.verify();
-- In one statement: tickets leave, and there is a limit.
WITH gone AS (DELETE FROM booking.ticket WHERE event_id = 1 AND user_id = 1)
UPDATE booking.event SET capacity = 7 WHERE event_id = 1;
SELECT * FROM booking.availability(1);
UPDATE booking.event SET capacity = NULL WHERE event_id IN (1, 2);
SELECT status FROM generate_series(1, 4) AS u, booking.try_book_ticket(2, u);
SELECT * FROM booking.verify();
-- Repair and TRUNCATE.
BEGIN;
SET LOCAL booking.importing = on;
DELETE FROM booking.inventory WHERE event_id = 1;
SELECT event_id, problem FROM booking.verify();
SELECT event_id, available_before IS NULL AS was_gone FROM booking.rebuild_inventory(1);
COMMIT;
SELECT * FROM booking.verify();
SELECT * FROM booking.rebuild_inventory();
TRUNCATE booking.ticket, booking.hold;
SELECT event_id, booked FROM booking.sales ORDER BY event_id;
SELECT * FROM booking.verify();
-- It can be deleted, and have another id.
UPDATE booking.event SET event_id = 3 WHERE event_id = 2;
SELECT status FROM booking.try_book_ticket(3, 1);
SELECT code, message FROM outcome('DELETE FROM booking.event WHERE event_id = 3');
DELETE FROM booking.ticket WHERE event_id = 3;
DELETE FROM booking.event WHERE event_id IN (1, 3);
SELECT count(*) FROM booking.inventory;
SELECT code, message FROM outcome('INSERT INTO booking.event (capacity) VALUES (-1)');

-- ---- bookings by the staff ----

INSERT INTO booking.event (event_id, capacity, max_per_user, sales_start, sales_end) VALUES
    (11, 10, 2, NULL, '2000-01-01'),
    (12, 3, 1, NULL, NULL),
    (13, 5, NULL, '2100-01-01', NULL);
SELECT cardinality(booking.book_as_staff(11, 1, 4)) AS tickets;
SELECT cardinality(booking.book_as_staff(13, 1)) AS tickets;
SELECT cardinality(booking.book_as_staff(12, '1', 2)) AS tickets;
-- Only the rules that it names.
SELECT n, o.code, o.message, o.detail
FROM (VALUES
    (1, $$SELECT booking.book_as_staff(11, 1, 1, '{limit}')$$),
    (2, $$SELECT booking.book_as_staff(12, 1, 1, '{window}')$$),
    (3, $$SELECT booking.book_as_staff(11, 1, 1, '{}')$$),
    (4, $$SELECT booking.book_as_staff(12, 1, 1, '{}')$$),
    (5, $$SELECT booking.book_as_staff(11, 1, 1, '{window,limit,window}')$$),
    -- never the capacity
    (6, $$SELECT booking.book_as_staff(12, 1, 2)$$),
    -- wrong arguments
    (7, $$SELECT booking.book_as_staff(12, 1, 1, '{capacity}')$$),
    (8, $$SELECT booking.book_as_staff(12, 1, 1, '{window,NULL}')$$),
    (9, $$SELECT booking.book_as_staff(12, 1, 1, NULL)$$),
    (10, $$SELECT booking.book_as_staff(12, 1, 0)$$),
    (11, $$SELECT booking.book_as_staff(12, NULL::bigint)$$),
    (12, $$SELECT booking.book_as_staff(NULL, 1)$$),
    (13, $$SELECT booking.book_as_staff(99, 1)$$)) AS t (n, statement), outcome(statement) o
ORDER BY n;
-- A retry with its key returns the same tickets, on the two paths.
SELECT booking.book_as_staff(13, 5, 2, idempotency_key => 'box office')
     = booking.book_as_staff(13, 5, 2, idempotency_key => 'box office') AS same;
SELECT action, event_id, user_id, count(*) FROM booking.history
WHERE event_id > 10 GROUP BY action, event_id, user_id ORDER BY event_id, user_id;
-- Others keep to the rules, and the staff's tickets count.
SELECT status FROM booking.try_book_ticket(12, 1);
SELECT status FROM booking.try_book_ticket(12, 2);
SELECT event_id, problem, expected, found FROM booking.verify();
-- A trigger of the user's that books is not the staff.
CREATE FUNCTION book_another() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.user_id = 21 THEN
        INSERT INTO booking.ticket (event_id, user_id) VALUES (NEW.event_id, 22);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER another AFTER INSERT ON booking.ticket FOR EACH ROW EXECUTE FUNCTION book_another();
INSERT INTO booking.event (event_id, capacity) VALUES (14, 10);
SELECT cardinality(booking.book_as_staff(14, 21)) AS tickets;
SELECT action, user_id FROM booking.history WHERE event_id = 14 ORDER BY user_id;
DROP TRIGGER another ON booking.ticket;
-- Neither is the staff's ticket judged by the limit after a trigger has booked.
CREATE FUNCTION book_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.user_id = 23 THEN
        PERFORM booking.book_ticket(NEW.event_id, 24 + (SELECT count(*) FROM booking.ticket));
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER another BEFORE INSERT ON booking.ticket FOR EACH ROW EXECUTE FUNCTION book_before();
INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (15, 10, 1);
SELECT cardinality(booking.book_as_staff(15, 23)), cardinality(booking.book_as_staff(15, 23));
SELECT action, count(*), count(DISTINCT user_id) AS users FROM booking.history
WHERE event_id = 15 GROUP BY action ORDER BY action;
DROP TRIGGER another ON booking.ticket;
-- An event that is oversold: its tickets can have other users.
INSERT INTO booking.event (event_id, capacity) VALUES (16, 2);
SELECT booking.book_ticket(16, 1) AS a, booking.book_ticket(16, 2) AS b \gset
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE booking.event SET capacity = 1 WHERE event_id = 16;
SET LOCAL session_replication_role = origin;
SELECT * FROM booking.rebuild_inventory(16);
SELECT booking.transfer_ticket(:a, 3), booking.exchange_tickets(:a, :b);
SELECT status FROM booking.try_book_ticket(16, 4);
SELECT booking.transfer_ticket(:a, 5);
ROLLBACK;

-- ---- holds that change ----

INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (21, 6, 4), (22, 3, NULL);
SELECT hold_id AS hold FROM booking.hold_tickets(21, 1, 2) \gset
SELECT booking.change_hold(:hold, 4), booking.change_hold(:hold, 4);
SELECT available, held FROM booking.availability(21);
-- Some of its places are released.
SELECT booking.change_hold(:hold, 1);
SELECT available, held FROM booking.availability(21);
-- All that are asked for, or none.
SELECT hold_id AS other FROM booking.hold_tickets(21, 2, 3) \gset
SELECT n, o.code, o.message, o.detail
FROM (VALUES
    (1, format('SELECT booking.change_hold(%s, 5)', :hold)),
    (2, format('SELECT booking.change_hold(%s, 4)', :hold)),
    (3, format('SELECT booking.change_hold(%s, 3, 2)', :hold)),
    (4, format('SELECT booking.change_hold(%s, NULL, ''2'')', :other)),
    (5, format('SELECT booking.change_hold(%s, 0)', :hold)),
    (6, 'SELECT booking.change_hold(NULL, 1)'),
    (7, 'SELECT booking.change_hold(999999, 1)'),
    (8, format('SELECT booking.change_hold(%s, NULL, ''guest'')', :hold))) AS t (n, statement),
    outcome(statement) o
ORDER BY n;
-- A guest logs in.
SELECT booking.change_hold(:hold, 2, 3), booking.change_hold(:hold, NULL, '3'),
       booking.change_hold(:hold, NULL, NULL);
SELECT user_id, quantity FROM booking.hold WHERE hold_id = :hold;
SELECT cardinality(booking.confirm_hold(:hold)) AS tickets;
SELECT user_id, count(*) FROM booking.ticket WHERE hold_id = :hold GROUP BY user_id;
SELECT code, message, detail FROM outcome(format('SELECT booking.change_hold(%s, 1)', :hold));
SELECT booking.release_hold(:other);
SELECT code, message, detail FROM outcome(format('SELECT booking.change_hold(%s, 1)', :other));
SELECT hold_id AS late FROM booking.hold_tickets(21, 4, 1) \gset
UPDATE booking.hold SET expires_at = clock_timestamp() WHERE hold_id = :late;
SELECT code, message FROM outcome(format('SELECT booking.change_hold(%s, 2)', :late));
SELECT booking.expire_holds();
SELECT code, message FROM outcome(format('SELECT booking.change_hold(%s, 2)', :late));
SELECT action, user_id, quantity FROM booking.history WHERE hold_id = :hold AND table_name = 'hold'
ORDER BY history_id;
-- During the sale only; fewer places, or another user, at any time.
SELECT hold_id AS hold FROM booking.hold_tickets(22, 1, 2) \gset
UPDATE booking.event SET sales_end = '2000-01-01' WHERE event_id = 22;
SELECT code FROM outcome(format('SELECT booking.change_hold(%s, 3)', :hold));
SELECT booking.change_hold(:hold, 1, 5);
UPDATE booking.event SET sales_end = NULL WHERE event_id = 22;

-- A user who asks again is given what he holds.
SELECT hold_id = :hold AS same FROM booking.hold_tickets(22, 5, 1, on_held => 'return');
SELECT hold_id = :hold AS same FROM booking.hold_tickets(22, 5, 1, '5 minutes', 'again', 'return');
SELECT hold_id = :hold AS same FROM booking.hold_tickets(22, 5, 1, '5 minutes', 'again');
-- Not another number of places, another user's, one that has expired or ended.
SELECT hold_id = :hold AS same FROM booking.hold_tickets(22, 5, 2, on_held => 'return');
SELECT code, message FROM outcome($$SELECT booking.hold_tickets(22, 6, 1, on_held => 'return')$$);
UPDATE booking.hold SET expires_at = clock_timestamp() WHERE hold_id = :hold;
SELECT hold_id = :hold AS same FROM booking.hold_tickets(22, 5, 1, on_held => 'return');
SELECT n, o.code, o.message
FROM (VALUES
    (1, $$SELECT booking.hold_tickets(22, 5, 1, on_held => 'keep')$$),
    (2, $$SELECT booking.hold_tickets(22, 5, 1, on_held => NULL)$$),
    (3, $$SELECT booking.hold_tickets(99, 5, 1, on_held => 'return')$$),
    (4, $$SELECT booking.hold_tickets(22, 5, 0, on_held => 'return')$$)) AS t (n, statement),
    outcome(statement) o
ORDER BY n;
SELECT event_id, problem FROM booking.verify() WHERE event_id > 20;
SELECT booking.purge('0') > 0 AS purged;
SELECT count(*) AS users_left FROM booking.user_limit WHERE event_id = 22;

-- ---- from event to event ----

INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES
    (31, 2, 1), (32, 2, 1), (33, 0, NULL), (34, NULL, NULL);
SELECT booking.book_ticket(31, 1) AS a, booking.book_ticket(31, 2) AS b,
       booking.book_ticket(32, 3) AS c \gset
SELECT booking.move_ticket(:a, 32), booking.move_ticket(:a, 32);
SELECT event_id, available, booked FROM booking.sales WHERE event_id IN (31, 32) ORDER BY event_id;
SELECT n, o.code, o.message, o.detail
FROM (VALUES
    (1, format('SELECT booking.move_ticket(%s, 32)', :b)),
    (2, format('SELECT booking.move_ticket(%s, 33)', :b)),
    (3, format('SELECT booking.move_ticket(%s, 99)', :b)),
    (4, format('SELECT booking.move_ticket(%s, NULL)', :b)),
    (5, 'SELECT booking.move_ticket(NULL, 32)'),
    (6, 'SELECT booking.move_ticket(999999, 32)'),
    (7, format('SELECT booking.exchange_tickets(%s, NULL)', :b)),
    (8, format('SELECT booking.exchange_tickets(NULL, %s)', :b)),
    (9, format('SELECT booking.exchange_tickets(%s, 999999)', :b))) AS t (n, statement),
    outcome(statement) o
ORDER BY n;
-- The limit of the new event, and its sales window, are judged.
SELECT booking.book_ticket(31, 3) AS d \gset
SELECT booking.cancel_ticket(:a);
SELECT code, message, detail FROM outcome(format('SELECT booking.move_ticket(%s, 32)', :d));
UPDATE booking.event SET sales_end = '2000-01-01' WHERE event_id = 32;
SELECT code FROM outcome(format('SELECT booking.move_ticket(%s, 32)', :b));
UPDATE booking.event SET sales_end = NULL WHERE event_id = 32;
SELECT booking.move_ticket(:d, 34), booking.move_ticket(:d, 31);
-- A seat that is taken there.
UPDATE booking.ticket SET seat = 'A1' WHERE ticket_id IN (:b, :c);
SELECT code FROM outcome(format('SELECT booking.move_ticket(%s, 32)', :b));
-- A cancelled and a redeemed ticket.
SELECT code, message, detail FROM outcome(format('SELECT booking.move_ticket(%s, 34)', :a));
SELECT status FROM booking.redeem_ticket(:d);
SELECT code, message, detail FROM outcome(format('SELECT booking.move_ticket(%s, 34)', :d));
SELECT code, message, detail FROM outcome(format('SELECT booking.exchange_tickets(%s, %s)', :b, :d));
SELECT booking.unredeem_ticket(:d);
-- Two users exchange their tickets.  Each keeps the seat that it has.
SELECT booking.book_ticket(32, 4) AS e \gset
SELECT booking.exchange_tickets(:b, :e);
SELECT ticket_id = :b AS is_b, event_id, user_id, seat FROM booking.ticket
WHERE ticket_id IN (:b, :e) ORDER BY ticket_id;
SELECT booking.exchange_tickets(:b, :b), booking.exchange_tickets(:d, :c);
-- User 3 has a ticket of both events, so he can't have another of 32.
SELECT code, message, detail FROM outcome(format('SELECT booking.exchange_tickets(%s, %s)', :d, :e));
SELECT action, count(*) FROM booking.history
WHERE event_id BETWEEN 31 AND 34 GROUP BY action ORDER BY action;
SELECT event_id, problem FROM booking.verify() WHERE event_id > 30;

-- ---- an event is cancelled ----

INSERT INTO booking.event (event_id, capacity, sales_start, sales_end) VALUES
    (51, 10, NULL, NULL), (52, 10, '2100-01-01', '2200-01-01'), (53, 10, '2000-01-01', '2000-02-01');
SELECT cardinality(booking.book_tickets(51, 1, 2)), cardinality(booking.book_tickets(51, 2, 3)),
       booking.book_ticket(51, 1) > 0;
SELECT count(*) FROM booking.hold_tickets(51, 3, 4);
SELECT status FROM booking.ticket, booking.redeem_ticket(ticket_id)
WHERE ticket.event_id = 51 AND user_id = 2;
SELECT booking.cancel_ticket(min(ticket_id)) FROM booking.ticket WHERE event_id = 51;
BEGIN;
SELECT user_id, cardinality(ticket_ids) AS tickets FROM booking.cancel_event(51);
ROLLBACK;
SELECT * FROM booking.availability(51);
SELECT user_id, cardinality(ticket_ids) AS tickets FROM booking.cancel_event(51);
SELECT * FROM booking.availability(51);
SELECT status FROM booking.try_book_ticket(51, 9);
SELECT * FROM booking.cancel_event(51);
SELECT action, count(*) FROM booking.history WHERE event_id = 51 GROUP BY action ORDER BY action;
-- Before and after its sale.
SELECT booking.cancel_event(52), booking.cancel_event(53);
SELECT event_id, sales_start, sales_end <= clock_timestamp() AS ended FROM booking.event
WHERE event_id > 50 ORDER BY event_id;
SELECT n, o.code, o.message
FROM (VALUES (1, 'SELECT booking.cancel_event(NULL)'), (2, 'SELECT booking.cancel_event(99)'))
    AS t (n, statement), outcome(statement) o
ORDER BY n;
SELECT event_id, problem FROM booking.verify() WHERE event_id > 50;

-- ---- the size of an order ----

INSERT INTO booking.event (event_id, capacity, max_per_user, min_per_order, max_per_order)
VALUES (61, 30, 5, 2, 4), (62, 10, NULL, NULL, 1);
SELECT cardinality(booking.book_tickets(61, 1, 2)) AS tickets;
SELECT hold_id AS hold FROM booking.hold_tickets(61, 2, 4) \gset
SELECT booking.book_ticket(62, 1) > 0 AS booked;
SELECT n, o.code, o.message, o.detail, o.hint
FROM (VALUES
    (1, 'SELECT booking.book_ticket(61, 1)'),
    (2, 'SELECT booking.try_book_ticket(61, 1)'),
    (3, 'SELECT booking.book_tickets(61, 3, 5)'),
    (4, 'SELECT booking.book_tickets(62, 3, 2)'),
    (5, 'SELECT booking.hold_tickets(61, 3, 1)'),
    (6, 'SELECT booking.hold_tickets(61, 3, 5, on_held => ''return'')'),
    (7, format('SELECT booking.change_hold(%s, 5)', :hold)),
    (8, 'SELECT booking.book_as_staff(61, 3, 1, ''{window}'')'),
    (9, 'SELECT booking.book_tickets(61, 3, 1, ''a key'')')) AS t (n, statement), outcome(statement) o
ORDER BY n;
SELECT n, o.code, o.message
FROM (VALUES
    (1, 'UPDATE booking.event SET min_per_order = 5 WHERE event_id = 61'),
    (2, 'UPDATE booking.event SET max_per_order = 0 WHERE event_id = 61'),
    (3, 'UPDATE booking.event SET min_per_order = -1 WHERE event_id = 61')) AS t (n, statement),
    outcome(statement) o
ORDER BY n;
SELECT fields FROM diagnosed('SELECT booking.book_tickets(61, 3, 5)');
-- Fewer places may be released, and the staff, a batch and plain SQL are not judged.
SELECT booking.change_hold(:hold, 1), booking.change_hold(:hold, 3);
SELECT cardinality(booking.book_as_staff(61, 3)) AS tickets;
SELECT status FROM booking.book_batch(61, ARRAY[4]);
INSERT INTO booking.ticket (event_id, user_id) VALUES (61, 5);
SELECT cardinality(booking.confirm_hold(:hold)) AS tickets;
-- The sizes change.
UPDATE booking.event SET min_per_order = NULL, max_per_order = 1 WHERE event_id = 61;
SELECT status FROM booking.try_book_ticket(61, 6);
SELECT code FROM outcome('SELECT booking.book_tickets(61, 6, 2)');
SELECT event_id, problem FROM booking.verify() WHERE event_id > 60;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE booking.event SET min_per_order = 1, max_per_order = 9 WHERE event_id = 61;
SET LOCAL session_replication_role = origin;
SELECT event_id, problem FROM booking.verify(61);
SELECT * FROM booking.rebuild_inventory(61);
SELECT cardinality(booking.book_tickets(61, 7, 5)) AS tickets;
TRUNCATE booking.ticket;
SELECT event_id, problem FROM booking.verify(61);
SELECT code FROM outcome('SELECT booking.book_tickets(61, 7, 10)');
ROLLBACK;

-- ---- the gate ----

SELECT booking.book_ticket(14, 31) AS ticket \gset
SELECT status, redeemed_at FROM booking.redeem_ticket(:ticket, 13);
SELECT status, redeemed_at FROM booking.redeem_ticket(:ticket, event_id => 14, at => '2020-02-02 20:00+00');
SELECT status, redeemed_at = '2020-02-02 20:00+00' AS as_scanned FROM booking.redeem_ticket(:ticket, 14);
SELECT status, redeemed_at FROM booking.redeem_ticket(:ticket, 13);
SELECT booking.unredeem_ticket(:ticket), booking.unredeem_ticket(:ticket);
-- The clock of the scanner is ahead.
SELECT status, redeemed_at <= clock_timestamp() AS now FROM booking.redeem_ticket(:ticket, at => '2100-01-01');
SELECT booking.unredeem_ticket(:ticket);
SELECT booking.cancel_ticket(:ticket);
SELECT status, redeemed_at FROM booking.redeem_ticket(:ticket, 14);
SELECT booking.unredeem_ticket(:ticket);
SELECT action FROM booking.history WHERE ticket_id = :ticket ORDER BY history_id;
SELECT n, o.code, o.message
FROM (VALUES
    (1, 'SELECT booking.redeem_ticket(NULL, 14)'),
    (2, 'SELECT booking.redeem_ticket(999999, 14)'),
    (3, format('SELECT booking.redeem_ticket(%s, at => ''infinity'')', :ticket)),
    (4, format('SELECT booking.redeem_ticket(%s, at => ''-infinity'')', :ticket)),
    (5, 'SELECT booking.unredeem_ticket(NULL)'),
    (6, 'SELECT booking.unredeem_ticket(999999)')) AS t (n, statement), outcome(statement) o
ORDER BY n;

-- ---- is it on sale? ----

INSERT INTO booking.event (event_id, capacity, sales_start, sales_end) VALUES
    (41, 5, NULL, NULL), (42, 5, '2100-01-01', NULL), (43, 5, NULL, '2000-01-01'), (44, 0, NULL, NULL),
    (45, 0, '2100-01-01', NULL), (46, NULL, '2000-01-01', 'infinity'), (47, 1, NULL, NULL);
SELECT count(*) FROM booking.hold_tickets(47, 1);
SELECT event_id, a.status, s.status = a.status AS same
FROM booking.sales s, booking.availability(s.event_id) a WHERE event_id > 40 ORDER BY event_id;
-- The places of an expired hold can be booked.
UPDATE booking.hold SET expires_at = clock_timestamp() WHERE event_id = 47;
SELECT a.status, s.status FROM booking.sales s, booking.availability(47) a WHERE event_id = 47;

SELECT * FROM damage();
