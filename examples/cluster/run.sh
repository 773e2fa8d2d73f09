#!/bin/bash
#
# run.sh - four shards sell 100 events, while a server is killed and a shard moves to
# another server (make example-cluster).
#
# Clients buy tickets through a router (client.pl).  In the middle of the sale
#
#	1. the primary of shard 1 is killed, and its standby is promoted;
#	2. a new standby is made in its place;
#	3. shard 3 moves to the server of shard 0, as if its own had to be replaced.
#
# The other shards go on selling.  At the end, what the clients were told is compared
# with the tables (report.pl): nothing was lost, and nothing sold twice.  The exit status
# is 0 only then.
#
# The servers are temporary (cluster.sh).  It must run as root.
#
# Environment: what test/server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../test/server.sh"
# shellcheck source=examples/cluster/cluster.sh
. "$PGB_REPO/examples/cluster/cluster.sh"

readonly SHARDS=4 EVENTS=100 PLACES=200 CLIENTS=16
readonly KILLED=1 MOVED=3 TO_PAIR=0

SALE=''			# the folder of the journals
START=0			# when the sale began
CLIENT_PIDS=()

# Say what is being done, and when.
say_at()
{
	local now=$((${EPOCHREALTIME/./} / 1000 - START))

	printf '==> %2d.%d s: %s\n' $((now / 1000)) $((now % 1000 / 100)) "$*"
}

# Make the events.  The router chooses the shard of each.
create_events()
{
	cluster_sql router router -c "SELECT booking.create_event('event ' || n, $PLACES)
		FROM generate_series(1, $EVENTS) n" | pgb_as tee "$SALE/events" >/dev/null
}

start_clients()
{
	local n conninfo

	conninfo="host=$(cluster_address router) user=shop dbname=router"
	for ((n = 0; n < CLIENTS; n++)); do
		cluster_run "$SALE/client.$n.log" "$PGB_SRC/examples/cluster/client.pl" "$n" \
			$((n % SHARDS)) "$SHARDS" "$SALE" "$conninfo"
		CLIENT_PIDS+=("$!")
	done
	START=$((${EPOCHREALTIME/./} / 1000))
}

# Let the clients finish what they are doing.
stop_clients()
{
	local n

	pgb_as touch "$SALE/stop"
	for n in "${!CLIENT_PIDS[@]}"; do
		wait "${CLIENT_PIDS[n]}" || pgb_step_failed "a client has failed" "$SALE/client.$n.log"
	done
}

# Wait until a server has not answered three times.
notice_failure()
{
	local silent=0

	while [ "$silent" -lt 3 ]; do
		sleep 0.2
		if cluster_answers "$1"; then silent=0; else silent=$((silent + 1)); fi
	done
}

# Kill the primary of a shard, and do what its administrator does.
lose_primary()
{
	local pair=${CLUSTER_PAIR[$1]} server

	server=$(cluster_primary "$1")
	say_at "the primary of shard $1, server $server, is killed"
	cluster_kill "$server"
	notice_failure "$server"
	say_at "it does not answer: its standby is promoted"
	cluster_fail_over "$pair"
	say_at "shard $1 sells on server $(cluster_primary "$1")"
	sleep 2
	cluster_join "$server"
	cluster_make_standby "$pair"
	say_at "server $server is its synchronous standby"
}

# move_shard SHARD PAIR
move_shard()
{
	say_at "shard $1 begins to move to server ${CLUSTER_PRIMARY[$2]}"
	cluster_move "$1" "$2"
	say_at "shard $1 sells on server $(cluster_primary "$1")"
}

# Write the tables to files.
export_tables()
{
	local shard server

	for ((shard = 0; shard < SHARDS; shard++)); do
		server=$(cluster_primary "$shard")
		echo "$server $(cluster_address "$server")" >"$SALE/server.$shard"
		cluster_sql "$server" "shard$shard" -F $'\t' \
			-c 'SELECT event_id, capacity FROM booking.event' >"$SALE/events.$shard"
		cluster_sql "$server" "shard$shard" -F $'\t' \
			-c 'SELECT ticket_id, event_id, user_id, extract(epoch FROM booked_at)
				FROM booking.ticket' >"$SALE/tickets.$shard"
		cluster_sql "$server" "shard$shard" -F $'\t' \
			-c 'SELECT * FROM booking.verify()' >"$SALE/verify.$shard"
	done
}

main()
{
	cluster_enter "$0" "$@"
	echo "A router and $SHARDS shards, each a primary and a synchronous standby." \
		"$CLIENTS clients, $EVENTS events of $PLACES places."
	pgb_prepare pgbouncer iproute2
	SALE="$PGB_DIR/sale"
	pgb_as mkdir "$SALE"
	pgb_say "starting $((2 * SHARDS + 1)) servers and PgBouncer"
	cluster_start "$SHARDS"
	create_events
	start_clients
	say_at "the sale begins"
	sleep 4
	lose_primary "$KILLED"
	sleep 2
	move_shard "$MOVED" "$TO_PAIR"
	sleep 4
	stop_clients
	say_at "the sale is over"
	export_tables
	"$PGB_SRC/examples/cluster/report.pl" "$SALE" "$SHARDS" "$KILLED" "$MOVED"
}

main "$@"
