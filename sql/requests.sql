--
-- Idempotency keys: a request that is sent again gets its first answer.
--
-- Promises:
--   - A key belongs to one event and one set of arguments.
--   - A repeated request gets its first answer, whatever happened in between.  It
--     takes no other place.  It is refused if the rows were deleted, or are another
--     user's.
--   - A refusal is not remembered, nor is a request that was rolled back.
--   - A key of any length either works or is refused.
CALL recreate_booking();
\set SHOW_CONTEXT never

INSERT INTO booking.event (event_id, capacity) VALUES (1, 10), (2, 2), (3, 10);

-- ---- the four functions ----

SELECT booking.book_ticket(1, 42, 'one');
SELECT booking.book_ticket(1, 42, 'one');
SELECT booking.book_ticket(event_id => 1, user_id => 42, idempotency_key => 'one');
SELECT * FROM booking.try_book_ticket(1, 42, 'two');
SELECT * FROM booking.try_book_ticket(1, 42, 'two');
SELECT booking.book_tickets(1, 42, 3, 'three');
SELECT booking.book_tickets(1, 42, 3, 'three');
SELECT hold_id, expires_at AS expires FROM booking.hold_tickets(1, 42, 2, NULL, 'four') \gset
\echo :hold_id
SELECT hold_id, expires_at = :'expires' AS same_time
FROM booking.hold_tickets(1, 42, 2, NULL, 'four');
SELECT hold_id, expires_at = :'expires' AS same_time
FROM booking.hold_tickets(1, 42, 2, idempotency_key => 'four');
SELECT * FROM booking.availability(1);
SELECT event_id, idempotency_key, user_id, quantity, is_hold, ttl, ids,
       expires_at IS NOT NULL AS expires, created_at <= clock_timestamp() AS past
FROM booking.request ORDER BY created_at;
-- A request for one ticket is the same request in all three functions.
SELECT booking.book_tickets(1, 42, 1, 'one');
SELECT * FROM booking.try_book_ticket(1, 42, 'one');
SELECT booking.book_ticket(1, 42, 'two');
-- The answer is the same after a cancellation, after a confirmation, when the
-- event is sold out, and when it is not on sale.
SELECT booking.cancel_ticket(1);
SELECT booking.book_ticket(1, 42, 'one');
SELECT booking.confirm_hold(:hold_id);
SELECT hold_id FROM booking.hold_tickets(1, 42, 2, NULL, 'four');
SELECT cardinality(booking.book_tickets(1, 1, 4)) AS the_rest;
SELECT booking.book_tickets(1, 42, 3, 'three');
UPDATE booking.event SET sales_end = now() - interval '1 h', max_per_user = 1 WHERE event_id = 1;
SELECT booking.book_tickets(1, 42, 3, 'three');
SELECT * FROM booking.try_book_ticket(1, 42, 'two');
SELECT hold_id FROM booking.hold_tickets(1, 42, 2, NULL, 'four');
SELECT status FROM booking.try_book_ticket(1, 42, 'five');
UPDATE booking.event SET sales_end = NULL, max_per_user = NULL WHERE event_id = 1;
DELETE FROM booking.ticket WHERE event_id = 1;
SELECT booking.book_tickets(1, 42, 3, 'three');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM booking.availability(1);
SELECT * FROM booking.verify();

-- ---- other arguments ----

SELECT statement, o.code, o.message, o.detail
FROM (VALUES
    (1, 'SELECT booking.book_ticket(1, 43, ''one'')'),
    (2, 'SELECT booking.try_book_ticket(1, 43, ''one'')'),
    (3, 'SELECT booking.book_tickets(1, 43, 3, ''three'')'),
    (4, 'SELECT booking.book_tickets(1, 42, 2, ''three'')'),
    (5, 'SELECT booking.book_ticket(1, 42, ''three'')'),
    (6, 'SELECT booking.hold_tickets(1, 42, 3, NULL, ''three'')'),
    (7, 'SELECT booking.book_tickets(1, 42, 2, ''four'')'),
    (8, 'SELECT booking.hold_tickets(1, 43, 2, NULL, ''four'')'),
    (9, 'SELECT booking.hold_tickets(1, 42, 1, NULL, ''four'')'),
    (10, 'SELECT booking.hold_tickets(1, 42, 2, ''10 minutes'', ''four'')')) AS t (n, statement),
    outcome(statement) o
