#!/bin/bash
#
# setup.sh - installs what is needed to build, run and test pg_booking.
#
# usage: test/setup.sh [package ...]
#        test/setup.sh --pg-major
#
# On Debian it installs what is missing of the PostgreSQL server, its development
# files, the C compiler and make.  For the TAP tests it installs two Perl modules,
# pg_cron and PL/Proxy.  Arguments are further packages to install.  If none is missing, apt is not
# called, so the script can be called any number of times.  It needs root or sudo.
#
# It creates, starts and changes no database cluster.  Debian's package makes and
# starts a cluster named "main" when a server is installed for the first time.  The
# script switches that off while it installs packages, and then restores the
# setting.
#
# Environment:
#   PG_MAJOR   the major version of PostgreSQL (default: the version of this release
#              of Debian, which --pg-major prints)
#   PG_CONFIG  the pg_config of a PostgreSQL that does not come from Debian; it must
#              have the server and its development files

set -euo pipefail

# The PATH of an ordinary user or of a plain root shell may lack these folders.
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

# Print the major version to use: PG_MAJOR, or that of PG_CONFIG, or Debian's.
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

# Print the PostgreSQL packages, or none if PG_CONFIG has what they contain.
# postgresql_packages MAJOR
postgresql_packages()
{
	local pgxs

	if [ -n "${PG_CONFIG:-}" ]; then
		pgxs=$("$PG_CONFIG" --pgxs 2>/dev/null) || pgxs=''
		[ ! -f "$pgxs" ] || return 0
	fi
	echo "postgresql-$1 postgresql-server-dev-$1 postgresql-$1-cron" \
		"postgresql-$1-plproxy"
}

# Write CLUSTER_CONF from standard input.
write_cluster_conf()
{
	as_root mkdir -p "${CLUSTER_CONF%/*}"
	as_root tee "$CLUSTER_CONF" >/dev/null
}

# Keep Debian's packages from making a cluster.  The setting must be there before
# the server's package is configured, which reads it.
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

# Restore CLUSTER_CONF.  If there was none, put Debian's own in its place, so that a
# server that the administrator installs later gets its cluster.
restore_main_cluster()
{
	case $CONF_CHANGED in
		appended) write_cluster_conf <"$WORK/createcluster.conf" ;;
		new)
			if [ -e "$CLUSTER_TEMPLATE" ]; then
				write_cluster_conf <"$CLUSTER_TEMPLATE"
				as_root rm -f "$CLUSTER_CONF.ucf-dist"	# another copy of it
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

# Run apt-get without output and questions; wait for another apt that is running.
# (UCF_FORCE_CONFFOLD: keep the administrator's configuration files.)
apt_get()
{
	as_root env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 LC_ALL=C \
		apt-get -y -q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
		-o Acquire::Retries=3 "$@" </dev/null >>"$WORK/log" 2>&1
}

# Install the packages given.  If apt-get update fails, the install may succeed all
# the same: one of several sources may not answer at the moment.
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
