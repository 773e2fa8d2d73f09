-- A shop for SQLsmith: tables with all kinds of events, tickets and holds, and values
-- that SQLsmith would not invent.

CREATE ROLE shop;
CREATE ROLE smith;
CREATE ROLE smith_plain LOGIN IN ROLE smith;
CREATE ROLE smith_sql LOGIN IN ROLE smith;
CREATE ROLE smith_split LOGIN IN ROLE smith;
CREATE ROLE smith_repeatable LOGIN IN ROLE smith;

CREATE EXTENSION amcheck;
CREATE EXTENSION pg_booking;
GRANT CREATE, USAGE ON SCHEMA booking TO shop;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA booking TO shop, smith;
GRANT USAGE ON SCHEMA booking TO smith;
SET ROLE shop;
SELECT booking.create_tables();
RESET ROLE;

-- The roles must not write the inventory and the history.
GRANT SELECT ON ALL TABLES IN SCHEMA booking TO smith;
GRANT INSERT, UPDATE, DELETE ON booking.event, booking.ticket, booking.hold TO smith;
GRANT INSERT, UPDATE, DELETE ON booking.request, booking.user_limit TO smith;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA booking TO smith;

ALTER ROLE smith_sql SET booking.direct_path = off;
ALTER ROLE smith_split SET booking.debug_split_always = on;
ALTER ROLE smith_repeatable SET default_transaction_isolation = 'repeatable read';

/* ---- the events ---- */

INSERT INTO booking.event (event_id, name, capacity, max_per_user, sales_start, sales_end, hold_ttl)
SELECT e, e::text,
       (ARRAY[0, 1, 10, 1000, 100000, 2147483647])[1 + e % 6],
       CASE WHEN e % 4 = 3 THEN 1 + e % 3 END,
       CASE WHEN e % 8 = 4 THEN clock_timestamp() + '1 day' END,
       CASE WHEN e % 8 = 5 THEN clock_timestamp() END,
       CASE WHEN e % 3 = 0 THEN '1 second'::interval ELSE '10 minutes' END
FROM generate_series(1, 60) e;
SELECT count(booking.try_book_ticket(e, u, CASE WHEN u % 5 = 0 THEN 'key ' || u END))
FROM generate_series(1, 60) e, generate_series(1, 20) u;
CREATE TEMP TABLE on_sale AS
SELECT event_id FROM booking.event
WHERE capacity >= 1000 AND max_per_user IS NULL AND sales_start IS NULL AND sales_end IS NULL;
SELECT count(booking.book_tickets(event_id, 1, 3, 'three')) FROM on_sale;
SELECT count(booking.hold_tickets(event_id, u, 2, (u * 100 || ' ms')::interval))
FROM on_sale, generate_series(1, 10) u;
SELECT count(booking.cancel_ticket(ticket_id)) FROM booking.ticket WHERE ticket_id % 7 = 0;
SELECT count(booking.redeem_ticket(ticket_id)) FROM booking.ticket WHERE ticket_id % 11 = 0;
ANALYZE;

/* ---- values ---- */

-- SQLsmith's own constants are small integers and nulls.
CREATE SCHEMA smith AUTHORIZATION shop;
GRANT USAGE ON SCHEMA smith TO smith;
CREATE TABLE smith.value (
    small integer, id bigint, word text, span interval, moment timestamptz, ids bigint[],
    words text[], yes boolean
);
INSERT INTO smith.value VALUES
    (0, 0, '', '0', '-infinity', '{}', '{}', true),
    (-1, -1, 'error', '-1 day', 'infinity', '{1,2,3}', '{1,2,3}', false),
    (2147483647, 9223372036854775807, 'rebook', '1 second', clock_timestamp(), '{1,1,1,1}', '{1,x}', NULL),
    (-2147483648, -9223372036854775808, repeat('k', 200), '1 microsecond', '4714-11-24 BC', '{NULL}', '{NULL}', true),
    (1, 1, repeat('k', 201), '178000000 years', '294276-12-31', '{{1,2},{3,4}}', '{{1,2},{3,4}}', true),
    (2, 2, '42', '5 minutes', now() + interval '1 hour', (SELECT array_agg(n) FROM generate_series(1, 2000) n),
     (SELECT array_agg(n::text) FROM generate_series(1, 2000) n), true),
    (3, 3, 'key 5', '1 hour', now() - interval '1 hour', '[5:6]={7,8}', '[5:6]={7,8}', false),
    (256, 10, '9223372036854775808', '1 mon -1 day', now(), '{10,20,30}', '{}', true);
GRANT SELECT, INSERT, UPDATE, DELETE ON smith.value TO smith;

/* ---- functions that choose their own arguments ---- */

