--
-- Who may do what, and as which user it is done.
--
-- Promises:
--   - EXECUTE on a function is all that a caller needs.  The function changes the
--     tables as their owner, like the check of a foreign key.
--   - A role with nothing but EXECUTE can book and can't touch the tables.
--   - A non-superuser can install the extension and gains no other rights.
--   - Nothing in the caller's search_path or temporary tables is ever run or
--     read.
CALL recreate_booking();
\set SHOW_CONTEXT never

SET client_min_messages = warning;
DROP DATABASE IF EXISTS regress_booking_shop;
DROP ROLE IF EXISTS regress_booking_clerk;
DROP ROLE IF EXISTS regress_booking_web;
DROP ROLE IF EXISTS regress_booking_outsider;
DROP ROLE IF EXISTS regress_booking_shop;
RESET client_min_messages;
CREATE ROLE regress_booking_clerk;
CREATE ROLE regress_booking_web;
CREATE ROLE regress_booking_outsider;

-- At first only the role that installed the extension may call its functions.
-- The exceptions are functions that do nothing by themselves.
SELECT oid::regprocedure AS for_all
FROM pg_proc
WHERE pronamespace = 'booking'::regnamespace
    AND has_function_privilege('regress_booking_outsider', oid, 'EXECUTE')
ORDER BY oid::regprocedure::text COLLATE "C";

INSERT INTO booking.event (event_id, capacity) VALUES (1, 100), (2, 0);
SELECT booking.book_tickets(1, 1, 5);
SELECT hold_id FROM booking.hold_tickets(1, 1);
SELECT booking.release_hold(1);

-- The clerk has USAGE and EXECUTE, and no right on the tables.
GRANT USAGE ON SCHEMA booking
TO regress_booking_clerk, regress_booking_web, regress_booking_outsider;
GRANT EXECUTE ON FUNCTION
    booking.book_ticket(bigint, "any", text), booking.try_book_ticket(bigint, "any", text),
    booking.book_tickets(bigint, "any", integer, text), booking.book_batch(bigint, anyarray, text),
    booking.hold_tickets(bigint, "any", integer, interval, text, text),
    booking.confirm_hold(bigint, text), booking.extend_hold(bigint, interval),
    booking.release_hold(bigint), booking.expire_holds(integer),
    booking.cancel_ticket(bigint), booking.transfer_ticket(bigint, "any"),
    booking.redeem_ticket(bigint, bigint, timestamptz), booking.availability(bigint)
TO regress_booking_clerk;

-- An event with all sale rules.  empty_event() removes its tickets and keys after
-- each run.
INSERT INTO booking.event (event_id, capacity, max_per_user, sales_start, sales_end)
VALUES (3, 7, 2, '2000-01-01', '2100-01-01');
CREATE PROCEDURE empty_event() LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog
AS $$
    DELETE FROM booking.ticket WHERE event_id = 3;
    DELETE FROM booking.request WHERE event_id = 3;
$$;
CREATE PROCEDURE clerks_day()
LANGUAGE plpgsql
AS $$
DECLARE
    ticket bigint := booking.book_ticket(1, 10);
    more bigint[] := booking.book_tickets(1, 11, 2);
    hold bigint;
BEGIN
    RAISE INFO 'try: %', (SELECT status FROM booking.try_book_ticket(1, 12));
    RAISE INFO 'sold out: %', (SELECT status FROM booking.try_book_ticket(2, 12));
    PERFORM booking.transfer_ticket(ticket, 13);
    RAISE INFO 'redeem: %', (SELECT status FROM booking.redeem_ticket(ticket));
    RAISE INFO 'cancel: %', booking.cancel_ticket(more[1]);
    -- Holds, a batch and idempotency keys, for an event with a limit and a sales
    -- window.
    RAISE INFO 'batch: %', (SELECT string_agg(ord || ' ' || status, ', ')
                            FROM booking.book_batch(3, ARRAY[10, 11, 10, 10]));
    RAISE INFO 'limit: %', (SELECT status FROM booking.try_book_ticket(3, 10));
    hold := (booking.hold_tickets(3, 12, 2, '1 minute', 'a key')).hold_id;
    RAISE INFO 'the same hold: %', hold OPERATOR(pg_catalog.=)
        (booking.hold_tickets(3, 12, 2, '1 minute', 'a key')).hold_id;
    PERFORM booking.extend_hold(hold, '2 minutes');
    more := booking.confirm_hold(hold);
    RAISE INFO 'the same tickets: %', more OPERATOR(pg_catalog.=)
        booking.confirm_hold(hold, 'rebook');
    hold := (booking.hold_tickets(3, 13, 1)).hold_id;
    RAISE INFO 'release: %', booking.release_hold(hold);
    -- The last places are in an expired hold.
    hold := (booking.hold_tickets(3, 14, 2, '1 microsecond')).hold_id;
    more := booking.book_tickets(3, 15, 2);
    RAISE INFO 'swept: %', booking.expire_holds();
    BEGIN
        PERFORM booking.confirm_hold(hold, 'rebook');
    EXCEPTION WHEN SQLSTATE '23T01' THEN
        RAISE INFO 'too late: %', SQLERRM;
    END;
    RAISE INFO 'available: %', (SELECT available FROM booking.availability(1));
    RAISE INFO 'I am still: %', current_user;
