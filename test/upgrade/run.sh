#!/bin/bash
#
# run.sh - pg_upgrade from an older PostgreSQL, with data (part of make matrix).
#
# Builds pg_booking for this machine's PostgreSQL and for an older one, of the given
# major version.  Then it runs the tests in this folder, which upgrade a cluster from
# the older to the newer one.  The last line is
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
