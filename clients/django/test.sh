#!/bin/bash
#
# test.sh - tests the Django package and the example shop.
#
# usage: clients/django/test.sh [--only package|shop] [psycopg2|psycopg ...]
#
# Runs the package's tests and those of examples/django-shop by Django's test runner, on
# one server, with each of the database adapters (default: all that this Debian's Django
# can use).  examples/django-shop/test.sh is "--only shop".
#
# The last line is "N passed, N failed", and the exit status is 0 only if nothing failed.
# Environment: what test/server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../test/server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"

readonly PYTHON=/usr/bin/python3	# Debian's, which has Debian's Django

# Run Django's test runner in a folder, and add its results to the total.
# run_suite WHAT FOLDER [NAME=VALUE ...]
run_suite()
{
	local what=$1 folder=$2 log="$PGB_DIR/suite.log" start=$SECONDS status=0
	local total failures errors skipped

	shift 2
	pgb_say "$what"
	pgb_run env -C "$PGB_SRC/$folder" "$@" "$PYTHON" \
		manage.py test --noinput >"$log" 2>&1 || status=$?
	total=$(sed -nE 's/^Ran ([0-9]+) tests? in .*/\1/p' "$log")
	failures=$(result failures "$log")
	errors=$(result errors "$log")
	skipped=$(result skipped "$log")
	add_runner "$what" "$status" "$((${total:-0} - failures - errors - skipped))" \
		"$((failures + errors))" "$((SECONDS - start))" "$log"
	[ "$status" -ne 0 ] || [ "${total:-0}" -gt 0 ] || broke "$what" "no test was run"
	check_server_log "$what"
}

# Print a number of the last line of the test runner: "FAILED (failures=1, errors=2)".
# result WHAT LOG
result()
{
	local number

	number=$(sed -nE "s/^(OK|FAILED) \(.*\b$1=([0-9]+).*/\2/p" "$2")
	echo "${number:-0}"
}

# Build the package as an installer does, and look what is in it.
check_wheel()
{
	local log="$PGB_DIR/wheel.log" file

	pgb_as mkdir "$PGB_DIR/wheel"
	pgb_run env -C "$PGB_SRC/clients/django" "$PYTHON" -c \
		'import sys; from setuptools import build_meta as b; b.build_wheel(sys.argv[1])' \
		"$PGB_DIR/wheel" >"$log" 2>&1 || { show "$log" 40; return 1; }
	"$PYTHON" -m zipfile -l "$PGB_DIR"/wheel/*.whl >"$log"
	for file in py.typed constraints.py tickets/models.py tickets/migrations/0002_tables.py; do
		grep -q "^django_pg_booking/$file " "$log" || {
			echo "    the package lacks $file"
			return 1
		}
	done
	if grep -q '^tests/' "$log"; then
		echo "    the package has the tests"
		return 1
	fi
}

# The adapters that Django can use.
default_adapters()
{
	echo psycopg2
	if "$PYTHON" -c 'import django, sys; sys.exit(django.VERSION < (4, 2))'; then
		echo psycopg
	fi
}

main()
{
	local only='' adapter
	local adapters=()

	if [ "${1:-}" = --only ]; then
		only=$2
		shift 2
	fi
	pgb_prepare python3-django python3-psycopg2 python3-setuptools python3-wheel
	adapters=("$@")
	[ "$#" -gt 0 ] || mapfile -t adapters < <(default_adapters)
	for adapter in "${adapters[@]}"; do
		"$PGB_REPO/test/setup.sh" "python3-$adapter"
	done
	# (The tests commit thousands of small transactions; no crash is tested here.)
	pgb_start 'fsync = off'
	export PYTHONDONTWRITEBYTECODE=1

	[ "$only" = shop ] || add_check "the package can be built" check_wheel
	for adapter in "${adapters[@]}"; do
		[ "$only" = shop ] ||
			run_suite "package, $adapter" clients/django/tests "ADAPTER=$adapter"
		[ "$only" = package ] || {
			run_suite "shop, $adapter" examples/django-shop "ADAPTER=$adapter"
			run_suite "shop with ATOMIC_REQUESTS, $adapter" examples/django-shop \
				"ADAPTER=$adapter" SHOP_ATOMIC_REQUESTS=1
		}
	done
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