ORDER BY n;
SELECT hint FROM outcome('SELECT booking.book_ticket(1, 43, ''one'')');
-- The same ttl written in another way, another ttl, and none.
SELECT hold_id FROM booking.hold_tickets(1, 42, 1, '2 minutes', 'five');
SELECT hold_id FROM booking.hold_tickets(1, 42, 1, '120 seconds', 'five');
SELECT code, detail FROM outcome('SELECT booking.hold_tickets(1, 42, 1, ''3 minutes'', ''five'')');
SELECT code, detail FROM outcome('SELECT booking.hold_tickets(1, 42, 1, NULL, ''five'')');
-- A mismatch is found before the sale rules are checked.  The transaction can go
-- on.
BEGIN;
SAVEPOINT a;
SELECT booking.book_ticket(1, 43, 'one');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO a;
SELECT booking.book_ticket(1, 43, 'six') > 0 AS booked;
COMMIT;
SELECT count(*) FROM booking.request WHERE idempotency_key = 'six';

-- ---- each event has its own keys; case and spaces matter ----

SELECT booking.book_ticket(3, 43, 'one') > 0 AS booked;
SELECT count(DISTINCT booking.book_ticket(3, 43, k)) AS tickets
FROM unnest(ARRAY['k', 'K', ' k', 'k ', 'ḱ', 'k', ' k']) k;
SELECT event_id, count(*) FROM booking.request GROUP BY event_id ORDER BY event_id;
SELECT * FROM booking.availability(3);

-- ---- refusals are not remembered ----

SELECT cardinality(booking.book_tickets(2, 1, 2)) AS tickets;
SELECT status FROM booking.try_book_ticket(2, 2, 'again');
SELECT booking.book_ticket(2, 2, 'again');
\echo :LAST_ERROR_SQLSTATE
SELECT booking.book_tickets(2, 2, 2, 'again');
\echo :LAST_ERROR_SQLSTATE
SELECT booking.hold_tickets(2, 2, 2, NULL, 'again');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM booking.request WHERE event_id = 2;
SELECT booking.cancel_ticket(ticket_id) FROM booking.ticket WHERE event_id = 2 LIMIT 1;
-- There are too few places for one request, but enough for the other.
SELECT booking.book_tickets(2, 2, 2, 'again');
\echo :LAST_ERROR_SQLSTATE
SELECT status FROM booking.try_book_ticket(2, 2, 'again');
SELECT status FROM booking.try_book_ticket(2, 2, 'again');
SELECT count(*) FROM booking.ticket WHERE event_id = 2 AND user_id = 2;
-- The sale has not begun, and then the user is over the limit.
DELETE FROM booking.ticket WHERE event_id = 2;
UPDATE booking.event SET sales_start = 'infinity' WHERE event_id = 2;
SELECT status FROM booking.try_book_ticket(2, 3, 'later');
SELECT code FROM outcome('SELECT booking.hold_tickets(2, 3, 1, NULL, ''later'')');
UPDATE booking.event SET sales_start = NULL, max_per_user = 1 WHERE event_id = 2;
SELECT booking.book_ticket(2, 3) > 0 AS booked;
SELECT status FROM booking.try_book_ticket(2, 3, 'later');
SELECT code FROM outcome('SELECT booking.book_ticket(2, 3, ''later'')');
-- Bad arguments.
SELECT code FROM outcome('SELECT booking.hold_tickets(2, 3, 1, ''0'', ''later'')');
SELECT code FROM outcome('SELECT booking.book_tickets(2, 3, 0, ''later'')');
SELECT code FROM outcome('SELECT booking.book_ticket(99, 3, ''later'')');
SELECT count(*) FROM booking.request WHERE idempotency_key = 'later';
-- A refusal and a success in the same transaction.
BEGIN;
SELECT status FROM booking.try_book_ticket(2, 3, 'later');
UPDATE booking.event SET max_per_user = 2 WHERE event_id = 2;
SELECT status FROM booking.try_book_ticket(2, 3, 'later');
SELECT status FROM booking.try_book_ticket(2, 3, 'later');
COMMIT;
SELECT count(*) FROM booking.ticket WHERE event_id = 2;
SELECT * FROM booking.verify();

-- ---- a request that is rolled back is forgotten ----

BEGIN;
SELECT booking.book_ticket(3, 1, 'undone') > 0 AS booked;
ROLLBACK;
SELECT booking.book_tickets(3, 2, 2, 'undone') IS NOT NULL AS booked;
BEGIN;
SAVEPOINT a;
SELECT count(hold_id) FROM booking.hold_tickets(3, 1, 1, NULL, 'undone too');
ROLLBACK TO a;
SELECT booking.book_ticket(3, 1, 'undone too') > 0 AS booked;
SAVEPOINT b;
SELECT booking.book_ticket(3, 1, 'undone too') > 0 AS booked;
ROLLBACK TO b;
COMMIT;
SELECT count(*) FROM booking.ticket WHERE event_id = 3 AND user_id = 1;
SELECT * FROM booking.availability(3);

