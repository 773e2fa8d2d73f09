# shellcheck shell=bash disable=SC2016
# router - try_book_ticket through a router
#
# First beside the same call in the shard itself, router and shards on one server, and
# beside a function of PL/Proxy that only passes the call on.  That is what PL/Proxy
# itself costs.  Then with 1, 2 and 4 shards on a server each, whose flush takes 5 ms as
# on a slow disk.  The shards have as many clients each: one flush commits all that wait
# for it, so with the same clients more shards would not book more.  Last, thousands of
# connections at a PgBouncer before the router, which has 64 sessions.

readonly CLIENTS_PER_SHARD=2 SLOW_FLUSH=5000	# microseconds
# A session's first calls connect it to the shards.
readonly ROUTER_SECONDS=6

# Call try_book_ticket in a database for a while, with the events FIRST to LAST.  SCHEMA
# is that of the function.
# router_call DATABASE SCHEMA CLIENTS FIRST LAST
router_call()
{
	sed "s/booking\./$2./" "$BENCH/scripts/try_book_ticket_of.sql" >"$PGB_DIR/call.sql"
	RUN_IN=$1 pg_bench -c "$3" -T "$ROUTER_SECONDS" -D first="$4" -D last="$5" -f "$PGB_DIR/call.sql"
}

# Create a function that only passes the call on.
router_make_bare()
{
	pgb_psql -d "$ROUTER" -c 'CREATE SCHEMA bare' -c "CREATE FUNCTION
		bare.try_book_ticket(event_id bigint, user_id bigint, OUT status text, OUT ticket_id bigint)
		LANGUAGE plproxy AS 'CLUSTER ''shop''; RUN ON event_id; TARGET booking.try_book_ticket;'"
}

# One hot event.
router_beside_direct()
{
	local repeat clients way

	for repeat in $(seq "$REPEATS"); do
		for clients in 1 32; do
			for way in $(in_turn "$repeat" direct bare router); do
				shards_make 4
				router_make_bare
				case $way in
					direct) router_call shard0 booking "$clients" 4 4 ;;
					bare) router_call "$ROUTER" bare "$clients" 4 4 ;;
					router) router_call "$ROUTER" booking "$clients" 4 4 ;;
				esac
				shards_check "$(reported_count)"
				record router "$way" "$clients" "$repeat" "$(reported_rate)" "$(reported_count)"
				note "$(printf 'repeat %s, %2s clients: %6s/s  %s' "$repeat" "$clients" \
					"$(reported_rate)" "$way")"
			done
		done
	done
	target speed '`try_book_ticket` through a router / direct' 1 "$(ratio router 1 router direct)" '>=' 0.7
	target speed '`try_book_ticket` through a router / direct' 32 "$(ratio router 32 router direct)" '>=' 0.5
	for clients in 1 32; do
		figure '`try_book_ticket` through a router / through bare PL/Proxy' "$clients" \
			"$(ratio router "$clients" router bare)"
	done
}

# More shards, all events of all shards wanted.
router_slow_disks()
{
	local repeat shards clients

	shards_start 4 "commit_delay = $SLOW_FLUSH" 'commit_siblings = 0' 'shared_buffers = 32MB'
	for repeat in $(seq "$REPEATS"); do
		for shards in $(in_turn "$repeat" 1 2 4); do
			clients=$((CLIENTS_PER_SHARD * shards))
			shards_make "$shards"
			router_call "$ROUTER" booking "$clients" "$shards" "$((shards * (SHARD_EVENTS + 1) - 1))"
			shards_check "$(reported_count)"
			record router "$shards" slow "$repeat" "$(reported_rate)" "$(reported_count)"
			note "$(printf 'repeat %s, a flush of 5 ms: %6s/s  %s shards, %2s clients' "$repeat" \
				"$(reported_rate)" "$shards" "$clients")"
		done
	done
	shards_stop
	target speed "2 shards / 1, a flush of 5 ms, $CLIENTS_PER_SHARD clients a shard" \
		"$((CLIENTS_PER_SHARD * 2))" "$(ratio router slow 2 1)" '>=' 1.8
	target speed "4 shards / 1, a flush of 5 ms, $CLIENTS_PER_SHARD clients a shard" \
		"$((CLIENTS_PER_SHARD * 4))" "$(ratio router slow 4 1)" '>=' 3.2
}

# Print the 99th percentile of the latencies in pgbench's logs, in milliseconds.  The
# first five seconds, in which the sessions connect to the shards, don't count.
p99_of()
{
	sort -n -k 5,6 "$@" | awk 'NR == 1 { start = $5 } $5 > start + 5 { print $3 / 1000 }' | sort -n |
		awk '{ all[NR] = $1 } END { printf "%.1f\n", all[int(NR * 0.99 + 0.5)] }'
}

# A thousand calls a second, from CONNECTIONS connections to the PgBouncer.
# router_call_by_many CONNECTIONS REPEAT
router_call_by_many()
{
	(
		cd "$BOUNCER_DIR"
		pgb_run pgbench -n -c "$1" -j 2 -T 15 -R 1000 -l --log-prefix="log$2" -h "$BOUNCER_DIR" -p 6432 \
			-D first=4 -D last=$((4 * SHARD_EVENTS + 3)) -f "$BENCH/scripts/try_book_ticket_of.sql" "$ROUTER"
	) >"$REPORT" 2>"$REPORT.err" || pgb_step_failed "pgbench failed" "$REPORT.err"
}

router_many_connections()
{
	local connections=10000 repeat p99

	[ "$QUICK" = 0 ] || connections=500
	shards_start 4 'shared_buffers = 32MB'
	bouncer_start 64 "$((connections + 100))"
	for repeat in $(seq "$REPEATS"); do
		shards_make 4
		router_call_by_many "$connections" "$repeat"
		shards_check "$(reported_count)"
		p99=$(p99_of "$BOUNCER_DIR/log$repeat".*)
		record router p99 "$connections" "$repeat" "$p99" "$(reported_count)"
		note "repeat $repeat, $connections connections: 99 % within $p99 ms"
	done
	bouncer_stop
	shards_stop
	figure 'through a router with 64 sessions, 1,000 calls a second: ms within which 99 % are answered' \
		"$connections" "$(measured router "$connections" p99)"
}

scenario_router()
{
	pgb_say "through a router"
	router_beside_direct
	router_slow_disks
	router_many_connections
}
