-- What a sale's end is compared with: each client inserts its share of :places, and looks at the stock once.
--
-- Variables: places, clients; n, how often this client was here: 0 at first.  A client has
-- :places / :clients + 2 turns, of which the last may be empty, for the shares differ by one.
\set share :places / :clients
\if :client_id < :places % :clients
\set share :share + 1
\endif
\set n :n + 1
\set user random(1, 1000000)
\if :n <= :share
INSERT INTO shop.ticket (event_id, user_id) VALUES (1, :user) RETURNING ticket_id;
\elif :n = :share + 1
SELECT available FROM shop.event WHERE event_id = 1;
\endif
