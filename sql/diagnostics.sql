-- The diagnostic fields of every refusal.
--
-- Promises:
--   - A refusal names the schema, the table, the column and the constraint, so
--     that a program can tell refusals apart without reading the message.
--   - The CHECKs of the tables have names of ours.
--   - try_book_ticket() answers no_event for an event that does not exist.
CALL recreate_booking();

INSERT INTO booking.event (event_id, capacity, max_per_user, sales_start, sales_end) VALUES
    (1, 1, NULL, NULL, NULL), (2, 5, 1, NULL, NULL),
    (3, 5, NULL, 'tomorrow', NULL), (4, 5, NULL, NULL, 'yesterday'), (5, 5, NULL, NULL, NULL);
SELECT booking.book_ticket(1, 1) AS cancelled \gset
SELECT booking.cancel_ticket(:cancelled);
SELECT booking.book_ticket(1, 1) AS redeemed \gset
SELECT status FROM booking.redeem_ticket(:redeemed);
SELECT booking.book_ticket(2, 1, 'a key') AS ticket \gset
SELECT hold_id AS released FROM booking.hold_tickets(5, 1) \gset
SELECT booking.release_hold(:released);
SELECT hold_id AS expired FROM booking.hold_tickets(5, 1, 1, '1 microsecond') \gset
SELECT hold_id AS confirmed FROM booking.hold_tickets(5, 1) \gset
SELECT array_length(booking.confirm_hold(:confirmed), 1);
INSERT INTO booking.event (event_id, capacity) VALUES (6, 1);
SELECT count(*) FROM booking.hold_tickets(6, 1);

-- Runs a statement that is refused, and returns the fields of the error.
CREATE FUNCTION refusal(statement text)
RETURNS TABLE (code text, fields text)
LANGUAGE plpgsql
AS $$
DECLARE
    s text; t text; c text; k text;
BEGIN
    EXECUTE statement;
    code := 'ok';
    RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, s = SCHEMA_NAME, t = TABLE_NAME,
        c = COLUMN_NAME, k = CONSTRAINT_NAME;
    fields := concat_ws(', ', s, t, c, k);
    RETURN NEXT;
END
$$;

SELECT n, r.code, r.fields
FROM (VALUES
    -- sold out
    (1, 'SELECT booking.book_ticket(1, 9)'),
    (2, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 9)'),
    (3, 'SELECT booking.hold_tickets(1, 9)'),
    -- the limit per user
    (11, 'SELECT booking.book_ticket(2, 1)'),
    (12, 'UPDATE booking.ticket SET event_id = 2 WHERE ticket_id = %2$s'),
    -- the sales window
    (21, 'SELECT booking.book_ticket(3, 1)'),
    (22, 'SELECT booking.book_ticket(4, 1)'),
    -- a hold that has expired, was released, or was confirmed
    (31, 'SELECT booking.confirm_hold(%5$s)'),
    (32, 'SELECT booking.confirm_hold(%4$s)'),
    (33, 'SELECT booking.extend_hold(%6$s, ''1 minute'')'),
    (34, 'UPDATE booking.hold SET ended_at = NULL WHERE hold_id = %6$s'),
    -- a ticket that was cancelled or redeemed
    (41, 'SELECT booking.cancel_ticket(%2$s)'),
    (42, 'SELECT booking.transfer_ticket(%1$s, 9)'),
    -- an idempotency key
    (51, 'SELECT booking.book_ticket(2, 9, ''a key'')'),
    (52, 'SELECT booking.book_tickets(2, 1, 2, ''a key'')'),
    (53, 'SELECT booking.hold_tickets(2, 1, 1, NULL, ''a key'')'),
    -- the capacity
    (61, 'UPDATE booking.event SET capacity = 0 WHERE event_id = 1'),
    -- no such event
    (71, 'SELECT booking.book_ticket(99, 1)'),
    (72, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (99, 1)'),
    (73, 'SELECT booking.book_batch(99, ARRAY[1])'),
    (74, 'SELECT booking.hold_tickets(99, 1)'),
    (75, 'INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)'
         ' VALUES (99, 1, 1, ''infinity'')'),
    (76, 'SELECT booking.availability(99)'),
    (77, 'SELECT booking.rebuild_inventory(99)'),
    -- an event in use
    (81, 'DELETE FROM booking.event WHERE event_id = 1'),
    (82, 'DELETE FROM booking.event WHERE event_id = 6'),
    (83, 'TRUNCATE booking.event'),
    -- CHECKs
    (91, 'INSERT INTO booking.event (capacity) VALUES (-1)'),
    (92, 'UPDATE booking.event SET max_per_user = 0'),
    (93, 'UPDATE booking.event SET sales_start = ''tomorrow'', sales_end = ''today'''),
    (94, 'UPDATE booking.event SET hold_ttl = ''2 hours'''),
    (95, 'INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)'
         ' VALUES (5, 1, 0, ''infinity'')'),
    (96, 'SET LOCAL booking.importing = on; UPDATE booking.inventory SET stripe = -1'),
    (97, 'SET LOCAL booking.importing = on; UPDATE booking.inventory SET stripe = 1, available = -1'),
    (98, 'UPDATE booking.ticket SET event_id = NULL')) AS t (n, statement),
    refusal(format(statement, :cancelled, :redeemed, :ticket, :released, :expired,
                   :confirmed)) r
ORDER BY n;

-- The same CHECKs, raised by a trigger of ours after an owner has dropped them.
ALTER TABLE booking.event DROP CONSTRAINT event_capacity_check;
ALTER TABLE booking.event DROP CONSTRAINT event_max_per_user_check;
ALTER TABLE booking.hold DROP CONSTRAINT hold_quantity_check;
SELECT n, r.code, r.fields
FROM (VALUES
    (1, 'INSERT INTO booking.event (event_id, capacity) VALUES (50, -1)'),
    (2, 'UPDATE booking.event SET max_per_user = 0'),
    (3, 'INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)'
        ' VALUES (5, 1, 0, ''infinity'')')) AS t (n, statement), refusal(statement) r
ORDER BY n;

-- An event that can't be booked because it is missing is an answer, too.  With
-- an idempotency key the refusal is not remembered.
SELECT * FROM booking.try_book_ticket(99, 1);
SELECT * FROM booking.try_book_ticket(99, 1, 'a key');
INSERT INTO booking.event (event_id, capacity) VALUES (99, 1);
SELECT status FROM booking.try_book_ticket(99, 1, 'a key');

DROP FUNCTION refusal;
CALL recreate_booking();
