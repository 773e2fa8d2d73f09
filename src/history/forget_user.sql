/* ---- forget a user ---- */

/* It must see every row, as the functions of maintenance.sql must. */

CREATE FUNCTION booking.forget_user(user_id "any", replacement "any")
RETURNS integer
AS 'MODULE_PATHNAME', 'booking_forget_user'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET row_security = off;

COMMENT ON FUNCTION booking.forget_user("any", "any") IS
'Puts replacement in the place of user_id in booking.ticket, booking.hold, booking.request and '
'booking.history, and removes the user from booking.user_limit. Returns how many tickets and '
'holds it changed. No limit per user and no sales window is judged, because no place changes '
'hands. Waits for transactions that have written tickets or holds and are still open, and locks '
'the rows until this transaction ends. It changes no table of your own. '
'Raises 22004 if an argument is null, 22023 if the two are the same user, 22P02 if the column''s '
'type can''t represent one of them, 55000 if there is a history that the caller does not own, '
'42501 if row-level security hides rows from the caller. Runs with the rights of the caller.';

CREATE FUNCTION booking.forget_user(user_id text, replacement text)
RETURNS integer
AS 'MODULE_PATHNAME', 'booking_forget_user'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET row_security = off;

COMMENT ON FUNCTION booking.forget_user(text, text) IS
'The same for user ids that are strings or have no type, as literals or parameters whose type is '
'left open.';
