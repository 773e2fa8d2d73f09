\set key bigint
\ir ../app.sql
ALTER TABLE shop_show ADD available integer CONSTRAINT shop_show_sold_out CHECK (available >= 0);
UPDATE shop_show SET available = capacity;
VACUUM (FULL, ANALYZE) shop_show, shop_ticket;
