-- Here a ticket is a row from the start, and selling it is an UPDATE of its buyer.
--
-- psql variables: events (how many), capacity (of each), prefill (at most so many rows in all, for a capacity
-- that no load can sell out need not be laid out; problems.sql notices when they did not suffice).

CREATE SCHEMA shop;

CREATE TABLE shop.ticket (LIKE booking.ticket INCLUDING ALL);
ALTER TABLE shop.ticket ALTER user_id DROP NOT NULL;

SELECT least(:capacity, :prefill / :events) AS rows_per_event \gset

INSERT INTO shop.ticket (event_id)
SELECT event FROM generate_series(1, :rows_per_event) AS place, generate_series(1, :events) AS event;

-- Who sells this way has an index of what is left.
CREATE INDEX ON shop.ticket (event_id, ticket_id) WHERE user_id IS NULL;

VACUUM (ANALYZE) shop.ticket;