-- ---- keys of every length ----

SELECT n, o.code, o.message, o.detail
FROM (VALUES (0), (1), (200), (201), (1000000)) AS t (n),
     outcome(format('SELECT booking.book_ticket(1, 1, repeat(''x'', %s))', n)) o
ORDER BY n;
-- The length counts bytes, not characters.
SELECT n, o.code, o.detail
FROM (VALUES (100), (101)) AS t (n),
     outcome(format('SELECT booking.book_ticket(1, 1, repeat(''ä'', %s))', n)) o
ORDER BY n;
-- A key that is stored out of line, and one that is compressed.
CREATE TEMP TABLE keys (key text);
ALTER TABLE keys ALTER key SET STORAGE EXTERNAL;
INSERT INTO keys VALUES (repeat('long', 250000));
ALTER TABLE keys ALTER key SET STORAGE EXTENDED;
INSERT INTO keys VALUES (repeat('long', 250001));
SELECT o.code, o.detail FROM generate_series(4, 7) n, keys,
    outcome(CASE n
        WHEN 4 THEN 'SELECT booking.book_ticket(1, 1, key) FROM keys'
        WHEN 5 THEN 'SELECT booking.try_book_ticket(1, 1, key) FROM keys'
        WHEN 6 THEN 'SELECT booking.book_tickets(1, 1, 1, key) FROM keys'
        ELSE 'SELECT booking.hold_tickets(1, 1, 1, NULL, key) FROM keys' END) o
