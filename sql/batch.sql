--
-- Many users in one call.
--
-- Promises:
--   - book_batch() books in the order of its array, and returns a status for each
--     element.
--   - An element over the limit takes no place from later ones.
--   - All of its bookings are committed, or none.
CALL recreate_booking();
\set SHOW_CONTEXT never

INSERT INTO booking.event (event_id, capacity) VALUES (1, 5), (2, 0), (3, 10000);

-- Each user gets a place, in order.
SELECT * FROM booking.book_batch(1, ARRAY[30, 10, 20]);
SELECT ticket_id, user_id, seat, hold_id, booked_at <= clock_timestamp() AS past, cancelled_at
FROM booking.ticket ORDER BY ticket_id;
-- The places are given until none is left.
SELECT * FROM booking.book_batch(1, ARRAY[1, 2, 3, 4]);
SELECT * FROM booking.book_batch(1, ARRAY[5, 6]);
SELECT * FROM booking.book_batch(2, ARRAY[1]);
SELECT * FROM places();
SELECT * FROM booking.verify();
-- A user who is named several times gets several places.
DELETE FROM booking.ticket WHERE event_id = 1;
SELECT ord, status FROM booking.book_batch(1, ARRAY[7, 8, 7, 7]);
SELECT user_id, count(*) FROM booking.ticket WHERE event_id = 1 GROUP BY user_id ORDER BY user_id;

-- ---- arguments ----

SELECT count(*) FROM booking.book_batch(1, ARRAY[]::bigint[]);
SELECT count(*) FROM booking.book_batch(1, '{}'::text[]);
SELECT statement, o.code, o.message
FROM (VALUES
    (1, 'SELECT booking.book_batch(NULL, ARRAY[1])'),
    (2, 'SELECT booking.book_batch(1, NULL::bigint[])'),
    (3, 'SELECT booking.book_batch(1, NULL)'),
    (4, 'SELECT booking.book_batch(1, ARRAY[1, NULL, 3])'),
    (5, 'SELECT booking.book_batch(1, ARRAY[NULL]::text[])'),
    (6, 'SELECT booking.book_batch(99, ARRAY[1])'),
    (7, 'SELECT booking.book_batch(99, ARRAY[]::bigint[])'),
    (8, 'SELECT booking.book_batch(1, ARRAY[''1'', ''two''])')) AS t (n, statement),
    outcome(statement) o
ORDER BY n;
SELECT count(*) FROM booking.ticket;
-- Arrays with several dimensions or other bounds are read element by element.
DELETE FROM booking.ticket WHERE event_id = 1;
SELECT ord, status FROM booking.book_batch(1, ARRAY[[1, 2], [3, 4]]);
SELECT ord, status FROM booking.book_batch(1, '[7:8]={5,6}'::bigint[]);
SELECT user_id FROM booking.ticket WHERE event_id = 1 ORDER BY ticket_id;
-- Text is converted to the type of the ids, and so is an array without a type.
DELETE FROM booking.ticket WHERE event_id = 1;
SELECT ord, status FROM booking.book_batch(1, ARRAY['11', ' 12 ']);
SELECT ord, status FROM booking.book_batch(1, '{13}');
SELECT ord, status FROM booking.book_batch(1, '{14}'::text[]);
SELECT user_id FROM booking.ticket WHERE event_id = 1 ORDER BY ticket_id;
-- In a select list, and with a LIMIT: all are booked.
DELETE FROM booking.ticket WHERE event_id = 1;
SELECT (booking.book_batch(1, ARRAY[1, 2])).status;
SELECT ord FROM booking.book_batch(1, ARRAY[3, 4]) LIMIT 1;
SELECT count(*) FROM booking.ticket WHERE event_id = 1;

-- ---- the limit per user ----

INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (4, 6, 2), (5, 3, 1);
SELECT status FROM booking.try_book_ticket(4, 1);
SELECT hold_id AS hold FROM booking.hold_tickets(4, 2, 2) \gset
-- User 1 already has one place, user 2 is at the limit, user 3 asks three times.
SELECT ord, status, ticket_id IS NOT NULL AS has_ticket
FROM booking.book_batch(4, ARRAY[3, 1, 2, 3, 1, 3]);
SELECT user_id, count(*) FROM booking.ticket WHERE event_id = 4 GROUP BY user_id ORDER BY user_id;
SELECT * FROM booking.availability(4);
-- An element over the limit takes no place from later ones.
SELECT ord, status FROM booking.book_batch(5, ARRAY[1, 1, 2, 2, 3, 4]);
SELECT ord, status FROM booking.book_batch(5, ARRAY[1, 4]);
SELECT * FROM booking.verify();
-- The limit is removed and changed in one transaction.
BEGIN;
UPDATE booking.event SET max_per_user = NULL, capacity = 10 WHERE event_id = 5;
SELECT ord, status FROM booking.book_batch(5, ARRAY[1, 1]);
UPDATE booking.event SET max_per_user = 4 WHERE event_id = 5;
SELECT ord, status FROM booking.book_batch(5, ARRAY[1, 1, 2]);
SELECT ord, status FROM booking.book_batch(5, ARRAY[3]);
ROLLBACK;
SELECT * FROM booking.availability(5);

