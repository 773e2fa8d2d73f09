--
-- Shards: ids tell where their rows are.
--
-- Promises:
--   - create_tables() makes the ids of one shard, and changes them no more.
--   - No event can be on another shard, and verify() names what could give a ticket or
--     a hold an id of another one.
--   - router_functions() has each function that an application calls.

SET client_min_messages = warning;
DROP SCHEMA IF EXISTS booking CASCADE;
CREATE EXTENSION pg_booking;
RESET client_min_messages;

SELECT id, booking.shard_of(id, 4) FROM unnest('{4,5,6,7,8,0,-1,9223372036854775807}'::bigint[]) id;
SELECT booking.shard_of(NULL, 4), booking.shard_of(5, NULL), booking.shard_of(5, 1), booking.shard_of(5, 1024);
SELECT * FROM booking.this_shard();

-- A shard that can't be.
SELECT arguments, o.code, o.message, o.hint
FROM unnest('{"''bigint'', 0, 3","''bigint'', 0, 0","''bigint'', 0, -4","''bigint'', 0, 2048",
              "''bigint'', 4, 4","''bigint'', -1, 4","''bigint'', NULL, 4","''bigint'', 1, NULL",
              "''bigint'', 1, 1"}'::text[]) arguments,
     outcome('SELECT booking.create_tables(' || arguments || ')') o;
SELECT to_regclass('booking.event');
SELECT code, message, hint FROM outcome($$SELECT booking.router_functions('shop')$$);

SELECT booking.create_tables('uuid', 1, 4);
SELECT * FROM booking.this_shard();
SELECT * FROM booking.verify();
SELECT booking.create_event('a', 10, max_per_user => 9) AS a, booking.create_event('b', NULL, hold_ttl => '1 hour') AS b,
       booking.create_event('c', 0, max_hold_ttl => '2 hours') AS c;
SELECT event_id, name, capacity, max_per_user, hold_ttl, max_hold_ttl FROM booking.event ORDER BY 1;
SELECT booking.book_tickets(5, gen_random_uuid(), 3), hold_id FROM booking.hold_tickets(5, gen_random_uuid());

-- Called again, it keeps the shard, and refuses another one.
SELECT booking.create_tables();
SELECT booking.create_tables('uuid', 1, 4);
SELECT code, message, hint FROM outcome($$SELECT booking.create_tables('uuid', 2, 4)$$);
SELECT code, message, hint FROM outcome($$SELECT booking.create_tables('bigint', 1, 8)$$);
SELECT shard, shards FROM booking.this_shard();

-- An event of another shard.
SELECT code, message FROM outcome('INSERT INTO booking.event (event_id, capacity) VALUES (6, 1)');
SELECT code, message FROM outcome('INSERT INTO booking.event (event_id, capacity) VALUES (-1, 1)');
SELECT code, message FROM outcome('UPDATE booking.event SET event_id = 12 WHERE event_id = 13');

-- What loses the shard: verify() names it, create_tables() puts it back.
ALTER TABLE booking.event DROP CONSTRAINT event_shard_check;
ALTER TABLE booking.hold ALTER hold_id DROP IDENTITY;
SELECT problem FROM booking.verify();
SELECT booking.create_tables();
SELECT hold_id FROM booking.hold_tickets(5, gen_random_uuid());
SELECT setval('booking.ticket_ticket_id_seq', 100);
SELECT problem FROM booking.verify();
SELECT booking.create_tables();
SELECT booking.book_ticket(5, gen_random_uuid());
ALTER SEQUENCE booking.hold_hold_id_seq INCREMENT BY 1;
SELECT setval('booking.event_event_id_seq', 1000);
SELECT problem FROM booking.verify();
SELECT booking.create_tables();
SELECT hold_id, booking.create_event('d', 1) FROM booking.hold_tickets(5, gen_random_uuid());
SET client_min_messages = error;
DROP TABLE booking.ticket, booking.request CASCADE;
SELECT booking.create_tables('uuid');
RESET client_min_messages;
SELECT * FROM booking.rebuild_inventory();
SELECT booking.book_ticket(9, gen_random_uuid());
SELECT shard, shards, user_id_type FROM booking.this_shard();
-- Ids that were loaded.
INSERT INTO booking.ticket (ticket_id, event_id, user_id) VALUES (9, 9, gen_random_uuid()), (140, 9, gen_random_uuid());
SELECT problem FROM booking.verify();
SELECT booking.create_tables();
SELECT booking.book_ticket(9, gen_random_uuid());

-- A sequence that has been set, but not been called since.
SELECT setval('booking.hold_hold_id_seq', 1003, false);
SELECT problem FROM booking.verify();
-- An id of another shard that is there already.
SELECT hold_id FROM booking.hold_tickets(9, gen_random_uuid());
SELECT booking.create_tables();
SELECT hold_id FROM booking.hold_tickets(9, gen_random_uuid());
SELECT * FROM booking.verify();
SELECT event_id, problem FROM booking.verify(9);
DELETE FROM booking.ticket WHERE ticket_id = 140;
DELETE FROM booking.hold WHERE hold_id = 1003;
-- Another constraint that has the name.
ALTER TABLE booking.event DROP CONSTRAINT event_shard_check;
ALTER TABLE booking.event ADD CONSTRAINT event_shard_check CHECK (event_id > 0);
SELECT booking.create_tables();
SELECT problem FROM booking.verify();
ALTER TABLE booking.event DROP CONSTRAINT event_shard_check;
SELECT booking.create_tables();
SELECT * FROM booking.verify();

-- The functions of a router, and where each runs.
SELECT format('%s(%s)', name, regexp_replace(signature, ', OUT.*', '')) AS function, run_on, kind FROM booking.router_proxies('shop')
ORDER BY name, signature COLLATE "C";
-- The others: what an administrator calls on each shard, and what no one calls.
SELECT DISTINCT proname FROM pg_proc p
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE extname = 'pg_booking' AND prorettype <> 'trigger'::regtype
    AND proname NOT IN (SELECT name FROM booking.router_proxies('shop'))
ORDER BY proname;
SELECT code, message FROM outcome('SELECT booking.router_functions(NULL)');
-- A name that must be quoted.
SELECT DISTINCT regexp_replace(line, '\(.*', '') AS line
FROM booking.router_functions('o''brien') f, regexp_split_to_table(f, E'\n') line WHERE line LIKE '%brien%';
-- The shard of a named lock: the same bytes, the same shard.
SELECT r, booking.shard_of_resource(r, 4), booking.shard_of_resource(r, 1024) FROM unnest('{a,b,café,NULL}'::text[]) r;
SELECT booking.router_own_resource('a', 1024);
SELECT o.* FROM unnest('{a,b,c,d}'::text[]) r, outcome(format('SELECT booking.router_own_resource(%L, 4)', r)) o
WHERE code <> '00000' LIMIT 1;

-- Sequences of the user's own do not make a shard, and tables that exist can't become one.
CALL recreate_booking();
SELECT code, message, hint FROM outcome($$SELECT booking.create_tables('bigint', 0, 4)$$);
ALTER SEQUENCE booking.ticket_ticket_id_seq START WITH 2 INCREMENT BY 2 RESTART;
SELECT shard, shards FROM booking.this_shard();
SELECT * FROM booking.verify();
