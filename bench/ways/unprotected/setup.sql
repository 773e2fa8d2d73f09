\set key bigint
\ir ../app.sql
VACUUM (ANALYZE) shop_show, shop_ticket;
