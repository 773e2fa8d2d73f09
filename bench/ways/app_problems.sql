-- A row for each promise that an application's tables have broken, or no row.
--
-- psql variables: booked, the number of bookings that the clients were told about; capacity, of each show.

SELECT format('%s bookings were acknowledged, %s tickets are there', :booked, count(*))
FROM shop_ticket
HAVING count(*) <> :booked
UNION ALL
SELECT format('show %s: capacity %s, but %s tickets', show_id, :capacity, count(*))
FROM shop_ticket
GROUP BY show_id
HAVING count(*) > :capacity
UNION ALL
SELECT format('%s: %s (expected %s, found %s)', key, problem, expected, found)
FROM booking.verify_capacity();
