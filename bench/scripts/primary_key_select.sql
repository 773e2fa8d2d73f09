-- What a refusal is compared with: one row by its primary key, the same each time, prepared.
-- The numbers are drawn as the script of try_book_ticket draws them, for pgbench's own time counts too.
\set event random(1, :events)
\set user random(1, 1000000)
SELECT available FROM shop.event WHERE event_id = :event;
