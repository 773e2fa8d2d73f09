--
-- The life of a ticket, by the functions.
--
-- Promises:
--   - Each place is sold once, up to the last one.
--   - A refusal says how many places are left, and changes nothing.
--   - The place of a cancelled ticket can be sold again.
--   - A ticket is cancelled once and redeemed once.  A redeemed ticket can't be
--     cancelled or transferred, and a cancelled one can't be transferred.
CALL recreate_booking();
\set SHOW_CONTEXT never

INSERT INTO booking.event (name, capacity) VALUES ('concert', 3), ('theatre', 5), ('closed', 0);

-- book_ticket() returns the ticket's id until the last place is sold.
SELECT booking.book_ticket(1, 42);
SELECT booking.book_ticket(1, 42);
SELECT booking.book_ticket(user_id => 43, event_id => 1);
SELECT booking.book_ticket(1, 44);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.book_ticket(3, 44);
\echo :LAST_ERROR_SQLSTATE
SELECT ticket_id, event_id, user_id, seat, redeemed_at, cancelled_at
FROM booking.ticket ORDER BY ticket_id;
SELECT * FROM places();

-- booked_at is the time of the call, not the start of the transaction.
BEGIN;
SELECT pg_sleep(0.002);
SELECT booking.book_ticket(2, 1) AS ticket \gset
SELECT booked_at > now() AS later, booked_at <= clock_timestamp() AS past
FROM booking.ticket WHERE ticket_id = :ticket;
ROLLBACK;
SELECT * FROM booking.availability(2);

-- try_book_ticket() returns the same answers as data.  The transaction goes on.
BEGIN;
SELECT status, ticket_id IS NOT NULL AS has_ticket FROM booking.try_book_ticket(1, 44);
SELECT status, ticket_id IS NOT NULL AS has_ticket FROM booking.try_book_ticket(2, 44);
SELECT status, ticket_id IS NOT NULL AS has_ticket FROM booking.try_book_ticket(3, 44);
COMMIT;
SELECT count(*) FROM booking.ticket WHERE event_id = 2 AND user_id = 44;

-- A refusal leaves no ticket, no row lock and no transaction id.
BEGIN;
SELECT status FROM booking.try_book_ticket(1, 44);
SELECT pg_current_xact_id_if_assigned() IS NULL AS no_transaction_id;
COMMIT;
BEGIN;
DO $$
BEGIN
    PERFORM booking.book_ticket(1, 44);
EXCEPTION WHEN SQLSTATE '23T01' THEN
    RAISE NOTICE 'no luck: %', SQLERRM;
END
$$;
COMMIT;

-- book_tickets() books all of the places or none.
SELECT cardinality(booking.book_tickets(2, 45, 3)) AS tickets;
SELECT booking.book_tickets(2, 45, 2);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM booking.availability(2);
SELECT array_length(booking.book_tickets(2, 45, 1), 1) AS tickets;
SELECT booking.book_tickets(2, 45, 1);
SELECT user_id, count(*), count(DISTINCT ticket_id) FROM booking.ticket
WHERE event_id = 2 GROUP BY user_id ORDER BY user_id;

-- The returned ids are the ids of the rows.
INSERT INTO booking.event (event_id, capacity) VALUES (10, 100);
SELECT booking.book_tickets(10, 7, 50) AS ids \gset
SELECT array_agg(ticket_id ORDER BY ticket_id) = :'ids'::bigint[] AS same,
       array_ndims(:'ids'::bigint[]) AS dimensions, array_lower(:'ids'::bigint[], 1) AS first
FROM booking.ticket WHERE event_id = 10 AND user_id = 7;
-- Each ticket takes one place.
SELECT * FROM booking.availability(10);

-- cancel_ticket() gives the place back, once.
SELECT booking.cancel_ticket(2);
SELECT booking.cancel_ticket(2);
SELECT ticket_id, event_id, user_id, cancelled_at <= clock_timestamp() AS cancelled
FROM booking.ticket WHERE ticket_id = 2;
SELECT * FROM booking.availability(1);
SELECT status FROM booking.try_book_ticket(1, 44);
SELECT status FROM booking.try_book_ticket(1, 44);

-- A cancellation that is rolled back gives nothing back.
BEGIN;
SELECT booking.cancel_ticket(1);
SELECT available FROM booking.availability(1);
ROLLBACK;
SELECT available FROM booking.availability(1);
SELECT status FROM booking.try_book_ticket(1, 45);

-- The same transaction can sell the place again.
BEGIN;
SELECT booking.cancel_ticket(1);
SELECT booking.book_ticket(1, 46) > 0 AS booked;
SELECT booking.cancel_ticket(1);
COMMIT;
SELECT * FROM places() WHERE event_id = 1;

-- redeem_ticket() tells the gate whether to let the holder in.
SELECT status, redeemed_at <= clock_timestamp() AS past FROM booking.redeem_ticket(3);
SELECT r.status, r.redeemed_at = t.redeemed_at AS the_first_time
FROM booking.redeem_ticket(3) r, booking.ticket t WHERE t.ticket_id = 3;
SELECT * FROM booking.redeem_ticket(2);
SELECT redeemed_at FROM booking.ticket WHERE ticket_id = 2;

-- A redeemed ticket can't be cancelled or transferred.
SELECT booking.cancel_ticket(3);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.transfer_ticket(3, 47);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM places() WHERE event_id = 1;

-- A cancelled ticket can't be transferred.
SELECT booking.transfer_ticket(2, 47);
\echo :LAST_ERROR_SQLSTATE

