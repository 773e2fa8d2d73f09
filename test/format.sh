#!/bin/bash
#
# format.sh - the format of the C source (make format, make check-format).
#
# usage: test/format.sh [--check] file ...
#
# clang-format decides, with the settings in .clang-format, except:
#
# - Blanks within a line stay as they are.  pgindent lines up declared names and
#   comments in PostgreSQL's sources, and clang-format can't.  The blanks just inside
#   of braces stay, too, and those at the start of the second and later lines of a
#   declaration or a comment.
# - A line of more than 80 columns is broken, unless it has a string, because a search
#   would not find a message that is broken.  Comments are not broken, but with --check
#   a long one is an error, too.
#
# With --check no file is written.  The changes are shown, and the exit status is 1
# if there is any.

set -euo pipefail

readonly CLANG_FORMAT=${CLANG_FORMAT:-clang-format-14}
readonly COLUMNS_AT_MOST=80

# Print the lines of a file in the form in which they are compared.  Within a line,
# several blanks count as one.  So they do at the start of a line that continues a
# comment or a declaration with a value.  Blanks just inside of braces don't count.
normalize()
{
	awk '{
			if (inside)
				sub(/^[ \t]+/, " ")
			else if (/^[ \t]+([A-Za-z_][A-Za-z_0-9]*[ \t]+[*]*)+[A-Za-z_][A-Za-z_0-9]*[ \t]*=/)
				inside = 1
			if (/[;{]$/ || /\*\/$/ || /^$/)
				inside = 0
			print
		}' "$1" |
		sed -E -e 's/^[[:blank:]]+(\*([[:blank:]/]|$))/ \1/' \
			-e 's/([^[:blank:]])[[:blank:]]+/\1 /g' -e 's/ $//' \
			-e 's/\{ /{/g' -e 's/ \}/}/g'
}

# Print the numbers of the lines that are too long.
long_lines()
{
	expand -t 4 "$1" |
		awk -v most="$COLUMNS_AT_MOST" 'length > most && !/"/ { print NR }'
}

# Break the lines of a file that are too long.
break_long_lines()
{
	local lines=() line

	while IFS= read -r line; do
		lines+=("--lines=$line:$line")
	done < <(long_lines "$1")
	[ "${#lines[@]}" -eq 0 ] ||
		"$CLANG_FORMAT" --style="file:$WORK/narrow" "${lines[@]}" -i "$1"
}

# Print file OLD.  Where the files differ in more than blanks, print the lines of NEW
# instead.
# merge OLD NEW
merge()
{
	diff <(normalize "$1") <(normalize "$2") >"$WORK/hunks" || true
	awk -v old="$1" -v new="$2" '
		function copy(from, to) {
			while (at < from - 1) { getline line < old; at++ }
			while (at < to) { getline line < old; at++; print line }
		}
		BEGIN { while ((getline line < new) > 0) replacement[++n] = line }
		/^[0-9]/ {
			# "12,14c13,15", "12d11" or "12a13"
			kind = $0; gsub(/[0-9,]/, "", kind)
			split($0, side, kind)
			m = split(side[1], a, ","); first = a[1]; last = m > 1 ? a[2] : a[1]
			m = split(side[2], b, ","); from = b[1]; to = m > 1 ? b[2] : b[1]
			copy(done + 1, kind == "a" ? first : first - 1)
			done = kind == "a" ? first : last
			if (kind != "d")
				for (i = from; i <= to; i++) print replacement[i]
		}
		END {
			copy(done + 1, done)
			while ((getline line < old) > 0) print line
		}' "$WORK/hunks"
}

# Print a file in the right format.
formatted()
{
	cp "$1" "$WORK/broken.c"
	break_long_lines "$WORK/broken.c"
	"$CLANG_FORMAT" --style="file:$STYLE" "$WORK/broken.c" >"$WORK/formatted.c"
	merge "$WORK/broken.c" "$WORK/formatted.c"
}

# Show what is wrong with a file, of which $WORK/result is the right format.
check()
{
	local file=$1 line status=0

	diff -u --label "$file" --label "$file, formatted" "$file" "$WORK/result" ||
		status=1
	while IFS= read -r line; do
		echo "$file:$line: more than $COLUMNS_AT_MOST columns"
		status=1
	done < <(long_lines "$WORK/result")
	return "$status"
}

main()
{
	local check='' file status=0

	command -v "$CLANG_FORMAT" >/dev/null || {
		echo "There is no $CLANG_FORMAT. On Debian install the package clang-format-14." >&2
		exit 1
	}
	if [ "${1:-}" = --check ]; then
		check=1
		shift
	fi
	for file in "$@"; do
		formatted "$file" >"$WORK/result"
		if [ -n "$check" ]; then
			check "$file" || status=1
		elif ! cmp -s "$WORK/result" "$file"; then
			cat "$WORK/result" >"$file"
		fi
	done
	return "$status"
}

STYLE="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.clang-format"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
sed "s/^ColumnLimit:.*/ColumnLimit: $COLUMNS_AT_MOST/" "$STYLE" >"$WORK/narrow"
main "$@"
