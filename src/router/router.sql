/* ---- the functions of a router ---- */

/*
 * A router is a database without tables.  For each function that an application
 * calls it has one in PL/Proxy, which calls the same on the shard of the event,
 * ticket, hold or named lock.  router_functions() prints them from the catalog, and
 * with them the functions of this file that they call.
 *
 * The first call of a session to a shard asks it who it is.  PL/Proxy can't make a
 * call within a call, so that is done by the function that names the cluster.
 *
 * A host that is changed behind a connection string, as in PgBouncer, is not noticed
 * by that.  An event is protected by the CHECK of its table, and a named lock is
 * checked by the shard at each call (router_own_resource).
 *
 * The proxies run with the rights of their owner.  So the functions that they call
 * have a search_path of their own.
 */

CREATE FUNCTION booking.router_partitions(id bigint, shards integer)
RETURNS SETOF bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT id & (shards - 1) WHERE id IS NOT NULL
    UNION ALL
    SELECT generate_series(0, shards - 1) WHERE id IS NULL
$$;

COMMENT ON FUNCTION booking.router_partitions(bigint, integer) IS
'Internal, for routers: returns the shard of an id; all shards if it is null.';

CREATE FUNCTION booking.router_same_shard(id bigint, other_id bigint, shards integer)
RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shard CONSTANT bigint := id & (shards - 1);
    other_shard CONSTANT bigint := other_id & (shards - 1);
BEGIN
    IF shard <> other_shard THEN
        RAISE feature_not_supported USING
            MESSAGE = format('%s and %s are on different shards', id, other_id),
            DETAIL = format('They are on shards %s and %s of %s.', shard, other_shard, shards),
            HINT = 'Cancel a ticket, and book one of the other event.';
    END IF;
    RETURN coalesce(shard, 0);
END
$$;

COMMENT ON FUNCTION booking.router_same_shard(bigint, bigint, integer) IS
'Internal, for routers: returns the shard of two ids. Raises 0A000 if they are on different shards.';

