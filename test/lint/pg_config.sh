#!/bin/bash
#
# pg_config.sh - does make say which package is missing? (part of make lint)
#
# Runs make with a pg_config as it is without the development files of the server:
# one that is not there, one like libpq-dev's with and without the file that --pgxs
# prints.  Each time make must fail and name the package, and not a header.  The
# exit status is 1 if it doesn't.

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

# Run make with a pg_config; what it prints must have the text.
# must_say TEXT PG_CONFIG
must_say()
{
	if make -s all "PG_CONFIG=$2" >"$WORK/log" 2>&1; then
		echo "make succeeds with PG_CONFIG=$2, without headers"
	elif ! grep -qF "$1" "$WORK/log"; then
		echo "make without the server's headers does not say \"$1\", but:"
		cat "$WORK/log"
	else
		return 0
	fi
	return 1
}

touch "$WORK/pgxs.mk"
must_say 'install postgresql-server-dev-<version>' "$WORK/pg_config"
fake_pg_config "$WORK/pgxs.mk"
must_say 'install postgresql-server-dev-17,' "$WORK/pg_config"
fake_pg_config "$WORK/missing/pgxs.mk"
must_say 'install postgresql-server-dev-17,' "$WORK/pg_config"
