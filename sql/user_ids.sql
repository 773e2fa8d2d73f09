--
-- User ids of type bigint, uuid and text.
--
-- Promises:
--   - create_tables() creates the tables for one of the three types.  It refuses
--     another type while the tables exist.
--   - Every function takes an id, and book_batch() an array, of any type whose
--     values the column's type can read as text, and literals and parameters
--     without a type.
--   - A bad id raises the error of the type itself.
--   - A session that has used the tables can use tables with another type.
--
-- One session runs everything, once for each type and then for the first type
-- again.  Its plans and caches must not outlive the tables.
CALL recreate_booking();
\set SHOW_CONTEXT never

-- ---- the types ----

SELECT type, o.code, o.message, o.hint
FROM (VALUES (1, 'integer'), (2, 'varchar'), (3, 'uuid[]'), (4, 'uuid'), (5, 'text'), (6, 'bigint'))
       AS t (n, type),
     outcome(format('SELECT booking.create_tables(%L)', type)) o
ORDER BY n;
-- Without an argument, create_tables() accepts the tables as they are.
SELECT booking.create_tables();
SET client_min_messages = warning;
DROP SCHEMA booking CASCADE;
RESET client_min_messages;
CREATE EXTENSION pg_booking;
SELECT code, message FROM outcome('SELECT booking.create_tables(''int4'')');
SELECT to_regclass('booking.ticket') IS NULL AS nothing_made;
SELECT booking.create_tables('uuid');
SELECT booking.create_tables();
SELECT booking.create_tables('uuid');
SELECT code, message FROM outcome('SELECT booking.create_tables(''text'')');
-- A missing table is created with the type of the other tables.
DROP VIEW booking.sales;
DROP TABLE booking.hold, booking.request, booking.user_limit;
SELECT booking.create_tables();
SELECT attrelid::regclass AS table_name, atttypid::regtype AS type
FROM pg_attribute
WHERE attname = 'user_id' AND attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r'
                                           AND relnamespace = 'booking'::regnamespace)
ORDER BY attrelid::regclass::text COLLATE "C";

-- ---- every function, for every type ----

-- Returns a query's result in one line, or its error.
CREATE FUNCTION answer(query text) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SELECT coalesce(string_agg(r::text, %L), %L) FROM (%s) r', ' ', 'no row', query)
    INTO result;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;

