-- The same as people write it: an expired lock is taken over by the INSERT.
INSERT INTO plain_lock (resource, owner, expires_at) VALUES ('lock ' || :client_id::int, 'the job', clock_timestamp() + '1 minute') ON CONFLICT (resource) DO UPDATE SET owner = excluded.owner, token = excluded.token, locked_at = excluded.locked_at, expires_at = excluded.expires_at WHERE plain_lock.expires_at < clock_timestamp() RETURNING token \gset
DELETE FROM plain_lock WHERE resource = 'lock ' || :client_id::int AND token = :token;
