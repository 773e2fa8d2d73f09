-- The events of a shop that uses pg_booking.
--
-- Promises events 1 to :events with :capacity places each: the load uses these numbers.
--
-- psql variables: events (how many), capacity (of each).

INSERT INTO booking.event (name, capacity)
SELECT 'event ' || id, :capacity FROM generate_series(1, :events) AS id;

-- Fails with a division by zero if the events have other numbers.
SELECT 1 / (count(*) = :events AND min(event_id) = 1 AND max(event_id) = :events)::integer AS numbered
FROM booking.event;

VACUUM (ANALYZE) booking.event, booking.inventory, booking.ticket, booking.hold, booking.request, booking.user_limit;
