-- try_book_ticket of a random event from :first to :last.
\set event random(:first, :last)
\set user random(1, 1000000)
SELECT * FROM booking.try_book_ticket(:event::bigint, :user::bigint);