END
$$;
SET ROLE regress_booking_clerk;
CALL clerks_day();
CALL empty_event();
-- The same on the SQL path.
SET booking.direct_path = off;
CALL clerks_day();
CALL empty_event();
RESET booking.direct_path;
-- After an error the clerk is not the owner.
SELECT booking.book_ticket(2, 1);
SELECT current_user;
DO $$
BEGIN
    PERFORM booking.book_ticket(2, 1);
EXCEPTION WHEN OTHERS THEN
    RAISE INFO '%: I am %', SQLSTATE, current_user;
END
$$;
-- The clerk can do nothing else.
SELECT statement, o.code, o.message
FROM (VALUES
    (1, 'SELECT FROM booking.ticket'),
    (2, 'SELECT FROM booking.event'),
    (3, 'SELECT FROM booking.inventory'),
    (4, 'SELECT FROM booking.hold'),
    (5, 'SELECT FROM booking.request'),
    (6, 'SELECT FROM booking.user_limit'),
    (7, 'SELECT FROM booking.sales'),
    (8, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 1)'),
    (9, 'UPDATE booking.ticket SET user_id = 1'),
    (10, 'DELETE FROM booking.ticket'),
    (11, 'TRUNCATE booking.ticket'),
    (12, 'UPDATE booking.event SET capacity = 1000'),
    (13, 'UPDATE booking.inventory SET available = 1000'),
    (14, 'UPDATE booking.hold SET expires_at = ''infinity'''),
    (15, 'DELETE FROM booking.request'),
    (16, 'SELECT nextval(''booking.ticket_ticket_id_seq'')'),
    (17, 'SELECT booking.verify()'),
    (18, 'SELECT booking.rebuild_inventory(1)'),
    (19, 'SELECT booking.purge(''0'')'),
    (20, 'SELECT booking.keep_history()'),
    (21, 'SELECT booking.create_tables()'),
    (22, 'DROP EXTENSION pg_booking CASCADE'),
    (23, 'CREATE TRIGGER t AFTER INSERT ON booking.ticket FOR EACH ROW'
         ' EXECUTE FUNCTION booking.ticket_changed()'),
    (24, 'SELECT booking.forget_user(1, 2)')) AS t (n, statement),
    outcome(statement) o
ORDER BY n;
RESET ROLE;

-- Without EXECUTE, every call is refused.
SET ROLE regress_booking_outsider;
SELECT statement, o.code, o.message
FROM (VALUES
    (1, 'SELECT booking.book_ticket(1, 1)'),
    (2, 'SELECT booking.try_book_ticket(1, 1)'),
    (3, 'SELECT booking.book_tickets(1, 1, 1)'),
    (4, 'SELECT booking.cancel_ticket(1)'),
    (5, 'SELECT booking.transfer_ticket(1, 1)'),
    (6, 'SELECT booking.redeem_ticket(1)'),
    (7, 'SELECT booking.availability(1)'),
    (8, 'SELECT booking.verify()'),
    (9, 'SELECT booking.rebuild_inventory(1)'),
    (10, 'SELECT booking.create_tables()'),
    (11, 'SELECT booking.book_batch(1, ARRAY[1])'),
    (12, 'SELECT booking.hold_tickets(1, 1)'),
    (13, 'SELECT booking.confirm_hold(1)'),
    (14, 'SELECT booking.extend_hold(1, ''1 minute'')'),
    (15, 'SELECT booking.release_hold(1)'),
    (16, 'SELECT booking.expire_holds()'),
    (17, 'SELECT booking.keep_history()'),
    (18, 'SELECT booking.purge(''1 day'')'),
    (19, 'SELECT booking.book_ticket(1, ''1'')'),
    (20, 'SELECT booking.try_book_ticket(1, ''1'')'),
    (21, 'SELECT booking.book_tickets(1, ''1'', 1)'),
    (31, 'SELECT booking.book_as_staff(1, 1)'),
    (32, 'SELECT booking.book_as_staff(1, ''1'')'),
    (33, 'SELECT booking.change_hold(1, 1)'),
    (34, 'SELECT booking.move_ticket(1, 1)'),
    (35, 'SELECT booking.exchange_tickets(1, 1)'),
    (36, 'SELECT booking.unredeem_ticket(1)'),
    (37, 'SELECT booking.cancel_event(1)'),
    (22, 'SELECT booking.book_batch(1, ARRAY[''1''])'),
    (23, 'SELECT booking.hold_tickets(1, ''1'')'),
    (24, 'SELECT booking.transfer_ticket(1, ''1'')'),
    (25, 'SELECT booking.forget_user(1, 2)'),
    (26, 'SELECT booking.forget_user(''1'', ''2'')')) AS t (n, statement),
    outcome(statement) o
