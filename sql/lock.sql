--
-- Named locks.
--
-- Promises:
--   - One owner has a lock at a time, until it is released, or has expired and
--     another owner acquires it.
--   - The tokens of a lock only grow.  Only the last one can renew, release and
--     assert the lock; whether it has expired does not matter for that.
--   - A refusal takes no transaction id.
--   - A transaction that has asserted a lock for the commit commits only if it is
--     still its.  Savepoints count.
--   - EXECUTE on a function is all that a caller needs.
--
-- The isolation specs lock_*.spec have two sessions at once.
CALL recreate_booking();
\set SHOW_CONTEXT never

-- What is known of each lock, without the times.
CREATE VIEW held AS
    SELECT resource, owner, token, expires_at > clock_timestamp() AS unexpired,
           booking.locked(resource), note
    FROM booking.resource_lock ORDER BY resource;
CREATE PROCEDURE let_locks_expire() LANGUAGE sql
AS $$ UPDATE booking.resource_lock SET expires_at = clock_timestamp() - interval '1 second' $$;

-- ---- acquire, renew, assert, release ----

SELECT booking.locked('report');
SELECT token, expires_at - clock_timestamp() BETWEEN '50 seconds' AND '1 minute' AS a_minute
FROM booking.acquire_lock('report', 'ann');
SELECT token, expires_at - clock_timestamp() BETWEEN '9 minutes' AND '10 minutes' AS ten_minutes
FROM booking.acquire_lock(resource => 'import', owner => 'bob', ttl => '10 minutes', note => 'of May');
TABLE held;
SELECT locked_at <= clock_timestamp() AS locked_at,
       expires_at - locked_at AS ttl FROM booking.resource_lock ORDER BY resource;

-- It is refused to others.
SELECT code, message, regexp_replace(detail, 'until .*', 'until ...') AS detail, hint, fields
FROM diagnosed($$SELECT booking.acquire_lock('report', 'bob')$$) \gx
SELECT status, token, owner, expires_at > clock_timestamp() AS unexpired
FROM booking.try_acquire_lock('report', 'bob');
-- A refusal takes no transaction id and writes no WAL.
BEGIN;
SELECT pg_current_wal_insert_lsn() AS before \gset
SELECT status FROM booking.try_acquire_lock('report', 'bob');
SELECT pg_current_xact_id_if_assigned() IS NULL AS no_xid,
       pg_current_wal_insert_lsn() = :'before' AS no_wal;
SELECT locktype, mode FROM pg_locks
WHERE pid = pg_backend_pid() AND locktype NOT IN ('virtualxid')
    AND (relation IS NULL OR relation::regclass::text = 'booking.resource_lock')
ORDER BY 1, 2;
COMMIT;

SELECT booking.assert_lock('report', 1);
SELECT booking.renew_lock('report', 1, '1 hour') - clock_timestamp() > '59 minutes' AS renewed;
-- A renewal may be shorter.
SELECT booking.renew_lock('report', 1, '1 minute') - clock_timestamp() <= '1 minute' AS renewed;
SELECT booking.release_lock('report', 1);
SELECT booking.release_lock('report', 1);
SELECT booking.locked('report');
TABLE held;
SELECT status, token, owner FROM booking.try_acquire_lock('report', 'bob');

-- The same owner gets a new token, and loses the old one.
SELECT token FROM booking.acquire_lock('report', 'bob', note => 'again');
TABLE held;
SELECT code FROM outcome('SELECT booking.assert_lock(''report'', 3)');
SELECT booking.assert_lock('report', 4);

-- ---- a lock that has expired ----

-- It is still its holder's until another owner acquires it.
CALL let_locks_expire();
TABLE held;
SELECT booking.assert_lock('report', 4);
SELECT booking.renew_lock('report', 4, '1 minute') > clock_timestamp() AS renewed;
CALL let_locks_expire();
SELECT status, token, owner FROM booking.try_acquire_lock('report', 'carl', '2 minutes');
TABLE held;
SELECT statement, o.code, o.message, regexp_replace(o.detail, 'until [^.,]*[.0-9+:-]*', 'until ...') AS detail, o.hint, o.fields
FROM (VALUES
    (1, 'SELECT booking.assert_lock(''report'', 4)'),
    (2, 'SELECT booking.renew_lock(''report'', 4, ''1 minute'')'),
    -- the token of another lock, and of none
    (3, 'SELECT booking.assert_lock(''report'', 2)'),
    (4, 'SELECT booking.assert_lock(''report'', -1)'),
    (5, 'SELECT booking.assert_lock(''no such lock'', 4)'),
    (6, 'SELECT booking.renew_lock(''no such lock'', 4, ''1 minute'')'),
    -- it has expired
    (7, 'SELECT booking.assert_lock(''import'', 1)')) AS s (n, statement),
    diagnosed(statement) o ORDER BY n \gx
