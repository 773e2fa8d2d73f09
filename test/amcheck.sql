-- Checks the tables of pg_booking whose names are LIKE :tables, and their indexes, with
-- amcheck.  Each index must have an entry for every row.  Returns a row for each problem
-- in a table, and raises an error at the first problem in an index.
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
