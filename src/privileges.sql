/* ---- privileges ---- */

/*
 * EXECUTE is the gate: whoever has it books, as the tables' owner and not as
 * the functions'.  So nobody has it at first but who installs the extension,
 * whose functions may belong to somebody else.  The trigger functions and
 * flush_inventory() stay callable: they can do nothing by themselves.
 *
 * The schema may have been there before, with functions and operators of
 * somebody else's: hence the search_path.
 */
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    func regprocedure;
    installer regrole;
BEGIN
    FOR func, installer IN
        SELECT p.oid, e.extowner
        FROM pg_extension e
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
                        AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
        JOIN pg_proc p ON p.oid = d.objid
        WHERE e.extname = 'pg_booking'
          AND p.prorettype <> 'trigger'::regtype
          AND p.oid <> 'booking.flush_inventory()'::regprocedure
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', func);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s WITH GRANT OPTION', func, installer);
    END LOOP;
END
$$;
