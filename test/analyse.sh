#!/bin/bash
#
# analyse.sh - static analysis of the C source (make analyse).
#
# Runs clang-tidy (with the checks in .clang-tidy) and scan-build, which is clang's
# analyzer with more checkers, with the headers of PostgreSQL.  Everything that one
# of them reports is an error.  Each must first find the fault in test/faulty.c,
# which shows that it works.  (make lint runs cppcheck and shellcheck.)
#
# Environment: CLANG_TIDY, SCAN_BUILD (default: those of clang 14), and what
# server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"

CLANG_TIDY=${CLANG_TIDY:-clang-tidy-14}
SCAN_BUILD=${SCAN_BUILD:-scan-build-14}

# Checkers that are useful for a server's C and not on by default.
readonly CHECKERS=(nullability.NullPassedToNonnull
	nullability.NullReturnedFromNonnull optin.portability.UnixAPI
	security.FloatLoopCounter security.insecureAPI.strcpy
	valist.CopyToSelf valist.Uninitialized valist.Unterminated)

# Write the flags with which clang reads the sources.
write_flags()
{
	printf '%s\n' -std=gnu99 -D_GNU_SOURCE "-I$("$PG_CONFIG" --includedir-server)" \
		"-I$PGB_SRC/src" |
		pgb_as tee "$PGB_SRC/compile_flags.txt" >/dev/null
}

# Run clang-tidy on files of the copy of the checkout.
# tidy FILE ...
tidy()
{
	printf '%s\0' "$@" |
		pgb_run env -C "$PGB_SRC" xargs -0 -P "$(nproc)" -n 3 \
			"$CLANG_TIDY" --quiet
}

# Run scan-build on a target of the Makefile.
# scan TARGET
scan()
{
	local checker arguments=()

	for checker in "${CHECKERS[@]}"; do
		arguments+=(-enable-checker "$checker")
	done
	pgb_make -s clean with_llvm=no
	# (scan-build passes its compiler in CC to the command that it starts, and the
	# Makefile takes it only as an argument.)
	# shellcheck disable=SC2016
	pgb_run "$SCAN_BUILD" --status-bugs -o "$PGB_DIR/scan" "${arguments[@]}" \
		sh -c 'exec make -s -C "$0" -j "$3" PG_CONFIG="$1" CC="$CC" with_llvm=no "$2"' \
		"$PGB_SRC" "$PG_CONFIG" "$1" "$(nproc)"
}

# Check that a tool finds the fault, and nothing in pg_booking.
# judge NAME PATTERN FAULTY-COMMAND ... -- COMMAND ...
judge()
{
	local name=$1 pattern=$2 faulty=() log="$PGB_DIR/analysis.log"

	shift 2
	pgb_say "$name"
	while [ "$1" != -- ]; do
		faulty+=("$1")
		shift
	done
	shift
	if "${faulty[@]}" >"$log" 2>&1 || ! grep -q "$pattern" "$log"; then
		pgb_step_failed "$name does not find the fault in test/faulty.c" "$log"
	fi
	"$@" >"$log" 2>&1 || pgb_step_failed "$name has found something" "$log"
}

main()
{
	local sources

	pgb_prepare --werror "$CLANG_TIDY" clang-tools-14
	write_flags
	mapfile -t sources < <(cd "$PGB_SRC" && find src -name '*.c' | sort)
	judge clang-tidy 'clang-analyzer-core.DivideZero' \
		tidy test/faulty.c -- tidy "${sources[@]}"
	judge scan-build 'core.DivideZero' scan test/faulty.o -- scan pg_booking.so
	pgb_say "clang-tidy and scan-build: nothing found in ${#sources[@]} files"
}

main "$@"
