#!/bin/bash
#
# run.sh - pg_upgrade from an older PostgreSQL, with data (part of make matrix).
#
# usage: test/upgrade/run.sh MAJOR
#
# Builds pg_booking for the PostgreSQL of this machine and for the older one whose
# major version is given, and runs the tests in this folder, which upgrade a
# cluster from that one to this.  The last line is
#
#	N passed, N failed
#
# Environment: what server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"

PGB_TIMEOUT=${PGB_TIMEOUT:-1800}

main()
{
	[ "$#" -eq 1 ] || pgb_die "which older version?"
	pgb_prepare --werror
	pgb_prepare_older "$1"
	run_tap "PROVE_TESTS=test/upgrade/*.pl"
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
