-- title: SELECT FOR UPDATE in the client
-- name: client `FOR UPDATE`
-- safe: yes
-- seconds: 1
-- repeats: 2
--
-- As an ORM's select_for_update() does it: five round trips, and the row is locked during three of them.
\set event random(1, :events)
\set user random(1, 1000000)
BEGIN;
SELECT available FROM shop.event WHERE event_id = :event FOR UPDATE \gset
\if :available > 0
UPDATE shop.event SET available = available - 1 WHERE event_id = :event;
INSERT INTO shop.ticket (event_id, user_id) VALUES (:event, :user) RETURNING ticket_id;
\endif
COMMIT;
