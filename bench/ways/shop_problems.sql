-- A row for each promise that a shop with a counter has broken, or no row.
--
-- psql variable: booked, the number of bookings that the clients were told about.

SELECT format('%s bookings were acknowledged, %s tickets are there', :booked, count(*))
FROM shop.ticket
HAVING count(*) <> :booked
UNION ALL
SELECT format('event %s: capacity %s, available %s, but %s tickets', event_id, capacity, available, coalesce(sold, 0))
FROM shop.event
LEFT JOIN (SELECT event_id, count(*) AS sold FROM shop.ticket GROUP BY event_id) AS t USING (event_id)
WHERE available + coalesce(sold, 0) <> capacity;