-- The statements to try.  A, B and C are three users.  RUN marks a statement that
-- is not a query.
CREATE TEMP TABLE trial (n integer GENERATED ALWAYS AS IDENTITY, statement text);
INSERT INTO trial (statement) VALUES
    ('SELECT booking.book_ticket(1, A)'),
    ('SELECT booking.book_ticket(user_id => A, event_id => 1)'),
    ('SELECT * FROM booking.try_book_ticket(1, B)'),
    ('SELECT booking.book_tickets(1, A, 2)'),
    ('SELECT ord, status FROM booking.book_batch(1, ARRAY[B, A, B])'),
    ('SELECT booking.transfer_ticket(2, C)'),
    ('SELECT hold_id FROM booking.hold_tickets(1, C, 2)'),
    ('SELECT booking.confirm_hold(1)'),
    ('SELECT booking.confirm_hold(1)'),
    ('SELECT hold_id FROM booking.hold_tickets(1, B)'),
    ('SELECT booking.extend_hold(2, ''30 minutes'') > now()'),
    ('SELECT booking.release_hold(2)'),
    ('SELECT hold_id FROM booking.hold_tickets(1, B, 1, ''1 microsecond'')'),
    ('SELECT booking.expire_holds()'),
    ('SELECT booking.confirm_hold(3, ''rebook'')'),
    ('SELECT booking.cancel_ticket(1)'),
    ('SELECT status FROM booking.redeem_ticket(2)'),
    ('SELECT CASE user_id WHEN A THEN ''A'' WHEN B THEN ''B'' WHEN C THEN ''C'' END, count(*)'
     ' FROM booking.ticket GROUP BY user_id ORDER BY 1'),
    -- Idempotency keys.
    ('SELECT booking.book_ticket(1, A, ''key'')'),
    ('SELECT booking.book_ticket(1, A, ''key'')'),
    ('SELECT booking.book_ticket(1, B, ''key'')'),
    ('SELECT hold_id FROM booking.hold_tickets(1, A, 1, NULL, ''hold'')'),
    ('SELECT hold_id FROM booking.hold_tickets(1, A, 1, NULL, ''hold'')'),
    ('SELECT hold_id FROM booking.hold_tickets(1, C, 1, NULL, ''hold'')'),
    -- The staff, and holds that change.
    ('SELECT cardinality(booking.book_as_staff(1, A, 2))'),
    ('SELECT hold_id FROM booking.hold_tickets(1, A, 2)'),
    ('SELECT booking.change_hold(max(hold_id), 1, B) FROM booking.hold'),
    ('SELECT hold_id > 0 FROM booking.hold_tickets(1, B, 1, on_held => ''return'')'),
    ('SELECT booking.exchange_tickets(t.ticket_id, u.ticket_id) FROM booking.ticket t, booking.ticket u'
     ' WHERE t.user_id = A AND u.user_id = B AND t.cancelled_at IS NULL AND u.cancelled_at IS NULL'
     ' AND t.redeemed_at IS NULL AND u.redeemed_at IS NULL ORDER BY t.ticket_id, u.ticket_id LIMIT 1'),
    -- The limit per user.
    ('SELECT status FROM booking.try_book_ticket(2, A)'),
    ('SELECT status FROM booking.try_book_ticket(2, A)'),
    ('SELECT ord, status FROM booking.book_batch(2, ARRAY[A, B, B, C, A])'),
    ('SELECT booking.hold_tickets(2, B)'),
    ('SELECT booking.transfer_ticket(max(ticket_id), A) FROM booking.ticket'
     ' WHERE event_id = 2 AND user_id = B'),
    ('RUN INSERT INTO booking.ticket (event_id, user_id) VALUES (2, B)'),
    ('RUN UPDATE booking.ticket SET user_id = A WHERE event_id = 2 AND user_id = C'),
    ('RUN INSERT INTO booking.hold (event_id, user_id, quantity, expires_at)'
     ' VALUES (2, C, 1, ''infinity'')'),
    -- Plain SQL.
    ('RUN INSERT INTO booking.ticket (event_id, user_id) VALUES (1, A), (1, B)'),
    ('RUN UPDATE booking.ticket SET user_id = B WHERE event_id = 1 AND user_id = A'),
    ('RUN DELETE FROM booking.ticket WHERE event_id = 1 AND user_id = B'),
    ('SELECT available, held, booked FROM booking.availability(1)'),
    ('SELECT available, held, booked FROM booking.sales WHERE event_id = 1'),
    -- The history.
    ('SELECT table_name, action FROM booking.history WHERE user_id = C AND event_id = 1'
     ' ORDER BY history_id'),
    ('SELECT booking.purge(''0'') > 3'),
    -- forget_user().
    ('SELECT booking.book_ticket(1, C, ''key'') > 0'),
    ('SELECT count(*) FROM booking.book_batch(1, ARRAY[B, C], ''batch'')'),
    ('SELECT booking.forget_user(B, A)'),
    ('SELECT booking.forget_user(user_id => C, replacement => A)'),
    ('SELECT booking.forget_user(A, A)'),
    ('SELECT CASE user_id WHEN A THEN ''A'' END, count(*) FROM booking.ticket GROUP BY user_id ORDER BY 1'),
    ('SELECT CASE user_id WHEN A THEN ''A'' END, count(*) FROM booking.hold GROUP BY user_id ORDER BY 1'),
    ('SELECT CASE user_id WHEN A THEN ''A'' END, count(*) FROM booking.history GROUP BY user_id ORDER BY 1'),
    ('SELECT CASE user_ids[1] WHEN A THEN ''A'' END, CASE user_ids[2] WHEN A THEN ''A'' END, CASE user_id WHEN A THEN ''A'' END'
     ' FROM booking.request ORDER BY idempotency_key'),
    ('SELECT count(*) FROM booking.user_limit WHERE user_id IN (B, C)'),
    ('SELECT booking.rebuild_inventory(1)'),
    ('SELECT * FROM booking.verify()');

-- Creates the tables with a type and tries each statement with users of that type.
CREATE FUNCTION answers_with(type text, a text, b text, c text)
RETURNS TABLE (n integer, statement text, answer text)
LANGUAGE plpgsql
SET client_min_messages = warning
AS $$
DECLARE
    t record;
    with_users text;
