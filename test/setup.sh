#!/bin/bash
#
# setup.sh - see to it that this machine can build, run and test pg_booking.
#
# usage: test/setup.sh [package ...]
#        test/setup.sh --pg-major
#
# Installs, on Debian, what is missing of the PostgreSQL server, its
# development files, the C compiler, make, and what the TAP tests need (two Perl
# modules and pg_cron), and of the packages given as arguments.  What is there
# already is left alone; when all of it is there, apt is not called at all, so
# that this may run again and again.  Needs root, or sudo.
#
# It promises not to create, start or change a database cluster.  Debian's
# package makes and starts a cluster named "main" when a server is installed
# for the first time; that is switched off while our packages are installed,
# and then set back to what it was.
#
# Environment:
#   PG_MAJOR   the major version of PostgreSQL (default: the one that this
#              release of Debian brings, which --pg-major prints)
#   PG_CONFIG  the pg_config of a PostgreSQL that was installed another way;
#              the server and its development files are then taken from there

set -euo pipefail

# A bare root shell or an ordinary user may lack the folders for administration.
PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin"
export PATH

readonly CLUSTER_CONF=/etc/postgresql-common/createcluster.conf
readonly CLUSTER_TEMPLATE=/usr/share/postgresql-common/createcluster.conf

WORK=''				# our temporary folder
CONF_CHANGED=''		# "new" or "appended": what was done to CLUSTER_CONF

die()
{
	echo "setup.sh: $*" >&2
	exit 1
}

# The major version to use: asked for, or of the pg_config given, or Debian's.
pg_major()
{
	local codename=''

	if [ -n "${PG_MAJOR:-}" ]; then
		echo "$PG_MAJOR"
	elif [ -n "${PG_CONFIG:-}" ]; then
		"$PG_CONFIG" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/'
	else
		# shellcheck source=/dev/null
		codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
		case $codename in
			bookworm) echo 15 ;;
			trixie) echo 17 ;;
			*) echo 18 ;;
		esac
	fi
}

# Run a command as root.
as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

have_package()
{
	local status

	status=$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) &&
		[ "$status" = installed ]
}

# The PostgreSQL packages, or none if another PostgreSQL was asked for.
postgresql_packages()
{
	local pgxs

	if [ -n "${PG_CONFIG:-}" ]; then
		pgxs=$("$PG_CONFIG" --pgxs 2>/dev/null) || pgxs=''
		[ ! -f "$pgxs" ] || return 0
	fi
	echo "postgresql-$1 postgresql-server-dev-$1 postgresql-$1-cron"
}

# Write CLUSTER_CONF from standard input.
write_cluster_conf()
{
	as_root mkdir -p "${CLUSTER_CONF%/*}"
	as_root tee "$CLUSTER_CONF" >/dev/null
}

# Keep Debian's packages from making a cluster: the file is read when the
# server package is configured, so it has to be in place before that.
forbid_main_cluster()
{
	if [ -e "$CLUSTER_CONF" ]; then
		cat "$CLUSTER_CONF" >"$WORK/createcluster.conf"
		CONF_CHANGED=appended
	else
		CONF_CHANGED=new
	fi
	{
		[ "$CONF_CHANGED" = new ] || cat "$WORK/createcluster.conf"
		echo 'create_main_cluster = false'
	} | write_cluster_conf
}

# Put CLUSTER_CONF back, or, if there was none, leave Debian's own in its place,
# so that a server that the administrator installs later gets its cluster.
restore_main_cluster()
{
	case $CONF_CHANGED in
		appended) write_cluster_conf <"$WORK/createcluster.conf" ;;
		new)
			if [ -e "$CLUSTER_TEMPLATE" ]; then
				write_cluster_conf <"$CLUSTER_TEMPLATE"
				as_root rm -f "$CLUSTER_CONF.ucf-dist"	# the same once more
			else
				as_root rm -f "$CLUSTER_CONF"
			fi
			;;
	esac
	CONF_CHANGED=''
}

cleanup()
{
	trap '' HUP INT TERM
	restore_main_cluster
	rm -rf "$WORK"
}

# apt-get, quiet, asking nothing, patient with another apt that is running.
# UCF_FORCE_CONFFOLD: never touch a configuration file of the administrator's.
apt_get()
{
	as_root env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 LC_ALL=C \
		apt-get -y -q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
		-o Acquire::Retries=3 "$@" </dev/null >>"$WORK/log" 2>&1
}

# Install the packages given.  The lists of packages may be stale, and one of
# several sources may not answer just now, so it is the install that decides.
install_packages()
{
	echo "==> installing $* (this can take a minute or two)"
	apt_get update || true
	apt_get install --no-install-recommends "$@" || {
		cat "$WORK/log" >&2
		die "apt-get could not install: $*"
	}
}

main()
{
	local major wanted package
	local missing=()

	major=$(pg_major)
	if [ "${1:-}" = --pg-major ]; then
		echo "$major"
		return
	fi

	command -v dpkg-query >/dev/null ||
		die "this is not Debian: install PostgreSQL with its development files" \
			"and say PG_CONFIG=/path/to/pg_config"
	wanted="$(postgresql_packages "$major") gcc libc6-dev make"
	wanted="$wanted libipc-run-perl libdbd-pg-perl"
	for package in $wanted "$@"; do
		have_package "$package" || missing+=("$package")
	done
	[ "${#missing[@]}" -gt 0 ] || return 0

	[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
		die "run as root, or install these packages first: ${missing[*]}"

	WORK=$(mktemp -d /tmp/pgb-setup.XXXXXX)
	trap cleanup EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	forbid_main_cluster
	install_packages "${missing[@]}"
}

main "$@"
