#!/bin/bash
#
# server.sh - a temporary PostgreSQL server with pg_booking, for bash scripts.
#
# The demo, the test suite and the benchmark source this file:
#
#	set -euo pipefail
#	. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
#	pgb_prepare					# install what is missing, build pg_booking
#	pgb_start					# a new, empty server
#	pgb_psql -c 'CREATE EXTENSION pg_booking'
#	pgb_run pgbench -n -c 64 -t 10 -f "$PGB_DIR/load.sql" >"$PGB_DIR/log"
#
# The script need not clean up.  However it ends (exit, error, Ctrl-C, TERM, HUP),
# the processes that it started are stopped and its folder is removed.
#
# It promises:
#
# - Everything is in one new folder, $PGB_DIR, that only the user of the server can
#   enter: the copy of the sources that is built, the files that "make install"
#   makes, the database clusters, their sockets and logs.  The server listens only
#   on a unix socket in that folder.
# - The PostgreSQL installation is not changed if the server has a setting for where
#   it looks for extensions.  Debian's server has one, and each server since 18.  So
#   several of these scripts can run at once, each with the pg_booking that it built.
#   An existing cluster does not see any of them.
# - No existing cluster is changed, and no process ended that is not ours.
#
# PostgreSQL refuses to run as root.  So root builds and runs everything as the user
# "postgres", which Debian's package makes.  Any other user runs everything under
# its own name, and needs sudo only for missing packages.
#
# Functions (each is described at its definition):
#
#	pgb_prepare [--werror] [package ...]
#	pgb_prepare_older MAJOR	for pg_upgrade
#	pgb_start [--cluster NAME] [configuration line ...]
#	pgb_stop
#	pgb_as COMMAND ...		short commands, also in $(...)
#	pgb_run COMMAND ...		long ones; can be interrupted
#	pgb_psql ARGUMENT ...	psql for scripts
#	pgb_free_port			for a server that can't listen on a unix socket only
#	pgb_say TEXT, pgb_die TEXT
#
# Variables that they set:
#
#	PGB_REPO		the checkout that this file belongs to
#	PGB_DIR			the temporary folder; also the current folder of the script
#	PGB_SRC			the copy of the checkout in it, built
#	PGB_BINDIR		the folder of the PostgreSQL programs (also first in PATH)
#	PGB_MAJOR		the server's major version
#	PGB_DATA		the data folder of the server that is running, or empty
#	PGB_LOG			the log of the last server
#	PGHOST, PGPORT, PGUSER, PGDATABASE, PGAPPNAME	for clients.  The other
#	variables of libpq are unset, so that no client connects to another server.
#
# A script may set PGB_AT_EXIT to the name of a function that is called after the
# cleanup.  It may set PGB_TIMEOUT to the seconds that a pgb_run may take.
#
# Environment:
#
#	PG_MAJOR, PG_CONFIG		which PostgreSQL (see setup.sh)
#	PGB_TMPDIR				the folder in which PGB_DIR is made (default: /tmp).  It
#							must not be mounted noexec, and its path must be short.
#							Its disk decides how long an fsync takes.
#	PGB_MAKE_ARGS			more arguments for make, split at spaces
#	PGB_CONF				more lines for each server's configuration
#	PGB_KEEP=1				don't remove PGB_DIR

PGB_REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PGB_DIR=''
PGB_SRC=''
PGB_BINDIR=''
PGB_MAJOR=''
PGB_DATA=''
PGB_LOG=''

PGB_AS=()				# what comes before a command to run it as the user
PGB_CHILD=''			# id of the process group that pgb_run waits for
PGB_EXTENSION_CONF=''	# a file with the settings with which a server finds our build

# ---- messages ---------------------------------------------------------------

# Say in a line what is being done.
pgb_say()
{
	echo "==> $*"
}

# Print an error, and end the script.
pgb_die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# ---- cleaning up ------------------------------------------------------------

# True if a process of the child's process group is left.
pgb_group_alive()
{
	kill -0 -- "-$1" 2>/dev/null
}

# End the command that pgb_run is waiting for, with all processes that it started:
# first by TERM, at which the TAP tests stop their own servers.
pgb_end_child()
{
	local i

	[ -n "$PGB_CHILD" ] || return 0
	kill -TERM -- "-$PGB_CHILD" 2>/dev/null
	for ((i = 0; i < 150; i++)); do
		pgb_group_alive "$PGB_CHILD" || break
		sleep 0.1
	done
	kill -KILL -- "-$PGB_CHILD" 2>/dev/null
	wait "$PGB_CHILD" 2>/dev/null
	PGB_CHILD=''
}

