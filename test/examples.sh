#!/bin/bash
#
# examples.sh - the tests of the applications that use pg_booking (make examples).
#
# usage: test/examples.sh [django] [node] [rails] [java] [live] [cluster]
#												(default: all six)
#
# Each is an application with tables of its own, and the client that its framework's
# users have.  Its tests start a server of their own and install what is missing:
#
#	django	clients/django, the package, and examples/django-shop, which uses it
#	node	examples/node-shop
#	rails	examples/rails-shop
#	java	examples/java-shop
#	live	examples/live, in a browser
#	cluster	examples/cluster, a router and shards (as root)
#
# The last line is
#
#   N passed, N failed
#
# The exit status is 0 only if nothing failed and something passed.
#
# Environment: what test/server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"

# Print the script that tests an application.
# script_of NAME
script_of()
{
	case $1 in
		django) echo "$PGB_REPO/clients/django/test.sh" ;;
		live | cluster) echo "$PGB_REPO/examples/$1/test.sh" ;;
		node | rails | java) echo "$PGB_REPO/examples/$1-shop/test.sh" ;;
		*) pgb_die "there is no application \"$1\"" ;;
	esac
}

main()
{
	local name script

	[ "$#" -gt 0 ] || set -- django node rails java live cluster
	PGB_DIR=$(mktemp -d "${PGB_TMPDIR:-/tmp}/pgb.XXXXXX")
	for name in "$@"; do
		script=$(script_of "$name")
		add_run "$name" pgb_run "$script"
	done
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
