#!/bin/bash
#
# sanitize.sh - the test suite under AddressSanitizer and
# UndefinedBehaviorSanitizer (make sanitize).
#
# usage: test/sanitize.sh [regress] [isolation] [tap]	(default: all three)
#
# pg_booking is built with them, and their runtimes are loaded into every server.
# The server is the ordinary one: only accesses in pg_booking's own code, and in the C
# library on its behalf, are checked.  (valgrind.sh finds wrong accesses within memory
# that palloc() gave.)
#
# Each report of a sanitizer is a failure.  AddressSanitizer's reports are in files.
# UndefinedBehaviorSanitizer writes them into the server's log and then ends the
# process as a crash.  The last line is
#
#   N passed, N failed
#
# Environment: what run.sh and server.sh read.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
# shellcheck source=test/watched.sh
. "$PGB_REPO/test/watched.sh"

# Print the path of a runtime of the compiler's.
# runtime NAME
runtime()
{
	local file

	file=$("$("$PG_CONFIG" --cc)" "-print-file-name=$1.so")
	[ -e "$file" ] || pgb_die "the compiler has no $1"
	readlink -f "$file"
}

# Check that the server has the runtime, and that pg_booking was built for it.
check_runtime()
{
	local pid symbol

	pgb_start --cluster runtime 'fsync = off'
	pid=$(head -n 1 "$PGB_DATA/postmaster.pid")
	grep -q libasan "/proc/$pid/maps" || pgb_die "the server runs without the runtime"
	pgb_stop
	nm -D "$PGB_SRC/pg_booking.so" >"$PGB_DIR/symbols"
	for symbol in __asan_report_ __ubsan_handle_; do
		grep -q " U $symbol" "$PGB_DIR/symbols" ||
			pgb_die "pg_booking is built without the sanitizers"
	done
}

main()
{
	local suites=("$@")

	[ "$#" -gt 0 ] || suites=(regress isolation tap)
	export PGB_TIMEOUT=${PGB_TIMEOUT:-7200}
	export PGB_MAKE_ARGS="${PGB_MAKE_ARGS:-} SANITIZE=1 with_llvm=no"
	pgb_prepare --werror
	watched_prepare
	pgb_as "$("$PG_CONFIG" --cc)" -O1 -fPIC -shared -Wl,-z,initfirst \
		-o "$PGB_DIR/preload.so" "$PGB_SRC/test/preload.c"
	# (No leaks: a server frees its memory by ending.  No detection of use after
	# return: it moves the stack, of which PostgreSQL checks the depth.  A report
	# aborts the process, because no test ignores a crash.)
	watched_wrap env "LD_PRELOAD=$(runtime libasan):$PGB_DIR/preload.so:$(runtime libubsan)" \
		"ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0:abort_on_error=1:log_path=$WATCHED_REPORTS/asan" \
		"UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1"
	check_runtime
	watched_must_find faulty_array 'AddressSanitizer: stack-buffer-overflow'
	watched_must_find faulty_sum 'runtime error: signed integer overflow'
	watched_run "the test suite under the sanitizers" "${suites[@]}"
	watched_end
}

main "$@"
