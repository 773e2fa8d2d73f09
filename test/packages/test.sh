#!/bin/bash
#
# test.sh - the packages: Debian's, and the archive for PGXN.
#
# usage: test/packages/test.sh
#
# 1. "make dist" makes the archive for PGXN from the last commit.  META.json is
#    checked, and Debian's client of PGXN builds and installs the archive.
# 2. The archive, unpacked, is what the Debian packages are built from: for Debian 12
#    and for Debian 13, each with the PostgreSQL that it has.  lintian checks them.
# 3. Each package is installed by apt in a folder with the base system of that Debian,
#    sells tickets there, and is purged (use.sh).
#
# The folders are made as those of "make matrix" and kept beside them (folders.sh).
# So this takes root, and the right to mount.  The bare ones have in apt's cache what
# the packages depend on, so that installing takes seconds.  What is done to them is
# done to a copy.
#
# The last line is
#
#	N passed, N failed
#
# Environment: what folders.sh reads, and what server.sh reads except PG_MAJOR and
# PG_CONFIG.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"
# shellcheck source=test/mounts.sh
. "$PGB_REPO/test/mounts.sh"
# shellcheck source=test/folders.sh
. "$PGB_REPO/test/folders.sh"

PGB_TIMEOUT=${PGB_TIMEOUT:-3600}
SOURCES=''		# the unpacked archive

# What builds a package; its tests want postgresql-all, too.
readonly BUILD_PACKAGES=(build-essential debhelper postgresql-server-dev-all)

# The package has no address to write to, and no bug in Debian's list is about it.  One
# of its files is empty: py.typed, which tells type checkers to read the Django package.
LINTIAN_SUPPRESSED=bogus-mail-host,bogus-mail-host-in-debian-changelog
LINTIAN_SUPPRESSED+=,initial-upload-closes-no-bugs,zero-byte-file-in-doc-directory
readonly LINTIAN_SUPPRESSED

# shellcheck disable=SC2034
PGB_AT_EXIT=finish
finish()
{
	remove_unfinished
	print_total
}

# Show the end of a log, and return false.
# failed LOG
failed()
{
	tail -n 40 "$1" | sed 's/^/    /'
	return 1
}

# ---- PGXN -------------------------------------------------------------------

# Make the archive and unpack it.
make_archive()
{
	local log="$PGB_DIR/dist.log" archive

	pgb_run make -s -C "$PGB_REPO" dist "DIST_FOLDER=$PGB_DIR" >"$log" 2>&1 ||
		{ failed "$log" || return; }
	archive=$(echo "$PGB_DIR"/pg_booking-*.zip)
	unzip -q "$archive" -d "$PGB_DIR/tmp" >"$log" 2>&1 || { failed "$log" || return; }
	SOURCES=${archive##*/}
	SOURCES=${SOURCES%.zip}
	[ -d "$PGB_DIR/tmp/$SOURCES" ] || { echo "    there is no folder $SOURCES in it"; return 1; }
}

# (The folder is for finds_wrong, too.)
check_meta()
{
	cp -a "$PGB_DIR/tmp/$SOURCES" "$PGB_DIR/meta"
	"$PGB_REPO/test/packages/meta.pl" "$PGB_DIR/meta/META.json" "$PGB_DIR/meta"
}

# The install script of the archive is what make makes.
check_script()
{
	local folder="$PGB_DIR/meta"

	mv "$folder/pg_booking--1.0.sql" "$PGB_DIR/archived.sql"
	make -s -C "$folder" pg_booking--1.0.sql
	cmp "$folder/pg_booking--1.0.sql" "$PGB_DIR/archived.sql"
}

# A change that makes META.json wrong must be found.
# finds_wrong SED-COMMAND
finds_wrong()
{
	local folder="$PGB_DIR/meta"

	sed "$1" "$folder/META.json" >"$folder/wrong.json"
	! "$PGB_REPO/test/packages/meta.pl" "$folder/wrong.json" "$folder" >/dev/null
}

# (pgxn calls sudo unless it is told not to.  Bitcode would take as long again.)
install_archive()
{
	local log="$PGB_DIR/pgxn.log"

	pgb_run env "MAKEFLAGS=-j$(nproc) -- with_llvm=no" "DESTDIR=$PGB_DIR/pgxn" pgxn install --nosudo --yes \
		"$PGB_DIR/$SOURCES.zip" >"$log" 2>&1 || { failed "$log" || return; }
	[ -n "$(find "$PGB_DIR/pgxn" -name pg_booking.so)" ] &&
		[ -n "$(find "$PGB_DIR/pgxn" -name pg_booking.control)" ]
}

# ---- Debian -----------------------------------------------------------------

# The release of Debian that has a version of PostgreSQL.
release_of()
{
	case $1 in
		15) echo bookworm ;;
		17) echo trixie ;;
	esac
}

# In a folder, or on this machine: build the package in a copy of the sources.
# build_in SOURCES COPY PROFILES
build_in()
{
	set -e
	cp -a "$1" "$2"
	cd "$2"
	pg_buildext updatecontrol
	DEB_BUILD_PROFILES=$3 DEB_BUILD_OPTIONS="$3 noautodbgsym parallel=$(nproc)" \
		dpkg-buildpackage -b -us -uc
}

