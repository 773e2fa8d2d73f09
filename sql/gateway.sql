--
-- The function for gateways, as doc/applications.md prints it.
--
-- Promises:
--   - The SQL in the document runs as it is.  Its function has one form.
--   - The gateway's role can book with the rights that the document grants, and
--     only by the form that was granted.
--   - A refusal is a row.  A repeated key returns the first answer.
--   - Called in FROM, it books once.  Expanded by PostgreSQL, it books once for
--     each column.
CALL recreate_booking();
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS api CASCADE;
DROP ROLE IF EXISTS regress_booking_gateway;
RESET client_min_messages;
CREATE ROLE regress_booking_gateway;
INSERT INTO booking.event (event_id, capacity, max_per_user, sales_end)
VALUES (1, 2, NULL, NULL), (2, 5, 1, NULL), (3, 5, NULL, '2000-01-01'), (4, 5, NULL, NULL);

-- The SQL of the chapter, with a role whose name a test may use.
\getenv abs_srcdir PG_ABS_SRCDIR
\set document :abs_srcdir '/doc/applications.md'
\set printed `sed -n "/^CREATE SCHEMA api;/,/^GRANT EXECUTE/p" :'document' | sed "s/ shop;/ regress_booking_gateway;/"`
:printed

-- There is one form, and it runs with the caller's rights.
SELECT oid::regprocedure, prosecdef, provolatile FROM pg_proc
WHERE pronamespace = 'api'::regnamespace;

SET ROLE regress_booking_gateway;
SELECT * FROM api.book_ticket(1, 42, 'order-7001');
SELECT * FROM api.book_ticket(1, 42, idempotency_key => 'order-7001');
SELECT * FROM api.book_ticket(event_id => 1, user_id => 43);
SELECT * FROM api.book_ticket(1, 44);
-- The other refusals.
SELECT status FROM api.book_ticket(3, 42, 'order-7002');
SELECT n, status FROM generate_series(1, 2) n, api.book_ticket(2, 42 + 0 * n) ORDER BY n;
SELECT status FROM api.book_ticket(99, 42);
SELECT code, message FROM outcome('SELECT * FROM api.book_ticket(1, 43, ''order-7001'')');
SELECT code, message FROM outcome('SELECT * FROM api.book_ticket(1, NULL)');
-- Nothing else was granted.
SELECT code, message FROM outcome('SELECT * FROM booking.try_book_ticket(1, ''42'')');
SELECT code, message FROM outcome('SELECT booking.book_ticket(1, 42)');
SELECT code, message FROM outcome('SELECT * FROM booking.ticket');
-- In FROM it books once.
SELECT status FROM api.book_ticket(4, 1);
SELECT status FROM booking.try_book_ticket(4, 2);
SELECT (booking.try_book_ticket(4, 3)).* \gset
RESET ROLE;
SELECT user_id, count(*) FROM booking.ticket WHERE event_id = 4 GROUP BY user_id ORDER BY user_id;

DROP SCHEMA api CASCADE;
DROP OWNED BY regress_booking_gateway;
DROP ROLE regress_booking_gateway;
SELECT * FROM damage();
SELECT * FROM booking.verify();