CREATE FUNCTION booking.router_check(id bigint, state text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted record;
    found record;
    partitions bigint;
    shard bigint;
    problem text;
BEGIN
    SELECT * INTO wanted FROM booking.router_expects();
    SELECT count(*) INTO partitions FROM pg_foreign_server s, unnest(s.srvoptions) o
    WHERE s.srvname = wanted.cluster AND o ~ '^(p|partition_)[0-9]+=';
    shard := coalesce(id & (wanted.shards - 1), 0);
    -- (a cluster that is not a foreign server has 0 here)
    IF partitions NOT IN (0, wanted.shards) THEN
        problem := format('It has %s partitions, but there are %s shards.', partitions, wanted.shards);
    ELSE
        FOR found IN SELECT * FROM booking.router_shards(id) LOOP
            problem := CASE
                WHEN (found.shard, found.shards) <> (shard, wanted.shards) THEN
                    format('Partition %s is shard %s of %s, not shard %s of %s.',
                           shard, found.shard, found.shards, shard, wanted.shards)
                WHEN found.version IS DISTINCT FROM wanted.version THEN
                    format('Partition %s has pg_booking %s, not %s.', shard, found.version,
                           wanted.version)
                WHEN found.user_id_type IS DISTINCT FROM wanted.user_id_type THEN
                    format('The user ids of partition %s are of type %s, not %s.',
                           shard, found.user_id_type, wanted.user_id_type) END;
            EXIT WHEN problem IS NOT NULL;
            PERFORM set_config('booking_router.shard_' || shard, state, false);
            shard := shard + 1;
        END LOOP;
        IF problem IS NULL AND id IS NULL AND shard <> wanted.shards THEN
            problem := format('Only %s of its %s partitions differ.', shard, wanted.shards);
        END IF;
    END IF;
    IF problem IS NOT NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('cluster "%s" does not fit the functions of this router', wanted.cluster),
            DETAIL = problem,
            HINT = 'Correct the foreign server, or install what booking.router_functions() prints now.';
    END IF;
END
$$;

COMMENT ON FUNCTION booking.router_check(bigint, text) IS
'Internal, for routers: asks the shard of an id who it is; all shards if the id is null. Notes '
'state for those that are as expected. Raises 55000 if one is not.';

CREATE FUNCTION booking.router_own_resource(name text, shards integer)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted CONSTANT integer := booking.shard_of_resource(name, shards);
    here record;
BEGIN
    SELECT * INTO here FROM booking.this_shard();
    IF (here.shard, here.shards) <> (wanted, shards) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('the lock of "%s" belongs to another shard', name),
            DETAIL = format('It belongs to shard %s of %s, and this is shard %s of %s.',
                            wanted, shards, here.shard, here.shards),
            HINT = 'Correct the hosts of the router''s partitions.';
    END IF;
    RETURN name;
END
$$;

COMMENT ON FUNCTION booking.router_own_resource(text, integer) IS
'Internal, called by routers on a shard: returns name. Raises 55000 if its named lock belongs '
'to another shard.';

CREATE FUNCTION booking.router_cluster(cluster text, id bigint, shards integer)
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- it changes whenever the foreign server is altered
    state CONSTANT text := coalesce((SELECT s.xmin || ' ' || s.ctid FROM pg_foreign_server s
                                     WHERE s.srvname = cluster), '-');
BEGIN
    IF (current_setting('booking_router.shard_' || (id & (shards - 1)), true) = state) IS NOT TRUE THEN
        PERFORM booking.router_check(id, state);
    END IF;
    RETURN cluster;
END
$$;

COMMENT ON FUNCTION booking.router_cluster(text, bigint, integer) IS
'Internal, for routers: returns cluster. If this session has not called the shard of the id since '
'the foreign server was altered, checks it first; always all shards if the id is null.';

CREATE FUNCTION booking.router_proxies(cluster text)
RETURNS TABLE (name name, arity smallint, arguments text, signature text, passed text,
               result text, comment text, run_on text, place text, kind text)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH called AS (
        SELECT p.*, p.proargnames[1] AS key,
               -- the ids that a call must give: redeem_ticket() can be told another event
               ARRAY(SELECT a FROM unnest(p.proargnames[1:p.pronargs - p.pronargdefaults]) a
                     WHERE a IN ('event_id', 'hold_id', 'ticket_id', 'other_ticket_id')) AS ids
        FROM pg_extension e
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
                        AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
        JOIN pg_proc p ON p.oid = d.objid
        WHERE e.extname = 'pg_booking'
    ), routed AS (
        SELECT called.*, shards,
               CASE WHEN cardinality(ids) = 1 THEN
                        format('pg_catalog.int8and(coalesce(%I, 0), %s)', ids[1], shards - 1)
                    WHEN cardinality(ids) = 2 THEN
                        format('booking.router_same_shard(%I, %I, %s)', ids[1], ids[2], shards)
                    WHEN key = 'resource' THEN
                        format('booking.shard_of_resource(resource, %s)', shards)
                    WHEN key = 'for_event_id' THEN
                        format('booking.router_partitions(for_event_id, %s)', shards)
                    WHEN proname = 'create_event' THEN 'ANY'
                    WHEN proname IN ('expire_holds', 'forget_user', 'purge') THEN 'ALL'
               END AS run_on
        FROM called CROSS JOIN booking.this_shard()
    ), typed AS (
        -- PL/Proxy knows no "any".  The form for a string is a function of its own.
        SELECT routed.*,
               replace(replace(pg_get_function_arguments(oid), '"any"', type),
                       'anyarray', type || '[]') AS arguments,
               replace(replace(pg_get_function_identity_arguments(oid), '"any"', type),
                       'anyarray', type || '[]') AS signature
        FROM routed
        CROSS JOIN unnest('{bigint,uuid,text}'::text[]) type
        WHERE run_on IS NOT NULL
          AND (type <> 'text' OR 'anyarray'::regtype = ANY (proargtypes))
    )
    SELECT DISTINCT
           proname, pronargs, arguments, signature,
           (SELECT string_agg('$' || n, ', ') FROM generate_series(1, pronargs) n),
           pg_get_function_result(oid),
           obj_description(oid, 'pg_proc'),
           run_on,
           format('booking.router_cluster(%L, %s, %s)', cluster,
                  CASE WHEN run_on = 'ALL' THEN 'NULL'
                       WHEN run_on = 'ANY' THEN 'shard'
                       WHEN key = 'resource' THEN run_on
                       WHEN key = 'for_event_id' THEN key
                       ELSE format('coalesce(%I, 0)', key) END, shards),
           CASE WHEN run_on IN ('ALL', 'ANY') THEN run_on
                WHEN proretset THEN 'SET'
                WHEN key = 'resource' THEN 'RESOURCE'
                ELSE 'ROW' END
    FROM typed
    ORDER BY proname, signature
$$;

COMMENT ON FUNCTION booking.router_proxies(text) IS
'Internal: returns the functions that an application calls, as a router declares them, and where '
'it runs each: run_on, and place, the cluster, are in the words of PL/Proxy. kind: what the router '
'needs for it, see router_calls().';

CREATE FUNCTION booking.router_support(cluster text)
RETURNS SETOF text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here record;
BEGIN
    SELECT * INTO here FROM booking.this_shard();
    RETURN NEXT $sql$DO $do$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_booking') THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = 'this database has pg_booking itself',
            HINT = 'Create the functions of a router in a database of its own.';
    END IF;
    IF EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = 'booking' AND n.nspowner <> current_user::regrole)
       OR EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                  WHERE n.nspname = 'booking' AND p.proowner <> current_user::regrole) THEN
        RAISE insufficient_privilege USING
            MESSAGE = 'schema booking, or a function in it, belongs to another role',
            HINT = 'Drop it, or change its owner, first.';
    END IF;
