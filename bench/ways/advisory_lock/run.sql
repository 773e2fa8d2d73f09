-- title: advisory lock + UPDATE + INSERT
-- safe: yes
--
-- Clients queue at the advisory lock rather than at the row, and so leave no row lock behind to be waited for.
\set event random(1, :events)
\set user random(1, 1000000)
SELECT shop.book(:event, :user);
