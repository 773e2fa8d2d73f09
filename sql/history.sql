--
-- The history of tickets and holds, and the view booking.sales.
--
-- Promises:
--   - After keep_history(), every change of a ticket or hold is recorded, whichever
--     way it is made.  The row says what was done and by whom.
--   - The history can't be changed.
--   - It stops when its triggers are dropped.
CALL recreate_booking();
\set SHOW_CONTEXT never

INSERT INTO booking.event (event_id, name, capacity) VALUES (1, 'concert', 20), (2, 'theatre', 4);

-- Earlier changes are not in it.
SELECT booking.book_ticket(1, 1);
SELECT booking.keep_history();
SELECT booking.keep_history();
SELECT booking.create_tables();
SELECT a.attname AS column_name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AS not_null
FROM pg_attribute a WHERE a.attrelid = 'booking.history'::regclass AND a.attnum > 0
ORDER BY a.attnum;
SELECT tgrelid::regclass AS table_name, tgname, tgfoid::regproc AS function
FROM pg_trigger
WHERE tgfoid IN ('booking.record_history'::regproc, 'booking.refuse_history_change'::regproc)
ORDER BY 1, 2;
SELECT obj_description(attrelid) IS NOT NULL AS explained,
       count(*) FILTER (WHERE col_description(attrelid, attnum) IS NULL) AS not_explained
FROM pg_attribute WHERE attrelid = 'booking.history'::regclass AND attnum > 0 GROUP BY attrelid;
SELECT count(*) FROM booking.history;

-- Returns the history rows that were added since the last call.
CREATE TEMP TABLE seen (history_id bigint);
CREATE FUNCTION new_history()
RETURNS TABLE (table_name text, action text, event_id bigint, user_id bigint, ticket_id bigint,
               hold_id bigint, quantity integer)
LANGUAGE sql
AS $$
    WITH new AS (
        INSERT INTO seen
        SELECT history_id FROM booking.history
        WHERE history_id > (SELECT coalesce(max(history_id), 0) FROM seen)
        RETURNING history_id)
    SELECT table_name, action, event_id, user_id, ticket_id, hold_id, quantity
    FROM booking.history JOIN new USING (history_id) ORDER BY history_id
$$;

-- ---- every action, by the functions ----

SELECT booking.book_ticket(1, 42);
SELECT status FROM booking.try_book_ticket(1, 42);
SELECT booking.book_tickets(1, 43, 2);
SELECT * FROM new_history();
SELECT booking.transfer_ticket(2, 44);
SELECT status FROM booking.redeem_ticket(2);
SELECT booking.cancel_ticket(3);
SELECT booking.cancel_ticket(3);
SELECT status FROM booking.redeem_ticket(2);
SELECT * FROM new_history();
SELECT count(*) FROM booking.book_batch(1, ARRAY[45, 46]);
SELECT * FROM new_history();
-- Holds are confirmed, released, extended and expired.
SELECT hold_id FROM booking.hold_tickets(1, 50, 2);
SELECT booking.extend_hold(1, '30 minutes') > now() AS extended;
SELECT cardinality(booking.confirm_hold(1)) AS tickets;
SELECT cardinality(booking.confirm_hold(1)) AS tickets;
SELECT * FROM new_history();
SELECT hold_id FROM booking.hold_tickets(1, 51, 1);
SELECT booking.release_hold(2);
SELECT booking.release_hold(2);
SELECT * FROM new_history();
SELECT hold_id FROM booking.hold_tickets(1, 52, 1, '1 microsecond');
SELECT booking.expire_holds();
SELECT cardinality(booking.confirm_hold(3, 'rebook')) AS tickets;
SELECT * FROM new_history();
-- A booking ends an expired hold.
SELECT hold_id FROM booking.hold_tickets(2, 53, 4, '1 microsecond');
SELECT booking.book_ticket(2, 54) > 0 AS booked;
SELECT table_name, action, event_id, user_id, hold_id, quantity FROM new_history();
-- A hold is rebooked before a sweep.
SELECT hold_id AS hold FROM booking.hold_tickets(2, 55, 1, '1 microsecond') \gset
SELECT cardinality(booking.confirm_hold(:hold, 'rebook')) AS tickets;
SELECT table_name, action, event_id, user_id, hold_id, quantity FROM new_history();
-- A refusal and a rollback leave no row.
SELECT code FROM outcome('SELECT booking.book_tickets(2, 1, 5)');
BEGIN;
SELECT booking.book_ticket(2, 56) > 0 AS booked;
ROLLBACK;
SELECT * FROM new_history();

-- ---- by plain SQL ----