BEGIN
    DROP SCHEMA booking CASCADE;
    CREATE EXTENSION pg_booking;
    EXECUTE format('SELECT booking.create_tables(%L)', type);
    PERFORM booking.keep_history();
    INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (1, 20, NULL), (2, 10, 1);
    FOR t IN SELECT * FROM trial ORDER BY trial.n LOOP
        n := t.n;
        statement := t.statement;
        with_users := regexp_replace(t.statement, '\mA\M', a, 'g');
        with_users := regexp_replace(with_users, '\mB\M', b, 'g');
        with_users := regexp_replace(with_users, '\mC\M', c, 'g');
        with_users := replace(replace(replace(with_users, 'THEN ''' || a || '''', 'THEN ''A'''),
                                      'THEN ''' || b || '''', 'THEN ''B'''),
                              'THEN ''' || c || '''', 'THEN ''C''');
        IF with_users LIKE 'RUN %' THEN
            SELECT o.code || ': ' || o.message INTO answer FROM outcome(substr(with_users, 5)) o;
        ELSE
            answer := answer(with_users);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
CREATE TEMP TABLE answered AS
    SELECT 'bigint' AS way, * FROM answers_with('bigint', '42', '-7', '9223372036854775807');
SELECT statement, answer FROM answered ORDER BY n;
-- Tables with bigint ids, and ids that are written as text.
INSERT INTO answered
    SELECT 'text form', * FROM answers_with('bigint', '''42''', '''-7''', '''9223372036854775807''');
INSERT INTO answered
    SELECT 'uuid', * FROM answers_with('uuid', '''9f4b2a10-0000-4000-8000-000000000001''',
        '''9F4B2A1000004000800000000000000B''', '''{9f4b2a10-0000-4000-8000-00000000000c}''');
INSERT INTO answered
    SELECT 'text', * FROM answers_with('text', '''Ann''', '''''', quote_literal('Zoë''s ' || repeat('x', 900)));
-- Tables with text ids, and ids that are given as numbers.  Statements that compare
-- user_id are left out.
INSERT INTO answered
    SELECT 'bigint form', * FROM answers_with('text', '42', '-7', '9223372036854775807')
    WHERE statement ~ '^SELECT.*booking\.(\w*book_\w*|hold_tickets|confirm_hold|cancel_ticket)\('
        AND statement !~ 'user_id';
INSERT INTO answered
    SELECT 'bigint again', * FROM answers_with('bigint', '42', '-7', '9223372036854775807');
-- All answers are the same, except those that name a user.
SELECT o.way, o.statement, o.answer, f.answer AS first
FROM answered o JOIN answered f USING (n)
WHERE f.way = 'bigint' AND o.answer IS DISTINCT FROM f.answer
ORDER BY o.way, n;
SELECT way, count(*) FROM answered GROUP BY way ORDER BY way;
SELECT * FROM damage();

-- ---- bad ids ----

