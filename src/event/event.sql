/* ---- events ---- */

CREATE FUNCTION booking.availability(event_id bigint,
                                     OUT capacity integer, OUT available bigint,
                                     OUT held bigint, OUT booked bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_availability'
LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.availability(bigint) IS
'Capacity of an event, and of it the places available, held and booked, as the calling statement sees them; places of expired holds are available. Takes no lock; its cost does not depend on the tickets sold. Raises P0002 when there is no such event, 22004 for a null argument.';

CREATE FUNCTION booking.event_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_event_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.event_changed() IS
'Trigger of booking.event: makes, resizes and removes an event''s inventory. Raises 23T08 when a capacity is lowered below the places taken, 23503 when an event that has tickets is deleted. Attached by create_tables().';

CREATE FUNCTION booking.flush_inventory()
RETURNS void
AS 'MODULE_PATHNAME', 'booking_flush_inventory'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.flush_inventory() IS
'Internal: checks the shape of the tables, and writes places that this transaction has taken ahead of their use back to the inventory, as its commit would, and forgets where the session has seen the inventory''s rows. Called by verify() and rebuild_inventory(). Raises 42P01 or 55000.';
