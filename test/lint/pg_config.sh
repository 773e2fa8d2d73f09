#!/bin/bash
#
# pg_config.sh - does make say which package is missing? (part of make lint)
#
# Runs make with a pg_config as it is without the development files of the server:
# one that is not there, one like libpq-dev's with and without the file that --pgxs
# prints.  Each time make must fail and name the package, and not a header.  The same
# with the tools of "make format" and "make lint".  And "make clean" must work without
# the development files.  The exit status is 1 if one of these is not so.

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# Write a pg_config of PostgreSQL 17 without headers.
# fake_pg_config PGXS
fake_pg_config()
{
	cat >"$WORK/pg_config" <<-END
		#!/bin/sh
		case \$1 in
			--version) echo 'PostgreSQL 17.6 (Debian 17.6-1)' ;;
			--pgxs) echo '$1' ;;
			--includedir-server) echo '$WORK/include' ;;
		esac
	END
	chmod +x "$WORK/pg_config"
}

# Run make; it must fail, and what it prints must have the text.
# must_say TEXT TARGET VARIABLE=VALUE
must_say()
{
	if make -s "$2" "$3" >"$WORK/log" 2>&1; then
		echo "make $2 succeeds with $3"
	elif ! grep -qF "$1" "$WORK/log"; then
		echo "make $2 $3 does not say \"$1\", but:"
		cat "$WORK/log"
	else
		return 0
	fi
	return 1
}

# Without the server's headers, what "make clean" would remove must have all that a
# build makes.
must_clean()
{
	local file

	make -n clean "PG_CONFIG=$WORK/pg_config" >"$WORK/log"
	for file in src/pg_booking.o src/pg_booking.bc pg_booking.so pg_booking--1.0.sql; do
		grep -qwF "$file" "$WORK/log" || {
			echo "make clean does not remove $file"
			return 1
		}
	done
}

touch "$WORK/pgxs.mk"
must_say 'install postgresql-server-dev-<version>' all "PG_CONFIG=$WORK/pg_config"
fake_pg_config "$WORK/pgxs.mk"
must_say 'install postgresql-server-dev-17,' all "PG_CONFIG=$WORK/pg_config"
fake_pg_config "$WORK/missing/pgxs.mk"
must_say 'install postgresql-server-dev-17,' all "PG_CONFIG=$WORK/pg_config"
must_clean
must_say 'install the package clang-format-14' check-format "CLANG_FORMAT=$WORK/missing"
must_say 'install the package clang-format-14' format "CLANG_FORMAT=$WORK/missing"
must_say 'install the package cppcheck' lint-tools "CPPCHECK=$WORK/missing"
must_say 'install the package shellcheck' lint-tools "SHELLCHECK=$WORK/missing"
