#!/bin/bash
#
# symbols.sh - does the library export what the install script calls, and no more?
#
# usage: test/lint/symbols.sh LIBRARY SCRIPT
#        test/lint/symbols.sh --list FILE SCRIPT
#
# What "nm -D --defined-only" shows of the library must be
#
# - Pg_magic_func and _PG_init, which PostgreSQL looks for,
# - each function that the script names (AS 'MODULE_PATHNAME', 'function'), with
#   its pg_finfo_function,
#
# and nothing else: another extension may have a symbol of the same name.  Names
# that begin with two underscores are the compiler's, and mangle_path is gcov's.
# With --list, FILE is the output of nm.  Each difference is printed, and the exit
# status is 1 if there is any.

set -euo pipefail

# The symbols in the output of nm.
exported()
{
	awk 'NF > 1 && $NF !~ /^__|^mangle_path$/ { print $NF }' "$1" | sort -u
}

# The symbols that a script needs.
needed()
{
	printf '%s\n' Pg_magic_func _PG_init
	tr '\n' ' ' <"$1" |
		grep -oE "AS +'MODULE_PATHNAME' *(, *'[^']*')?" |
		sed -E "s/^[^,]*(, *'(.*)')?$/\2/" | sort -u |
		while IFS= read -r name; do
			[ -n "$name" ] || { echo '(a function without AS ..., name)'; continue; }
			printf '%s\n' "$name" "pg_finfo_$name"
		done
}

main()
{
	local symbols differences

	if [ "$1" = --list ]; then
		shift
		symbols=$(exported "$1")
	else
		symbols=$(exported <(nm -D --defined-only "$1"))
	fi
	differences=$(comm -3 --output-delimiter=+ \
		<(echo "$symbols") <(needed "$2" | sort -u))
	[ -n "$differences" ] || return 0
	sed -e 's/^+\(.*\)/\1: the install script needs it, and the library lacks it/' \
		-e t -e 's/$/: exported, and the install script does not name it/' \
		<<<"$differences"
	return 1
}

main "$@"
