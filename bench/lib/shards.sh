# shellcheck shell=bash
# shards.sh - a router and its shards; sourced by bench/run.sh
#
# The shards are databases of one server or of a server each.  The functions of the
# router are in the database "router" of the benchmark's own server.

readonly ROUTER=router
# The events of each shard.  (A shop has many, see SHOP_EVENTS.)
readonly SHARD_EVENTS=1000

SHARD_PORTS=()			# of the servers that shards_start has started
BOUNCER_DIR=''			# the folder of the PgBouncer before the router
BOUNCER=''				# its process

# Start COUNT servers, with the given lines in their configuration.  They listen on unix
# sockets in the folder of the benchmark's server.
# shards_start COUNT [configuration line ...]
shards_start()
{
	local count=$1 n port data

	shift
	SHARD_PORTS=()
	for n in $(seq "$count"); do
		port=$((PGPORT + n))
		data="$PGB_DIR/shard$n"
		pgb_as initdb -D "$data" -U postgres -A trust -E UTF8 --locale=C --no-sync \
			>"$data.initdb.log" 2>&1 || pgb_step_failed "initdb failed" "$data.initdb.log"
		PGB_DATA=$data pgb_write_conf "port = $port" "$@"
		pgb_as pg_ctl -D "$data" -l "$data.log" -s -w start \
			>"$PGB_DIR/pg_ctl.log" 2>&1 ||
			pgb_step_failed "the server of a shard does not start" "$PGB_DIR/pg_ctl.log"
		SHARD_PORTS+=("$port")
	done
}

shards_stop()
{
	local n

	for n in "${!SHARD_PORTS[@]}"; do
		pgb_as pg_ctl -D "$PGB_DIR/shard$((n + 1))" -s -w -m fast stop >/dev/null
		pgb_as rm -rf "$PGB_DIR/shard$((n + 1))"
	done
	SHARD_PORTS=()
}

# Make COUNT shards with SHARD_EVENTS events each, on the servers of shards_start or, if
# there are none, on the benchmark's; and the router.  Their ids are from COUNT to COUNT * (SHARD_EVENTS + 1) - 1.
# shards_make COUNT
shards_make()
{
	local count=$1 options='' n port

	pgb_psql -c 'SET client_min_messages = error' \
		-c "DROP DATABASE IF EXISTS $ROUTER WITH (FORCE)" -c "CREATE DATABASE $ROUTER"
	for ((n = 0; n < count; n++)); do
		port=${SHARD_PORTS[n]:-$PGPORT}
		pgb_psql -p "$port" >/dev/null -c 'SET client_min_messages = error' \
			-c "DROP DATABASE IF EXISTS shard$n WITH (FORCE)" -c "CREATE DATABASE shard$n" \
			-c "\\connect shard$n" -c 'CREATE EXTENSION pg_booking' \
			-c "SELECT booking.create_tables('bigint', $n, $count)" \
			-c "INSERT INTO booking.event (capacity)
				SELECT $PLENTY FROM generate_series(1, $SHARD_EVENTS)" \
			-c 'VACUUM (ANALYZE)' -c CHECKPOINT
		options+="${options:+, }p$n 'dbname=shard$n host=$PGHOST port=$port'"
	done
	pgb_psql -d shard0 -p "${SHARD_PORTS[0]:-$PGPORT}" \
		-c "SELECT booking.router_functions('shop')" | pgb_psql -d "$ROUTER"
	pgb_psql -d "$ROUTER" -c "CREATE SERVER shop FOREIGN DATA WRAPPER plproxy OPTIONS ($options)" \
		-c "CREATE USER MAPPING FOR PUBLIC SERVER shop OPTIONS (user '$PGUSER')"
}

# Fail unless the shards have as many tickets as were booked, and verify() finds nothing.
# shards_check BOOKED
shards_check()
{
	local booked

	booked=$(pgb_psql -d "$ROUTER" -c 'SELECT sum(booked) FROM booking.sales')
	[ "$booked" = "$1" ] || broken "the shards have $booked tickets, and $1 were booked"
	[ -z "$(pgb_psql -d "$ROUTER" -c 'SELECT * FROM booking.verify()')" ] || broken "verify() of the shards"
}

# Start a PgBouncer before the router.
# bouncer_start SESSIONS CONNECTIONS
bouncer_start()
{
	local i

	ulimit -n "$(ulimit -Hn)"
	BOUNCER_DIR="$PGB_DIR/bouncer"
	pgb_as mkdir -p "$BOUNCER_DIR"
	printf '%s\n' '[databases]' "$ROUTER = host=$PGHOST port=$PGPORT user=$PGUSER" '[pgbouncer]' 'listen_addr =' \
		"unix_socket_dir = $BOUNCER_DIR" 'listen_port = 6432' 'auth_type = any' 'pool_mode = transaction' \
		"default_pool_size = $1" "max_client_conn = $2" 'log_connections = 0' 'log_disconnections = 0' |
		pgb_as tee "$BOUNCER_DIR/pgbouncer.ini" >/dev/null
	setsid "${PGB_AS[@]}" pgbouncer -q "$BOUNCER_DIR/pgbouncer.ini" >"$BOUNCER_DIR/log" 2>&1 8>&- 9>&- &
	BOUNCER=$!
	for ((i = 0; i < 100; i++)); do
		[ ! -S "$BOUNCER_DIR/.s.PGSQL.6432" ] || return 0
		sleep 0.1
	done
	pgb_step_failed "PgBouncer does not start" "$BOUNCER_DIR/log"
}

bouncer_stop()
{
	[ -n "$BOUNCER" ] || return 0
	kill -TERM "$BOUNCER" 2>/dev/null || true
	wait "$BOUNCER" 2>/dev/null || true
	BOUNCER=''
}

trap 'bouncer_stop; pgb_cleanup' EXIT
