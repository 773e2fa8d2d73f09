-- title: SELECT FOR UPDATE from the client
-- safe: yes
--
-- What an ORM's select_for_update() does: five round trips, the row locked over three of them.
\set event random(1, :events)
\set user random(1, 1000000)
BEGIN;
SELECT available FROM shop.event WHERE event_id = :event FOR UPDATE \gset
\if :available > 0
UPDATE shop.event SET available = available - 1 WHERE event_id = :event;
INSERT INTO shop.ticket (event_id, user_id) VALUES (:event, :user) RETURNING ticket_id;
\endif
COMMIT;
