-- title: SERIALIZABLE with retries
-- name: `SERIALIZABLE`
-- safe: yes
-- seconds: 1
-- repeats: 2
-- options: --max-tries=10000
--
-- The application takes no lock.  It runs the transaction again if the server raises 40001.
\set event random(1, :events)
\set user random(1, 1000000)
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT available FROM shop.event WHERE event_id = :event \gset
\if :available > 0
UPDATE shop.event SET available = available - 1 WHERE event_id = :event;
INSERT INTO shop.ticket (event_id, user_id) VALUES (:event, :user) RETURNING ticket_id;
\endif
COMMIT;
