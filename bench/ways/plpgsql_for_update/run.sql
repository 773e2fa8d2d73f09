-- title: PL/pgSQL, SELECT FOR UPDATE
-- name: PL/pgSQL `FOR UPDATE`
-- safe: yes
-- seconds: 1
-- repeats: 2
--
-- The same three statements as in the client, in one round trip.
\set event random(1, :events)
\set user random(1, 1000000)
SELECT shop.book(:event, :user);
