-- title: PL/pgSQL, SELECT FOR UPDATE
-- safe: yes
--
-- The same three statements as from the client, in one round trip.
\set event random(1, :events)
\set user random(1, 1000000)
SELECT shop.book(:event, :user);
