-- title: BEFORE trigger that locks the parent row and counts
-- name: trigger: lock the parent, count
-- safe: yes
-- seconds: 1
\set show random(1, :events)
\set user random(1, 1000000)
INSERT INTO shop_ticket (show_id, user_id) VALUES (:show, :user) RETURNING id;