# End the servers that still run on a data folder in PGB_DIR: a test left them when it
# was killed.  The pid file may be old, so the process must also work in that folder.
pgb_end_stray_servers()
{
	local file pid

	while IFS= read -r file; do
		pid=$(head -n 1 "$file" 2>/dev/null)
		[[ $pid =~ ^[0-9]+$ ]] || continue
		if [ "$(readlink "/proc/$pid/cwd")" = "${file%/*}" ]; then
			kill -QUIT "$pid" 2>/dev/null
			kill -CONT "$pid" 2>/dev/null	# a test may have stopped it
		fi
	done < <(find "$PGB_DIR" -name postmaster.pid 2>/dev/null)
}

# (When a trap runs, the output may be redirected for the command that the signal has
# interrupted.  8 and 9 are the script's own output.)
pgb_cleanup()
{
	trap '' HUP INT TERM PIPE	# a second Ctrl-C must not interrupt the cleanup
	set +e
	exec >&8 2>&9
	pgb_end_child
	pgb_stop
	if [ -n "$PGB_DIR" ]; then
		pgb_end_stray_servers
		cd /
		if [ -n "${PGB_KEEP:-}" ]; then
			pgb_say "kept: $PGB_DIR"
		else
			# A server that was killed may still be writing its last files.
			rm -rf "$PGB_DIR" 2>/dev/null || { sleep 1; rm -rf "$PGB_DIR"; }
		fi
	fi
	[ -z "${PGB_AT_EXIT:-}" ] || "$PGB_AT_EXIT"
}

exec 8>&1 9>&2
trap pgb_cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 141' PIPE

# ---- running commands -------------------------------------------------------

# Run a command as the server's user, in the foreground.  For short commands: the
# script handles a signal only after the command has ended.
pgb_as()
{
	"${PGB_AS[@]}" "$@" 8>&- 9>&-
}

# Run a command as the server's user, in a session of its own.  Ctrl-C and TERM end
# it at once, with all processes that it started.  When it ends by itself, the
# processes that it started and left are ended, too.
# Don't use it in a pipeline or in $(...): send its output to a file.
# When PGB_TIMEOUT has passed it is ended, and the status is 124.
# (--default-signal: bash makes a command in the background ignore SIGINT.)
pgb_run()
{
	local status=0
	local limit=()

	[ -z "${PGB_TIMEOUT:-}" ] || limit=(timeout -k 30 "$PGB_TIMEOUT")
	setsid env --default-signal=INT,QUIT \
		${limit[@]+"${limit[@]}"} "${PGB_AS[@]}" "$@" <&0 8>&- 9>&- &
	PGB_CHILD=$!
	wait "$PGB_CHILD" || status=$?
	# (when a test bails out, prove leaves the other tests running)
	kill -TERM -- "-$PGB_CHILD" 2>/dev/null || true
	PGB_CHILD=''
	return "$status"
}

# psql without psqlrc, which prints bare values and stops at an error.
pgb_psql()
{
	pgb_as psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"
}

# Print a port of 127.0.0.1 on which no process listens.
pgb_free_port()
{
	local port

	while port=$((RANDOM % 20000 + 10000)); do
		(: </dev/tcp/127.0.0.1/"$port") 2>/dev/null || break
	done
	echo "$port"
}

# ---- preparing --------------------------------------------------------------

# Unset the variables in the caller's environment that libpq, make and Perl read.
pgb_clean_environment()
{
	local name

	while IFS= read -r name; do
		case $name in
			PG_* | PGB_*) ;;
			*) unset "$name" ;;
		esac
	done < <(compgen -e PG)
	while IFS= read -r name; do
		unset "$name"
	done < <(compgen -e LC_)
	unset PG_COLOR LANGUAGE MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES DESTDIR \
		PERL5LIB PERL5OPT TEMP_CONFIG TESTDIR TMPDIR CDPATH GREP_OPTIONS
	# (Both, because PostgreSQL's test library unsets LC_ALL.)
	export LANG=C.UTF-8 LC_ALL=C.UTF-8
	umask 022
}

