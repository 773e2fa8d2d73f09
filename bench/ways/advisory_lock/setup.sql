\ir ../shop.sql

-- Returns NULL if the event is sold out.  A function, so that the lock is not held during round trips as well.
CREATE FUNCTION shop.book(wanted bigint, buyer bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    ticket bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(wanted);
    UPDATE shop.event SET available = available - 1 WHERE event_id = wanted AND available > 0;
    IF FOUND THEN
        INSERT INTO shop.ticket (event_id, user_id) VALUES (wanted, buyer) RETURNING ticket_id INTO ticket;
    END IF;
    RETURN ticket;
END
$$;
