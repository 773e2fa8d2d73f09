#!/bin/bash
#
# coverage.sh - what the test suite reaches (make coverage).
#
# usage: test/coverage.sh [suite ...]		(default: all that run.sh runs)
#
# Builds pg_booking with gcov's counters and without optimization, runs
# test/run.sh, and collects with lcov what was reached.  Shows for each file in
# src/ how many of its lines were, and which were not, and every place that
# raises an error (an ereport, an elog, a call of one of the functions that do
# nothing else) and never did.  The same as web pages is left in coverage/.
#
# An error that no test can raise is marked in the source, with the reason:
#
#	/* can't happen: the callers raise the others */
#	elog(ERROR, "unexpected refusal %d", refusal);
#
# Such places are listed apart; their lines count as not reached.
#
# The exit status is 0 only if the suite passed, at least 95 % of the lines were
# reached, and every error was raised but those marked, of which none was.
#
# A backend writes its counters when it exits.  One that is ended at once, by
# SIGKILL or an immediate stop, writes none: what only such backends have run
# is not counted.
#
# Environment: what run.sh and server.sh read, but for COPT, PGB_MAKE_ARGS and
# PGB_KEEP.

set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly REPO
readonly AT_LEAST=95	# per cent of the lines
readonly REPORT="$REPO/coverage"

WORK=''
SUITE=''		# the process of the suite, while it runs

die()
{
	echo "coverage.sh: $*" >&2
	exit 1
}

# Run the suite, and leave what it was built from and what it counted in $WORK.
# (COPT is PostgreSQL's own variable for further flags of the compiler.  Debian
# asks for checks that need optimization: the warning that there is none is not
# an error.  Code that was compiled just in time would not be counted.)
run_suite()
{
	local status=0

	COPT='-O0 --coverage -Wno-cpp' PGB_MAKE_ARGS='with_llvm=no' \
		PGB_TMPDIR="$WORK" PGB_KEEP=1 "$REPO/test/run.sh" "$@" &
	SUITE=$!
	wait "$SUITE" || status=$?
	SUITE=''
	return "$status"
}

# However this script ends, so does the suite, and nothing is left.
cleanup()
{
	trap '' HUP INT TERM
	if [ -n "$SUITE" ]; then
		kill -TERM "$SUITE" 2>/dev/null || true
		wait "$SUITE" || true
	fi
	cd /
	rm -rf "$WORK"
}

lcov_failed()
{
	cat "$1" >&2
	die "lcov failed"
}

# Collect the counters of src/ into $WORK/lcov.info, with the paths as in the
# checkout.
collect()
{
	local sources=$1 log="$WORK/lcov.log"

	lcov --capture --no-external --base-directory "$sources" \
		--directory "$sources/src" --output-file "$WORK/all.info" \
		>"$log" 2>&1 || lcov_failed "$log"
	sed "s|^SF:$sources/|SF:|" "$WORK/all.info" >"$WORK/apart.info"

	# a header has been counted apart for each file that includes it
	lcov --add-tracefile "$WORK/apart.info" --output-file "$WORK/lcov.info" \
		>"$log" 2>&1 || lcov_failed "$log"
}

# The table of lines.  The last line has the per cent of all.
show_lines()
{
	awk '
		# Lines as "3-5 9".
		function ranges(list, n,    i, first, text) {
			for (i = 1; i <= n; i = i + 1) {
				first = list[i]
				while (i < n && list[i + 1] == list[i] + 1)
					i++
				text = text " " first (list[i] > first ? "-" list[i] : "")
			}
			return text
		}
		function show(name, lines, reached, missed) {
			printf "    %-24s %6d %8d %6.1f %s\n", name, lines, reached,
				lines ? 100 * reached / lines : 100, missed
		}
		BEGIN { printf "    %-24s %6s %8s %6s  %s\n",
				"file", "lines", "reached", "%", "not reached" }
		/^SF:/ { file = substr($0, 4); lines = missed = 0 }
		/^DA:/ {
			split(substr($0, 4), field, ",")
			lines++
			if (field[2] == 0)
				list[++missed] = field[1] + 0
		}
		/^end_of_record/ {
			show(file, lines, lines - missed, ranges(list, missed))
			all += lines
			all_missed += missed
		}
		END { show("all", all, all - all_missed, "") }' "$1"
}

