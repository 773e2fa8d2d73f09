-- A sale with a payment: the place is held, then the hold is confirmed, in two transactions.
\set event random(1, :events)
\set user random(1, 1000000)
SELECT hold_id FROM booking.hold_tickets(:event::bigint, :user::bigint) \gset
SELECT booking.confirm_hold(:hold_id::bigint);
