-- A row for each promise that was broken, and one if the rows were used up before the capacity.
--
-- psql variables: booked, the number of bookings that the clients were told about; capacity of an event.

SELECT format('%s bookings were acknowledged, %s tickets are sold', :booked, sold)
FROM (SELECT count(*) AS sold FROM shop.ticket WHERE user_id IS NOT NULL) AS t
WHERE sold <> :booked
UNION ALL
SELECT format('event %s: all %s rows are sold, but its capacity is %s: make more rows', event_id, count(*), :capacity)
FROM shop.ticket
GROUP BY event_id
HAVING count(*) < :capacity AND count(user_id) = count(*);
