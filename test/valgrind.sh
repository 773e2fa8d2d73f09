#!/bin/bash
#
# valgrind.sh - the test suite with every server process under valgrind (make
# valgrind).
#
# usage: test/valgrind.sh [SUITE ...]	(default: regress-default isolation-default)
#
# The server is that of debug_postgres.sh, which tells valgrind of each palloc() and
# pfree().  Only PostgreSQL's own suppressions are used.  Each error that valgrind
# finds is a failure.  SUITE is one of run.sh's, except tap: under valgrind the
# clients of the TAP tests would time out.  The last line is
#
#   N passed, N failed
#
# Environment: what run.sh, server.sh and debug_postgres.sh read.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
# shellcheck source=test/watched.sh
. "$PGB_REPO/test/watched.sh"

main()
{
	local suites=("$@") folder

	[ "$#" -gt 0 ] || suites=(regress-default isolation-default)
	export PGB_TIMEOUT=${PGB_TIMEOUT:-28800} PGB_STEP_TIMEOUT=${PGB_STEP_TIMEOUT:-600}
	PG_CONFIG=$("$PGB_REPO/test/debug_postgres.sh")
	export PG_CONFIG
	folder=${PG_CONFIG%/bin/pg_config}
	pgb_prepare --werror valgrind
	watched_prepare
	# (No leak check: a server frees its memory by ending.)
	watched_wrap valgrind --quiet --leak-check=no --gen-suppressions=all \
		--trace-children=yes --num-callers=30 \
		--suppressions="$folder/share/valgrind.supp" \
		--log-file="$WATCHED_REPORTS/%p"
	watched_must_find faulty_branch 'Conditional jump or move depends on uninit'
	watched_must_find faulty_free 'Invalid read of size 4'
	watched_run "the test suite under valgrind" "${suites[@]}"
	watched_end
}

main "$@"
