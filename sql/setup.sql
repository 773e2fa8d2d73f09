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
        PERFORM set_config('booking.importing', 'on', true);
        EXECUTE change;
        PERFORM set_config('booking.importing', 'off', true);
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

-- ---- capacity constraints ----

-- Runs a statement and returns how it ended, with the diagnostic fields of the
-- error: schema, table, column and constraint.
CREATE FUNCTION diagnosed(statement text)
RETURNS TABLE (code text, message text, detail text, hint text, fields text)
LANGUAGE plpgsql
AS $$
DECLARE
    s text; t text; c text; k text;
BEGIN
    EXECUTE statement;
    code := '00000';
    message := 'ok';
    RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, s = SCHEMA_NAME,
        t = TABLE_NAME, c = COLUMN_NAME, k = CONSTRAINT_NAME;
    fields := concat_ws(', ', s, t, c, k);
    RETURN NEXT;
END
$$;

-- Returns the pools of a capacity constraint as one text: for each key the
-- places that are left and the capacity, such as "1: 0 of 2".  The number of
-- stripes does not matter.  Then the number of problems that verify_capacity()
-- finds, if any.
CREATE FUNCTION pools(constraint_name name)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    keys text;
    result text;
    problems bigint;
BEGIN
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO keys
    FROM pg_attribute
    WHERE attrelid = format('booking.%I', constraint_name)::regclass AND attnum > 0
      AND attname NOT IN ('stripe', 'available', 'capacity');
    SELECT count(*) INTO problems FROM booking.verify_capacity(constraint_name);
    EXECUTE format('SELECT string_agg(format(''%%s: %%s of %%s'', key, available,'
                   ' coalesce(capacity::text, ''any'')), ''; '' ORDER BY keys)'
                   ' FROM (SELECT row(%1$s) AS keys, concat_ws('','', %1$s) AS key,'
                   ' CASE WHEN min(capacity) IS NULL THEN ''any'' ELSE sum(available)::text END'
                   ' AS available, min(capacity) AS capacity'
                   ' FROM booking.%2$I GROUP BY %1$s) p', keys, constraint_name) INTO result;
    RETURN concat_ws('; ', result, CASE WHEN problems > 0 THEN problems || ' PROBLEMS' END);
END
$$;

-- Runs a statement, keeps its changes unless it fails, and returns how it ended
-- and the pools of a capacity constraint after it.
CREATE FUNCTION then_pools(constraint_name name, statement text)
RETURNS TABLE (code text, detail text, pools text)
LANGUAGE plpgsql
AS $$
BEGIN
    SELECT o.code, coalesce(nullif(o.detail, ''), nullif(o.message, 'ok'))
    INTO code, detail FROM outcome(statement) o;
    pools := pools(constraint_name);
    RETURN NEXT;
END
$$;

-- A function for conditions: part of its work may be rolled back.
CREATE FUNCTION is_number(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    PERFORM $1::integer;
    RETURN true;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN false;
END
$$;

-- Creates a shop's tables without the extension's help: shows and tickets.
CREATE PROCEDURE recreate_shop()
LANGUAGE plpgsql
SET client_min_messages = warning
AS $$
BEGIN
    DROP TABLE IF EXISTS public.shop_ticket, public.shop_show CASCADE;
    CREATE TABLE public.shop_show (
        id integer PRIMARY KEY,
        capacity integer);
    CREATE TABLE public.shop_ticket (
        id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        show_id integer,
        status text DEFAULT 'paid',
        quantity integer DEFAULT 1,
        note text);
    INSERT INTO public.shop_show VALUES (1, 2), (2, 3), (3, 0), (4, NULL);
END
$$;