ORDER BY n;
RESET ROLE;
-- A trigger function does nothing on another user's table.
GRANT CREATE ON SCHEMA public TO regress_booking_outsider;
SET ROLE regress_booking_outsider;
CREATE TABLE mine (ticket_id bigint, event_id bigint, capacity integer, cancelled_at timestamptz);
CREATE TRIGGER t AFTER INSERT OR DELETE ON mine
    FOR EACH ROW EXECUTE FUNCTION booking.ticket_changed();
SELECT code, message FROM outcome('INSERT INTO mine VALUES (1, 1, 1)');
DROP TRIGGER t ON mine;
CREATE TRIGGER t AFTER TRUNCATE ON mine EXECUTE FUNCTION booking.ticket_changed();
SELECT code, message FROM outcome('TRUNCATE mine');
DROP TRIGGER t ON mine;
CREATE TRIGGER t AFTER TRUNCATE ON mine EXECUTE FUNCTION booking.event_changed();
SELECT code, message FROM outcome('TRUNCATE mine');
DROP TRIGGER t ON mine;
CREATE TRIGGER t AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION booking.hold_changed();
SELECT code, message FROM outcome('INSERT INTO mine VALUES (1, 1, 1)');
DROP TRIGGER t ON mine;
CREATE TRIGGER t AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION booking.record_history();
SELECT code, message FROM outcome('INSERT INTO mine VALUES (1, 1, 1)');
DROP TABLE mine;
SELECT booking.flush_inventory();
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM regress_booking_outsider;
SELECT * FROM places();

-- A web application has rights on the ticket table only.  The inventory follows,
-- although the application has no right on it.
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON booking.ticket TO regress_booking_web;
SET ROLE regress_booking_web;
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 20), (1, 21);
UPDATE booking.ticket SET cancelled_at = now() WHERE user_id = 20;
DELETE FROM booking.ticket WHERE user_id = 21;
INSERT INTO booking.ticket (event_id, user_id) VALUES (2, 20);
\echo :LAST_ERROR_SQLSTATE
SELECT code, message FROM outcome('UPDATE booking.inventory SET available = 1');
RESET ROLE;
SELECT * FROM places();
BEGIN;
SET LOCAL ROLE regress_booking_web;
TRUNCATE booking.ticket;
RESET ROLE;
SELECT * FROM places();
ROLLBACK;
-- The same with rights on the event table.
GRANT SELECT, INSERT, UPDATE, DELETE ON booking.event TO regress_booking_web;
BEGIN;
SET LOCAL ROLE regress_booking_web;
INSERT INTO booking.event (event_id, capacity) VALUES (5, 10);
UPDATE booking.event SET capacity = 20 WHERE event_id = 5;
UPDATE booking.event SET capacity = 5, max_per_user = 1 WHERE event_id = 5;
UPDATE booking.event SET event_id = 4 WHERE event_id = 5;
RESET ROLE;
SELECT * FROM places() WHERE event_id > 3;
SET LOCAL ROLE regress_booking_web;
DELETE FROM booking.event WHERE event_id = 4;
RESET ROLE;
SELECT count(*) AS stripes FROM booking.inventory WHERE event_id > 3;
ROLLBACK;
REVOKE ALL ON booking.ticket, booking.event FROM regress_booking_web;

-- A trigger that a booking fires runs as the owner of the tables.  A foreign key
-- does the same.  The trigger can't switch to another role.
CREATE FUNCTION change_role() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE INFO 'trigger: I am the owner: %',
        current_user = (SELECT tableowner FROM pg_tables
                        WHERE schemaname = 'booking' AND tablename = 'ticket');
    EXECUTE NEW.seat;
    NEW.seat := NULL;
    RETURN NEW;
END
$$;
CREATE TRIGGER change_role BEFORE INSERT ON booking.ticket
    FOR EACH ROW EXECUTE FUNCTION change_role();
