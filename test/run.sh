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
# Environment: PGB_TIMEOUT, the seconds that one run may take (default: 1800);
# PGB_STEP_TIMEOUT, those that a step of a spec may take (default: 60);
# and what server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"

PGB_TIMEOUT=${PGB_TIMEOUT:-1800}

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

main()
{
	local suites=("$@") suite

	[ "$#" -gt 0 ] || suites=(regress isolation tap)
	pgb_prepare --werror
	# A spec that hangs is cancelled after this many seconds, and not after 360.
	export PGISOLATIONTIMEOUT=${PGB_STEP_TIMEOUT:-60}
	for suite in "${suites[@]}"; do
		case $suite in
			regress | isolation) "run_$suite" ;;
			tap) run_tap PROVE_FLAGS=-j2 ;;
			*) pgb_die "unknown suite \"$suite\"" ;;
		esac
	done
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
