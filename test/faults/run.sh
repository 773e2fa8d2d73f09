#!/bin/bash
#
# run.sh - the promises under faults (make faults).
#
# usage: test/faults/run.sh [NAME ...]		(default: all; NAME as in NN_NAME.pl)
#
# Builds pg_booking with its fault points and runs the tests in this folder, each
# of which makes its own servers, loads them, injects a fault many times and
# checks after each that nothing was lost, nothing sold twice and no limit passed
# (lib/Faults.pm).  Then prints a table
#
#	fault, faults injected, calls, bookings acknowledged (places that a client
#	was told it has), calls without an answer, violations, seconds
#
# and as its last line
#
#	N passed, N failed
#
# Environment:
#	QUICK=1     fewer rounds, in under 4 minutes instead of under 40
#	SEED=N      the seed of all that is random (default: a new one for each
#	            test; a violation tells the one it was found with)
#
#	PGB_TIMEOUT the seconds that all of it may take (default: 5400)
#
# As root, small file systems are mounted to be filled up, in a mount namespace
# of their own, so that none is left behind.  Where that can't be, these two faults
# are skipped, as a line and the table say.

set -euo pipefail

# shellcheck source=test/mounts.sh
. "$(dirname "${BASH_SOURCE[0]}")/../mounts.sh"
# shellcheck disable=SC2119
if [ -z "${PGB_OWN_MOUNTS:-}" ] && find_unshare; then
	PGB_OWN_MOUNTS=1 exec "${UNSHARE[@]}" "$0" "$@"
fi

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"

export PGB_MAKE_ARGS="FAULT_POINTS=1 ${PGB_MAKE_ARGS:-}"
PGB_TIMEOUT=${PGB_TIMEOUT:-5400}

# Two file systems to be filled up: one for tables, one for WAL.
mount_disks()
{
	local disk

	export BOOKING_FAULTS_DISKS="$PGB_DIR/disks"
	for disk in data wal; do
		mkdir -p "$BOOKING_FAULTS_DISKS/$disk"
		mount -t tmpfs -o size=160m,mode=1777 tmpfs "$BOOKING_FAULTS_DISKS/$disk"
	done
	trap 'umount -l "$BOOKING_FAULTS_DISKS"/* || true; pgb_cleanup' EXIT
}

# The tests to run, as make wants them.
tests_to_run()
{
	local name

	cd "$PGB_REPO"
	[ "$#" -gt 0 ] || set -- '*'
	for name in "$@"; do
		compgen -G "test/faults/[0-9][0-9]_$name.pl" ||
			pgb_die "there is no test/faults/NN_$name.pl"
	done | sort | tr '\n' ' '
}

print_table()
{
	[ -s "$BOOKING_FAULTS_TABLE" ] || return 0
	{
		printf '%s\n' "fault|faults|calls|bookings|no answer|violations|seconds"
		tr '\t' '|' <"$BOOKING_FAULTS_TABLE"
	} | column -t -s '|' -R 2,3,4,5,6,7
}

main()
{
	local tests

	tests=$(tests_to_run "$@")
	pgb_prepare --werror pgbouncer bsdextrautils
	if [ -n "${PGB_OWN_MOUNTS:-}" ]; then
		mount_disks
	else
		pgb_say "skipped: disks that are full ($OBSTACLE)"
	fi
	export BOOKING_FAULTS_QUICK="${QUICK:-}" BOOKING_FAULTS_SEED="${SEED:-}"
	export BOOKING_FAULTS_TABLE="$PGB_DIR/tmp/table"
	run_tap "PROVE_TESTS=$tests" PROVE_FLAGS=--timer
	print_table
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