SET ROLE regress_booking_clerk;
ALTER TABLE booking.ticket ALTER seat SET DEFAULT 'SET ROLE regress_booking_outsider';
RESET ROLE;
ALTER TABLE booking.ticket ALTER seat SET DEFAULT 'SET ROLE regress_booking_outsider';
SET ROLE regress_booking_clerk;
SELECT booking.book_ticket(1, 1);
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
ALTER TABLE booking.ticket ALTER seat SET DEFAULT 'SET SESSION AUTHORIZATION DEFAULT';
SET ROLE regress_booking_clerk;
SELECT booking.book_ticket(1, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT current_user;
RESET ROLE;
DROP TRIGGER change_role ON booking.ticket;
DROP FUNCTION change_role;
ALTER TABLE booking.ticket ALTER seat DROP DEFAULT;

-- The owner's functions, unlike pg_booking's, may use names without a schema.
-- The clerk's search_path must not choose what they mean, because they run as the
-- owner.
CREATE TABLE public.audit (who text);
CREATE FUNCTION write_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit VALUES (current_user);
    RETURN NULL;
END
$$;
CREATE SCHEMA regress_booking_evil AUTHORIZATION regress_booking_clerk;
SET ROLE regress_booking_clerk;
CREATE TABLE regress_booking_evil.audit (who text);
CREATE FUNCTION regress_booking_evil.run() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'evil code as the owner'; END$$;
CREATE TRIGGER run BEFORE INSERT ON regress_booking_evil.audit
    FOR EACH ROW EXECUTE FUNCTION regress_booking_evil.run();
GRANT ALL ON SCHEMA regress_booking_evil TO PUBLIC;
GRANT ALL ON regress_booking_evil.audit TO PUBLIC;
RESET ROLE;
CREATE TRIGGER write_audit AFTER INSERT OR UPDATE ON booking.ticket
    FOR EACH ROW EXECUTE FUNCTION write_audit();
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 77) RETURNING ticket_id AS id \gset
SELECT set_config('booking_test.id', :'id', false) IS NULL AS id_is_null;
SET ROLE regress_booking_clerk;
SET search_path = regress_booking_evil, public;
SELECT statement, o.code, o.message
FROM (VALUES
    (1, 'SELECT booking.book_ticket(1, 1)'),
    (2, 'SELECT booking.try_book_ticket(1, 1)'),
    (3, 'SELECT booking.cancel_ticket(current_setting(''booking_test.id'')::bigint)'),
    (4, 'SELECT booking.redeem_ticket(current_setting(''booking_test.id'')::bigint)'),
    (5, 'SELECT booking.transfer_ticket(current_setting(''booking_test.id'')::bigint, 1)'))
    AS t (n, statement),
    public.outcome(statement) o
ORDER BY n;
SHOW search_path;
RESET search_path;
RESET ROLE;
-- It works if the function has its own search_path, or if the owner is the caller.
SELECT count(booking.book_ticket(1, 1)) FROM generate_series(1, 1);
ALTER FUNCTION write_audit() SET search_path = public, pg_temp;
SET ROLE regress_booking_clerk;
SET search_path = regress_booking_evil, public;
SELECT count(booking.book_ticket(1, 1)) FROM generate_series(1, 1);
SHOW search_path;
RESET search_path;
RESET ROLE;
SELECT count(*) AS rows, bool_and(who = current_user) AS as_owner FROM public.audit;
DROP TRIGGER write_audit ON booking.ticket;
-- The same for a plain INSERT, which ends an expired hold at the end of the statement.
ALTER FUNCTION write_audit() RESET search_path;
CREATE TRIGGER write_audit AFTER UPDATE ON booking.hold FOR EACH ROW EXECUTE FUNCTION write_audit();
INSERT INTO booking.event (event_id, capacity) VALUES (90, 1);
SELECT count(*) FROM booking.hold_tickets(90, 1, 1, '1 microsecond');
GRANT INSERT ON booking.ticket TO regress_booking_clerk;
SET ROLE regress_booking_clerk;
SET search_path = regress_booking_evil, public;
SELECT code, message
FROM public.outcome('INSERT INTO booking.ticket (event_id, user_id) VALUES (90, 7)');
RESET search_path;
RESET ROLE;
REVOKE INSERT ON booking.ticket FROM regress_booking_clerk;
DROP TRIGGER write_audit ON booking.hold;
DELETE FROM booking.hold WHERE event_id = 90;
DELETE FROM booking.event WHERE event_id = 90;
DROP FUNCTION write_audit;
DROP TABLE public.audit;
-- The same for a function in an index, on the direct path.  PostgreSQL 17 and
-- later set a search_path in CREATE INDEX, so the function is changed afterwards.
CREATE FUNCTION label(bigint) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$BEGIN RETURN 'user ' || $1; END$$;
CREATE INDEX ticket_label ON booking.ticket (label(user_id));
CREATE FUNCTION public.lookup(bigint) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN 'user ' || $1;
CREATE OR REPLACE FUNCTION label(bigint) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$BEGIN RETURN lookup($1); END$$;
SET ROLE regress_booking_clerk;
CREATE FUNCTION regress_booking_evil.lookup(bigint) RETURNS text LANGUAGE plpgsql
    AS $$BEGIN RAISE EXCEPTION 'evil code as the owner'; END$$;
