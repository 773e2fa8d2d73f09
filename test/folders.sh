#!/bin/bash
#
# folders.sh - folders with the releases of Debian that matrix.sh tests on.
#
# usage: test/folders.sh VERSION ...
#
# Each version of PostgreSQL has a folder with the release of Debian that has this
# version.  The script makes the folder if it is missing, broken or older than a
# week.  Then it installs in the folder what the tests need.  The exit status is 0
# only if all these folders can be used.
#
# matrix.sh also sources this file, for folder_path and enter.
#
# The folders:
#
# - are made by debootstrap, from the mirror and with the settings of this
#   machine's apt.  This takes root, and the right to mount.
# - are complete when they appear under their names.  Several of these scripts may
#   run at once: each folder has a lock, FOLDER.lock, exclusive while the folder
#   is made and shared while it is used.
# - are entered with chroot in namespaces for mounts, processes and shared memory
#   that end with the command.  So nothing stays mounted, and no process is left.
#   Commands that run in a folder can write only /tmp, which is a temporary folder
#   of the script.
#
# Environment: PGB_CACHE, the folder of these folders (default: pg_booking in
# $XDG_CACHE_HOME or ~/.cache; it must not be mounted nodev or noexec);
# PGB_TIMEOUT, the seconds that each step may take (default: 3600); PGB_TMPDIR.

# pg_upgrade goes from the older to the newer one: the newer one's folder has both.
readonly OLDER=15 NEWER=17
readonly MAX_AGE=7		# days
# What clients/django/test.sh needs: this release has a newer Django.
readonly NEWER_PACKAGES=(python3-django python3-psycopg2 python3-psycopg
	python3-setuptools python3-wheel)

MIRROR=''
MAKING=''				# a folder that is not complete

# The path of the folder of a version.
folder_path()
{
	local cache=~/.cache

	echo "${PGB_CACHE:-${XDG_CACHE_HOME:-$cache}/pg_booking}/$1"
}

# The releases of Debian that may have a version.  The first that has it is used.
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

# True if folders can be entered.  If not, OBSTACLE says why.
can_enter()
{
	find_unshare --pid --ipc --fork --kill-child
}

# Make PGB_DIR, with a copy of the checkout that commands in a folder find as
# /tmp/pg_booking.
make_tmp()
{
	PGB_DIR=$(mktemp -d "${PGB_TMPDIR:-/tmp}/pgb.XXXXXX")
	cd "$PGB_DIR"
	PGB_SRC="$PGB_DIR/tmp/pg_booking"
	mkdir -m 1777 tmp
	mkdir "$PGB_SRC"
	pgb_copy_sources
}

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

# Run a command in a folder that it can't change (ro) or can (rw).
# enter ro|rw FOLDER COMMAND ...
enter()
{
	local mode=$1 folder=$2

	shift 2
	pgb_run "${UNSHARE[@]}" bash -c "$(declare -f become); become \"\$@\"" become \
		"$mode" "$folder" "$PGB_DIR/tmp" "$@"
}

# ---- making a folder --------------------------------------------------------

# Set MIRROR to the mirror of Debian that this machine's apt uses.
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

# Copy this machine's settings for downloads into a folder.  dpkg there doesn't
# wait for the disk: if a crash damages a folder, it is made again.
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

# Install in a folder what the tests need and is missing, and check that its
# PostgreSQL runs.
# complete FOLDER VERSION
complete()
{
	local folder=$1 version
	local versions=("$2") packages=()

	if [ "$2" = "$NEWER" ]; then
		versions+=("$OLDER")
		packages=("${NEWER_PACKAGES[@]}")
	fi
	for version in "${versions[@]}"; do
		enter rw "$folder" env "PG_MAJOR=$version" /tmp/pg_booking/test/setup.sh \
			${packages[@]+"${packages[@]}"} &&
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

# Make the folder of a version from the first release that has the version, in
# place of an old one.
make_folder()
{
	local version=$1 folder log="$PGB_DIR/make.log" start=$SECONDS
	local release

	folder=$(folder_path "$version")
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
		echo "    --- the end of what debootstrap and apt said:"
		tail -n 40 "$log" | sed 's/^/    /'
	done
	return 1
}

# Make the folder of a version, unless there is a new one that works.
renew_folder()
{
	local version=$1 folder log="$PGB_DIR/complete.log"

	folder=$(folder_path "$version")
	if [ -n "$(find "$folder/made" -mtime "-$MAX_AGE" 2>/dev/null)" ]; then
		! complete "$folder" "$version" >"$log" 2>&1 || return 0
		pgb_say "the folder for PostgreSQL $version is broken"
		tail -n 10 "$log" | sed 's/^/    /'
	fi
	make_folder "$version"
}

# The same, while no other script makes or uses the folder.
ensure_folder()
{
	local version=$1 folder lock status=0

	folder=$(folder_path "$version")
	mkdir -p "${folder%/*}"
	exec {lock}>"$folder.lock"
	flock -n -x "$lock" || {
		pgb_say "waiting for another script to leave the folder for PostgreSQL $version"
		pgb_run flock -x "$lock"
	}
	renew_folder "$version" {lock}>&- || status=$?
	exec {lock}>&-
	return "$status"
}

# An interrupted run leaves no folder that is not complete.
remove_unfinished()
{
	[ -z "$MAKING" ] || rm -rf --one-file-system "$MAKING"
}

main()
{
	local version status=0

	[ "$#" -gt 0 ] || pgb_die "which versions?"
	pgb_clean_environment
	unset PG_MAJOR PG_CONFIG
	can_enter || pgb_die "a folder can't be entered: $OBSTACLE"
	make_tmp
	for version in "$@"; do
		ensure_folder "$version" || status=1
	done
	return "$status"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	set -euo pipefail
	# shellcheck source=test/server.sh
	. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
	# shellcheck source=test/mounts.sh
	. "$PGB_REPO/test/mounts.sh"
	PGB_TIMEOUT=${PGB_TIMEOUT:-3600}
	# shellcheck disable=SC2034
	PGB_AT_EXIT=remove_unfinished
	main "$@"
fi
