/* ---- tickets ---- */

CREATE FUNCTION booking.book_ticket(event_id bigint, user_id bigint,
                                    idempotency_key text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'booking_book_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_ticket(bigint, bigint, text) IS
'Books one place of an event for a user and returns the ticket''s id. With an idempotency key (1 to 200 bytes) a request that is sent again gets its first answer again; with other arguments 23T06. Raises 23T01 when the event is sold out, 23T02 when it would be more than the event''s max_per_user, 23T03 when the event is not on sale, P0002 when there is no such event, 22004 for a null argument, 22P02 for an ill-formed user id, 22023 for a key that is empty or too long.';

CREATE FUNCTION booking.book_ticket(event_id bigint, user_id text,
                                    idempotency_key text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'booking_book_ticket_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_ticket(bigint, text, text) IS
'Books one place of an event for a user and returns the ticket''s id. With an idempotency key (1 to 200 bytes) a request that is sent again gets its first answer again; with other arguments 23T06. Raises 23T01 when the event is sold out, 23T02 when it would be more than the event''s max_per_user, 23T03 when the event is not on sale, P0002 when there is no such event, 22004 for a null argument, 22P02 for an ill-formed user id, 22023 for a key that is empty or too long.';

CREATE FUNCTION booking.try_book_ticket(event_id bigint, user_id bigint,
                                        idempotency_key text DEFAULT NULL,
                                        OUT status text, OUT ticket_id bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_try_book_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.try_book_ticket(bigint, bigint, text) IS
'Books one place like book_ticket(), and answers a refusal as data: status is ''booked'' (with the ticket_id), ''sold_out'', ''user_limit'' or ''not_on_sale''. A refusal is not remembered with the key. Raises what else book_ticket() raises.';

CREATE FUNCTION booking.try_book_ticket(event_id bigint, user_id text,
                                        idempotency_key text DEFAULT NULL,
                                        OUT status text, OUT ticket_id bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_try_book_ticket_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.try_book_ticket(bigint, text, text) IS
'Books one place like book_ticket(), and answers a refusal as data: status is ''booked'' (with the ticket_id), ''sold_out'', ''user_limit'' or ''not_on_sale''. A refusal is not remembered with the key. Raises what else book_ticket() raises.';

CREATE FUNCTION booking.book_tickets(event_id bigint, user_id bigint, quantity integer,
                                     idempotency_key text DEFAULT NULL)
RETURNS bigint[]
AS 'MODULE_PATHNAME', 'booking_book_tickets'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_tickets(bigint, bigint, integer, text) IS
'Books quantity places of an event for a user, all of them or none, and returns the tickets'' ids. Raises 23T01 when fewer places are left, 22023 for a quantity out of range, and what else book_ticket() raises.';

CREATE FUNCTION booking.book_tickets(event_id bigint, user_id text, quantity integer,
                                     idempotency_key text DEFAULT NULL)
RETURNS bigint[]
AS 'MODULE_PATHNAME', 'booking_book_tickets_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_tickets(bigint, text, integer, text) IS
'Books quantity places of an event for a user, all of them or none, and returns the tickets'' ids. Raises 23T01 when fewer places are left, 22023 for a quantity out of range, and what else book_ticket() raises.';

CREATE FUNCTION booking.book_batch(event_id bigint, user_ids bigint[],
                                   OUT ord bigint, OUT status text, OUT ticket_id bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'booking_book_batch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_batch(bigint, bigint[]) IS
'Books one place for each user, in the order of the array, as far as there are any: a row for each, with its position (from 1), a status like that of try_book_ticket(), and the ticket''s id. Raises P0002 when there is no such event, 22004 for a null argument or element, 22P02 for an ill-formed user id.';

CREATE FUNCTION booking.book_batch(event_id bigint, user_ids text[],
                                   OUT ord bigint, OUT status text, OUT ticket_id bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'booking_book_batch_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.book_batch(bigint, text[]) IS
'Books one place for each user, in the order of the array, as far as there are any: a row for each, with its position (from 1), a status like that of try_book_ticket(), and the ticket''s id. Raises P0002 when there is no such event, 22004 for a null argument or element, 22P02 for an ill-formed user id.';

CREATE FUNCTION booking.cancel_ticket(ticket_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_cancel_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.cancel_ticket(bigint) IS
'Cancels a ticket and gives its place back; false when it was cancelled before. Raises 23T05 when the ticket has been redeemed, P0002 when there is no such ticket, 22004 for a null argument.';

CREATE FUNCTION booking.transfer_ticket(ticket_id bigint, user_id bigint)
RETURNS void
AS 'MODULE_PATHNAME', 'booking_transfer_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.transfer_ticket(bigint, bigint) IS
'Gives a ticket to another user. Raises 23T02 when the event allows that user no more, 23T05 when the ticket has been cancelled or redeemed, P0002 when there is no such ticket, 22004 for a null argument, 22P02 for an ill-formed user id.';

CREATE FUNCTION booking.transfer_ticket(ticket_id bigint, user_id text)
RETURNS void
AS 'MODULE_PATHNAME', 'booking_transfer_ticket_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.transfer_ticket(bigint, text) IS
'Gives a ticket to another user. Raises 23T02 when the event allows that user no more, 23T05 when the ticket has been cancelled or redeemed, P0002 when there is no such ticket, 22004 for a null argument, 22P02 for an ill-formed user id.';

CREATE FUNCTION booking.redeem_ticket(ticket_id bigint,
                                      OUT status text, OUT redeemed_at timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_redeem_ticket'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.redeem_ticket(bigint) IS
'Marks a ticket as used at the gate. status is ''redeemed'', ''already_redeemed'' (redeemed_at says when) or ''cancelled''. Raises P0002 when there is no such ticket, 22004 for a null argument.';

CREATE FUNCTION booking.ticket_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'booking_ticket_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.ticket_changed() IS
'Trigger of booking.ticket: keeps the inventory in step with every INSERT, UPDATE, DELETE and TRUNCATE. Attached by create_tables().';