SELECT booking.release_lock('report', 4);
-- A ttl of a millisecond has passed soon.
SELECT token FROM booking.acquire_lock('short', 'ann', '1 ms');
SELECT pg_sleep(0.002);
SELECT token, owner FROM booking.try_acquire_lock('short', 'bob');

-- In a long transaction, too, the clock counts.
BEGIN;
SELECT owner FROM booking.try_acquire_lock('short', 'carl', '1 ms');
SELECT owner FROM booking.try_acquire_lock('shorter', 'carl', '1 ms');
SELECT pg_sleep(0.002);
SELECT booking.locked('shorter');
SELECT owner FROM booking.try_acquire_lock('shorter', 'dora');
ROLLBACK;

-- ---- names ----

-- Names are compared by their bytes.
SELECT status, token FROM booking.try_acquire_lock('Report', 'carl');
SELECT status, token FROM booking.try_acquire_lock('report ', 'carl');
SELECT status, token FROM booking.try_acquire_lock(repeat('x', 200), repeat('y', 200), '100 years', repeat('z', 10000));
SELECT status, token FROM booking.try_acquire_lock(repeat('x', 200), repeat('y', 200), '36524 days', repeat('z', 10000000));
SELECT length(note) FROM booking.resource_lock WHERE note LIKE 'z%';
SELECT booking.release_lock(resource, token) FROM booking.resource_lock WHERE note LIKE 'z%';

-- ---- within one transaction, and one statement ----

BEGIN;
SELECT token FROM booking.acquire_lock('one', 'ann');
SELECT booking.assert_lock('one', token) FROM booking.resource_lock WHERE resource = 'one';
SELECT booking.release_lock('one', token) FROM booking.resource_lock WHERE resource = 'one';
SELECT owner FROM booking.try_acquire_lock('one', 'bob');
SAVEPOINT s;
SELECT owner FROM booking.try_acquire_lock('two', 'bob');
ROLLBACK TO s;
SELECT owner FROM booking.try_acquire_lock('two', 'carl');
COMMIT;
SELECT resource, owner FROM held WHERE resource IN ('one', 'two');
-- A session that has asserted the lock can acquire it again.
BEGIN;
SELECT booking.assert_lock('one', token) FROM booking.resource_lock WHERE resource = 'one';
SAVEPOINT s;
SELECT booking.assert_lock('one', token) FROM booking.resource_lock WHERE resource = 'one';
SELECT status FROM booking.try_acquire_lock('one', 'bob');
COMMIT;
CREATE FUNCTION in_turn() RETURNS text LANGUAGE sql
AS $$ SELECT concat_ws(' ', (SELECT status FROM booking.try_acquire_lock('turn', 'ann')),
                       (SELECT status FROM booking.try_acquire_lock('turn', 'bob')),
                       (SELECT status FROM booking.try_acquire_lock('turn', 'ann'))) $$;
SELECT in_turn();
SELECT booking.release_lock('turn', token),
       (SELECT status FROM booking.try_acquire_lock('turn', 'bob')),
       booking.release_lock('turn', token) AS released_again
