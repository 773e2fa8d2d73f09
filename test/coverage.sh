#!/bin/bash
#
# coverage.sh - measures what the test suite reaches (make coverage).
#
# usage: test/coverage.sh [suite ...]		(default: all that run.sh runs)
#
# Builds pg_booking with gcov's counters and without optimization, runs
# test/run.sh, and collects the counters with lcov.  Shows for each file in src/
# how many of its lines were reached, and which were not.  Also shows each place
# that raises an error (an ereport, an elog, or a call of a function that does
# nothing else) and was never reached.  The same as web pages is in coverage/.
#
# An error that no test can raise is marked in the source, with the reason:
#
#	/* can't happen: the callers raise the others */
#	elog(ERROR, "unexpected refusal %d", refusal);
#
# Such places are listed separately.  Their lines count as not reached.
#
# The exit status is 0 only if the suite passed, at least 95 % of the lines were
# reached, every error was raised except the marked ones, and no marked one was.
#
# A run of all suites that passed also writes the table "coverage" of
# doc/testing.md.
#
# A backend writes its counters when it exits.  A backend that is ended by SIGKILL
# or an immediate stop writes none, so what only such backends run is not counted.
#
# Environment: what run.sh and server.sh read, except COPT, PGB_MAKE_ARGS and
# PGB_KEEP.  If TABLES_TO names a folder, every run writes the table, into
# doc/testing.md below that folder (see test/lib/docs.sh).

set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly REPO
readonly AT_LEAST=95	# percent of the lines
readonly REPORT="$REPO/coverage"

# shellcheck source=test/lib/docs.sh
. "$REPO/test/lib/docs.sh"

WORK=''
SUITE=''		# the process of the suite, while it runs

die()
{
	echo "coverage.sh: $*" >&2
	exit 1
}

# Run the suite, and keep the sources and the counters in $WORK.
# (COPT is PostgreSQL's variable for more flags of the compiler.  -Wno-cpp: Debian's
# flags ask for checks that need optimization, and the warning that there is none
# must not be an error.  with_llvm=no: code that was compiled just in time is not
# counted.)
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

# End the suite, if it still runs, and remove the folder.
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

# Collect the counters of src/ in $WORK/lcov.info, with the paths of the checkout.
# collect SOURCES
collect()
{
	local sources=$1 log="$WORK/lcov.log"

	lcov --capture --no-external --base-directory "$sources" \
		--directory "$sources/src" --output-file "$WORK/all.info" \
		>"$log" 2>&1 || lcov_failed "$log"
	sed "s|^SF:$sources/|SF:|" "$WORK/all.info" >"$WORK/apart.info"

	# add up the counters of a header, which has some for each file that includes it
	lcov --add-tracefile "$WORK/apart.info" --output-file "$WORK/lcov.info" \
		>"$log" 2>&1 || lcov_failed "$log"
}

# Show the table of lines.  The last line has the percentage for all files.
# show_lines INFO
show_lines()
{
	awk '
		# the numbers of lines as "3-5 9"
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
			printf "    %-32s %6d %8d %6.1f %s\n", name, lines, reached,
				lines ? 100 * reached / lines : 100, missed
		}
		BEGIN { printf "    %-32s %6s %8s %6s  %s\n",
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

# Print the functions that only raise an error, as "a|b|c".
# error_functions FILE ...
error_functions()
{
	grep -hA1 '^pg_noreturn' "$@" | grep -oE '[a-z_]+\(' | sort -u |
		tr -d '(' | paste -sd '|'
}

# Print a line for each statement that raises an error: "raised" or "never", or, if
# it is marked as one that can't happen, "did happen" or "can't happen".  The reason
# comes last.
# list_errors INFO FILE ...
list_errors()
{
	local info=$1

	shift
	awk -v names="ereport|elog|$(error_functions "$@")" '
		# (A parenthesis within a message does not count.)
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

# Show the errors.  Returns false if no error was found, if one was never raised, or
# if one was raised that is marked as impossible.
show_errors()
{
	local errors="$WORK/errors" files

	mapfile -t files < <(find src -name '*.[ch]' | sort)
	list_errors "$WORK/lcov.info" "${files[@]}" >"$errors"
	awk -F: '{ n[$1]++ }
		END { printf "==> errors: %d raised, %d never raised, %d that can\047t happen\n",
			n["raised"], n["never"], n["can\047t happen"] }' "$errors"
	sed -n "s/^can't happen: /    /p" "$errors"
	sed -n -e 's/^never: /    NEVER RAISED: /p' \
		-e 's/^did happen: /    DID HAPPEN: /p' "$errors"
	grep -q '^raised: ' "$errors" && ! grep -qE '^(never|did happen): ' "$errors"
}

# Print a table for Markdown: for each folder of src/, its lines and the lines
# reached, its errors and the errors raised, and the errors that can't happen.
markdown_table()
{
	echo "| folder | lines | reached | % | errors | raised | can't happen |"
	echo "|---|--:|--:|--:|--:|--:|--:|"
	awk '
		function folder(path) {
			sub(/[^\/]*$/, "", path)
			return path
		}
		function show(name, key) {
			printf "| %s | %d | %d | %.1f | %d | %d | %d |\n", name, lines[key],
				reached[key], lines[key] ? 100 * reached[key] / lines[key] : 100,
				raised[key] + never[key], raised[key], impossible[key]
		}
		FNR == 1 { files++ }
		files == 1 && $1 ~ /^src\// {
			key = folder($1)
			if (!(key in lines))
				names[++n] = key
			lines[key] += $2
			lines[""] += $2
			reached[key] += $3
			reached[""] += $3
		}
		files == 2 {
			kind = $0
			sub(/: .*/, "", kind)
			place = substr($0, length(kind) + 3)
			sub(/:.*/, "", place)
			for (i = 1; i <= 2; i++) {
				key = i == 1 ? folder(place) : ""
				raised[key] += kind == "raised"
				never[key] += kind == "never"
				impossible[key] += kind ~ /happen$/
			}
		}
		END {
			for (i = 1; i <= n; i++)
				show("`" names[i] "`", names[i])
			show("all", "")
		}' "$WORK/lines" "$WORK/errors"
}

# True if a run with these arguments is to write the table.
# writes_table [suite ...]
writes_table()
{
	[ "$#" -eq 0 ] || [ -n "$TABLES_TO" ]
}

main()
{
	local failed='' sources percent passed=''

	! writes_table "$@" || check_table doc/testing.md coverage
	"$REPO/test/setup.sh" lcov
	WORK=$(mktemp -d "${PGB_TMPDIR:-/tmp}/pgb-cov.XXXXXX")
	trap cleanup EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	chmod 711 "$WORK"
	describe_machine "$WORK"
	if run_suite "$@"; then
		passed=1
	else
		failed=1
	fi
	sources=$(echo "$WORK"/pgb.*/src)
	[ -d "$sources" ] || die "the suite has left no sources"

	echo "==> lines"
	collect "$sources"
	cd "$sources"
	show_lines "$WORK/lcov.info" | tee "$WORK/lines"
	percent=$(awk '$1 == "all" { print $4 }' "$WORK/lines")
	show_errors || failed=1
	if writes_table "$@" && { [ -n "$passed" ] || [ -n "$TABLES_TO" ]; }; then
		markdown_table | publish doc/testing.md coverage
	fi
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
