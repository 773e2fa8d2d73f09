#!/bin/bash
#
# test.sh - runs the tests of the Node shop, on a server of its own.
#
# It copies the shop to a temporary folder and installs its packages there.  It
# migrates an empty database by drizzle-kit, and runs node's test runner.  What it
# needs and promises is in test/server.sh.  The last line is
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

# Run a command, and show its output only if it fails.
# step WHAT COMMAND ...
step()
{
	local log="$PGB_DIR/step.log"

	pgb_say "$1"
	pgb_run "${@:2}" >"$log" 2>&1 || pgb_step_failed "$1: failed" "$log"
}

main()
{
	local packages=(nodejs) log status=0 passed failed start

	# (Other packages of node than Debian's have npm in them.)
	command -v npm >/dev/null || packages+=(npm)
	pgb_prepare "${packages[@]}"
	pgb_start
	pgb_as createdb shop

	pgb_as cp -R "$PGB_SRC/examples/node-shop" "$PGB_DIR/shop"
	cd "$PGB_DIR/shop"
	step "installing the shop's packages" npm ci --ignore-scripts --no-audit --no-fund
	export PGDATABASE=shop DRIZZLE_OUT="$PGB_DIR/pulled"
	export DATABASE_URL="postgresql://postgres@${PGHOST//\//%2F}:$PGPORT/shop"
	step "migrating" npm run --silent migrate

	pgb_say "node --test"
	log="$PGB_DIR/test.log"
	start=$SECONDS
	pgb_run node --test --test-reporter=tap >"$log" 2>&1 || status=$?
	passed=$(sed -nE 's/^# pass ([0-9]+)$/\1/p' "$log")
	failed=$(awk '/^# (fail|cancelled) [0-9]+$/ { n += $3 } END { print n + 0 }' "$log")
	add_runner "node --test" "$status" "$passed" "$failed" "$((SECONDS - start))" "$log"
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
