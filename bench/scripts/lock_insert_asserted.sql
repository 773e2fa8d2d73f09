-- One statement writes a row, and asserts the lock under which it does so.
\set token :client_id + 1
INSERT INTO job_log (line) SELECT 'done' WHERE booking.assert_lock('held ' || :client_id::int, :token);
