-- Capacity constraints: whose code runs with whose rights.
--
-- Promises:
--   - Functions of a constraint's owner never run with the rights of one who only reads.
--   - Functions of a caller never run with the rights of the owner.
CALL recreate_booking();
SET client_min_messages = warning;
CREATE ROLE regress_cap_owner;
CREATE ROLE regress_cap_other;
CREATE SCHEMA cap_owner AUTHORIZATION regress_cap_owner;
CREATE SCHEMA cap_other AUTHORIZATION regress_cap_other;
GRANT USAGE ON SCHEMA cap_owner TO regress_cap_other;
GRANT USAGE ON SCHEMA cap_other TO regress_cap_owner;
GRANT USAGE, CREATE ON SCHEMA booking TO regress_cap_owner;
GRANT USAGE ON SCHEMA booking TO regress_cap_other;
GRANT EXECUTE ON FUNCTION booking.add_capacity_constraint TO regress_cap_owner;
GRANT EXECUTE ON FUNCTION booking.places_left TO regress_cap_other;
RESET client_min_messages;

-- ---- a condition that leaves work for the end of the transaction ----

SET ROLE regress_cap_owner;
CREATE TABLE cap_owner.t (k integer, v integer);
CREATE TABLE cap_owner.queue (i integer);
CREATE FUNCTION cap_owner.later() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'later, as %', current_user;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON cap_owner.queue DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION cap_owner.later();
CREATE FUNCTION cap_owner.write() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO cap_owner.queue VALUES (1);
    RETURN true;