# Find the PostgreSQL to use.
pgb_find_postgresql()
{
	PGB_MAJOR=$("$PGB_REPO/test/setup.sh" --pg-major)
	: "${PG_CONFIG:=/usr/lib/postgresql/$PGB_MAJOR/bin/pg_config}"
	export PG_CONFIG
	PGB_BINDIR=$("$PG_CONFIG" --bindir) || pgb_die "$PG_CONFIG does not work"
	export PATH="$PGB_BINDIR:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
}

# Make the temporary folder, and decide which user runs the commands.
# (setpriv becomes the command, so that it gets the signals and has the process id;
# runuser and su would be its parent.)
pgb_make_folder()
{
	PGB_DIR=$(mktemp -d "${PGB_TMPDIR:-/tmp}/pgb.XXXXXX")
	# A socket's path may have 107 bytes, and the TAP tests add a folder.
	[ "${#PGB_DIR}" -le 70 ] || pgb_die "the path $PGB_DIR is too long for a socket"
	PGB_SRC="$PGB_DIR/src"

	PGB_AS=(env "HOME=$PGB_DIR")
	if [ "$(id -u)" -eq 0 ]; then
		id -u postgres >/dev/null 2>&1 ||
			pgb_die "no user \"postgres\", and PostgreSQL refuses to run as root"
		chown postgres: "$PGB_DIR"
		PGB_AS=(setpriv --reuid=postgres --regid=postgres --init-groups
			env "HOME=$PGB_DIR" USER=postgres LOGNAME=postgres)
	fi
	cd "$PGB_DIR" || pgb_die "can't enter $PGB_DIR"
	pgb_as mkdir "$PGB_SRC" "$PGB_DIR/inst" "$PGB_DIR/sock" "$PGB_DIR/tmp"
	export TMPDIR="$PGB_DIR/tmp"
}

# Copy the checkout as it is now, without the files of a build or a test.
# (tar and not git: the folder may be no git checkout, or belong to another user.)
pgb_copy_sources()
{
	tar -C "$PGB_REPO" --exclude-vcs --exclude='*.o' --exclude='*.bc' \
		--exclude='*.so' --exclude=./results --exclude='./regression.*' \
		--exclude=./output_iso --exclude=./tmp_check --exclude=./tmp_check_iso \
		--exclude=./log --exclude=./coverage --exclude=./bench/results -cf - . |
		pgb_as tar -C "$PGB_SRC" --no-same-permissions -xf -
}

# Show the log of a step that failed, and end the script.
# pgb_step_failed WHAT LOG
pgb_step_failed()
{
	cat "$2" >&2
	pgb_die "$1"
}

# Run make in the copy of the sources, with PGB_MAKE_ARGS.
pgb_make()
{
	local arguments

	read -r -a arguments <<<"${PGB_MAKE_ARGS:-}"
	pgb_run make --no-print-directory -C "$PGB_SRC" "PG_CONFIG=$PG_CONFIG" \
		${arguments[@]+"${arguments[@]}"} "$@"
}

# Build the copy.
# pgb_build WERROR
pgb_build()
{
	local log="$PGB_DIR/build.log"
	local arguments=(-s "-j$(nproc)")

	[ -z "$1" ] || arguments+=("WERROR=1")
	pgb_make "${arguments[@]}" >"$log" 2>&1 ||
		pgb_step_failed "pg_booking does not build" "$log"
}

# Install into PGB_DIR, and write the settings with which a server finds the extension
# there.  If a server has no such setting, install into its own installation.
pgb_install()
{
	local log="$PGB_DIR/install.log"
	local sample share lib destdir="$PGB_DIR/inst"
	local library_path

	PGB_EXTENSION_CONF="$PGB_DIR/extension-$PGB_MAJOR.conf"
	share=$("$PG_CONFIG" --sharedir)
	lib=$("$PG_CONFIG" --pkglibdir)
	sample="$share/postgresql.conf.sample"
	library_path="dynamic_library_path = '$destdir$lib:\$libdir'"

	if grep -q extension_control_path "$sample"; then
		printf '%s\n' "$library_path" \
			"extension_control_path = '$destdir$share:\$system'"
	elif grep -q extension_destdir "$sample"; then
		printf '%s\n' "$library_path" "extension_destdir = '$destdir'"
	else
		destdir=''
	fi >"$PGB_EXTENSION_CONF"
	echo "${PGB_CONF:-}" >>"$PGB_EXTENSION_CONF"

	if [ -n "$destdir" ]; then
		pgb_make install "DESTDIR=$destdir" >"$log" 2>&1
	elif [ "$(id -u)" -eq 0 ] || [ -w "$lib" ]; then
		make -C "$PGB_SRC" install >"$log" 2>&1
	else
		# shellcheck disable=SC2024
		sudo make -C "$PGB_SRC" install "PG_CONFIG=$PG_CONFIG" >"$log" 2>&1
	fi || pgb_step_failed "pg_booking can't be installed" "$log"
}

