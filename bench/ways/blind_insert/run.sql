-- title: blind INSERT (unsafe)
-- safe: no
--
-- The ceiling: a ticket and nothing else.  Nobody looks whether a place is left.  It asks for the ticket's id, as
-- an ORM does and as every other way here gives it.
\set event random(1, :events)
\set user random(1, 1000000)
INSERT INTO shop.ticket (event_id, user_id) VALUES (:event, :user) RETURNING ticket_id;
