#!/bin/bash
#
# run.sh - tests the promises under faults (make faults).
#
# usage: test/faults/run.sh [NAME ...]		(default: all; NAME as in NN_NAME.pl)
#
# Builds pg_booking with its fault points and runs the tests in this folder.  Each
# test starts its own servers, loads them, and injects a fault many times.  After
# each fault it checks that no booking was lost, no place was sold twice, and no
# limit was exceeded (lib/Faults.pm).  The load sells events, and shows in tables under
# capacity constraints (lib/Faults/Shop.pm).  Through a router (16_router.pl) it sells only
# events.  One test, 15_sessions.pl, injects no fault: several sessions send single
# statements, and its "faults" are their waits.  Then the script prints a table with these
# columns
#
#	fault, faults injected, calls, places (that clients were told they have),
#	calls without an answer, violations, seconds
#
# and as its last line
#
#	N passed, N failed
#
# A full run in which nothing failed also writes the table "faults" of
# doc/testing.md.
#
# Environment:
#	QUICK=1     fewer rounds, in under 4 minutes instead of under 40
#	SEED=N      the seed of all that is random (default: a new one for each
#	            test; a violation is reported with its seed)
#	BOOKING_SESSIONS_SEED, BOOKING_SESSIONS_SECONDS
#	            one episode of 15_sessions.pl, and how long it runs (see there)
#	PGB_TIMEOUT the seconds that the whole run may take (default: 5400)
#	TABLES_TO   a folder: every run writes the table, into doc/testing.md below
#	            that folder (see test/lib/docs.sh)
#
# As root, the script mounts small file systems that two of the tests fill up.  It
# does so in its own mount namespace, so that none is left behind.  If it can't
# mount, these two faults are skipped.  The output and the table say so, and
# doc/testing.md is not written.

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
# shellcheck source=test/lib/docs.sh
. "$PGB_REPO/test/lib/docs.sh"

export PGB_MAKE_ARGS="FAULT_POINTS=1 ${PGB_MAKE_ARGS:-}"
PGB_TIMEOUT=${PGB_TIMEOUT:-5400}

# Mount two small file systems: one for tables, one for WAL.
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

# Let the tests drop packets (lib/Faults/Network.pm), which some kernels allow only with
# this capability.
allow_filters()
{
	local allowed=(setpriv --inh-caps=+net_admin --ambient-caps=+net_admin "${PGB_AS[@]:1}")

	if [ "${PGB_AS[0]}" = setpriv ] && "${allowed[@]}" true 2>/dev/null; then
		PGB_AS=("${allowed[@]}")
	fi
}

# Print the tests to run, as make wants them.
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

# Print the table, and the first violations.
print_table()
{
	[ -s "$BOOKING_FAULTS_TABLE" ] || return 0
	{
		printf '%s\n' "fault|faults|calls|places|no answer|violations|seconds"
		tr '\t' '|' <"$BOOKING_FAULTS_TABLE"
	} | column -t -s '|' -R 2,3,4,5,6,7
	[ ! -s "$BOOKING_FAULTS_TABLE.wrong" ] || head -n 20 "$BOOKING_FAULTS_TABLE.wrong"
}

# Print the same table for Markdown, with numbers as 1,234,567.
markdown_table()
{
	local fields i

	echo "| fault | faults | calls | places | no answer | violations | seconds |"
	echo "|---|--:|--:|--:|--:|--:|--:|"
	while IFS=$'\t' read -r -a fields; do
		for i in "${!fields[@]}"; do
			printf '| %s ' "$(with_commas "${fields[i]}")"
		done
		echo "|"
	done <"$BOOKING_FAULTS_TABLE"
}

# True if a run with these arguments is to write the table.
# writes_table [NAME ...]
writes_table()
{
	[ -n "$TABLES_TO" ] || { [ "$#" -eq 0 ] && [ -z "${QUICK:-}" ]; }
}

# True if each test was run, and none failed.
all_passed()
{
	[ "$FAILED" -eq 0 ] && ! grep -q skipped "$BOOKING_FAULTS_TABLE"
}

main()
{
	local tests

	tests=$(tests_to_run "$@")
	! writes_table "$@" || check_table doc/testing.md faults
	pgb_prepare --werror pgbouncer bsdextrautils
	describe_machine "$PGB_DIR"
	allow_filters
	if [ -n "${PGB_OWN_MOUNTS:-}" ]; then
		mount_disks
	else
		pgb_say "skipped: disks that are full ($OBSTACLE)"
	fi
	export BOOKING_FAULTS_QUICK="${QUICK:-}" BOOKING_FAULTS_SEED="${SEED:-}"
	export BOOKING_FAULTS_TABLE="$PGB_DIR/tmp/table"
	run_tap "PROVE_TESTS=$tests" PROVE_FLAGS=--timer
	print_table
	if writes_table "$@" && { [ -n "$TABLES_TO" ] || all_passed; }; then
		markdown_table | publish doc/testing.md faults
	fi
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