-- transfer_ticket() changes the user and nothing else.
SELECT user_id AS old_user, ticket_id AS ticket
FROM booking.ticket WHERE event_id = 1 AND user_id = 46 \gset
CREATE TEMP TABLE before AS SELECT * FROM booking.ticket;
SELECT * FROM booking.availability(1) \gset before_
SELECT booking.transfer_ticket(:ticket, 47);
SELECT b.user_id, t.user_id AS new_user_id,
       to_jsonb(b) - 'user_id' = to_jsonb(t) - 'user_id' AS the_rest_is_the_same
FROM before b JOIN booking.ticket t USING (ticket_id)
WHERE b IS DISTINCT FROM t;
SELECT available = :before_available AS same FROM booking.availability(1);
-- A transfer to the user who already has the ticket is allowed.
SELECT booking.transfer_ticket(:ticket, 47);
DROP TABLE before;

-- A plain UPDATE cancels a redeemed ticket.  All functions then treat it as
-- cancelled.
UPDATE booking.ticket SET cancelled_at = now() WHERE ticket_id = 3;
SELECT status, redeemed_at IS NULL AS no_time FROM booking.redeem_ticket(3);
SELECT booking.cancel_ticket(3);
SELECT booking.transfer_ticket(3, 48);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM places() WHERE event_id = 1;

-- Ids can be the smallest and largest bigint, and zero.
INSERT INTO booking.event (event_id, capacity)
VALUES (9223372036854775807, 2), (-9223372036854775808, 2), (0, 2), (-1, 2);
SELECT e.event_id, u.user_id, booking.book_ticket(e.event_id, u.user_id) > 0 AS booked
FROM (VALUES (9223372036854775807), (-9223372036854775808), (0), (-1)) e (event_id),
     (VALUES (9223372036854775807), (-9223372036854775808)) u (user_id)
ORDER BY 1, 2;
SELECT booking.book_ticket(9223372036854775807, 0);
SELECT booking.book_ticket(-9223372036854775808, 0);
SELECT booking.book_ticket(0, 0);
SELECT count(*) FROM booking.ticket WHERE user_id = 9223372036854775807;
INSERT INTO booking.event (event_id, capacity) VALUES (20, 4);
INSERT INTO booking.ticket (ticket_id, event_id, user_id)
VALUES (9223372036854775807, 20, 1), (-9223372036854775808, 20, 1), (0, 20, 1);
SELECT booking.cancel_ticket(9223372036854775807), booking.cancel_ticket(-9223372036854775808),
       booking.cancel_ticket(0), booking.cancel_ticket(0);
SELECT * FROM places() WHERE event_id = 20;

-- The largest capacity works.
INSERT INTO booking.event (event_id, capacity) VALUES (21, 2147483647);
SELECT booking.book_ticket(21, 1) > 0 AS booked;
SELECT * FROM booking.availability(21);
SELECT booking.cancel_ticket(ticket_id) FROM booking.ticket WHERE event_id = 21;
SELECT * FROM booking.availability(21);

-- A session remembers a row version per event.  It must not confuse events
-- whose ids have the same hash, in any order.
INSERT INTO booking.event (event_id, capacity)
SELECT 100 + 4294967297 * n, 4 FROM generate_series(0, 3) n;
SELECT count(booking.book_ticket(100 + 4294967297 * (u % 4), u)) FROM generate_series(1, 16) u;
SELECT booking.book_ticket(100, 1);
SELECT booking.book_ticket(100 + 4294967297, 1);
SELECT count(booking.cancel_ticket(ticket_id)) FROM booking.ticket
WHERE event_id = 100 OR event_id = 100 + 2 * 4294967297;
SELECT count(*) FILTER (WHERE status = 'booked') AS booked,
       count(*) FILTER (WHERE status = 'sold_out') AS sold_out
FROM generate_series(1, 32) u, booking.try_book_ticket(100 + 4294967297 * (u % 4), u);
SELECT * FROM places() WHERE event_id BETWEEN 100 AND 100 + 3 * 4294967297;

-- A transaction that prefetches places must not confuse events whose ids have the
-- same hash.
INSERT INTO booking.event (event_id, capacity) VALUES (30, 100), (31 + 4294967296, 1);
BEGIN;
SELECT count(booking.book_ticket(30, u)) FROM generate_series(1, 20) u;
SELECT u, status FROM generate_series(1, 2) u, booking.try_book_ticket(31 + 4294967296, u)
ORDER BY u;
COMMIT;
SELECT * FROM places() WHERE event_id IN (30, 31 + 4294967296);

-- It does so for each of many events, in turn: 20 bookings of an event need fewer
-- than 10 versions of its stripe.
BEGIN;
INSERT INTO booking.event (event_id, capacity) SELECT n, 100 FROM generate_series(2001, 3000) n;
SELECT count(booking.book_ticket(2001 + u % 1000, u)) FROM generate_series(1, 20000) u;
SELECT pg_stat_get_xact_tuples_updated('booking.inventory'::regclass) < 10000
       OR current_setting('booking.debug_split_always')::boolean AS few;
ROLLBACK;

-- A change of the user takes no place.  It must not prefetch any.
INSERT INTO booking.event (event_id, capacity) VALUES (31, 100);
BEGIN;
SELECT count(booking.book_ticket(31, u)) FROM generate_series(1, 20) u;
UPDATE booking.ticket SET user_id = 21 WHERE event_id = 31 AND user_id = 1;
SELECT sum(available) FROM booking.inventory WHERE event_id = 31;
COMMIT;

SELECT * FROM damage();
SELECT * FROM booking.verify();
