-- Two transactions: a row of the same columns is inserted, and deleted by the same test.
INSERT INTO plain_lock (resource, owner, expires_at) VALUES ('lock ' || :client_id::int, 'the job', clock_timestamp() + '1 minute') RETURNING token \gset
DELETE FROM plain_lock WHERE resource = 'lock ' || :client_id::int AND token = :token;
