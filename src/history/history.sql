/* ---- the history ---- */

CREATE FUNCTION booking.record_history()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_record_history'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.record_history() IS
'Trigger of booking.ticket and booking.hold: writes every change down in booking.history. Attached by keep_history().';

CREATE FUNCTION booking.refuse_history_change()
RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE object_not_in_prerequisite_state USING
        MESSAGE = format('%s of booking.history is refused: it is append-only', TG_OP),
        HINT = 'To remove old rows its owner may disable the trigger booking_history_is_append_only.';
END
$$;

COMMENT ON FUNCTION booking.refuse_history_change() IS
'Trigger of booking.history: refuses UPDATE, DELETE and TRUNCATE. Attached by keep_history().';

CREATE FUNCTION booking.keep_history()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    user_id_type regtype;
    target record;
BEGIN
    PERFORM booking.flush_inventory();
    IF to_regclass('booking.history') IS NULL THEN
        SELECT atttypid INTO user_id_type FROM pg_attribute
        WHERE attrelid = 'booking.ticket'::regclass AND attname = 'user_id';
        EXECUTE format($sql$CREATE TABLE booking.history (
            history_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            session_user_name name NOT NULL,
            table_name text NOT NULL,
            action      text NOT NULL,
            event_id    bigint,
            user_id     %s,
            ticket_id   bigint,
            hold_id     bigint,
            quantity    integer
        )$sql$, user_id_type);
        CREATE INDEX history_ticket_id_idx ON booking.history (ticket_id)
            WHERE ticket_id IS NOT NULL;
        CREATE INDEX history_hold_id_idx ON booking.history (hold_id)
            WHERE hold_id IS NOT NULL;
        COMMENT ON TABLE booking.history IS
            'Who did what to which ticket or hold, and when. Append-only. action: booked, redeemed, cancelled, reinstated, transferred of a ticket; held, extended, confirmed, released, expired of a hold; changed, deleted, truncated of both.';
        COMMENT ON COLUMN booking.history.session_user_name IS 'The user of the session (session_user).';
        -- who writes it is the owner of the tickets, whoever calls this
        EXECUTE format('ALTER TABLE booking.history OWNER TO %s',
                       (SELECT relowner::regrole FROM pg_class
                        WHERE oid = 'booking.ticket'::regclass));
    END IF;
    FOR target IN
        SELECT rel, trigger_name, events, level
        FROM (VALUES (1, 'booking.ticket'::regclass), (2, 'booking.hold')) AS r (nth, rel)
        CROSS JOIN (VALUES ('booking_history', 29, 'INSERT OR UPDATE OR DELETE', 'ROW'),
                           ('booking_history_truncated', 32, 'TRUNCATE', 'STATEMENT'))
            AS k (trigger_name, bits, events, level)
        WHERE NOT EXISTS (SELECT FROM pg_trigger
                          WHERE tgrelid = rel AND tgtype & bits = bits
                            AND tgfoid = 'booking.record_history()'::regprocedure)
        ORDER BY nth
    LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER %s ON %s FOR EACH %s EXECUTE FUNCTION booking.record_history()',
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
'From now on writes every change of a ticket or hold into booking.history, which is append-only. May be called again. To stop: DROP TRIGGER booking_history on booking.ticket and booking.hold. Raises 42P01 before create_tables().';
