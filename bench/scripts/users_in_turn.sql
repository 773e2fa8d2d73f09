-- book_ticket for 1,000,000 users in random order.  No user gets a second ticket before all have one.  So none of
-- the first millions of bookings reaches a limit of several tickets, which would be an error and end the client.
--
-- Variables: clients, and n, the number of earlier turns of this client (0 at first).
\set user 1 + permute(:n * :clients + :client_id, 1000000)
\set n :n + 1
SELECT booking.book_ticket(1::bigint, :user::bigint);
