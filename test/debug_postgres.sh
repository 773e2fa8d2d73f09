#!/bin/bash
#
# debug_postgres.sh - a PostgreSQL that checks itself.
#
# usage: test/debug_postgres.sh
#
# Prints the path of the pg_config of a PostgreSQL that was built from Debian's
# source package with --enable-cassert and USE_VALGRIND.  If there is none yet, it
# builds one, which takes some minutes.  PostgreSQL's own suppressions for valgrind
# are beside it, in share/valgrind.supp.
#
# The major version is the one that setup.sh chooses, and the minor version the
# newest of which the mirror has the source.  Only one of Debian's patches is
# applied: the one with the setting for where the server looks for extensions.
#
# The build is kept in a folder outside the checkout, for the next time.  It appears
# there when it is complete.  So several of these scripts can run at the same time,
# and an interrupted one leaves nothing that another would use.
#
# Environment: PGB_CACHE, the folder (default: /var/cache/pg_booking for root, because
# the server's user can't enter root's own folders; for others pg_booking in
# $XDG_CACHE_HOME or ~/.cache); PG_MAJOR; and PGB_JOBS, for make -j (default: 1).

set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE

# The contrib modules that the tests use.
readonly CONTRIB=(amcheck pageinspect pg_stat_statements pgstattuple postgres_fdw)

WORK=''				# our temporary folder, in the cache

die()
{
	echo "debug_postgres.sh: $*" >&2
	exit 1
}

cleanup()
{
	trap '' HUP INT TERM
	[ -z "$WORK" ] || rm -rf "$WORK"
}

# Run a command, and show its output only if it fails.
quietly()
{
	"$@" >"$WORK/log" 2>&1 || {
		tail -n 60 "$WORK/log" >&2
		die "failed: $*"
	}
}

cache_folder()
{
	if [ -n "${PGB_CACHE:-}" ]; then
		echo "$PGB_CACHE"
	elif [ "$(id -u)" -eq 0 ]; then
		echo /var/cache/pg_booking
	else
		echo "${XDG_CACHE_HOME:-$HOME/.cache}/pg_booking"
	fi
}

# Run apt-get or apt-cache with lists of its own, in our folder.
# apt get|cache ARGUMENT ...
apt()
{
	local command=$1

	shift
	"apt-$command" -q -o APT::Sandbox::User=root \
		-o Dir::Etc::sourcelist="$WORK/apt/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$WORK/apt/lists" \
		-o Dir::Cache="$WORK/apt/cache" "$@"
}

# Make these lists: for the sources of the packages that this machine installs.
list_sources()
{
	mkdir -p "$WORK/apt/lists/partial" "$WORK/apt/cache/archives/partial"
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' 'Origin: Debian' | sort -u |
		sed 's/^/deb-src /' >"$WORK/apt/sources.list"
	[ -s "$WORK/apt/sources.list" ] ||
		die "apt knows no package of Debian's: apt-get update first"
	quietly apt get update
}

# Get and unpack the newest source.  If the mirror does not have it, take the next: a
# mirror that is a snapshot may list a source that it lacks.
# get_source MAJOR
get_source()
{
	local version

	cd "$WORK"
	list_sources
	while IFS= read -r version; do
		if apt get source --download-only "postgresql-$1=$version" \
			>"$WORK/log" 2>&1; then
			echo "==> PostgreSQL $version, with assertions: getting it" >&2
			quietly dpkg-source --skip-patches -x ./*.dsc source
			patch -s -d source -p1 <source/debian/patches/extension_destdir
			return
		fi
		rm -f ./*.dsc ./*.tar.*
	done < <(apt cache showsrc "postgresql-$1" |
		sed -n 's/^Version: //p' | sort -Vru)
	cat "$WORK/log" >&2
	die "the mirror has no source of postgresql-$1"
}

# Configure and build for a prefix, and install below the temporary folder.
# build PREFIX
build()
{
	local prefix=$1 part

	cd "$WORK/source"
	echo "==> building it (this takes some minutes)" >&2
	quietly ./configure --prefix="$prefix" --enable-cassert --enable-debug \
		--enable-tap-tests --without-readline --without-icu \
		CFLAGS='-O1 -g -fno-omit-frame-pointer' CPPFLAGS=-DUSE_VALGRIND
	quietly make -s -j "${PGB_JOBS:-1}"
	quietly make -s install DESTDIR="$WORK/root"
	for part in "${CONTRIB[@]}"; do
		quietly make -s -C "contrib/$part" install DESTDIR="$WORK/root"
	done
	cp src/tools/valgrind.supp "$WORK/root$prefix/share/valgrind.supp"
}

main()
{
	local major prefix cache

	unset PG_CONFIG
	major=$("$HERE/setup.sh" --pg-major)
	cache=$(cache_folder)
	prefix="$cache/postgresql-$major-debug"
	if [ ! -x "$prefix/bin/pg_config" ]; then
		"$HERE/setup.sh" dpkg-dev patch valgrind zlib1g-dev bison flex >&2
		mkdir -p "$cache"
		WORK=$(mktemp -d "$cache/making.XXXXXX")
		chmod 755 "$WORK"
		trap cleanup EXIT
		trap 'exit 129' HUP
		trap 'exit 130' INT
		trap 'exit 143' TERM
		get_source "$major"
		build "$prefix"
		# (-n, -T: if another script was faster, use its build.)
		mv -nT "$WORK/root$prefix" "$prefix"
	fi
	echo "$prefix/bin/pg_config"
}

main "$@"
