-- What amcheck finds in the tables of pg_booking whose names are LIKE :tables, and
-- in their indexes, each of which must have an entry for every row: a row for
-- each thing that is wrong in a table, and an error for the first in an index.
WITH checked AS MATERIALIZED (
    SELECT oid, relname FROM pg_class
    WHERE relnamespace = 'booking'::regnamespace AND relkind = 'r' AND relname LIKE :tables
)
SELECT relname, blkno, offnum, attnum, msg
FROM checked, verify_heapam(oid)
UNION ALL
SELECT i.relname, NULL, NULL, NULL, NULL
FROM checked JOIN pg_index x ON x.indrelid = checked.oid
     JOIN pg_class i ON i.oid = x.indexrelid
     JOIN pg_am a ON a.oid = i.relam
WHERE CASE WHEN a.amname = 'btree' THEN bt_index_check(i.oid, true) IS NULL END
