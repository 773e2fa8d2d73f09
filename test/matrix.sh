#!/bin/bash
#
# matrix.sh - the test suite on every supported PostgreSQL (make matrix).
#
# usage: test/matrix.sh [15] [17] [upgrade] [18]	(default: all four)
#
# 15, 17, 18 run the whole suite (run.sh) on that version; upgrade moves a
# cluster with data from 15 to 17 by pg_upgrade (upgrade/run.sh).  They run one
# after the other.  The version that this machine's release of Debian brings is
# tested on the machine itself; each other one in a folder with the release that
# brings it.  The last line is the total,
#
#	N passed, N failed
#
# and the exit status is 0 only if nothing failed and something passed.
#
# The folders:
#
# - are made by debootstrap, from the mirror and with the settings of this
#   machine's apt.  That takes root, and the right to mount; without, what needs
#   a folder is counted as failed.
# - are kept and used again, until they are a week old or found to be broken.
#   One appears under its name when it is complete; several of these scripts may
#   use it at once, but only one makes it.
# - are entered with chroot in namespaces for mounts, processes and shared memory
#   that end with the command: nothing stays mounted, and nothing running.
#   The tests can write nothing but /tmp, which is a temporary folder of ours.
#
# Environment: PGB_CACHE, where the folders are (default: pg_booking in
# $XDG_CACHE_HOME or ~/.cache; it must not be mounted nodev or noexec), PGB_TIMEOUT,
# the seconds that one version may take (default: 3600), and what server.sh
# reads but for PG_MAJOR and PG_CONFIG.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"
# shellcheck source=test/mounts.sh
. "$PGB_REPO/test/mounts.sh"

# pg_upgrade goes from and to
readonly OLDER=15 NEWER=17
readonly MAX_AGE=7		# days

PGB_TIMEOUT=${PGB_TIMEOUT:-3600}
CACHE=~/.cache
CACHE=${PGB_CACHE:-${XDG_CACHE_HOME:-$CACHE}/pg_booking}
MIRROR=''
MAKING=''		# a folder that is not complete

# An interrupted making leaves nothing either.
# shellcheck disable=SC2034
PGB_AT_EXIT=finish
finish()
{
	[ -z "$MAKING" ] || rm -rf --one-file-system "$MAKING"
	print_total
}

# The releases of Debian that may have a version; the first that has it is taken.
releases()
{
	case $1 in
		15) echo bookworm ;;
		17) echo trixie ;;
		18) echo testing unstable ;;
		*) pgb_die "there is no PostgreSQL $1 here" ;;
	esac
}

# ---- entering a folder ------------------------------------------------------

