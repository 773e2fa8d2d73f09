#!/bin/bash
#
# analyse.sh - static analysis of the C source (make analyse).
#
# Runs clang-tidy (.clang-tidy says what it looks for) and scan-build, which is
# clang's analyzer with more checkers, against the headers of PostgreSQL.
# Whatever one of them has to say is an error.  Each must first find the fault
# in test/faulty.c: one that finds nothing may be looking for nothing.
# (cppcheck and shellcheck are run by make lint.)
#
# Environment: CLANG_TIDY, SCAN_BUILD (default: those of clang 14), and what
# server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"

CLANG_TIDY=${CLANG_TIDY:-clang-tidy-14}
SCAN_BUILD=${SCAN_BUILD:-scan-build-14}

# Those that are not on by default, and are of use for a server's C.
readonly CHECKERS=(nullability.NullPassedToNonnull
	nullability.NullReturnedFromNonnull optin.portability.UnixAPI
	security.FloatLoopCounter security.insecureAPI.strcpy
	valist.CopyToSelf valist.Uninitialized valist.Unterminated)

# Say by which flags clang is to read the sources.
write_flags()
{
	printf '%s\n' -std=gnu99 -D_GNU_SOURCE "-I$("$PG_CONFIG" --includedir-server)" |
		pgb_as tee "$PGB_SRC/compile_flags.txt" >/dev/null
}

# clang-tidy on files of the copy of the checkout.
# tidy FILE ...
tidy()
{
	printf '%s\0' "$@" |
		pgb_run env -C "$PGB_SRC" xargs -0 -P "$(nproc)" -n 3 \
			"$CLANG_TIDY" --quiet
}

# scan-build on a target of the Makefile.
# scan TARGET
scan()
{
	local checker arguments=()

	for checker in "${CHECKERS[@]}"; do
		arguments+=(-enable-checker "$checker")
	done
	pgb_make -s clean with_llvm=no
	# (The Makefile's compiler must be the one that scan-build says, and only a
	# command that it starts knows which that is.)
	# shellcheck disable=SC2016
	pgb_run "$SCAN_BUILD" --status-bugs -o "$PGB_DIR/scan" "${arguments[@]}" \
		sh -c 'exec make -s -C "$0" -j "$3" PG_CONFIG="$1" CC="$CC" with_llvm=no "$2"' \
		"$PGB_SRC" "$PG_CONFIG" "$1" "$(nproc)"
}

# A tool must find the fault, and nothing in pg_booking.
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
	mapfile -t sources < <(cd "$PGB_SRC" && printf '%s\n' src/*.c)
	judge clang-tidy 'clang-analyzer-core.DivideZero' \
		tidy test/faulty.c -- tidy "${sources[@]}"
	judge scan-build 'core.DivideZero' scan test/faulty.o -- scan pg_booking.so
	pgb_say "clang-tidy and scan-build: nothing found in ${#sources[@]} files"
}

main "$@"