# The functions that do nothing but raise an error, as "a|b|c".
error_functions()
{
	grep -hA1 '^pg_noreturn' "$@" | grep -oE '[a-z_]+\(' | sort -u |
		tr -d '(' | paste -sd '|'
}

# Every statement that raises an error, a line each: "raised" or "never", or, if
# it is marked as one that can't happen, "did happen" or "can't happen", the
# reason last.
list_errors()
{
	local info=$1

	shift
	awk -v names="ereport|elog|$(error_functions "$@")" '
		# (A parenthesis in a message closes nothing.)
		function depth(text) {
			gsub(/"([^"\\]|\\.)*"/, "", text)
			return gsub(/\(/, "(", text) - gsub(/\)/, ")", text)
		}
		function show() {
			if (reason)
				print (raised ? "did happen" : "can\047t happen") ": " \
					place ":" text " (" reason ")"
			else
				print (raised ? "raised" : "never") ": " place ":" text
		}
		FNR == NR && /^SF:/ { file = substr($0, 4) }
		FNR == NR && /^DA:/ {
			split(substr($0, 4), field, ",")
			count[file, field[1] + 0] = field[2]
		}
		FNR == NR { next }
		!open && $0 ~ "^[ \t]+(" names ")\\(" {
			place = FILENAME ":" FNR
			text = ""
			raised = 0
			open = 1
		}
		open {
			text = text $0
			if (count[FILENAME, FNR] > 0)
				raised = 1
			if (depth(text) == 0) {
				gsub(/[ \t]+/, " ", text)
				if (text !~ /^ (ereport|elog)/ ||
					text ~ /^ [a-z]+\((ERROR|FATAL|PANIC),/)
					show()
				open = 0
			}
		}
		!open {
			reason = ""
			if (match($0, /\/\* can\047t happen: .* \*\/$/))
				reason = substr($0, RSTART + 17, RLENGTH - 20)
		}' "$info" "$@"
}

# Show the errors; false: one was not raised, or was though it can't be, or they
# were not found at all.
show_errors()
{
	local errors="$WORK/errors"

	list_errors "$WORK/lcov.info" src/*.c src/*.h >"$errors"
	awk -F: '{ n[$1]++ }
		END { printf "==> errors: %d raised, %d never raised, %d that can\047t happen\n",
			n["raised"], n["never"], n["can\047t happen"] }' "$errors"
	sed -n "s/^can't happen: /    /p" "$errors"
	sed -n -e 's/^never: /    NEVER RAISED: /p' \
		-e 's/^did happen: /    DID HAPPEN: /p' "$errors"
	grep -q '^raised: ' "$errors" && ! grep -qE '^(never|did happen): ' "$errors"
}

main()
{
	local failed='' sources percent

	"$REPO/test/setup.sh" lcov
	WORK=$(mktemp -d "${PGB_TMPDIR:-/tmp}/pgb-cov.XXXXXX")
	trap cleanup EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	chmod 711 "$WORK"
	run_suite "$@" || failed=1
	sources=$(echo "$WORK"/pgb.*/src)
	[ -d "$sources" ] || die "the suite has left nothing to look at"

	echo "==> lines"
	collect "$sources"
	cd "$sources"
	show_lines "$WORK/lcov.info" | tee "$WORK/lines"
	percent=$(awk '$1 == "all" { print $4 }' "$WORK/lines")
	show_errors || failed=1
	rm -rf "$REPORT"
	genhtml --quiet --title pg_booking --output-directory "$REPORT" \
		"$WORK/lcov.info"
	echo "==> report: $REPORT/index.html"

	if awk "BEGIN { exit !($percent < $AT_LEAST) }"; then
		echo "    FAILED: $percent % of the lines reached, not $AT_LEAST %"
		failed=1
	fi
	[ -z "$failed" ]
}

main "$@"