INSERT INTO booking.ticket (ticket_id, event_id, user_id) VALUES (100, 1, 60), (101, 1, 61);
UPDATE booking.ticket SET cancelled_at = now() WHERE ticket_id = 100;
UPDATE booking.ticket SET cancelled_at = NULL WHERE ticket_id = 100;
UPDATE booking.ticket SET redeemed_at = now() WHERE ticket_id = 100;
UPDATE booking.ticket SET user_id = 62 WHERE ticket_id = 101;
UPDATE booking.ticket SET seat = 'A1' WHERE ticket_id = 101;
UPDATE booking.ticket SET event_id = 2 WHERE ticket_id = 101;
DELETE FROM booking.ticket WHERE ticket_id = 101;
SELECT * FROM new_history();
INSERT INTO booking.hold (hold_id, event_id, user_id, quantity, expires_at)
VALUES (100, 1, 63, 1, now() + interval '20 minutes'), (101, 1, 64, 1, now() - interval '1 hour');
UPDATE booking.hold SET expires_at = expires_at + interval '20 minutes' WHERE hold_id = 100;
UPDATE booking.hold SET quantity = 2 WHERE hold_id = 100;
UPDATE booking.hold SET ended_at = now() WHERE hold_id = 100;
UPDATE booking.hold SET ended_at = now() WHERE hold_id = 101;
DELETE FROM booking.hold WHERE hold_id = 101;
SELECT * FROM new_history();
COPY booking.ticket (ticket_id, event_id, user_id) FROM stdin;
102	1	65
\.
SELECT * FROM new_history();
BEGIN;
TRUNCATE booking.ticket, booking.hold;
SELECT * FROM new_history() ORDER BY table_name;
ROLLBACK;

-- ---- by whom and when ----

SELECT count(*) AS rows, bool_and(session_user_name = session_user) AS mine,
       bool_and(happened_at BETWEEN now() - interval '1 hour' AND clock_timestamp()) AS lately
FROM booking.history;
-- It records the session's user, not the owner as whom the functions run.
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_booking_clerk;
RESET client_min_messages;
CREATE ROLE regress_booking_clerk;
GRANT USAGE ON SCHEMA booking TO regress_booking_clerk;
GRANT EXECUTE ON FUNCTION booking.book_ticket(bigint, "any", text),
    booking.hold_tickets(bigint, "any", integer, interval, text, text), booking.confirm_hold(bigint, text)
TO regress_booking_clerk;
GRANT INSERT ON booking.ticket TO regress_booking_clerk;
SELECT count(*) FROM new_history();
SET SESSION AUTHORIZATION regress_booking_clerk;
SELECT booking.book_ticket(1, 70) > 0 AS booked;
SELECT cardinality(booking.confirm_hold(hold_id)) AS tickets FROM booking.hold_tickets(1, 71);
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 72);
SELECT count(*) FROM booking.history;
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.history (session_user_name, table_name, action) VALUES ('somebody', 'ticket', 'booked');
\echo :LAST_ERROR_SQLSTATE
RESET SESSION AUTHORIZATION;
SELECT session_user_name, table_name, action, user_id FROM booking.history
WHERE history_id > (SELECT max(history_id) FROM seen) ORDER BY history_id;
SELECT count(*) FROM new_history();
REVOKE ALL ON SCHEMA booking FROM regress_booking_clerk;
DROP OWNED BY regress_booking_clerk;
DROP ROLE regress_booking_clerk;

-- ---- append-only ----

SELECT statement, o.code, o.message, o.hint
FROM (VALUES
    (1, 'UPDATE booking.history SET session_user_name = ''system'''),
    (2, 'DELETE FROM booking.history'),
    (3, 'DELETE FROM booking.history WHERE false'),
    (4, 'TRUNCATE booking.history')) AS t (n, statement), outcome(statement) o
ORDER BY n;
SELECT count(*) > 40 AS all_there FROM booking.history;

-- ---- how it is stopped and started again ----

DROP TRIGGER _booking_history ON booking.ticket;
SELECT booking.book_ticket(1, 80) > 0 AS booked;
SELECT hold_id FROM booking.hold_tickets(1, 80, 1) \gset
SELECT booking.release_hold(:hold_id);
SELECT table_name, action, user_id FROM new_history();
DROP TRIGGER _booking_history ON booking.hold;
SELECT booking.release_hold(hold_id) FROM booking.hold_tickets(1, 80, 1);
SELECT table_name, action, user_id FROM new_history();
SELECT booking.keep_history();
SELECT booking.book_ticket(1, 81) > 0 AS booked;
SELECT table_name, action, user_id FROM new_history();
-- A dropped history table is created again.
DROP TABLE booking.history;
SELECT code FROM outcome('SELECT booking.book_ticket(1, 82)');
SELECT booking.keep_history();
DELETE FROM seen;
SELECT booking.book_ticket(1, 82) > 0 AS booked;
SELECT table_name, action, user_id FROM new_history();
SELECT * FROM booking.verify();
DROP FUNCTION new_history;
DROP TABLE seen;

-- ---- the view booking.sales ----

