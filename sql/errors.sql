--
-- Bad input.
--
-- Promises:
--   - Every mistake has its own SQLSTATE and a message that says what to do.
--   - No mistake crashes the server.
--   - No mistake leaves a ticket, a taken place or a lock behind.

-- Before create_tables(), every function raises 42P01 with a hint.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS booking CASCADE;
CREATE EXTENSION pg_booking;
RESET client_min_messages;

CREATE TEMP TABLE call (n integer GENERATED ALWAYS AS IDENTITY, statement text);
INSERT INTO call (statement) VALUES
    ('SELECT booking.book_ticket(1, 1)'),
    ('SELECT booking.try_book_ticket(1, 1)'),
    ('SELECT booking.book_tickets(1, 1, 1)'),
    ('SELECT booking.cancel_ticket(1)'),
    ('SELECT booking.transfer_ticket(1, 1)'),
    ('SELECT booking.redeem_ticket(1)'),
    ('SELECT booking.unredeem_ticket(1)'),
    ('SELECT booking.move_ticket(1, 2)'),
    ('SELECT booking.exchange_tickets(1, 2)'),
    ('SELECT booking.cancel_event(1)'),
    ('SELECT booking.book_as_staff(1, 1)'),
    ('SELECT booking.book_as_staff(1, ''1'')'),
    ('SELECT booking.availability(1)'),
    ('SELECT booking.book_ticket(1, ''1'')'),
    ('SELECT booking.book_batch(1, ARRAY[1])'),
    ('SELECT booking.hold_tickets(1, 1)'),
    ('SELECT booking.confirm_hold(1)'),
    ('SELECT booking.extend_hold(1, ''1 minute'')'),
    ('SELECT booking.change_hold(1, 2)'),
    ('SELECT booking.change_hold(1, NULL, 1)'),
    ('SELECT booking.change_hold(1, NULL, ''1'')'),
    ('SELECT booking.hold_tickets(1, 1, on_held => ''return'')'),
    ('SELECT booking.release_hold(1)'),
    ('SELECT booking.expire_holds()'),
    ('SELECT booking.keep_history()'),
    ('SELECT booking.purge(''0'')'),
    ('SELECT booking.forget_user(1, 2)'),
    ('SELECT booking.forget_user(''1'', ''2'')'),
    ('SELECT booking.flush_inventory()'),
    ('SELECT booking.create_event(''a'', 1)'),
    ('SELECT booking.verify()'),
    ('SELECT booking.verify(1)'),
    ('SELECT booking.rebuild_inventory(1)'),
    ('SELECT booking.acquire_lock(''a'', ''ann'')'),
    ('SELECT booking.try_acquire_lock(''a'', ''ann'')'),
    ('SELECT booking.renew_lock(''a'', 1, ''1 s'')'),
    ('SELECT booking.release_lock(''a'', 1)'),
    ('SELECT booking.assert_lock(''a'', 1)'),
    ('SELECT booking.locked(''a'')');
SELECT statement, o.code, o.hint
FROM call, outcome(statement) o ORDER BY n;
SELECT count(*) AS not_tried
FROM pg_proc WHERE pronamespace = 'booking'::regnamespace
    AND prorettype <> 'trigger'::regtype AND proname NOT IN ('create_tables', 'check_row_security')
    -- (capacity_errors.sql and capacity.sql have those of capacity constraints, shards.sql those of
    -- shards)
    AND NOT (proname LIKE '%capacity%' OR proname LIKE 'router\_%' OR proname IN
        ('check_excess', 'check_not_in_use', 'check_expiry', 'equality', 'difference', 'expire_rows', 'expiry_statement', 'full_name',
         'check_constraint_expiry', 'check_left_triggers', 'check_schema', 'schema_problems', 'sequence_problems', 'shard_of', 'shard_of_resource', 'this_shard', 'missing_column', 'parse_condition', 'places_left', 'short_name', 'trigger_condition', 'trigger_words'))
    AND NOT EXISTS (SELECT FROM call WHERE statement LIKE '%' || proname || '(%');

