#!/bin/bash
#
# run.sh - a Django shop sells 100 places to a crowd, without the constraint and with it
# (make example-django).
#
# The view counts the tickets and then creates one.  It is served by gunicorn, and hey
# sends the requests.  The code is the same each time: "with the constraint" has one more
# migration, shop/migrations/0002_capacity.py.
#
# The server is temporary (test/server.sh).  The exit status is 0 only if all requests
# were answered, and exactly the places were sold with the constraint.
#
# Environment: what test/server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../test/server.sh"

readonly PLACES=100 CLIENTS=64 WORKERS=8
# (hey sends the same number of requests from each client: 2,000 would be 1,984.)
readonly REQUESTS=$((32 * CLIENTS))
readonly PYTHON=/usr/bin/python3	# Debian's, which has Debian's Django

# Run a command of Django.
manage()
{
	pgb_run env -C "$PGB_SRC/examples/django-shop" "$PYTHON" manage.py "$@"
}

# Make the database of a way, with one show.
# create_shop WAY MIGRATION
create_shop()
{
	pgb_psql -c "CREATE DATABASE $1"
	export PGDATABASE=$1
	manage migrate --verbosity 0
	manage migrate --verbosity 0 shop "$2"
	pgb_psql -c "INSERT INTO shop_show (id, title, capacity) VALUES (1, 'Hamlet', $PLACES)"
}

# Start gunicorn on a free port, and send it the crowd.  (It runs as the server's user, in
# a session of its own that ends with everything in it.)
# sell LOG CLIENTS REQUESTS WORKERS PYTHON FOLDER
sell()
{
	local log=$1 port='' i

	cd "$6"
	"$5" -m gunicorn --workers "$4" --bind 127.0.0.1:0 --log-file "$log" manage:application &
	for ((i = 0; i < 300; i++)); do
		port=$(sed -nE 's|.*Listening at: http://127.0.0.1:([0-9]+) .*|\1|p' "$log" 2>/dev/null)
		[ -z "$port" ] || break
		sleep 0.1
	done
	# The first requests load the code, for another show.
	hey -n "$2" -c "$2" -m POST "http://127.0.0.1:$port/shows/2/buy/" >/dev/null
	hey -n "$3" -c "$2" -t 60 -m POST -o csv "http://127.0.0.1:$port/shows/1/buy/"
	kill "$!"
	wait
}

# Print the line of a way from the answers: columns 1 and 7 are seconds and status.
# table_row TITLE CSV SOLD
table_row()
{
	awk -F, 'NR > 1 { print $1, $7, $8 }' "$2" | sort -n |
		awk -v title="$1" -v sold="$3" -v places="$PLACES" \
		-v requests="$REQUESTS" '
			{ time[NR] = $1; count[$2]++; if ($3 + $1 > last) last = $3 + $1 }
			END {
				printf " %-41s %5d %8d %7d %6d %6.0f %7.0f ms %7.0f ms\n", title, sold,
					(sold > places) ? sold - places : 0, count[409],
					requests - count[201] - count[409], NR / last,
					time[int(NR / 2)] * 1000, time[int(NR * 0.99)] * 1000
			}'
}

# Run one sale, and add its line to the table.
# play WAY TITLE MIGRATION ATOMIC_REQUESTS
play()
{
	local csv="$PGB_DIR/$1.csv" answers

	pgb_say "$2"
	create_shop "$1" "$3"
	pgb_run env SHOP_ATOMIC_REQUESTS="$4" SHOP_CONN_MAX_AGE=60 bash -c \
		"$(declare -f sell); sell \"\$@\"" sell "$PGB_DIR/$1.gunicorn" "$CLIENTS" \
		"$REQUESTS" "$WORKERS" "$PYTHON" "$PGB_SRC/examples/django-shop" >"$csv"
	SOLD=$(pgb_psql -c "SELECT count(*) FROM shop_ticket WHERE show_id = 1")
	answers=$(grep -cE ',(201|409),[0-9.]+$' "$csv") || true
	[ "$answers" -eq "$REQUESTS" ] || {
		pgb_say "$answers of $REQUESTS requests were answered"
		STATUS=1
	}
	table_row "$2" "$csv" "$SOLD" >>"$PGB_DIR/table"
}

# The same for a way that must sell exactly the places.
play_exact()
{
	play "$@"
	[ "$SOLD" -eq "$PLACES" ] || STATUS=1
	[ -z "$(pgb_psql -c 'SELECT * FROM booking.verify_capacity()')" ] || STATUS=1
}

main()
{
	STATUS=0
	echo "A Django shop: $PLACES places, $REQUESTS requests from $CLIENTS clients," \
		"$WORKERS workers of gunicorn."
	pgb_prepare python3-django python3-psycopg2 gunicorn hey
	# shellcheck disable=SC2119
	pgb_start
	export PYTHONDONTWRITEBYTECODE=1 ADAPTER=psycopg2
	{
		printf '\n %-41s %5s %8s %7s %6s %6s %10s %10s\n' '' sold oversold refused other \
			req/s median '99 %'
		printf ' %s\n' "$(printf '%99s' '' | tr ' ' -)"
	} >"$PGB_DIR/table"
	play plain 'count, then create' 0001 0
	play plain_atomic 'count, then create, ATOMIC_REQUESTS' 0001 1
	play_exact safe 'with the constraint' 0002 0
	play_exact safe_atomic 'with the constraint, ATOMIC_REQUESTS' 0002 1
	cat "$PGB_DIR/table"
	if [ "$STATUS" -eq 0 ]; then
		printf '\n With the constraint, each of the %d places was sold exactly once.\n' "$PLACES"
	fi
	return "$STATUS"
}

main
