#!/bin/bash
#
# run.sh - the whole test suite (make test).
#
# usage: test/run.sh [regress] [isolation] [tap]	(default: all three)
#        test/run.sh [regress-default] [isolation-default] ...
#
# Builds pg_booking with warnings as errors and runs, each on a new server of
# its own (server.sh):
#
#   regress     the tests in sql/, with the settings as they are, then with
#               booking.direct_path = off, then with booking.split_always = on
#   isolation   the specs in test/isolation, as they are and with
#               booking.direct_path = off
#   ...-default the same, with the settings as they are only
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
# shellcheck source=test/suite.sh
. "$PGB_REPO/test/suite.sh"

PGB_TIMEOUT=${PGB_TIMEOUT:-1800}

main()
{
	local suite way
	local ways=()

	[ "$#" -gt 0 ] || set -- regress isolation tap
	for suite in "$@"; do
		case $suite in
			regress) ways+=(regress regress-sql regress-split) ;;
			isolation) ways+=(isolation isolation-sql) ;;
			regress-default | isolation-default) ways+=("${suite%-default}") ;;
			tap) ways+=(tap) ;;
			*) pgb_die "unknown suite \"$suite\"" ;;
		esac
	done
	pgb_prepare --werror
	for way in "${ways[@]}"; do
		run_way "$way"
	done
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