SELECT a.attname AS column_name, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_attribute a WHERE a.attrelid = 'booking.sales'::regclass AND a.attnum > 0
ORDER BY a.attnum;
INSERT INTO booking.event (event_id, name, capacity) VALUES (3, 'opera', 10), (4, 'closed', 0);
SELECT cardinality(booking.book_tickets(3, 1, 4)) AS tickets;
SELECT booking.cancel_ticket(max(ticket_id)) FROM booking.ticket WHERE event_id = 3;
SELECT (booking.redeem_ticket(min(ticket_id))).status FROM booking.ticket WHERE event_id = 3;
SELECT count(hold_id) FROM booking.hold_tickets(3, 2, 2);
SELECT count(hold_id) FROM booking.hold_tickets(3, 3, 1, '1 microsecond');
SELECT event_id, name, capacity, available, held, booked, redeemed, cancelled, waiting,
       last_booked_at = (SELECT max(booked_at) FROM booking.ticket t
                         WHERE t.event_id = sales.event_id) AS last
FROM booking.sales WHERE event_id > 2 ORDER BY event_id;
-- It agrees with availability().
SELECT s.event_id, s.available = a.available AND s.held = a.held AND s.booked = a.booked AS same
FROM booking.sales s, booking.availability(s.event_id) a ORDER BY s.event_id;
SELECT * FROM booking.verify();

-- ---- a history that a superuser starts belongs to the tables' owner ----

CREATE ROLE regress_booking_owner;
DROP TABLE booking.history;
CALL give_tables('regress_booking_owner');
GRANT USAGE ON SCHEMA booking TO regress_booking_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA booking TO regress_booking_owner;
SELECT booking.keep_history();
SELECT relname, relkind, pg_get_userbyid(relowner) AS owner
FROM pg_class
WHERE relnamespace = 'booking'::regnamespace AND relname IN ('history', 'history_history_id_seq', 'ticket')
ORDER BY relname;
SET SESSION AUTHORIZATION regress_booking_owner;
SELECT booking.book_ticket(1, 90) > 0 AS booked;
SELECT booking.release_hold(hold_id) FROM booking.hold_tickets(1, 91);
SELECT session_user_name, table_name, action, user_id FROM booking.history ORDER BY history_id;
SELECT code FROM outcome('DELETE FROM booking.history');
-- A history of another owner is written only with his permission.
RESET SESSION AUTHORIZATION;
ALTER TABLE booking.history OWNER TO CURRENT_USER;
SELECT code FROM outcome('SELECT booking.book_ticket(1, 92)');
GRANT INSERT ON booking.history TO regress_booking_owner;
SELECT booking.book_ticket(1, 92) > 0 AS booked;
SELECT * FROM booking.verify();
CALL give_tables(current_user);
DROP OWNED BY regress_booking_owner;
DROP ROLE regress_booking_owner;

-- ---- a user id that becomes null raises 23502 ----

SET client_min_messages = warning;
DROP SCHEMA booking CASCADE;
RESET client_min_messages;
CREATE EXTENSION pg_booking;
SELECT booking.create_tables('uuid');
SELECT booking.keep_history();
INSERT INTO booking.event (event_id, capacity) VALUES (1, 10);
SELECT booking.book_ticket(1, '9f4b2a10-0000-4000-8000-000000000001') > 0 AS booked;
SELECT count(hold_id) FROM booking.hold_tickets(1, '9f4b2a10-0000-4000-8000-000000000001');
ALTER TABLE booking.ticket ALTER user_id DROP NOT NULL;
ALTER TABLE booking.hold ALTER user_id DROP NOT NULL;
SELECT statement, o.code
FROM (VALUES (1, 'UPDATE booking.ticket SET user_id = NULL'),
             (2, 'UPDATE booking.hold SET user_id = NULL'),
             (3, 'INSERT INTO booking.ticket (event_id) VALUES (1)')) AS t (n, statement),
    outcome(statement) o
ORDER BY n;
ALTER TABLE booking.ticket ALTER user_id SET NOT NULL;
ALTER TABLE booking.hold ALTER user_id SET NOT NULL;
SELECT booking.book_ticket(1, '9f4b2a10-0000-4000-8000-000000000001') > 0 AS booked;
SELECT table_name, action, user_id FROM booking.history ORDER BY history_id;
SELECT * FROM damage();
SELECT * FROM booking.verify();

-- ---- create_tables() attaches the history's triggers after DROP EXTENSION ----

SET client_min_messages = warning;
DROP EXTENSION pg_booking CASCADE;
CREATE EXTENSION pg_booking;
SELECT booking.create_tables();
RESET client_min_messages;
SELECT tgrelid::regclass AS on_table, tgname FROM pg_trigger
WHERE tgname LIKE '%booking\_history%' ORDER BY 1, 2;
SELECT code FROM outcome('DELETE FROM booking.history');
-- It does not attach them if the history was stopped.
DROP TRIGGER _booking_history ON booking.ticket;
SELECT booking.create_tables();
SELECT count(*) FROM pg_trigger WHERE tgname = '_booking_history';
