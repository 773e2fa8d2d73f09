-- What the page shows, as one line of JSON.  PostgreSQL counts the calls if
-- track_functions is "all", and each session reports them once a second.  So they are
-- late, and are read before the tickets: a booking is never taken for a refusal.
SELECT coalesce(sum(calls), 0) AS new_calls
FROM pg_stat_user_functions
WHERE schemaname = 'booking' AND funcname = 'try_book_ticket' \gset

-- the calls that sold no ticket, those of all events
SELECT :new_calls - coalesce(sum(booked + cancelled), 0) AS surplus
FROM booking.sales \gset

-- The first time in a connection: what was before is not counted.
\if :{?base}
\else
    \set base :surplus
    \set calls 0
    \set refused 0
\endif

-- pg_stat_reset() sets the calls back, and the number of refusals goes on.
SELECT :base - CASE WHEN :new_calls < :calls THEN :calls ELSE 0 END AS base,
       :new_calls AS calls \gset
SELECT greatest(:surplus - :base, :refused) AS refused \gset

SELECT json_build_object(
           'at', round(extract(epoch FROM clock_timestamp()), 1),
           'name', name, 'capacity', capacity, 'available', available, 'held', held,
           'booked', booked, 'refused', :refused)
FROM booking.sales
WHERE event_id = :event_id;