-- SQLsmith's arguments are mostly null, or ids of rows that do not exist, so few of its
-- calls succeed.  Two in three of the functions that it calls are the following ones,
-- which have no arguments.
CREATE FUNCTION smith.some_event() RETURNS bigint LANGUAGE sql VOLATILE AS
'SELECT 1 + floor(random() * 60)::bigint';
CREATE FUNCTION smith.some_user() RETURNS bigint LANGUAGE sql VOLATILE AS
'SELECT floor(random() * 30)::bigint';
CREATE FUNCTION smith.some_number() RETURNS integer LANGUAGE sql VOLATILE AS
'SELECT 1 + floor(random() * 4)::integer';
CREATE FUNCTION smith.some_ticket() RETURNS bigint LANGUAGE sql VOLATILE AS
'SELECT ticket_id FROM booking.ticket
    WHERE cancelled_at IS NULL AND redeemed_at IS NULL ORDER BY random() LIMIT 1';
CREATE FUNCTION smith.some_hold() RETURNS bigint LANGUAGE sql VOLATILE AS
'SELECT hold_id FROM booking.hold WHERE ended_at IS NULL ORDER BY random() LIMIT 1';
CREATE FUNCTION smith.some_span() RETURNS interval LANGUAGE sql VOLATILE AS
$$SELECT (1 + random() * 5000) * '1 ms'::interval$$;
CREATE FUNCTION smith.some_key() RETURNS text LANGUAGE sql VOLATILE AS
$$SELECT CASE WHEN random() < 0.3 THEN floor(random() * 20)::text END$$;
CREATE FUNCTION smith.chance() RETURNS boolean LANGUAGE sql VOLATILE AS
'SELECT random() < 0.5';

CREATE FUNCTION smith.book() RETURNS bigint LANGUAGE sql VOLATILE AS
'SELECT CASE WHEN smith.chance()
     THEN booking.book_ticket(smith.some_event(), smith.some_user(), smith.some_key())
     ELSE booking.book_ticket(smith.some_event(), smith.some_user()::text, smith.some_key()) END';
CREATE FUNCTION smith.try_book() RETURNS bigint LANGUAGE sql VOLATILE AS
'SELECT CASE WHEN smith.chance()
     THEN (booking.try_book_ticket(smith.some_event(), smith.some_user(), smith.some_key())).ticket_id
     ELSE (booking.try_book_ticket(smith.some_event(), smith.some_user()::text, smith.some_key())).ticket_id END';
CREATE FUNCTION smith.book_some() RETURNS bigint[] LANGUAGE sql VOLATILE AS
'SELECT CASE WHEN smith.chance()
     THEN booking.book_tickets(smith.some_event(), smith.some_user(), smith.some_number(), smith.some_key())
     ELSE booking.book_tickets(smith.some_event(), smith.some_user()::text, smith.some_number(), smith.some_key()) END';
CREATE FUNCTION smith.book_batch() RETURNS bigint[] LANGUAGE sql VOLATILE AS
'SELECT array_agg(b.ticket_id)
    FROM booking.book_batch(smith.some_event(), ARRAY(SELECT smith.some_user() FROM generate_series(1, 10))) b';
CREATE FUNCTION smith.book_batch_text() RETURNS bigint[] LANGUAGE sql VOLATILE AS
'SELECT array_agg(b.ticket_id)
    FROM booking.book_batch(smith.some_event(), ARRAY(SELECT smith.some_user()::text FROM generate_series(1, 10))) b';
CREATE FUNCTION smith.hold() RETURNS bigint LANGUAGE sql VOLATILE AS
'SELECT CASE WHEN smith.chance()
     THEN (booking.hold_tickets(smith.some_event(), smith.some_user(), smith.some_number(), smith.some_span(), smith.some_key())).hold_id
     ELSE (booking.hold_tickets(smith.some_event(), smith.some_user()::text, smith.some_number(), NULL, smith.some_key())).hold_id END';
CREATE FUNCTION smith.confirm() RETURNS bigint[] LANGUAGE sql VOLATILE AS
$$SELECT booking.confirm_hold(smith.some_hold(), 'rebook')$$;
CREATE FUNCTION smith.extend() RETURNS timestamptz LANGUAGE sql VOLATILE AS
'SELECT booking.extend_hold(smith.some_hold(), smith.some_span())';
CREATE FUNCTION smith.release() RETURNS boolean LANGUAGE sql VOLATILE AS
'SELECT booking.release_hold(smith.some_hold())';
CREATE FUNCTION smith.cancel() RETURNS boolean LANGUAGE sql VOLATILE AS
'SELECT booking.cancel_ticket(smith.some_ticket())';
CREATE FUNCTION smith.redeem() RETURNS timestamptz LANGUAGE sql VOLATILE AS
'SELECT (booking.redeem_ticket(smith.some_ticket())).redeemed_at';
CREATE FUNCTION smith.available() RETURNS bigint LANGUAGE sql VOLATILE AS
'SELECT (booking.availability(smith.some_event())).available';
CREATE FUNCTION smith.transfer() RETURNS boolean LANGUAGE sql VOLATILE AS
'SELECT booking.transfer_ticket(smith.some_ticket(), smith.some_user())';
CREATE FUNCTION smith.transfer_text() RETURNS boolean LANGUAGE sql VOLATILE AS
'SELECT booking.transfer_ticket(smith.some_ticket(), smith.some_user()::text)';

