#!/bin/bash
#
# asserts.sh - the test suite on a PostgreSQL with assertions (make asserts).
#
# usage: test/asserts.sh [regress] [isolation] [tap]	(default: all three)
#
# The server is that of debug_postgres.sh.  It and pg_booking check their assertions,
# and the server overwrites memory that is freed.
#
# After the suite the regression tests run once more, with default settings and
# debug_discard_caches = 1.  Then a session discards its caches of the catalogs
# wherever an invalidation could arrive.  Code that still uses an entry after that
# reads freed memory.  This takes hours; WITHOUT_DISCARD=1 leaves it out.
#
# The last line is
#
#   N passed, N failed
#
# Environment: WITHOUT_DISCARD, and what run.sh, server.sh and debug_postgres.sh read.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
# shellcheck source=test/watched.sh
. "$PGB_REPO/test/watched.sh"

# Check that the server has assertions and can discard its caches.
check_server()
{
	pgb_start --cluster checked 'fsync = off' 'debug_discard_caches = 1'
	[ "$(pgb_psql -c 'SHOW debug_assertions')" = on ] ||
		pgb_die "the server has no assertions"
	[ "$(pgb_psql -c 'SHOW debug_discard_caches')" = 1 ] ||
		pgb_die "the server does not discard its caches"
	pgb_stop
}

main()
{
	local suites=("$@")

	[ "$#" -gt 0 ] || suites=(regress isolation tap)
	export PGB_TIMEOUT=${PGB_TIMEOUT:-28800}
	PG_CONFIG=$("$PGB_REPO/test/debug_postgres.sh")
	export PG_CONFIG
	pgb_prepare --werror
	watched_prepare
	check_server
	watched_must_find faulty_assertion 'TRAP: '
	watched_run "the test suite with assertions" "${suites[@]}"
	if [ -z "${WITHOUT_DISCARD:-}" ]; then
		export PGB_CONF='debug_discard_caches = 1'
		watched_run "the regression tests with caches discarded" regress-default
	fi
	watched_end
}

main "$@"
