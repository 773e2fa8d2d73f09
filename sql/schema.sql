-- What schema tools drop: verify() names it, create_tables() puts it back.
--
-- Promises:
--   - No index, constraint, default or trigger of the tables is lost unnoticed.
--   - create_tables() changes nothing if a name is taken or a column is missing.
CALL recreate_booking();
INSERT INTO booking.event (event_id, capacity) VALUES (1, 200);
INSERT INTO booking.ticket (event_id, user_id, seat) VALUES (1, 1, 'A1');
SELECT * FROM booking.verify();

-- Drops everything that can be dropped, one by one.
CREATE FUNCTION lost(change text) RETURNS TABLE (problems text, books text, left_over bigint) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE change;
    problems := (SELECT string_agg(v.problem, '; ') FROM booking.verify() v);
    books := (SELECT concat_ws(': ', nullif(o.code, '00000'), nullif(o.message, 'ok'))
              FROM outcome('SELECT booking.book_ticket(1, 2, ''k'' || clock_timestamp())') o);
    PERFORM booking.create_tables();
    left_over := (SELECT count(*) FROM booking.verify());
    RETURN NEXT;
END
$$;
SET client_min_messages = error;
SELECT change, l.*
FROM (SELECT 1, format('DROP INDEX booking.%I', relname)
      FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
      WHERE relnamespace = 'booking'::regnamespace AND NOT indisprimary
    UNION ALL
      SELECT 2, format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname)
      FROM pg_constraint WHERE connamespace = 'booking'::regnamespace AND contype IN ('c', 'p')
    UNION ALL
      SELECT 3, format('ALTER TABLE %s ALTER %I DROP %s', attrelid::regclass, attname,
                       CASE attidentity WHEN '' THEN 'DEFAULT' ELSE 'IDENTITY' END)
      FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid AND relkind = 'r'
      WHERE relnamespace = 'booking'::regnamespace AND (atthasdef OR attidentity <> '')
    UNION ALL
      SELECT 4, format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass)
      FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
      WHERE relnamespace = 'booking'::regnamespace AND NOT tgisinternal) AS s (n, change),
     LATERAL lost(change) l
ORDER BY n, change COLLATE "C";
RESET client_min_messages;
SELECT * FROM booking.verify();
-- A trigger that is disabled is named; create_tables() does not enable it.
ALTER TABLE booking.ticket DISABLE TRIGGER _booking_ticket_changed;
SELECT problem FROM booking.verify();
SELECT booking.create_tables();
SELECT problem FROM booking.verify();
ALTER TABLE booking.ticket ENABLE TRIGGER _booking_ticket_changed;
-- A seat that was sold twice without the index.
SELECT format('DROP INDEX %s', indexrelid::regclass) AS drop_seats
FROM pg_index WHERE indrelid = 'booking.ticket'::regclass AND indisunique AND NOT indisprimary \gset
:drop_seats;
INSERT INTO booking.ticket (event_id, user_id, seat) VALUES (1, 2, 'A1');
SELECT code, message FROM outcome('SELECT booking.create_tables()');
DELETE FROM booking.ticket WHERE user_id = 2 AND seat = 'A1';
SELECT booking.create_tables();
-- Tickets that were loaded with their ids.
SELECT setval('booking.ticket_ticket_id_seq', 1, false);
SELECT problem FROM booking.verify();
SELECT problem FROM booking.verify(1);
SELECT booking.create_tables();
SELECT booking.book_ticket(1, 3) > 1 AS booked;

-- ---- names that are taken, columns that are missing ----

CREATE FUNCTION refused(change text) RETURNS TABLE (code text, message text, changed bigint) LANGUAGE plpgsql AS $$
DECLARE before bigint;
BEGIN
    EXECUTE change;
    before := (SELECT count(*) FROM pg_class WHERE relnamespace = 'booking'::regnamespace);
    SELECT o.code, o.message INTO code, message FROM outcome('SELECT booking.create_tables()') o;
    changed := (SELECT count(*) FROM pg_class WHERE relnamespace = 'booking'::regnamespace) - before;
    RAISE SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
    RETURN NEXT;
END
$$;
SET client_min_messages = error;
SELECT n, r.*
FROM (VALUES
    (1, 'CREATE TABLE booking.history (id integer, note text)'),
    (2, 'DROP VIEW booking.sales; CREATE TABLE booking.sales (id integer, total numeric)'),
    (3, 'DROP VIEW booking.sales; CREATE VIEW booking.sales AS SELECT 1 AS id'),
    (4, 'ALTER TABLE booking.hold RENAME TO old; CREATE VIEW booking.hold AS TABLE booking.old'),
    (5, 'ALTER TABLE booking.event RENAME TO old; CREATE TABLE booking.event (id integer, title text)'),
    (6, 'ALTER TABLE booking.ticket DROP redeemed_at CASCADE; DROP TABLE booking.user_limit'),
    (7, 'ALTER TABLE booking.hold RENAME quantity TO places'),
    (8, 'DROP TABLE booking.user_limit')) AS s (n, change), LATERAL refused(change) r
ORDER BY n;
RESET client_min_messages;
SELECT * FROM diagnosed('SELECT booking.create_tables(''uuid'')') \gx
DROP FUNCTION lost, refused;
SELECT * FROM places();
SELECT * FROM booking.verify();