# Copy the sources, build and install.
# pgb_make_extension WERROR
pgb_make_extension()
{
	pgb_say "building pg_booking for PostgreSQL $PGB_MAJOR"
	pgb_copy_sources
	pgb_build "$1"
	pgb_install
}

# Install missing packages (and those given), copy the sources, build and install
# pg_booking.  --werror makes warnings errors.
pgb_prepare()
{
	local werror=''

	if [ "${1:-}" = --werror ]; then
		werror=1
		shift
	fi
	pgb_clean_environment
	"$PGB_REPO/test/setup.sh" "$@"
	pgb_find_postgresql
	pgb_make_folder
	pgb_make_extension "$werror"
	# The TAP tests' servers read their settings from here.
	export TEMP_CONFIG="$PGB_EXTENSION_CONF"
}

# After pgb_prepare: do the same for an older PostgreSQL beside it.  The TAP tests find
# its programs and its settings in BOOKING_OLD_INSTALL and BOOKING_OLD_CONF.
# pgb_prepare_older MAJOR
pgb_prepare_older()
{
	local PGB_MAJOR=$1 PGB_SRC="$PGB_DIR/src-$1" PGB_EXTENSION_CONF=''
	local install="/usr/lib/postgresql/$1"
	local PG_CONFIG="$install/bin/pg_config"

	PG_MAJOR=$1 PG_CONFIG='' "$PGB_REPO/test/setup.sh"
	pgb_as mkdir "$PGB_SRC"
	pgb_make_extension 1
	export BOOKING_OLD_INSTALL="$install" BOOKING_OLD_CONF="$PGB_EXTENSION_CONF"
}

# ---- the server -------------------------------------------------------------

# Write the settings of the server, and the lines given.
# pgb_write_conf [configuration line ...]
pgb_write_conf()
{
	{
		cat "$PGB_EXTENSION_CONF"
		printf '%s\n' "listen_addresses = ''" \
			"unix_socket_directories = '$PGB_DIR/sock'" \
			"port = 5432" "log_line_prefix = '%m [%p] %e %a '"
		[ "$#" -eq 0 ] || printf '%s\n' "$@"
	} | pgb_as tee -a "$PGB_DATA/postgresql.conf" >/dev/null
}

# Make a new, empty cluster and start its server, with PostgreSQL's defaults (fsync is
# on) and the given lines added to postgresql.conf.  If a server is running, stop it
# first.
# --cluster NAME: the name of the folder and the log (default: data).
pgb_start()
{
	local name=data

	if [ "${1:-}" = --cluster ]; then
		name=$2
		shift 2
	fi
	pgb_stop
	PGB_LOG="$PGB_DIR/$name.log"
	pgb_as initdb -D "$PGB_DIR/$name" -U postgres -A trust -E UTF8 --locale=C \
		--no-sync >"$PGB_LOG" 2>&1 || pgb_step_failed "initdb failed" "$PGB_LOG"
	PGB_DATA="$PGB_DIR/$name"
	pgb_write_conf "$@"
	rm -f "$PGB_LOG"
	pgb_as pg_ctl -D "$PGB_DATA" -l "$PGB_LOG" -s -w -t 120 start \
		>"$PGB_DIR/pg_ctl.log" 2>&1 || {
		cat "$PGB_DIR/pg_ctl.log" >&2
		pgb_step_failed "the server does not start" "$PGB_LOG"
	}
	export PGHOST="$PGB_DIR/sock" PGPORT=5432 PGUSER=postgres \
		PGDATABASE=postgres PGAPPNAME=pg_booking
}

# Stop the server, if one is running.
pgb_stop()
{
	[ -n "$PGB_DATA" ] || return 0
	if [ -e "$PGB_DATA/postmaster.pid" ]; then
		pgb_as pg_ctl -D "$PGB_DATA" -s -w -t 60 -m fast stop >/dev/null 2>&1 ||
			pgb_as pg_ctl -D "$PGB_DATA" -s -w -t 20 -m immediate stop || true
	fi
	PGB_DATA=''
}
