/* pg_booking--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pg_booking" to load this file. \quit

/*
 * The extension holds functions only.  The tables are the user's own: they are
 * made by booking.create_tables(), and neither DROP EXTENSION nor pg_dump
 * treats them otherwise than any table.
 */


/* ---- the functions that an application calls ---- */

CREATE FUNCTION booking.book_ticket(event_id bigint, user_id bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'booking_book_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_ticket(bigint, bigint) IS
'Books one place of an event for a user and returns the ticket''s id. Raises TK001 when the event is sold out, P0002 when there is no such event, 22004 for a null argument.';

CREATE FUNCTION booking.try_book_ticket(event_id bigint, user_id bigint,
                                        OUT status text, OUT ticket_id bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_try_book_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.try_book_ticket(bigint, bigint) IS
'Books one place like book_ticket(), and answers a refusal as data: status is ''booked'' (with the ticket_id) or ''sold_out''. Raises P0002 when there is no such event, 22004 for a null argument.';

CREATE FUNCTION booking.book_tickets(event_id bigint, user_id bigint, quantity integer)
RETURNS bigint[]
AS 'MODULE_PATHNAME', 'booking_book_tickets'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_tickets(bigint, bigint, integer) IS
'Books quantity places of an event for a user, all of them or none, and returns the tickets'' ids. Raises TK001 when fewer places are left, P0002 when there is no such event, 22004 for a null argument, 22023 for a quantity out of range.';

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
'Gives a ticket to another user. Raises TK005 when the ticket has been cancelled or redeemed, P0002 when there is no such ticket, 22004 for a null argument.';

CREATE FUNCTION booking.redeem_ticket(ticket_id bigint,
                                      OUT status text, OUT redeemed_at timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_redeem_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.redeem_ticket(bigint) IS
'Marks a ticket as used at the gate. status is ''redeemed'', ''already_redeemed'' (redeemed_at says when) or ''cancelled''. Raises P0002 when there is no such ticket, 22004 for a null argument.';

CREATE FUNCTION booking.availability(event_id bigint,
                                     OUT capacity integer, OUT available bigint,
                                     OUT booked bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_availability'
LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.availability(bigint) IS
'Capacity of an event, places available and places booked, as the calling statement sees them. Takes no lock; its cost does not depend on the tickets sold. Raises P0002 when there is no such event, 22004 for a null argument.';


/* ---- the trigger functions ---- */

CREATE FUNCTION booking.ticket_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_ticket_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.ticket_changed() IS
'Trigger of booking.ticket: keeps the inventory in step with every INSERT, UPDATE, DELETE and TRUNCATE. Attached by create_tables().';

CREATE FUNCTION booking.event_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_event_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.event_changed() IS
'Trigger of booking.event: makes, resizes and removes an event''s inventory. Raises TK008 when a capacity is lowered below the places taken, 23503 when an event that has tickets is deleted. Attached by create_tables().';


CREATE FUNCTION booking.settle_inventory()
RETURNS void
AS 'MODULE_PATHNAME', 'booking_settle_inventory'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.settle_inventory() IS
'Internal: checks the shape of the tables, and writes places that this transaction has taken ahead of their use back to the inventory, as its commit would. Called by verify() and rebuild_inventory(). Raises 42P01 or 55000.';


/* ---- the functions that an administrator calls ---- */

CREATE FUNCTION booking.create_tables()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was_incomplete boolean := false;
    problems bigint;
BEGIN
    IF to_regclass('booking.event') IS NULL THEN
        CREATE TABLE booking.event (
            event_id   bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
            name       text,
            capacity   integer NOT NULL CHECK (capacity >= 0),
            created_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        COMMENT ON TABLE booking.event IS
            'What is sold. An ordinary table: insert, update and delete events as you like.';
        COMMENT ON COLUMN booking.event.capacity IS
            'How many places there are. May be raised at any time, and lowered to the places taken (else TK008).';
    END IF;

    IF to_regclass('booking.inventory') IS NULL THEN
        -- a low fillfactor keeps updates on their page (HOT)
        CREATE TABLE booking.inventory (
            event_id  bigint NOT NULL,
            stripe    integer NOT NULL CHECK (stripe BETWEEN 0 AND 255),
            available integer NOT NULL CHECK (available >= 0),
            PRIMARY KEY (event_id, stripe)
        ) WITH (fillfactor = 10);
        COMMENT ON TABLE booking.inventory IS
            'Internal to pg_booking: the free places of each event, in one or more rows. Do not write to it; booking.availability() reads it.';
        was_incomplete := true;
    END IF;

    IF to_regclass('booking.ticket') IS NULL THEN
        CREATE TABLE booking.ticket (
            ticket_id    bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
            event_id     bigint NOT NULL,
            user_id      bigint NOT NULL,
            seat         text,
            booked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
            redeemed_at  timestamptz,
            cancelled_at timestamptz
        );
        CREATE INDEX ticket_event_id_user_id_idx ON booking.ticket (event_id, user_id);
        CREATE INDEX ticket_user_id_idx ON booking.ticket (user_id);
        CREATE UNIQUE INDEX ticket_event_id_seat_key ON booking.ticket (event_id, seat)
            WHERE cancelled_at IS NULL AND seat IS NOT NULL;
        COMMENT ON TABLE booking.ticket IS
            'One row for each ticket that was ever booked. It holds a place of its event while cancelled_at is null.';
        COMMENT ON COLUMN booking.ticket.booked_at IS 'By the clock, not by the start of the transaction.';
        COMMENT ON COLUMN booking.ticket.redeemed_at IS 'When the ticket was used; null: not yet.';
        COMMENT ON COLUMN booking.ticket.cancelled_at IS 'When the ticket was cancelled and its place came back; null: it is live.';
    END IF;

    -- by what they do, not by their names: 29 is INSERT, UPDATE, DELETE for each
    -- row, 32 is TRUNCATE
    IF NOT EXISTS (SELECT FROM pg_trigger
                   WHERE tgrelid = 'booking.event'::regclass AND tgtype & 29 = 29
                     AND tgfoid = 'booking.event_changed()'::regprocedure) THEN
        CREATE TRIGGER booking_event_changed
            AFTER INSERT OR UPDATE OR DELETE ON booking.event
            FOR EACH ROW EXECUTE FUNCTION booking.event_changed();
        was_incomplete := true;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger
                   WHERE tgrelid = 'booking.event'::regclass AND tgtype & 32 = 32
                     AND tgfoid = 'booking.event_changed()'::regprocedure) THEN
        CREATE TRIGGER booking_event_truncated
            AFTER TRUNCATE ON booking.event
            FOR EACH STATEMENT EXECUTE FUNCTION booking.event_changed();
        was_incomplete := true;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger
                   WHERE tgrelid = 'booking.ticket'::regclass AND tgtype & 29 = 29
                     AND tgfoid = 'booking.ticket_changed()'::regprocedure) THEN
        CREATE TRIGGER booking_ticket_changed
            AFTER INSERT OR UPDATE OR DELETE ON booking.ticket
            FOR EACH ROW EXECUTE FUNCTION booking.ticket_changed();
        was_incomplete := true;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger
                   WHERE tgrelid = 'booking.ticket'::regclass AND tgtype & 32 = 32
                     AND tgfoid = 'booking.ticket_changed()'::regprocedure) THEN
        CREATE TRIGGER booking_ticket_truncated
            AFTER TRUNCATE ON booking.ticket
            FOR EACH STATEMENT EXECUTE FUNCTION booking.ticket_changed();
        was_incomplete := true;
    END IF;

    -- the tables may have been written meanwhile
    IF was_incomplete THEN
        SELECT count(*) INTO problems FROM booking.verify();
        IF problems > 0 THEN
            RAISE WARNING 'the inventory does not match the tickets'
                USING DETAIL = format('Problems that booking.verify() reports: %s.', problems),
                      HINT = 'Call booking.rebuild_inventory() for each event that booking.verify() names.';
        END IF;
    END IF;
END
$$;

COMMENT ON FUNCTION booking.create_tables() IS
'Creates the tables event, inventory and ticket in schema booking, owned by the caller, and attaches the triggers. May be called again: it creates and attaches what is missing and changes nothing else.';

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
        SELECT event_id, capacity
        FROM booking.event
        WHERE for_event_id IS NULL OR event_id = for_event_id
    ), i AS (
        SELECT event_id, sum(available) AS available,
               min(available) AS least, min(stripe) AS first
        FROM booking.inventory
        WHERE for_event_id IS NULL OR event_id = for_event_id
        GROUP BY event_id
    ), t AS (
        SELECT event_id, count(*) FILTER (WHERE cancelled_at IS NULL) AS live,
               count(*) AS tickets
        FROM booking.ticket
        WHERE for_event_id IS NULL OR event_id = for_event_id
        GROUP BY event_id
    )
    SELECT event_id, 'available places and live tickets do not add up to the capacity',
           e.capacity::bigint, i.available + coalesce(t.live, 0)
    FROM e JOIN i USING (event_id) LEFT JOIN t USING (event_id)
    WHERE i.available + coalesce(t.live, 0) <> e.capacity
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
    ORDER BY 1, 2;
END
$$;

COMMENT ON FUNCTION booking.verify(bigint) IS
'Checks the inventory of one event, or of all (null), against its tickets: a row for each problem, none when all is well. Takes no lock. Runs with the rights of the caller, who needs SELECT on the tables.';

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
    SELECT count(*) INTO live FROM booking.ticket
    WHERE event_id = wanted AND cancelled_at IS NULL;
    IF live > places THEN
        RAISE SQLSTATE 'TK008' USING
            MESSAGE = format('event %s has more tickets than places', wanted),
            DETAIL = format('Capacity: %s; live tickets: %s.', places, live),
            HINT = 'Raise the capacity or cancel tickets first.';
    END IF;
    INSERT INTO booking.inventory (event_id, stripe, available)
    VALUES (wanted, 0, places - live);
END
$$;

COMMENT ON FUNCTION booking.rebuild_inventory(bigint) IS
'Computes the inventory of an event anew from its capacity and its live tickets, for instance after data was loaded with triggers disabled. Waits for bookings in flight and locks the event until the transaction ends. Raises P0002 when there is no such event, TK008 when it has more live tickets than places. Runs with the rights of the caller.';


/* ---- privileges ---- */

/*
 * EXECUTE is the gate: whoever has it books, as the tables' owner and not as
 * the functions'.  So nobody has it at first but who installs the extension,
 * whose functions may belong to somebody else.  The trigger functions and
 * settle_inventory() stay callable: they can do nothing by themselves.
 */
REVOKE ALL ON FUNCTION
    booking.book_ticket(bigint, bigint),
    booking.try_book_ticket(bigint, bigint),
    booking.book_tickets(bigint, bigint, integer),
    booking.cancel_ticket(bigint),
    booking.transfer_ticket(bigint, bigint),
    booking.redeem_ticket(bigint),
    booking.availability(bigint),
    booking.create_tables(),
    booking.verify(bigint),
    booking.rebuild_inventory(bigint)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
    booking.book_ticket(bigint, bigint),
    booking.try_book_ticket(bigint, bigint),
    booking.book_tickets(bigint, bigint, integer),
    booking.cancel_ticket(bigint),
    booking.transfer_ticket(bigint, bigint),
    booking.redeem_ticket(bigint),
    booking.availability(bigint),
    booking.create_tables(),
    booking.verify(bigint),
    booking.rebuild_inventory(bigint)
TO @extowner@ WITH GRANT OPTION;
