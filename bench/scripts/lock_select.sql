-- The query that a refusal is compared with: the same row by its primary key.
SELECT owner, expires_at FROM plain_lock WHERE resource = 'held ' || :client_id::int;
