-- Capacity constraints and prepared transactions.  Skipped if the server allows none.
--
-- Promises:
--   - A prepared transaction keeps its places, and gives back what it has prefetched.
--   - It is not prepared if the rows of a statement were not judged.
SELECT current_setting('max_prepared_transactions') = '0' AS skip \gset
\if :skip
    \quit
\endif
CALL recreate_booking();
CALL recreate_shop();
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    constraint_name => 'c');
UPDATE shop_show SET capacity = 100 WHERE id = 1;
BEGIN;
DO $$
BEGIN
    FOR i IN 1..40 LOOP
        INSERT INTO shop_ticket (show_id) VALUES (1);
    END LOOP;
END
$$;
PREPARE TRANSACTION 'regress_booking_a';
BEGIN;
INSERT INTO shop_ticket (show_id) VALUES (2), (2);
PREPARE TRANSACTION 'regress_booking_b';
SET lock_timeout = '100ms';
SELECT code, message FROM outcome('INSERT INTO shop_ticket (show_id) VALUES (2), (2)');
RESET lock_timeout;
COMMIT PREPARED 'regress_booking_a';
ROLLBACK PREPARED 'regress_booking_b';
SELECT pools('c');
BEGIN;
ALTER TABLE booking.c DISABLE TRIGGER ALL;
INSERT INTO shop_ticket (show_id) VALUES (2), (2);
PREPARE TRANSACTION 'regress_booking_c';
SELECT pools('c');
CALL recreate_shop();
