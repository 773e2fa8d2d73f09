-- A row for each promise that pg_booking has broken, or no row.
--
-- psql variable: booked, the number of bookings that the clients were told about.

SELECT format('%s bookings were acknowledged, %s tickets are there', :booked, count(*))
FROM booking.ticket
WHERE cancelled_at IS NULL
HAVING count(*) <> :booked
UNION ALL
SELECT format('event %s: %s (expected %s, found %s)', event_id, problem, expected, found)
FROM booking.verify();
