-- Nobody counts the places here, so all that can be checked is that no ticket was lost.
--
-- psql variable: booked, the number of bookings that the clients were told of.

SELECT format('%s bookings were acknowledged, %s tickets are there', :booked, count(*))
FROM shop.ticket
HAVING count(*) <> :booked;
