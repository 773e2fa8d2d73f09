#!/bin/bash
#
# run.sh - the whole test suite (make test).
#
# usage: test/run.sh [regress] [isolation] [tap]	(default: all three)
#
# Builds pg_booking with warnings as errors and runs, each on a new server of
# its own (server.sh):
#
#   regress     the tests in sql/, with the settings as they are, then with
#               booking.direct_path = off, then with booking.split_always = on
#   isolation   the specs in test/isolation, as they are and with
#               booking.direct_path = off
#   tap         the TAP tests in test/t, which make their own servers
#
# Of what failed, the differences or the end of the log are shown.  The last
# line is always
#
#   N passed, N failed
#
# where each regression test and each spec counts once for each way it was run,
# and each single assertion of a TAP test counts.  One more failure is counted
# for whatever else went wrong: a build or a run that broke, a TAP file that
# ended early, a run without a test, a server's log that tells of a crash or of
# an internal error (XX000).  The exit status is 0 only if nothing failed and
# something passed.
#
# Environment: PGB_TIMEOUT, the seconds that one run may take (default: 1800),
# and what server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"

PGB_TIMEOUT=${PGB_TIMEOUT:-1800}

PASSED=0
FAILED=0
FINISHED=''

# The last line, whatever happened.
# shellcheck disable=SC2034
PGB_AT_EXIT=print_total
print_total()
{
	[ -n "$FINISHED" ] || FAILED=$((FAILED + 1))
	echo "$PASSED passed, $FAILED failed"
}

# ---- counting ---------------------------------------------------------------

# Count the lines of a file that match.
count()
{
	grep -cE "$1" "$2" || true
}

# One failure that is no test's own.
# broke RUN WHAT
broke()
{
	echo "    FAILED: $1: $2"
	FAILED=$((FAILED + 1))
}

# Add the results of one run to the total.
# tally PASSED FAILED SECONDS
tally()
{
	PASSED=$((PASSED + $1))
	FAILED=$((FAILED + $2))
	echo "    $1 passed, $2 failed ($3 s)"
}

# At most the last lines of a file, indented.
show()
{
	[ -s "$1" ] || return 0
	echo "    --- the end of ${1#"$PGB_DIR/"}:"
	tail -n "$2" "$1" | sed 's/^/    /'
}

# What may never be in a server's log.
check_server_log()
{
	local pattern='PANIC:|TRAP: |was terminated by signal|\] XX[0-9A-Z]{3} '

	if grep -qE "$pattern" "$PGB_LOG"; then
		broke "$1" "the server's log tells of a crash or an internal error"
		grep -E "$pattern" -A 2 "$PGB_LOG" | head -n 40 | sed 's/^/    /'
	fi
}

# ---- pg_regress and pg_isolation_regress ------------------------------------

# Results as pg_regress prints them, before version 16 and from it on.
readonly RESULT_OK='^(test|    ) +[^ ]+ +\.\.\. ok( |$)|^ok [0-9]+ +[-+] '
readonly RESULT_FAILED='^(test|    ) +[^ ]+ +\.\.\. FAILED|^not ok [0-9]+ +[-+] '

# Judge one run: count, and show what failed.
# judge RUN STATUS LOG DIFFS SECONDS
judge()
{
	local run=$1 status=$2 log=$3 diffs=$4 seconds=$5
	local ok failed

	ok=$(count "$RESULT_OK" "$log")
	failed=$(count "$RESULT_FAILED" "$log")
	tally "$ok" "$failed" "$seconds"
	if [ "$failed" -gt 0 ]; then
		grep -E "$RESULT_FAILED" "$log" | sed 's/^/    /'
		show "$diffs" 400
	elif [ "$status" -ne 0 ]; then
		broke "$run" "ended with status $status"
		show "$log" 60
	elif [ "$ok" -eq 0 ]; then
		broke "$run" "no test was run"
		show "$log" 60
	fi
	check_server_log "$run"
}

