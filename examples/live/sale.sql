-- What the page shows, as one line of JSON.  PostgreSQL counts the calls if
-- track_functions is "all", and each session reports them once a second.  So they are
-- late, and are read before the tickets: a booking is never taken for a refusal.
SELECT coalesce(sum(calls), 0) AS calls
FROM pg_stat_user_functions
WHERE schemaname = 'booking' AND funcname = 'try_book_ticket' \gset

SELECT json_build_object(
           'at', round(extract(epoch FROM clock_timestamp()), 1),
           'name', name, 'capacity', capacity, 'available', available, 'held', held,
           'booked', booked,
           -- those of all events
           'refused', greatest(:calls - (SELECT sum(booked + cancelled) FROM booking.sales), 0))
FROM booking.sales
WHERE event_id = :event_id;
