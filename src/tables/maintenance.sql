/* ---- verify, repair, purge ---- */

/*
 * These functions must see every row.  With row_security = off PostgreSQL
 * raises 42501 if a policy hides rows from the caller.
 */

CREATE FUNCTION booking.purge(older_than interval)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
DECLARE
    now timestamptz := clock_timestamp();
    before timestamptz := now - older_than;
    purged bigint;
    total bigint;
BEGIN
    IF older_than IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'argument "older_than" must not be null';
    END IF;
    IF before > now THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'older_than must not be negative';
    END IF;
    PERFORM booking.flush_inventory();
    DELETE FROM booking.request WHERE created_at < before;
    GET DIAGNOSTICS total = ROW_COUNT;
    DELETE FROM booking.hold h
    WHERE ended_at < before
       OR (ended_at IS NOT NULL
           AND NOT EXISTS (SELECT FROM booking.event e WHERE e.event_id = h.event_id));
    GET DIAGNOSTICS purged = ROW_COUNT;
    total := total + purged;
    -- A row is needed while a booking has it locked.  One that needs it later
    -- inserts it again.  So only users who have places of an event with a limit keep
    -- their rows, to spare them that.
    WITH unused AS (
        SELECT event_id, user_id FROM booking.user_limit u
        WHERE NOT EXISTS (SELECT FROM booking.event e
                          WHERE e.event_id = u.event_id AND e.max_per_user IS NOT NULL)
           OR NOT EXISTS (SELECT FROM booking.ticket t
                          WHERE t.event_id = u.event_id AND t.user_id = u.user_id
                            AND t.cancelled_at IS NULL)
              AND NOT EXISTS (SELECT FROM booking.hold h
                              WHERE h.event_id = u.event_id AND h.user_id = u.user_id
                                AND h.ended_at IS NULL)
        FOR UPDATE SKIP LOCKED)
    DELETE FROM booking.user_limit u USING unused n
    WHERE u.event_id = n.event_id AND u.user_id = n.user_id;
    RETURN total;
END
$$;

COMMENT ON FUNCTION booking.purge(interval) IS
'Deletes idempotency keys that were created, and holds that ended, longer ago than older_than. '
'It also deletes all ended holds whose event is gone, and rows of booking.user_limit of users '
'who have no place of the event. Returns how many keys and holds it deleted. A retry with a deleted key books again. A deleted hold can''t be confirmed again. '
'Raises 22004 if older_than is null, 22023 if it is negative, 42501 if row-level security hides '
'rows from the caller. Runs with the rights of the caller.';