CALL recreate_booking();
INSERT INTO booking.event (capacity) VALUES (10), (0);
SELECT booking.book_tickets(1, 1, 3);
SELECT status FROM booking.redeem_ticket(2);
SELECT booking.cancel_ticket(3);
CREATE TEMP TABLE tickets_before AS SELECT * FROM booking.ticket;
CREATE TEMP TABLE inventory_before AS SELECT sum(available) FROM booking.inventory;

-- A null argument raises 22004.  No function returns null instead.
SELECT statement, o.code, o.message
FROM (VALUES
    (1, 'SELECT booking.book_ticket(NULL, 1)'),
    (2, 'SELECT booking.book_ticket(1, NULL)'),
    (3, 'SELECT booking.try_book_ticket(NULL, 1)'),
    (4, 'SELECT booking.try_book_ticket(1, NULL)'),
    (5, 'SELECT booking.book_tickets(NULL, 1, 1)'),
    (6, 'SELECT booking.book_tickets(1, NULL, 1)'),
    (7, 'SELECT booking.book_tickets(1, 1, NULL)'),
    (8, 'SELECT booking.cancel_ticket(NULL)'),
    (9, 'SELECT booking.transfer_ticket(NULL, 1)'),
    (10, 'SELECT booking.transfer_ticket(1, NULL)'),
    (11, 'SELECT booking.redeem_ticket(NULL)'),
    (12, 'SELECT booking.availability(NULL)'),
    (14, 'SELECT booking.book_ticket(1, NULL::bigint)'),
    (15, 'SELECT booking.book_ticket(NULL, 1, ''a key'')'),
    (16, 'SELECT booking.book_batch(NULL, ARRAY[1])'),
    (17, 'SELECT booking.book_batch(1, NULL::bigint[])'),
    (18, 'SELECT booking.book_batch(1, NULL::text[])'),
    (19, 'SELECT booking.book_batch(1, ARRAY[1, NULL])'),
    (20, 'SELECT booking.hold_tickets(NULL, 1)'),
    (21, 'SELECT booking.hold_tickets(1, NULL)'),
    (22, 'SELECT booking.hold_tickets(1, 1, NULL)'),
    (23, 'SELECT booking.confirm_hold(NULL)'),
    (24, 'SELECT booking.confirm_hold(1, NULL)'),
    (25, 'SELECT booking.extend_hold(NULL, ''1 minute'')'),
    (26, 'SELECT booking.release_hold(NULL)'),
    (27, 'SELECT booking.purge(NULL)'),
    (28, 'SELECT booking.create_tables(NULL)'),
    (29, 'SELECT booking.forget_user(NULL, 1)'),
    (30, 'SELECT booking.forget_user(1, NULL)'),
    (31, 'SELECT booking.forget_user(''1'', NULL)')) AS t (n, statement), outcome(statement) o
ORDER BY n;

