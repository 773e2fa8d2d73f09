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
# What can't be reached by any test is marked in the source, with its reason:
#
#	/* LCOV_EXCL_START: can't happen, for the caller has ... */
#	elog(ERROR, "unexpected result %d", result);
#	/* LCOV_EXCL_STOP */
#
# Such places are not counted, but listed.  One without a reason is an error.
#
# The exit status is 0 only if the suite passed, at least 95 % of the lines were
# reached, and every error was raised.
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
	COPT='-O0 --coverage -Wno-cpp' PGB_MAKE_ARGS='with_llvm=no' \
		PGB_TMPDIR="$WORK" PGB_KEEP=1 "$REPO/test/run.sh" "$@"
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

# Every statement that raises an error, a line each: "reached", "never" or
# "excluded", and where it is.  Excluded is one without a line that was counted.
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
		FNR == NR && /^SF:/ { file = substr($0, 4) }
		FNR == NR && /^DA:/ {
			split(substr($0, 4), field, ",")
			count[file, field[1] + 0] = field[2]
		}
		FNR == NR { next }
		!open && $0 ~ "^[ \t]+(" names ")\\(" {
			first = FNR
			text = ""
			open = 1
		}
		open {
			text = text $0
			if ((FILENAME, FNR) in count) {
				counted = 1
				if (count[FILENAME, FNR] > 0)
					reached = 1
			}
			if (depth(text) == 0) {
				gsub(/[ \t]+/, " ", text)
				if (text !~ /^ (ereport|elog)/ ||
					text ~ /^ [a-z]+\((ERROR|FATAL|PANIC),/)
					print (reached ? "reached" : counted ? "never" : "excluded"),
						FILENAME ":" first ":" text
				open = counted = reached = 0
			}
		}' "$info" "$@"
}

# The places that are not counted, each with its reason.
list_excluded()
{
	awk '
		/LCOV_EXCL_(START|LINE)/ { inside = 1; text = ""; first = FNR }
		inside {
			line = $0
			gsub(/^[ \t]*(\/\*|\*)?[ \t]*|[ \t]*\*\/.*$/, "", line)
			text = text (text == "" ? "" : " ") line
		}
		inside && /\*\// {
			sub(/^.*LCOV_EXCL_(START|LINE):?[ \t]*/, "", text)
			print FILENAME ":" first ": " text
			inside = 0
		}' "$@"
}

# Show the errors; false: one was never raised, or they were not found at all.
show_errors()
{
	local errors="$WORK/errors"

	list_errors "$WORK/lcov.info" src/*.c src/*.h >"$errors"
	awk '{ n[$1]++ }
		END { printf "==> errors: %d raised, %d never raised, %d excluded\n",
			n["reached"], n["never"], n["excluded"] }' "$errors"
	sed -n 's/^never /    NEVER RAISED: /p' "$errors"
	grep -q '^reached ' "$errors" && ! grep -q '^never ' "$errors"
}

# Show what is excluded; false: a place has no reason.
show_excluded()
{
	local excluded="$WORK/excluded"

	list_excluded src/*.c src/*.h >"$excluded"
	[ -s "$excluded" ] || return 0
	echo "==> excluded"
	sed 's/^/    /' "$excluded"
	if grep -vE ": can't happen, .{10}" "$excluded" | sed 's/^/    NO REASON: /' |
		grep .; then
		return 1
	fi
}

main()
{
	local failed='' sources percent

	"$REPO/test/setup.sh" lcov
	WORK=$(mktemp -d "${PGB_TMPDIR:-/tmp}/pgb-cov.XXXXXX")
	trap 'cd /; rm -rf "$WORK"' EXIT
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
	show_excluded || failed=1
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
