/* ---- named locks ---- */

CREATE FUNCTION booking.acquire_lock(resource text, owner text, ttl interval DEFAULT '1 minute',
                                     note text DEFAULT NULL,
                                     OUT token bigint, OUT expires_at timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_acquire_lock'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.acquire_lock(text, text, interval, text) IS
'Acquires the named lock of a resource for an owner, and returns its token and when it expires. '
'resource, owner: names of your own, 1 to 200 bytes. ttl: how long the lock lasts, 1 millisecond '
'to 100 years. note: a text that is shown in booking.resource_lock. '
'A lock that has expired is taken over. If the owner has the lock already, he gets a new token, '
'and the old one is lost. Whether a lock has expired is judged by the server''s clock at the time of the call. '
'Never waits: if another transaction has the row of the lock locked, it counts as locked. '
'Locks the row until the transaction ends. '
'Raises 23T10 if the resource is locked; DETAIL says by whom and until when. Raises 22004 if '
'resource, owner or ttl is null, 22023 if one is out of range, 40001 in a REPEATABLE READ or SERIALIZABLE '
'transaction if the lock changed hands after its snapshot was taken, 25006 on a standby or in a '
'read-only transaction.';

CREATE FUNCTION booking.try_acquire_lock(resource text, owner text,
                                         ttl interval DEFAULT '1 minute', note text DEFAULT NULL,
                                         OUT status text, OUT token bigint, OUT owner text,
                                         OUT expires_at timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'booking_try_acquire_lock'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.try_acquire_lock(text, text, interval, text) IS
'Does what acquire_lock() does, but reports a locked resource as a status: acquired or locked. '
'If it is locked, token is null, and owner and expires_at are those of the holder; they are null '
'while another transaction is acquiring a lock that no owner had. '
'If it is locked, the call has locked no row, taken no transaction id and written no WAL. '
'Raises what acquire_lock() raises, except 23T10.';

CREATE FUNCTION booking.renew_lock(resource text, token bigint, ttl interval)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'booking_renew_lock'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.renew_lock(text, bigint, interval) IS
'Makes the lock that has this token expire ttl from now, sooner or later than before, and returns '
'when that is. A lock that has expired can be renewed as long as no owner has acquired it. '
'Waits for transactions that have asserted the lock. While it waits, no other owner can acquire '
'the lock. Locks the row of the lock until the transaction ends. '
'Raises 23T09 if the token is not, or no longer, the lock''s; DETAIL names the present holder. '
'Raises 22004 if an argument is null, 22023 if resource or ttl is out of range, 40001 and 25006 '
'as acquire_lock() does.';

CREATE FUNCTION booking.release_lock(resource text, token bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_release_lock'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.release_lock(text, bigint) IS
'Releases the lock that has this token: deletes its row from booking.resource_lock. Returns true, '
'or false if the token is not, or no longer, the lock''s. '
'Waits for transactions that have asserted the lock. Others can acquire it when this transaction '
'has committed. '
'Raises 22004 if an argument is null, 22023 if resource is empty or too long, 40001 and 25006 as '
'acquire_lock() does.';

CREATE FUNCTION booking.assert_lock(resource text, token bigint, at text DEFAULT 'now')
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_assert_lock'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.assert_lock(text, bigint, text) IS
'Makes sure that what this transaction writes is committed only if the lock still has this token. '
'Returns true. No clock takes part: a lock that has expired and that no other owner has acquired '
'is still the holder''s. '
'at: ''now'', the default, checks the token at once, and locks the row of the lock FOR SHARE, so '
'that no other owner can acquire the lock until the transaction ends. ''commit'' does the same just '
'before the transaction is committed or prepared. If a savepoint is rolled back, the '
'assertions that were made after it are dropped. '
'Waits for a transaction that is renewing or releasing the lock. '
'Raises 23T09 if the token is not, or no longer, the lock''s; DETAIL names the present holder. '
'Raises 22004 if an argument is null, 22023 if resource is empty or too long, or if at has any '
'other value; 40001 and 25006 as acquire_lock() does.';

CREATE FUNCTION booking.locked(resource text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'booking_locked'
LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION booking.locked(text) IS
'Returns true if someone has the lock and it has not expired, as the calling statement sees it. '
'It says nothing about the next moment: to be sure, acquire or assert the lock. '
'Locks no row, and works on a standby. Raises 22004 if resource is null, 22023 if it is empty or '
'too long.';