END
$do$;
CREATE EXTENSION IF NOT EXISTS plproxy;
CREATE SCHEMA IF NOT EXISTS booking;
$sql$;

    RETURN QUERY
        SELECT format(E'%s;\nCOMMENT ON FUNCTION %s IS %L;\n',
                      rtrim(pg_get_functiondef(f), E'\n'), f::regprocedure,
                      obj_description(f, 'pg_proc'))
        FROM unnest('{booking.shard_of, booking.shard_of_resource, booking.router_partitions,
                      booking.router_same_shard, booking.router_check,
                      booking.router_cluster}'::regproc[]) f;
    RETURN NEXT format($sql$CREATE OR REPLACE FUNCTION booking.router_expects(
    OUT cluster text, OUT shards integer, OUT version text, OUT user_id_type text)
LANGUAGE sql IMMUTABLE
AS %L;
COMMENT ON FUNCTION booking.router_expects() IS
'Internal: returns the cluster, and what its shards must be like.';
$sql$, format('SELECT %L::text, %s, %L::text, %L::text', cluster, here.shards, here.version,
              here.user_id_type));
    RETURN NEXT format($sql$CREATE OR REPLACE FUNCTION booking.router_shards(
    id bigint, OUT shard integer, OUT shards integer, OUT version text, OUT user_id_type text)
RETURNS SETOF record
LANGUAGE plproxy
AS %L;
COMMENT ON FUNCTION booking.router_shards(bigint) IS
'Internal: returns what the shard of an id says of itself; all shards if it is null.';
$sql$, format($sql$
    CLUSTER %L;
    RUN ON booking.router_partitions(id, %s);
    SELECT s.shard, s.shards, s.version, s.user_id_type FROM booking.this_shard() s;
$sql$, cluster, here.shards));
END
$$;

COMMENT ON FUNCTION booking.router_support(text) IS
'Internal: prints the SQL of what the proxies of a router call.';

