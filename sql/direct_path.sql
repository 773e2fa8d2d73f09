--
-- The direct path and the SQL path: the two ways in which functions insert a
-- ticket.
--
-- Promises:
--   - Functions take the direct path while the ticket table is as create_tables()
--     made it.  More indexes are allowed, and columns that can be null or have a
--     simple default.
--   - Foreign keys and other AFTER ROW triggers fire on the direct path, too.
--   - They take the SQL path if an INSERT would do anything else, and everything
--     that the user added works.
--   - They return to the direct path when the addition is dropped, also in
--     sessions that are already open.
--   - If a user's trigger or rule changes what was booked, the function raises
--     55000 and changes nothing.
--   - Indexes of every kind are correct on both paths.
CALL recreate_booking();
\set SHOW_CONTEXT never

INSERT INTO booking.event (event_id, capacity) VALUES (1, 1000), (2, 10);

-- Returns the path that a booking takes.  The SQL path fires pg_booking's trigger
-- and the direct path does not.  The function sets booking.direct_path itself.
CREATE FUNCTION path_taken() RETURNS text
LANGUAGE plpgsql
SET track_functions = 'all'
SET booking.direct_path = on
AS $$
DECLARE
    calls bigint := coalesce(pg_stat_get_xact_function_calls(
                               'booking.ticket_changed'::regproc), 0);
    path text;
BEGIN
    PERFORM booking.book_ticket(1, 1);
    calls := coalesce(pg_stat_get_xact_function_calls('booking.ticket_changed'::regproc), 0) - calls;
    RETURN CASE calls WHEN 0 THEN 'direct' WHEN 1 THEN 'SQL' ELSE calls || ' calls' END;
END
$$;
SELECT path_taken() AS as_made;
-- What the indexes look like is kept from call to call.
SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'pg_booking row writer';
-- The check would be useless if it could not see the SQL path.
CREATE FUNCTION path_taken_when_off() RETURNS text
LANGUAGE plpgsql
SET track_functions = 'all'
SET booking.direct_path = off
AS $$
DECLARE
    calls bigint := coalesce(pg_stat_get_xact_function_calls(
                               'booking.ticket_changed'::regproc), 0);
BEGIN
    PERFORM booking.book_ticket(1, 1);
    calls := coalesce(pg_stat_get_xact_function_calls('booking.ticket_changed'::regproc), 0) - calls;
    RETURN CASE calls WHEN 0 THEN 'direct' ELSE 'SQL' END;
END
$$;
SELECT path_taken_when_off();

-- What the user adds, and removes again, in one session.
CREATE TABLE parent (ticket_id bigint PRIMARY KEY);
CREATE TABLE ancestor (seat text);
CREATE TABLE log (what text);
CREATE FUNCTION trigger_noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION note_of(text) RETURNS text IMMUTABLE LANGUAGE sql RETURN 'by ' || $1;
CREATE FUNCTION note_now() RETURNS text VOLATILE LANGUAGE plpgsql AS 'BEGIN RETURN now()::text; END';
CREATE DOMAIN note_domain AS text NOT NULL DEFAULT 'none';
CREATE SEQUENCE note_number;
CREATE FUNCTION note_diff(timestamptz, timestamptz) RETURNS float8 IMMUTABLE LANGUAGE sql
RETURN extract(epoch FROM $1 - $2);
CREATE TYPE note_range AS RANGE (subtype = timestamptz, subtype_diff = note_diff);

