--
-- forget_user(), and the rows of booking.user_limit that purge() deletes.
--
-- Promises:
--   - After forget_user(user_id, replacement), no table of ours has the user's id,
--     the history included.  Each of his rows has the replacement.
--   - No place changes hands, so neither the limit per user nor the sales window is
--     judged.
--   - The history stays append-only for everything else, also while forget_user()
--     runs, and for all but its owner.
--   - purge() deletes the rows of booking.user_limit of users who have no place.
CALL recreate_booking();
\set SHOW_CONTEXT never
SELECT booking.keep_history();

-- Returns how many rows of each table have the user.
CREATE FUNCTION rows_of(wanted bigint)
RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(', ',
        (SELECT count(*) || ' tickets' FROM booking.ticket WHERE user_id = wanted),
        (SELECT count(*) || ' holds' FROM booking.hold WHERE user_id = wanted),
        (SELECT count(*) || ' keys' FROM booking.request WHERE user_id = wanted OR wanted = ANY (user_ids)),
        (SELECT count(*) || ' in history' FROM booking.history WHERE user_id = wanted),
        (SELECT count(*) || ' locks' FROM booking.user_limit WHERE user_id = wanted))
$$;

-- ---- every table ----

INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (1, 50, NULL), (2, 50, 1);
SELECT booking.book_tickets(1, 42, 3, 'three');
SELECT booking.cancel_ticket(1);
SELECT status FROM booking.redeem_ticket(2);
SELECT hold_id FROM booking.hold_tickets(1, 42, 2, NULL, 'hold');
SELECT cardinality(booking.confirm_hold(1)) AS tickets;
SELECT hold_id FROM booking.hold_tickets(1, 42, 1);
SELECT ord, status FROM booking.book_batch(2, ARRAY[7, 42, 8, 42], 'batch');
SELECT status FROM booking.try_book_ticket(2, 9);
SELECT booking.book_ticket(1, 43) AS ticket_id \gset
SELECT booking.transfer_ticket(:ticket_id, 42);
SELECT booking.transfer_ticket(:ticket_id, 43);
SELECT rows_of(42), rows_of(43), rows_of(0);
SELECT max(history_id) AS latest FROM booking.history \gset
CREATE TEMP TABLE before AS SELECT * FROM booking.ticket;
SELECT booking.forget_user(42, 0);
SELECT rows_of(42), rows_of(43), rows_of(0);
-- Nothing else has changed.
SELECT count(*) FILTER (WHERE b.user_id = 42 AND t.user_id = 0) AS replaced,
       count(*) FILTER (WHERE b IS DISTINCT FROM t AND b.user_id <> 42) AS others,
       count(*) FILTER (WHERE to_jsonb(b) - 'user_id' <> to_jsonb(t) - 'user_id') AS otherwise
FROM before b FULL JOIN booking.ticket t USING (ticket_id);
SELECT user_id, user_ids FROM booking.request ORDER BY created_at;
-- The history says that it was done, and not to whom.
SELECT table_name, action, user_id, count(*) FROM booking.history
WHERE history_id > :latest GROUP BY 1, 2, 3 ORDER BY 1, 2;
SELECT booking.forget_user(42, 0);
SELECT * FROM places();
-- An idempotency key is the replacement's now.
SELECT code, message FROM outcome('SELECT booking.book_tickets(1, 42, 3, ''three'')');
SELECT booking.book_tickets(1, 0, 3, 'three');
SELECT hold_id FROM booking.hold_tickets(1, 0, 2, NULL, 'hold');
SELECT ord, status FROM booking.book_batch(2, ARRAY[7, 0, 8, 0], 'batch');
-- The text form.
SELECT booking.forget_user('43', '-1');
SELECT rows_of(43), rows_of(-1);
SELECT * FROM booking.verify();

-- ---- no limit and no window is judged ----

SELECT booking.book_ticket(2, 44) > 0 AS booked;
SELECT hold_id > 0 AS held FROM booking.hold_tickets(2, 45);
SELECT code FROM outcome('UPDATE booking.ticket SET user_id = 0 WHERE event_id = 2 AND user_id = 44');
SELECT code FROM outcome('UPDATE booking.hold SET user_id = 0 WHERE event_id = 2 AND user_id = 45');
UPDATE booking.event SET sales_end = '2000-01-01';
SELECT booking.forget_user(44, 0), booking.forget_user(45, 0);
-- verify() reports that the replacement has more than the limit.
SELECT * FROM booking.verify();
SELECT count(*) FROM booking.user_limit WHERE user_id IN (44, 45);
-- The next transfer is judged as ever.
UPDATE booking.event SET sales_end = NULL;
SELECT code FROM outcome('SELECT booking.transfer_ticket(max(ticket_id), 7) FROM booking.ticket'
                         ' WHERE event_id = 2 AND user_id = 0');
