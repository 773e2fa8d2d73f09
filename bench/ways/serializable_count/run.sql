-- title: SERIALIZABLE: count, INSERT, with retries
-- name: `SERIALIZABLE`, count
-- safe: yes
-- seconds: 1
-- repeats: 2
-- options: --max-tries=10000
--
-- The application takes no lock.  It runs the transaction again if the server raises 40001.
\set show random(1, :events)
\set user random(1, 1000000)
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT capacity FROM shop_show WHERE id = :show \gset
SELECT count(*) AS taken FROM shop_ticket WHERE show_id = :show AND status <> 'cancelled' \gset
\if :taken < :capacity
INSERT INTO shop_ticket (show_id, user_id) VALUES (:show, :user) RETURNING id;
\endif
COMMIT;