SET search_path = regress_booking_evil, public;
SELECT code, message FROM public.outcome('SELECT booking.book_ticket(1, 1)');
SELECT code, message FROM public.outcome('SELECT booking.book_ticket(1, 1)');
RESET search_path;
RESET ROLE;
DROP FUNCTION label CASCADE;
DROP FUNCTION public.lookup;
-- The same for the comparison function of an operator class.
CREATE FUNCTION public.compared(bigint, bigint) RETURNS integer LANGUAGE sql IMMUTABLE
    RETURN btint8cmp($1, $2);
CREATE FUNCTION compare(bigint, bigint) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
    $$BEGIN RETURN public.compared($1, $2); END$$;
CREATE OPERATOR CLASS own_ops FOR TYPE bigint USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 compare(bigint, bigint);
CREATE INDEX ticket_own ON booking.ticket (user_id own_ops);
CREATE OR REPLACE FUNCTION compare(bigint, bigint) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
    $$BEGIN RETURN compared($1, $2); END$$;
SET ROLE regress_booking_clerk;
CREATE FUNCTION regress_booking_evil.compared(bigint, bigint) RETURNS integer LANGUAGE plpgsql
    AS $$BEGIN RAISE EXCEPTION 'evil code as the owner'; END$$;
SET search_path = regress_booking_evil, public;
SELECT code, message FROM public.outcome('SELECT booking.book_ticket(1, 1)');
SELECT code, message FROM public.outcome('SELECT booking.book_ticket(1, 1)');
RESET search_path;
RESET ROLE;
DROP INDEX booking.ticket_own;
DROP OPERATOR FAMILY own_ops USING btree CASCADE;
DROP FUNCTION compare(bigint, bigint), public.compared(bigint, bigint);
-- The same for a function in an index predicate, which is evaluated when the index
-- is opened.
CREATE FUNCTION floor_of(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS
    $$BEGIN RETURN $1; END$$;
CREATE INDEX ticket_vip ON booking.ticket (user_id) WHERE user_id > floor_of(5);
CREATE FUNCTION public.helper(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN $1;
CREATE OR REPLACE FUNCTION floor_of(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS
    $$BEGIN RETURN helper($1); END$$;
\c -
\set SHOW_CONTEXT never
SET ROLE regress_booking_clerk;
CREATE FUNCTION regress_booking_evil.helper(bigint) RETURNS bigint LANGUAGE plpgsql
    AS $$BEGIN RAISE EXCEPTION 'evil code as %', current_user; END$$;
SET search_path = regress_booking_evil, public;
SELECT code, message FROM public.outcome('SELECT booking.book_ticket(1, 1)');
RESET search_path;
RESET ROLE;
DROP FUNCTION floor_of CASCADE;
DROP FUNCTION public.helper;
DROP SCHEMA regress_booking_evil CASCADE;

-- A user of a view needs no right on the schema or on anything behind the view.
CREATE VIEW public.my_tickets AS SELECT event_id, user_id FROM booking.ticket;
GRANT INSERT ON public.my_tickets TO regress_booking_outsider;
\c -
\set SHOW_CONTEXT never
SET ROLE regress_booking_outsider;
INSERT INTO public.my_tickets VALUES (1, 1);
RESET ROLE;
DROP VIEW public.my_tickets;

-- The owner's row level security policies hide tickets from the owner.  They don't
-- hide them from pg_booking's triggers and functions.
CREATE ROLE regress_booking_owner;
GRANT ALL ON SCHEMA booking TO regress_booking_owner;
CALL give_tables('regress_booking_owner');
ALTER TABLE booking.ticket ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON booking.ticket USING (user_id = 4711);
ALTER TABLE booking.event ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON booking.event USING (event_id = 1);
SET ROLE regress_booking_owner;
SELECT count(*) FROM booking.ticket;
DELETE FROM booking.event WHERE event_id = 1;
\echo :LAST_ERROR_SQLSTATE
TRUNCATE booking.event;
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
BEGIN;
TRUNCATE booking.ticket;
SELECT capacity - available AS taken FROM booking.availability(1);
SELECT capacity - available AS taken FROM booking.availability(2);
SELECT * FROM booking.verify();
ROLLBACK;
-- What counts or repairs refuses to work on some of the rows only.
ALTER TABLE booking.event DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE booking.hold ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
GRANT EXECUTE ON FUNCTION booking.verify, booking.rebuild_inventory, booking.purge, booking.availability,
    booking.forget_user("any", "any")
    TO regress_booking_owner, regress_booking_outsider;
GRANT USAGE ON SCHEMA booking TO regress_booking_outsider;
SET ROLE regress_booking_owner;
CREATE TEMP TABLE rls (n integer, statement text);
INSERT INTO rls VALUES
    (1, 'SELECT * FROM booking.verify()'),
    (2, 'SELECT booking.rebuild_inventory(1)'),
    (3, 'SELECT booking.purge(''1 day'')'),
    (4, 'SELECT * FROM booking.sales'),
    (5, 'SELECT available FROM booking.availability(1)'),
    (6, 'SELECT booking.forget_user(1, 2)');
SELECT n, o.code, o.message FROM rls, outcome(statement) o ORDER BY n;
ALTER TABLE booking.ticket NO FORCE ROW LEVEL SECURITY;
ALTER TABLE booking.hold NO FORCE ROW LEVEL SECURITY;
SELECT n, o.code FROM rls, outcome(statement) o ORDER BY n;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA booking TO regress_booking_outsider;
GRANT SELECT ON rls TO regress_booking_outsider;
SET ROLE regress_booking_outsider;
SELECT n, o.code FROM rls, outcome(statement) o ORDER BY n;
RESET ROLE;
DROP TABLE rls;
REVOKE ALL ON FUNCTION booking.verify, booking.rebuild_inventory, booking.purge, booking.availability,
    booking.forget_user("any", "any")
    FROM regress_booking_owner, regress_booking_outsider;
REVOKE ALL ON ALL TABLES IN SCHEMA booking FROM regress_booking_outsider;
REVOKE ALL ON SCHEMA booking FROM regress_booking_outsider;
SELECT * FROM booking.verify();
ALTER TABLE booking.ticket DISABLE ROW LEVEL SECURITY;
ALTER TABLE booking.hold DISABLE ROW LEVEL SECURITY;
DROP POLICY own ON booking.ticket;
DROP POLICY own ON booking.event;
CALL give_tables(current_user);
REVOKE ALL ON SCHEMA booking FROM regress_booking_owner;
DROP ROLE regress_booking_owner;
SELECT * FROM booking.verify();

-- A hostile search_path contains everything that pg_booking might call or read.
-- Each of these raises an error when it is used.  The clerk, the administrator and
-- a plain INSERT must get the usual answers.
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.trap() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE 'trapped';
END
$$;
CREATE FUNCTION hostile.eq(bigint, bigint) RETURNS boolean LANGUAGE plpgsql
    AS $$BEGIN PERFORM hostile.trap(); RETURN true; END$$;
CREATE FUNCTION hostile.eq(integer, integer) RETURNS boolean LANGUAGE plpgsql
    AS $$BEGIN PERFORM hostile.trap(); RETURN true; END$$;
CREATE FUNCTION hostile.plus(bigint, bigint) RETURNS bigint LANGUAGE plpgsql
    AS $$BEGIN PERFORM hostile.trap(); RETURN 0; END$$;
CREATE FUNCTION hostile.minus(integer, bigint) RETURNS bigint LANGUAGE plpgsql
    AS $$BEGIN PERFORM hostile.trap(); RETURN 0; END$$;
CREATE FUNCTION hostile.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql
    AS $$BEGIN PERFORM hostile.trap(); RETURN NULL; END$$;
CREATE FUNCTION hostile.now() RETURNS timestamptz LANGUAGE plpgsql
    AS $$BEGIN PERFORM hostile.trap(); RETURN NULL; END$$;
CREATE FUNCTION hostile.generate_series(integer, integer) RETURNS SETOF integer LANGUAGE plpgsql
    AS $$BEGIN PERFORM hostile.trap(); RETURN NEXT 1; END$$;
CREATE FUNCTION hostile.to_regclass(text) RETURNS regclass LANGUAGE plpgsql
    AS $$BEGIN PERFORM hostile.trap(); RETURN NULL; END$$;
CREATE FUNCTION hostile.sum_step(bigint, integer) RETURNS bigint LANGUAGE plpgsql
    AS $$BEGIN PERFORM hostile.trap(); RETURN 0; END$$;
CREATE AGGREGATE hostile.sum(integer) (SFUNC = hostile.sum_step, STYPE = bigint, INITCOND = 0);
CREATE AGGREGATE hostile.min(integer) (SFUNC = hostile.sum_step, STYPE = bigint, INITCOND = 0);
CREATE FUNCTION hostile.count_step(bigint) RETURNS bigint LANGUAGE plpgsql
    AS $$BEGIN PERFORM hostile.trap(); RETURN 0; END$$;
CREATE AGGREGATE hostile.count(*) (SFUNC = hostile.count_step, STYPE = bigint, INITCOND = 0);
CREATE OPERATOR hostile.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = hostile.eq);
CREATE OPERATOR hostile.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = hostile.eq);
CREATE OPERATOR hostile.<> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = hostile.eq);
CREATE OPERATOR hostile.+ (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = hostile.plus);
CREATE OPERATOR hostile.- (LEFTARG = integer, RIGHTARG = bigint, FUNCTION = hostile.minus);
CREATE FUNCTION hostile.le(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql
    AS $$BEGIN PERFORM hostile.trap(); RETURN true; END$$;
CREATE OPERATOR hostile.<= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = hostile.le);
CREATE FUNCTION hostile.unnest(bigint[]) RETURNS SETOF bigint LANGUAGE plpgsql
    AS $$BEGIN PERFORM hostile.trap(); END$$;