FROM booking.resource_lock WHERE resource = 'turn';
SELECT resource, owner FROM held WHERE resource = 'turn';
-- A statement that has deleted the row itself can't acquire it, and ends.
SELECT code FROM outcome(
    'DELETE FROM booking.resource_lock WHERE resource = ''turn''
     RETURNING booking.try_acquire_lock(''turn'', ''bob'')');

-- ---- at the commit ----

CREATE TABLE journal (line text);
TRUNCATE booking.resource_lock;
SELECT token AS a FROM booking.acquire_lock('a', 'ann') \gset
SELECT token AS b FROM booking.acquire_lock('b', 'ann') \gset
BEGIN;
SELECT booking.assert_lock('b', :b, 'commit'), booking.assert_lock('a', :a, 'commit'), booking.assert_lock('a', :a, at => 'commit');
INSERT INTO journal VALUES ('both are held');
COMMIT;
-- No assertion is left for the next transaction.
SELECT booking.release_lock('b', :b);
INSERT INTO journal VALUES ('a transaction without assertions');
BEGIN;
SELECT booking.assert_lock('a', :a, 'commit'), booking.assert_lock('b', :b, 'commit');
INSERT INTO journal VALUES ('b was released');
COMMIT;
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SELECT booking.assert_lock('b', :b, 'commit');
INSERT INTO journal VALUES ('rolled back');
ROLLBACK;
-- The lock need not be held before the commit.
BEGIN;
SELECT booking.assert_lock('c', currval('booking.resource_lock_token_seq') + 1, 'commit');
SELECT status FROM booking.try_acquire_lock('c', 'ann');
INSERT INTO journal VALUES ('acquired after it was asserted');
COMMIT;
-- A transaction may release what it has asserted.
SELECT token AS d FROM booking.acquire_lock('d', 'ann') \gset
BEGIN;
SELECT booking.assert_lock('d', :d, 'commit'), booking.release_lock('d', :d);
SAVEPOINT s;
INSERT INTO journal VALUES ('asserted and released');
ROLLBACK TO s;
INSERT INTO journal VALUES ('asserted and released');
COMMIT;
SELECT token AS d FROM booking.acquire_lock('d', 'ann') \gset
BEGIN;
SELECT booking.assert_lock('d', :d, 'commit');
SAVEPOINT s;
SELECT booking.release_lock('d', :d);
RELEASE s;
SAVEPOINT s;
ROLLBACK TO s;
INSERT INTO journal VALUES ('asserted, and released in a savepoint');
COMMIT;
-- But not if the release was rolled back, or came before the assertion.
SELECT token AS d FROM booking.acquire_lock('d', 'ann') \gset
BEGIN;
SELECT booking.assert_lock('d', :d, 'commit');
SAVEPOINT s;
SELECT booking.release_lock('d', :d);
ROLLBACK TO s;
SELECT owner FROM booking.try_acquire_lock('d', 'ann');
SELECT booking.release_lock('d', token) FROM booking.resource_lock WHERE resource = 'd';
INSERT INTO journal VALUES ('the release was rolled back');
COMMIT;
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SELECT booking.assert_lock('d', :d, 'commit'), booking.release_lock('d', :d),
       booking.assert_lock('d', :d, 'commit');
INSERT INTO journal VALUES ('asserted after the release');
COMMIT;
\echo :LAST_ERROR_SQLSTATE
-- A savepoint that is rolled back takes its assertions with it.
BEGIN;
SAVEPOINT s;
SELECT booking.assert_lock('b', :b, 'commit');
ROLLBACK TO s;
INSERT INTO journal VALUES ('the assertion was rolled back');
COMMIT;
BEGIN;
SELECT booking.assert_lock('b', :b, 'commit');
SAVEPOINT s;
SELECT booking.assert_lock('b', :b, 'commit');
ROLLBACK TO s;
INSERT INTO journal VALUES ('an outer assertion was not rolled back');
COMMIT;
\echo :LAST_ERROR_SQLSTATE
-- One that is released hands them to its parent.
BEGIN;
SAVEPOINT s;
SAVEPOINT t;
SELECT booking.assert_lock('b', :b, 'commit');
RELEASE t;
RELEASE s;
INSERT INTO journal VALUES ('the assertion was released');
COMMIT;
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SAVEPOINT s;
SELECT booking.assert_lock('b', :b, 'commit');
RELEASE s;
SAVEPOINT t;
ROLLBACK TO t;
INSERT INTO journal VALUES ('released, and another savepoint was rolled back');
COMMIT;
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SAVEPOINT s;
SAVEPOINT t;
SELECT booking.assert_lock('b', :b, 'commit');
RELEASE t;
ROLLBACK TO s;
INSERT INTO journal VALUES ('released, then rolled back');
COMMIT;
-- A transaction that has become read-only checks them, too.
BEGIN;
SELECT booking.assert_lock('a', :a, 'commit');
SET TRANSACTION READ ONLY;
COMMIT;
-- In autocommit the statement fails.
INSERT INTO journal SELECT 'in autocommit' FROM booking.assert_lock('b', :b, 'commit');
\echo :LAST_ERROR_SQLSTATE
TABLE journal;
-- Prepared transactions: checked when they are prepared, and locked until the end.
BEGIN;
SELECT booking.assert_lock('b', :b, 'commit');
PREPARE TRANSACTION 'regress_booking_lost';
\echo :LAST_ERROR_SQLSTATE
CALL let_locks_expire();
BEGIN;
SELECT booking.assert_lock('a', :a, 'commit');
PREPARE TRANSACTION 'regress_booking_kept';
SELECT status, owner FROM booking.try_acquire_lock('a', 'bob');
COMMIT PREPARED 'regress_booking_kept';
SELECT status, owner FROM booking.try_acquire_lock('a', 'bob');

-- The place of a row that this session has seen can become another row's.
TRUNCATE booking.resource_lock;
SELECT token AS a FROM booking.acquire_lock('a', 'ann') \gset
SELECT booking.assert_lock('a', :a);
TRUNCATE booking.resource_lock;
SELECT code FROM outcome(format('SELECT booking.assert_lock(''a'', %s)', :a));
INSERT INTO booking.resource_lock (resource, owner, token, expires_at) VALUES ('b', 'ann', :a, 'infinity');
SELECT code FROM outcome(format('SELECT booking.assert_lock(''a'', %s)', :a));
SELECT booking.assert_lock('b', :a);
VACUUM FULL booking.resource_lock;
SELECT booking.assert_lock('b', :a);

-- ---- bad input ----

SELECT statement, o.code, o.message, o.detail
FROM (VALUES
    (1, 'SELECT booking.acquire_lock(NULL, ''ann'')'),
    (2, 'SELECT booking.acquire_lock(''a'', NULL)'),
    (3, 'SELECT booking.acquire_lock(''a'', ''ann'', NULL)'),
    (4, 'SELECT booking.try_acquire_lock(NULL, ''ann'')'),
    (5, 'SELECT booking.try_acquire_lock(''a'', NULL)'),
    (6, 'SELECT booking.try_acquire_lock(''a'', ''ann'', NULL)'),
    (7, 'SELECT booking.renew_lock(NULL, 1, ''1 s'')'),
    (8, 'SELECT booking.renew_lock(''a'', NULL, ''1 s'')'),
    (9, 'SELECT booking.renew_lock(''a'', 1, NULL)'),
    (10, 'SELECT booking.release_lock(NULL, 1)'),
    (11, 'SELECT booking.release_lock(''a'', NULL)'),
    (12, 'SELECT booking.assert_lock(NULL, 1)'),
    (13, 'SELECT booking.assert_lock(''a'', NULL)'),
    (14, 'SELECT booking.assert_lock(''a'', 1, NULL)'),
    (15, 'SELECT booking.locked(NULL)'),
    (20, 'SELECT booking.acquire_lock('''', ''ann'')'),
    (21, 'SELECT booking.acquire_lock(''a'', '''')'),
    (22, 'SELECT booking.try_acquire_lock(repeat(''x'', 201), ''ann'')'),
    (23, 'SELECT booking.try_acquire_lock(''a'', repeat(''x'', 100000))'),
    (24, 'SELECT booking.try_acquire_lock(repeat(''ä'', 101), ''ann'')'),
    (25, 'SELECT booking.renew_lock('''', 1, ''1 s'')'),
    (26, 'SELECT booking.release_lock(repeat(''x'', 201), 1)'),
    (27, 'SELECT booking.assert_lock('''', 1)'),
    (28, 'SELECT booking.assert_lock('''', 1, ''commit'')'),
    (29, 'SELECT booking.locked(repeat(''x'', 201))'),
    (30, 'SELECT booking.assert_lock(''a'', 1, ''later'')'),
    (31, 'SELECT booking.assert_lock(''a'', 1, '''')')) AS s (n, statement), outcome(statement) o
ORDER BY n;
SELECT ttl, o.code, o.message, o.detail
FROM (VALUES
    (1, '0'), (2, '-1 second'), (3, '999 microseconds'), (4, '100 years 1 second'),
    (5, '1200 months 1 day'), (6, '36600 days'), (7, '178000000 years'), (8, '-178000000 years'),
    (9, '1000000 years -365242500 days'), (10, '2147483647 days'), (11, '-1 month 20 days'),
    (12, '9223372036854775 milliseconds')) AS s (n, ttl),
    outcome(format('SELECT booking.try_acquire_lock(''a'', ''ann'', %L)', ttl)) o
ORDER BY n;
SELECT code, message FROM outcome('SELECT booking.renew_lock(''a'', 1, ''0'')');
SELECT code, message FROM outcome('SELECT booking.renew_lock(''a'', 1, ''101 years'')');
-- Longer by the calendar than as an interval, and still allowed.
SELECT ttl, o.code
FROM (VALUES (1, '1 ms'), (2, '100 years'), (3, '36524 days'), (4, '1 month -29 days 23 hours'), (5, '876000 hours')) AS s (n, ttl),
    outcome(format('SELECT booking.try_acquire_lock(''ttl'', ''ann'', %L)', ttl)) o
ORDER BY n;
BEGIN READ ONLY;
SELECT statement, o.code, o.message
FROM (VALUES
    (1, 'SELECT booking.acquire_lock(''a'', ''ann'')'),
    (2, 'SELECT booking.try_acquire_lock(''a'', ''ann'')'),
    (3, 'SELECT booking.renew_lock(''a'', 1, ''1 s'')'),
    (4, 'SELECT booking.release_lock(''a'', 1)'),
    (5, 'SELECT booking.assert_lock(''a'', 1)'),
    (6, 'SELECT booking.assert_lock(''a'', 1, ''commit'')'),
    (7, 'SELECT booking.locked(''a'')')) AS s (n, statement), outcome(statement) o
ORDER BY n;
COMMIT;

-- ---- the table ----

-- What the functions can't use is named.  Every function looks.
DROP VIEW held;
SELECT n, a.code, a.message
FROM (VALUES
    (1, 'ALTER TABLE booking.resource_lock RENAME TO renamed'),
    (2, 'DROP TABLE booking.resource_lock'),
    (3, 'ALTER TABLE booking.resource_lock RENAME owner TO holder'),
    (4, 'ALTER TABLE booking.resource_lock ALTER owner TYPE varchar(80)'),
    (5, 'ALTER TABLE booking.resource_lock DROP CONSTRAINT resource_lock_pkey'),
    (6, 'ALTER TABLE booking.resource_lock ALTER resource TYPE text COLLATE "POSIX"'),
    (7, 'ALTER TABLE booking.resource_lock ALTER token DROP IDENTITY'),
    (8, 'ALTER TABLE booking.resource_lock ADD CHECK (owner <> ''x'')'),
    (9, 'ALTER TABLE booking.resource_lock ADD since timestamptz DEFAULT now()'),
    (10, 'ALTER TABLE booking.resource_lock ALTER owner SET DEFAULT ''x'''),
    (11, 'CREATE INDEX ON booking.resource_lock (owner) WHERE owner > ''a'''),
    (12, 'CREATE INDEX ON booking.resource_lock USING hash (owner)'),
    (13, 'CREATE TABLE other (id text REFERENCES booking.resource_lock)'),
    (14, 'CREATE RULE r AS ON INSERT TO booking.resource_lock DO ALSO NOTHING'),
    (15, 'ALTER TABLE booking.resource_lock SET UNLOGGED'),
    (16, 'ALTER TABLE booking.resource_lock DROP CONSTRAINT resource_lock_pkey, ADD PRIMARY KEY (token)'),
    (17, 'ALTER SEQUENCE booking.resource_lock_token_seq CACHE 10'),
    (18, 'ALTER SEQUENCE booking.resource_lock_token_seq INCREMENT -1'),
    (19, 'ALTER SEQUENCE booking.resource_lock_token_seq CYCLE'),
    (20, 'ALTER SEQUENCE booking.resource_lock_token_seq RESTART 1'),
    (21, 'CREATE UNIQUE INDEX ON booking.resource_lock (owner, token)'),
    (22, 'UPDATE booking.resource_lock SET note = token; ALTER TABLE booking.resource_lock ALTER note SET NOT NULL')) AS s (n, change),
    after_change(change, 'SELECT booking.acquire_lock(''ttl'', ''ann'')') a
ORDER BY n;
SELECT n, a.code
FROM (VALUES
    (1, 'SELECT booking.try_acquire_lock(''ttl'', ''ann'')'),
    (2, 'SELECT booking.renew_lock(''ttl'', 1, ''1 s'')'),
    (3, 'SELECT booking.release_lock(''ttl'', 1)'),
    (4, 'SELECT booking.assert_lock(''ttl'', 1)'),
    (5, 'SELECT booking.locked(''ttl'')')) AS s (n, statement),
    after_change('ALTER TABLE booking.resource_lock RENAME note TO remark', statement) a
ORDER BY n;
-- What it can have: columns that may be null, and plain indexes.
ALTER TABLE booking.resource_lock ADD added text;
CREATE INDEX ON booking.resource_lock (owner);
CREATE INDEX ON booking.resource_lock (expires_at);
SELECT status FROM booking.try_acquire_lock('extended', 'ann');
UPDATE booking.resource_lock SET added = 'kept' WHERE resource = 'extended';
SELECT booking.renew_lock(resource, token, '2 hours') > clock_timestamp() AS renewed
FROM booking.resource_lock WHERE resource = 'extended';
SELECT status FROM booking.try_acquire_lock('extended', 'ann');
SET enable_seqscan = off;
SELECT added, owner FROM booking.resource_lock WHERE owner = 'ann' AND resource = 'extended';
RESET enable_seqscan;
-- A plain statement that writes the table is judged like any row.
INSERT INTO booking.resource_lock (resource, owner, expires_at) VALUES ('by hand', 'dora', 'infinity');
SELECT status, owner, expires_at FROM booking.try_acquire_lock('by hand', 'ann');
-- verify() and create_tables() know the table and its sequence.
ALTER TABLE booking.resource_lock DROP CONSTRAINT resource_lock_pkey, ALTER token DROP IDENTITY,
    ALTER locked_at DROP DEFAULT;
SELECT problem FROM booking.verify();
SELECT booking.create_tables();
SELECT problem FROM booking.verify();
SELECT status FROM booking.try_acquire_lock('extended', 'ann');
SELECT setval('booking.resource_lock_token_seq', 1);
SELECT problem FROM booking.verify();
SELECT booking.create_tables();
SELECT problem FROM booking.verify();

-- ---- privileges ----

SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_booking_clerk;
DROP ROLE IF EXISTS regress_booking_shop;
RESET client_min_messages;
CREATE ROLE regress_booking_clerk;
CREATE ROLE regress_booking_shop;
CALL give_tables('regress_booking_shop');
GRANT USAGE ON SCHEMA booking TO regress_booking_clerk;
TRUNCATE booking.resource_lock;
SET ROLE regress_booking_clerk;
SELECT statement, o.code, o.message
FROM (VALUES
    (1, 'SELECT booking.acquire_lock(''a'', ''ann'')'),
    (2, 'SELECT booking.try_acquire_lock(''a'', ''ann'')'),
    (3, 'SELECT booking.renew_lock(''a'', 1, ''1 s'')'),
    (4, 'SELECT booking.release_lock(''a'', 1)'),
    (5, 'SELECT booking.assert_lock(''a'', 1)'),
    (6, 'SELECT booking.locked(''a'')')) AS s (n, statement), outcome(statement) o
ORDER BY n;
RESET ROLE;
-- Who may assert may not steal.
SELECT token AS a FROM booking.acquire_lock('a', 'ann') \gset
GRANT EXECUTE ON FUNCTION booking.assert_lock(text, bigint, text), booking.locked(text)
TO regress_booking_clerk;
SET ROLE regress_booking_clerk;
BEGIN;
SELECT booking.assert_lock('a', :a), booking.assert_lock('a', :a, 'commit'), booking.locked('a');
COMMIT;
SELECT statement, o.code, o.message
FROM (VALUES
    (1, format('SELECT booking.release_lock(''a'', %s)', :a)),
    (2, 'TABLE booking.resource_lock'),
    (3, 'DELETE FROM booking.resource_lock'),
    (4, 'SELECT nextval(''booking.resource_lock_token_seq'')')) AS s (n, statement), outcome(statement) o
ORDER BY n;
RESET ROLE;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA booking TO regress_booking_clerk;
SET ROLE regress_booking_clerk;
SELECT status FROM booking.try_acquire_lock('b', 'ann');
SELECT booking.renew_lock('a', :a, '1 minute') > clock_timestamp() AS renewed;
SELECT token FROM booking.acquire_lock('a', 'ann');
SELECT current_user;
RESET ROLE;
SELECT count(*) FROM pg_locks
WHERE pid = pg_backend_pid() AND locktype IN ('advisory', 'tuple');


-- The number of new locks is not limited by the server's lock table.
BEGIN;
SELECT count(*) FROM generate_series(1, 20000) n, booking.acquire_lock('many ' || n, 'ann');
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype IN ('advisory', 'tuple');
ROLLBACK;

SELECT * FROM damage();
SELECT * FROM booking.verify();
DROP TABLE journal;
DROP FUNCTION in_turn;
DROP PROCEDURE let_locks_expire;
CALL recreate_booking();
DROP ROLE regress_booking_clerk;
DROP ROLE regress_booking_shop;
