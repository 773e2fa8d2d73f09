-- In this way every ticket is a row from the start.  To sell it is to set its user.
--
-- psql variables: events (how many), capacity (of each), prefill (the largest number of rows to make for all events
-- together, because a capacity that no load can use up needs no row for each place; problems.sql notices if there
-- were too few).

CREATE SCHEMA shop;

CREATE TABLE shop.ticket (LIKE booking.ticket INCLUDING ALL);
ALTER TABLE shop.ticket ALTER user_id DROP NOT NULL;

SELECT least(:capacity, :prefill / :events) AS rows_per_event \gset

INSERT INTO shop.ticket (event_id)
SELECT event FROM generate_series(1, :rows_per_event) AS place, generate_series(1, :events) AS event;

-- A shop that sells in this way has an index of the places left.
CREATE INDEX ON shop.ticket (event_id, ticket_id) WHERE user_id IS NULL;

VACUUM (ANALYZE) shop.ticket;