WHERE length(key) = 1000000;
DROP TABLE keys;
-- A bad key is found before the event is looked up.  A null key means no key.
SELECT code FROM outcome('SELECT booking.book_ticket(99, 1, '''')');
SELECT count(booking.book_ticket(1, 1, NULL)) FROM generate_series(1, 2);
SELECT count(*) FROM booking.request WHERE event_id = 1 AND user_id = 1;

-- ---- many keys at once ----

INSERT INTO booking.event (event_id, capacity) VALUES (4, 1000);
BEGIN;
SELECT count(booking.book_ticket(4, u, 'key ' || u)) FROM generate_series(1, 100) u;
SELECT count(DISTINCT booking.book_ticket(4, u % 100 + 1, 'key ' || u % 100 + 1))
FROM generate_series(1, 300) u;
COMMIT;
SELECT * FROM booking.availability(4);
SELECT cardinality(booking.book_tickets(4, 7, 900, 'the rest')) AS tickets;
SELECT booking.book_tickets(4, 7, 900, 'the rest') = booking.book_tickets(4, 7, 900, 'the rest') AS same,
       cardinality(booking.book_tickets(4, 7, 900, 'the rest')) AS tickets;
SELECT status FROM booking.try_book_ticket(4, 1, 'one more');
SELECT * FROM booking.availability(4);

-- ---- deleting an event deletes its keys ----

DELETE FROM booking.ticket WHERE event_id = 4;
DELETE FROM booking.event WHERE event_id = 4;
SELECT count(*) FROM booking.request WHERE event_id = 4;
INSERT INTO booking.event (event_id, capacity) VALUES (4, 1);
SELECT booking.book_ticket(4, 8, 'key 1') > 0 AS booked;

-- ---- a trigger that repeats the key of the booking that fired it is refused ----

CREATE FUNCTION send_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM booking.book_ticket(NEW.event_id, NEW.user_id, 'mine');
    RETURN NEW;
END
$$;
CREATE TRIGGER send_again BEFORE INSERT ON booking.ticket
    FOR EACH ROW EXECUTE FUNCTION send_again();
SELECT code, message FROM outcome('SELECT booking.book_ticket(3, 50, ''mine'')');
DROP TRIGGER send_again ON booking.ticket;
DROP FUNCTION send_again;
SELECT count(*) FROM booking.request WHERE idempotency_key = 'mine';
SELECT * FROM booking.verify();

-- ---- an answer whose rows are gone ----

INSERT INTO booking.event (event_id, capacity) VALUES (60, 10);
SELECT ticket_id AS t FROM booking.try_book_ticket(60, 1, 'ticket') \gset
SELECT booking.book_tickets(60, 1, 3, 'tickets') AS ids \gset
SELECT hold_id AS h FROM booking.hold_tickets(60, 1, 1, NULL, 'hold') \gset
CREATE FUNCTION retried(statement text) RETURNS TABLE (code text, message text, detail text, hint text)
LANGUAGE sql AS $$
    SELECT o.code, o.message, regexp_replace(o.detail, '\d+', '#', 'g'), o.hint FROM outcome(statement) o
$$;
-- The rows were deleted.
BEGIN;
DELETE FROM booking.ticket WHERE ticket_id = :t OR ticket_id = (:'ids'::bigint[])[3];
DELETE FROM booking.hold WHERE hold_id = :h;
SELECT * FROM retried('SELECT booking.try_book_ticket(60, 1, ''ticket'')') \gx
SELECT * FROM retried('SELECT booking.book_tickets(60, 1, 3, ''tickets'')') \gx
SELECT * FROM retried('SELECT booking.hold_tickets(60, 1, 1, NULL, ''hold'')') \gx
ROLLBACK;
-- The ids were used again, by another user and at another event.
BEGIN;
DELETE FROM booking.ticket WHERE ticket_id = :t;
INSERT INTO booking.ticket (ticket_id, event_id, user_id) VALUES (:t, 60, 2);
SELECT code FROM retried('SELECT booking.try_book_ticket(60, 1, ''ticket'')');
UPDATE booking.ticket SET event_id = 3, user_id = 1 WHERE ticket_id = :t;
SELECT code FROM retried('SELECT booking.try_book_ticket(60, 1, ''ticket'')');
ROLLBACK;
SELECT ticket_id = :t AS same FROM booking.try_book_ticket(60, 1, 'ticket');
-- TRUNCATE forgets the keys of its table.
BEGIN;
TRUNCATE booking.ticket RESTART IDENTITY;
SELECT is_hold, count(*) > 0 AS some FROM booking.request GROUP BY 1;
SELECT status FROM booking.try_book_ticket(60, 2);
SELECT status FROM booking.try_book_ticket(60, 1, 'ticket');
SELECT user_id, count(*) FROM booking.ticket GROUP BY 1 ORDER BY 1;
ROLLBACK;
BEGIN;
TRUNCATE booking.hold RESTART IDENTITY;
SELECT is_hold, count(*) > 0 AS some FROM booking.request GROUP BY 1;
ROLLBACK;
DROP FUNCTION retried;

-- ---- unique indexes of your own ----

-- Only the key decides what is a repeated request.
BEGIN;
CREATE UNIQUE INDEX once_each ON booking.request (event_id, user_id) WHERE event_id = 60 AND user_id = 3;
SELECT status FROM booking.try_book_ticket(60, 3, 'first');
SELECT code, message FROM outcome('SELECT status FROM booking.try_book_ticket(60, 3, ''second'')');
SELECT status FROM booking.try_book_ticket(60, 3, 'first');
ROLLBACK;

-- ---- purge ----

UPDATE booking.request SET created_at = created_at - interval '2 days' WHERE event_id = 3;
SELECT count(*) AS old FROM booking.request WHERE event_id = 3 \gset
SELECT booking.purge('1 day') = :old AS those, :old > 3 AS some;
SELECT booking.purge('1 day');
SELECT count(*) FILTER (WHERE event_id = 3) AS old, count(*) > 3 AS others FROM booking.request;
-- A request whose key is forgotten books again.  A request whose key is still
-- there does not, although its ticket was deleted.
SELECT count(*) FROM booking.ticket WHERE event_id = 3 AND user_id = 2;
SELECT cardinality(booking.book_tickets(3, 2, 1, 'undone')) AS tickets;
SELECT count(*) FROM booking.ticket WHERE event_id = 3 AND user_id = 2;
SELECT code FROM outcome('SELECT status FROM booking.try_book_ticket(2, 2, ''again'')');
SELECT count(*) FROM booking.ticket WHERE event_id = 2;
-- purge() also deletes rows of booking.user_limit if the event has no limit.
SELECT count(*) FROM booking.user_limit;
SELECT booking.purge('1 day');
SELECT count(*) FROM booking.user_limit;
UPDATE booking.event SET max_per_user = NULL;
SELECT booking.purge('1 day');
SELECT count(*) FROM booking.user_limit;
SELECT booking.purge('0') > 0 AS purged;
SELECT count(*) FROM booking.request;
TRUNCATE booking.ticket, booking.hold, booking.event;
SELECT count(*) FROM booking.request;

SELECT * FROM damage();
SELECT * FROM booking.verify();
