#!/bin/bash
#
# run.sh - does the test suite notice when the code is wrong? (make mutants)
#
# usage: test/mutants/run.sh [NAME ...]		(default: all; NAME as in NAME.mutant)
#
# Each mutant in this folder is a small wrong change of the source (apply.pl tells
# how it is written).  Each is put into a copy of the checkout, built and tested:
# first by the tests that it names, and where those notice nothing by the whole
# suite, until a run fails.  Before all of them the unchanged source has to pass
# the same runs within the same time, or everything would be caught.  Then prints
# a table
#
#	mutant, what it breaks, caught by (a way of suite.sh's and the tests that
#	failed, or "(time-out)" of a run that had to be ended), seconds
#
# and as its last line
#
#	N passed, N failed
#
# where each mutant that was caught has passed.  One that is not, or that can't be
# put into the source or built, has failed.
#
# Environment:
#	QUICK=1		only the tests that the mutants name, each of which has to do; and
#				no run of the unchanged source
#	PGB_TIMEOUT	the seconds after which a run is ended, and the mutant caught
#				(default: 180 for the tests that it names, 900 for all)
# and what server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"
# shellcheck source=test/suite.sh
. "$PGB_REPO/test/suite.sh"

readonly MUTANTS=test/mutants

# The whole suite, what fails sooner first.
readonly WAYS=(regress isolation regress-split regress-sql isolation-sql tap)

# Without the compiler's copy for LLVM, which takes most of the time of a build.
export PGB_MAKE_ARGS="with_llvm=no ${PGB_MAKE_ARGS:-}"
export PGB_STEP_TIMEOUT=${PGB_STEP_TIMEOUT:-30}

TIMED_OUT=''	# was the last run ended?

# Run the tests in one way, quietly; false: they failed, and $PGB_DIR/run.log
# says how.
# passes WAY [TEST ...]
passes()
{
	local PASSED=0 FAILED=0 start=$SECONDS
	local PGB_TIMEOUT=${PGB_TIMEOUT:-$(($# > 1 ? 180 : 900))}

	# the tests build upon the first
	case $1/$# in
		*/1) ;;
		regress*) set -- "$1" setup "${@:2}" ;;
	esac
	run_way "$@" >"$PGB_DIR/run.log" 2>&1
	TIMED_OUT=''
	[ "$((SECONDS - start))" -lt "$PGB_TIMEOUT" ] || TIMED_OUT=1
	[ "$FAILED" -eq 0 ]
}

# What failed in the last run: the tests, or what else was wrong.
what_failed()
{
	local names

	names=$(sed -nE -e 's/^ +(test +)?([^ ]+) +\.\.\. FAILED.*/\2/p' \
		-e 's/^ +not ok [0-9]+ +[-+] +([^ ]+) .*/\1/p' \
		-e 's/^ +test\/t\/([^ ]+)\.pl +\(Wstat: .*/\1/p' "$PGB_DIR/run.log" |
		sort -u | paste -s -d ' ')
	[ -n "$names" ] ||
		names=$(sed -nE 's/^ +FAILED: .*: (.*)/\1/p' "$PGB_DIR/run.log" | head -n 1)
	echo "$names"
}

# Run the tests in one way; where they fail, CAUGHT_BY says so.
# catches WAY [TEST ...]
catches()
{
	! passes "$@" || return 1
	CAUGHT_BY="$1: $(what_failed)${TIMED_OUT:+ (time-out)}"
}

# What apply.pl tells of a mutant, a line each.
show_mutant()
{
	"$PGB_SRC/$MUTANTS/apply.pl" --show "$PGB_SRC/$MUTANTS/$1.mutant"
}

# Look for the mutant that is in the copy, first by the tests given.
# is_caught WAY TEST ...
is_caught()
{
	local way

	catches "$@" && return
	if [ -z "${QUICK:-}" ]; then
		for way in "${WAYS[@]}"; do
			catches "$way" && return
		done
	fi
	CAUGHT_BY="NOT CAUGHT"
	return 1
}

# Build the copy as it is now, and install it.
build_copy()
{
	pgb_make -s "-j$(nproc)" >"$PGB_DIR/build.log" 2>&1 && pgb_install
}

# Put the mutant into the copy, build and test it; CAUGHT_BY says what came of it.
# try_mutant NAME TEST ...
try_mutant()
{
	local mutant="$PGB_SRC/$MUTANTS/$1.mutant"

	shift
	if ! pgb_as "$PGB_SRC/$MUTANTS/apply.pl" --apply "$PGB_SRC" "$mutant" 2>&8; then
		CAUGHT_BY="CAN'T BE PUT INTO THE SOURCE"
	elif ! build_copy; then
		show "$PGB_DIR/build.log" 20
		CAUGHT_BY="DOES NOT BUILD"
	else
		is_caught "$@"
		return
	fi
	return 1
}

# One mutant, and its line of the table.
run_mutant()
{
	local name=$1 start=$SECONDS file
	local about tests

	mapfile -t about < <(show_mutant "$name")
	read -r -a tests <<<"${about[1]}"
	pgb_say "$name"
	if try_mutant "$name" "${tests[@]}"; then
		PASSED=$((PASSED + 1))
	else
		FAILED=$((FAILED + 1))
	fi
	echo "    $CAUGHT_BY ($((SECONDS - start)) s)"
	printf '%s|%s|%s|%s\n' "$name" "${about[0]}" "$CAUGHT_BY" \
		"$((SECONDS - start))" >>"$PGB_DIR/table"

	for file in ${about[2]}; do
		pgb_as cp "$PGB_DIR/unchanged/$file" "$PGB_SRC/$file"
	done
}

# The unchanged source has to pass all of the suite, and by themselves each of the
# sets of tests that the mutants given name.
# test_unchanged NAME ...
test_unchanged()
{
	local run name
	local runs=() tests=()

	mapfile -t runs < <(printf '%s\n' "${WAYS[@]}"
		for name in "$@"; do
			show_mutant "$name" | sed -n 2p
		done | sort -u)
	for run in "${runs[@]}"; do
		read -r -a tests <<<"$run"
		pgb_say "unchanged: $run"
		passes "${tests[@]}" && continue
		cat "$PGB_DIR/run.log"
		pgb_die "the unchanged source does not pass: $run"
	done
}

print_table()
{
	{
		printf '%s\n' "mutant|breaks|caught by|seconds"
		cat "$PGB_DIR/table"
	} | column -t -s '|' -R 4
}

main()
{
	local name

	if [ "$#" -eq 0 ]; then
		for name in "$PGB_REPO/$MUTANTS"/*.mutant; do
			set -- "$@" "$(basename "$name" .mutant)"
		done
	fi
	for name in "$@"; do
		[ -e "$PGB_REPO/$MUTANTS/$name.mutant" ] ||
			pgb_die "there is no $MUTANTS/$name.mutant"
	done
	pgb_prepare bsdextrautils
	pgb_as cp -a "$PGB_SRC" "$PGB_DIR/unchanged"
	[ -n "${QUICK:-}" ] || test_unchanged "$@"
	for name in "$@"; do
		run_mutant "$name"
	done
	print_table
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
