/* ---- holds ---- */

CREATE FUNCTION booking.hold_tickets(event_id bigint, user_id bigint, quantity integer DEFAULT 1,
                                     ttl interval DEFAULT NULL,
                                     idempotency_key text DEFAULT NULL,
                                     OUT hold_id bigint, OUT expires_at timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_hold_tickets'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.hold_tickets(bigint, bigint, integer, interval, text) IS
'Takes quantity places of an event for a user, all of them or none, and keeps them until the hold is confirmed, released or expires. ttl: how long it lasts, the event''s hold_ttl by default, at most its max_hold_ttl. Raises 23T01 when fewer places are left, 22023 for a quantity or ttl out of range, and what else book_ticket() raises.';

CREATE FUNCTION booking.hold_tickets(event_id bigint, user_id text, quantity integer DEFAULT 1,
                                     ttl interval DEFAULT NULL,
                                     idempotency_key text DEFAULT NULL,
                                     OUT hold_id bigint, OUT expires_at timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_hold_tickets_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.hold_tickets(bigint, text, integer, interval, text) IS
'Takes quantity places of an event for a user, all of them or none, and keeps them until the hold is confirmed, released or expires. ttl: how long it lasts, the event''s hold_ttl by default, at most its max_hold_ttl. Raises 23T01 when fewer places are left, 22023 for a quantity or ttl out of range, and what else book_ticket() raises.';

CREATE FUNCTION booking.confirm_hold(hold_id bigint, if_expired text DEFAULT 'error')
RETURNS bigint[]
AS 'MODULE_PATHNAME', 'booking_confirm_hold'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.confirm_hold(bigint, text) IS
'Turns a hold into tickets and returns their ids; called again, it returns the same ids. if_expired ''rebook'' takes the places of an expired hold anew, if there are any, and raises what book_tickets() raises. Raises 23T04 when the hold has expired, 23T05 when it was released, P0002 when there is no such hold, 22004 for a null argument, 22023 for another word in if_expired.';

CREATE FUNCTION booking.extend_hold(hold_id bigint, ttl interval)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'booking_extend_hold'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.extend_hold(bigint, interval) IS
'Lets a hold expire no sooner than ttl from now, and returns when it does. Raises 23T04 when it has expired, 23T05 when it was confirmed or released, P0002 when there is no such hold, 22004 for a null hold_id, 22023 for a ttl out of range, or by which the hold would last longer than the event''s max_hold_ttl in all.';

CREATE FUNCTION booking.release_hold(hold_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_release_hold'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.release_hold(bigint) IS
'Ends a hold and gives its places back; false when there was nothing to release. Raises 22004 for a null argument.';

CREATE FUNCTION booking.expire_holds(max_holds integer DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'booking_expire_holds'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.expire_holds(integer) IS
'Ends holds that have expired, of all events, at most max_holds of them (null: all), passing over those that are locked and, with a warning, those of an event without inventory; returns how many. For a scheduler; nothing depends on it, for a booking that finds no place left ends expired holds itself. Raises 22023 for a negative number.';

CREATE FUNCTION booking.hold_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_hold_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.hold_changed() IS
'Trigger of booking.hold: keeps the inventory in step with every INSERT, UPDATE, DELETE and TRUNCATE. Attached by create_tables().';
