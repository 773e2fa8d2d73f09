#!/bin/bash
#
# run.sh - does the test suite notice when the code is wrong? (make mutants)
#
# usage: test/mutants/run.sh [NAME ...]		(default: all)
#
# Each mutant is a small wrong change of the source, in the list "mutants" beside
# this file.  Each is put into a copy of the checkout, which is built and tested:
# first by the suite that the list names, and if that notices nothing by all of
# them.  Prints for each the tests that have failed; it is not caught if none has.
# Before all of them the unchanged source has to pass.  The last line is
#
#	N passed, N failed
#
# where each mutant that was caught has passed.  About an hour on two cores.
#
# Environment: what server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"

readonly LIST="$PGB_REPO/test/mutants/mutants"
readonly APPLY="$PGB_REPO/test/mutants/apply.pl"

# Without LLVM's copy of the code, which takes most of the time to build.
export PGB_MAKE_ARGS="with_llvm=no ${PGB_MAKE_ARGS:-}"

# A test that a mutant has made hang is ended after so many seconds.
export PGB_TIMEOUT=600

# A new copy of the checkout, to be changed.
copy_sources()
{
	rm -rf "$PGB_DIR/mutant"
	mkdir "$PGB_DIR/mutant"
	tar -C "$PGB_REPO" --exclude-vcs --exclude='*.o' --exclude='*.bc' \
		--exclude='*.so' -cf - . | tar -C "$PGB_DIR/mutant" -xf -
}

# Test the copy by one suite: regress, isolation [SPEC] or tap [FILE].
test_copy()
{
	local suite=$1 one=${2:-} narrow=''

	case $suite/$one in
		isolation/?*) narrow="ISOLATION=$one" ;;
		tap/?*) narrow="PROVE_TESTS=test/t/$one.pl" ;;
	esac
	PGB_MAKE_ARGS="$PGB_MAKE_ARGS $narrow" PGB_TMPDIR="$PGB_DIR/tmp" \
		"$PGB_DIR/mutant/test/run.sh" "$suite" >"$PGB_DIR/mutant.log" 2>&1
}

# What has failed, by the log: names of tests, or what else was wrong.
what_failed()
{
	sed -nE -e 's/^ +test +([^ ]+) +\.\.\. FAILED.*/\1/p' \
		-e 's/^ +not ok [0-9]+ +[-+] ([^ ]+) .*/\1/p' \
		-e 's/^ +test\/t\/([^ ]+)\.pl +\(Wstat.*/\1/p' \
		-e 's/^ +FAILED: (.*)/\1/p' "$PGB_DIR/mutant.log" |
		sort -u | head -n 5 | paste -s -d ' '
}

# Is the mutant caught?  Prints by what.
# catch NAME SUITE
catch()
{
	local name=$1 suite=$2 try

	copy_sources
	perl "$APPLY" "$LIST" "$name" "$PGB_DIR/mutant" || return 1
	for try in "$suite" regress isolation tap; do
		# shellcheck disable=SC2086
		test_copy $try && continue
		if grep -q 'does not build' "$PGB_DIR/mutant.log"; then
			echo "does not build"
			return 1
		fi
		what_failed
		return 0
	done
	echo "NOT CAUGHT"
	return 1
}

# One mutant, and its line of the table.
run_mutant()
{
	local name=$1 suite=$2 breaks=$3 start=$SECONDS by status=0

	by=$(catch "$name" "$suite") || status=$?
	if [ "$status" -eq 0 ]; then
		PASSED=$((PASSED + 1))
	else
		FAILED=$((FAILED + 1))
	fi
	printf '%-24s %4d s  %s\n%38s%s\n' "$name" "$((SECONDS - start))" "$breaks" \
		"" "-> $by"
}

# Were it to fail without a mutant, all would be caught.
test_unchanged()
{
	local suite

	pgb_say "the unchanged source"
	copy_sources
	for suite in regress isolation tap; do
		test_copy "$suite" && continue
		tail -n 40 "$PGB_DIR/mutant.log"
		pgb_die "the unchanged source does not pass"
	done
}

main()
{
	local name suite breaks

	pgb_clean_environment
	"$PGB_REPO/test/setup.sh"
	pgb_make_folder
	[ "$#" -gt 0 ] || test_unchanged
	pgb_say "mutants"
	while IFS=$'\t' read -r name suite breaks; do
		[ "$#" -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
		run_mutant "$name" "$suite" "$breaks" </dev/null
	done < <(perl "$APPLY" "$LIST")
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
