-- title: pg_booking: book_ticket
-- name: `book_ticket`
-- safe: yes
\set event random(1, :events)
\set user random(1, 1000000)
SELECT booking.book_ticket(:event::bigint, :user::bigint);
