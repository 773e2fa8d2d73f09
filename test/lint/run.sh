#!/bin/bash
#
# run.sh - checks of the text of all files (part of make lint).
#
# usage: test/lint/run.sh [CHECK ...]	(default: all)
#
#   words         words that make a text hard to read
#   links         broken relative links in Markdown
#   editorconfig  indentation, ends of lines, character set, long lines
#   layers        includes and calls in src/ that point up
#   symbols       only tried here: test/run.sh checks a library that was built
#
# Each check is tried first on a small bad example, examples/CHECK, of which it must
# print what is in examples/CHECK.out: a check that can't fail is worth nothing.
# What a check finds is printed, and the exit status is 1 if one finds anything.

set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE

# The text files to check: those that git knows and new ones, or all if there is no git.
list_files()
{
	local file

	{ git ls-files -co --exclude-standard 2>/dev/null ||
		find . -type f -not -path './.git/*' -printf '%P\n'; } |
		sort -u | while IFS= read -r file; do
			case $file in
				test/lint/examples/* | *.png) ;;
				*) [ ! -f "$file" ] || echo "$file" ;;
			esac
		done
}

# Run a check in the current folder.
# check NAME FILE ...
check()
{
	local name=$1

	shift
	case $name in
		layers) "$HERE/layers.pl" src ;;
		symbols) "$HERE/symbols.sh" --list nm.txt install.sql ;;
		*) "$HERE/$name.pl" "$@" ;;
	esac
}

# Is what a check prints of its example what it has to print?
check_example()
{
	local name=$1 status=0 files printed

	mapfile -t files < <(cd "$HERE/examples/$name" && find . -type f -printf '%P\n' | sort)
	printed=$(cd "$HERE/examples/$name" && check "$name" "${files[@]}" 2>&1) || status=$?
	if [ "$status" -ne 1 ]; then
		echo "test/lint: $name ends with status $status on its bad example"
		return 1
	fi
	diff -u --label "$name.out" --label 'what the check prints' \
		"$HERE/examples/$name.out" - <<<"$printed"
}

main()
{
	local name files status=0

	[ "$#" -gt 0 ] || set -- words links editorconfig layers symbols
	cd "$HERE/../.."
	mapfile -t files < <(list_files)
	[ "${#files[@]}" -gt 0 ] || { echo "test/lint: there is no file to check"; return 1; }
	for name in "$@"; do
		check_example "$name" || status=1
		[ "$name" = symbols ] || check "$name" "${files[@]}" || status=1
	done
	return "$status"
}

main "$@"
