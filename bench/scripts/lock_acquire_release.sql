-- Two transactions: a lock is acquired, and released by its token.
SELECT token FROM booking.acquire_lock('lock ' || :client_id::int, 'the job') \gset
SELECT booking.release_lock('lock ' || :client_id::int, :token);
