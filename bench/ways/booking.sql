-- The events of a shop that uses pg_booking.
--
-- Promises events 1 to :events, each with :capacity places: the load asks for them by number.
--
-- psql variables: events (how many), capacity (of each).

INSERT INTO booking.event (name, capacity)
SELECT 'event ' || id, :capacity FROM generate_series(1, :events) AS id;

-- Fails, as a division by zero, where the numbers are others than the load will ask for.
SELECT 1 / (count(*) = :events AND min(event_id) = 1 AND max(event_id) = :events)::integer AS numbered
FROM booking.event;

VACUUM (ANALYZE) booking.event, booking.inventory, booking.ticket, booking.hold, booking.request, booking.user_limit;
