-- What SQLsmith sees of the shop, in a copy of its database.
--
-- It reads from the catalogs which functions and operators there are, and picks
-- them with equal chances.  PostgreSQL has thousands, most of them of types of
-- which nobody here has a value, so that hardly a statement of theirs could run.
-- In this copy there are our functions, and operators and aggregates of their
-- types.

-- (What is in this schema it takes for none of the user's tables.)
CREATE TABLE information_schema.ours (type) AS
SELECT unnest(ARRAY['integer', 'bigint', 'text', 'interval', 'timestamptz', 'boolean', 'bigint[]']::regtype[]);

-- It looks for pg_proc by the search_path.
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

-- Operators it looks for in pg_catalog itself.  Those of these types are needed
-- to read catalogs.
DELETE FROM pg_catalog.pg_operator
WHERE oprleft NOT IN (SELECT type FROM information_schema.ours)
      AND oprleft <> ALL ('{name,oid,"char",smallint}'::regtype[])
   OR oprright NOT IN (SELECT type FROM information_schema.ours)
      AND oprright <> ALL ('{name,oid,"char",smallint}'::regtype[]);
