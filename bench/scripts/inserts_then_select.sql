-- The load that the end of a sale is compared with: each client inserts its share of :places, then looks at the
-- places left once.
--
-- Variables: places, clients, and n, the number of earlier turns of this client (0 at first).  A client has
-- :places / :clients + 2 turns.  The shares differ by one, so the last turn may do nothing.
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
