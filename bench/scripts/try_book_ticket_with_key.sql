-- try_book_ticket with an idempotency key that no call has used before.
\set event random(1, :events)
\set user random(1, 1000000)
\set key random(1, 9000000000000000000)
SELECT * FROM booking.try_book_ticket(:event::bigint, :user::bigint, :key::text);
