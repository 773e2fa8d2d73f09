-- book_ticket for 1,000,000 users in random order, who have one ticket each before one of them has two: no booking
-- of the first millions meets a limit of several tickets, which would be an error and end the client.
--
-- Variables: clients; n, how often this client was here: 0 at first.
\set user 1 + permute(:n * :clients + :client_id, 1000000)
\set n :n + 1
SELECT booking.book_ticket(1::bigint, :user::bigint);
