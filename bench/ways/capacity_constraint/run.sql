-- title: pg_booking: the same INSERT with a capacity constraint
-- name: the same with a capacity constraint
-- safe: yes
\set show random(1, :events)
\set user random(1, 1000000)
INSERT INTO shop_ticket (show_id, user_id) VALUES (:show, :user) RETURNING id;
