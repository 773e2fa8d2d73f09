#!/bin/bash
#
# run.sh - the whole test suite (make test).
#
# usage: test/run.sh [regress] [isolation] [tap]	(default: all three)
#        test/run.sh [regress-default] [isolation-default] ...
#        test/run.sh --only WAY TEST ...
#
# Builds pg_booking with warnings as errors and runs, each on a new server of
# its own (server.sh):
#
#   regress     the tests in sql/, with the settings as they are, then with
#               booking.direct_path = off, then with booking.split_always = on
#   isolation   the specs in test/isolation, with the settings as they are, then
#               with booking.direct_path = off
#   ...-default the same, only with the settings as they are
#   tap         the TAP tests in test/t, which make their own servers
#
# --only runs some tests in one way (suite.sh), for instance
#
#   test/run.sh --only regress-sql holds requests
#   test/run.sh --only isolation last_place
#   test/run.sh --only tap 002_crash
#
# If a test fails, the differences or the end of the log are shown.  The last line
# is always
#
#   N passed, N failed
#
# Each regression test and each spec counts once for each way in which it was run,
# and each assertion of a TAP test counts.  The symbols that the library exports
# count as one test (lint/symbols.sh).  Each other problem counts as one failure: a
# build or run that broke, a TAP file that ended early, a run without a test, or a
# crash or internal error (XX000) in a server's log.  The exit status is 0 only if
# nothing failed and something passed.
#
# Environment: PGB_TIMEOUT, the seconds that one run may take (default: 1800);
# PGB_STEP_TIMEOUT, the seconds that a step of a spec may take (default: 60); and
# what server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"
# shellcheck source=test/suite.sh
. "$PGB_REPO/test/suite.sh"

PGB_TIMEOUT=${PGB_TIMEOUT:-1800}

# Does the library export what the install script calls, and nothing else?
check_symbols()
{
	local version

	version=$(sed -nE "s/^default_version = '(.*)'/\1/p" "$PGB_SRC/pg_booking.control")
	"$PGB_REPO/test/lint/symbols.sh" "$PGB_SRC/pg_booking.so" \
		"$PGB_SRC/pg_booking--$version.sql"
}

# Print the ways to run the suites given.
ways_of()
{
	local suite

	for suite in "$@"; do
		case $suite in
			regress) printf '%s\n' regress regress-sql regress-split ;;
			isolation) printf '%s\n' isolation isolation-sql ;;
			regress-default | isolation-default) echo "${suite%-default}" ;;
			tap) echo tap ;;
			*) pgb_die "unknown suite \"$suite\"" ;;
		esac
	done
}

main()
{
	local way ways only=''

	if [ "${1:-}" = --only ]; then
		[ "$#" -gt 2 ] || pgb_die "usage: test/run.sh --only WAY TEST ..."
		only=1
		shift
	else
		[ "$#" -gt 0 ] || set -- regress isolation tap
		ways=$(ways_of "$@")
	fi
	pgb_prepare --werror
	add_check "exported symbols" check_symbols
	if [ -n "$only" ]; then
		run_way "$@"
	else
		for way in $ways; do
			run_way "$way"
		done
	fi
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
