/* ---- holds ---- */

CREATE FUNCTION booking.hold_tickets(event_id bigint, user_id "any", quantity integer DEFAULT 1,
                                     ttl interval DEFAULT NULL,
                                     idempotency_key text DEFAULT NULL,
                                     on_held text DEFAULT 'add',
                                     OUT hold_id bigint, OUT expires_at timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_hold_tickets'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.hold_tickets(bigint, "any", integer, interval, text, text) IS
'Takes quantity places of an event for a user, all of them or none. Keeps them until the hold is '
'confirmed, released or expired. Returns the id of the hold and when it expires. '
'ttl: how long the hold lasts; null: the event''s hold_ttl; at most its max_hold_ttl. '
'idempotency_key: as for book_ticket(). on_held: what to do if the user has a hold of as many '
'places of the event. ''add'', the default, makes another one. ''return'' returns that hold, so '
'that a user who goes back does not hold twice. Locks what book_tickets() locks, and with '
'''return'' also the user at this event and the hold. '
'Raises 23T01 if fewer places are left, 22004 if quantity is null, 22023 if quantity is below 1 '
'or too large, 22023 if ttl is not positive or above max_hold_ttl, 22023 if on_held has any other '
'value, and otherwise what book_ticket() raises.';

CREATE FUNCTION booking.hold_tickets(event_id bigint, user_id text, quantity integer DEFAULT 1,
                                     ttl interval DEFAULT NULL,
                                     idempotency_key text DEFAULT NULL,
                                     on_held text DEFAULT 'add',
                                     OUT hold_id bigint, OUT expires_at timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_hold_tickets'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.hold_tickets(bigint, text, integer, interval, text, text) IS
'The same for a user_id that is a string or has no type, as a literal or a parameter whose type '
'is left open.';

CREATE FUNCTION booking.confirm_hold(hold_id bigint, if_expired text DEFAULT 'error')
RETURNS bigint[]
AS 'MODULE_PATHNAME', 'booking_confirm_hold'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.confirm_hold(bigint, text) IS
'Turns a hold into tickets and returns their ids. A second call returns the same ids. '
'if_expired: what to do if the hold has expired. ''error'', the default, raises 23T04. '
'''rebook'' takes the places again, and raises 23T01, 23T02 or 23T03 if it can''t. '
'Locks the hold until the transaction ends. It locks no row of booking.inventory unless it takes '
'the places again. '
'Raises 23T04 if the hold has expired, 23T05 if it was released or its tickets or its event were '
'deleted, P0002 if there is no such hold, 22004 if an argument is null, 22023 if if_expired has any other value.';

CREATE FUNCTION booking.extend_hold(hold_id bigint, ttl interval)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'booking_extend_hold'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.extend_hold(bigint, interval) IS
'Makes a hold expire no sooner than ttl from now, and returns when it expires. A hold is never '
'shortened. Locks the hold until the transaction ends. '
'Raises 23T04 if the hold has expired, 23T05 if it was confirmed or released, P0002 if there is '
'no such hold, 22004 for a null argument. Raises 22023 if ttl is not positive, or if the '
'hold would last longer than the event''s max_hold_ttl in all.';

CREATE FUNCTION booking.change_hold(hold_id bigint, quantity integer)
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_change_hold'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.change_hold(bigint, integer) IS
'Changes how many places a hold keeps. If they are more, it takes all of them or raises an error. '
'If they are fewer, the rest come back in this transaction. Returns true, or false if there is '
'nothing to change. '
'Locks the user at this event if it has max_per_user, then the hold, then rows of '
'booking.inventory, until the transaction ends. '
'Raises 23T04 if the hold has expired, 23T05 if it was confirmed or released, P0002 if there is '
'no such hold, 22004 if hold_id is null, and for new places what hold_tickets() raises.';

CREATE FUNCTION booking.change_hold(hold_id bigint, quantity integer, user_id "any")
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_change_hold'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.change_hold(bigint, integer, "any") IS
'The same, and makes the hold another user''s, as when a guest logs in. What is null stays as it '
'is. The new user is judged by max_per_user (23T02).';

CREATE FUNCTION booking.change_hold(hold_id bigint, quantity integer, user_id text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_change_hold'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.change_hold(bigint, integer, text) IS
'The same for a user_id that is a string or has no type, as a literal or a parameter whose type '
'is left open.';

CREATE FUNCTION booking.release_hold(hold_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_release_hold'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.release_hold(bigint) IS
'Ends a hold and gives its places back in this transaction. Returns true, or false if there is '
'no such hold or it has ended before. Locks the hold, then a row of booking.inventory, until the '
'transaction ends. Raises 22004 if hold_id is null.';

CREATE FUNCTION booking.expire_holds(max_holds integer DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'booking_expire_holds'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.expire_holds(integer) IS
'Ends expired holds of all events, at most max_holds of them (null: all), and gives their places '
'back. Returns how many holds it ended. '
'Skips holds that another session has locked. Skips holds of events without inventory, with a '
'warning. Locks the holds that it ends, and rows of booking.inventory, until the transaction '
'ends. It is meant for a scheduler, but nothing depends on it: a booking that finds no place '
'ends the event''s expired holds itself. Raises 22023 if max_holds is negative.';

CREATE FUNCTION booking.hold_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_hold_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.hold_changed() IS
'Trigger function of booking.hold, attached by create_tables(). Keeps the inventory in step with '
'every INSERT, UPDATE, DELETE and TRUNCATE. '
'A plain statement can be refused as hold_tickets() can: 23T01, 23T02, 23T03 or 23503. '
'Raises 23T05 if a confirmed hold is made live again. '
'Raises 39P01 if it is called in any other way.';