-- ---- not on sale ----

INSERT INTO booking.event (event_id, capacity, sales_start, sales_end, max_per_user)
VALUES (6, 5, 'infinity', NULL, NULL), (7, 5, NULL, '2000-01-01', 1), (8, 0, 'infinity', NULL, 1);
SELECT e, ord, status FROM generate_series(6, 8) e, booking.book_batch(e, ARRAY[1, 2]) ORDER BY e, ord;
SELECT count(*) FROM booking.ticket WHERE event_id > 5;
UPDATE booking.event SET sales_start = NULL WHERE event_id = 6;
SELECT ord, status FROM booking.book_batch(6, ARRAY[1, 2]);

-- ---- expired holds are ended ----

DELETE FROM booking.ticket WHERE event_id = 6;
SELECT count(hold_id) FROM generate_series(1, 2) u, booking.hold_tickets(6, u, 2, '1 microsecond');
SELECT hold_id AS live FROM booking.hold_tickets(6, 3, 1) \gset
SELECT ord, status FROM booking.book_batch(6, ARRAY[1, 2, 3, 4, 5]);
SELECT * FROM booking.availability(6);
SELECT cardinality(booking.confirm_hold(:live)) AS tickets;
SELECT * FROM booking.verify();

-- ---- a part is rolled back ----

BEGIN;
SELECT count(*) FROM booking.book_batch(3, ARRAY(SELECT generate_series(1, 100)));
SAVEPOINT a;
SELECT count(*) FROM booking.book_batch(3, ARRAY(SELECT generate_series(1, 5000)));
SELECT available FROM booking.availability(3);
ROLLBACK TO a;
SELECT available FROM booking.availability(3);
SELECT count(booking.book_ticket(3, u)) FROM generate_series(1, 20) u;
COMMIT;
SELECT * FROM places() WHERE event_id = 3;
SELECT * FROM booking.verify();

-- ---- several stripes: all of them are drained ----

SET booking.debug_split_always = on;
CREATE PROCEDURE sell(event_id bigint, tickets integer)
LANGUAGE plpgsql
AS $$
BEGIN
    FOR u IN 1..tickets LOOP
        PERFORM booking.book_ticket(event_id, u);
        COMMIT;
    END LOOP;
END
$$;
CALL sell(3, 100);
SELECT count(*) > 1 AS several FROM booking.inventory WHERE event_id = 3;
SELECT available AS left FROM booking.availability(3) \gset
SELECT status, count(*), min(ord) = 1 AS from_first, min(ord) = :left + 1 AS from_the_end,
       count(ticket_id), count(DISTINCT ticket_id)
FROM booking.book_batch(3, ARRAY(SELECT generate_series(1, :left + 10))) GROUP BY status
ORDER BY status;
SELECT * FROM places() WHERE event_id = 3;
SELECT stripe, available FROM booking.inventory WHERE event_id = 3;
-- The tickets are in the order of the array.
SELECT count(*) FROM (SELECT user_id, row_number() OVER (ORDER BY ticket_id) AS n
                      FROM booking.ticket WHERE event_id = 3
                      ORDER BY ticket_id DESC LIMIT :left) t
WHERE user_id <> n - (10000 - :left);
-- A limit, and several places for each user.
DELETE FROM booking.ticket WHERE event_id = 3;
CALL sell(3, 100);
UPDATE booking.event SET max_per_user = 2 WHERE event_id = 3;
SELECT status, count(*)
FROM booking.book_batch(3, ARRAY(SELECT u % 1000 + 1 FROM generate_series(0, 2999) u))
GROUP BY status ORDER BY status;
SELECT count(*), max(n) FROM (SELECT count(*) AS n FROM booking.ticket WHERE event_id = 3
                              GROUP BY user_id) t;
RESET booking.debug_split_always;
DROP PROCEDURE sell;
SELECT * FROM booking.verify();

-- ---- the user's additions to the ticket table work ----

INSERT INTO booking.event (event_id, capacity) VALUES (9, 20);
ALTER TABLE booking.ticket ADD COLUMN note text DEFAULT 'none',
    ADD CONSTRAINT known CHECK (user_id > 0);
SELECT ord, status FROM booking.book_batch(9, ARRAY[1, 2]);
SELECT DISTINCT note FROM booking.ticket WHERE event_id = 9;
SELECT code FROM outcome('SELECT booking.book_batch(9, ARRAY[3, -13])');
ALTER TABLE booking.ticket DROP COLUMN note, DROP CONSTRAINT known;
CREATE FUNCTION misbehave() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.user_id = 41 THEN
        RETURN NULL;
    ELSIF NEW.user_id = 42 THEN
        NEW.event_id := 1;
    ELSIF NEW.user_id = 43 THEN
        NEW.user_id := 44;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER misbehave BEFORE INSERT ON booking.ticket
    FOR EACH ROW EXECUTE FUNCTION misbehave();
SELECT u, o.code FROM generate_series(41, 43) u,
    outcome(format('SELECT booking.book_batch(9, ARRAY[1, %s])', u)) o ORDER BY u;
