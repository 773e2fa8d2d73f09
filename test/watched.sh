#!/bin/bash
#
# watched.sh - the test suite with the server under a tool that watches it.
#
# Sourced, after server.sh, by sanitize.sh, asserts.sh and valgrind.sh; it brings
# tally.sh, which see for the last line.
#
#	pgb_prepare
#	watched_prepare
#	watched_wrap valgrind --log-file="$WATCHED_REPORTS/%p"
#	watched_must_find faulty_branch 'uninitialised'
#	watched_run "as it is" regress
#	watched_end
#
# A tool is a command that is put before the server's own, so that every process
# of every server runs under it, also of those that the tests start; and it
# writes what it finds to files in $WATCHED_REPORTS.  Each such file is a
# failure, and is shown.

# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"

WATCHED_REPORTS=''		# the folder for the reports

# Make the folder for the reports.  After pgb_prepare.
watched_prepare()
{
	WATCHED_REPORTS="$PGB_DIR/reports"
	pgb_as mkdir "$WATCHED_REPORTS"
}

# From now on, servers are started with a command before the server's own, in
# test/run.sh too.  initdb is not, which would take long and tell nothing.
#
# (A folder with links to the programs: initdb follows its link and finds the
# server itself.  pg_ctl is a copy, and finds the script beside it.)
# watched_wrap COMMAND ...
# shellcheck disable=SC2034
watched_wrap()
{
	local folder="$PGB_DIR/watched" bindir real

	real=$("$PG_CONFIG" --bindir)
	bindir="$folder/bin"
	pgb_as mkdir -p "$bindir"
	pgb_as ln -s "$real"/* "$bindir"
	pgb_as rm "$bindir/postgres" "$bindir/pg_ctl"
	pgb_as rm -f "$bindir/pg_config"
	pgb_as cp "$real/pg_ctl" "$bindir/pg_ctl"
	watched_script "$bindir/postgres" <<-END
		case \$1 in
			-V | --version | -C) exec "$real/postgres" "\$@" ;;
		esac
		exec $(printf '%q ' "$@") "$real/postgres" "\$@"
	END
	watched_script "$bindir/pg_config" <<-END
		[ "\$*" = --bindir ] && echo "$bindir" && exit
		exec "$PG_CONFIG" "\$@"
	END
	export PG_CONFIG="$bindir/pg_config"
	PGB_BINDIR="$bindir"
	PATH="$bindir:$PATH"
}

# Write a script from standard input.
# watched_script FILE
watched_script()
{
	{ echo '#!/bin/bash'; cat; } | pgb_as tee "$1" >/dev/null
	pgb_as chmod 755 "$1"
}

# The tool must find a fault: call a function of faulty.c in a server of its own
# and look for a pattern in the reports and the server's log.  What it has
# reported is then forgotten.
# watched_must_find FUNCTION PATTERN
watched_must_find()
{
	local library="$PGB_SRC/test/faulty.so"

	pgb_make -s test/faulty.so with_llvm=no >"$PGB_DIR/find.log" 2>&1 ||
		pgb_step_failed "test/faulty.c does not build" "$PGB_DIR/find.log"
	pgb_start --cluster faulty 'fsync = off'
	pgb_psql -c "CREATE FUNCTION $1(integer) RETURNS integer LANGUAGE C
		AS '$library'" -c "SELECT $1(4)" >"$PGB_DIR/find.log" 2>&1 || true
	pgb_stop
	if ! grep -qsE "$2" "$PGB_LOG" "$WATCHED_REPORTS"/*; then
		cat "$PGB_DIR/find.log" "$PGB_LOG" "$WATCHED_REPORTS"/* >&2 || true
		pgb_die "the fault in $1() was not found"
	fi
	echo "    the fault in $1() was found"
	rm -rf "$PGB_DIR/faulty" "${WATCHED_REPORTS:?}"/*
}

# Run test/run.sh, which keeps the time itself, and add what it counts.
# watched_run WHAT SUITE ...
# shellcheck disable=SC2034
watched_run()
{
	local what=$1 PGB_AS=(env "PGB_TIMEOUT=$PGB_TIMEOUT") PGB_TIMEOUT=''

	shift
	pgb_say "$what"
	add_run "$what" pgb_run "$PGB_REPO/test/run.sh" "$@"
}

# Show the reports and count them; the script is finished.
# shellcheck disable=SC2034
watched_end()
{
	local file

	for file in "$WATCHED_REPORTS"/*; do
		[ -s "$file" ] || continue
		broke "${0##*/}" "a report"
		head -n 80 "$file" | sed 's/^/    /'
	done
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}
