-- title: pg_booking: plain INSERT with the trigger
-- name: plain `INSERT`
-- safe: yes
--
-- An application that knows only its table of tickets does this.
\set event random(1, :events)
\set user random(1, 1000000)
INSERT INTO booking.ticket (event_id, user_id) VALUES (:event, :user) RETURNING ticket_id;
