#!/bin/bash
#
# suite.sh - functions that run the tests.
#
# Sourced after server.sh and tally.sh, by the scripts that run tests.

# A step of a spec that hangs is cancelled after this many seconds, not after 360.
export PGISOLATIONTIMEOUT=${PGB_STEP_TIMEOUT:-60}

# ---- pg_regress and pg_isolation_regress ------------------------------------

# The lines with results: of pg_regress before version 16, or since.
readonly RESULT_OK='^(test|    ) +[^ ]+ +\.\.\. ok( |$)|^ok [0-9]+ +[-+] '
readonly RESULT_FAILED='^(test|    ) +[^ ]+ +\.\.\. FAILED|^not ok [0-9]+ +[-+] '

# Count the results of one run, and show what failed.
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

# Run the regression tests or the specs on a new server: all of them, or TEST ...
# run_suite regress|isolation LABEL PGOPTIONS [TEST ...]
run_suite()
{
	local kind=$1 run="$1, $2" options=$3
	local log="$PGB_DIR/$1.log" start=$SECONDS status=0
	local diffs="$PGB_SRC/regression.diffs"
	local which=(ISOLATION= TAP_TESTS=)

	shift 3
	if [ "$kind" = isolation ]; then
		diffs="$PGB_SRC/output_iso/regression.diffs"
		which=(REGRESS= TAP_TESTS=)
	fi
	case $kind/${1:-} in
		*/) ;;
		regress/setup | isolation/*) which+=("${kind^^}=$*") ;;
		regress/*) which+=("REGRESS=setup $*") ;;	# the tests need it
	esac
	pgb_say "$run"
	pgb_start --cluster server 'fsync = off' 'synchronous_commit = off'
	PGOPTIONS="$options" pgb_make installcheck "${which[@]}" >"$log" 2>&1 ||
		status=$?
	judge "$run" "$status" "$log" "$diffs" "$((SECONDS - start))"
	pgb_stop
	pgb_as rm -rf "$PGB_DIR/server" "$diffs"
}

# ---- the ways to run the tests ----------------------------------------------

# Run all tests of one kind in one way, or only TEST ...
# run_way WAY [TEST ...]
run_way()
{
	local way=$1

	shift
	case $way in
		regress)
			run_suite regress "default settings" '' "$@" ;;
		regress-sql)
			run_suite regress "SQL path" '-c booking.direct_path=off' "$@" ;;
		regress-split)
			run_suite regress "splitting always" '-c booking.debug_split_always=on' "$@" ;;
		isolation)
			run_suite isolation "default settings" '' "$@" ;;
		isolation-sql)
			run_suite isolation "SQL path" '-c booking.direct_path=off' "$@" ;;
		tap)
			set -- "${@/#/test/t/}"
			set -- "${@/%/.pl}"
			run_tap PROVE_FLAGS=-j2 ${1+"PROVE_TESTS=$*"} ;;
		*)
			pgb_die "unknown way to run the tests: \"$way\"" ;;
	esac
}
