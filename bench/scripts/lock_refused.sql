-- Another owner has the lock.
SELECT status, owner, expires_at FROM booking.try_acquire_lock('held ' || :client_id::int, 'another');