CREATE TEMP TABLE addition (n integer, add text, remove text);
INSERT INTO addition VALUES
    (1, 'ALTER TABLE booking.ticket ADD COLUMN note text DEFAULT note_now()',
        'ALTER TABLE booking.ticket DROP COLUMN note'),
    (2, 'ALTER TABLE booking.ticket ADD COLUMN note text DEFAULT note_of(''hand'')',
        'ALTER TABLE booking.ticket DROP COLUMN note'),
    (3, 'ALTER TABLE booking.ticket ADD COLUMN twice bigint GENERATED ALWAYS AS (user_id * 2) STORED',
        'ALTER TABLE booking.ticket DROP COLUMN twice'),
    (4, 'ALTER TABLE booking.ticket ADD CONSTRAINT c CHECK (user_id > 0)',
        'ALTER TABLE booking.ticket DROP CONSTRAINT c'),
    (5, 'ALTER TABLE booking.ticket ADD CONSTRAINT c CHECK (user_id > 0) NOT VALID',
        'ALTER TABLE booking.ticket DROP CONSTRAINT c'),
    (6, 'ALTER TABLE booking.ticket ADD CONSTRAINT f FOREIGN KEY (event_id) REFERENCES booking.event',
        'ALTER TABLE booking.ticket DROP CONSTRAINT f'),
    (7, 'ALTER TABLE booking.ticket ADD CONSTRAINT u UNIQUE (ticket_id, user_id) DEFERRABLE',
        'ALTER TABLE booking.ticket DROP CONSTRAINT u'),
    (8, 'CREATE TRIGGER t BEFORE INSERT ON booking.ticket FOR EACH ROW'
        ' EXECUTE FUNCTION trigger_noop()', 'DROP TRIGGER t ON booking.ticket'),
    (9, 'CREATE TRIGGER t AFTER INSERT ON booking.ticket FOR EACH ROW'
        ' EXECUTE FUNCTION trigger_noop()', 'DROP TRIGGER t ON booking.ticket'),
    (10, 'CREATE TRIGGER t BEFORE INSERT ON booking.ticket FOR EACH STATEMENT'
         ' EXECUTE FUNCTION trigger_noop()', 'DROP TRIGGER t ON booking.ticket'),
    (11, 'CREATE TRIGGER t AFTER INSERT ON booking.ticket REFERENCING NEW TABLE AS n'
         ' FOR EACH STATEMENT EXECUTE FUNCTION trigger_noop()', 'DROP TRIGGER t ON booking.ticket'),
    (12, 'CREATE CONSTRAINT TRIGGER t AFTER INSERT ON booking.ticket DEFERRABLE INITIALLY DEFERRED'
         ' FOR EACH ROW EXECUTE FUNCTION trigger_noop()', 'DROP TRIGGER t ON booking.ticket'),
    (13, 'ALTER TABLE booking.ticket ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
         'ALTER TABLE booking.ticket DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY'),
    (14, 'CREATE TABLE child () INHERITS (booking.ticket)', 'DROP TABLE child'),
    (15, 'ALTER TABLE booking.ticket INHERIT ancestor',
         'ALTER TABLE booking.ticket NO INHERIT ancestor'),
    (16, 'ALTER TABLE booking.ticket ALTER seat SET DEFAULT ''standing''',
         'ALTER TABLE booking.ticket ALTER seat DROP DEFAULT'),
    (17, 'ALTER TABLE booking.ticket ALTER booked_at SET DEFAULT now() + interval ''1 hour''',
         'ALTER TABLE booking.ticket ALTER booked_at SET DEFAULT clock_timestamp()'),
    (18, 'CREATE TRIGGER t AFTER INSERT ON booking.ticket FOR EACH ROW'
         ' WHEN (NEW.user_id > 0) EXECUTE FUNCTION trigger_noop()', 'DROP TRIGGER t ON booking.ticket'),
    (19, 'ALTER TABLE booking.ticket ADD COLUMN note note_domain',
         'ALTER TABLE booking.ticket DROP COLUMN note'),
    (20, 'ALTER TABLE booking.ticket ADD COLUMN number bigint GENERATED BY DEFAULT AS IDENTITY',
         'ALTER TABLE booking.ticket DROP COLUMN number'),
    (21, 'ALTER TABLE booking.ticket ADD COLUMN note xml DEFAULT query_to_xml(''SELECT 1'', false, false, '''')',
         'ALTER TABLE booking.ticket DROP COLUMN note'),
    (23, 'ALTER TABLE booking.ticket ADD COLUMN note boolean DEFAULT elem_contained_by_range(now(), ''[2000-01-01,2100-01-01)''::note_range)',
         'ALTER TABLE booking.ticket DROP COLUMN note'),
    (24, 'ALTER TABLE booking.ticket ADD COLUMN note name DEFAULT current_schema',
         'ALTER TABLE booking.ticket DROP COLUMN note'),
    (22, 'ALTER TABLE booking.ticket ALTER booked_at DROP DEFAULT, ALTER booked_at DROP NOT NULL',
         'ALTER TABLE booking.ticket ALTER booked_at SET DEFAULT clock_timestamp()');
-- These don't change what an INSERT does, so functions stay on the direct path.
INSERT INTO addition VALUES
    (31, 'CREATE INDEX i ON booking.ticket (booked_at)', 'DROP INDEX booking.i'),
    (32, 'CREATE TRIGGER t BEFORE UPDATE OR DELETE ON booking.ticket FOR EACH ROW'
         ' EXECUTE FUNCTION trigger_noop()', 'DROP TRIGGER t ON booking.ticket'),
    (33, 'ALTER TABLE booking.ticket ENABLE ROW LEVEL SECURITY',
         'ALTER TABLE booking.ticket DISABLE ROW LEVEL SECURITY'),
    (34, 'CREATE VIEW v AS SELECT * FROM booking.ticket', 'DROP VIEW v'),
    (35, 'ALTER TABLE booking.ticket ALTER ticket_id SET GENERATED ALWAYS',
         'ALTER TABLE booking.ticket ALTER ticket_id SET GENERATED BY DEFAULT'),
    (36, 'ALTER TABLE parent ADD FOREIGN KEY (ticket_id) REFERENCES booking.ticket NOT VALID',
         'ALTER TABLE parent DROP CONSTRAINT parent_ticket_id_fkey'),
    (37, 'ALTER TABLE booking.ticket ALTER redeemed_at SET DEFAULT NULL',
         'ALTER TABLE booking.ticket ALTER redeemed_at DROP DEFAULT'),
    (38, 'ALTER TABLE booking.ticket ADD COLUMN note text',
         'ALTER TABLE booking.ticket DROP COLUMN note'),
    (39, 'ALTER TABLE booking.ticket ADD COLUMN price integer NOT NULL DEFAULT 10',
         'ALTER TABLE booking.ticket DROP COLUMN price'),
    (40, 'ALTER TABLE booking.ticket ADD COLUMN price bigint DEFAULT 10, ADD COLUMN note varchar(3) DEFAULT ''abc''',
         'ALTER TABLE booking.ticket DROP COLUMN price, DROP COLUMN note'),
    (41, 'ALTER TABLE booking.ticket ADD COLUMN code uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE',
         'ALTER TABLE booking.ticket DROP COLUMN code'),
    (42, 'ALTER TABLE booking.ticket ADD COLUMN number bigint DEFAULT nextval(''note_number'')',
         'ALTER TABLE booking.ticket DROP COLUMN number'),
    (43, 'ALTER TABLE booking.ticket ADD COLUMN day date DEFAULT current_date, ADD COLUMN who name DEFAULT current_user',
         'ALTER TABLE booking.ticket DROP COLUMN day, DROP COLUMN who'),
    (45, 'ALTER TABLE booking.ticket ADD COLUMN price numeric(6,2) DEFAULT nullif(current_setting(''shop.price'', true), '''')::numeric',
         'ALTER TABLE booking.ticket DROP COLUMN price'),
    (44, 'ALTER TABLE booking.ticket ALTER booked_at SET DEFAULT now()',
         'ALTER TABLE booking.ticket ALTER booked_at SET DEFAULT clock_timestamp()');

CREATE PROCEDURE try_paths()
LANGUAGE plpgsql
AS $$
DECLARE
    a record;
    added text;
BEGIN
    FOR a IN SELECT * FROM addition ORDER BY n LOOP
        EXECUTE a.add;
        added := path_taken();
        COMMIT;
        EXECUTE a.remove;
        RAISE INFO '%: %, then %', a.n, added, path_taken();
    END LOOP;
END
$$;
CALL try_paths();
SELECT * FROM booking.verify();

-- The additions are made and rolled back in one transaction.
BEGIN;
ALTER TABLE booking.ticket ADD COLUMN price text DEFAULT note_now();
SELECT path_taken();
SAVEPOINT a;
ALTER TABLE booking.ticket DROP COLUMN price;
SELECT path_taken();
ROLLBACK TO a;
SELECT path_taken();
ROLLBACK;
SELECT path_taken();

-- Simple defaults are filled on the direct path, one by one and in a batch.
ALTER TABLE booking.ticket ALTER booked_at SET DEFAULT '2020-02-02 00:00+00',
    ADD COLUMN code uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    ADD COLUMN number bigint DEFAULT nextval('note_number'),
    ADD COLUMN long text DEFAULT repeat('x', 100),
    ADD COLUMN who text DEFAULT current_user,
    ADD COLUMN nothing text;
SELECT path_taken();
SELECT booking.book_ticket(1, 19) AS ticket \gset
SELECT cardinality(booking.book_tickets(1, 19, 200));
SELECT count(DISTINCT code) AS codes, max(number) - min(number) AS numbers, min(length(long)) AS long,
       bool_and(who = current_user) AS who, count(nothing) AS nothing,
       bool_and(booked_at = '2020-02-02 00:00+00') AS booked_at
FROM booking.ticket WHERE user_id = 19;
SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'pg_booking row writer';
-- Details of a booking come from a setting.
ALTER TABLE booking.ticket ADD COLUMN details jsonb DEFAULT nullif(current_setting('shop.details', true), '')::jsonb;
BEGIN;
SET LOCAL shop.details = '{"price": 12}';
SELECT path_taken();
COMMIT;
SELECT path_taken();
SELECT details FROM booking.ticket WHERE user_id = 1 ORDER BY ticket_id DESC LIMIT 2;
BEGIN;
SET LOCAL shop.details = '{';
SELECT code, message FROM outcome('SELECT booking.book_ticket(1, 1)');
ROLLBACK;
ALTER TABLE booking.ticket DROP COLUMN details;
-- A default is changed, and one that has become null is refused.
ALTER TABLE booking.ticket ALTER who SET DEFAULT 'else';
SELECT booking.book_ticket(1, 18) AS ticket \gset
SELECT who FROM booking.ticket WHERE ticket_id = :ticket;
ALTER TABLE booking.ticket ALTER long SET NOT NULL, ALTER long SET DEFAULT lower(NULL);
SELECT code, message FROM outcome('SELECT booking.book_ticket(1, 18)');
ALTER TABLE booking.ticket ALTER long SET DEFAULT 'y';
ALTER TABLE booking.ticket ALTER code SET DEFAULT '00000000-0000-0000-0000-000000000001';
SELECT code FROM outcome('SELECT booking.book_tickets(1, 18, 2)');
SELECT path_taken();
ALTER TABLE booking.ticket DROP COLUMN code, DROP COLUMN number, DROP COLUMN long, DROP COLUMN who,
    DROP COLUMN nothing, ALTER booked_at SET DEFAULT clock_timestamp();

-- Defaults and generated columns are filled.
ALTER TABLE booking.ticket
    ADD COLUMN price integer NOT NULL DEFAULT 10,
    ADD COLUMN who text DEFAULT current_user,
    ADD COLUMN twice bigint GENERATED ALWAYS AS (user_id * 2) STORED;
SELECT booking.book_ticket(1, 21) AS ticket \gset
SELECT user_id, price, who = current_user AS who, twice
FROM booking.ticket WHERE ticket_id = :ticket;
ALTER TABLE booking.ticket DROP COLUMN price, DROP COLUMN who, DROP COLUMN twice;
SELECT booking.book_ticket(1, 22) AS ticket \gset
SELECT user_id, seat, redeemed_at, cancelled_at FROM booking.ticket WHERE ticket_id = :ticket;

-- Constraints are enforced.  A ticket that they refuse takes no place.
SELECT * FROM booking.availability(1) \gset before_
ALTER TABLE booking.ticket ADD CONSTRAINT adult CHECK (user_id > 0);
SELECT code, message FROM outcome('SELECT booking.book_ticket(1, -1)');
ALTER TABLE booking.ticket DROP CONSTRAINT adult;
CREATE TABLE customer (user_id bigint PRIMARY KEY);
INSERT INTO customer VALUES (23);
ALTER TABLE booking.ticket ADD CONSTRAINT customer FOREIGN KEY (user_id) REFERENCES customer
    NOT VALID;
SELECT booking.book_ticket(1, 24);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.book_tickets(1, 24, 2);
\echo :LAST_ERROR_SQLSTATE
SELECT available = :before_available AS same FROM booking.availability(1);
SELECT booking.book_ticket(1, 23) > 0 AS booked;
ALTER TABLE booking.ticket DROP CONSTRAINT customer;
-- Those that are deferred are enforced at the commit.
ALTER TABLE booking.ticket ADD CONSTRAINT customer FOREIGN KEY (user_id) REFERENCES customer
    DEFERRABLE INITIALLY DEFERRED NOT VALID;
ALTER TABLE booking.ticket ADD CONSTRAINT once EXCLUDE (user_id WITH =)
    WHERE (user_id BETWEEN 25 AND 29) DEFERRABLE INITIALLY DEFERRED;
BEGIN;
SELECT booking.book_ticket(1, 25) > 0 AS booked;
INSERT INTO customer VALUES (25);
COMMIT;
BEGIN;
SELECT booking.book_ticket(1, 26) > 0 AS booked;
COMMIT;
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SELECT booking.book_ticket(1, 26) > 0 AS booked;
SET CONSTRAINTS ALL IMMEDIATE;
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN;
INSERT INTO customer VALUES (27);
SELECT cardinality(booking.book_tickets(1, 27, 2)) AS tickets;
DELETE FROM booking.ticket WHERE ticket_id = (SELECT max(ticket_id) FROM booking.ticket);
COMMIT;
BEGIN;
SELECT booking.book_ticket(1, 27) > 0 AS booked;
COMMIT;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE booking.ticket DROP CONSTRAINT customer, DROP CONSTRAINT once;
ALTER TABLE booking.ticket ALTER seat SET NOT NULL;
\echo :LAST_ERROR_SQLSTATE
CREATE UNIQUE INDEX one_each ON booking.ticket (user_id) WHERE user_id BETWEEN 100 AND 200;
SELECT booking.book_ticket(1, 100) > 0 AS booked;
SELECT booking.book_ticket(1, 100);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.book_tickets(1, 101, 2);
\echo :LAST_ERROR_SQLSTATE
DROP INDEX booking.one_each;
SELECT * FROM booking.verify();

-- Triggers run in their order and can fill columns.
ALTER TABLE booking.ticket ADD COLUMN code text;
CREATE FUNCTION fill_code() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.code := 'T-' || NEW.user_id;
    RETURN NEW;
END
$$;
CREATE FUNCTION log_tickets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.log
    SELECT format('%s tickets, available %s', count(*), (booking.availability(2)).available)
    FROM inserted;
    RETURN NULL;
END
$$;
CREATE TRIGGER fill BEFORE INSERT ON booking.ticket FOR EACH ROW EXECUTE FUNCTION fill_code();
CREATE TRIGGER log AFTER INSERT ON booking.ticket REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION log_tickets();
SELECT cardinality(booking.book_tickets(2, 31, 3)) AS tickets;
SELECT status FROM booking.try_book_ticket(2, 32);
SELECT user_id, code FROM booking.ticket WHERE event_id = 2 ORDER BY ticket_id;
TABLE log;
TRUNCATE log;
DROP TRIGGER fill ON booking.ticket;
DROP TRIGGER log ON booking.ticket;
ALTER TABLE booking.ticket DROP COLUMN code;
SELECT path_taken();

SELECT * FROM booking.verify();

-- A trigger drops a ticket, changes its event or cancels it.  The function raises
-- 55000 and changes nothing, for one ticket and for several.
CREATE FUNCTION misbehave() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.user_id = 41 THEN
        RETURN NULL;
    ELSIF NEW.user_id = 42 THEN
        NEW.event_id := 1;
    ELSIF NEW.user_id = 43 THEN
        NEW.cancelled_at := now();
    ELSIF NEW.user_id = 44 THEN
        NEW.event_id := 99;
    ELSIF NEW.user_id = 45 AND NEW.ticket_id % 3 = 0 THEN
        RETURN NULL;
    ELSIF NEW.user_id = 46 THEN
        NEW.event_id := NULL;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER misbehave BEFORE INSERT ON booking.ticket
    FOR EACH ROW EXECUTE FUNCTION misbehave();
SELECT u, o.code, o.message FROM generate_series(41, 46) u,
    outcome(format('SELECT booking.book_tickets(2, %s, 3)', u)) o ORDER BY u;
SELECT booking.book_ticket(2, 41);
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM booking.ticket WHERE user_id BETWEEN 41 AND 46;
SELECT * FROM places();
-- A plain INSERT takes places only for what the trigger left.
INSERT INTO booking.ticket (event_id, user_id) VALUES (2, 41), (2, 42), (2, 43), (2, 47);
SELECT event_id, user_id, cancelled_at IS NOT NULL AS cancelled
FROM booking.ticket WHERE user_id BETWEEN 41 AND 47 ORDER BY user_id;
SELECT * FROM booking.verify();
DROP TRIGGER misbehave ON booking.ticket;

-- The same when tickets are cancelled, redeemed and transferred.
CREATE FUNCTION obstruct() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE OLD.user_id WHEN 51 THEN NULL ELSE OLD END;
END
$$;
CREATE FUNCTION divert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.event_id := 1;
    RETURN NEW;
END
$$;
INSERT INTO booking.ticket (ticket_id, event_id, user_id)
VALUES (-1, 1, 51), (-2, 1, 52), (-3, 2, 53);
CREATE TRIGGER obstruct BEFORE UPDATE ON booking.ticket
    FOR EACH ROW WHEN (OLD.user_id IN (51, 52)) EXECUTE FUNCTION obstruct();
CREATE TRIGGER divert BEFORE UPDATE ON booking.ticket
    FOR EACH ROW WHEN (OLD.user_id = 53) EXECUTE FUNCTION divert();
SELECT t, o.code FROM (VALUES (-1), (-2), (-3)) AS v (t),
    outcome(format('SELECT booking.cancel_ticket(%s)', t)) o ORDER BY t DESC;
SELECT t, o.code FROM (VALUES (-1), (-2)) AS v (t),
    outcome(format('SELECT booking.redeem_ticket(%s)', t)) o ORDER BY t DESC;
SELECT t, o.code FROM (VALUES (-1), (-2)) AS v (t),
    outcome(format('SELECT booking.transfer_ticket(%s, 54)', t)) o ORDER BY t DESC;
SELECT ticket_id, event_id, user_id, redeemed_at, cancelled_at
FROM booking.ticket WHERE ticket_id < 0 ORDER BY 1 DESC;
SELECT * FROM booking.verify();
DROP TRIGGER obstruct ON booking.ticket;
DROP TRIGGER divert ON booking.ticket;
DELETE FROM booking.ticket WHERE ticket_id < 0;

-- A trigger books a ticket itself.  Its places are counted apart from the
-- function's, whether or not the trigger's block is rolled back.
CREATE FUNCTION companion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.user_id = 61 THEN
        INSERT INTO booking.ticket (event_id, user_id) VALUES (NEW.event_id, 1061);
    ELSIF NEW.user_id = 62 THEN
        PERFORM booking.book_ticket(NEW.event_id, 1062);
    ELSIF NEW.user_id = 63 THEN
        BEGIN
            INSERT INTO booking.ticket (event_id, user_id) VALUES (NEW.event_id, 1063);
            RAISE division_by_zero;
        EXCEPTION WHEN division_by_zero THEN
        END;
    ELSIF NEW.user_id = 64 THEN
        BEGIN
            PERFORM booking.book_tickets(NEW.event_id, 1064, 2);
        EXCEPTION WHEN SQLSTATE '23T01' THEN
            INSERT INTO public.log VALUES ('no places for companions');
        END;
    ELSIF NEW.user_id = 65 THEN
        DELETE FROM booking.ticket WHERE event_id = NEW.event_id AND user_id > 1000;
    ELSIF NEW.user_id = 66 THEN
        BEGIN
            UPDATE booking.ticket SET cancelled_at = now() WHERE event_id = NEW.event_id;
            PERFORM booking.book_ticket(1, 1066);
            RAISE division_by_zero;
        EXCEPTION WHEN division_by_zero THEN
        END;
    ELSIF NEW.user_id = 67 THEN
        UPDATE booking.ticket SET cancelled_at = now()
        WHERE event_id = NEW.event_id AND cancelled_at IS NULL;
    ELSIF NEW.user_id = 68 THEN
        INSERT INTO booking.ticket (event_id, user_id, cancelled_at)
        VALUES (NEW.event_id, 1068, now()), (1, 1068, NULL);
    ELSIF NEW.user_id = 69 AND pg_trigger_depth() = 1 THEN
        -- For the same user.  The rolled-back INSERT must not use up the handover.
        BEGIN
            INSERT INTO booking.ticket (event_id, user_id) VALUES (NEW.event_id, 69);
            RAISE division_by_zero;
        EXCEPTION WHEN division_by_zero THEN
        END;
    ELSIF NEW.user_id = 70 THEN
        -- What was kept of the table is made again, while the outer call goes on.
        GRANT SELECT ON booking.ticket TO CURRENT_USER;
        PERFORM booking.book_ticket(NEW.event_id, 1070);
    END IF;
    RETURN coalesce(NEW, OLD);
END
$$;
DELETE FROM booking.ticket WHERE event_id = 2;
CREATE PROCEDURE companions(moment text)
LANGUAGE plpgsql
AS $$
DECLARE
    u bigint;
    o record;
BEGIN
    EXECUTE format('CREATE TRIGGER a_companion %s INSERT ON booking.ticket'
                   ' FOR EACH ROW EXECUTE FUNCTION companion()', moment);
    FOR u IN SELECT generate_series(61, 70) LOOP
        DELETE FROM booking.ticket WHERE event_id = 2;
        INSERT INTO booking.ticket (event_id, user_id)
        SELECT 2, CASE n % 2 WHEN 0 THEN 1000 + u ELSE 5 END FROM generate_series(1, 6) n;
        FOR o IN SELECT code FROM outcome(format('SELECT booking.book_ticket(2, %s)', u))
                 UNION ALL
                 SELECT code FROM outcome(format('SELECT booking.book_tickets(2, %s, 2)', u))
                 UNION ALL
                 SELECT code FROM outcome(format('INSERT INTO booking.ticket (event_id, user_id)'
                                                 ' VALUES (2, %s)', u))
        LOOP
            RAISE INFO '% %: %, live %, %', moment, u, o.code,
                (SELECT count(*) FROM booking.ticket WHERE event_id = 2 AND cancelled_at IS NULL),
                (SELECT CASE WHEN count(*) = 0 THEN 'all is well' ELSE max(problem) END
                 FROM booking.verify());
        END LOOP;
    END LOOP;
    DELETE FROM booking.ticket WHERE event_id = 2 OR user_id > 1000;
    DROP TRIGGER a_companion ON booking.ticket;
END
$$;
CALL companions('BEFORE');
CALL companions('AFTER');
TABLE log;
TRUNCATE log;
SELECT * FROM booking.verify();

-- A trigger books and cancels tickets when a ticket is cancelled.
CREATE FUNCTION cancel_companion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.user_id = 71 AND NEW.cancelled_at IS NOT NULL THEN
        UPDATE booking.ticket SET cancelled_at = now()
        WHERE user_id = 72 AND cancelled_at IS NULL;
        PERFORM booking.cancel_ticket(ticket_id) FROM booking.ticket
        WHERE user_id = 73 AND cancelled_at IS NULL;
        BEGIN
            INSERT INTO booking.ticket (event_id, user_id) VALUES (2, 74);
            DELETE FROM booking.ticket WHERE user_id = 75;
            RAISE division_by_zero;
        EXCEPTION WHEN division_by_zero THEN
        END;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER cancel_companion BEFORE UPDATE ON booking.ticket
    FOR EACH ROW EXECUTE FUNCTION cancel_companion();
INSERT INTO booking.ticket (ticket_id, event_id, user_id)
VALUES (-1, 2, 71), (-2, 2, 72), (-3, 2, 73), (-5, 2, 75);
SELECT booking.cancel_ticket(-1);
SELECT user_id FROM booking.ticket WHERE event_id = 2 AND cancelled_at IS NULL;
SELECT * FROM booking.availability(2);
DROP TRIGGER cancel_companion ON booking.ticket;
DELETE FROM booking.ticket WHERE event_id = 2;
SELECT * FROM booking.verify();

-- A condition books.
CREATE FUNCTION books(u bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF u < 10 THEN
        PERFORM booking.book_ticket(2, u + 100);
    END IF;
    RETURN true;
END
$$;
CREATE TRIGGER a AFTER INSERT ON booking.ticket FOR EACH ROW
    WHEN (books(NEW.user_id)) EXECUTE FUNCTION trigger_noop();
CREATE TRIGGER b AFTER INSERT ON booking.ticket FOR EACH ROW
    WHEN (NEW.user_id > 0) EXECUTE FUNCTION trigger_noop();
SELECT booking.book_ticket(2, 2) > 0 AS booked;
SELECT user_id FROM booking.ticket WHERE event_id = 2 ORDER BY 1;
DROP TRIGGER a ON booking.ticket;
DROP TRIGGER b ON booking.ticket;
DROP FUNCTION books;
DELETE FROM booking.ticket WHERE event_id = 2;

-- Holds and keys, too, obey what was added to their tables.
CREATE FUNCTION hold_path(key text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql
SET track_functions = 'all'
SET booking.direct_path = on
AS $$
DECLARE
    calls bigint := coalesce(pg_stat_get_xact_function_calls('booking.hold_changed'::regproc), 0);
BEGIN
    PERFORM booking.hold_tickets(1, 1, 1, '1 hour', key);
    calls := coalesce(pg_stat_get_xact_function_calls('booking.hold_changed'::regproc), 0) - calls;
    RETURN CASE calls WHEN 0 THEN 'direct' ELSE 'SQL' END;
END
$$;
SELECT hold_path();
ALTER TABLE booking.hold ADD CONSTRAINT few CHECK (quantity < 3);
SELECT hold_path();
SELECT code FROM outcome('SELECT booking.hold_tickets(1, 1, 3)');
ALTER TABLE booking.hold DROP CONSTRAINT few;
SELECT hold_path();
ALTER TABLE booking.hold DROP CONSTRAINT hold_quantity_check,
    ADD CONSTRAINT hold_quantity_check CHECK (quantity >= 2) NOT VALID;
SELECT code FROM outcome('SELECT booking.hold_tickets(1, 1, 1)');
ALTER TABLE booking.hold DROP CONSTRAINT hold_quantity_check,
    ADD CONSTRAINT hold_quantity_check CHECK (quantity >= 1);
ALTER TABLE booking.hold ADD FOREIGN KEY (user_id) REFERENCES customer NOT VALID;
SELECT booking.hold_tickets(1, 99);
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE booking.hold DROP CONSTRAINT hold_user_id_fkey;
SELECT hold_path();
ALTER TABLE booking.request ALTER expires_at TYPE timestamptz(0);
SELECT hold_path('rounded');
SELECT expires_at = date_trunc('second', expires_at) AS rounded FROM booking.request
WHERE idempotency_key = 'rounded';
ALTER TABLE booking.request ALTER expires_at TYPE timestamptz;
ALTER TABLE booking.request ADD CONSTRAINT one CHECK (quantity = 1);
SELECT code FROM outcome('SELECT booking.book_tickets(1, 1, 2, ''two'')');
ALTER TABLE booking.request DROP CONSTRAINT one;
BEGIN;
ALTER TABLE booking.request RENAME TO old_request;
CREATE TABLE booking.request (LIKE booking.old_request INCLUDING ALL) PARTITION BY LIST (event_id);
SELECT booking.book_ticket(1, 1, 'partitioned');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
SELECT count(booking.release_hold(hold_id)) FROM booking.hold WHERE ended_at IS NULL;
DELETE FROM booking.request;
DROP FUNCTION hold_path;
SELECT * FROM booking.verify();

-- A hold is changed directly, too, unless an UPDATE would do more.
CREATE FUNCTION confirm_path() RETURNS text
LANGUAGE plpgsql
SET track_functions = 'all'
SET booking.direct_path = on
AS $$
DECLARE
    held bigint := (SELECT hold_id FROM booking.hold_tickets(1, 1));
    released bigint := (SELECT hold_id FROM booking.hold_tickets(1, 1));
    calls bigint := coalesce(pg_stat_get_xact_function_calls('booking.hold_changed'::regproc), 0);
BEGIN
    PERFORM booking.extend_hold(held, '50 minutes');
    PERFORM booking.confirm_hold(held);
    PERFORM booking.release_hold(released);
    calls := coalesce(pg_stat_get_xact_function_calls('booking.hold_changed'::regproc), 0) - calls;
    IF (SELECT count(*) FROM booking.hold WHERE hold_id IN (held, released) AND ended_at IS NULL) > 0
       OR (SELECT confirmed_at IS NULL FROM booking.hold WHERE hold_id = held) THEN
        RAISE 'a hold was not changed';
    END IF;
    RETURN CASE calls WHEN 0 THEN 'direct' WHEN 3 THEN 'SQL' ELSE calls || ' calls' END;
END
$$;
SELECT confirm_path() AS as_made;
CREATE TEMP TABLE hold_addition (n integer, add text, remove text);
INSERT INTO hold_addition VALUES
    (1, 'CREATE TRIGGER t BEFORE UPDATE ON booking.hold FOR EACH ROW'
        ' EXECUTE FUNCTION trigger_noop()', 'DROP TRIGGER t ON booking.hold'),
    (2, 'CREATE TRIGGER t AFTER UPDATE ON booking.hold FOR EACH STATEMENT'
        ' EXECUTE FUNCTION trigger_noop()', 'DROP TRIGGER t ON booking.hold'),
    (3, 'CREATE TRIGGER t AFTER UPDATE OF ended_at ON booking.hold FOR EACH ROW'
        ' EXECUTE FUNCTION trigger_noop()', 'DROP TRIGGER t ON booking.hold'),
    (4, 'CREATE TRIGGER t AFTER UPDATE ON booking.hold FOR EACH ROW'
        ' WHEN (NEW.user_id > 0) EXECUTE FUNCTION trigger_noop()', 'DROP TRIGGER t ON booking.hold'),
    (5, 'CREATE TRIGGER t AFTER UPDATE ON booking.hold REFERENCING NEW TABLE AS n'
        ' FOR EACH STATEMENT EXECUTE FUNCTION trigger_noop()', 'DROP TRIGGER t ON booking.hold'),
    (6, 'ALTER TABLE booking.hold ADD CONSTRAINT c CHECK (user_id > 0)',
        'ALTER TABLE booking.hold DROP CONSTRAINT c'),
    (7, 'CREATE TABLE child () INHERITS (booking.hold)', 'DROP TABLE child'),
    (8, 'ALTER TABLE booking.hold DROP CONSTRAINT hold_pkey, ADD PRIMARY KEY (hold_id, event_id)',
        'ALTER TABLE booking.hold DROP CONSTRAINT hold_pkey, ADD PRIMARY KEY (hold_id)'),
    (31, 'CREATE INDEX i ON booking.hold USING brin (ended_at)', 'DROP INDEX booking.i'),
    (32, 'CREATE INDEX i ON booking.hold (confirmed_at, (user_id + 1))', 'DROP INDEX booking.i'),
    (33, 'CREATE TRIGGER t AFTER UPDATE ON booking.hold FOR EACH ROW'
         ' EXECUTE FUNCTION trigger_noop()', 'DROP TRIGGER t ON booking.hold'),
    (34, 'CREATE TABLE child (hold_id bigint REFERENCES booking.hold)', 'DROP TABLE child'),
    (35, 'CREATE TRIGGER t BEFORE DELETE ON booking.hold FOR EACH ROW'
         ' EXECUTE FUNCTION trigger_noop()', 'DROP TRIGGER t ON booking.hold');
DO $$
DECLARE
    a record;
    added text;
BEGIN
    FOR a IN SELECT * FROM hold_addition ORDER BY n LOOP
        EXECUTE a.add;
        added := confirm_path();
        EXECUTE a.remove;
        RAISE INFO '%: %, then %', a.n, added, confirm_path();
    END LOOP;
END
$$;

-- Triggers see the row before and after, in both paths.
CREATE FUNCTION log_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log VALUES (format('%s %s: ended %s -> %s, confirmed %s -> %s', TG_OP, NEW.quantity,
        OLD.ended_at IS NOT NULL, NEW.ended_at IS NOT NULL,
        OLD.confirmed_at IS NOT NULL, NEW.confirmed_at IS NOT NULL));
    RETURN NULL;
END
$$;
TRUNCATE log;
CREATE TRIGGER t AFTER UPDATE ON booking.hold FOR EACH ROW EXECUTE FUNCTION log_hold();
SELECT cardinality(booking.confirm_hold(hold_id)) FROM booking.hold_tickets(1, 1, 2);
SELECT booking.release_hold(hold_id) FROM booking.hold_tickets(1, 1, 3);
SELECT what FROM log ORDER BY what;
DROP TRIGGER t ON booking.hold;
TRUNCATE log;
-- An index that refuses the new version: nothing has changed.
CREATE UNIQUE INDEX i ON booking.hold (quantity) WHERE confirmed_at IS NOT NULL AND quantity > 3;
SELECT cardinality(booking.confirm_hold(hold_id)) FROM booking.hold_tickets(1, 1, 4);
SELECT hold_id AS refused FROM booking.hold_tickets(1, 1, 4) \gset
SELECT code FROM outcome('SELECT booking.confirm_hold(' || :refused || ')');
SELECT ended_at, confirmed_at FROM booking.hold WHERE hold_id = :refused;
DROP INDEX booking.i;
SELECT cardinality(booking.confirm_hold(:refused));
-- The indexes have what the updates wrote.
SET enable_seqscan = off;
SELECT count(*) AS live FROM booking.hold WHERE event_id = 1 AND ended_at IS NULL AND expires_at > '2000-01-01';
RESET enable_seqscan;
-- A publication that can't publish updates refuses them on both paths.
SET client_min_messages = error;
CREATE PUBLICATION p FOR TABLE booking.hold;
ALTER TABLE booking.hold REPLICA IDENTITY NOTHING;
SELECT hold_id AS refused FROM booking.hold_tickets(1, 1) \gset
SELECT code FROM outcome('SELECT booking.confirm_hold(' || :refused || ')');
ALTER TABLE booking.hold REPLICA IDENTITY DEFAULT;
ALTER PUBLICATION p SET TABLE booking.hold WHERE (user_id > 5);
SELECT code FROM outcome('SELECT booking.confirm_hold(' || :refused || ')');
DROP PUBLICATION p;
RESET client_min_messages;
SELECT cardinality(booking.confirm_hold(:refused));
-- A column was dropped.
ALTER TABLE booking.hold ADD COLUMN note text DEFAULT repeat('x', 10000);
SELECT hold_id AS held FROM booking.hold_tickets(1, 1) \gset
ALTER TABLE booking.hold DROP COLUMN note;
SELECT cardinality(booking.confirm_hold(:held));
-- A trigger changes the hold that is rebooked while the place of another comes back.
INSERT INTO booking.event (event_id, capacity) VALUES (3, 1);
SELECT hold_id AS swept FROM booking.hold_tickets(3, 1) \gset
UPDATE booking.hold SET expires_at = '2000-01-01' WHERE hold_id = :swept;
SELECT booking.expire_holds();
SELECT hold_id AS expired FROM booking.hold_tickets(3, 2) \gset
UPDATE booking.hold SET expires_at = '2000-01-01' WHERE hold_id = :expired;
CREATE FUNCTION change_another() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE booking.hold SET expires_at = expires_at
    WHERE event_id = 3 AND user_id = 1 AND OLD.user_id = 2;
    RETURN NULL;
END
$$;
CREATE TRIGGER t AFTER UPDATE ON booking.hold FOR EACH ROW EXECUTE FUNCTION change_another();
SELECT cardinality(booking.confirm_hold(:swept, 'rebook'));
DROP TRIGGER t ON booking.hold;
SELECT available, held, booked FROM booking.availability(3);
DROP FUNCTION confirm_path, log_hold, change_another;
SELECT * FROM booking.verify();

-- The history obeys what was added to its table.
SELECT booking.keep_history();
CREATE FUNCTION history_of_booking() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    ticket bigint := booking.book_ticket(1, 1);
BEGIN
    RETURN (SELECT string_agg(action, ',') FROM booking.history WHERE ticket_id = ticket);
END
$$;
SELECT history_of_booking();
ALTER TABLE booking.history ADD COLUMN note text DEFAULT 'by hand';
SELECT history_of_booking();
SELECT note FROM booking.history ORDER BY history_id DESC LIMIT 1;
ALTER TABLE booking.history DROP COLUMN note;
ALTER TABLE booking.history ADD CONSTRAINT c CHECK (action <> 'booked') NOT VALID;
SELECT code FROM outcome('SELECT history_of_booking()');
ALTER TABLE booking.history DROP CONSTRAINT c;
CREATE TRIGGER t BEFORE INSERT ON booking.history FOR EACH ROW EXECUTE FUNCTION trigger_noop();
SELECT history_of_booking();
DROP TRIGGER t ON booking.history;
ALTER TABLE booking.history RENAME TO old_history;
SELECT code FROM outcome('SELECT history_of_booking()');
ALTER TABLE booking.old_history RENAME TO history;
SELECT history_of_booking();
SELECT count(*) FROM booking.history WHERE session_user_name <> session_user;
DROP TABLE booking.history;
-- Something else has its name.
CREATE INDEX history ON booking.ticket (user_id, booked_at);
SELECT code FROM outcome('SELECT history_of_booking()');
DROP INDEX booking.history;
SELECT code FROM outcome('SELECT history_of_booking()');
DROP TRIGGER _booking_history ON booking.ticket;
DROP TRIGGER _booking_history_truncated ON booking.ticket;
DROP TRIGGER _booking_history ON booking.hold;
DROP TRIGGER _booking_history_truncated ON booking.hold;
DROP FUNCTION history_of_booking;
SELECT * FROM booking.verify();

-- Row level security is forced on the owner.
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_booking_owner;
RESET client_min_messages;
CREATE ROLE regress_booking_owner;
GRANT USAGE ON SCHEMA booking TO regress_booking_owner;
ALTER TABLE booking.event OWNER TO regress_booking_owner;
SELECT booking.book_ticket(1, 1);
\echo :LAST_ERROR_SQLSTATE
CALL give_tables('regress_booking_owner');
SELECT path_taken();
ALTER TABLE booking.ticket ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY even ON booking.ticket USING (true) WITH CHECK (user_id % 2 = 0);
SELECT booking.book_ticket(2, 81);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.book_ticket(2, 82) > 0 AS booked;
ALTER TABLE booking.ticket NO FORCE ROW LEVEL SECURITY;
SELECT booking.book_ticket(2, 81) > 0 AS booked;
DROP POLICY even ON booking.ticket;
ALTER TABLE booking.ticket DISABLE ROW LEVEL SECURITY;
SELECT path_taken();
CALL give_tables(current_user);
REVOKE USAGE ON SCHEMA booking FROM regress_booking_owner;
DROP ROLE regress_booking_owner;
SELECT path_taken();
SELECT * FROM places() WHERE event_id = 2;

-- Indexes of every kind, on both paths.
ALTER TABLE booking.ticket ADD COLUMN dropped integer;
ALTER TABLE booking.ticket DROP COLUMN dropped;
CREATE INDEX ticket_odd_idx ON booking.ticket (user_id) WHERE user_id % 2 = 1;
CREATE INDEX ticket_tens_idx ON booking.ticket ((user_id / 10));
CREATE UNIQUE INDEX ticket_all_idx ON booking.ticket (event_id, user_id, ticket_id)
    INCLUDE (booked_at);
CREATE INDEX ticket_hash_idx ON booking.ticket USING hash (user_id);
CREATE INDEX ticket_brin_idx ON booking.ticket USING brin (ticket_id)
    WITH (pages_per_range = 1, autosummarize = off);
CREATE INDEX ticket_gin_idx ON booking.ticket USING gin ((ARRAY[user_id % 7, event_id]));
CREATE INDEX ticket_gist_idx ON booking.ticket USING gist (int8range(user_id, user_id, '[]'));
CREATE INDEX ticket_live_idx ON booking.ticket (event_id) WHERE cancelled_at IS NULL;
ALTER TABLE booking.ticket ADD CONSTRAINT ticket_apart
    EXCLUDE USING gist (int8range(user_id, user_id, '[]') WITH &&)
    WHERE (user_id BETWEEN 900 AND 999);
SELECT path_taken();
SET booking.direct_path = on;
SELECT count(booking.book_ticket(1, u)) FROM generate_series(200, 300) u;
SELECT cardinality(booking.book_tickets(1, 301, 50)) AS tickets;
SET booking.direct_path = off;
SELECT count(booking.book_ticket(1, u)) FROM generate_series(200, 300) u;
SELECT cardinality(booking.book_tickets(1, 301, 50)) AS tickets;
RESET booking.direct_path;
SELECT count(booking.cancel_ticket(ticket_id)) FROM booking.ticket WHERE user_id % 3 = 0;
SELECT booking.book_ticket(1, 950) > 0 AS booked;
SELECT booking.book_ticket(1, 950);
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION count_by(enable_index boolean)
RETURNS TABLE (odd bigint, tens bigint, all_columns bigint, hash bigint, brin bigint, gin bigint,
               gist bigint, live bigint)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('enable_seqscan', CASE WHEN enable_index THEN 'off' ELSE 'on' END, true),
            set_config('enable_indexscan', enable_index::text, true),
            set_config('enable_indexonlyscan', enable_index::text, true),
            set_config('enable_bitmapscan', enable_index::text, true);
    RETURN QUERY EXECUTE '
        SELECT (SELECT count(*) FROM booking.ticket WHERE user_id % 2 = 1),
               (SELECT count(*) FROM booking.ticket WHERE user_id / 10 = 25),
               (SELECT count(booked_at) FROM booking.ticket WHERE event_id = 1 AND user_id = 301),
               (SELECT count(*) FROM booking.ticket WHERE user_id = 250),
               (SELECT count(*) FROM booking.ticket WHERE ticket_id BETWEEN 200 AND 300),
               (SELECT count(*) FROM booking.ticket
                WHERE ARRAY[user_id % 7, event_id] @> ARRAY[3::bigint]),
               (SELECT count(*) FROM booking.ticket
                WHERE int8range(user_id, user_id, ''[]'') && ''[210,220]''),
               (SELECT count(*) FROM booking.ticket WHERE event_id = 1 AND cancelled_at IS NULL)';
END
$$;
SELECT a = b AS same, (a).odd > 100 AND (a).tens = 20 AND (a).all_columns = 100
       AND (a).hash = 2 AND (a).gin > 0 AND (a).gist = 22 AS plausible
FROM (SELECT count_by(true) AS a) a, (SELECT count_by(false) AS b) b;
SELECT * FROM damage();
ALTER TABLE booking.ticket DROP CONSTRAINT ticket_apart;
-- An index expression fails for a row: the booking fails as a whole.
CREATE INDEX ticket_broken_idx ON booking.ticket ((1 / (user_id - 400)));
SELECT booking.book_ticket(1, 400);
\echo :LAST_ERROR_SQLSTATE
DROP INDEX booking.ticket_broken_idx;
-- An index is replaced and rebuilt while the session has it open.
REINDEX TABLE booking.ticket;
SELECT booking.book_ticket(1, 401) > 0 AS booked;
REINDEX TABLE CONCURRENTLY booking.inventory;
SELECT booking.book_ticket(1, 402) > 0 AS booked;
VACUUM FULL booking.inventory;
SELECT booking.book_ticket(1, 403) > 0 AS booked;
CLUSTER booking.ticket USING ticket_pkey;
SELECT booking.book_ticket(1, 404) > 0 AS booked;
VACUUM FULL booking.ticket;
SELECT booking.book_ticket(1, 405) > 0 AS booked;
-- With the user's index on the inventory, its updates are not HOT.
CREATE INDEX inventory_available_idx ON booking.inventory (available);
SELECT count(booking.book_ticket(1, u)) FROM generate_series(410, 420) u;
SELECT status FROM booking.try_book_ticket(2, 1);
SELECT * FROM damage();
SET enable_seqscan = off;
SELECT count(*) > 0 AS found FROM booking.inventory WHERE available > 0;
RESET enable_seqscan;
DROP INDEX booking.inventory_available_idx;
SELECT * FROM booking.verify();

-- A rule inserts another row for each ticket.
CREATE RULE also AS ON INSERT TO booking.ticket DO ALSO INSERT INTO log VALUES ('rule');
SELECT path_taken();
SELECT cardinality(booking.book_tickets(2, 33, 2)) AS tickets;
TABLE log;
DROP RULE also ON booking.ticket;
SELECT path_taken();
TRUNCATE log;
SELECT * FROM booking.verify();

-- A partitioned ticket table.
CALL recreate_booking();
CREATE TABLE partitioned (LIKE booking.ticket INCLUDING DEFAULTS) PARTITION BY LIST (event_id);
SET client_min_messages = warning;
DROP TABLE booking.ticket CASCADE;
RESET client_min_messages;
ALTER TABLE partitioned SET SCHEMA booking;
ALTER TABLE booking.partitioned RENAME TO ticket;
CREATE SEQUENCE booking.ticket_id;
ALTER TABLE booking.ticket ALTER ticket_id SET DEFAULT nextval('booking.ticket_id');
CREATE TABLE booking.ticket_1 PARTITION OF booking.ticket FOR VALUES IN (1);
-- A partition whose columns are in another order.
CREATE TABLE booking.ticket_2 (cancelled_at timestamptz, seat text, user_id bigint NOT NULL,
    junk integer, event_id bigint NOT NULL, redeemed_at timestamptz,
    ticket_id bigint NOT NULL, hold_id bigint, booked_at timestamptz NOT NULL);
ALTER TABLE booking.ticket_2 DROP COLUMN junk;
ALTER TABLE booking.ticket ATTACH PARTITION booking.ticket_2 FOR VALUES IN (2);
SELECT booking.create_tables();
INSERT INTO booking.event (event_id, capacity) VALUES (1, 20), (2, 3), (3, 1);
SELECT path_taken();
SELECT cardinality(booking.book_tickets(2, 2, 2)) AS tickets;
INSERT INTO booking.ticket_2 (ticket_id, event_id, user_id, booked_at) VALUES (100, 2, 3, now());
SELECT status FROM booking.try_book_ticket(2, 4);
INSERT INTO booking.ticket (event_id, user_id) VALUES (2, 5);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.book_ticket(3, 5);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.cancel_ticket(100);
UPDATE booking.ticket SET event_id = 1 WHERE event_id = 2 AND cancelled_at IS NULL;
UPDATE booking.ticket SET event_id = 2 WHERE event_id = 1;
DELETE FROM booking.ticket_2 WHERE user_id = 2;
SELECT * FROM places();
TRUNCATE booking.ticket;
SELECT * FROM places();

DROP TABLE parent, ancestor, log, customer;
DROP FUNCTION path_taken, path_taken_when_off, trigger_noop, fill_code, log_tickets, misbehave, obstruct,
    divert, companion, cancel_companion, count_by;
DROP PROCEDURE try_paths, companions;
SELECT * FROM damage();
SELECT * FROM booking.verify();