DROP TRIGGER misbehave ON booking.ticket;
DROP FUNCTION misbehave;
-- A violation of a unique index rolls back the whole batch.
CREATE UNIQUE INDEX one_each ON booking.ticket (event_id, user_id) WHERE event_id = 9;
SELECT code FROM outcome('SELECT booking.book_batch(9, ARRAY[3, 1])');
SELECT ord, status FROM booking.book_batch(9, ARRAY[3, 4]);
DROP INDEX booking.one_each;
SELECT * FROM places() WHERE event_id = 9;

-- ---- an idempotency key ----

INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (20, 3, 2), (21, 2, NULL), (22, 1, NULL);
CREATE TEMP TABLE first AS SELECT * FROM booking.book_batch(20, ARRAY[5, 5, 5, 6, 7], 'batch 1');
SELECT ord, status, ticket_id IS NOT NULL AS has_ticket FROM first ORDER BY ord;
-- The same rows, also when there is room again, and as text.
UPDATE booking.event SET capacity = 9, max_per_user = NULL WHERE event_id = 20;
SELECT (SELECT count(*) FROM (TABLE first INTERSECT SELECT * FROM booking.book_batch(20, ARRAY[5, 5, 5, 6, 7], 'batch 1')) t) AS same,
       (SELECT count(*) FROM (TABLE first INTERSECT SELECT * FROM booking.book_batch(20, '{5,5,5,6,7}'::text[], idempotency_key => 'batch 1')) t) AS as_text;
SELECT * FROM places() WHERE event_id = 20;
SELECT event_id, idempotency_key, user_id, quantity, is_hold, cardinality(ids), user_ids, statuses
FROM booking.request WHERE event_id = 20;
-- Another batch, or another function.
SELECT n, o.code, o.message, o.detail, o.fields
FROM (VALUES
    (1, $$SELECT booking.book_batch(20, ARRAY[5, 5, 5, 7, 6], 'batch 1')$$),
    (2, $$SELECT booking.book_batch(20, ARRAY[5, 5, 5, 6], 'batch 1')$$),
    (3, $$SELECT booking.book_ticket(20, 5, 'batch 1')$$),
    (4, $$SELECT booking.book_tickets(20, 5, 5, 'batch 1')$$),
    (5, $$SELECT booking.hold_tickets(20, 5, 5, NULL, 'batch 1')$$),
    (6, $$SELECT booking.book_batch(20, ARRAY[5], 'single')$$),
    (7, $$SELECT booking.book_batch(20, ARRAY[5], '')$$),
    (8, $$SELECT booking.book_batch(20, ARRAY[5], repeat('x', 201))$$)) AS t (n, statement),
    (SELECT booking.book_ticket(20, 5, 'single')) AS single,
    LATERAL diagnosed(statement) o ORDER BY n;
-- If no user gets a place the key is free; an empty batch leaves none.
SELECT status FROM booking.book_batch(22, ARRAY[1], 'a');
SELECT status FROM booking.book_batch(22, ARRAY[2], 'b');
SELECT booking.cancel_ticket(ticket_id) FROM booking.ticket WHERE event_id = 22;
SELECT status FROM booking.book_batch(22, ARRAY[2], 'b');
SELECT count(*) FROM booking.book_batch(22, ARRAY[]::bigint[], 'c');
SELECT idempotency_key FROM booking.request WHERE event_id = 22 ORDER BY 1;
-- A ticket that was cancelled is still the answer; one that was transferred or deleted is not.
SELECT booking.cancel_ticket(ticket_id) FROM first WHERE ord = 1;
SELECT count(*) FROM booking.book_batch(20, ARRAY[5, 5, 5, 6, 7], 'batch 1');
SELECT booking.transfer_ticket(ticket_id, 8) FROM first WHERE ord = 2;
SELECT code, message, detail FROM diagnosed($$SELECT booking.book_batch(20, ARRAY[5, 5, 5, 6, 7], 'batch 1')$$);
SELECT booking.transfer_ticket(ticket_id, 5) FROM first WHERE ord = 2;
DELETE FROM booking.ticket t USING first f WHERE f.ord = 2 AND t.ticket_id = f.ticket_id;
SELECT code FROM diagnosed($$SELECT booking.book_batch(20, ARRAY[5, 5, 5, 6, 7], 'batch 1')$$);
-- An answer that we did not write.
UPDATE booking.request SET statuses = '{sold_out,booked}' WHERE event_id = 22;
SELECT code, message FROM diagnosed($$SELECT booking.book_batch(22, ARRAY[2], 'b')$$);
UPDATE booking.request SET statuses = NULL WHERE event_id = 22;
SELECT code, message FROM diagnosed($$SELECT booking.book_batch(22, ARRAY[2], 'b')$$);
SELECT count(*) FROM booking.book_batch(21, ARRAY(SELECT generate_series(1, 30000)), 'long');
SELECT status, count(*) FROM booking.book_batch(21, ARRAY(SELECT generate_series(1, 30000)), 'long') GROUP BY 1;
DROP TABLE first;

SELECT * FROM damage();
SELECT * FROM booking.verify();
