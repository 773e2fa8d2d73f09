-- title: pg_booking: try_book_ticket
-- name: `try_book_ticket`
-- safe: yes
\set event random(1, :events)
\set user random(1, 1000000)
SELECT * FROM booking.try_book_ticket(:event::bigint, :user::bigint);
