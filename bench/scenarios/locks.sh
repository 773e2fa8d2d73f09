# shellcheck shell=bash disable=SC2016
# locks - named locks, beside the plain statements that they replace
#
# Each client has a lock of its own: sessions that want the same lock don't wait for
# it, so there is nothing to measure.  In the runs with assertions, all clients write
# under one lock, too, as the workers of one job do.

# The lock tables, ours and a plain one, have the same rows and the same key.
locks_prepare()
{
	prepare_way book_ticket 1 1
	sql >/dev/null <<-'SQL'
		CREATE TABLE plain_lock (LIKE booking.resource_lock INCLUDING ALL);
		CREATE TABLE job_log (line_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, line text);
		SELECT booking.acquire_lock('held ' || i, 'the job', '1 day') FROM generate_series(0, 127) i;
		INSERT INTO plain_lock SELECT * FROM booking.resource_lock;
		VACUUM ANALYZE booking.resource_lock, plain_lock;
		CHECKPOINT;
	SQL
}

# locks_check SIDE: nothing is left of what was acquired and released, and each
# assertion has let its row in.
locks_check()
{
	local problems

	problems=$(query 'SELECT * FROM booking.verify()')
	[ -z "$problems" ] || broken "$1: $problems"
	[ "$(query 'SELECT count(*), min(token), max(token) FROM booking.resource_lock')" = '128|1|128' ] ||
		broken "$1: the locks are not those of before"
	[ "$(query 'SELECT count(*) FROM plain_lock')" = 128 ] || broken "$1: rows of the plain table are left"
	case $1 in
		insert | insert_*)
			[ "$(query 'SELECT count(*) FROM job_log')" = "$(reported_count)" ] ||
				broken "$1: the log does not have $(reported_count) lines" ;;
	esac
}

# locks_run SIDE CLIENTS REPEAT
locks_run()
{
	locks_prepare
	pg_bench -c "$2" -T "$SHORT_SECONDS" -f "$BENCH/scripts/lock_$1.sql"
	locks_check "$1"
	record locks "$1" "$2" "$3" "$(reported_rate)" "$(reported_count)"
	note "$(printf 'repeat %s: %6s/s  %s, %s clients' "$3" "$(reported_rate)" "$1" "$2")"
}

scenario_locks()
{
	local sides='acquire_release row refused select insert_asserted insert'
	local repeat side clients

	pgb_say "named locks and the plain statements that they replace"
	for repeat in $(seq "$REPEATS"); do
		# shellcheck disable=SC2086
		for side in $(in_turn "$repeat" $sides); do
			locks_run "$side" 1 "$repeat"
		done
		# shellcheck disable=SC2086
		for side in $(in_turn "$repeat" upsert $sides insert_asserted_by_all advisory); do
			locks_run "$side" 32 "$repeat"
		done
	done
	for clients in 1 32; do
		target speed 'a lock: acquire and release / `INSERT` and `DELETE` of a row' "$clients" \
			"$(ratio locks "$clients" acquire_release row)" '>=' 0.90
		target speed 'a lock that is refused / `SELECT` by primary key' "$clients" \
			"$(ratio locks "$clients" refused select)" '>=' 0.90
		target speed '`INSERT` with `assert_lock` / without' "$clients" \
			"$(ratio locks "$clients" insert_asserted insert)" '>=' 0.90
	done
	figure '`INSERT` with `assert_lock`, all clients under one lock / without' 32 \
		"$(ratio locks 32 insert_asserted_by_all insert)"
	figure 'a lock: acquire and release / a table of locks written by hand' 32 \
		"$(ratio locks 32 acquire_release upsert)"
	figure 'a lock: acquire and release / `pg_try_advisory_lock` and its release' 32 \
		"$(ratio locks 32 acquire_release advisory)"
}
