-- The tables of an application that sells by rows of its own.
--
-- Promises shows 1 to :events with :capacity places each.  The key has the type :key; for uuid the show's number is
-- its last part.
--
-- psql variables: events (how many), capacity (of each), key (bigint or uuid).

CREATE FUNCTION show_key(number bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
RETURN ('00000000-0000-0000-0000-' || lpad(number::text, 12, '0'))::uuid;

SELECT CASE :'key' WHEN 'uuid' THEN 'show_key(n)' ELSE 'n' END AS key_of \gset

CREATE TABLE shop_show (
    id :key PRIMARY KEY,
    name text NOT NULL,
    capacity integer NOT NULL
);

INSERT INTO shop_show
SELECT :key_of, 'show ' || n, :capacity FROM generate_series(1, :events) AS n;

CREATE TABLE shop_ticket (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    show_id :key NOT NULL,
    user_id bigint NOT NULL,
    status text NOT NULL DEFAULT 'sold',
    bought_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON shop_ticket (show_id);
