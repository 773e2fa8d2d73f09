#!/bin/bash
#
# test.sh - opens the page in Chromium during a sale.
#
# usage: examples/live/test.sh [--picture FILE]
#
# A sale runs on a server of its own.  Chromium, without a window, shows the page from
# before the sale until after it.  When the sale has a break, and at its end, the numbers
# on the page must be those of the database.  The chart must have points of the sale.
# At the end, the publisher loses its connection and is ended.
# Chromium is driven by its WebDriver, with curl.
#
# --picture FILE: also take a picture of the page during another sale.
#
# The last line is
#
#	N passed, N failed
#
# Environment: what server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../test/server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"
# shellcheck source=examples/live/live.sh
. "$PGB_REPO/examples/live/live.sh"

PLACES=600		# of each event
CLIENTS=8
RATE=150		# requests per second, so that a sale takes some seconds
REQUESTS=0		# of the last sales

# shellcheck disable=SC2034
PGB_AT_EXIT=print_total

create_sale()
{
	pgb_psql <<-SQL
		CREATE EXTENSION pg_booking;
		SELECT booking.create_tables();
		INSERT INTO booking.event (event_id, name, capacity)
		VALUES (1, 'Midsummer concert', $PLACES), (2, 'Midsummer concert', 7 * $PLACES),
			(3, 'Spring concert', 40);
	SQL
}

# Sell an event for some seconds, and add the number of requests to REQUESTS.
# sell EVENT_ID SECONDS
sell()
{
	local requests

	echo "SELECT status FROM booking.try_book_ticket($1, :client_id);" |
		pgb_as tee "$PGB_DIR/sell.sql" >/dev/null
	pgb_run pgbench -n -c "$CLIENTS" -R "$RATE" -T "$2" -f "$PGB_DIR/sell.sql" \
		>"$PGB_DIR/pgbench.log" 2>&1 || pgb_step_failed "pgbench failed" "$PGB_DIR/pgbench.log"
	requests=$(sed -nE 's/^number of transactions actually processed: ([0-9]+).*/\1/p' \
		"$PGB_DIR/pgbench.log")
	REQUESTS=$((REQUESTS + requests))
}

# ---- Chromium ---------------------------------------------------------------

DRIVER=''		# the URL of the session

# Print a value of a JSON text.
# json KEY ...
json()
{
	python3 -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1:]:
	value = value[key]
print(value)' "$@"
}

# drive METHOD PATH [JSON]
drive()
{
	curl --silent --show-error --max-time 60 --request "$1" ${3:+--data "$3"} "$DRIVER$2"
}

# Open the page.  (The sandbox would need rights that root in a container lacks.  The
# page is ours.)
open_page()
{
	local port args i

	port=$(pgb_free_port)
	DRIVER="http://127.0.0.1:$port/session"
	live_run "$PGB_DIR/driver.log" chromedriver "--port=$port"
	for ((i = 0; i < 100; i++)); do
		! curl --silent --output /dev/null "http://127.0.0.1:$port/status" || break
		sleep 0.1
	done
	args='"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"'
	args="$args, \"--hide-scrollbars\", \"--window-size=900,660\", \"--user-data-dir=$PGB_DIR/chromium\""
	drive POST '' "{\"capabilities\": {\"alwaysMatch\": {\"goog:chromeOptions\": {\"args\": [$args]}}}}" \
		>"$PGB_DIR/session"
	DRIVER="$DRIVER/$(json value sessionId <"$PGB_DIR/session")" ||
		pgb_step_failed "Chromium does not start" "$PGB_DIR/session"
	drive POST /url "{\"url\": \"$LIVE_URL\"}" >"$PGB_DIR/session"
}

close_page()
{
	drive DELETE '' >/dev/null
}

# Store what the page shows now.
look()
{
	drive GET /source | json value >"$PGB_DIR/page"
}

# The text of an element of the page.
# on_page ID
on_page()
{
	sed -nE "s|.*<[a-z0-9]+ id=\"$1\">([^<]*)<.*|\\1|p" "$PGB_DIR/page" | head -n 1
}

