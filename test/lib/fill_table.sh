#!/bin/bash
#
# fill_table.sh - puts a table of figures into a document.
#
# usage: test/lib/fill_table.sh FILE NAME <table
#        test/lib/fill_table.sh --check FILE NAME
#
# Replaces the lines between these two lines of a Markdown file with what it
# reads, and leaves the rest of the file as it is:
#
#	<!-- begin: NAME -->
#	<!-- end: NAME -->
#
# Each of the two stands in the file once, on a line of its own.  If not, or if
# there is nothing to read, the script fails and the file stays as it was.  With
# --check it only looks whether the two lines are there.
#
# FILE is a path below the top of the checkout.  If the variable TABLES_TO names a
# folder, it is a path below that folder instead: so the scripts that call this
# one can be tried out without a change to the documents.

set -euo pipefail

TABLES_TO=${TABLES_TO:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
WORK=''

die()
{
	echo "fill_table.sh: $*" >&2
	exit 1
}

# The file, with the lines between the markers replaced by those of the table.
# Exits with 1 if the markers are not there once each, and in this order.
# filled FILE NAME TABLE
filled()
{
	awk -v begin="<!-- begin: $2 -->" -v end="<!-- end: $2 -->" -v table="$3" '
		{
			text = $0
			sub(/[ \t\r]+$/, "", text)
		}
		text == end {
			if (!inside)
				bad = 1
			inside = 0
			ends++
		}
		!inside { print }
		text == begin {
			if (inside)
				bad = 1
			inside = 1
			begins++
			print ""
			while ((getline line <table) > 0)
				print line
			close(table)
			print ""
		}
		END { exit bad || begins != 1 || ends != 1 }' "$1"
}

main()
{
	local check='' file name

	if [ "${1:-}" = --check ]; then
		check=1
		shift
	fi
	[ "$#" -eq 2 ] || die "usage: fill_table.sh [--check] FILE NAME"
	file="$TABLES_TO/$1" name=$2
	[ -f "$file" ] || die "there is no file $1 in $TABLES_TO"
	WORK=$(mktemp -d)
	trap 'rm -rf "$WORK"' EXIT

	if [ -z "$check" ]; then
		cat >"$WORK/table"
		grep -q '[^[:space:]]' "$WORK/table" || die "no table was given for \"$name\" in $1"
	fi
	filled "$file" "$name" "$WORK/table" >"$WORK/file" ||
		die "$1 does not have the lines \"<!-- begin: $name -->\" and" \
			"\"<!-- end: $name -->\" once each, in this order"
	[ -z "$check" ] || return 0
	# The file keeps its owner and its mode: root may run this in the checkout of
	# another user.
	cmp -s "$WORK/file" "$file" || cat "$WORK/file" >"$file"
}

main "$@"
