-- title: counter column with a CHECK, in the client
-- name: client: counter column, `CHECK`
-- safe: yes
-- seconds: 1
-- repeats: 2
--
-- When no place is left, the UPDATE fails.
\set show random(1, :events)
\set user random(1, 1000000)
BEGIN;
UPDATE shop_show SET available = available - 1 WHERE id = :show;
INSERT INTO shop_ticket (show_id, user_id) VALUES (:show, :user) RETURNING id;
COMMIT;