# Does the page show what a query returns, after some seconds at most?
# agrees ID QUERY
agrees()
{
	local shown expected i

	expected=$(pgb_psql -c "$2")
	for ((i = 0; i < 20; i++)); do
		look
		shown=$(on_page "$1")
		[ "$shown" != "$expected" ] || break
		sleep 0.5
	done
	echo "    the page: $shown, the database: $expected"
	[ -n "$shown" ] && [ "$shown" = "$expected" ]
}

# Does a line of the chart have different heights?
# chart_moves CLASS
chart_moves()
{
	local count

	look
	count=$(sed -nE "s|.*class=\"$1\" points=\"([^\"]*)\".*|\\1|p" "$PGB_DIR/page" |
		tr ' ' '\n' | cut -d, -f2 | sort -u | wc -l)
	echo "    $count different heights"
	[ "$count" -ge 4 ]
}

publishing_is_private()
{
	local status

	status=$(curl --silent --output /dev/null --write-out '%{http_code}' \
		--data '{"available": 1}' "$LIVE_URL$1")
	echo "    status $status"
	[ "$status" = 404 ] || [ "$status" = 403 ] || [ "$status" = 405 ]
}

# Check all numbers.
# check_page WHEN
check_page()
{
	add_check "$1: the places left" agrees left 'SELECT available FROM booking.availability(1)'
	add_check "$1: the tickets that were booked" agrees booked \
		'SELECT count(*) FROM booking.ticket WHERE event_id = 1'
	check_refused "$1"
}

# check_refused WHEN
check_refused()
{
	add_check "$1: the requests that were refused" agrees refused \
		"SELECT $REQUESTS - count(*) FROM booking.ticket WHERE event_id = 1"
}

# ---- the publisher ----------------------------------------------------------

# End the publisher's connection to the database.
disconnect()
{
	[ "$(pgb_psql -c "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")" = 1 ]
}

# Print the processes of the publisher.  It has a session of its own.
publisher()
{
	ps -o pid=,stat=,args= --sid "$1" | awk '$2 !~ /^Z/'
}

# TERM must end the publisher with all of its processes.  (nginx was started before it.)
ends_at_term()
{
	local pid=${LIVE_PIDS[1]} before i

	before=$(publisher "$pid")
	if ! grep -q psql <<<"$before" || ! grep -q curl <<<"$before"; then
		echo "$before"
		return 1
	fi
	kill -TERM "$pid"
	for ((i = 0; i < 20; i++)); do
		[ -n "$(publisher "$pid")" ] || return 0
		sleep 0.1
	done
	publisher "$pid"
	return 1
}

# The picture is taken while the second event is being sold.
# take_picture FILE
take_picture()
{
	live_start 2
	open_page
	RATE=60 sell 2 20
	RATE=180 sell 2 21
	drive GET /screenshot | json value | base64 -d >"$PGB_DIR/live.png"
	close_page
	live_stop
	cp "$PGB_DIR/live.png" "$1"
}

main()
{
	local picture=''

	[ "${1:-}" != --picture ] || picture=$(realpath "$2")
	live_install chromium chromium-driver
	# shellcheck disable=SC2119
	pgb_prepare
	pgb_start 'track_functions = all'
	create_sale

	sell 3 1		# must not be counted
	REQUESTS=0
	live_start 1
	open_page
	sell 1 3
	check_page "in a break of the sale"
	sell 1 4
	check_page "at its end"
	pgb_psql -c 'SELECT pg_stat_reset()' >/dev/null
	sell 1 1
	check_refused "after pg_stat_reset()"
	add_check "it is sold out" agrees left 'SELECT 0'
	add_check "the name of the event" agrees name 'SELECT name FROM booking.event WHERE event_id = 1'
	add_check "the chart shows how the places were sold" chart_moves left
	add_check "the chart shows the bookings per second" chart_moves rate
	add_check "viewers can't publish" publishing_is_private publish
	add_check "nor to the channel that they read" publishing_is_private sale
	add_check "the publisher loses its connection" disconnect
	add_check "and counts again from 0" agrees refused 'SELECT 0'
	close_page
	add_check "TERM ends the publisher with all of its processes" ends_at_term
	live_stop

	[ -z "$picture" ] || add_check "a picture is taken" take_picture "$picture"
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