CREATE FUNCTION booking.verify(for_event_id bigint DEFAULT NULL)
RETURNS TABLE (event_id bigint, problem text, expected bigint, found bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
#variable_conflict use_column
BEGIN
    BEGIN
        PERFORM booking.flush_inventory();
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
        -- the tables lack what bookings need: it is named below
        IF for_event_id IS NOT NULL OR NOT EXISTS (SELECT FROM booking.schema_problems()) THEN
            RAISE;
        END IF;
    END;

    IF for_event_id IS NULL THEN
        RETURN QUERY
            SELECT NULL::bigint,
                   CASE WHEN s.shards > 1 THEN format('shard %s: ', s.shard) ELSE '' END || p.problem,
                   NULL::bigint, NULL::bigint
            FROM (SELECT * FROM booking.schema_problems() UNION ALL SELECT * FROM booking.sequence_problems()) p
            CROSS JOIN booking.this_shard() s;
    END IF;

    -- It is one statement, so that all of it sees the same snapshot.
    RETURN QUERY
    WITH e AS (
        -- An infinite sales_start or sales_end means the same as null.
        -- An event without a limit has this many places.
        SELECT event_id, coalesce(capacity, 2000000000) AS capacity, max_per_user,
               min_per_order, max_per_order,
               nullif(sales_start, '-infinity') AS sales_start,
               nullif(sales_end, 'infinity') AS sales_end
        FROM booking.event
        WHERE for_event_id IS NULL OR event_id = for_event_id
    ), i AS (
        SELECT event_id, sum(available) AS available,
               min(available) AS least, min(stripe) AS first,
               count(*) AS stripes,
               count(DISTINCT (max_per_user, min_per_order, max_per_order, sales_start, sales_end))
                   AS conditions,
               min(max_per_user) AS max_per_user, min(min_per_order) AS min_per_order,
               min(max_per_order) AS max_per_order,
               nullif(min(sales_start), '-infinity') AS sales_start,
               nullif(min(sales_end), 'infinity') AS sales_end
        FROM booking.inventory
        WHERE for_event_id IS NULL OR event_id = for_event_id
        GROUP BY event_id
    ), t AS (
        SELECT event_id, count(*) FILTER (WHERE cancelled_at IS NULL) AS live,
               count(*) AS tickets
        FROM booking.ticket
        WHERE for_event_id IS NULL OR event_id = for_event_id
        GROUP BY event_id
    ), h AS (
        SELECT event_id, sum(quantity) FILTER (WHERE ended_at IS NULL) AS held,
               count(*) FILTER (WHERE ended_at IS NULL) AS holds
        FROM booking.hold
        WHERE for_event_id IS NULL OR event_id = for_event_id
        GROUP BY event_id
    ), u AS (
        -- for each event with max_per_user, the places of the user who has most
        SELECT event_id, max(places) AS places
        FROM (SELECT event_id, user_id, sum(places) AS places
              FROM (SELECT event_id, user_id, 1 AS places
                    FROM booking.ticket JOIN e USING (event_id)
                    WHERE cancelled_at IS NULL AND e.max_per_user IS NOT NULL
                  UNION ALL
                    SELECT event_id, user_id, quantity
                    FROM booking.hold JOIN e USING (event_id)
                    WHERE ended_at IS NULL AND expires_at > clock_timestamp()
                      AND e.max_per_user IS NOT NULL) AS p
              GROUP BY event_id, user_id) AS p
        GROUP BY event_id
    )
    SELECT event_id,
           'available places, live tickets and live holds do not add up to the capacity',
           e.capacity::bigint, i.available + coalesce(t.live, 0) + coalesce(h.held, 0)
    FROM e JOIN i USING (event_id) LEFT JOIN t USING (event_id) LEFT JOIN h USING (event_id)
    WHERE i.available + coalesce(t.live, 0) + coalesce(h.held, 0) <> e.capacity
    UNION ALL
    SELECT event_id, 'a user has more places than max_per_user',
           e.max_per_user::bigint, u.places::bigint
    FROM e JOIN u USING (event_id)
    WHERE u.places > e.max_per_user
    UNION ALL
    SELECT event_id, 'the inventory has other sale rules than the event',
           NULL::bigint, i.conditions
    FROM e JOIN i USING (event_id)
    WHERE i.conditions <> 1
       OR (e.max_per_user, e.min_per_order, e.max_per_order, e.sales_start, e.sales_end)
          IS DISTINCT FROM
          (i.max_per_user, i.min_per_order, i.max_per_order, i.sales_start, i.sales_end)
    UNION ALL
    SELECT h.event_id, 'a live hold has tickets', 0::bigint, count(*)
    FROM booking.hold h JOIN booking.ticket t USING (hold_id)
    WHERE h.ended_at IS NULL AND (for_event_id IS NULL OR h.event_id = for_event_id)
    GROUP BY h.event_id
    UNION ALL
    SELECT event_id, 'tickets have ids of another shard', 0::bigint, count(*)
    FROM booking.ticket JOIN booking.this_shard() s ON s.shards > 1
    WHERE ticket_id & (s.shards - 1) <> s.shard AND (for_event_id IS NULL OR event_id = for_event_id)
    GROUP BY event_id
    UNION ALL
    SELECT event_id, 'holds have ids of another shard', 0::bigint, count(*)
    FROM booking.hold JOIN booking.this_shard() s ON s.shards > 1
    WHERE hold_id & (s.shards - 1) <> s.shard AND (for_event_id IS NULL OR event_id = for_event_id)
    GROUP BY event_id
    UNION ALL
    SELECT event_id, format('oversold by %s', -i.available), e.capacity::bigint,
           e.capacity - i.available
    FROM e JOIN i USING (event_id)
    WHERE i.available < 0
    UNION ALL
    SELECT event_id, 'a stripe has fewer than zero places', 0::bigint, i.least::bigint
    FROM i
    WHERE i.least < 0 AND i.stripes > 1
    UNION ALL
    SELECT event_id, 'the event has no stripe 0', 0::bigint, i.first::bigint
    FROM e LEFT JOIN i USING (event_id)
    WHERE i.first IS DISTINCT FROM 0
    UNION ALL
    SELECT event_id, 'the inventory belongs to no event', NULL::bigint, i.available
    FROM i LEFT JOIN e USING (event_id)
    WHERE e.event_id IS NULL
    UNION ALL
    SELECT event_id, 'the tickets belong to no event', 0::bigint, t.tickets
    FROM t LEFT JOIN e USING (event_id)
    WHERE e.event_id IS NULL
    UNION ALL
    SELECT event_id, 'live holds belong to no event', 0::bigint, h.holds
    FROM h LEFT JOIN e USING (event_id)
    WHERE e.event_id IS NULL AND h.holds > 0
    ORDER BY 1, 2;
END
$$;

COMMENT ON FUNCTION booking.verify(bigint) IS
'Checks the inventory of one event, or of all events if for_event_id is null, against the '
'capacity, tickets, holds and sale rules, and for all events what the tables have lost: triggers, '
'indexes, constraints, defaults. Returns one row for each problem, with the numbers '
'expected and found, and no row if all is well. Locks no row and waits for no booking. '
'Runs with the rights of the caller, who needs SELECT on the tables. Raises 42501 if row-level '
'security hides rows from him.';

CREATE FUNCTION booking.rebuild_inventory(for_event_id bigint DEFAULT NULL)
RETURNS TABLE (event_id bigint, available_before bigint, available bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET booking.importing = on
AS $$
#variable_conflict use_column
DECLARE
    e record;
    before bigint;
    free bigint;
BEGIN
    PERFORM booking.flush_inventory();

    -- The lock order is: the event, stripe 0, the other stripes.
    FOR e IN SELECT * FROM booking.event
             WHERE for_event_id IS NULL OR event_id = for_event_id
             ORDER BY event_id FOR UPDATE
    LOOP
        before := NULL;
        -- While PERFORM waits for a stripe, another session can split and then empty
        -- it.  The snapshot of PERFORM doesn't show the new stripe.  So look again
        -- until there is none.
        WHILE EXISTS (SELECT FROM booking.inventory WHERE event_id = e.event_id) LOOP
            PERFORM FROM booking.inventory WHERE event_id = e.event_id ORDER BY stripe FOR UPDATE;
            WITH gone AS (DELETE FROM booking.inventory WHERE event_id = e.event_id
                          RETURNING available)
            SELECT coalesce(before, 0) + coalesce(sum(available), 0) INTO before FROM gone;
        END LOOP;

        -- Now no transaction in progress has a place of the event.  One statement
        -- counts tickets and holds, so that a hold that is being confirmed counts once.
        SELECT coalesce(e.capacity, 2000000000)
               - (SELECT count(*) FROM booking.ticket
                  WHERE event_id = e.event_id AND cancelled_at IS NULL)
               - (SELECT coalesce(sum(quantity), 0) FROM booking.hold
                  WHERE event_id = e.event_id AND ended_at IS NULL)
        INTO free;
        -- If the event is oversold, stripe 0 is below zero (the deficit).
        INSERT INTO booking.inventory
            (event_id, stripe, available, max_per_user, sales_start, sales_end,
             min_per_order, max_per_order)
        VALUES (e.event_id, 0, free, e.max_per_user, e.sales_start, e.sales_end,
                e.min_per_order, e.max_per_order);
        IF free IS DISTINCT FROM before THEN
            event_id := e.event_id;
            available_before := before;
            available := free;
            RETURN NEXT;
        END IF;
    END LOOP;
    IF NOT FOUND AND for_event_id IS NOT NULL THEN
        RAISE foreign_key_violation USING
            MESSAGE = format('event %s does not exist', for_event_id),
            DETAIL = format('Key (event_id)=(%s) is not present in table "event".', for_event_id),
            HINT = 'Insert it into booking.event first. If another transaction did, it must have committed.',
            SCHEMA = 'booking', TABLE = 'event', COLUMN = 'event_id',
            CONSTRAINT = 'event_pkey';
    END IF;
    DELETE FROM booking.inventory i
    WHERE for_event_id IS NULL
      AND NOT EXISTS (SELECT FROM booking.event e WHERE e.event_id = i.event_id);
END
$$;

COMMENT ON FUNCTION booking.rebuild_inventory(bigint) IS
'Computes the inventory of one event, or of all events if for_event_id is null, again from '
'capacity, live tickets and live holds, for example after data was loaded with triggers disabled. '
'Returns one row for each event whose free places have changed; available_before is null if the '
'event had no inventory. If an event is oversold, nothing is sold until enough places have come '
'back. For all events it also removes an inventory that belongs to no event. '
'It waits for bookings in progress and locks the events until the transaction ends. '
'Do not call it in a statement that also writes tickets, holds or events: their triggers run '
'after it and would count these places twice. '
'Raises 23503 if there is no such event, 42501 if row-level security hides rows from the caller. '
'Runs with the rights of the caller.';

CREATE FUNCTION booking.check_row_security()
RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hidden name := (
        SELECT c.relname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.relnamespace = 'booking'::regnamespace
          AND c.relname IN ('event', 'hold', 'inventory', 'ticket')
          AND c.relrowsecurity AND c.relforcerowsecurity
          AND NOT r.rolsuper AND NOT r.rolbypassrls
        ORDER BY c.relname LIMIT 1);
BEGIN
    IF hidden IS NOT NULL THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('query would be affected by row-level security policy for table "%s"',
                             hidden),
            HINT = 'booking.sales counts with the rights of the owner of the tables. To show him '
                   'all rows, use ALTER TABLE NO FORCE ROW LEVEL SECURITY.';
    END IF;
    RETURN true;
END
$$;

COMMENT ON FUNCTION booking.check_row_security() IS
'Internal: returns true. Raises 42501 if policies hide rows of the tables from their owner, with '
'whose rights booking.sales counts.';
