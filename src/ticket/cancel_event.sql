/* ---- cancel an event ---- */

CREATE FUNCTION booking.cancel_event(event_id bigint)
RETURNS TABLE (user_id text, ticket_ids bigint[])
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
#variable_conflict use_column
DECLARE
    this CONSTANT bigint := cancel_event.event_id;
    stamp timestamptz;
    is_closed boolean;
BEGIN
    IF this IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'argument "event_id" must not be null';
    END IF;
    PERFORM booking.flush_inventory();
    PERFORM FROM booking.event WHERE event_id = this FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE foreign_key_violation USING
            MESSAGE = format('event %s does not exist', this),
            DETAIL = format('Key (event_id)=(%s) is not present in table "event".', this),
            HINT = 'Insert it into booking.event first. If another transaction did, it must have committed.',
            SCHEMA = 'booking', TABLE = 'event', COLUMN = 'event_id',
            CONSTRAINT = 'event_pkey';
    END IF;

    -- The lock order is: tickets, holds, the stripes.
    FOR attempt IN 1 .. 100 LOOP
        is_closed := false;
        BEGIN
            PERFORM FROM booking.ticket WHERE event_id = this AND cancelled_at IS NULL
            ORDER BY ticket_id FOR NO KEY UPDATE;
            -- (change_hold() has a hold that has not expired, and may wait for one that has)
            PERFORM FROM booking.hold WHERE event_id = this AND ended_at IS NULL
            ORDER BY expires_at <= clock_timestamp(), expires_at, hold_id FOR NO KEY UPDATE;

            -- The sale ends: this waits for bookings in progress, and locks all stripes.
            -- (A new sales_end, also if the sale was over: otherwise nothing would be locked.)
            stamp := clock_timestamp();
            UPDATE booking.event
            SET sales_start = CASE WHEN sales_start < stamp THEN sales_start END,
                sales_end = stamp
            WHERE event_id = this;
            is_closed := true;

            -- What those bookings have made.  Who has it locked may wait for a stripe, so it
            -- can't be waited for now: the stripes are unlocked, and all begins again.
            PERFORM FROM booking.ticket WHERE event_id = this AND cancelled_at IS NULL
            FOR NO KEY UPDATE NOWAIT;
            PERFORM FROM booking.hold WHERE event_id = this AND ended_at IS NULL
            FOR NO KEY UPDATE NOWAIT;

            UPDATE booking.hold SET ended_at = clock_timestamp()
            WHERE event_id = this AND ended_at IS NULL;
            RETURN QUERY
            WITH gone AS (UPDATE booking.ticket SET cancelled_at = clock_timestamp()
                          WHERE event_id = this AND cancelled_at IS NULL
                          RETURNING user_id, ticket_id)
            SELECT user_id::text, array_agg(ticket_id ORDER BY ticket_id)
            FROM gone GROUP BY user_id ORDER BY gone.user_id;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            IF NOT is_closed THEN
                RAISE;
            END IF;
        END;
    END LOOP;
    RAISE lock_not_available USING
        MESSAGE = format('event %s could not be cancelled', this),
        DETAIL = 'Other transactions have its newest tickets or holds locked.',
        HINT = 'Try again.';
END
$$;

COMMENT ON FUNCTION booking.cancel_event(bigint) IS
'Cancels an event: ends its sale now (sales_end) and its holds, and cancels its tickets, also '
'those that were redeemed, in this transaction. Returns a row for each user who had tickets, with their ids, for '
'refunds. A second call returns only the tickets that it cancels itself. '
'Waits for bookings in progress, and locks the event, its tickets, holds and inventory until the '
'transaction ends: a booking that begins during the call waits, and is then refused (23T03). '
'Raises 22004 if event_id is null, 23503 if there is no such event, 55P03 if other transactions '
'keep locking its newest tickets, 40001 as the isolation level demands, 42501 if row-level '
'security hides rows from the caller. Runs with the rights of the caller.';