-- An event, ticket or hold that does not exist raises an error: 23503 for an event, P0002 for a
-- ticket or hold.  try_book_ticket() answers no_event.
SELECT statement, o.code, o.message, o.hint <> '' AS hint
FROM (VALUES
    (1, 'SELECT booking.book_ticket(99, 1)'),
    (2, 'SELECT booking.try_book_ticket(99, 1)'),
    (3, 'SELECT booking.book_tickets(99, 1, 2)'),
    (4, 'SELECT booking.book_tickets(99, 1, 134217724)'),
    (5, 'SELECT booking.cancel_ticket(99)'),
    (6, 'SELECT booking.transfer_ticket(99, 1)'),
    (7, 'SELECT booking.redeem_ticket(99)'),
    (8, 'SELECT booking.availability(99)'),
    (9, 'SELECT booking.rebuild_inventory(99)'),
    (10, 'SELECT booking.book_ticket(9223372036854775807, 1)'),
    (11, 'SELECT booking.book_ticket(-9223372036854775808, 1)'),
    (12, 'SELECT booking.cancel_ticket(9223372036854775807)'),
    (13, 'SELECT booking.redeem_ticket(-9223372036854775808)'),
    (14, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (99, 1)'),
    (15, 'INSERT INTO booking.ticket (event_id, user_id, cancelled_at) VALUES (99, 1, now())'),
    (16, 'UPDATE booking.ticket SET event_id = 99 WHERE ticket_id = 1'),
    (17, 'UPDATE booking.ticket SET event_id = 99 WHERE ticket_id = 3'),
    (18, 'SELECT booking.book_ticket(99, 1, ''a key'')'),
    (19, 'SELECT booking.try_book_ticket(99, 1, ''a key'')'),
    (20, 'SELECT booking.book_batch(99, ARRAY[1])'),
    (21, 'SELECT booking.book_batch(99, ARRAY[]::bigint[])'),
    (22, 'SELECT booking.hold_tickets(99, 1)'),
    (23, 'SELECT booking.hold_tickets(99, 1, 1, NULL, ''a key'')'),
    (24, 'SELECT booking.confirm_hold(99)'),
    (25, 'SELECT booking.confirm_hold(99, ''rebook'')'),
    (26, 'SELECT booking.extend_hold(99, ''1 minute'')'),
    (27, 'INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)'
         ' VALUES (99, 1, 1, ''infinity'')'),
    (28, 'INSERT INTO booking.hold (event_id, user_id, quantity, expires_at, ended_at)'
         ' VALUES (99, 1, 1, ''infinity'', now())')
) AS t (n, statement), outcome(statement) o
ORDER BY n;
SELECT * FROM booking.verify(99);

-- A quantity below 1, or larger than any array, raises 22023.
SELECT quantity, o.code, o.message, o.detail
FROM (VALUES (0), (-1), (-2147483648), (134217725), (2147483647)) AS t (quantity),
     outcome(format('SELECT booking.book_tickets(1, 1, %s)', quantity)) o
ORDER BY quantity;
-- The quantity is checked before the event is looked up.
SELECT code FROM outcome('SELECT booking.book_tickets(99, 1, 0)');
-- A quantity larger than the places left raises 23T01.
SELECT quantity, o.*
FROM (VALUES (9), (134217724)) AS t (quantity),
     outcome(format('SELECT booking.book_tickets(1, 1, %s)', quantity)) o
ORDER BY quantity;

-- Wrong capacities.
SELECT statement, o.code, o.message
FROM (VALUES
    (1, 'INSERT INTO booking.event (capacity) VALUES (-1)'),
    (2, 'UPDATE booking.event SET capacity = -1 WHERE event_id = 1'),
    (3, 'UPDATE booking.event SET capacity = -1 WHERE event_id = 2'),
    (6, 'UPDATE booking.event SET capacity = capacity + 2147483647 WHERE event_id = 1'),
    (7, 'INSERT INTO booking.event (event_id, capacity) VALUES (1, 1)')) AS t (n, statement),
       outcome(statement) o
ORDER BY n;

-- Wrong tickets.
SELECT statement, o.code, o.message
FROM (VALUES
    (1, 'INSERT INTO booking.ticket (event_id) VALUES (1)'),
    (2, 'INSERT INTO booking.ticket (user_id) VALUES (1)'),
    (3, 'UPDATE booking.ticket SET event_id = NULL WHERE ticket_id = 1'),
    (4, 'INSERT INTO booking.ticket (ticket_id, event_id, user_id) VALUES (1, 1, 1)'),
    (5, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (2, 1)'),
    (6, 'INSERT INTO booking.ticket (event_id, user_id) SELECT 1, 1 FROM generate_series(1, 9)'),
    (7, 'SELECT booking.cancel_ticket(2)'),
    (8, 'SELECT booking.transfer_ticket(2, 1)'),
    (9, 'SELECT booking.transfer_ticket(3, 1)')) AS t (n, statement), outcome(statement) o
ORDER BY n;

SELECT statement, o.detail
FROM (VALUES
    (1, 'SELECT booking.cancel_ticket(2)'),
    (2, 'SELECT booking.transfer_ticket(2, 1)'),
    (3, 'SELECT booking.transfer_ticket(3, 1)')) AS t (n, statement), outcome(statement) o
ORDER BY n;

-- Cancelling a ticket twice is not an error.  The function returns false.
SELECT booking.cancel_ticket(3);

-- PostgreSQL itself refuses text that is not a number, and a number that is not a
-- bigint.
SELECT code FROM outcome($$SELECT booking.book_ticket('one', 1)$$);
SELECT code FROM outcome($$SELECT booking.book_ticket('9223372036854775808', 1)$$);
SELECT code FROM outcome($$SELECT booking.book_ticket(9223372036854775808, 1)$$);

-- After all that, nothing has changed and nothing is left locked.
SELECT * FROM (TABLE booking.ticket EXCEPT TABLE tickets_before) changed;
SELECT sum(available) = (TABLE inventory_before) AS same FROM booking.inventory;
SELECT * FROM booking.verify();

-- When the sequence ends, the sequence's own error is raised.  Nothing is booked.
ALTER SEQUENCE booking.ticket_ticket_id_seq MAXVALUE 1000 RESTART 1000;
SELECT booking.book_ticket(1, 1);
SELECT code FROM outcome('SELECT booking.book_ticket(1, 1)');
SELECT code FROM outcome('SELECT booking.book_tickets(1, 1, 2)');
ALTER SEQUENCE booking.ticket_ticket_id_seq NO MAXVALUE;
SELECT booking.book_ticket(1, 1);
SELECT * FROM places();

-- A table that the code can't use raises 55000 and the error names what is wrong.
-- Each change is made, tried and undone.  Every column that the code needs is
-- dropped, renamed and given another type.  The view is dropped first because it
-- needs some of the columns.
DROP VIEW booking.sales;
CREATE TEMP TABLE needed AS
    SELECT c.oid, c.relname, a.attname, a.atttypid, row_number() OVER (ORDER BY relname, attnum) AS n
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE c.relnamespace = 'booking'::regnamespace AND c.relkind = 'r'
        AND c.relname <> 'resource_lock'    -- lock.sql has that
        AND (c.relname, a.attname) NOT IN (('event', 'name'), ('event', 'created_at'));
SELECT relname, attname, a.code, a.message
FROM needed, after_change(
    format('ALTER TABLE booking.%I DROP COLUMN %I CASCADE', relname, attname),
    'SELECT booking.book_ticket(1, 1)') a
ORDER BY n;
SELECT relname, attname, a.code, a.message
FROM needed, after_change(
    format('ALTER TABLE booking.%I RENAME COLUMN %I TO renamed', relname, attname),
    'SELECT booking.book_ticket(1, 1)') a
ORDER BY n;
SELECT relname, attname, a.code, a.message
FROM needed, after_change(
    format('ALTER TABLE booking.%1$I DROP COLUMN %2$I CASCADE, ADD COLUMN %2$I %3$s',
           relname, attname, CASE atttypid WHEN 'bigint'::regtype THEN 'integer'
                             WHEN 'integer'::regtype THEN 'bigint' ELSE 'varchar(80)' END),
    'SELECT booking.book_ticket(1, 1)') a
ORDER BY n;

-- Every function and every trigger reports it.
SELECT n, a.code, a.message, a.detail
FROM (VALUES
    (1, 'SELECT booking.try_book_ticket(1, 1)'),
    (2, 'SELECT booking.book_tickets(1, 1, 2)'),
    (3, 'SELECT booking.cancel_ticket(1)'),
    (4, 'SELECT booking.transfer_ticket(1, 2)'),
    (5, 'SELECT booking.redeem_ticket(1)'),
    (6, 'SELECT booking.availability(1)'),
    (7, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 1)'),
    (8, 'UPDATE booking.ticket SET event_id = 2'),
    (9, 'DELETE FROM booking.ticket'),
    (10, 'TRUNCATE booking.ticket'),
    (11, 'INSERT INTO booking.event VALUES (50, NULL, 1)'),
    (12, 'UPDATE booking.event SET name = NULL'),
    (13, 'DELETE FROM booking.event WHERE event_id = 2'),
    (14, 'SELECT booking.book_batch(1, ARRAY[1])'),
    (15, 'SELECT booking.hold_tickets(1, 1)'),
    (16, 'SELECT booking.confirm_hold(1)'),
    (17, 'SELECT booking.extend_hold(1, ''1 minute'')'),
    (18, 'SELECT booking.release_hold(1)'),
    (19, 'SELECT booking.expire_holds()'),
    (20, 'INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)'
         ' VALUES (1, 1, 1, now())'),
    (21, 'TRUNCATE booking.hold'),
    (22, 'SELECT booking.verify()'),
    (23, 'SELECT booking.purge(''0'')'),
    (24, 'SELECT booking.keep_history()'),
    (25, 'SELECT booking.forget_user(1, 2)'),
    (26, 'SELECT booking.unredeem_ticket(1)'),
    (27, 'SELECT booking.move_ticket(1, 2)'),
    (28, 'SELECT booking.exchange_tickets(1, 2)'),
    (29, 'SELECT booking.cancel_event(1)'),
    (30, 'SELECT booking.book_as_staff(1, 1)'),
    (31, 'SELECT booking.change_hold(1, 2)')) AS t (n, statement),
    after_change('ALTER TABLE booking.inventory RENAME COLUMN available TO renamed', statement) a
ORDER BY n;

-- Everything else that the code needs from the tables.
SELECT n, a.code, a.message, a.detail
FROM (VALUES
    (1, 'ALTER TABLE booking.event RENAME TO renamed'),
    (2, 'ALTER TABLE booking.inventory RENAME TO renamed'),
    (3, 'ALTER TABLE booking.ticket RENAME TO renamed'),
    (4, 'DROP TABLE booking.event'),
    (5, 'DROP TABLE booking.inventory'),
    (6, 'DROP TABLE booking.ticket'),
    (7, 'ALTER TABLE booking.ticket SET SCHEMA public'),
    (8, 'ALTER TABLE booking.inventory DROP CONSTRAINT inventory_pkey'),
    (9, 'CREATE INDEX ON booking.inventory USING hash (available)'),
    (10, 'CREATE INDEX ON booking.inventory (available) WHERE available > 0'),
    (11, 'CREATE INDEX ON booking.inventory ((available + 1))'),
    (12, 'CREATE TABLE public.seller (event_id bigint, stripe integer,'
         ' FOREIGN KEY (event_id, stripe) REFERENCES booking.inventory)'),
    (13, 'DROP TRIGGER _booking_ticket_changed ON booking.ticket'),
    (14, 'DROP TRIGGER _booking_event_changed ON booking.event'),
    (15, 'DROP TRIGGER _booking_hold_changed ON booking.hold'),
    (16, 'DROP TABLE booking.hold'),
    (17, 'DROP TABLE booking.request'),
    (18, 'DROP TABLE booking.user_limit'),
    (19, 'ALTER TABLE booking.ticket ALTER user_id TYPE text'),
    (20, 'ALTER TABLE booking.inventory ADD CHECK (available < 1000)'),
    (21, 'ALTER TABLE booking.inventory DROP CONSTRAINT inventory_pkey;'
         ' UPDATE booking.inventory SET max_per_user = event_id;'
         ' ALTER TABLE booking.inventory ADD PRIMARY KEY (max_per_user, stripe)'),
    (22, 'ALTER TABLE booking.request DROP CONSTRAINT request_pkey,'
         ' ADD PRIMARY KEY (idempotency_key, event_id)')
    ) AS t (n, change),
    after_change(change, 'SELECT booking.book_ticket(1, 1)') a
ORDER BY n;

-- The inventory is written without the executor.  So an added column with a
-- default is refused instead of being left null.
SELECT code
FROM after_change('ALTER TABLE booking.inventory ADD COLUMN note text NOT NULL DEFAULT $x$$x$',
                  'INSERT INTO booking.event (capacity) VALUES (1)');

-- A session reports the change although it has seen the old tables.  It works
-- again when the change is undone.
SELECT booking.book_ticket(1, 2) > 0 AS booked;
ALTER TABLE booking.ticket RENAME COLUMN user_id TO customer;
SELECT booking.book_ticket(1, 2);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.ticket (event_id, customer) VALUES (1, 3);
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE booking.ticket RENAME COLUMN customer TO user_id;
SELECT booking.book_ticket(1, 2) > 0 AS booked;
ALTER SCHEMA booking RENAME TO theatre;
SELECT theatre.book_ticket(1, 2);
\echo :LAST_ERROR_SQLSTATE
ALTER SCHEMA theatre RENAME TO booking;
SELECT booking.book_ticket(1, 2) > 0 AS booked;

-- Someone else has written the inventory.
SELECT n, a.code, a.message, a.detail
FROM (VALUES
    (1, 'DELETE FROM booking.inventory'),
    (2, 'ALTER TABLE booking.inventory DROP CONSTRAINT inventory_stripe_check;'
        ' INSERT INTO booking.inventory VALUES (1, 256, 5), (1, -1, 5)')) AS t (n, change),
    after_change(change, 'SELECT booking.book_tickets(1, 1, 7)') a
ORDER BY n;

-- The trigger functions work for pg_booking's own triggers only, otherwise they
-- raise 39P01.
CREATE TABLE my_table (event_id bigint, capacity integer, cancelled_at timestamptz);
CREATE TRIGGER my_table_ticket AFTER INSERT ON my_table
    FOR EACH ROW EXECUTE FUNCTION booking.ticket_changed();
SELECT code, message FROM outcome('INSERT INTO my_table VALUES (1, 5)');
DROP TRIGGER my_table_ticket ON my_table;
CREATE TRIGGER my_table_event AFTER INSERT OR DELETE ON my_table
    FOR EACH ROW EXECUTE FUNCTION booking.event_changed();
SELECT code, message FROM outcome('INSERT INTO my_table VALUES (1, 5)');
DROP TRIGGER my_table_event ON my_table;
CREATE TRIGGER my_table_truncated AFTER TRUNCATE ON my_table
    EXECUTE FUNCTION booking.ticket_changed();
SELECT code, message FROM outcome('TRUNCATE my_table');
SELECT n, a.code, a.message
FROM (VALUES
    (1, 'CREATE TRIGGER wrong BEFORE INSERT ON booking.ticket'
        ' FOR EACH ROW EXECUTE FUNCTION booking.ticket_changed()'),
    (2, 'CREATE TRIGGER wrong AFTER INSERT ON booking.ticket'
        ' FOR EACH STATEMENT EXECUTE FUNCTION booking.ticket_changed()'),
    (3, 'CREATE TRIGGER wrong AFTER INSERT ON booking.ticket'
        ' FOR EACH ROW EXECUTE FUNCTION booking.event_changed()'),
    (4, 'CREATE TRIGGER wrong AFTER INSERT ON booking.ticket'
        ' FOR EACH ROW EXECUTE FUNCTION booking.hold_changed()'),
    (5, 'CREATE TRIGGER wrong BEFORE INSERT ON booking.ticket'
        ' FOR EACH ROW EXECUTE FUNCTION booking.record_history()')) AS t (n, change),
    after_change(change, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 1)') a
ORDER BY n;
SELECT code FROM outcome('SELECT booking.ticket_changed()');
SELECT code FROM outcome('SELECT booking.event_changed()');
SELECT code FROM outcome('SELECT booking.hold_changed()');
SELECT code FROM outcome('SELECT booking.record_history()');
DROP TABLE my_table;

SELECT booking.create_tables();
SELECT * FROM places();
SELECT * FROM damage();
SELECT * FROM booking.verify();
