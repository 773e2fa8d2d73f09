#!/bin/bash
#
# run.sh - random statements, by SQLsmith (make sqlsmith).
#
# For DURATION seconds (default: 600), four SQLsmiths make random statements.  These
# read and write the tables, and call the functions of pg_booking.  psql executes them
# as roles with the privileges of an application and its users (shop.sql): with and
# without the direct path, each by itself and in longer transactions, which are
# committed or rolled back.  Then this script checks that
#
# - the server has not crashed, and its log shows no internal error (XX000), whatever
#   its cause;
# - no statement has run for more than a minute (statement_timeout is a second);
# - each function of the extension was called (the number of calls is printed);
# - verify() finds nothing unexpected, and the tables and indexes are sound.
#
# The last line counts these checks:
#
#   N passed, N failed
#
# Environment: DURATION, SEED (default: a random one; it is printed), and what
# server.sh reads.  Two runs with the same seed still differ, because several
# statements run at the same time and some hit a timeout.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"

DURATION=${DURATION:-600}
SEED=${SEED:-$RANDOM}

# Functions whose calls are not counted, because each call raises an error.
readonly NEVER_COUNTED="'booking.refuse_history_change()'"

# Two problems of verify() that plain statements can cause without being refused:
# lowering a limit per user below what a user has, and inserting a ticket with the
# hold_id of a live hold.
readonly KNOWN_LIMITS="'a user has more places than max_per_user', 'a live hold has tickets'"

# Makes one check: the command must succeed.
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

# Succeeds if a query returns nothing.  Otherwise shows what it returns.
# returns_nothing ARGUMENT ... (psql's)
returns_nothing()
{
	local rows

	rows=$(pgb_psql "$@" 2>&1) || rows="$rows (failed)"
	[ -z "$rows" ] || { head -n 40 <<<"$rows" | sed 's/^/    /'; return 1; }
}

# Writes the script that runs the SQLsmiths and looks for statements that hang.
write_script()
{
	pgb_as tee "$PGB_DIR/smiths.sh" >/dev/null <<-'END'
		end=$((SECONDS + DURATION))

		# Prints random statements until the time is up.
		# smith ROLE SEED
		smith()
		{
			timeout "$DURATION" sqlsmith "--target=dbname=lens user=$1" \
				--exclude-catalog --dry-run "--seed=$2" 2>"$1.err"
		}

		# Puts the statements into transactions of twenty.  Every second transaction
		# is committed.  An error undoes only its own statement.
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

# A query for the number of calls of each function of the extension.
readonly CALLS="
	SELECT f.oid::regprocedure::text AS function, coalesce(s.calls, 0) AS calls
	FROM pg_depend d
	JOIN pg_proc f ON f.oid = d.objid
	LEFT JOIN pg_stat_user_functions s ON s.funcid = f.oid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_booking')
	  AND d.classid = 'pg_proc'::regclass
	  AND f.oid::regprocedure::text NOT IN ($NEVER_COUNTED)"

# Shows what was done, and with which results.
show_run()
{
	echo "    transactions that were committed, or rolled back:"
	pgb_psql -F ', ' -c "SELECT xact_commit, xact_rollback FROM pg_stat_database
		WHERE datname = 'postgres'" | sed 's/^/    /'
	echo "    calls of each function that succeeded:"
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
		broke sqlsmith "the SQLsmiths have not ended in time"
	show_run
	check "no statement hangs" test ! -s "$PGB_DIR/hanging"
	check "each function was called" returns_nothing -c \
		"SELECT function FROM ($CALLS) c WHERE calls = 0"
	check "verify() finds nothing unexpected" returns_nothing -c "SELECT * FROM booking.verify()
		WHERE problem NOT IN ($KNOWN_LIMITS)"
	check "the tables and indexes are sound" returns_nothing \
		-v "tables='%'" -f "$PGB_SRC/test/amcheck.sql"
	check_server_log sqlsmith
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
