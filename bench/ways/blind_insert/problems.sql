-- This way does not count places, so only lost tickets can be noticed.
--
-- psql variable: booked, the number of bookings that the clients were told about.

SELECT format('%s bookings were acknowledged, %s tickets are there', :booked, count(*))
FROM shop.ticket
HAVING count(*) <> :booked;
