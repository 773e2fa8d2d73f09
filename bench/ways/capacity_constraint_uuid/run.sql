-- title: pg_booking: the same, uuid keys
-- name: the same with a capacity constraint, uuid
-- safe: yes
--
-- All clients want the first show.
\set user random(1, 1000000)
INSERT INTO shop_ticket (show_id, user_id)
VALUES ('00000000-0000-0000-0000-000000000001', :user) RETURNING id;
