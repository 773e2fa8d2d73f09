-- title: INSERT without a constraint (unsafe)
-- name: `INSERT` without a constraint, unsafe
-- safe: no
--
-- The application inserts a ticket, and nothing looks whether a place is left.
\set show random(1, :events)
\set user random(1, 1000000)
INSERT INTO shop_ticket (show_id, user_id) VALUES (:show, :user) RETURNING id;
