-- The query that a refusal is compared with: one row by its primary key, prepared, always the same row.
-- It draws the same random numbers as the script of try_book_ticket, because pgbench needs time for them, too.
\set event random(1, :events)
\set user random(1, 1000000)
SELECT available FROM shop.event WHERE event_id = :event;
