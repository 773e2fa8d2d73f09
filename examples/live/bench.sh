#!/bin/bash
#
# bench.sh - what do 1,000 viewers cost a hot sale?
#
# usage: examples/live/bench.sh
#
# Books places of one event for some seconds, with nginx, the publisher and the viewers,
# and without all three.  The two ways take turns.  Prints the bookings per second of
# each turn, the ratio with / without, and at the end the median ratio and the range.
# The viewers (viewers.py) run on the same machine and take their part of its time.
#
# Environment: TURNS (5), DURATION (8 seconds), CLIENTS (16), VIEWERS (1000), and what
# server.sh reads.

# (SC2119: functions with optional arguments, called without.)
# shellcheck disable=SC2119

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../test/server.sh"
# shellcheck source=examples/live/live.sh
. "$PGB_REPO/examples/live/live.sh"

TURNS=${TURNS:-5}
DURATION=${DURATION:-8}
CLIENTS=${CLIENTS:-16}
VIEWERS=${VIEWERS:-1000}

# Print the bookings per second of a sale.
sell()
{
	pgb_run pgbench -n -M prepared -c "$CLIENTS" -j 2 -T "$DURATION" -f "$PGB_DIR/sell.sql" \
		>"$PGB_DIR/pgbench.log" 2>&1 || pgb_step_failed "pgbench failed" "$PGB_DIR/pgbench.log"
	sed -nE 's|^tps = ([0-9]+).*without initial.*|\1|p' "$PGB_DIR/pgbench.log" >"$PGB_DIR/tps"
}

# Start nginx, the publisher and the viewers, and wait until each has a message.
start_viewers()
{
	local i log="$PGB_DIR/viewers.log"

	live_start 1
	live_run "$log" python3 "$LIVE_HERE/viewers.py" "$LIVE_PORT" "$VIEWERS"
	for ((i = 0; i < 300; i++)); do
		! grep -q '^ready' "$log" || return 0
		sleep 0.1
	done
	pgb_step_failed "the viewers get no message" "$log"
}

# Each viewer must have had a message a second, and have stayed connected.
# (The last process that was started is that of the viewers.)
stop_viewers()
{
	local messages

	kill -TERM "${LIVE_PIDS[-1]}"
	wait "${LIVE_PIDS[-1]}" || pgb_step_failed "a viewer was disconnected" "$PGB_DIR/viewers.log"
	unset 'LIVE_PIDS[-1]'
	live_stop
	messages=$(sed -nE 's|^([0-9]+) messages.*|\1|p' "$PGB_DIR/viewers.log")
	[ "$messages" -ge "$((VIEWERS * DURATION / 2))" ] ||
		pgb_step_failed "the viewers had $messages messages" "$LIVE_DIR/publish.log"
}

main()
{
	local turn with without

	live_install
	pgb_prepare
	pgb_start 'track_functions = all'
	pgb_psql <<-SQL
		CREATE EXTENSION pg_booking;
		SELECT booking.create_tables();
		INSERT INTO booking.event (event_id, name, capacity) VALUES (1, 'hot', 100000000);
	SQL
	echo 'SELECT status FROM booking.try_book_ticket(1, :client_id);' |
		pgb_as tee "$PGB_DIR/sell.sql" >/dev/null
	DURATION=3 sell

	echo "$VIEWERS viewers, $CLIENTS clients, $DURATION seconds a turn; bookings per second:"
	echo "turn  none  with  ratio"
	for ((turn = 1; turn <= TURNS; turn++)); do
		sell
		without=$(<"$PGB_DIR/tps")
		sleep 2
		start_viewers
		sell
		with=$(<"$PGB_DIR/tps")
		stop_viewers
		sleep 2
		awk -v turn="$turn" -v a="$without" -v b="$with" \
			'BEGIN { printf "%4d %5d %5d  %.3f\n", turn, a, b, b / a }' >>"$PGB_DIR/turns"
		tail -n 1 "$PGB_DIR/turns"
	done
	awk '{ print $4 }' "$PGB_DIR/turns" | sort -n | awk '{ r[NR] = $1 }
		END { printf "median %.3f, from %.3f to %.3f\n", r[int((NR + 1) / 2)], r[1], r[NR] }'
}

main
