/* pg_booking--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pg_booking" to load this file. \quit

/*
 * The extension holds functions only.  The tables are the user's own: they are
 * made by booking.create_tables(), and neither DROP EXTENSION nor pg_dump
 * treats them otherwise than any table.
 */


/* ---- the functions that an application calls ---- */

/*
 * Those with a user's id have two forms, for bigint and for text, whatever the
 * type of the columns is.  An untyped parameter resolves to the text form.
 */

CREATE FUNCTION booking.book_ticket(event_id bigint, user_id bigint,
                                    idempotency_key text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'booking_book_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_ticket(bigint, bigint, text) IS
'Books one place of an event for a user and returns the ticket''s id. With an idempotency key (1 to 200 bytes) a request that is sent again gets its first answer again; with other arguments TK006. Raises TK001 when the event is sold out, TK002 when it would be more than the event''s max_per_user, TK003 when the event is not on sale, P0002 when there is no such event, 22004 for a null argument, 22P02 for an ill-formed user id, 22023 for a key that is empty or too long.';

CREATE FUNCTION booking.book_ticket(event_id bigint, user_id text,
                                    idempotency_key text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'booking_book_ticket_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_ticket(bigint, text, text) IS
'Books one place of an event for a user and returns the ticket''s id. With an idempotency key (1 to 200 bytes) a request that is sent again gets its first answer again; with other arguments TK006. Raises TK001 when the event is sold out, TK002 when it would be more than the event''s max_per_user, TK003 when the event is not on sale, P0002 when there is no such event, 22004 for a null argument, 22P02 for an ill-formed user id, 22023 for a key that is empty or too long.';

CREATE FUNCTION booking.try_book_ticket(event_id bigint, user_id bigint,
                                        idempotency_key text DEFAULT NULL,
                                        OUT status text, OUT ticket_id bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_try_book_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.try_book_ticket(bigint, bigint, text) IS
'Books one place like book_ticket(), and answers a refusal as data: status is ''booked'' (with the ticket_id), ''sold_out'', ''user_limit'' or ''not_on_sale''. A refusal is not remembered with the key. Raises what else book_ticket() raises.';

CREATE FUNCTION booking.try_book_ticket(event_id bigint, user_id text,
                                        idempotency_key text DEFAULT NULL,
                                        OUT status text, OUT ticket_id bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_try_book_ticket_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.try_book_ticket(bigint, text, text) IS
'Books one place like book_ticket(), and answers a refusal as data: status is ''booked'' (with the ticket_id), ''sold_out'', ''user_limit'' or ''not_on_sale''. A refusal is not remembered with the key. Raises what else book_ticket() raises.';

CREATE FUNCTION booking.book_tickets(event_id bigint, user_id bigint, quantity integer,
                                     idempotency_key text DEFAULT NULL)
RETURNS bigint[]
AS 'MODULE_PATHNAME', 'booking_book_tickets'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_tickets(bigint, bigint, integer, text) IS
'Books quantity places of an event for a user, all of them or none, and returns the tickets'' ids. Raises TK001 when fewer places are left, 22023 for a quantity out of range, and what else book_ticket() raises.';

CREATE FUNCTION booking.book_tickets(event_id bigint, user_id text, quantity integer,
                                     idempotency_key text DEFAULT NULL)
RETURNS bigint[]
AS 'MODULE_PATHNAME', 'booking_book_tickets_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_tickets(bigint, text, integer, text) IS
'Books quantity places of an event for a user, all of them or none, and returns the tickets'' ids. Raises TK001 when fewer places are left, 22023 for a quantity out of range, and what else book_ticket() raises.';

CREATE FUNCTION booking.book_batch(event_id bigint, user_ids bigint[],
                                   OUT ord bigint, OUT status text, OUT ticket_id bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'booking_book_batch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_batch(bigint, bigint[]) IS
'Books one place for each user, in the order of the array, as far as there are any: a row for each, with its position (from 1), a status like that of try_book_ticket(), and the ticket''s id. Raises P0002 when there is no such event, 22004 for a null argument or element, 22P02 for an ill-formed user id.';

CREATE FUNCTION booking.book_batch(event_id bigint, user_ids text[],
                                   OUT ord bigint, OUT status text, OUT ticket_id bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'booking_book_batch_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_batch(bigint, text[]) IS
'Books one place for each user, in the order of the array, as far as there are any: a row for each, with its position (from 1), a status like that of try_book_ticket(), and the ticket''s id. Raises P0002 when there is no such event, 22004 for a null argument or element, 22P02 for an ill-formed user id.';

CREATE FUNCTION booking.hold_tickets(event_id bigint, user_id bigint, quantity integer DEFAULT 1,
                                     ttl interval DEFAULT NULL,
                                     idempotency_key text DEFAULT NULL,
                                     OUT hold_id bigint, OUT expires_at timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_hold_tickets'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.hold_tickets(bigint, bigint, integer, interval, text) IS
'Takes quantity places of an event for a user, all of them or none, and keeps them until the hold is confirmed, released or expires. ttl: how long it lasts, the event''s hold_ttl by default, at most its max_hold_ttl. Raises TK001 when fewer places are left, 22023 for a quantity or ttl out of range, and what else book_ticket() raises.';

CREATE FUNCTION booking.hold_tickets(event_id bigint, user_id text, quantity integer DEFAULT 1,
                                     ttl interval DEFAULT NULL,
                                     idempotency_key text DEFAULT NULL,
                                     OUT hold_id bigint, OUT expires_at timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_hold_tickets_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.hold_tickets(bigint, text, integer, interval, text) IS
'Takes quantity places of an event for a user, all of them or none, and keeps them until the hold is confirmed, released or expires. ttl: how long it lasts, the event''s hold_ttl by default, at most its max_hold_ttl. Raises TK001 when fewer places are left, 22023 for a quantity or ttl out of range, and what else book_ticket() raises.';

CREATE FUNCTION booking.confirm_hold(hold_id bigint, if_expired text DEFAULT 'error')
RETURNS bigint[]
AS 'MODULE_PATHNAME', 'booking_confirm_hold'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.confirm_hold(bigint, text) IS
'Turns a hold into tickets and returns their ids; called again, it returns the same ids. if_expired ''rebook'' takes the places of an expired hold anew, if there are any, and raises what book_tickets() raises. Raises TK004 when the hold has expired, TK005 when it was released, P0002 when there is no such hold, 22004 for a null argument, 22023 for another word in if_expired.';

CREATE FUNCTION booking.extend_hold(hold_id bigint, ttl interval)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'booking_extend_hold'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.extend_hold(bigint, interval) IS
'Lets a hold expire no sooner than ttl from now, and returns when it does. Raises TK004 when it has expired, TK005 when it was confirmed or released, P0002 when there is no such hold, 22004 for a null hold_id, 22023 for a ttl out of range, or by which the hold would last longer than the event''s max_hold_ttl in all.';

CREATE FUNCTION booking.release_hold(hold_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_release_hold'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.release_hold(bigint) IS
'Ends a hold and gives its places back; false when there was nothing to release. Raises 22004 for a null argument.';

CREATE FUNCTION booking.expire_holds(max_holds integer DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'booking_expire_holds'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.expire_holds(integer) IS
'Ends holds that have expired, of all events, at most max_holds of them (null: all), passing over those that are locked and, with a warning, those of an event without inventory; returns how many. For a scheduler; nothing depends on it, for a booking that finds no place left ends expired holds itself. Raises 22023 for a negative number.';

CREATE FUNCTION booking.cancel_ticket(ticket_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_cancel_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.cancel_ticket(bigint) IS
'Cancels a ticket and gives its place back; false when it was cancelled before. Raises TK005 when the ticket has been redeemed, P0002 when there is no such ticket, 22004 for a null argument.';

CREATE FUNCTION booking.transfer_ticket(ticket_id bigint, user_id bigint)
RETURNS void
AS 'MODULE_PATHNAME', 'booking_transfer_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.transfer_ticket(bigint, bigint) IS
'Gives a ticket to another user. Raises TK002 when the event allows that user no more, TK005 when the ticket has been cancelled or redeemed, P0002 when there is no such ticket, 22004 for a null argument, 22P02 for an ill-formed user id.';

CREATE FUNCTION booking.transfer_ticket(ticket_id bigint, user_id text)
RETURNS void
AS 'MODULE_PATHNAME', 'booking_transfer_ticket_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.transfer_ticket(bigint, text) IS
'Gives a ticket to another user. Raises TK002 when the event allows that user no more, TK005 when the ticket has been cancelled or redeemed, P0002 when there is no such ticket, 22004 for a null argument, 22P02 for an ill-formed user id.';

CREATE FUNCTION booking.redeem_ticket(ticket_id bigint,
                                      OUT status text, OUT redeemed_at timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_redeem_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.redeem_ticket(bigint) IS
'Marks a ticket as used at the gate. status is ''redeemed'', ''already_redeemed'' (redeemed_at says when) or ''cancelled''. Raises P0002 when there is no such ticket, 22004 for a null argument.';

CREATE FUNCTION booking.availability(event_id bigint,
                                     OUT capacity integer, OUT available bigint,
                                     OUT held bigint, OUT booked bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_availability'
LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.availability(bigint) IS
'Capacity of an event, and of it the places available, held and booked, as the calling statement sees them; places of expired holds are available. Takes no lock; its cost does not depend on the tickets sold. Raises P0002 when there is no such event, 22004 for a null argument.';


/* ---- the trigger functions ---- */

CREATE FUNCTION booking.ticket_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_ticket_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.ticket_changed() IS
'Trigger of booking.ticket: keeps the inventory in step with every INSERT, UPDATE, DELETE and TRUNCATE. Attached by create_tables().';

CREATE FUNCTION booking.hold_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_hold_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.hold_changed() IS
'Trigger of booking.hold: keeps the inventory in step with every INSERT, UPDATE, DELETE and TRUNCATE. Attached by create_tables().';

CREATE FUNCTION booking.event_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_event_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.event_changed() IS
'Trigger of booking.event: makes, resizes and removes an event''s inventory. Raises TK008 when a capacity is lowered below the places taken, 23503 when an event that has tickets is deleted. Attached by create_tables().';

CREATE FUNCTION booking.record_history()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_record_history'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.record_history() IS
'Trigger of booking.ticket and booking.hold: writes every change down in booking.history. Attached by keep_history().';

CREATE FUNCTION booking.refuse_history_change()
RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE object_not_in_prerequisite_state USING
        MESSAGE = format('%s of booking.history is refused: it is append-only', TG_OP),
        HINT = 'To remove old rows its owner may disable the trigger booking_history_is_append_only.';
END
$$;

COMMENT ON FUNCTION booking.refuse_history_change() IS
'Trigger of booking.history: refuses UPDATE, DELETE and TRUNCATE. Attached by keep_history().';

CREATE FUNCTION booking.settle_inventory()
RETURNS void
AS 'MODULE_PATHNAME', 'booking_settle_inventory'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.settle_inventory() IS
'Internal: checks the shape of the tables, and writes places that this transaction has taken ahead of their use back to the inventory, as its commit would, and forgets where the session has seen the inventory''s rows. Called by verify() and rebuild_inventory(). Raises 42P01 or 55000.';


/* ---- the functions that an administrator calls ---- */

CREATE FUNCTION booking.create_tables(user_id_type regtype DEFAULT 'bigint')
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was_incomplete boolean := false;
    problems bigint;
    present regtype;
    target record;
BEGIN
    IF user_id_type IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'argument "user_id_type" must not be null';
    END IF;
    IF user_id_type NOT IN ('bigint'::regtype, 'uuid'::regtype, 'text'::regtype) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('user ids cannot be of type %s', user_id_type),
            HINT = 'Use bigint, uuid or text.';
    END IF;

    -- tables that are there have their type
    SELECT atttypid INTO present FROM pg_attribute
    WHERE attrelid = to_regclass('booking.ticket') AND attname = 'user_id' AND NOT attisdropped;
    IF present <> user_id_type AND user_id_type <> 'bigint'::regtype THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('the tables are there, for user ids of type %s', present);
    END IF;
    user_id_type := coalesce(present, user_id_type);

    IF to_regclass('booking.event') IS NULL THEN
        CREATE TABLE booking.event (
            event_id     bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
            name         text,
            capacity     integer NOT NULL CHECK (capacity >= 0),
            max_per_user integer CHECK (max_per_user >= 1),
            sales_start  timestamptz,
            sales_end    timestamptz,
            hold_ttl     interval NOT NULL DEFAULT '10 minutes',
            max_hold_ttl interval NOT NULL DEFAULT '1 hour',
            created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
            CHECK (sales_start < sales_end),
            CHECK (hold_ttl > '0' AND hold_ttl <= max_hold_ttl AND max_hold_ttl <= '10 years')
        );
        COMMENT ON TABLE booking.event IS
            'What is sold. An ordinary table: insert, update and delete events as you like.';
        COMMENT ON COLUMN booking.event.capacity IS
            'How many places there are. May be raised at any time, and lowered to the places taken (else TK008).';
        COMMENT ON COLUMN booking.event.max_per_user IS
            'How many places a user may have, live tickets and holds together (else TK002); null: no limit. A lower limit takes nothing from who has more.';
        COMMENT ON COLUMN booking.event.sales_start IS
            'From when the event is on sale (before: TK003); null: from the beginning.';
        COMMENT ON COLUMN booking.event.sales_end IS
            'Until when the event is on sale (from then on: TK003); null: without end. Holds can still be confirmed.';
        COMMENT ON COLUMN booking.event.hold_ttl IS
            'How long a hold lasts unless hold_tickets() is told otherwise.';
        COMMENT ON COLUMN booking.event.max_hold_ttl IS
            'How long a hold may last in all, with everything by which it is extended.';
    END IF;

    IF to_regclass('booking.inventory') IS NULL THEN
        -- a low fillfactor keeps updates on their page (HOT)
        CREATE TABLE booking.inventory (
            event_id     bigint NOT NULL,
            stripe       integer NOT NULL CHECK (stripe BETWEEN 0 AND 255),
            available    integer NOT NULL CHECK (available >= 0),
            max_per_user integer,
            sales_start  timestamptz,
            sales_end    timestamptz,
            PRIMARY KEY (event_id, stripe)
        ) WITH (fillfactor = 10);
        COMMENT ON TABLE booking.inventory IS
            'Internal to pg_booking: the free places of each event, in one or more rows, with the conditions of its sale. Do not write to it; booking.availability() reads it.';
        was_incomplete := true;
    END IF;

    IF to_regclass('booking.ticket') IS NULL THEN
        EXECUTE format($sql$CREATE TABLE booking.ticket (
            ticket_id    bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
            event_id     bigint NOT NULL,
            user_id      %s NOT NULL,
            seat         text,
            hold_id      bigint,
            booked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
            redeemed_at  timestamptz,
            cancelled_at timestamptz
        )$sql$, user_id_type);
        CREATE INDEX ticket_user_id_event_id_idx ON booking.ticket (user_id, event_id);
        CREATE INDEX ticket_event_id_booked_at_idx ON booking.ticket (event_id, booked_at);
        CREATE INDEX ticket_hold_id_idx ON booking.ticket (hold_id)
            WHERE hold_id IS NOT NULL;
        -- for booking.sales: what they count is rare when tickets are booked
        CREATE INDEX ticket_cancelled_idx ON booking.ticket (event_id)
            WHERE cancelled_at IS NOT NULL;
        CREATE INDEX ticket_redeemed_idx ON booking.ticket (event_id)
            WHERE redeemed_at IS NOT NULL;
        CREATE UNIQUE INDEX ticket_event_id_seat_key ON booking.ticket (event_id, seat)
            WHERE cancelled_at IS NULL AND seat IS NOT NULL;
        COMMENT ON TABLE booking.ticket IS
            'One row for each ticket that was ever booked. It holds a place of its event while cancelled_at is null.';
        COMMENT ON COLUMN booking.ticket.hold_id IS 'The hold that was confirmed into this ticket; null: it was booked at once.';
        COMMENT ON COLUMN booking.ticket.booked_at IS 'By the clock, not by the start of the transaction.';
        COMMENT ON COLUMN booking.ticket.redeemed_at IS 'When the ticket was used; null: not yet.';
        COMMENT ON COLUMN booking.ticket.cancelled_at IS 'When the ticket was cancelled and its place came back; null: it is live.';
    END IF;

    IF to_regclass('booking.hold') IS NULL THEN
        EXECUTE format($sql$CREATE TABLE booking.hold (
            hold_id    bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
            event_id   bigint NOT NULL,
            user_id    %s NOT NULL,
            quantity   integer NOT NULL CHECK (quantity >= 1),
            expires_at timestamptz NOT NULL,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            ended_at   timestamptz
        )$sql$, user_id_type);
        CREATE INDEX hold_event_id_expires_at_idx ON booking.hold (event_id, expires_at)
            INCLUDE (quantity) WHERE ended_at IS NULL;
        CREATE INDEX hold_expires_at_idx ON booking.hold (expires_at)
            WHERE ended_at IS NULL;
        CREATE INDEX hold_event_id_user_id_idx ON booking.hold (event_id, user_id)
            WHERE ended_at IS NULL;
        COMMENT ON TABLE booking.hold IS
            'One row for each hold. It holds places of its event while ended_at is null, expired or not.';
        COMMENT ON COLUMN booking.hold.expires_at IS 'From then on it can no longer be confirmed, and whoever needs its places ends it.';
        COMMENT ON COLUMN booking.hold.ended_at IS 'When it was confirmed (its tickets have its hold_id), released or expired; null: it is live.';
        was_incomplete := true;
    END IF;

    IF to_regclass('booking.request') IS NULL THEN
        EXECUTE format($sql$CREATE TABLE booking.request (
            event_id        bigint NOT NULL,
            idempotency_key text NOT NULL,
            user_id         %s NOT NULL,
            quantity        integer NOT NULL,
            is_hold         boolean NOT NULL,
            ttl             interval,
            ids             bigint[],
            expires_at      timestamptz,
            created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (event_id, idempotency_key)
        )$sql$, user_id_type);
        CREATE INDEX request_created_at_idx ON booking.request (created_at);
        COMMENT ON TABLE booking.request IS
            'Internal to pg_booking: what was asked for with an idempotency key, and the ids that were given. booking.purge() forgets old ones.';
    END IF;

    IF to_regclass('booking.user_limit') IS NULL THEN
        EXECUTE format($sql$CREATE TABLE booking.user_limit (
            event_id bigint NOT NULL,
            user_id  %s NOT NULL,
            PRIMARY KEY (event_id, user_id)
        )$sql$, user_id_type);
        COMMENT ON TABLE booking.user_limit IS
            'Internal to pg_booking: a row for each user of an event with max_per_user, which is locked while what the user has is counted.';
    END IF;

    IF to_regclass('booking.sales') IS NULL THEN
        CREATE VIEW booking.sales AS
        WITH waiting AS (
            -- a session that waits for a stripe has, or waits for, its tuple lock
            SELECT i.event_id, count(DISTINCT l.pid) AS sessions
            FROM pg_locks l
            JOIN booking.inventory i ON i.ctid = format('(%s,%s)', l.page, l.tuple)::tid
            WHERE l.locktype = 'tuple' AND l.relation = 'booking.inventory'::regclass
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            GROUP BY i.event_id
        )
        SELECT e.event_id, e.name, e.capacity,
               i.available + h.expired AS available,
               h.held,
               e.capacity - i.available - h.held - h.expired AS booked,
               r.redeemed, c.cancelled,
               coalesce(w.sessions, 0) AS waiting,
               b.booked_at AS last_booked_at
        FROM booking.event e
        CROSS JOIN LATERAL (SELECT sum(available) AS available FROM booking.inventory
                            WHERE event_id = e.event_id) i
        CROSS JOIN LATERAL (SELECT coalesce(sum(quantity) FILTER (WHERE expires_at > clock_timestamp()), 0) AS held,
                                   coalesce(sum(quantity) FILTER (WHERE expires_at <= clock_timestamp()), 0) AS expired
                            FROM booking.hold
                            WHERE event_id = e.event_id AND ended_at IS NULL) h
        CROSS JOIN LATERAL (SELECT count(*) AS redeemed FROM booking.ticket
                            WHERE event_id = e.event_id AND redeemed_at IS NOT NULL) r
        CROSS JOIN LATERAL (SELECT count(*) AS cancelled FROM booking.ticket
                            WHERE event_id = e.event_id AND cancelled_at IS NOT NULL) c
        LEFT JOIN LATERAL (SELECT booked_at FROM booking.ticket
                           WHERE event_id = e.event_id
                           ORDER BY booked_at DESC LIMIT 1) b ON true
        LEFT JOIN waiting w ON w.event_id = e.event_id;
        COMMENT ON VIEW booking.sales IS
            'Each event''s sale as it stands: places available, held, booked and redeemed, tickets cancelled, sessions that wait for a place, and the last booking.';
    END IF;

    -- by what they do, not by their names: 29 is INSERT, UPDATE, DELETE for each
    -- row, 32 is TRUNCATE
    FOR target IN
        SELECT name, rel, func, suffix, events, level
        FROM unnest(ARRAY['event', 'hold', 'ticket']) AS name
        CROSS JOIN LATERAL (SELECT format('booking.%I', name)::regclass AS rel,
                                   format('booking.%I()', name || '_changed')::regprocedure AS func) AS n
        CROSS JOIN (VALUES ('changed', 29, 'INSERT OR UPDATE OR DELETE', 'ROW'),
                           ('truncated', 32, 'TRUNCATE', 'STATEMENT')) AS k (suffix, bits, events, level)
        WHERE NOT EXISTS (SELECT FROM pg_trigger
                          WHERE tgrelid = rel AND tgfoid = func AND tgtype & bits = bits)
        ORDER BY name
    LOOP
        EXECUTE format('CREATE TRIGGER booking_%s_%s AFTER %s ON %s FOR EACH %s EXECUTE FUNCTION %s()',
                       target.name, target.suffix, target.events, target.rel, target.level,
                       target.func::regproc);
        was_incomplete := true;
    END LOOP;

    -- a history that lost its triggers with the extension goes on; one that was
    -- stopped still has the trigger that keeps it append-only, and stays as it is
    IF to_regclass('booking.history') IS NOT NULL
       AND NOT EXISTS (SELECT FROM pg_trigger
                       WHERE tgrelid = to_regclass('booking.history')
                         AND tgfoid = 'booking.refuse_history_change()'::regprocedure) THEN
        PERFORM booking.keep_history();
    END IF;

    -- the tables may have been written meanwhile
    IF was_incomplete THEN
        SELECT count(*) INTO problems FROM booking.verify(NULL::bigint);
        IF problems > 0 THEN
            RAISE WARNING 'the inventory does not match the tickets'
                USING DETAIL = format('Problems that booking.verify() reports: %s.', problems),
                      HINT = 'Call booking.rebuild_inventory() for each event that booking.verify() names.';
        END IF;
    END IF;
END
$$;

COMMENT ON FUNCTION booking.create_tables(regtype) IS
'Creates the tables and the view of pg_booking in schema booking, owned by the caller, and attaches the triggers. user_id_type: the type of user ids, bigint, uuid or text. May be called again: it creates and attaches what is missing and changes nothing else. Raises 22004 for a null argument, 22023 for another type, or another than that of the tables that are there.';

CREATE FUNCTION booking.keep_history()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    user_id_type regtype;
    target record;
BEGIN
    PERFORM booking.settle_inventory();
    IF to_regclass('booking.history') IS NULL THEN
        SELECT atttypid INTO user_id_type FROM pg_attribute
        WHERE attrelid = 'booking.ticket'::regclass AND attname = 'user_id';
        EXECUTE format($sql$CREATE TABLE booking.history (
            history_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            done_by     name NOT NULL,
            row_of      text NOT NULL,
            action      text NOT NULL,
            event_id    bigint,
            user_id     %s,
            ticket_id   bigint,
            hold_id     bigint,
            quantity    integer
        )$sql$, user_id_type);
        CREATE INDEX history_ticket_id_idx ON booking.history (ticket_id)
            WHERE ticket_id IS NOT NULL;
        CREATE INDEX history_hold_id_idx ON booking.history (hold_id)
            WHERE hold_id IS NOT NULL;
        COMMENT ON TABLE booking.history IS
            'Who did what to which ticket or hold, and when. Append-only. action: booked, redeemed, cancelled, reinstated, transferred of a ticket; held, extended, confirmed, released, expired of a hold; changed, deleted, truncated of both.';
        COMMENT ON COLUMN booking.history.done_by IS 'The user of the session (session_user).';
        -- who writes it is the owner of the tickets, whoever calls this
        EXECUTE format('ALTER TABLE booking.history OWNER TO %s',
                       (SELECT relowner::regrole FROM pg_class
                        WHERE oid = 'booking.ticket'::regclass));
    END IF;
    FOR target IN
        SELECT rel, trigger_name, events, level
        FROM (VALUES (1, 'booking.ticket'::regclass), (2, 'booking.hold')) AS r (nth, rel)
        CROSS JOIN (VALUES ('booking_history', 29, 'INSERT OR UPDATE OR DELETE', 'ROW'),
                           ('booking_history_truncated', 32, 'TRUNCATE', 'STATEMENT'))
            AS k (trigger_name, bits, events, level)
        WHERE NOT EXISTS (SELECT FROM pg_trigger
                          WHERE tgrelid = rel AND tgtype & bits = bits
                            AND tgfoid = 'booking.record_history()'::regprocedure)
        ORDER BY nth
    LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER %s ON %s FOR EACH %s EXECUTE FUNCTION booking.record_history()',
                       target.trigger_name, target.events, target.rel, target.level);
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_trigger
                   WHERE tgrelid = 'booking.history'::regclass
                     AND tgfoid = 'booking.refuse_history_change()'::regprocedure) THEN
        CREATE TRIGGER booking_history_is_append_only
            BEFORE UPDATE OR DELETE OR TRUNCATE ON booking.history
            FOR EACH STATEMENT EXECUTE FUNCTION booking.refuse_history_change();
    END IF;
END
$$;

COMMENT ON FUNCTION booking.keep_history() IS
'From now on writes every change of a ticket or hold into booking.history, which is append-only. May be called again. To stop: DROP TRIGGER booking_history on booking.ticket and booking.hold. Raises 42P01 before create_tables().';

CREATE FUNCTION booking.purge(older_than interval)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before timestamptz;
    purged bigint;
    total bigint;
BEGIN
    IF older_than IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'argument "older_than" must not be null';
    END IF;
    IF older_than < '0' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'older_than must not be negative';
    END IF;
    PERFORM booking.settle_inventory();
    before := clock_timestamp() - older_than;
    DELETE FROM booking.request WHERE created_at < before;
    GET DIAGNOSTICS total = ROW_COUNT;
    DELETE FROM booking.hold h
    WHERE ended_at < before
       OR (ended_at IS NOT NULL
           AND NOT EXISTS (SELECT FROM booking.event e WHERE e.event_id = h.event_id));
    GET DIAGNOSTICS purged = ROW_COUNT;
    total := total + purged;
    -- who needs such a row makes it anew
    DELETE FROM booking.user_limit u
    WHERE NOT EXISTS (SELECT FROM booking.event e
                      WHERE e.event_id = u.event_id AND e.max_per_user IS NOT NULL);
    RETURN total;
END
$$;

COMMENT ON FUNCTION booking.purge(interval) IS
'Forgets idempotency keys and ended holds that are older than that, or of no event any more, and returns how many. A retry with a forgotten key books anew; a forgotten hold can''t be confirmed again. Raises 22004 for null, 22023 for a negative interval. Runs with the rights of the caller.';

CREATE FUNCTION booking.verify(for_event_id bigint DEFAULT NULL)
RETURNS TABLE (event_id bigint, problem text, expected bigint, found bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM booking.settle_inventory();

    -- one statement, so that all of it sees one snapshot
    RETURN QUERY
    WITH e AS (
        -- the inventory has null for a bound that is none
        SELECT event_id, capacity, max_per_user,
               nullif(sales_start, '-infinity') AS sales_start,
               nullif(sales_end, 'infinity') AS sales_end
        FROM booking.event
        WHERE for_event_id IS NULL OR event_id = for_event_id
    ), i AS (
        SELECT event_id, sum(available) AS available,
               min(available) AS least, min(stripe) AS first,
               count(DISTINCT (max_per_user, sales_start, sales_end)) AS conditions,
               min(max_per_user) AS max_per_user,
               nullif(min(sales_start), '-infinity') AS sales_start,
               nullif(min(sales_end), 'infinity') AS sales_end
        FROM booking.inventory
        WHERE for_event_id IS NULL OR event_id = for_event_id
        GROUP BY event_id
    ), t AS (
        SELECT event_id, count(*) FILTER (WHERE cancelled_at IS NULL) AS live,
               count(*) AS tickets
        FROM booking.ticket
        WHERE for_event_id IS NULL OR event_id = for_event_id
        GROUP BY event_id
    ), h AS (
        SELECT event_id, sum(quantity) FILTER (WHERE ended_at IS NULL) AS held,
               count(*) FILTER (WHERE ended_at IS NULL) AS holds
        FROM booking.hold
        WHERE for_event_id IS NULL OR event_id = for_event_id
        GROUP BY event_id
    ), u AS (
        -- of each event with a limit, the user who has most
        SELECT event_id, max(places) AS places
        FROM (SELECT event_id, user_id, sum(places) AS places
              FROM (SELECT event_id, user_id, 1 AS places
                    FROM booking.ticket JOIN e USING (event_id)
                    WHERE cancelled_at IS NULL AND e.max_per_user IS NOT NULL
                  UNION ALL
                    SELECT event_id, user_id, quantity
                    FROM booking.hold JOIN e USING (event_id)
                    WHERE ended_at IS NULL AND expires_at > clock_timestamp()
                      AND e.max_per_user IS NOT NULL) AS p
              GROUP BY event_id, user_id) AS p
        GROUP BY event_id
    )
    SELECT event_id, 'available places, live tickets and live holds do not add up to the capacity',
           e.capacity::bigint, i.available + coalesce(t.live, 0) + coalesce(h.held, 0)
    FROM e JOIN i USING (event_id) LEFT JOIN t USING (event_id) LEFT JOIN h USING (event_id)
    WHERE i.available + coalesce(t.live, 0) + coalesce(h.held, 0) <> e.capacity
  UNION ALL
    SELECT event_id, 'a user has more places than max_per_user',
           e.max_per_user::bigint, u.places::bigint
    FROM e JOIN u USING (event_id)
    WHERE u.places > e.max_per_user
  UNION ALL
    SELECT event_id, 'the inventory has other conditions of sale than the event',
           NULL::bigint, i.conditions
    FROM e JOIN i USING (event_id)
    WHERE i.conditions <> 1
       OR (e.max_per_user, e.sales_start, e.sales_end)
          IS DISTINCT FROM (i.max_per_user, i.sales_start, i.sales_end)
  UNION ALL
    SELECT h.event_id, 'a live hold has tickets', 0::bigint, count(*)
    FROM booking.hold h JOIN booking.ticket t USING (hold_id)
    WHERE h.ended_at IS NULL AND (for_event_id IS NULL OR h.event_id = for_event_id)
    GROUP BY h.event_id
  UNION ALL
    SELECT event_id, 'a stripe has fewer than zero places', 0::bigint, i.least::bigint
    FROM i
    WHERE i.least < 0
  UNION ALL
    SELECT event_id, 'the event has no stripe 0', 0::bigint, i.first::bigint
    FROM e LEFT JOIN i USING (event_id)
    WHERE i.first IS DISTINCT FROM 0
  UNION ALL
    SELECT event_id, 'the inventory is of no event', NULL::bigint, i.available
    FROM i LEFT JOIN e USING (event_id)
    WHERE e.event_id IS NULL
  UNION ALL
    SELECT event_id, 'the tickets are of no event', 0::bigint, t.tickets
    FROM t LEFT JOIN e USING (event_id)
    WHERE e.event_id IS NULL
  UNION ALL
    SELECT event_id, 'live holds are of no event', 0::bigint, h.holds
    FROM h LEFT JOIN e USING (event_id)
    WHERE e.event_id IS NULL AND h.holds > 0
    ORDER BY 1, 2;
END
$$;

COMMENT ON FUNCTION booking.verify(bigint) IS
'Checks the inventory of one event, or of all (null), against its tickets, holds and conditions of sale: a row for each problem, none when all is well. Takes no lock. Runs with the rights of the caller, who needs SELECT on the tables.';

CREATE FUNCTION booking.rebuild_inventory(event_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted CONSTANT bigint := rebuild_inventory.event_id;
    places integer;
    live bigint;
    held bigint;
BEGIN
    IF wanted IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'argument "event_id" must not be null';
    END IF;

    PERFORM booking.settle_inventory();

    -- in the lock order: event, stripe 0, the other stripes
    SELECT capacity INTO places FROM booking.event WHERE event_id = wanted FOR UPDATE;
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('event %s does not exist', wanted);
    END IF;
    -- While one stripe is waited for it may be split and then emptied by others:
    -- that none was left to lock or to delete does not mean that there is none.
    WHILE EXISTS (SELECT FROM booking.inventory WHERE event_id = wanted) LOOP
        PERFORM FROM booking.inventory WHERE event_id = wanted ORDER BY stripe FOR UPDATE;
        DELETE FROM booking.inventory WHERE event_id = wanted;
    END LOOP;

    -- nobody has a place of the event in flight now
    -- nor between hold and ticket: one statement, so that both are of one snapshot
    SELECT (SELECT count(*) FROM booking.ticket
            WHERE event_id = wanted AND cancelled_at IS NULL),
           (SELECT coalesce(sum(quantity), 0) FROM booking.hold
            WHERE event_id = wanted AND ended_at IS NULL)
    INTO live, held;
    IF live + held > places THEN
        RAISE SQLSTATE 'TK008' USING
            MESSAGE = format('event %s has more tickets and holds than places', wanted),
            DETAIL = format('Capacity: %s; live tickets: %s; held: %s.', places, live, held),
            HINT = 'Raise the capacity, or cancel tickets or release holds first.';
    END IF;
    INSERT INTO booking.inventory
        (event_id, stripe, available, max_per_user, sales_start, sales_end)
    SELECT event_id, 0, places - live - held, max_per_user, sales_start, sales_end
    FROM booking.event WHERE event_id = wanted;
END
$$;

COMMENT ON FUNCTION booking.rebuild_inventory(bigint) IS
'Computes the inventory of an event anew from its capacity, live tickets and live holds, for instance after data was loaded with triggers disabled. Waits for bookings in flight and locks the event until the transaction ends. Raises P0002 when there is no such event, TK008 when it has more of them than places. Runs with the rights of the caller.';


/* ---- privileges ---- */

/*
 * EXECUTE is the gate: whoever has it books, as the tables' owner and not as
 * the functions'.  So nobody has it at first but who installs the extension,
 * whose functions may belong to somebody else.  The trigger functions and
 * settle_inventory() stay callable: they can do nothing by themselves.
 *
 * The schema may have been there before, with functions and operators of
 * somebody else's: hence the search_path.
 */
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    func regprocedure;
    installer regrole;
BEGIN
    FOR func, installer IN
        SELECT p.oid, e.extowner
        FROM pg_extension e
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
                        AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
        JOIN pg_proc p ON p.oid = d.objid
        WHERE e.extname = 'pg_booking'
          AND p.prorettype <> 'trigger'::regtype
          AND p.oid <> 'booking.settle_inventory()'::regprocedure
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', func);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s WITH GRANT OPTION', func, installer);
    END LOOP;
END
$$;
