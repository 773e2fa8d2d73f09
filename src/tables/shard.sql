/* ---- shards: events over many databases ---- */

/*
 * An id tells on which shard its row is: id modulo the number of shards.  The
 * identities of create_tables(.., shard, shards) draw such ids, and a CHECK of
 * booking.event refuses others.  They also tell which shard this database is: what
 * at least two of them say.
 */
CREATE FUNCTION booking.shard_of(id bigint, shards integer)
RETURNS integer
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF shards NOT BETWEEN 1 AND 1024 OR shards & (shards - 1) <> 0 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there can''t be %s shards', shards),
            HINT = 'Use a power of two, at most 1024.';
    END IF;
    RETURN id & (shards - 1);
END
$$;

COMMENT ON FUNCTION booking.shard_of(bigint, integer) IS
'Returns the shard, from 0, of an event, ticket or hold with this id, where shards is the number '
'of shards. Raises 22023 if that is no power of two, or above 1024.';

CREATE FUNCTION booking.shard_of_resource(name text, shards integer)
RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (get_byte(hash, 0) << 8 | get_byte(hash, 1)) & (shards - 1)
    FROM sha256(convert_to(coalesce(name, ''), 'UTF8')) AS hash
$$;

COMMENT ON FUNCTION booking.shard_of_resource(text, integer) IS
'Returns the shard, from 0, of a named lock, where shards is the number of shards. '
'The same on every server.';

CREATE FUNCTION booking.this_shard(OUT shard integer, OUT shards integer, OUT version text,
                                   OUT user_id_type text)
RETURNS record
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH claim AS (
        SELECT s.seqstart - s.seqincrement AS shard, s.seqincrement AS shards
        FROM pg_class c
        JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
                        AND d.classid = 'pg_class'::regclass AND d.deptype = 'i'
        JOIN pg_sequence s ON s.seqrelid = d.objid
        WHERE c.relnamespace = 'booking'::regnamespace AND c.relname IN ('event', 'hold', 'ticket')
          AND s.seqincrement BETWEEN 2 AND 1024 AND s.seqincrement & (s.seqincrement - 1) = 0
          AND s.seqstart BETWEEN s.seqincrement AND 2 * s.seqincrement - 1
        UNION ALL
        SELECT m[2]::bigint, m[1]::bigint + 1
        FROM pg_constraint k,
             regexp_match(pg_get_constraintdef(k.oid), 'event_id & \((\d+)\)::bigint\) = (\d+)') m
        WHERE k.conrelid = to_regclass('booking.event') AND k.conname = 'event_shard_check'
          AND m IS NOT NULL
    ), identity AS (
        -- One sequence alone may be the user's own scheme; of two, one may have been lost.
        SELECT c.shard, c.shards FROM claim c GROUP BY 1, 2 HAVING count(*) > 1
        ORDER BY count(*) DESC LIMIT 1
    )
    SELECT coalesce((SELECT i.shard FROM identity i), 0)::integer,
           coalesce((SELECT i.shards FROM identity i), 1)::integer,
           (SELECT extversion FROM pg_extension WHERE extname = 'pg_booking'),
           (SELECT a.atttypid::regtype::text FROM pg_attribute a
            WHERE a.attrelid = to_regclass('booking.ticket') AND a.attname = 'user_id'
              AND NOT a.attisdropped)
$$;

COMMENT ON FUNCTION booking.this_shard() IS
'Returns which shard this database is, from 0, and of how many; 0 and 1 if create_tables() was '
'called without them. Also the version of pg_booking, and the type of user ids; null before '
'create_tables(). A router compares them with what it expects.';
