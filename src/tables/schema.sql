/* ---- what the tables must have ---- */

/*
 * Schema tools, ORMs and people drop indexes, constraints, defaults and
 * triggers.  This names what is missing, and the statement that puts it back.
 * create_tables() runs these statements; verify() shows the problems.
 */
CREATE FUNCTION booking.schema_problems()
RETURNS TABLE (problem text, repair text)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
    WITH wanted_index (tab, kind, def) AS (VALUES
        ('event', 'primary', '(event_id)'),
        ('inventory', 'primary', '(event_id, stripe)'),
        ('ticket', 'primary', '(ticket_id)'),
        ('ticket', 'plain', '(user_id, event_id)'),
        ('ticket', 'plain', '(event_id, booked_at)'),
        ('ticket', 'plain', '(hold_id) WHERE (hold_id IS NOT NULL)'),
        ('ticket', 'plain', '(event_id) WHERE (cancelled_at IS NOT NULL)'),
        ('ticket', 'plain', '(event_id) WHERE (redeemed_at IS NOT NULL)'),
        ('ticket', 'unique', '(event_id, seat) WHERE ((cancelled_at IS NULL) AND (seat <> ''''::text))'),
        ('hold', 'primary', '(hold_id)'),
        ('hold', 'plain', '(event_id, expires_at) INCLUDE (quantity) WHERE (ended_at IS NULL)'),
        ('hold', 'plain', '(expires_at) WHERE (ended_at IS NULL)'),
        ('hold', 'plain', '(event_id, user_id) WHERE (ended_at IS NULL)'),
        ('request', 'primary', '(event_id, idempotency_key)'),
        ('request', 'plain', '(created_at)'),
        ('user_limit', 'primary', '(event_id, user_id)'),
        ('resource_lock', 'primary', '(resource)')
    ), wanted_check (tab, name, def) AS (VALUES
        ('event', 'event_capacity_check', 'CHECK ((capacity >= 0))'),
        ('event', 'event_max_per_user_check', 'CHECK ((max_per_user >= 1))'),
        ('event', 'event_min_per_order_check', 'CHECK ((min_per_order >= 1))'),
        ('event', 'event_max_per_order_check', 'CHECK ((max_per_order >= 1))'),
        ('event', 'event_order_size_check', 'CHECK ((min_per_order <= max_per_order))'),
        -- (the text of this one depends on settings: its name counts)
        ('event', 'event_hold_ttl_check',
         'CHECK (hold_ttl > ''0'' AND hold_ttl <= max_hold_ttl AND max_hold_ttl <= ''10 years'')'),
        ('event', 'event_sales_window_check', 'CHECK ((sales_start < sales_end))'),
        ('hold', 'hold_quantity_check', 'CHECK ((quantity >= 1))'),
        ('inventory', 'inventory_stripe_check', 'CHECK (((stripe >= 0) AND (stripe <= 255)))'),
        ('inventory', 'inventory_available_check', 'CHECK (((available >= 0) OR (stripe = 0)))')
    UNION ALL
        -- a router would not find the event on another shard
        SELECT 'event', 'event_shard_check',
               format('CHECK (((event_id & (%s)::bigint) = %s))', shards - 1, shard)
        FROM booking.this_shard() WHERE shards > 1
    ), wanted_value (tab, col, def) AS (VALUES
        -- a default, or null for an identity
        ('event', 'event_id', NULL),
        ('event', 'hold_ttl', '''10 minutes'''),
        ('event', 'max_hold_ttl', '''1 hour'''),
        ('event', 'created_at', 'clock_timestamp()'),
        ('ticket', 'ticket_id', NULL),
        ('ticket', 'booked_at', 'clock_timestamp()'),
        ('hold', 'hold_id', NULL),
        ('hold', 'created_at', 'clock_timestamp()'),
        ('request', 'created_at', 'clock_timestamp()'),
        ('resource_lock', 'token', NULL),
        ('resource_lock', 'locked_at', 'clock_timestamp()')
    ), wanted_trigger (tab, suffix, func, bits, events, level) AS (VALUES
        -- Triggers are recognised by what they do, not by their names.  In
        -- tgtype, 29 means INSERT, UPDATE and DELETE for each row, 32 means
        -- TRUNCATE, and 60 means all four.  For the beginning of the names see
        -- constraint.sql.
        ('event', 'changed', 'event_changed', 29, 'INSERT OR UPDATE OR DELETE', 'ROW'),
        ('event', 'truncated', 'event_changed', 32, 'TRUNCATE', 'STATEMENT'),
        ('hold', 'changed', 'hold_changed', 29, 'INSERT OR UPDATE OR DELETE', 'ROW'),
        ('hold', 'truncated', 'hold_changed', 32, 'TRUNCATE', 'STATEMENT'),
        ('inventory', 'settle', 'inventory_settle', 60, 'INSERT OR UPDATE OR DELETE OR TRUNCATE', 'STATEMENT'),
        ('ticket', 'changed', 'ticket_changed', 29, 'INSERT OR UPDATE OR DELETE', 'ROW'),
        ('ticket', 'truncated', 'ticket_changed', 32, 'TRUNCATE', 'STATEMENT')
    ), tables AS (
        SELECT c.relname AS tab, c.oid AS rel, c.relkind FROM pg_class c
        WHERE c.relnamespace = 'booking'::regnamespace AND c.relkind IN ('r', 'p')
    ), found AS (
        SELECT 1 AS nth, tab,
               format('table booking.%s lacks %s %s', tab,
                      CASE kind WHEN 'primary' THEN 'the primary key'
                                WHEN 'unique' THEN 'the unique index' ELSE 'the index' END, def) AS problem,
               CASE kind WHEN 'primary' THEN format('ALTER TABLE booking.%I ADD PRIMARY KEY %s', tab, def)
                         -- applications look at the name of this one; another one that has it is the user's
                         WHEN 'unique' THEN CASE WHEN to_regclass('booking.ticket_event_id_seat_key') IS NULL THEN
                                            format('CREATE UNIQUE INDEX ticket_event_id_seat_key ON booking.%I %s', tab, def) END
                         ELSE format('CREATE INDEX ON booking.%I %s', tab, def) END AS repair
        FROM wanted_index JOIN tables USING (tab)
        -- a partitioned table can have other keys only
        WHERE NOT (relkind = 'p' AND kind <> 'plain')
          AND NOT EXISTS (SELECT FROM pg_index x
                          WHERE x.indrelid = rel AND x.indisvalid
                            AND (kind <> 'primary' OR x.indisprimary)
                            AND (kind <> 'unique' OR x.indisunique)
                            AND regexp_replace(split_part(pg_get_indexdef(x.indexrelid), ' USING btree ', 2),
                                               ' WITH \([^)]*\)', '') = def)
        UNION ALL
        SELECT 2, tab, format('table booking.%s lacks the constraint %s', tab, def),
               CASE WHEN EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = rel AND k.conname = name
                                 AND name = 'event_shard_check'
                                 AND pg_get_constraintdef(k.oid) <> def || ' NOT VALID')
                    THEN NULL  -- the user's own
                    WHEN EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = rel AND k.conname = name)
                    THEN format('ALTER TABLE booking.%I VALIDATE CONSTRAINT %I', tab, name)
                    ELSE format('ALTER TABLE booking.%I ADD CONSTRAINT %I %s', tab, name, def) END
        FROM wanted_check JOIN tables USING (tab)
        WHERE NOT EXISTS (SELECT FROM pg_constraint k
                          WHERE k.conrelid = rel AND k.contype = 'c' AND k.convalidated
                            AND (pg_get_constraintdef(k.oid) = def
                                 OR (k.conname = name AND name <> 'event_shard_check')))
        UNION ALL
        SELECT 3, tab, format('column %s of table booking.%s has lost its %s', col, tab,
                              CASE WHEN def IS NULL THEN 'identity' ELSE 'default' END),
               CASE WHEN def IS NULL
                    THEN format('ALTER TABLE booking.%I ALTER %I ADD GENERATED BY DEFAULT AS IDENTITY%s', tab, col,
                                (SELECT format(' (INCREMENT BY %s START WITH %s)', shards, shards + shard)
                                 FROM booking.this_shard()
                                 WHERE shards > 1 AND tab IN ('event', 'ticket', 'hold')))
                    ELSE format('ALTER TABLE booking.%I ALTER %I SET DEFAULT %s', tab, col, def) END
        FROM wanted_value JOIN tables USING (tab)
        JOIN pg_attribute a ON a.attrelid = rel AND a.attname = col
        WHERE NOT a.atthasdef AND a.attidentity = ''
        UNION ALL
        SELECT 4, tab, format('table booking.%s lacks a trigger of pg_booking for %s', tab, events),
               format('CREATE TRIGGER _booking_%s_%s AFTER %s ON booking.%I FOR EACH %s'
                      ' EXECUTE FUNCTION booking.%I()', tab, suffix, events, tab, level, func)
        FROM wanted_trigger JOIN tables USING (tab)
        WHERE NOT EXISTS (SELECT FROM pg_trigger t
                          WHERE t.tgrelid = rel AND t.tgtype & bits = bits
                            AND t.tgfoid = format('booking.%I()', func)::regprocedure)
        UNION ALL
        SELECT 5, tables.tab, format('trigger %I of table %s is disabled', t.tgname, t.tgrelid::regclass), NULL
        FROM tables JOIN pg_trigger t
          ON t.tgrelid = rel OR (relkind = 'p' AND t.tgrelid IN (SELECT relid FROM pg_partition_tree(rel)))
        WHERE tables.tab IN ('event', 'hold', 'inventory', 'ticket') AND t.tgenabled NOT IN ('O', 'A')
          AND t.tgfoid IN (SELECT format('booking.%I()', func)::regprocedure FROM wanted_trigger)
    )
    SELECT problem, repair FROM found ORDER BY nth, tab, problem
$$;

COMMENT ON FUNCTION booking.schema_problems() IS
'Internal: returns what the tables of create_tables() have lost, and for each the statement that '
'puts it back; null if that is for the user to do.';

CREATE FUNCTION booking.sequence_problems()
RETURNS TABLE (problem text, repair text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
DECLARE
    here record;
    target record;
    last_value bigint;
    next_value bigint;
    used boolean;
    moved boolean;
    strays boolean;
BEGIN
    SELECT * INTO here FROM booking.this_shard();
    FOR target IN
        SELECT tab, col, op, s.seq, q.seqincrement
        -- (a token must be above all others; events often have ids of the application)
        FROM (VALUES ('ticket', 'ticket_id', '='), ('hold', 'hold_id', '='),
                     ('resource_lock', 'token', '>='),
                     ('event', 'event_id', CASE WHEN here.shards > 1 THEN '=' END)) AS v (tab, col, op)
        CROSS JOIN LATERAL (SELECT pg_get_serial_sequence('booking.' || tab, col)::regclass AS seq) s
        JOIN pg_sequence q ON q.seqrelid = s.seq
        WHERE op IS NOT NULL AND has_sequence_privilege(s.seq, 'SELECT')
    LOOP
        EXECUTE format('SELECT last_value, CASE WHEN is_called THEN last_value + %s ELSE last_value END FROM %s',
                       target.seqincrement, target.seq)
            INTO last_value, next_value;
        EXECUTE format('SELECT EXISTS (SELECT FROM booking.%I WHERE %I %s $1)', target.tab, target.col, target.op)
            INTO used USING next_value;
        EXECUTE format('SELECT last_value <> $1 FROM %s', target.seq) INTO moved USING last_value;
        strays := target.tab <> 'resource_lock' AND here.shards > 1
            AND (target.seqincrement <> here.shards OR next_value & (here.shards - 1) <> here.shard);
        -- if the sequence has moved since, the row is that of a booking
        IF strays OR (used AND NOT moved) THEN
            problem := format('the next value of sequence %s is %s', target.seq,
                              CASE WHEN strays THEN format('no id of shard %s of %s', here.shard, here.shards)
                                   WHEN target.op = '=' THEN 'in use in table booking.' || target.tab
                                   ELSE 'not above those in table booking.' || target.tab END);
            -- (the first id of the shard from there on; a token is of no shard)
            repair := format('SELECT setval(%L, v + ((%s - v) & %s)) FROM (SELECT greatest('
                             '(SELECT max(%I) FROM booking.%I), (SELECT last_value FROM %1$s))) AS m (v)',
                             target.seq, here.shard,
                             CASE target.tab WHEN 'resource_lock' THEN 0 ELSE here.shards - 1 END,
                             target.col, target.tab);
            IF strays THEN
                repair := format('ALTER SEQUENCE %s INCREMENT BY %s; ', target.seq, here.shards) || repair;
            END IF;
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;

COMMENT ON FUNCTION booking.sequence_problems() IS
'Internal: returns the sequences of ids that are behind their tables, as after a load of data with '
'ids, and the statements that mend them. Leaves out those that the caller may not read.';

CREATE FUNCTION booking.check_schema()
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target record;
    missing text[];
BEGIN
    FOR target IN
        SELECT tab, cols, c.oid AS rel, c.relkind
        FROM (VALUES
            ('event', '{event_id,capacity,max_per_user,min_per_order,max_per_order,sales_start,sales_end,hold_ttl,max_hold_ttl,created_at}'::text[]),
            ('inventory', '{event_id,stripe,available,max_per_user,sales_start,sales_end,min_per_order,max_per_order}'),
            ('ticket', '{ticket_id,event_id,user_id,seat,hold_id,booked_at,redeemed_at,cancelled_at}'),
            ('hold', '{hold_id,event_id,user_id,quantity,expires_at,created_at,ended_at,confirmed_at}'),
            ('request', '{event_id,idempotency_key,user_id,quantity,is_hold,ttl,ids,expires_at,user_ids,statuses,created_at}'),
            ('user_limit', '{event_id,user_id}'),
            ('resource_lock', '{resource,owner,token,locked_at,expires_at,note}'),
            ('history', '{history_id,happened_at,session_user_name,table_name,action,event_id,user_id,ticket_id,hold_id,quantity}'),
            ('sales', '{event_id,capacity,available,held,booked}')) AS v (tab, cols)
        JOIN pg_class c ON c.relnamespace = 'booking'::regnamespace AND c.relname = tab
    LOOP
        SELECT array_agg(col ORDER BY n) INTO missing
        FROM unnest(target.cols) WITH ORDINALITY AS u (col, n)
        WHERE NOT EXISTS (SELECT FROM pg_attribute a
                          WHERE a.attrelid = target.rel AND a.attname = col AND NOT a.attisdropped);
        IF (target.relkind = 'v') <> (target.tab = 'sales') OR target.relkind NOT IN ('r', 'p', 'v')
           OR 2 * cardinality(missing) > cardinality(target.cols) THEN
            RAISE duplicate_table USING
                MESSAGE = format('relation booking.%s already exists, and is not of pg_booking', target.tab),
                HINT = 'Rename it, or move it to another schema. Nothing was changed.';
        ELSIF missing IS NOT NULL THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = format('table booking.%s has no column "%s"', target.tab, missing[1]),
                HINT = 'Add it as a table made by booking.create_tables() in another database has it. '
                       'Nothing was changed.';
        END IF;
    END LOOP;
END
$$;

COMMENT ON FUNCTION booking.check_schema() IS
'Internal: raises 42P07 if a relation that is not ours has the name of one of our tables, and 55000 '
'if one of ours lacks a column.';

