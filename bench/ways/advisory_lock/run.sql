-- title: advisory lock + UPDATE + INSERT
-- name: advisory lock
-- safe: yes
-- seconds: 1
--
-- Clients wait for the advisory lock instead of the row, so no client waits for a row lock.
\set event random(1, :events)
\set user random(1, 1000000)
SELECT shop.book(:event, :user);