# Run the regression tests or the specs on a new server.
# run_suite regress|isolation LABEL [PGOPTIONS]
run_suite()
{
	local kind=$1 run="$1, $2" options=${3:-}
	local log="$PGB_DIR/$1.log" start=$SECONDS status=0
	local diffs="$PGB_SRC/regression.diffs"
	local others=(ISOLATION= TAP_TESTS=)

	if [ "$kind" = isolation ]; then
		diffs="$PGB_SRC/output_iso/regression.diffs"
		others=(REGRESS= TAP_TESTS=)
	fi
	pgb_say "$run"
	pgb_start --cluster server 'fsync = off' 'synchronous_commit = off'
	PGOPTIONS="$options" pgb_make installcheck "${others[@]}" >"$log" 2>&1 ||
		status=$?
	judge "$run" "$status" "$log" "$diffs" "$((SECONDS - start))"
	pgb_stop
	pgb_as rm -rf "$PGB_DIR/server" "$diffs"
}

run_regress()
{
	run_suite regress "default settings"
	run_suite regress "SQL path" "-c booking.direct_path=off"
	run_suite regress "splitting always" "-c booking.split_always=on"
}

run_isolation()
{
	run_suite isolation "default settings"
	run_suite isolation "SQL path" "-c booking.direct_path=off"
}

# ---- TAP --------------------------------------------------------------------

# prove ends with a line for each file in which something was not as it should
# be, and the number of all assertions:
#
#	test/t/001_x.pl (Wstat: 256 (exited 1) Tests: 9 Failed: 1)
#	  Failed test:  4
#	test/t/002_y.pl (Wstat: 0 Tests: 3 Failed: 0)
#	  Parse errors: No plan found in TAP output
#	Files=2, Tests=12,  7 wallclock secs ...
#
# Print three numbers: assertions run, assertions failed, and files that broke
# though none of their assertions failed.
count_tap()
{
	awk '/\(Wstat: .* Tests: [0-9]+ Failed: [0-9]+\)$/ {
			n = $NF + 0
			failed += n
			doubtful = (n == 0)
			if (doubtful && !/Wstat: 0 /) { broken++; doubtful = 0 }
		}
		/^  Parse errors:/ && doubtful { broken++; doubtful = 0 }
		/^Files=[0-9]+, Tests=[0-9]+,/ { sub(/^.*Tests=/, ""); total = $0 + 0 }
		END { print total + 0, failed + 0, broken + 0 }' "$1"
}

# Show prove's output, and the end of the log of each file that it complains of.
show_tap_logs()
{
	local file

	show "$1" 120
	while IFS= read -r file; do
		show "$PGB_SRC/tmp_check/log/regress_log_$(basename "$file" .pl)" 80
	done < <(sed -nE 's/^([^ ]+\.pl) +\(Wstat: .*/\1/p' "$1")
}

run_tap()
{
	local log="$PGB_DIR/tap.log" start=$SECONDS status=0
	local total failed broken

	pgb_say "tap"
	pgb_make installcheck REGRESS= ISOLATION= PROVE_FLAGS=-j2 >"$log" 2>&1 ||
		status=$?
	read -r total failed broken < <(count_tap "$log")
	tally "$((total - failed))" "$failed" "$((SECONDS - start))"
	if [ "$broken" -gt 0 ]; then
		broke tap "$broken file(s) did not run to their end"
		FAILED=$((FAILED + broken - 1))
	elif [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
		broke tap "ended with status $status"
	elif [ "$total" -eq 0 ]; then
		broke tap "no test was run"
		show "$log" 60
	fi
	[ "$status" -eq 0 ] || show_tap_logs "$log"
}

main()
{
	local suites=("$@") suite

	[ "$#" -gt 0 ] || suites=(regress isolation tap)
	pgb_prepare --werror
	# A spec that hangs is cancelled after this many seconds, and not after 360.
	export PGISOLATIONTIMEOUT=60
	for suite in "${suites[@]}"; do
		case $suite in
			regress | isolation | tap) "run_$suite" ;;
			*) pgb_die "unknown suite \"$suite\"" ;;
		esac
	done
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
