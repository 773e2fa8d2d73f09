#!/bin/bash
#
# run.sh - does the test suite notice when the code is wrong? (make mutants)
#
# usage: test/mutants/run.sh [NAME ...]		(default: all; NAME as in NAME.mutant)
#
# Each mutant in this folder is a small wrong change of the source (apply.pl
# describes the files).  The script puts each mutant into a copy of the checkout,
# builds it and tests it: first by the tests that the mutant names, then, if those
# notice nothing, by the whole suite, until a run fails.  Before that, the
# unchanged source must pass the same runs within the same time, because otherwise
# everything would be caught.  Then the script prints a table with these columns
#
#	mutant, what it breaks, caught by (a way of suite.sh and the tests that
#	failed, and "(time-out)" if the run had to be ended), seconds
#
# and as its last line
#
#	N passed, N failed
#
# A mutant that was caught has passed.  A mutant has failed if it was not caught,
# could not be put into the source or built, or did not change what is built.
#
# A full run also writes the table "mutants" of doc/testing.md.
#
# Environment:
#	QUICK=1		only the tests that the mutants name, and no run of the unchanged
#				source: these tests alone must catch each mutant
#	PGB_TIMEOUT	the seconds after which a run is ended and the mutant counts as
#				caught (default: 180 for the tests that it names, 900 for all)
#	TABLES_TO	a folder: every run writes the table, into doc/testing.md below that
#				folder (see test/lib/docs.sh)
# and what server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"
# shellcheck source=test/suite.sh
. "$PGB_REPO/test/suite.sh"
# shellcheck source=test/lib/docs.sh
. "$PGB_REPO/test/lib/docs.sh"

readonly MUTANTS=test/mutants

# The whole suite; the ways that fail sooner come first.
readonly WAYS=(regress isolation regress-split regress-sql isolation-sql tap)

# What a build makes and a mutant can change.
readonly PRODUCTS=(pg_booking.so pg_booking--1.0.sql)

# No code for LLVM, because that takes most of the time of a build.
export PGB_MAKE_ARGS="with_llvm=no ${PGB_MAKE_ARGS:-}"
export PGB_STEP_TIMEOUT=${PGB_STEP_TIMEOUT:-30}

TIMED_OUT=''	# set if the last run was ended
CAUGHT_BY=''	# the result of the last mutant, as the table shows it

# Run the tests in one way, quietly.  Returns false if they failed; then
# $PGB_DIR/run.log shows how.
# passes WAY [TEST ...]
passes()
{
	local PASSED=0 FAILED=0 start=$SECONDS
	local PGB_TIMEOUT=${PGB_TIMEOUT:-$(($# > 1 ? 180 : 900))}

	# the regression tests need the first one
	case $1/$# in
		*/1) ;;
		regress*) set -- "$1" setup "${@:2}" ;;
	esac
	run_way "$@" >"$PGB_DIR/run.log" 2>&1
	TIMED_OUT=''
	[ "$((SECONDS - start))" -lt "$PGB_TIMEOUT" ] || TIMED_OUT=1
	[ "$FAILED" -eq 0 ]
}

# Print the names of the tests that failed in the last run, or what else failed.
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

# Run the tests in one way.  Returns true if they failed; then CAUGHT_BY says which.
# catches WAY [TEST ...]
catches()
{
	! passes "$@" || return 1
	CAUGHT_BY="$1: $(what_failed)${TIMED_OUT:+ (time-out)}"
}

# Print what apply.pl knows of a mutant, a line each.
# show_mutant NAME
show_mutant()
{
	"$PGB_SRC/$MUTANTS/apply.pl" --show "$PGB_SRC/$MUTANTS/$1.mutant"
}

# True if the tests notice the mutant that is in the copy: first the tests given,
# then, unless QUICK is set, the whole suite.
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

# True if the copy was built to the same as the unchanged source.
builds_the_same()
{
	local file

	for file in "${PRODUCTS[@]}"; do
		cmp -s "$PGB_SRC/$file" "$PGB_DIR/unchanged/$file" || return 1
	done
}

# Put the mutant into the copy, build and test it.  CAUGHT_BY tells the result.
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
	elif builds_the_same; then
		CAUGHT_BY="DOES NOT CHANGE WHAT IS BUILT"
	else
		is_caught "$@"
		return
	fi
	return 1
}

# Test one mutant, and write its line of the table.
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
	printf '%s|%s\n' "${about[2]%% *}" "${CAUGHT_BY%%:*}" >>"$PGB_DIR/by_file"

	# (not with the old times, because make must build these files again)
	for file in ${about[2]}; do
		pgb_as cp "$PGB_DIR/unchanged/$file" "$PGB_SRC/$file"
	done
}

# The unchanged source must pass the whole suite, and also each set of tests that
# one of the mutants names.
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

# Without the last mutant, the copy must be what it was at first.  Otherwise a mutant
# was still there when the next one was tested.
check_nothing_left()
{
	if build_copy && builds_the_same; then
		return
	fi
	broke mutants "what is built without a mutant is not what was built at first"
}

print_table()
{
	{
		printf '%s\n' "mutant|breaks|caught by|seconds"
		cat "$PGB_DIR/table"
	} | column -t -s '|' -R 4
}

# Print a table for Markdown: for each source file, the number of its mutants, and
# how many were caught by which kind of test.  A mutant that changes several files
# counts for the first.
markdown_table()
{
	echo "| source file | mutants | caught | by regression tests | by specs | by TAP tests |"
	echo "|---|--:|--:|--:|--:|--:|"
	sort "$PGB_DIR/by_file" | awk -F '|' '
		function count(file, way) {
			mutants[file]++
			if (way ~ /^regress/)
				regress[file]++
			else if (way ~ /^isolation/)
				isolation[file]++
			else if (way == "tap")
				tap[file]++
		}
		function show(name, file) {
			printf "| %s | %d | %d | %d | %d | %d |\n", name, mutants[file],
				regress[file] + isolation[file] + tap[file],
				regress[file], isolation[file], tap[file]
		}
		NR > 1 && $1 != last { show("`" last "`", last) }
		{
			last = $1
			count($1, $2)
			count("", $2)
		}
		END {
			show("`" last "`", last)
			show("all", "")
		}'
}

# True if a run with these arguments is to write the table.
# writes_table [NAME ...]
writes_table()
{
	[ -n "$TABLES_TO" ] || { [ "$#" -eq 0 ] && [ -z "${QUICK:-}" ]; }
}

main()
{
	local name
	local names=("$@")

	! writes_table "$@" || check_table doc/testing.md mutants
	if [ "$#" -eq 0 ]; then
		for name in "$PGB_REPO/$MUTANTS"/*.mutant; do
			names+=("$(basename "$name" .mutant)")
		done
	fi
	for name in "${names[@]}"; do
		"$PGB_REPO/$MUTANTS/apply.pl" --show "$PGB_REPO/$MUTANTS/$name.mutant" >/dev/null ||
			pgb_die "the mutant \"$name\" can't be read"
	done
	pgb_prepare bsdextrautils
	describe_machine "$PGB_DIR"
	pgb_as cp -a "$PGB_SRC" "$PGB_DIR/unchanged"
	[ -n "${QUICK:-}" ] || test_unchanged "${names[@]}"
	for name in "${names[@]}"; do
		run_mutant "$name"
	done
	check_nothing_left
	print_table
	! writes_table "$@" || markdown_table | publish doc/testing.md mutants
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