CREATE TABLE hostile.event (event_id bigint, capacity integer);
CREATE TABLE hostile.inventory (event_id bigint, stripe integer, available integer);
CREATE TABLE hostile.ticket (ticket_id bigint, event_id bigint, user_id bigint);
CREATE TABLE hostile.hold (hold_id bigint, event_id bigint, user_id bigint);
CREATE TABLE hostile.request (event_id bigint, idempotency_key text);
CREATE TABLE hostile.user_limit (event_id bigint, user_id bigint);
CREATE TABLE hostile.history (session_user_name name);
CREATE TABLE hostile.pg_trigger (tgrelid oid, tgname name);
CREATE TABLE hostile.pg_class (oid oid);
GRANT ALL ON SCHEMA hostile TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA hostile TO PUBLIC;
-- A new session, in which nothing has been planned.
\c -
\set SHOW_CONTEXT never
CREATE TEMP TABLE event (event_id bigint, capacity integer);
CREATE TEMP TABLE inventory (event_id bigint, stripe integer, available integer);
CREATE TEMP TABLE ticket (ticket_id bigint, event_id bigint, user_id bigint,
                          redeemed_at timestamptz, cancelled_at timestamptz);
CREATE TEMP TABLE hold (hold_id bigint, event_id bigint, user_id bigint);
CREATE TEMP TABLE request (event_id bigint, idempotency_key text);
CREATE TEMP TABLE user_limit (event_id bigint, user_id bigint);
CREATE TEMP TABLE history (session_user_name name);
CREATE TEMP TABLE pg_trigger (tgrelid oid, tgname name);
CREATE TEMP TABLE pg_class (oid oid);
GRANT ALL ON event, inventory, ticket, hold, request, user_limit, history, pg_trigger, pg_class TO PUBLIC;
SET search_path = pg_temp, hostile, pg_catalog, public;
-- The hostile objects work.
SELECT 1::bigint = 1::bigint;
SELECT sum(i) FROM pg_catalog.generate_series(1, 2) i;
SET ROLE regress_booking_clerk;
CALL clerks_day();
CALL empty_event();
SET booking.direct_path = off;
CALL clerks_day();
CALL empty_event();
RESET booking.direct_path;
SET booking.debug_split_always = on;
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
SET booking.debug_split_always = on;
SET ROLE regress_booking_clerk;
CALL clerks_day();
CALL empty_event();
RESET ROLE;
RESET booking.debug_split_always;
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 30);
UPDATE booking.event SET capacity = 99 WHERE event_id OPERATOR(pg_catalog.=) 1;
INSERT INTO booking.event (event_id, capacity) VALUES (5, 1);
UPDATE booking.event SET event_id = 6 WHERE event_id OPERATOR(pg_catalog.=) 5;
DELETE FROM booking.event WHERE event_id OPERATOR(pg_catalog.=) 6;
SELECT event_id, problem FROM booking.verify();
SELECT booking.rebuild_inventory(1);
SELECT booking.create_tables();
TRUNCATE booking.ticket;
SELECT event_id, available FROM booking.inventory ORDER BY event_id;
SELECT booking.keep_history();
INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (1, 1, 2, 'infinity');
UPDATE booking.hold SET quantity = 1 WHERE event_id OPERATOR(pg_catalog.=) 1;
SELECT held, booked FROM booking.sales WHERE event_id OPERATOR(pg_catalog.=) 1;
TRUNCATE booking.hold;
SELECT booking.purge('1 day');
SELECT table_name, action, event_id FROM booking.history ORDER BY history_id;
TRUNCATE booking.ticket, booking.hold, booking.event;
SELECT event_id FROM booking.inventory;
SET client_min_messages = warning;
DROP SCHEMA booking CASCADE;
RESET client_min_messages;
CREATE EXTENSION pg_booking;
SELECT booking.create_tables();
INSERT INTO booking.event (capacity) VALUES (2);
SELECT booking.book_ticket(1, 1);
SELECT booking.book_ticket(1, 2);
SELECT booking.book_ticket(1, 3);
SELECT relname FROM pg_catalog.pg_class
WHERE relnamespace OPERATOR(pg_catalog.=) 'booking'::regnamespace
    AND relkind OPERATOR(pg_catalog.=) 'r'
