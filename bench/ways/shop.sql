-- The tables of a shop without pg_booking, for the ways that need a counter of their own.
--
-- Promises the same tickets as pg_booking's: shop.ticket has every column, default, index, identity setting and
-- storage parameter of booking.ticket.  So the ways differ only in their locking.
--
-- psql variables: events (how many), capacity (of each).

CREATE SCHEMA shop;

CREATE TABLE shop.event (
    event_id bigint PRIMARY KEY,
    name text NOT NULL,
    capacity integer NOT NULL,
    available integer NOT NULL CHECK (available >= 0)
);

INSERT INTO shop.event
SELECT id, 'event ' || id, :capacity, :capacity FROM generate_series(1, :events) AS id;

CREATE TABLE shop.ticket (LIKE booking.ticket INCLUDING ALL);

-- LIKE does not copy storage parameters such as fillfactor.
SELECT format('ALTER TABLE shop.ticket SET (%s)', array_to_string(reloptions, ', '))
FROM pg_class
WHERE oid = 'booking.ticket'::regclass AND reloptions IS NOT NULL \gexec

VACUUM (ANALYZE) shop.event, shop.ticket;