# Build on this machine, with the tests.
build_here()
{
	pgb_run bash -c "$(declare -f build_in); build_in \"\$@\"" build_in \
		"$PGB_DIR/tmp/$SOURCES" "$PGB_DIR/tmp/$1/pg-booking" ''
}

# Build in the folder of a version, without the tests: "make matrix" runs them there.
build_in_folder()
{
	local folder lock status=0

	folder=$(folder_path "$1")
	pgb_run "$PGB_REPO/test/folders.sh" "$1" || return
	exec {lock}>"$folder.lock"
	pgb_run flock -s "$lock"
	if ! enter ro "$folder" dpkg-query -W "${BUILD_PACKAGES[@]}" {lock}>&-; then
		pgb_run flock -x "$lock"
		enter rw "$folder" env "PG_MAJOR=$1" /tmp/pg_booking/test/setup.sh \
			"${BUILD_PACKAGES[@]}" {lock}>&- || status=$?
	fi
	[ "$status" -ne 0 ] ||
		enter ro "$folder" bash -c "$(declare -f build_in); build_in \"\$@\"" build_in \
			"/tmp/$SOURCES" "/tmp/$1/pg-booking" nocheck {lock}>&- || status=$?
	exec {lock}>&-
	return "$status"
}

# Build the package for a version.
# build VERSION
build()
{
	local log="$PGB_DIR/build-$1.log" how=build_in_folder

	[ "$1" != "$NATIVE" ] || how=build_here
	mkdir "$PGB_DIR/tmp/$1"
	"$how" "$1" >"$log" 2>&1 || failed "$log"
}

# debhelper would also say nothing if it had run no tests.
passed_tests()
{
	grep -E '^ ?All [0-9]+ tests passed' "$PGB_DIR/build-$1.log"
}

# lintian prints nothing if it finds nothing.
check_lintian()
{
	local found

	found=$(lintian --allow-root --suppress-tags "$LINTIAN_SUPPRESSED" \
		"$PGB_DIR/tmp/$1"/*.changes 2>&1)
	[ -z "$found" ] || { echo "$found"; return 1; }
}

# ---- bare folders -----------------------------------------------------------

# These replace what folders.sh does for the folders of "make matrix".  Their names are
# "bare-" and the version of PostgreSQL.
releases()
{
	release_of "${1#bare-}"
}

# Print apt's sources for a release: those of Debian that this machine has.
sources_for()
{
	local codename

	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		awk -v from="$codename" -v to="$1" '$3 == "main" && index($2, from) == 1 {
			print "deb", $1, to substr($2, length(from) + 1), "main"
		}' | sort -u
}

# Fill apt's cache with PostgreSQL, which is not installed.
complete()
{
	local version=${2#bare-}

	! enter ro "$1" dpkg-query -W "postgresql-$version" || return
	[ ! -e "$1/made" ] || return 0
	sources_for "$(releases "$2")" >"$1/etc/apt/sources.list"
	enter rw "$1" env DEBIAN_FRONTEND=noninteractive bash -c "apt-get -q update &&
		apt-get -y -q --download-only --no-install-recommends install postgresql-$version"
}

# Use the package in a copy of the bare folder of its Debian.
# use VERSION
use()
{
	local bare="bare-$1" folder copy="$PGB_DIR/bare-$1" lock file

	file=$(cd "$PGB_DIR/tmp/$1" && echo postgresql-"$1"-pg-booking_*.deb)
	ensure_folder "$bare" || return
	folder=$(folder_path "$bare")
	exec {lock}>"$folder.lock"
	pgb_run flock -s "$lock"
	pgb_run cp -a --reflink=auto "$folder" "$copy" {lock}>&-
	exec {lock}>&-
	enter rw "$copy" /tmp/pg_booking/test/packages/use.sh "$1" "/tmp/$1/$file" || return
	rm -rf --one-file-system "$copy"
}

main()
{
	local version

	pgb_clean_environment
	unset PG_MAJOR PG_CONFIG
	NATIVE=$("$PGB_REPO/test/setup.sh" --pg-major)
	can_enter || pgb_die "a folder can't be entered: $OBSTACLE"
	"$PGB_REPO/test/setup.sh" git lintian pgxnclient unzip "${BUILD_PACKAGES[@]}" postgresql-all
	make_tmp
	chmod 755 "$PGB_DIR"		# for the server of the package's tests, which has its own user

	add_check "make dist makes the archive for PGXN" make_archive
	add_check "META.json is right" check_meta
	add_check "the archive has the install script" check_script
	add_check "a META.json without a licence is found" finds_wrong '/"license"/d'
	add_check "one with a wrong version is found" finds_wrong 's/"1\.0\.0"/"1.0"/'
	add_check "one with a file that is missing is found" finds_wrong 's/README\.md/READ.md/'
	add_check "pgxn installs the archive" install_archive
	for version in 15 17; do
		add_check "the package for Debian $(release_of "$version") is built" build "$version"
		[ "$version" != "$NATIVE" ] ||
			add_check "the regression tests passed during the build" passed_tests "$version"
		add_check "lintian finds nothing in it" check_lintian "$version"
		add_run "it is used in a bare Debian $(release_of "$version")" use "$version"
	done
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main