-- A user of whom only a row of user_limit is left.
SELECT booking.cancel_ticket(booking.book_ticket(2, 46));
DELETE FROM booking.ticket WHERE user_id = 46;
SELECT rows_of(46);
SELECT booking.forget_user(46, 0);
SELECT rows_of(46);

-- ---- the history stays append-only ----

SELECT n, code, message FROM (VALUES
    (1, 'UPDATE booking.history SET user_id = 0'),
    (2, 'DELETE FROM booking.history'),
    (3, 'TRUNCATE booking.history')) AS t (n, statement), outcome(statement)
ORDER BY n;
-- A trigger that forget_user() fires can't use its way.
CREATE FUNCTION tamper() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE booking.history SET session_user_name = 'no-one';
    RETURN NEW;
END
$$;
CREATE TRIGGER tamper BEFORE UPDATE ON booking.ticket FOR EACH ROW EXECUTE FUNCTION tamper();
SELECT code, message FROM outcome('SELECT booking.forget_user(7, 0)');
DROP TRIGGER tamper ON booking.ticket;
CREATE TRIGGER tamper BEFORE UPDATE ON booking.history FOR EACH ROW EXECUTE FUNCTION tamper();
SELECT code, message FROM outcome('SELECT booking.forget_user(7, 0)');
DROP TRIGGER tamper ON booking.history;
-- Nor can a DELETE or a TRUNCATE in the same statement, or a rule on another table.
CREATE RULE tamper AS ON UPDATE TO booking.history DO ALSO DELETE FROM booking.history;
SELECT code, message FROM outcome('SELECT booking.forget_user(7, 0)');
DROP RULE tamper ON booking.history;
CREATE RULE tamper AS ON UPDATE TO booking.ticket
    DO ALSO UPDATE booking.history SET session_user_name = 'no-one';
SELECT code, message FROM outcome('SELECT booking.forget_user(7, 0)');
DROP RULE tamper ON booking.ticket;
DROP FUNCTION tamper;
-- The trigger function is for the trigger of keep_history() only.
CREATE TRIGGER wrong BEFORE UPDATE ON booking.history FOR EACH ROW
    EXECUTE FUNCTION booking.refuse_history_change();
SELECT code, message FROM outcome('SELECT booking.forget_user(7, 0)');
DROP TRIGGER wrong ON booking.history;
-- A role that may write all tables but does not own the history.
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_booking_clerk;
RESET client_min_messages;
CREATE ROLE regress_booking_clerk;
GRANT USAGE ON SCHEMA booking TO regress_booking_clerk;
GRANT ALL ON ALL TABLES IN SCHEMA booking TO regress_booking_clerk;
GRANT EXECUTE ON FUNCTION booking.forget_user("any", "any") TO regress_booking_clerk;
SET ROLE regress_booking_clerk;
SELECT code, message FROM outcome('SELECT booking.forget_user(7, 0)');
RESET ROLE;
SELECT rows_of(7);
-- Its rights are those of the caller.
REVOKE UPDATE ON booking.hold FROM regress_booking_clerk;
SET ROLE regress_booking_clerk;
SELECT code, message FROM outcome('SELECT booking.forget_user(7, 0)');
RESET ROLE;
-- As the owner it may.
BEGIN;
GRANT CREATE ON SCHEMA booking TO regress_booking_clerk;
CALL give_tables('regress_booking_clerk');
SET ROLE regress_booking_clerk;
SELECT booking.forget_user(7, 0);
SELECT code FROM outcome('DELETE FROM booking.history');
RESET ROLE;
SELECT rows_of(7);
ROLLBACK;
-- Without a history, grants are enough.
BEGIN;
DROP TABLE booking.history;
DROP TRIGGER _booking_history ON booking.ticket;
DROP TRIGGER _booking_history ON booking.hold;
GRANT UPDATE ON booking.hold TO regress_booking_clerk;
SET ROLE regress_booking_clerk;
SELECT booking.forget_user(7, 0);
ROLLBACK;
DROP OWNED BY regress_booking_clerk;
DROP ROLE regress_booking_clerk;
-- The owner's call goes through, also if the history was stopped.
DROP TRIGGER _booking_history ON booking.ticket;
SELECT booking.forget_user(7, 0);
SELECT rows_of(7);
SELECT booking.keep_history();