END
$$;
CREATE FUNCTION cap_owner.holds(integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN cap_owner.write();
END
$$;
INSERT INTO cap_owner.t VALUES (1, 1);
SELECT booking.add_capacity_constraint('cap_owner.t', '{k}', capacity => 5, condition => 'cap_owner.holds(v)',
    constraint_name => 'm');
SELECT * FROM booking.verify_capacity('m');
RESET ROLE;
SELECT code, message FROM diagnosed('SELECT * FROM booking.verify_capacity(''m'')');
SELECT code, message FROM diagnosed('SELECT booking.rebuild_capacity(''m'')');
SELECT booking.drop_capacity_constraint('m');
-- The same where expired rows are looked for.
SET ROLE regress_cap_owner;
ALTER TABLE cap_owner.t ADD expires timestamptz DEFAULT '2020-01-01';
SELECT booking.add_capacity_constraint('cap_owner.t', '{k}', capacity => 1, condition => 'cap_owner.holds(v)',
    expires_at => 'expires', on_expiry => 'v = NULL', constraint_name => 'm');
RESET ROLE;
SELECT code, message FROM diagnosed('SELECT booking.places_left(''m'', 1)');
SELECT booking.drop_capacity_constraint('m');

-- ---- the caller's search_path, and a type whose check is a function of the owner ----

SET ROLE regress_cap_owner;
CREATE FUNCTION cap_owner.norm(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.lower($1)';
CREATE FUNCTION cap_owner.is_code(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN norm($1) = $1; END';
CREATE DOMAIN cap_owner.code AS text CHECK (cap_owner.is_code(VALUE));
SET search_path = cap_owner;
CREATE TABLE cap_owner.d (k cap_owner.code);
SELECT booking.add_capacity_constraint('cap_owner.d', '{k}', capacity => 5, constraint_name => 'd');
RESET search_path;
SET ROLE regress_cap_other;
CREATE FUNCTION cap_other.norm(text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'norm, as %', current_user;
    RETURN $1;
END
$$;
SET search_path = cap_other;
SELECT booking.places_left('d', 'abc'::text);
RESET search_path;
RESET ROLE;
SELECT booking.drop_capacity_constraint('d');

-- ---- row security of a capacity table that another user owns ----

SET ROLE regress_cap_other;
CREATE TABLE cap_other.show (id integer PRIMARY KEY, capacity integer);
INSERT INTO cap_other.show VALUES (1, 5);
GRANT SELECT, TRIGGER ON cap_other.show TO regress_cap_owner;
SET ROLE regress_cap_owner;
CREATE TABLE cap_owner.ticket (show_id integer);
SELECT booking.add_capacity_constraint('cap_owner.ticket', '{show_id}', 'cap_other.show', 'capacity',
    constraint_name => 'r');
SET ROLE regress_cap_other;
CREATE FUNCTION cap_other.allow() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'the policy, as %', current_user;
    RETURN true;
END
$$;
ALTER TABLE cap_other.show ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON cap_other.show USING (cap_other.allow());
SET ROLE regress_cap_owner;
SELECT code, message FROM diagnosed('TRUNCATE cap_owner.ticket');
INSERT INTO cap_owner.ticket VALUES (1);
RESET ROLE;
SELECT booking.drop_capacity_constraint('r');

-- ---- the right to execute the functions of a condition ----

-- It is the right of the user who writes, as in a CHECK, also after another user
-- has written in the same transaction.
SET ROLE regress_cap_owner;
CREATE FUNCTION cap_owner.is_live(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql
    AS 'BEGIN RETURN $1 = ''live''; END';
REVOKE EXECUTE ON FUNCTION cap_owner.is_live(text) FROM PUBLIC;
CREATE TABLE cap_owner.place (k integer, status text);
SELECT booking.add_capacity_constraint('cap_owner.place', '{k}', capacity => 5, constraint_name => 'x',
    condition => 'cap_owner.is_live(status)');
GRANT USAGE ON SCHEMA cap_owner TO regress_cap_other;
GRANT INSERT ON cap_owner.place TO regress_cap_other;
BEGIN;
INSERT INTO cap_owner.place VALUES (1, 'live');
SET LOCAL ROLE regress_cap_other;
INSERT INTO cap_owner.place VALUES (1, 'live');
ROLLBACK;
GRANT EXECUTE ON FUNCTION cap_owner.is_live(text) TO regress_cap_other;
BEGIN;
INSERT INTO cap_owner.place VALUES (1, 'live');
SET LOCAL ROLE regress_cap_other;
INSERT INTO cap_owner.place VALUES (1, 'live');
COMMIT;
RESET ROLE;
SELECT booking.places_left('x', 1);
SELECT booking.drop_capacity_constraint('x');

-- ---- the application needs no right on schema booking ----

CREATE ROLE regress_cap_app LOGIN;
CREATE TABLE public.cap_show (id integer PRIMARY KEY, capacity integer);
CREATE TABLE public.cap_seat (show_id integer, expires timestamptz);
GRANT ALL ON cap_show, cap_seat TO regress_cap_app;
SELECT booking.add_capacity_constraint('cap_seat', '{show_id}', 'cap_show', 'capacity', constraint_name => 'app',
    expires_at => 'expires', on_expiry => 'DELETE');
SELECT current_database() AS db, current_user AS me \gset
REVOKE USAGE ON SCHEMA booking FROM PUBLIC;
-- in a session that has not looked anything up as another role
\c :db regress_cap_app
SET client_min_messages = error;
INSERT INTO cap_show VALUES (1, 1);
INSERT INTO cap_seat VALUES (1, '2020-01-01');
INSERT INTO cap_seat VALUES (1);
INSERT INTO cap_seat VALUES (1);
\echo :LAST_ERROR_SQLSTATE
UPDATE cap_show SET capacity = 2;
DELETE FROM cap_seat;
TRUNCATE cap_seat;
DELETE FROM cap_show;
\c :db :me
SELECT * FROM booking.verify_capacity();
SELECT booking.drop_capacity_constraint('app');
DROP TABLE cap_show, cap_seat;
DROP ROLE regress_cap_app;

-- ---- triggers that a dropped constraint has left on the table of another user ----

CREATE TABLE public.cap_theirs (id integer PRIMARY KEY, capacity integer);
CREATE TABLE public.cap_theirs_2 (id integer PRIMARY KEY, capacity integer);
INSERT INTO cap_theirs VALUES (1, 100);
INSERT INTO cap_theirs_2 VALUES (1, 2);
GRANT SELECT, TRIGGER ON cap_theirs, cap_theirs_2 TO regress_cap_owner;
GRANT EXECUTE ON FUNCTION booking.drop_capacity_constraint TO regress_cap_owner;
SET ROLE regress_cap_owner;
CREATE TABLE cap_owner.seat (k integer);
SELECT booking.add_capacity_constraint('cap_owner.seat', '{k}', 'cap_theirs', 'capacity', constraint_name => 'left');
SELECT booking.drop_capacity_constraint('left');
-- They would be taken for those of a new constraint.
SELECT * FROM diagnosed($$SELECT booking.add_capacity_constraint('cap_owner.seat', '{k}', 'cap_theirs_2', 'capacity',
    constraint_name => 'left')$$) \gx
SELECT code FROM diagnosed($$SELECT booking.add_capacity_constraint('cap_owner.seat', '{k}', capacity => 3,
    constraint_name => 'left')$$);
-- The same table is no problem.
SELECT booking.add_capacity_constraint('cap_owner.seat', '{k}', 'cap_theirs', 'capacity', constraint_name => 'left');
RESET ROLE;
UPDATE cap_theirs SET capacity = 1;
SELECT booking.places_left('left', 1), (SELECT capacity_table FROM booking.capacity_constraints);
-- Without the right to create triggers the constraint does not see the table.
REVOKE TRIGGER ON cap_theirs FROM regress_cap_owner;
SELECT * FROM diagnosed('UPDATE cap_theirs SET capacity = 2') \gx
SELECT capacity_table FROM booking.capacity_constraints;
SELECT problem FROM booking.verify_capacity();
SET ROLE regress_cap_owner;
SELECT booking.drop_capacity_constraint('left');
-- Another user makes a pool table of that name, with a function or an on_expiry of his.
RESET ROLE;
GRANT CREATE ON SCHEMA booking TO regress_cap_other;
SET ROLE regress_cap_other;
CREATE FUNCTION cap_other.evil() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'evil, as %', current_user;
    RETURN NULL;
END
$$;
CREATE TABLE cap_other.t (k integer, expires timestamptz);
CREATE TABLE booking.left (k integer NOT NULL, stripe integer NOT NULL, available integer NOT NULL,
    capacity integer, PRIMARY KEY (k, stripe));
INSERT INTO booking.left VALUES (1, 0, 0, 2);
RESET ROLE;
SELECT current_user AS me \gset
SET ROLE regress_cap_other;
CREATE TRIGGER x AFTER INSERT ON booking.left FOR EACH STATEMENT
    EXECUTE FUNCTION cap_other.evil('', 'f', '', 'cap_other.t', 'public.cap_theirs', :'me');
RESET ROLE;
SELECT code FROM diagnosed('UPDATE cap_theirs SET capacity = 1');
SET ROLE regress_cap_other;
CREATE OR REPLACE TRIGGER x AFTER INSERT ON booking.left FOR EACH STATEMENT
    EXECUTE FUNCTION booking.capacity_settle('', 'f', 'DELETE', 'cap_other.t', 'public.cap_theirs', :'me');
RESET ROLE;
SELECT code FROM diagnosed('UPDATE cap_theirs SET capacity = 1');
DROP TABLE booking.left, cap_theirs, cap_theirs_2;
-- The right is that on the partitioned table, and revoking it counts at once.
CREATE TABLE public.cap_theirs (id integer PRIMARY KEY, capacity integer) PARTITION BY LIST (id);
CREATE TABLE public.cap_theirs_1 PARTITION OF cap_theirs FOR VALUES IN (1);
INSERT INTO cap_theirs VALUES (1, 5);
GRANT SELECT, TRIGGER ON cap_theirs, cap_theirs_1 TO regress_cap_owner;
SET ROLE regress_cap_owner;
SELECT booking.add_capacity_constraint('cap_owner.seat', '{k}', 'cap_theirs', 'capacity', constraint_name => 'parted');
RESET ROLE;
UPDATE cap_theirs SET capacity = 6;
REVOKE TRIGGER ON cap_theirs FROM regress_cap_owner;
SELECT code FROM diagnosed('UPDATE cap_theirs SET capacity = 7');
GRANT TRIGGER ON cap_theirs TO regress_cap_owner;
UPDATE cap_theirs SET capacity = 7;
SELECT booking.places_left('parted', 1);
DROP TABLE cap_theirs;
SELECT booking.drop_capacity_constraint('parted');

SET client_min_messages = warning;
DROP SCHEMA cap_owner, cap_other CASCADE;
CALL recreate_booking();
DROP OWNED BY regress_cap_owner, regress_cap_other;
DROP ROLE regress_cap_owner, regress_cap_other;
