-- title: blind INSERT (unsafe)
-- name: blind `INSERT`, unsafe
-- safe: no
--
-- The upper bound: it inserts a ticket and does not look whether a place is left.  It asks for the ticket's id, as
-- an ORM does, because every other way here returns it.
\set event random(1, :events)
\set user random(1, 1000000)
INSERT INTO shop.ticket (event_id, user_id) VALUES (:event, :user) RETURNING ticket_id;