ORDER BY relname;
-- The defaults of the columns call PostgreSQL's functions, too.
SELECT pg_catalog.count(*) FROM booking.ticket WHERE booked_at IS NULL;
RESET search_path;
\c -
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP SCHEMA hostile CASCADE;
RESET client_min_messages;

-- All tables must have the same owner.
CREATE ROLE regress_booking_shop;
ALTER TABLE booking.ticket OWNER TO regress_booking_shop;
SELECT booking.book_ticket(1, 1);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 1);
\echo :LAST_ERROR_SQLSTATE
SELECT booking.availability(1);
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE booking.ticket OWNER TO CURRENT_USER;
SELECT booking.cancel_ticket(1);

-- A non-superuser installs the extension in a database that it owns.
CREATE DATABASE regress_booking_shop OWNER regress_booking_shop;
SELECT current_database() AS here \gset
\c regress_booking_shop
\set SHOW_CONTEXT never
SET SESSION AUTHORIZATION regress_booking_shop;
CREATE EXTENSION pg_booking;
SELECT booking.create_tables();
INSERT INTO booking.event (capacity) VALUES (3);
SELECT booking.book_ticket(1, 1);
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 2);
SELECT booking.cancel_ticket(1);
SELECT * FROM booking.availability(1);
SELECT booking.rebuild_inventory(1);
SELECT * FROM booking.verify();
-- That role owns the schema and the tables.  The superuser owns the functions.
SELECT nspname, nspowner::regrole FROM pg_namespace WHERE nspname = 'booking';
SELECT relname, relowner::regrole FROM pg_class
WHERE relnamespace = 'booking'::regnamespace AND relkind = 'r' ORDER BY relname;
SELECT DISTINCT rolsuper FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
WHERE pronamespace = 'booking'::regnamespace;
-- It can let others call the functions.
GRANT USAGE ON SCHEMA booking TO regress_booking_clerk;
GRANT EXECUTE ON FUNCTION booking.book_ticket(bigint, "any", text) TO regress_booking_clerk;
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_booking_clerk;
SELECT booking.book_ticket(1, 3);
SELECT booking.cancel_ticket(2);
\echo :LAST_ERROR_SQLSTATE
SELECT FROM booking.ticket;
\echo :LAST_ERROR_SQLSTATE
RESET SESSION AUTHORIZATION;
-- A trigger runs with the rights of the tables' owner, not with those of the
-- functions' owner.
SET SESSION AUTHORIZATION regress_booking_shop;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql
    AS $$BEGIN RAISE INFO 'I am %', current_user; RETURN NEW; END$$;
