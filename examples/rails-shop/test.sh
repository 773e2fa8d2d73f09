#!/bin/bash
#
# test.sh - runs the tests of the Rails shop, on a server of its own.
#
# It copies the shop to a temporary folder.  It migrates the development database,
# which writes db/structure.sql, and makes the test database from that.  Then it runs
# `rails test`.  What it needs and promises is in test/server.sh.  The last line is
#
#	N passed, N failed

# (SC2119: a function with optional arguments, called without.)
# shellcheck disable=SC2119

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../test/server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"

export PGB_TIMEOUT=${PGB_TIMEOUT:-300}

# Run a command of Rails, and show its output only if it fails.
rails_step()
{
	local log="$PGB_DIR/step.log"

	pgb_say "rails $*"
	pgb_run ruby bin/rails "$@" >"$log" 2>&1 || pgb_step_failed "rails $*: failed" "$log"
}

# Run the tests, and count them.
# (A test that fails in two ways is a failure or an error, never both.)
rails_test()
{
	local log="$PGB_DIR/test.log" status=0 start=$SECONDS
	local runs='' failures='' errors='' skips=''

	pgb_say "rails test"
	pgb_run ruby bin/rails test >"$log" 2>&1 || status=$?
	read -r runs failures errors skips < <(sed -nE \
		's/^([0-9]+) runs, .* ([0-9]+) failures, ([0-9]+) errors, ([0-9]+) skips$/\1 \2 \3 \4/p' \
		"$log") || true
	failures=$((${failures:-0} + ${errors:-0}))
	add_runner "rails test" "$status" "$((${runs:-0} - failures - ${skips:-0}))" \
		"$failures" "$((SECONDS - start))" "$log"
}

main()
{
	pgb_prepare ruby-activerecord ruby-actionpack ruby-railties ruby-pg puma
	pgb_start
	unset PGDATABASE
	pgb_as cp -R "$PGB_SRC/examples/rails-shop" "$PGB_DIR/shop"
	cd "$PGB_DIR/shop"
	rails_step db:create
	rails_step db:migrate
	rails_step db:test:prepare
	rails_test
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
