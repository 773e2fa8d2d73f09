--
-- What the other tests use.
--
-- pg_regress runs all tests in one database.  Each test starts with
-- CALL recreate_booking(), so it does not depend on what another test left
-- behind.  To run a single test: make installcheck REGRESS="setup plain_sql".

-- Creates the extension and empty tables, and removes those that were there
-- before.
CREATE PROCEDURE recreate_booking()
LANGUAGE plpgsql
SET client_min_messages = warning
AS $$
BEGIN
    DROP SCHEMA IF EXISTS booking CASCADE;
    CREATE EXTENSION pg_booking;
    PERFORM booking.create_tables();
END
$$;

-- Makes a role the owner of all tables and the view.  They must all have the
-- same owner.
CREATE PROCEDURE give_tables(role name)
LANGUAGE plpgsql
AS $$
DECLARE
    rel regclass;
BEGIN
    FOR rel IN
        SELECT oid FROM pg_class
        WHERE relnamespace = 'booking'::regnamespace AND relkind IN ('r', 'p', 'v')
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO %I', rel, role);
    END LOOP;
END
$$;

-- Runs a statement and returns how it ended: 'ok', or the error with its code.
-- If the statement fails, its changes are rolled back.
CREATE FUNCTION outcome(statement text)
RETURNS TABLE (code text, message text, detail text, hint text)
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE statement;
    code := '00000';
    message := 'ok';
    RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS
        code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END
$$;

-- Makes a change, runs a statement and returns how it ended.  Then rolls back
-- both.
CREATE FUNCTION after_change(change text, statement text)
RETURNS TABLE (code text, message text, detail text)
LANGUAGE plpgsql
AS $$
BEGIN
    BEGIN
        EXECUTE change;
        SELECT o.code, o.message, o.detail INTO code, message, detail FROM outcome(statement) o;
        RAISE SQLSTATE 'UNDO0';
    EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
        RETURN NEXT;
    END;
END
$$;

-- Returns what amcheck finds wrong with the tables and their indexes; no row
-- means nothing.  Every heap tuple must be in every index.  Returns no row if
-- amcheck is not available.
CREATE FUNCTION damage()
RETURNS TABLE (relation text, problem text)
LANGUAGE plpgsql
SET client_min_messages = warning
AS $$
DECLARE
    rel record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'amcheck') THEN
        RETURN;
    END IF;
    CREATE EXTENSION IF NOT EXISTS amcheck;
    FOR rel IN
        SELECT c.oid::regclass AS name, c.relkind, am.amname
        FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_am am ON am.oid = c.relam
        WHERE n.nspname = 'booking' AND c.relkind IN ('r', 'i')
        ORDER BY c.relname
    LOOP
        BEGIN
            IF rel.relkind = 'r' THEN
                RETURN QUERY EXECUTE format(
                    'SELECT %L, msg FROM verify_heapam(%L)', rel.name, rel.name);
            ELSIF rel.amname = 'btree' THEN
                EXECUTE format('SELECT bt_index_parent_check(%L, true)', rel.name);
            END IF;
        EXCEPTION WHEN data_corrupted OR index_corrupted THEN
            relation := rel.name;
            problem := SQLERRM;
            RETURN NEXT;
        END;
    END LOOP;
END
$$;

-- Returns the places of each event as the inventory, the tickets and
-- availability() count them.  The number of stripes does not matter.
CREATE FUNCTION places()
RETURNS TABLE (event_id bigint, capacity integer, free bigint, live bigint, cancelled bigint,
               availability text)
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY
    SELECT e.event_id, e.capacity,
           (SELECT sum(available) FROM booking.inventory i WHERE i.event_id = e.event_id),
           count(*) FILTER (WHERE t.ticket_id IS NOT NULL AND t.cancelled_at IS NULL),
           count(*) FILTER (WHERE t.cancelled_at IS NOT NULL),
           (SELECT format('%s free, %s booked', a.available, a.booked)
            FROM booking.availability(e.event_id) a)
    FROM booking.event e LEFT JOIN booking.ticket t USING (event_id)
    GROUP BY e.event_id, e.capacity
    ORDER BY e.event_id;
END
$$;
