-- title: pg_booking: plain INSERT, its trigger
-- safe: yes
--
-- What an application does that knows nothing but its ticket table.
\set event random(1, :events)
\set user random(1, 1000000)
INSERT INTO booking.ticket (event_id, user_id) VALUES (:event, :user) RETURNING ticket_id;
