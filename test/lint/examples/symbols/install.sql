CREATE FUNCTION book_ticket(bigint) RETURNS bigint LANGUAGE c
    AS 'MODULE_PATHNAME', 'book_ticket';
CREATE FUNCTION book_ticket(text) RETURNS bigint LANGUAGE c AS
    'MODULE_PATHNAME', 'book_ticket';
CREATE FUNCTION hold_tickets(bigint) RETURNS bigint LANGUAGE c
    AS 'MODULE_PATHNAME', 'hold_tickets';
CREATE FUNCTION release_hold(bigint) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME',
    'release_hold';
CREATE FUNCTION verify() RETURNS bigint LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION unnamed(bigint) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME';