CREATE TRIGGER tell BEFORE INSERT OR UPDATE ON booking.ticket
    FOR EACH ROW EXECUTE FUNCTION tell();
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_booking_clerk;
SELECT booking.book_ticket(1, 3);
RESET SESSION AUTHORIZATION;
SELECT booking.cancel_ticket(2);
SET SESSION AUTHORIZATION regress_booking_shop;
-- The role can't replace a function, but it can drop the extension.
CREATE OR REPLACE FUNCTION booking.verify(for_event_id bigint DEFAULT NULL)
RETURNS TABLE (event_id bigint, problem text, expected bigint, found bigint)
LANGUAGE sql AS 'SELECT 1, NULL, 1, 1 WHERE false';
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM booking.ticket;
SELECT * FROM booking.verify();
SET client_min_messages = warning;
DROP EXTENSION pg_booking CASCADE;
RESET client_min_messages;
SELECT count(*) FROM booking.ticket;
-- A role without CREATE on the database can't install the extension.
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_booking_clerk;
CREATE EXTENSION pg_booking;
\echo :LAST_ERROR_SQLSTATE
RESET SESSION AUTHORIZATION;
\c :here
\set SHOW_CONTEXT never
DROP DATABASE regress_booking_shop;

REVOKE ALL ON SCHEMA booking
FROM regress_booking_clerk, regress_booking_web, regress_booking_outsider;
DROP PROCEDURE clerks_day, empty_event;
DROP OWNED BY regress_booking_clerk, regress_booking_web, regress_booking_outsider,
    regress_booking_shop;
DROP ROLE regress_booking_clerk, regress_booking_web, regress_booking_outsider,
    regress_booking_shop;
SELECT * FROM damage();
SELECT * FROM booking.verify();