-- ---- errors ----

SELECT n, code, message FROM (VALUES
    (1, 'SELECT booking.forget_user(NULL, 1)'),
    (2, 'SELECT booking.forget_user(1, NULL)'),
    (3, 'SELECT booking.forget_user(8, 8)'),
    (4, 'SELECT booking.forget_user(''8'', '' 08'')'),
    (5, 'SELECT booking.forget_user(''8'', ''me'')'),
    (6, 'SELECT booking.forget_user(''me'', ''8'')')) AS t (n, statement), outcome(statement)
ORDER BY n;
BEGIN READ ONLY;
SELECT booking.forget_user(8, 0);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
-- A trigger of the user's keeps the id.
CREATE FUNCTION keep_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.user_id := OLD.user_id;
    RETURN NEW;
END
$$;
CREATE TRIGGER keep_user BEFORE UPDATE ON booking.ticket FOR EACH ROW EXECUTE FUNCTION keep_user();
SELECT code FROM outcome('SELECT booking.forget_user(8, 0)');
DROP TRIGGER keep_user ON booking.ticket;
DROP FUNCTION keep_user;
-- A history with ids of another type.
BEGIN;
ALTER TABLE booking.history ALTER user_id TYPE text;
SELECT code, message FROM outcome('SELECT booking.forget_user(8, 0)');
ROLLBACK;
SELECT rows_of(8);
-- By the newest snapshot, whatever the isolation level.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT booking.forget_user(8, 0);
COMMIT;
SELECT rows_of(8);

-- ---- the ticket moves to another partition ----

SET client_min_messages = warning;
DROP SCHEMA booking CASCADE;
RESET client_min_messages;
CREATE EXTENSION pg_booking;
CREATE TABLE booking.ticket (
    ticket_id    bigint GENERATED BY DEFAULT AS IDENTITY,
    event_id     bigint NOT NULL,
    user_id      bigint NOT NULL,
    seat         text,
    hold_id      bigint,
    booked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    redeemed_at  timestamptz,
    cancelled_at timestamptz
) PARTITION BY RANGE (user_id);
CREATE TABLE booking.ticket_low PARTITION OF booking.ticket FOR VALUES FROM (MINVALUE) TO (10);
CREATE TABLE booking.ticket_high PARTITION OF booking.ticket FOR VALUES FROM (10) TO (MAXVALUE);
SELECT booking.create_tables();
SELECT booking.keep_history();
INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (1, 2, 1);
SELECT status FROM booking.try_book_ticket(1, 1);
SELECT status FROM booking.try_book_ticket(1, 11);
UPDATE booking.event SET sales_end = '2000-01-01';
SELECT code FROM outcome('UPDATE booking.ticket SET user_id = 1');
SELECT booking.forget_user(11, 1);
SELECT tableoid::regclass, user_id FROM booking.ticket;
SELECT action, user_id FROM booking.history ORDER BY history_id;
SELECT * FROM booking.verify();

-- ---- purge() and user_limit ----

CALL recreate_booking();
INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (1, 50, 3), (2, 50, 3);
SELECT count(*) FROM generate_series(1, 5) u, booking.book_ticket(1, u);
SELECT booking.cancel_ticket(1), booking.cancel_ticket(2);
SELECT count(hold_id) FROM booking.hold_tickets(1, 2);
SELECT count(booking.release_hold(hold_id)) FROM booking.hold_tickets(1, 6);
SELECT count(*) FROM booking.book_ticket(2, 1);
DELETE FROM booking.ticket WHERE ticket_id = 3;
SELECT event_id, user_id FROM booking.user_limit ORDER BY 1, 2;
SELECT booking.purge('1 day');
SELECT event_id, user_id FROM booking.user_limit ORDER BY 1, 2;
UPDATE booking.event SET max_per_user = NULL WHERE event_id = 2;
SELECT booking.purge('1 day');
SELECT event_id, user_id FROM booking.user_limit ORDER BY 1, 2;
-- A booking that needs the row inserts it again.
SELECT status FROM booking.try_book_ticket(1, 1);
SELECT event_id, user_id FROM booking.user_limit ORDER BY 1, 2;

DROP FUNCTION rows_of;
DROP TABLE before;
SELECT * FROM damage();
SELECT * FROM booking.verify();
