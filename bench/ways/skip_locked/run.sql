-- title: one row per ticket, FOR UPDATE SKIP LOCKED
-- name: `SKIP LOCKED`
-- safe: yes
-- seconds: 1
-- repeats: 2
-- events: 1
--
-- Clients take different rows and never wait, but each client reads past the rows that are sold or locked.
\set event random(1, :events)
\set user random(1, 1000000)
UPDATE shop.ticket SET user_id = :user, booked_at = now()
WHERE ticket_id = (
    SELECT ticket_id FROM shop.ticket
    WHERE event_id = :event AND user_id IS NULL
    ORDER BY ticket_id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING ticket_id;
