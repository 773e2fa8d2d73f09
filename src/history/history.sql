/* ---- the history ---- */

CREATE FUNCTION booking.record_history()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_record_history'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.record_history() IS
'Trigger function of booking.ticket and booking.hold, attached by keep_history(). Writes a row '
'into booking.history for each row that was changed, and one for a TRUNCATE. '
'Raises 39P01 if it is called in any other way.';

CREATE FUNCTION booking.refuse_history_change()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_refuse_history_change'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.refuse_history_change() IS
'Trigger function of booking.history, attached by keep_history(). Raises 55000 for every UPDATE, '
'DELETE and TRUNCATE, except for the UPDATE of forget_user() if the owner of the table calls it. '
'Raises 39P01 if it is called in any other way.';

CREATE FUNCTION booking.keep_history()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    user_id_type text;
    target record;
BEGIN
    PERFORM booking.flush_inventory();
    IF to_regclass('booking.history') IS NULL THEN
        SELECT concat(atttypid::regtype,
                      CASE WHEN attcollation NOT IN (0, 'default'::regcollation)
                           THEN format(' COLLATE %s', attcollation::regcollation) END)
        INTO user_id_type FROM pg_attribute
        WHERE attrelid = 'booking.ticket'::regclass AND attname = 'user_id';
        EXECUTE format($sql$CREATE TABLE booking.history (
            history_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            happened_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
            session_user_name name NOT NULL,
            table_name        text NOT NULL,
            action            text NOT NULL,
            event_id          bigint,
            user_id           %s,
            ticket_id         bigint,
            hold_id           bigint,
            quantity          integer
        )$sql$, user_id_type);
        CREATE INDEX history_ticket_id_idx ON booking.history (ticket_id)
            WHERE ticket_id IS NOT NULL;
        CREATE INDEX history_hold_id_idx ON booking.history (hold_id)
            WHERE hold_id IS NOT NULL;
        COMMENT ON TABLE booking.history IS
            'One row for each change of a ticket or hold: what was done, when, and by which '
            'session user. The table is append-only, except that forget_user() replaces user ids.';
        COMMENT ON COLUMN booking.history.history_id IS
            'Ascending in the order of writing, not of commit, and with gaps.';
        COMMENT ON COLUMN booking.history.happened_at IS
            'By the clock, not by the start of the transaction.';
        COMMENT ON COLUMN booking.history.session_user_name IS
            'The role of the session (session_user).';
        COMMENT ON COLUMN booking.history.table_name IS
            'The table that was changed: ticket or hold.';
        COMMENT ON COLUMN booking.history.action IS
            'What was done. To a ticket: booked, booked_by_staff, redeemed, unredeemed, cancelled, '
            'reinstated, moved. '
            'To a hold: held, extended, confirmed, released, expired. '
            'To both: transferred, changed, user_forgotten, deleted, truncated. '
            'truncated stands for all rows of the table; its row has no event, user or id.';
        COMMENT ON COLUMN booking.history.event_id IS
            'The event of the ticket or hold, after the change or before its deletion.';
        COMMENT ON COLUMN booking.history.user_id IS
            'The user of the ticket or hold, after the change or before its deletion.';
        COMMENT ON COLUMN booking.history.ticket_id IS
            'The ticket that was changed; null for a hold.';
        COMMENT ON COLUMN booking.history.hold_id IS
            'The hold that was changed, or the hold that the ticket was made from.';
        COMMENT ON COLUMN booking.history.quantity IS
            'The number of places of the hold; null for a ticket.';
        -- record_history() writes as the owner of the tickets, so that role owns it.
        EXECUTE format('ALTER TABLE booking.history OWNER TO %s',
                       (SELECT relowner::regrole FROM pg_class
                        WHERE oid = 'booking.ticket'::regclass));
    END IF;
    FOR target IN
        SELECT rel, trigger_name, events, level
        FROM (VALUES (1, 'booking.ticket'::regclass), (2, 'booking.hold')) AS r (nth, rel)
        CROSS JOIN (VALUES ('_booking_history', 29, 'INSERT OR UPDATE OR DELETE', 'ROW'),
                           ('_booking_history_truncated', 32, 'TRUNCATE', 'STATEMENT'))
            AS k (trigger_name, bits, events, level)
        WHERE NOT EXISTS (SELECT FROM pg_trigger
                          WHERE tgrelid = rel AND tgtype & bits = bits
                            AND tgfoid = 'booking.record_history()'::regprocedure)
        ORDER BY nth
    LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER %s ON %s '
                       'FOR EACH %s EXECUTE FUNCTION booking.record_history()',
                       target.trigger_name, target.events, target.rel, target.level);
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_trigger
                   WHERE tgrelid = 'booking.history'::regclass
                     AND tgfoid = 'booking.refuse_history_change()'::regprocedure) THEN
        CREATE TRIGGER booking_history_is_append_only
            BEFORE UPDATE OR DELETE OR TRUNCATE ON booking.history
            FOR EACH STATEMENT EXECUTE FUNCTION booking.refuse_history_change();
    END IF;
END
$$;

COMMENT ON FUNCTION booking.keep_history() IS
'Creates the append-only table booking.history and its triggers. From then on every change of a '
'ticket or hold writes a row into it. It can be called again: it adds what is missing. '
'Creating the triggers waits for transactions that have written tickets or holds, and blocks '
'such writes until this transaction ends. '
'To stop the history, drop the triggers _booking_history and _booking_history_truncated on '
'booking.ticket and on booking.hold; the rows stay. '
'Raises 42P01 if create_tables() has not been called. Runs with the rights of the caller.';
