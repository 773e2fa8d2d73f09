/* ---- events ---- */

CREATE FUNCTION booking.create_event(name text, capacity integer,
                                     max_per_user integer DEFAULT NULL,
                                     min_per_order integer DEFAULT NULL,
                                     max_per_order integer DEFAULT NULL,
                                     sales_start timestamptz DEFAULT NULL,
                                     sales_end timestamptz DEFAULT NULL,
                                     hold_ttl interval DEFAULT NULL,
                                     max_hold_ttl interval DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    new_id bigint;
BEGIN
    INSERT INTO booking.event AS e (name, capacity, max_per_user, min_per_order, max_per_order,
                                    sales_start, sales_end)
    VALUES (create_event.name, create_event.capacity, create_event.max_per_user,
            create_event.min_per_order, create_event.max_per_order, create_event.sales_start,
            create_event.sales_end)
    RETURNING event_id INTO new_id;
    -- what is null keeps the default of the column
    UPDATE booking.event
    SET hold_ttl = coalesce(create_event.hold_ttl, hold_ttl),
        max_hold_ttl = coalesce(create_event.max_hold_ttl, max_hold_ttl)
    WHERE event_id = new_id
      AND (create_event.hold_ttl IS NOT NULL OR create_event.max_hold_ttl IS NOT NULL);
    RETURN new_id;
END
$$;

COMMENT ON FUNCTION booking.create_event(text, integer, integer, integer, integer, timestamptz, timestamptz,
                                         interval, interval) IS
'Inserts a row into booking.event, whose columns the arguments are, and returns its id. '
'A router calls it on any shard. Raises what the INSERT does, 23514 for values that do not fit. '
'Runs with the rights of the caller, who needs INSERT, UPDATE and SELECT on booking.event.';

CREATE FUNCTION booking.availability(event_id bigint,
                                     OUT capacity integer, OUT available integer,
                                     OUT held integer, OUT booked integer, OUT status text)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_availability'
LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.availability(bigint) IS
'Returns the capacity of an event, and how many of its places are available, held and booked. '
'Capacity and available are null if the event is unlimited. '
'Places of expired holds count as available. '
'status: ''on_sale'', or why it is not: ''not_started'' or ''ended'' (the sales window), or '
'''sold_out''. It sees what the calling statement sees, and places '
'that are kept ready for this transaction count as available. '
'Locks no row, works on a standby, and its cost does not grow with the tickets sold. '
'Raises 22004 if event_id is null, 23503 if there is no such event.';

CREATE FUNCTION booking.event_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_event_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.event_changed() IS
'Trigger function of booking.event, attached by create_tables(). Creates, resizes and removes '
'the inventory of an event, and gives it the event''s sale rules. '
'A change of the sale rules waits for bookings in progress, and later bookings wait for it. '
'Raises 23T08 if a capacity is lowered below the places taken. Raises 23503 if an event that '
'has tickets or live holds is deleted or given another event_id, or if the table is truncated '
'while there are tickets or holds. '
'Raises 39P01 if it is called in any other way.';

CREATE FUNCTION booking.inventory_settle()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_inventory_settle'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.inventory_settle() IS
'Trigger function of booking.inventory, attached by create_tables(). At the end of a statement it '
'takes and gives what the tickets and holds of the statement add up to, by event. '
'Raises 23T01, 23T02, 23T03 as book_ticket() does, and 23503 if there is no such event. '
'Raises 55000 if a statement changes the inventory itself, unless booking.importing is on, or the '
'statement removes rows and there is no event. '
'Raises 39P01 if it is called in any other way.';

CREATE FUNCTION booking.flush_inventory()
RETURNS void
AS 'MODULE_PATHNAME', 'booking_flush_inventory'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.flush_inventory() IS
'Internal: verify(), rebuild_inventory(), purge() and keep_history() call it first. Checks that '
'the tables are as pg_booking needs them. Gives the places that this transaction has prefetched '
'back to booking.inventory, as its commit would. Forgets the row versions of the stripes that '
'the session remembers. Raises 42P01 if create_tables() has not been called, 55000 if a table '
'is not as pg_booking needs it.';
