-- A ticket table that is partitioned by the user.  An UPDATE that moves a
-- ticket to another partition is an UPDATE to us, although PostgreSQL fires the
-- triggers for DELETE and INSERT.
CALL recreate_booking();
SET client_min_messages = warning;
CREATE TABLE partitioned (LIKE booking.ticket INCLUDING DEFAULTS, PRIMARY KEY (ticket_id, user_id))
    PARTITION BY LIST (user_id);
DROP TABLE booking.ticket CASCADE;
RESET client_min_messages;
ALTER TABLE partitioned SET SCHEMA booking;
ALTER TABLE booking.partitioned RENAME TO ticket;
CREATE SEQUENCE booking.ticket_id OWNED BY booking.ticket.ticket_id;
ALTER TABLE booking.ticket ALTER ticket_id SET DEFAULT nextval('booking.ticket_id');
CREATE TABLE booking.ticket_1 PARTITION OF booking.ticket FOR VALUES IN (1, 2);
-- A partition whose columns are in another order.
CREATE TABLE booking.ticket_2 (cancelled_at timestamptz, seat text, user_id bigint NOT NULL,
    junk integer, event_id bigint NOT NULL, redeemed_at timestamptz,
    ticket_id bigint NOT NULL, hold_id bigint, booked_at timestamptz NOT NULL);
ALTER TABLE booking.ticket_2 DROP COLUMN junk;
ALTER TABLE booking.ticket ATTACH PARTITION booking.ticket_2 DEFAULT;
SELECT booking.create_tables();
SELECT booking.keep_history();
INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (1, 3, 1), (2, 1, NULL);
SELECT booking.book_ticket(1, 1), booking.book_ticket(1, 3), booking.book_ticket(2, 9);
-- The sale is over: what takes a place is refused, and what doesn't is not.
UPDATE booking.event SET sales_end = now() - interval '1 hour';
SELECT n, o.code, o.message
FROM (VALUES
    (1, 'SELECT booking.transfer_ticket(1, 4)'),
    (2, 'SELECT booking.transfer_ticket(1, 1)'),
    (3, 'SELECT booking.transfer_ticket(1, 3)'),
    (4, 'UPDATE booking.ticket SET user_id = 3 WHERE ticket_id = 1'),
    (5, 'UPDATE booking.ticket SET user_id = 5 WHERE ticket_id = 1'),
    (6, 'UPDATE booking.ticket SET user_id = 1, event_id = 2 WHERE ticket_id = 1'),
    (7, 'UPDATE booking.ticket SET user_id = 2, cancelled_at = now() WHERE ticket_id = 1'),
    (8, 'UPDATE booking.ticket SET user_id = 6, cancelled_at = NULL WHERE ticket_id = 1'),
    (9, 'UPDATE booking.ticket SET user_id = 7 WHERE ticket_id = 1'),
    (10, 'WITH gone AS (DELETE FROM booking.ticket WHERE ticket_id = 2 RETURNING *)'
         ' INSERT INTO booking.ticket SELECT * FROM gone')) AS s (n, statement),
    outcome(statement) o
ORDER BY n;
SELECT * FROM places();
SELECT ticket_id, event_id, user_id, cancelled_at IS NOT NULL AS cancelled FROM booking.ticket ORDER BY 1;
SELECT action, event_id, user_id, ticket_id FROM booking.history ORDER BY history_id;
SELECT * FROM booking.verify();
-- Two users exchange their tickets, and the limit is judged at the end.
UPDATE booking.event SET sales_end = NULL;
SELECT booking.book_ticket(1, 1);
UPDATE booking.ticket SET user_id = 4 - user_id WHERE event_id = 1 AND user_id IN (1, 3);
-- A trigger keeps the row from its new partition: it is gone, and its place is free.
CREATE FUNCTION regress_keep_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep_out BEFORE INSERT ON booking.ticket_2 FOR EACH ROW EXECUTE FUNCTION regress_keep_out();
UPDATE booking.ticket SET user_id = 8 WHERE event_id = 1 AND user_id = 1;
DROP TRIGGER keep_out ON booking.ticket_2;
-- In a savepoint that is rolled back, and the same ticket again.
BEGIN;
SAVEPOINT s;
UPDATE booking.ticket SET user_id = 1 WHERE event_id = 1 AND user_id = 3;
ROLLBACK TO s;
UPDATE booking.ticket SET user_id = 2 WHERE event_id = 1 AND user_id = 3;
COMMIT;
SELECT * FROM places();
SELECT * FROM booking.verify();
DROP FUNCTION regress_keep_out;
