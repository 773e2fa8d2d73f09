-- title: UPDATE ... RETURNING + INSERT, one statement
-- name: one SQL statement
-- safe: yes
-- seconds: 1
--
-- The fastest way in plain SQL: one round trip, and the row is locked from the UPDATE to the end of the commit.
\set event random(1, :events)
\set user random(1, 1000000)
WITH place AS (
    UPDATE shop.event SET available = available - 1
    WHERE event_id = :event AND available > 0
    RETURNING event_id
)
INSERT INTO shop.ticket (event_id, user_id)
SELECT event_id, :user FROM place RETURNING ticket_id;
