-- A sale with a payment between the two: the place is held, and the hold confirmed, in two transactions.
\set event random(1, :events)
\set user random(1, 1000000)
SELECT hold_id FROM booking.hold_tickets(:event::bigint, :user::bigint) \gset
SELECT booking.confirm_hold(:hold_id::bigint);
