#!/bin/bash
#
# run.sh - random statements, by SQLsmith (make sqlsmith).
#
# For DURATION seconds (default: 600) four SQLsmiths make statements that read
# and write the tables and call the functions of pg_booking, at random, as roles
# that may do what an application and its users may (shop.sql); psql runs them, with
# the direct path and without it, each by itself and in transactions of many that
# are committed or rolled back.  Then
#
# - the server has not crashed, and its log tells of no internal error (XX000),
#   of whatever source;
# - no statement has run for more than a minute: each has a timeout of a second;
# - each function of the extension has been called: run so often as is printed;
# - verify() finds nothing, and the indexes are sound.
#
# The last line is
#
#   N passed, N failed
#
# of these checks.  Environment: DURATION, SEED (default: by chance; it is
# printed), and what server.sh reads.  Statements that run at once and timeouts
# make no two runs the same, whatever the seed.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"

DURATION=${DURATION:-600}
SEED=${SEED:-$RANDOM}

# Those that can't have been counted: what raises an error each time it is called.
readonly NEVER_COUNTED="'booking.refuse_history_change()'"

# Two things that verify() reports are not refused when a plain statement does
# them: to lower a limit per user below what somebody has, and to insert a ticket
# with the hold_id of a live hold.
readonly KNOWN_LIMITS="'a user has more places than max_per_user', 'a live hold has tickets'"

# A check of the run.
# check WHAT COMMAND ...
check()
{
	local what=$1

	shift
	if "$@"; then
		echo "    ok: $what"
		PASSED=$((PASSED + 1))
	else
		broke sqlsmith "$what"
	fi
}

# Does a query return nothing?  Else what it returns is shown.
# returns_nothing ARGUMENT ... (psql's)
returns_nothing()
{
	local rows

	rows=$(pgb_psql "$@" 2>&1) || rows="$rows (failed)"
	[ -z "$rows" ] || { head -n 40 <<<"$rows" | sed 's/^/    /'; return 1; }
}

# The script that runs the SQLsmiths, and looks for statements that hang.
write_script()
{
	pgb_as tee "$PGB_DIR/smiths.sh" >/dev/null <<-'END'
		end=$((SECONDS + DURATION))

		# Statements without an end, then all at once the end of time.
		# smith ROLE SEED
		smith()
		{
			timeout "$DURATION" sqlsmith "--target=dbname=lens user=$1" \
				--exclude-catalog --dry-run "--seed=$2" 2>"$1.err"
		}

		# What psql gets to make transactions of twenty, every second one of which
		# is committed: an error undoes the one statement only.
		in_transactions()
		{
			printf '%s\n' '\set AUTOCOMMIT off' '\set ON_ERROR_ROLLBACK on'
			awk '{ print }
				/;$/ && ++n % 20 == 0 { print n % 40 == 0 ? "COMMIT;" : "ROLLBACK;" }'
		}

		run()
		{
			PGOPTIONS='-c statement_timeout=1s' psql -X -q -o /dev/null -U "$1" \
				>/dev/null 2>&1
		}

		smith smith_plain "$SEED" | run smith_plain &
		smith smith_sql "$((SEED + 1))" | run smith_sql &
		smith smith_split "$((SEED + 2))" | in_transactions | run smith_split &
		smith smith_repeatable "$((SEED + 3))" | in_transactions |
			run smith_repeatable &
		while sleep 5; [ "$SECONDS" -lt "$end" ]; do
			psql -X -A -t -c "
				SELECT now() - query_start, wait_event_type, wait_event, query
				FROM pg_stat_activity
				WHERE state = 'active' AND usename LIKE 'smith%'
				  AND now() - query_start > '1 minute'" >>hanging 2>/dev/null
		done
		wait
	END
}

# The calls of each function of the extension; nothing but that when all were.
readonly CALLS="
	SELECT f.oid::regprocedure::text AS function, coalesce(s.calls, 0) AS calls
	FROM pg_depend d
	JOIN pg_proc f ON f.oid = d.objid
	LEFT JOIN pg_stat_user_functions s ON s.funcid = f.oid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_booking')
	  AND d.classid = 'pg_proc'::regclass
	  AND f.oid::regprocedure::text NOT IN ($NEVER_COUNTED)"

# What was done, and how it ended.
show_run()
{
	echo "    statements that ended well, or with an error:"
	pgb_psql -F ', ' -c "SELECT xact_commit, xact_rollback FROM pg_stat_database
		WHERE datname = 'postgres'" | sed 's/^/    /'
	echo "    calls that came to their end, of each function:"
	pgb_psql -F '  ' -c "SELECT lpad(calls::text, 10), function FROM ($CALLS) c
		ORDER BY calls DESC" | sed 's/^/    /'
	echo "    errors, by SQLSTATE:"
	sed -nE 's/^.*\] ([0-9A-Z]{5}) pg_booking ERROR:  .*/\1/p' "$PGB_LOG" |
		sort | uniq -c | sort -rn | head -n 40 | sed 's/^/    /'
}

main()
{
	pgb_prepare --werror sqlsmith
	pgb_start 'fsync = off' 'track_functions = all' 'log_min_messages = error' \
		'deadlock_timeout = 100ms' 'log_checkpoints = off'
	pgb_run psql -X -q -v ON_ERROR_STOP=1 -f "$PGB_SRC/test/sqlsmith/shop.sql" \
		>"$PGB_DIR/shop.log" 2>&1 ||
		pgb_step_failed "the shop can't be made" "$PGB_DIR/shop.log"
	pgb_psql -c 'CREATE DATABASE lens TEMPLATE postgres'
	pgb_psql -d lens -f "$PGB_SRC/test/sqlsmith/lens.sql"
	pgb_psql -c 'SELECT pg_stat_reset()' >/dev/null
	write_script
	pgb_say "SQLsmith for $DURATION seconds, seed $SEED"
	PGB_TIMEOUT=$((DURATION + 300))
	pgb_run env "DURATION=$DURATION" "SEED=$SEED" bash "$PGB_DIR/smiths.sh" ||
		broke sqlsmith "it has not ended in time"
	show_run
	check "no statement hangs" test ! -s "$PGB_DIR/hanging"
	check "each function was called" returns_nothing -c \
		"SELECT function FROM ($CALLS) c WHERE calls = 0"
	check "the books are right" returns_nothing -c "SELECT * FROM booking.verify()
		WHERE problem NOT IN ($KNOWN_LIMITS)"
	check "the tables and indexes are sound" returns_nothing \
		-v "tables='%'" -f "$PGB_SRC/test/amcheck.sql"
	check_server_log sqlsmith
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