SET client_min_messages = warning;
DROP SCHEMA booking CASCADE;
RESET client_min_messages;
CREATE EXTENSION pg_booking;
SELECT booking.create_tables('uuid');
INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (1, 5, 2);
SELECT booking.book_ticket(1, '9f4b2a10-0000-4000-8000-000000000001');
SELECT statement, o.code, o.message
FROM (VALUES
    (1, 'SELECT booking.book_ticket(1, ''me'')'),
    (2, 'SELECT booking.book_ticket(1, 42)'),
    (3, 'SELECT booking.try_book_ticket(1, '''')'),
    (4, 'SELECT booking.book_tickets(1, ''9f4b2a10'', 1)'),
    (5, 'SELECT booking.book_batch(1, ARRAY[''9f4b2a10-0000-4000-8000-000000000001'', ''me''])'),
    (6, 'SELECT booking.book_batch(1, ARRAY[1, 2])'),
    (7, 'SELECT booking.hold_tickets(1, ''me'')'),
    (8, 'SELECT booking.hold_tickets(1, 42)'),
    (9, 'SELECT booking.transfer_ticket(1, ''me'')'),
    (10, 'SELECT booking.transfer_ticket(1, 42)'),
    (13, 'SELECT booking.forget_user(''me'', ''9f4b2a10-0000-4000-8000-000000000001'')'),
    (14, 'SELECT booking.forget_user(42, 43)'),
    (11, 'SELECT booking.book_ticket(1, NULL)'),
    (12, 'SELECT booking.book_ticket(1, ''me'', ''key'')')) AS t (n, statement), outcome(statement) o
ORDER BY n;
-- A parameter without a type chooses the text form.
PREPARE untyped AS SELECT booking.book_ticket(1, $1);
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'untyped';
EXECUTE untyped ('9f4b2a10-0000-4000-8000-000000000002');
DEALLOCATE untyped;
SELECT count(*) FROM booking.request;
SELECT * FROM places();
-- Tables with bigint ids.
SET client_min_messages = warning;
DROP SCHEMA booking CASCADE;
RESET client_min_messages;
CREATE EXTENSION pg_booking;
SELECT booking.create_tables();
INSERT INTO booking.event (event_id, capacity) VALUES (1, 5);
SELECT id, o.code, o.message
FROM (VALUES (1, ' 42 '), (2, '4.5'), (3, 'me'), (4, ''), (5, '9223372036854775808')) AS t (n, id),
     outcome(format('SELECT booking.book_ticket(1, %L)', id)) o
ORDER BY n;
SELECT user_id FROM booking.ticket;

-- ---- ids of other types ----

CREATE DOMAIN customer AS bigint;
CREATE DOMAIN customer_name AS text;
CREATE DOMAIN customer_names AS text[];
CREATE DOMAIN customer_code AS char(4);
CREATE TYPE customer_kind AS ENUM ('42', 'guest');
-- Passes an id to every function.  Returns the users that they stored, or the error:
-- book_ticket(), try_book_ticket(), book_tickets(), book_batch(), hold_tickets(),
-- transfer_ticket() (twice, and only the first changes the user), forget_user().
CREATE FUNCTION stored(id text) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    call text;
    row_id bigint;
    changed boolean;
    stored text;
    result text[];
BEGIN
    FOREACH call IN ARRAY ARRAY['booking.book_ticket(1, %1$s)',
        '(SELECT ticket_id FROM booking.try_book_ticket(1, %1$s))',
        '(booking.book_tickets(1, %1$s, 1))[1]',
        '(SELECT ticket_id FROM booking.book_batch(1, ARRAY[%1$s]))'] LOOP
        EXECUTE format('SELECT ' || call, id) INTO row_id;
        SELECT user_id::text INTO stored FROM booking.ticket WHERE ticket_id = row_id;
        result := result || stored;
    END LOOP;
    EXECUTE format('SELECT hold_id FROM booking.hold_tickets(1, %s)', id) INTO row_id;
    SELECT user_id::text INTO stored FROM booking.hold WHERE hold_id = row_id;
    result := result || stored;
    INSERT INTO booking.ticket (event_id, user_id) VALUES (1, '7') RETURNING ticket_id INTO row_id;
    FOR i IN 1..2 LOOP
        EXECUTE format('SELECT booking.transfer_ticket(%s, %s)', row_id, id) INTO changed;
        result := result || changed::text;
    END LOOP;
    EXECUTE format('SELECT booking.forget_user(%s, 7::oid)', id) INTO row_id;
    result := result || row_id::text;
    RETURN array_to_string(result, ' ');
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;
CREATE TEMP TABLE written (n integer GENERATED ALWAYS AS IDENTITY, id text);
INSERT INTO written (id) VALUES
    ('42'), ('42::smallint'), ('42::bigint'), ('42::oid'), ('42::numeric'), ('42.0'), ('42.5'),
    ('42::float8'), ('42::customer'), ('''42'''), ('''42''::text'), ('''42''::varchar'),
    ('''42''::char(4)'), ('''42''::customer_code'), ('''42''::name'), ('''42''::customer_name'), ('''42''::customer_kind'),
    ('99999999999999999999'), ('ARRAY[42]'), ('true'), ('ROW(42)'), ('pg_sleep(0)'), ('''42''::json'), ('''42''::jsonb'), ('''2042-01-01''::date'), ('''\x42''::bytea');
UPDATE booking.event SET capacity = 1000;
SELECT id, stored(id) FROM written ORDER BY n;
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 42), (1, 42);
SELECT booking.forget_user(42, '8') AS changed, booking.forget_user('8', 42::numeric) AS changed_back;
SELECT code, message FROM outcome('PREPARE untyped AS SELECT booking.forget_user(42, $1)');
SELECT * FROM booking.verify();

-- Arrays, with a type and without.
SELECT n, users, o.code, o.message
FROM (VALUES
    (1, '''{42,43}'''), (2, '''{}'''), (3, '''{42,NULL}'''), (4, '''{42'''), (5, '''42'''),
    (6, '''{{42,43},{44,45}}'''), (7, '''[5:6]={42,43}'''), (8, 'ARRAY[42::smallint]'),
    (9, 'ARRAY[42::numeric]'), (10, 'ARRAY[''42''::varchar]'), (11, 'ARRAY[42::customer]'),
    (12, '''{42}''::customer_names'), (13, '''{42}''::text'), (14, '''{42}''::customer_name'),
    (15, '''42''::int2vector'), (16, 'ARRAY[NULL::integer]'), (17, 'NULL'), (18, '42'),
    (19, 'ARRAY[]::uuid[]'), (20, 'ARRAY[ROW(1, 2)]'), (21, 'ARRAY[''42''::char(4)]')) AS t (n, users),
    outcome(format('SELECT booking.book_batch(1, %s)', users)) o
ORDER BY n;
PREPARE untyped AS SELECT count(*) FROM booking.book_batch(1, $1);
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'untyped';
EXECUTE untyped ('{44,45}');
DEALLOCATE untyped;
SELECT user_id, count(*) FROM booking.ticket GROUP BY user_id ORDER BY user_id;

-- Tables with uuid and text ids.
SET client_min_messages = warning;
DROP SCHEMA booking CASCADE;
RESET client_min_messages;
CREATE EXTENSION pg_booking;
SELECT booking.create_tables('uuid');
INSERT INTO booking.event (event_id, capacity) VALUES (1, 1000);
SELECT booking.book_ticket(1, '9f4b2a10-0000-4000-8000-000000000001'::uuid) AS by_uuid,
       booking.book_ticket(1, '{9F4B2A10-0000-4000-8000-000000000001}'::varchar) AS by_varchar,
       booking.book_ticket(1, '9f4b2a10000040008000000000000001'::text) AS by_text;
SELECT ord, status
FROM booking.book_batch(1, ARRAY['9f4b2a10-0000-4000-8000-000000000001']::uuid[]);
SELECT user_id, count(*) FROM booking.ticket GROUP BY user_id;
SELECT code, message FROM outcome('SELECT booking.book_ticket(1, 42::numeric)');
SET client_min_messages = warning;
DROP SCHEMA booking CASCADE;
RESET client_min_messages;
CREATE EXTENSION pg_booking;
SELECT booking.create_tables('text');
INSERT INTO booking.event (event_id, capacity) VALUES (1, 1000);
SELECT id, stored(id) FROM written ORDER BY n;
SELECT * FROM booking.verify();
DROP FUNCTION stored;
DROP TABLE written;
DROP DOMAIN customer, customer_name, customer_names, customer_code;
DROP TYPE customer_kind;

-- Tables with text ids: every text is an id, and similar ids are different users.
SET client_min_messages = warning;
DROP SCHEMA booking CASCADE;
RESET client_min_messages;
CREATE EXTENSION pg_booking;
SELECT booking.create_tables('text');
INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (1, 20, 1), (2, 20, NULL);
SELECT id, status
FROM (VALUES (1, 'a'), (2, 'A'), (3, ' a'), (4, ''), (5, '1'), (6, '01'), (7, 'a'), (8, ''))
       AS t (n, id), booking.try_book_ticket(1, id)
ORDER BY n;
-- The number 1 and the text '1' are the same user.
SELECT status FROM booking.try_book_ticket(1, 1);
SELECT status FROM booking.try_book_ticket(1, 2);
SELECT status FROM booking.try_book_ticket(1, '2');
-- A long id: plain, stored out of line, and too long for the index.
CREATE TEMP TABLE long_id (id text);
ALTER TABLE long_id ALTER id SET STORAGE EXTERNAL;
INSERT INTO long_id VALUES (repeat('long', 2500));
SELECT status FROM long_id, booking.try_book_ticket(2, id);
SELECT hold_id > 0 AS held FROM long_id, booking.hold_tickets(2, id, 2, NULL, 'key');
SELECT ord, status FROM booking.book_batch(2, ARRAY(SELECT id FROM long_id));
SELECT cardinality(booking.confirm_hold(hold_id)) AS tickets FROM booking.hold;
SELECT count(*) FROM booking.ticket JOIN long_id ON user_id = id;
SELECT code FROM outcome('SELECT booking.book_ticket(2, string_agg(md5(i::text), ''''))'
                         ' FROM generate_series(1, 500) i');
SELECT * FROM booking.availability(2);

-- The owner has allowed nulls.  A ticket of no user is refused by the trigger.
BEGIN;
ALTER TABLE booking.ticket ALTER user_id DROP NOT NULL;
SET LOCAL session_replication_role = replica;
INSERT INTO booking.ticket (ticket_id, event_id, user_id) VALUES (1001, 2, NULL), (1002, 2, NULL);
SET LOCAL session_replication_role = origin;
SELECT code, message FROM outcome('SELECT booking.cancel_ticket(1001)');
SELECT code, message FROM outcome('SELECT booking.transfer_ticket(1002, ''a'')');
ROLLBACK;

DROP FUNCTION answers_with, answer;
DROP TABLE trial, answered, long_id;
SELECT * FROM damage();
SELECT * FROM booking.verify();
