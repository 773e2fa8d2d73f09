\ir ../shop.sql

-- Returns NULL if the event is sold out.
CREATE FUNCTION shop.book(wanted bigint, buyer bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    places integer;
    ticket bigint;
BEGIN
    SELECT available INTO places FROM shop.event WHERE event_id = wanted FOR UPDATE;
    IF places > 0 THEN
        UPDATE shop.event SET available = available - 1 WHERE event_id = wanted;
        INSERT INTO shop.ticket (event_id, user_id) VALUES (wanted, buyer) RETURNING ticket_id INTO ticket;
    END IF;
    RETURN ticket;
END
$$;
