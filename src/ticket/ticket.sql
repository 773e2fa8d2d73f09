/* ---- tickets ---- */

CREATE FUNCTION booking.book_ticket(event_id bigint, user_id "any",
                                    idempotency_key text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'booking_book_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_ticket(bigint, "any", text) IS
'Books one place of an event for a user and returns the id of the new ticket. '
'idempotency_key: null, or 1 to 200 bytes. If a call with the same key has succeeded for this '
'event, returns the id from that call and books nothing. '
'Locks a row of booking.inventory until the transaction ends, also the key if there is one, and '
'the user at this event if it has max_per_user. '
'Raises 23T01 if the event is sold out, 23T02 if the user would have more places than '
'max_per_user, 23T03 if the event is not on sale, 23T06 if the key was used with other arguments, '
'23503 if there is no such event. Raises 22004 if event_id or user_id is null, 22P02 if the '
'column''s type can''t represent user_id, 22023 if the key is empty or too long, 22023 if the '
'event takes no orders of one place.';

CREATE FUNCTION booking.book_ticket(event_id bigint, user_id text,
                                    idempotency_key text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'booking_book_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_ticket(bigint, text, text) IS
'The same for a user_id that is a string or has no type, as a literal or a parameter whose type '
'is left open.';

CREATE FUNCTION booking.try_book_ticket(event_id bigint, user_id "any",
                                        idempotency_key text DEFAULT NULL,
                                        OUT status text, OUT ticket_id bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_try_book_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.try_book_ticket(bigint, "any", text) IS
'Books one place like book_ticket(), but returns a refusal as a row instead of an error. '
'status: ''booked'', ''sold_out'', ''user_limit'', ''not_on_sale'' or ''no_event''. '
'ticket_id: the id of the ticket if status is ''booked'', otherwise null. '
'A refusal keeps no lock on booking.inventory. It is not remembered with the key, so a retry '
'can succeed. Raises 23T06, 22004, 22P02 and 22023 as book_ticket() does.';

CREATE FUNCTION booking.try_book_ticket(event_id bigint, user_id text,
                                        idempotency_key text DEFAULT NULL,
                                        OUT status text, OUT ticket_id bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_try_book_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.try_book_ticket(bigint, text, text) IS
'The same for a user_id that is a string or has no type, as a literal or a parameter whose type '
'is left open.';

CREATE FUNCTION booking.book_tickets(event_id bigint, user_id "any", quantity integer,
                                     idempotency_key text DEFAULT NULL)
RETURNS bigint[]
AS 'MODULE_PATHNAME', 'booking_book_tickets'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_tickets(bigint, "any", integer, text) IS
'Books quantity places of an event for a user, all of them or none, and returns the ids of the '
'new tickets. idempotency_key: as for book_ticket(). '
'Locks what book_ticket() locks; it can be several rows of booking.inventory. '
'Raises 23T01 if fewer places are left, 22004 if quantity is null, 22023 if quantity is below 1 '
'or too large or not between the event''s min_per_order and max_per_order, and otherwise what '
'book_ticket() raises.';

CREATE FUNCTION booking.book_tickets(event_id bigint, user_id text, quantity integer,
                                     idempotency_key text DEFAULT NULL)
RETURNS bigint[]
AS 'MODULE_PATHNAME', 'booking_book_tickets'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_tickets(bigint, text, integer, text) IS
'The same for a user_id that is a string or has no type, as a literal or a parameter whose type '
'is left open.';

CREATE FUNCTION booking.book_as_staff(event_id bigint, user_id "any", quantity integer DEFAULT 1,
                                      override text[] DEFAULT '{window,limit}',
                                      idempotency_key text DEFAULT NULL)
RETURNS bigint[]
AS 'MODULE_PATHNAME', 'booking_book_as_staff'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_as_staff(bigint, "any", integer, text[], text) IS
'Books like book_tickets(), for the box office and for complimentary tickets. Ignores the '
'rules that override names: ''window'', the sales window, and ''limit'', max_per_user, '
'min_per_order and max_per_order. Never ignores the capacity. The history says booked_by_staff. Grant EXECUTE on it to the staff '
'only. '
'Raises 22023 if override names another rule, 22004 if it is null or contains null, and otherwise '
'what book_tickets() raises.';

CREATE FUNCTION booking.book_as_staff(event_id bigint, user_id text, quantity integer DEFAULT 1,
                                      override text[] DEFAULT '{window,limit}',
                                      idempotency_key text DEFAULT NULL)
RETURNS bigint[]
AS 'MODULE_PATHNAME', 'booking_book_as_staff'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_as_staff(bigint, text, integer, text[], text) IS
'The same for a user_id that is a string or has no type, as a literal or a parameter whose type '
'is left open.';

CREATE FUNCTION booking.book_batch(event_id bigint, user_ids anyarray,
                                   idempotency_key text DEFAULT NULL,
                                   OUT ord bigint, OUT status text, OUT ticket_id bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'booking_book_batch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_batch(bigint, anyarray, text) IS
'Books one place for each user, in the order of the array, while places are left. '
'Returns one row for each user. ord: the position in the array, from 1. '
'status: ''booked'', ''sold_out'', ''user_limit'' or ''not_on_sale''. '
'ticket_id: the id of the ticket if status is ''booked'', otherwise null. '
'idempotency_key: if any user got a place, a second call with it returns the same rows. '
'Locks rows of booking.inventory until the transaction ends, and the users at this event if '
'it has max_per_user. '
'Raises 23503 if there is no such event, 22004 if an argument or an element of user_ids is '
'null, 22P02 if the column''s type can''t represent an element, 23T06 if the key was used with '
'other arguments or a ticket was deleted or transferred since, 22023 if the key is empty or has '
'more than 200 bytes.';

CREATE FUNCTION booking.book_batch(event_id bigint, user_ids text,
                                   idempotency_key text DEFAULT NULL,
                                   OUT ord bigint, OUT status text, OUT ticket_id bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'booking_book_batch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_batch(bigint, text, text) IS
'The same for an array without a type: a literal such as ''{42,43}'', or a parameter whose type '
'is left open. Raises 22P02 if it is not an array.';

CREATE FUNCTION booking.cancel_ticket(ticket_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_cancel_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.cancel_ticket(bigint) IS
'Cancels a ticket and gives its place back in this transaction. Returns true, or false if the '
'ticket was cancelled before. Locks the ticket, then a row of booking.inventory, until the '
'transaction ends. '
'Raises 23T05 if the ticket was redeemed, P0002 if there is no such ticket, 22004 if ticket_id '
'is null.';

CREATE FUNCTION booking.transfer_ticket(ticket_id bigint, user_id "any")
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_transfer_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.transfer_ticket(bigint, "any") IS
'Gives a ticket to another user. Returns true, or false if it is this user''s already. '
'Locks the ticket and a row of booking.inventory until the transaction ends, and the new user at '
'its event if that has max_per_user. '
'Raises 23T02 if the new user would have more places than max_per_user, 23T05 if the ticket was '
'cancelled or redeemed, P0002 if there is no such ticket. Raises 22004 if an argument is null, '
'22P02 if the column''s type can''t represent user_id.';

CREATE FUNCTION booking.transfer_ticket(ticket_id bigint, user_id text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_transfer_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.transfer_ticket(bigint, text) IS
'The same for a user_id that is a string or has no type, as a literal or a parameter whose type '
'is left open.';

CREATE FUNCTION booking.move_ticket(ticket_id bigint, event_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_move_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.move_ticket(bigint, bigint) IS
'Moves a ticket to another event: takes a place there, and gives its place here back, in this '
'transaction. Returns true, or false if it is at that event already. '
'Locks the ticket, then what a booking and a cancellation lock at the two events, in the order of '
'their ids, until the transaction ends. '
'Raises 23T01, 23T02 and 23T03 as a booking of that event does, 23503 if there is no such event, '
'23505 if the ticket has a seat that is taken there, 23T05 if the ticket was cancelled or '
'redeemed, P0002 if there is no such ticket, 22004 if an argument is null.';

CREATE FUNCTION booking.exchange_tickets(ticket_id bigint, other_ticket_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_exchange_tickets'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.exchange_tickets(bigint, bigint) IS
'Gives each of two tickets to the user of the other, in one step, also if both events are sold '
'out. Returns true, or false if both are one user''s. '
'Locks the tickets, then what transfer_ticket() locks for each. '
'Raises 23T02 if a user would have more places than max_per_user, 23T05 if a ticket was '
'cancelled or redeemed, P0002 if there is no such ticket, 22004 if an argument is null.';

CREATE FUNCTION booking.redeem_ticket(ticket_id bigint, event_id bigint DEFAULT NULL,
                                      at timestamptz DEFAULT NULL,
                                      OUT status text, OUT redeemed_at timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_redeem_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.redeem_ticket(bigint, bigint, timestamptz) IS
'Marks a ticket as used at the gate. status: ''redeemed'', ''already_redeemed'', ''cancelled'' or '
'''wrong_event''. redeemed_at: when the ticket was used, now or before; null if it was cancelled '
'or is of another event. '
'event_id: the event at this gate; null: any. at: when the ticket was scanned, for scanners that '
'were offline; null: now. A later time than now counts as now. '
'Locks the ticket until the transaction ends. '
'Raises P0002 if there is no such ticket, 22004 if ticket_id is null, 22023 if at is infinite.';

CREATE FUNCTION booking.unredeem_ticket(ticket_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_unredeem_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.unredeem_ticket(bigint) IS
'Takes back that a ticket was redeemed, as after a scan by mistake. Returns true, or false if it '
'was not redeemed. Locks the ticket until the transaction ends. '
'Raises P0002 if there is no such ticket, 22004 if ticket_id is null.';

CREATE FUNCTION booking.ticket_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_ticket_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.ticket_changed() IS
'Trigger function of booking.ticket, attached by create_tables(). Keeps the inventory in step '
'with every INSERT, UPDATE, DELETE and TRUNCATE. '
'A plain statement can be refused as book_ticket() can: 23T01, 23T02, 23T03 or 23503. '
'Raises 39P01 if it is called in any other way.';
