-- The same row, without a lock.
\set token :client_id + 1
INSERT INTO job_log (line) VALUES ('done');