CREATE FUNCTION booking.router_calls(cluster text)
RETURNS SETOF text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shards CONSTANT integer := (SELECT s.shards FROM booking.this_shard() s);
BEGIN
    RETURN QUERY
        SELECT format($sql$CREATE OR REPLACE FUNCTION booking.%1$I(%2$s)
RETURNS %3$s
LANGUAGE plproxy SECURITY DEFINER
AS %4$L;
COMMENT ON FUNCTION booking.%1$I(%5$s) IS %6$L;
REVOKE ALL ON FUNCTION booking.%1$I(%5$s) FROM PUBLIC;
$sql$, p.name, p.arguments, p.result,
       format(E'\n    CLUSTER %s;\n    RUN ON %s;\n%s', p.place, p.run_on,
              CASE p.kind WHEN 'RESOURCE' THEN
                  format(E'    SELECT * FROM booking.%s(booking.router_own_resource($1, %s)%s);\n', p.name,
                         shards, substr(p.passed, 3)) END),
       p.signature, p.comment)
        FROM booking.router_proxies(cluster) p WHERE p.kind IN ('ROW', 'RESOURCE');

    -- Two functions: one in PL/Proxy, and one in SQL that calls it.  The rows of a set
    -- must all be fetched before the next call, which the first alone would not do.  What
    -- runs on all shards returns a row of each, and they are added up.  What runs on any
    -- shard must know which, to have it checked.
    RETURN QUERY
        SELECT format($sql$CREATE OR REPLACE FUNCTION booking.router_%1$s(%2$s)
RETURNS %3$s
LANGUAGE plproxy
AS %4$L;
COMMENT ON FUNCTION booking.router_%1$s(%5$s) IS
'Internal: runs booking.%1$s() on %6$s.';
CREATE OR REPLACE FUNCTION booking.%1$s(%7$s)
RETURNS %8$s
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS %9$L;
COMMENT ON FUNCTION booking.%1$s(%10$s) IS %11$L;
REVOKE ALL ON FUNCTION booking.router_%1$s(%5$s), booking.%1$s(%10$s) FROM PUBLIC;
$sql$, p.name, i.arguments, i.result, format(E'\n    CLUSTER %s;\n    RUN ON %s;\n    %s;\n', p.place,
                                             i.run_on, i.statement),
       i.signature, i.place, p.arguments, p.result, i.call, p.signature, p.comment)
        FROM booking.router_proxies(cluster) p
        JOIN LATERAL (VALUES
            ('SET', p.arguments, p.signature, p.result, 'its shard', p.run_on, format('TARGET booking.%s', p.name),
             format('SELECT * FROM booking.router_%s(%s)', p.name, p.passed)),
            ('ALL', p.arguments, p.signature, 'SETOF ' || p.result, 'each shard', 'ALL',
             format('TARGET booking.%s', p.name),
             format('SELECT sum(n)::%s FROM booking.router_%s(%s) n', p.result, p.name, p.passed)),
            ('ANY', 'shard integer, ' || p.arguments, 'shard integer, ' || p.signature, p.result, 'a shard',
             'shard', format('SELECT booking.%s(%s)', p.name,
                             (SELECT string_agg('$' || n + 1, ', ') FROM generate_series(1, p.arity) n)),
             format('SELECT booking.router_%s(floor(random() * %s)::integer, %s)', p.name, shards,
                    p.passed)))
             AS i (kind, arguments, signature, result, place, run_on, statement, call)
          ON i.kind = p.kind;
END
$$;

COMMENT ON FUNCTION booking.router_calls(text) IS
'Internal: prints the SQL of the functions that an application calls on a router.';

CREATE FUNCTION booking.router_functions(cluster text)
RETURNS SETOF text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here record;
BEGIN
    IF cluster IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'argument "cluster" must not be null';
    END IF;
    SELECT * INTO here FROM booking.this_shard();
    IF here.user_id_type IS NULL THEN
        RAISE undefined_table USING
            MESSAGE = 'the tables of pg_booking do not exist',
            HINT = 'Call booking.create_tables() on each shard.';
    END IF;
    RETURN NEXT E'BEGIN;\n';
    RETURN QUERY SELECT booking.router_support(cluster);
    RETURN QUERY SELECT booking.router_calls(cluster);
    RETURN QUERY
        SELECT format($sql$CREATE OR REPLACE FUNCTION booking.router_sales()
RETURNS TABLE (%s)
LANGUAGE plproxy SECURITY DEFINER
AS %L;
COMMENT ON FUNCTION booking.router_sales() IS
'Returns booking.sales of all shards.';
REVOKE ALL ON FUNCTION booking.router_sales() FROM PUBLIC;
CREATE OR REPLACE VIEW booking.sales AS SELECT * FROM booking.router_sales();
COMMENT ON VIEW booking.sales IS %L;
$sql$, string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum),
       format(E'\n    CLUSTER booking.router_cluster(%L, NULL, %s);\n    RUN ON ALL;\n'
              '    SELECT %s FROM booking.sales s;\n', cluster, here.shards,
              string_agg(format('s.%I', a.attname), ', ' ORDER BY a.attnum)),
       obj_description('booking.sales'::regclass, 'pg_class'))
        FROM pg_attribute a
        WHERE a.attrelid = 'booking.sales'::regclass AND a.attnum > 0 AND NOT a.attisdropped;
    RETURN NEXT 'COMMIT;';
END
$$;

COMMENT ON FUNCTION booking.router_functions(text) IS
'Prints the SQL that makes a database the router of shards like this one: a function in PL/Proxy '
'for each function that an application calls. cluster: the name of the foreign server whose '
'partitions are the shards. Run it again after an update of pg_booking. '
'Raises 42P01 if create_tables() has not been called, 22004 if cluster is null.';
