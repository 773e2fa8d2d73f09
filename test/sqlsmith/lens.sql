-- A copy of the shop's database, which SQLsmith reads instead of the shop itself.
--
-- SQLsmith reads the functions and operators from the catalogs, and chooses each of
-- them equally often.  PostgreSQL has thousands, most of them for types that occur
-- nowhere in this shop, so that hardly a statement would run.  The copy shows only our
-- functions, and the operators and aggregates of their types.

-- (SQLsmith does not take tables in this schema for tables of the user.)
CREATE TABLE information_schema.ours (type) AS
SELECT unnest(ARRAY['integer', 'bigint', 'text', 'interval', 'timestamptz', 'boolean', 'bigint[]']::regtype[]);

-- SQLsmith finds pg_proc by the search_path.
CREATE VIEW information_schema.pg_proc AS
SELECT *
FROM pg_catalog.pg_proc
WHERE prorettype IN (SELECT type FROM information_schema.ours)
     AND (pronamespace IN ('booking'::regnamespace, 'smith'::regnamespace)
       OR prokind = 'a'
          AND (pronargs = 0
               OR pronargs = 1 AND proargtypes[0] IN (SELECT type FROM information_schema.ours)));
GRANT SELECT ON information_schema.pg_proc TO smith;
ALTER DATABASE lens SET search_path = information_schema, pg_catalog;

-- SQLsmith reads operators from pg_catalog itself.  It needs operators of the types in
-- the second list to read the catalogs.
DELETE FROM pg_catalog.pg_operator
WHERE oprleft NOT IN (SELECT type FROM information_schema.ours)
      AND oprleft <> ALL ('{name,oid,"char",smallint}'::regtype[])
      OR oprright NOT IN (SELECT type FROM information_schema.ours)
      AND oprright <> ALL ('{name,oid,"char",smallint}'::regtype[]);
