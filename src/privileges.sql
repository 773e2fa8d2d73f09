/* ---- privileges ---- */

/*
 * EXECUTE is the gate.  A role that may execute a function books with the
 * rights of the tables' owner.  So at first only the role that installs the
 * extension may execute the functions.  That role need not be their owner:
 * functions of a trusted extension belong to the bootstrap superuser.
 *
 * All roles may execute the trigger functions and those that are listed below,
 * because by themselves these do nothing, or check the rights of the caller.
 *
 * The schema may have existed before, with functions and operators that belong
 * to another role.  So the search_path leaves it out.
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
          AND p.proname NOT IN ('flush_inventory', 'check_row_security', 'flush_capacity', 'parse_condition',
                                'trigger_condition', 'trigger_words', 'capacity_sql', 'equality', 'full_name',
                                'difference', 'missing_column', 'expiry_statement', 'check_capacity_arguments',
                                'check_excess', 'check_not_in_use',
                                'check_expiry', 'short_name', 'refill_capacity',
                                'capacity_taken', 'check_constraint_expiry', 'check_left_triggers',
                                'schema_problems', 'sequence_problems', 'check_schema',
                                'shard_of', 'shard_of_resource', 'this_shard',
                                'router_partitions', 'router_own_resource',
                                'router_same_shard', 'router_check', 'router_cluster',
                                'router_proxies', 'router_support', 'router_calls',
                                'router_functions')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', func);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s WITH GRANT OPTION', func, installer);
    END LOOP;
END
$$;

GRANT SELECT ON booking.capacity_constraints TO PUBLIC;
