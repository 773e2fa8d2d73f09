-- One row for each promise that pg_booking has broken; no row when all is well.
--
-- psql variable: booked, the number of bookings that the clients were told of.

SELECT format('%s bookings were acknowledged, %s tickets are there', :booked, count(*))
FROM booking.ticket
WHERE cancelled_at IS NULL
HAVING count(*) <> :booked
UNION ALL
SELECT format('event %s: %s (expected %s, found %s)', event_id, problem, expected, found)
FROM booking.verify();