/* ---- functions that SQLsmith would not call ---- */

-- SQLsmith calls no function that returns a set or void, and hardly one that returns a
-- row.  Functions for administrators run with the rights of the caller, who must own
-- the tables.  (The wrappers have arguments, because SQLsmith would call functions
-- without arguments much too often.)
CREATE FUNCTION smith.try_book_ticket(event_id bigint, user_id bigint, key text) RETURNS bigint
LANGUAGE sql VOLATILE AS
'SELECT ticket_id FROM booking.try_book_ticket(event_id, user_id, key)';
CREATE FUNCTION smith.try_book_ticket(event_id bigint, user_id text, key text) RETURNS bigint
LANGUAGE sql VOLATILE AS
'SELECT ticket_id FROM booking.try_book_ticket(event_id, user_id, key)';
CREATE FUNCTION smith.hold_tickets(event_id bigint, user_id bigint, quantity integer, ttl interval, key text)
RETURNS bigint LANGUAGE sql VOLATILE AS
'SELECT hold_id FROM booking.hold_tickets(event_id, user_id, quantity, ttl, key)';
CREATE FUNCTION smith.hold_tickets(event_id bigint, user_id text, quantity integer, ttl interval, key text)
RETURNS bigint LANGUAGE sql VOLATILE AS
'SELECT hold_id FROM booking.hold_tickets(event_id, user_id, quantity, ttl, key)';
CREATE FUNCTION smith.redeem_ticket(ticket_id bigint) RETURNS timestamptz
LANGUAGE sql VOLATILE AS
'SELECT redeemed_at FROM booking.redeem_ticket(ticket_id)';
CREATE FUNCTION smith.availability(event_id bigint) RETURNS bigint
LANGUAGE sql VOLATILE AS
'SELECT available FROM booking.availability(event_id)';
CREATE FUNCTION smith.batch(event_id bigint, user_ids bigint[]) RETURNS bigint[]
LANGUAGE sql VOLATILE AS
'SELECT array_agg(ticket_id) FROM booking.book_batch(event_id, user_ids)';
CREATE FUNCTION smith.batch(event_id bigint, user_ids text[]) RETURNS bigint[]
LANGUAGE sql VOLATILE AS
'SELECT array_agg(ticket_id) FROM booking.book_batch(event_id, user_ids)';
CREATE FUNCTION smith.transfer_ticket(ticket_id bigint, user_id bigint) RETURNS bigint
LANGUAGE sql VOLATILE AS
'SELECT booking.transfer_ticket(ticket_id, user_id); SELECT ticket_id';
CREATE FUNCTION smith.transfer_ticket(ticket_id bigint, user_id text) RETURNS bigint
LANGUAGE sql VOLATILE AS
'SELECT booking.transfer_ticket(ticket_id, user_id); SELECT ticket_id';
CREATE FUNCTION smith.verify(event_id bigint) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER AS
'SELECT count(*) FROM booking.verify(event_id)';
CREATE FUNCTION smith.rebuild_inventory(event_id bigint) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER AS
'SELECT booking.rebuild_inventory(event_id); SELECT event_id';
CREATE FUNCTION smith.purge(older_than interval) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER AS
'SELECT booking.purge(older_than)';
-- The replacement is no other user, so verify() finds no user above the limit.
CREATE FUNCTION smith.forget_user(user_id bigint) RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER AS
'SELECT booking.forget_user(user_id, -1 - (random() * 1e15)::bigint)';
CREATE FUNCTION smith.forget_user(user_id text) RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER AS
$$SELECT booking.forget_user(user_id, (-1 - (random() * 1e15)::bigint)::text)$$;
CREATE FUNCTION smith.keep_history(really boolean) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER AS
'SELECT booking.keep_history(); SELECT really';
CREATE FUNCTION smith.create_tables(really boolean) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER AS
'SELECT booking.create_tables(); SELECT really';
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'smith'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO shop', f);
    END LOOP;
END $$;
