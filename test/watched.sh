#!/bin/bash
#
# watched.sh - the test suite with the server under a tool that watches it.
#
# Sourced after server.sh, by sanitize.sh, asserts.sh and valgrind.sh.  It sources
# tally.sh, which prints the last line.
#
#	pgb_prepare
#	watched_prepare
#	watched_wrap valgrind --log-file="$WATCHED_REPORTS/%p"
#	watched_must_find faulty_branch 'uninitialised'
#	watched_run "as it is" regress
#	watched_end
#
# A tool is a command in front of the server's own command.  So every process of
# every server runs under it, also of the servers that the tests start.  The tool
# writes what it finds to files in $WATCHED_REPORTS.  Each such file is shown and
# counts as a failure.

# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"

WATCHED_REPORTS=''		# the folder for the reports

# Make the folder for the reports.  Call it after pgb_prepare.
watched_prepare()
{
	WATCHED_REPORTS="$PGB_DIR/reports"
	pgb_as mkdir "$WATCHED_REPORTS"
}

# Start servers from now on with a command in front of the server's own, also in
# test/run.sh.  initdb doesn't use it: that would take long and find nothing.
#
# (It makes a folder with links to PostgreSQL's programs, and a script named
# postgres.  initdb follows its link and finds the real server.  pg_ctl is a copy,
# so it finds the script beside it.)
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

# Check that the tool finds a fault: call a function of faulty.c in a server, and look
# for a pattern in the reports and the server's log.  Then remove the reports.
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

# Run test/run.sh and add its last line to the total.  (test/run.sh gets PGB_TIMEOUT
# for each of its runs; this run of all of them has no limit.)
# watched_run WHAT SUITE ...
# shellcheck disable=SC2034
watched_run()
{
	local what=$1 PGB_AS=(env "PGB_TIMEOUT=$PGB_TIMEOUT") PGB_TIMEOUT=''

	shift
	pgb_say "$what"
	add_run "$what" pgb_run "$PGB_REPO/test/run.sh" "$@"
}

# Show the reports and count them, and finish the script.
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
