-- title: SELECT FOR UPDATE of the parent row and count, in the client
-- name: client: `FOR UPDATE`, count
-- safe: yes
-- seconds: 1
-- repeats: 2
--
-- As an ORM's select_for_update() and count() do it.
\set show random(1, :events)
\set user random(1, 1000000)
BEGIN;
SELECT capacity FROM shop_show WHERE id = :show FOR UPDATE \gset
SELECT count(*) AS taken FROM shop_ticket WHERE show_id = :show AND status <> 'cancelled' \gset
\if :taken < :capacity
INSERT INTO shop_ticket (show_id, user_id) VALUES (:show, :user) RETURNING id;
\endif
COMMIT;