# In the new namespaces: mount what a system needs and become the command.
# become ro|rw FOLDER TMP COMMAND ...
become()
{
	local mode=$1 folder=$2 tmp=$3

	shift 3
	set -e
	mount --bind "$folder" "$folder"
	mount -t proc proc "$folder/proc"
	mount -t tmpfs -o mode=1777 tmpfs "$folder/dev/shm"
	mount --bind "$tmp" "$folder/tmp"
	mount -o "remount,bind,$mode" "$folder"
	exec chroot "$folder" env -u PGB_TMPDIR HOME=/root \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# Run a command in a folder, in which our copy of the sources is /tmp/pg_booking.
# enter ro|rw FOLDER COMMAND ...
enter()
{
	local mode=$1 folder=$2

	shift 2
	pgb_run "${UNSHARE[@]}" bash -c "$(declare -f become); become \"\$@\"" become \
		"$mode" "$folder" "$PGB_DIR/tmp" "$@"
}

# ---- making a folder --------------------------------------------------------

# The mirror of Debian that this machine's apt uses.
find_mirror()
{
	local codename

	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# shellcheck disable=SC2016
	MIRROR=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' \
		'Created-By: Packages' |
		awk -v codename="$codename" '$1 == codename ||
			$1 ~ /^((old)*stable|testing|unstable|sid)$/ { print $2; exit }')
	[ -n "$MIRROR" ] || pgb_die "apt has no source for Debian's release $codename"
}

# Hand this machine's settings for downloads to a folder, and spare it the waits
# for the disk: a folder that a crash has damaged is made anew.
configure_folder()
{
	local certificates=/etc/ssl/certs/ca-certificates.crt

	apt-config dump | grep '^Acquire::' >"$1/etc/apt/apt.conf.d/99machine"
	if [ -e "$certificates" ]; then
		mkdir -p "$1${certificates%/*}"
		cp "$certificates" "$1$certificates"
	fi
	echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/unsafe-io"
}

# See to it that a folder has what the tests need, and that it works.
# complete FOLDER VERSION
complete()
{
	local folder=$1 version
	local versions=("$2")

	[ "$2" != "$NEWER" ] || versions+=("$OLDER")
	for version in "${versions[@]}"; do
		enter rw "$folder" env "PG_MAJOR=$version" /tmp/pg_booking/test/setup.sh &&
			enter ro "$folder" "/usr/lib/postgresql/$version/bin/postgres" --version ||
			return
	done
	rm -f "$folder"/var/cache/apt/archives/*.deb
}

# Make a folder with a release of Debian for a version.
# debootstrap_folder FOLDER RELEASE VERSION
debootstrap_folder()
{
	local proxy=''

	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	rm -rf --one-file-system "$1"
	pgb_run "${UNSHARE[@]}" env ${proxy:+"http_proxy=$proxy" "https_proxy=$proxy"} \
		debootstrap --variant=minbase --force-check-gpg "$2" "$1" "$MIRROR" &&
		configure_folder "$1" || return
	if [ "$3" = "$NEWER" ]; then
		echo "deb $MIRROR $(releases "$OLDER") main" \
			>"$1/etc/apt/sources.list.d/older.list"
	fi
	complete "$1" "$3" && touch "$1/made"
}

# Make the folder of a version anew, from the first release that has it.
make_folder()
{
	local version=$1 folder="$CACHE/$1" log="$PGB_DIR/make.log" start=$SECONDS
	local release

	"$PGB_REPO/test/setup.sh" debootstrap debian-archive-keyring || return
	find_mirror
	MAKING="$folder.new"
	for release in $(releases "$version"); do
		pgb_say "making a folder with Debian $release for PostgreSQL $version"
		if debootstrap_folder "$MAKING" "$release" "$version" >"$log" 2>&1; then
			rm -rf --one-file-system "$folder"
			mv "$MAKING" "$folder"
			MAKING=''
			echo "    $((SECONDS - start)) s"
			return
		fi
		show "$log" 40
	done
	return 1
}

# See to it that there is a folder for a version.
ensure_folder()
{
	local version=$1 folder="$CACHE/$1" log="$PGB_DIR/complete.log"

	if [ -n "$(find "$folder/made" -mtime "-$MAX_AGE" 2>/dev/null)" ]; then
		! complete "$folder" "$version" >"$log" 2>&1 || return 0
		pgb_say "the folder for PostgreSQL $version is broken"
		show "$log" 10
	fi
	make_folder "$version"
}

# ---- running ----------------------------------------------------------------

# Run a script of tests in the folder of a version, which nobody may change while
# that lasts, and add its last line to the total.
# add_in_folder VERSION WHAT SCRIPT [argument ...]
add_in_folder()
{
	local version=$1 what=$2 script=$3 lock

	shift 3
	if ! find_unshare --pid --ipc --fork --kill-child; then
		broke "$what" "the folder that it needs can not be entered: $OBSTACLE"
		return
	fi
	mkdir -p "$CACHE"
	exec {lock}>"$CACHE/$version.lock"
	pgb_run flock -x "$lock"
	if ensure_folder "$version"; then
		pgb_run flock -s "$lock"
		add_run "$what" enter ro "$CACHE/$version" env "PG_MAJOR=$version" \
			"/tmp/pg_booking/test/$script" "$@"
	else
		broke "$what" "the folder that it needs can not be made"
	fi
	exec {lock}>&-
}

main()
{
	local runs=("$@") run native

	[ "$#" -gt 0 ] || runs=(15 17 upgrade 18)
	pgb_clean_environment
	unset PG_MAJOR PG_CONFIG
	native=$("$PGB_REPO/test/setup.sh" --pg-major)
	PGB_DIR=$(mktemp -d "${PGB_TMPDIR:-/tmp}/pgb.XXXXXX")
	cd "$PGB_DIR"
	PGB_SRC="$PGB_DIR/tmp/pg_booking"
	mkdir -m 1777 tmp
	mkdir "$PGB_SRC"
	pgb_copy_sources

	for run in "${runs[@]}"; do
		case $run in
			"$native") add_run "PostgreSQL $run" pgb_run "$PGB_REPO/test/run.sh" ;;
			15 | 17 | 18) add_in_folder "$run" "PostgreSQL $run" run.sh ;;
			upgrade)
				add_in_folder "$NEWER" "pg_upgrade from $OLDER to $NEWER" \
					upgrade/run.sh "$OLDER"
				;;
			*) pgb_die "unknown version \"$run\"" ;;
		esac
	done
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
