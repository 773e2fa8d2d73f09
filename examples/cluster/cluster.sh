#!/bin/bash
#
# cluster.sh - a router and its shards on one machine, with a network address for each
# server.
#
# Sourced after test/server.sh:
#
#	cluster_enter "$0" "$@"		# start the script again, in namespaces of its own
#	pgb_prepare
#	cluster_start 4				# a router and four shards
#	cluster_sql "$(cluster_primary 2)" shard2 -c 'SELECT * FROM booking.verify()'
#
# Clients of the application are in the script's own network, and call the router:
#
#	psql -h "$(cluster_address router)" -U shop router
#
#	router   10.77.255.1   PostgreSQL with PL/Proxy and no tables, and PgBouncer
#	a0, b0   10.77.0.1/2   pair 0: a primary and its synchronous standby
#	a1, b1   10.77.1.1/2   pair 1, and so on
#
# A shard is a database, shard0 and so on.  At first, shard N is on pair N, and aN is the
# primary.  Both can change: cluster_fail_over promotes the standby of a pair, and
# cluster_move moves a shard to another pair.  All calls reach the shards through
# PgBouncer, in transaction mode, on the router's machine.
#
# Functions (each is described at its definition):
#
#	cluster_enter SCRIPT [ARGUMENT ...]
#	cluster_start SHARDS
#	cluster_stop			also called at the end of the script
#	cluster_run LOG COMMAND ...
#	cluster_in SERVER COMMAND ...
#	cluster_sql SERVER DATABASE ARGUMENT ...
#	cluster_wait WHAT SERVER DATABASE QUERY
#	cluster_address SERVER, cluster_primary SHARD, cluster_standby PAIR
#	cluster_answers SERVER, cluster_kill SERVER, cluster_cut SERVER, cluster_join SERVER
#	cluster_fail_over PAIR, cluster_make_standby PAIR
#	cluster_move SHARD PAIR

# shellcheck source=test/mounts.sh
. "$PGB_REPO/test/mounts.sh"

CLUSTER_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly CLUSTER_NET=10.77
CLUSTER_DIR=''
CLUSTER_SHARDS=0
CLUSTER_PAIR=()		# the pair of each shard
CLUSTER_PRIMARY=()	# the primary of each pair
CLUSTER_PIDS=()		# the process groups that cluster_run has started

# ---- namespaces -------------------------------------------------------------

# Start the script again, with network and mounts of its own, unless that was done.  So
# no address, interface or mount is left behind when it ends.  (In that network there is
# no way to the packages: they are installed before.)
# cluster_enter SCRIPT [ARGUMENT ...]
cluster_enter()
{
	[ -z "${PGB_OWN_NETWORK:-}" ] || return 0
	find_unshare --net || pgb_die "$OBSTACLE"
	"$PGB_REPO/test/setup.sh" pgbouncer iproute2
	PGB_OWN_NETWORK=1 exec "${UNSHARE[@]}" "$@"
}

# cluster_address SERVER
cluster_address()
{
	case $1 in
		router) echo "$CLUSTER_NET.255.1" ;;
		a*) echo "$CLUSTER_NET.${1#a}.1" ;;
		b*) echo "$CLUSTER_NET.${1#b}.2" ;;
	esac
}

# Make the switch to which all servers and the clients are connected.
cluster_make_network()
{
	mkdir "$CLUSTER_DIR/net"
	ip link set lo up
	ip link add switch type bridge
	ip address add "$CLUSTER_NET.255.254/16" dev switch
	ip link set switch up
}

# Make the network of a server, whose name is a file in net/, and connect it.
# cluster_add_machine SERVER
cluster_add_machine()
{
	local network="$CLUSTER_DIR/net/$1"

	touch "$network"
	unshare --net="$network" ip link set lo up
	ip link add "port-$1" master switch type veth peer name eth0 netns "$network"
	ip link set "port-$1" up
	nsenter --net="$network" ip address add "$(cluster_address "$1")/16" dev eth0
	nsenter --net="$network" ip link set eth0 up
	pgb_as mkdir "$CLUSTER_DIR/sock/$1"
}

# Disconnect a server from the network, or connect it again.
# cluster_cut SERVER
cluster_cut()
{
	ip link set "port-$1" down
}

# cluster_join SERVER
cluster_join()
{
	ip link set "port-$1" up
}

# ---- commands ---------------------------------------------------------------

# Run a command in a server's network, as the user of the servers.
# cluster_in SERVER COMMAND ...
cluster_in()
{
	local network="$CLUSTER_DIR/net/$1"

	shift
	nsenter --net="$network" "${PGB_AS[@]}" "$@" 8>&- 9>&-
}

# Run a command in the background, in a process group that cluster_stop ends.
# cluster_run LOG COMMAND ...
cluster_run()
{
	local log=$1

	shift
	setsid "${PGB_AS[@]}" "$@" >"$log" 2>&1 </dev/null 8>&- 9>&- &
	CLUSTER_PIDS+=("$!")
}

# psql as superuser, at the server's unix socket: not through router, network or
# PgBouncer.
# cluster_sql SERVER DATABASE ARGUMENT ...
cluster_sql()
{
	local server=$1 database=$2

	shift 2
	pgb_psql -h "$CLUSTER_DIR/sock/$server" -U postgres -d "$database" "$@"
}

# Wait until a query returns true.
# cluster_wait WHAT SERVER DATABASE QUERY
cluster_wait()
{
	local i

	for ((i = 0; i < 600; i++)); do
		[ "$(cluster_sql "$2" "$3" -c "$4")" != t ] || return 0
		sleep 0.05
	done
	pgb_die "$1: not within half a minute"
}

# ---- the servers of a pair --------------------------------------------------

# The primary on which a shard is.
# cluster_primary SHARD
cluster_primary()
{
	echo "${CLUSTER_PRIMARY[${CLUSTER_PAIR[$1]}]}"
}

# The other server of a pair.
# cluster_standby PAIR
cluster_standby()
{
	case ${CLUSTER_PRIMARY[$1]} in
		a*) echo "b$1" ;;
		b*) echo "a$1" ;;
	esac
}

# Start a server.  (What differs between primary and standby is an argument, because the
# standby's configuration is a copy of the primary's.)
# cluster_start_server SERVER
cluster_start_server()
{
	cluster_in "$1" pg_ctl -D "$CLUSTER_DIR/$1" -l "$CLUSTER_DIR/$1.log" -s -w -t 60 \
		-o "-c listen_addresses=$(cluster_address "$1")" \
		-o "-c unix_socket_directories=$CLUSTER_DIR/sock/$1" start >/dev/null ||
		pgb_step_failed "server $1 does not start" "$CLUSTER_DIR/$1.log"
}

# Make a new, empty server and start it.  (The network has no other users.)
# cluster_make_server SERVER
cluster_make_server()
{
	local data="$CLUSTER_DIR/$1"

	pgb_as initdb -D "$data" -U postgres -A trust -E UTF8 --locale=C --no-sync \
		--wal-segsize=1 >"$data.log" 2>&1 || pgb_step_failed "initdb failed" "$data.log"
	{
		cat "$PGB_EXTENSION_CONF"
		printf '%s\n' "shared_buffers = 16MB" "max_connections = 60" \
			"min_wal_size = 2MB" \
			"wal_level = logical" "wal_keep_size = 128MB" \
			"recovery_init_sync_method = syncfs" \
			"wal_retrieve_retry_interval = 100ms" "log_line_prefix = '%m [%p] %e %a '"
	} | pgb_as tee -a "$data/postgresql.conf" >/dev/null
	printf 'host %s all %s.0.0/16 trust\n' all "$CLUSTER_NET" replication "$CLUSTER_NET" |
		pgb_as tee -a "$data/pg_hba.conf" >/dev/null
	rm "$data.log"
	cluster_start_server "$1"
}

# Make the standby of a pair's primary, in the place of a server that was there before.
# From then on the primary waits for it at each commit.  The standby's copy of the
# configuration does not have that setting.  So when it is promoted it doesn't wait for
# a standby that it hasn't got.
# cluster_make_standby PAIR
cluster_make_standby()
{
	local primary=${CLUSTER_PRIMARY[$1]} standby

	standby=$(cluster_standby "$1")
	rm -rf "${CLUSTER_DIR:?}/$standby"
	cluster_in "$standby" pg_basebackup -D "$CLUSTER_DIR/$standby" -R --no-sync \
		--checkpoint=fast -d "host=$(cluster_address "$primary") user=postgres
			application_name=standby connect_timeout=3 tcp_user_timeout=3000"
	cluster_start_server "$standby"
	# (The name is that of the standby alone: a logical subscriber must not count.)
	cluster_sql "$primary" postgres \
		-c "ALTER SYSTEM SET synchronous_standby_names = 'standby'" \
		-c 'SELECT pg_reload_conf()' >/dev/null
	cluster_wait "the standby of $primary is synchronous" "$primary" postgres \
		"SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
}

# True if a server accepts connections.
# cluster_answers SERVER
cluster_answers()
{
	pgb_as pg_isready -q -t 1 -h "$(cluster_address "$1")"
}

# Kill all processes of a server: first the postmaster, which would end the others in
# good order.
# cluster_kill SERVER
cluster_kill()
{
	local data="$CLUSTER_DIR/$1" postmaster pid pids=()

	read -r postmaster <"$data/postmaster.pid"
	while IFS=/ read -r _ _ pid _; do
		[ "$pid" = "$postmaster" ] || pids+=("$pid")
	done < <(find /proc -mindepth 2 -maxdepth 2 -name cwd -lname "$data" 2>/dev/null)
	kill -KILL "$postmaster" "${pids[@]}" 2>/dev/null || true
}

# ---- shards and router ------------------------------------------------------

# Make the database of a shard, which belongs to the role of the application.
# cluster_create_shard SHARD SERVER [OPTION of CREATE DATABASE]
cluster_create_shard()
{
	cluster_sql "$2" postgres -c "CREATE DATABASE shard$1 OWNER shop ${3:-}"
	cluster_sql "$2" "shard$1" -c 'SET ROLE shop' -c 'CREATE EXTENSION pg_booking' \
		-c "SELECT booking.create_tables('bigint', $1, $CLUSTER_SHARDS)" >/dev/null
}

# Write down for PgBouncer on which server each shard is.
cluster_write_databases()
{
	local shard file="$CLUSTER_DIR/databases.ini"

	{
		echo '[databases]'
		for ((shard = 0; shard < CLUSTER_SHARDS; shard++)); do
			echo "shard$shard = dbname=shard$shard user=shop" \
				"host=$(cluster_address "$(cluster_primary "$shard")")"
		done
	} | pgb_as tee "$file.new" >/dev/null
	mv "$file.new" "$file"
}

# Tell PgBouncer on which server each shard is now.  (The router could be told instead, by
# ALTER SERVER.  But its sessions would go on to use the old server until their next
# call, and calls to all shards would be checked again.  PgBouncer can hold back the
# calls to one shard, and says when the last one has ended.)
cluster_route()
{
	cluster_write_databases
	cluster_bouncer RELOAD
}

# Send a command to PgBouncer's console.
# cluster_bouncer COMMAND
cluster_bouncer()
{
	pgb_as timeout 30 psql -X -q -A -t -h "$CLUSTER_DIR/sock/router" -p 6432 -U postgres \
		-d pgbouncer -c "$1" >/dev/null || pgb_die "PgBouncer refuses: $1"
}

cluster_start_bouncer()
{
	local i

	sed "s|FOLDER|$CLUSTER_DIR|" "$CLUSTER_HERE/pgbouncer.ini" |
		pgb_as tee "$CLUSTER_DIR/pgbouncer.ini" >/dev/null
	cluster_write_databases
	setsid nsenter --net="$CLUSTER_DIR/net/router" "${PGB_AS[@]}" \
		pgbouncer "$CLUSTER_DIR/pgbouncer.ini" \
		>"$CLUSTER_DIR/pgbouncer.log" 2>&1 </dev/null 8>&- 9>&- &
	CLUSTER_PIDS+=("$!")
	for ((i = 0; i < 100; i++)); do
		[ ! -S "$CLUSTER_DIR/sock/router/.s.PGSQL.6432" ] || return 0
		sleep 0.05
	done
	pgb_step_failed "PgBouncer does not start" "$CLUSTER_DIR/pgbouncer.log"
}

# Make the router's database.  Its partitions are PgBouncer's databases.
cluster_make_router()
{
	local shard options=()

	for ((shard = 0; shard < CLUSTER_SHARDS; shard++)); do
		options+=("p$shard 'dbname=shard$shard host=$CLUSTER_DIR/sock/router port=6432'")
	done
	cluster_sql router postgres -c 'CREATE ROLE shop LOGIN' -c 'CREATE DATABASE router'
	cluster_sql "$(cluster_primary 0)" shard0 \
		-c "SELECT booking.router_functions('shop')" |
		cluster_sql router router -f - >/dev/null
	cluster_sql router router <<-SQL
		CREATE SERVER shop FOREIGN DATA WRAPPER plproxy
			OPTIONS ($(IFS=, && echo "${options[*]}"));
		CREATE USER MAPPING FOR PUBLIC SERVER shop OPTIONS (user 'shop');
		GRANT USAGE ON FOREIGN SERVER shop TO PUBLIC;
		GRANT USAGE ON SCHEMA booking TO shop;
		GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA booking TO shop;
	SQL
}

# Start a router and a number of shards, a power of two.
# cluster_start SHARDS
cluster_start()
{
	local n server

	CLUSTER_SHARDS=$1
	CLUSTER_DIR="$PGB_DIR/cluster"
	pgb_as mkdir "$CLUSTER_DIR" "$CLUSTER_DIR/sock"
	cluster_make_network
	for ((n = 0; n < CLUSTER_SHARDS; n++)); do
		server="a$n"
		CLUSTER_PAIR[n]=$n
		CLUSTER_PRIMARY[n]=$server
		cluster_add_machine "$server"
		cluster_add_machine "b$n"
		cluster_make_server "$server"
		cluster_sql "$server" postgres -c 'CREATE ROLE shop LOGIN'
		cluster_create_shard "$n" "$server"
		cluster_make_standby "$n"
	done
	cluster_add_machine router
	cluster_make_server router
	cluster_start_bouncer
	cluster_make_router
}

# End all that was started, at once.
cluster_stop()
{
	local pid file

	[ -n "$CLUSTER_DIR" ] || return 0
	for pid in ${CLUSTER_PIDS[@]+"${CLUSTER_PIDS[@]}"}; do
		kill -TERM -- "-$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	for file in "$CLUSTER_DIR"/*/postmaster.pid; do
		pgb_as pg_ctl -D "${file%/*}" -s -m immediate stop >/dev/null 2>&1 || true
	done
	umount -l "$CLUSTER_DIR"/net/* 2>/dev/null || true
	ip link delete switch 2>/dev/null || true
	rm -rf "$CLUSTER_DIR"
	CLUSTER_DIR=''
	CLUSTER_PIDS=()
}

cluster_at_exit()
{
	trap '' HUP INT TERM PIPE
	[ -n "${PGB_KEEP:-}" ] || cluster_stop || true
	pgb_cleanup
}

trap cluster_at_exit EXIT

# ---- fail-over --------------------------------------------------------------

# Run a command of PgBouncer for each shard of a pair.
# cluster_bouncer_for PAIR COMMAND
cluster_bouncer_for()
{
	local shard

	for ((shard = 0; shard < CLUSTER_SHARDS; shard++)); do
		[ "${CLUSTER_PAIR[shard]}" -ne "$1" ] || cluster_bouncer "$2 shard$shard"
	done
}

# Promote the standby of a pair, whose primary does not answer any more.
#
# It may still run.  So PgBouncer first ends all calls to it (KILL: it does not wait for
# them, as PAUSE would), and then it is cut off.  No call can be answered by the old
# primary after that, and PgBouncer lets new calls wait.
# cluster_fail_over PAIR
cluster_fail_over()
{
	local standby

	standby=$(cluster_standby "$1")
	cluster_bouncer_for "$1" KILL
	cluster_cut "${CLUSTER_PRIMARY[$1]}"
	cluster_in "$standby" pg_ctl -D "$CLUSTER_DIR/$standby" -s -w promote
	CLUSTER_PRIMARY[$1]=$standby
	cluster_route
	cluster_bouncer_for "$1" RESUME
}

# ---- moving a shard ---------------------------------------------------------

# Copy a shard to another server and follow its changes (doc/operations.md, "Moving to
# another server").  The application can't connect to the new database: rows that it
# wrote there would be in conflict with those that arrive.
# cluster_copy_shard SHARD FROM TO
cluster_copy_shard()
{
	cluster_create_shard "$1" "$3" 'CONNECTION LIMIT 0'
	cluster_sql "$2" "shard$1" -c 'CREATE PUBLICATION move FOR TABLES IN SCHEMA booking'
	cluster_sql "$3" "shard$1" <<-SQL
		SET client_min_messages = warning;
		CREATE SUBSCRIPTION move_shard$1
			CONNECTION 'dbname=shard$1 user=postgres host=$(cluster_address "$2")'
			PUBLICATION move WITH (synchronous_commit = local);
	SQL
	cluster_wait "shard $1 is copied" "$3" "shard$1" \
		"SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel"
}

# Close the old database for the application, and wait until the new one has all.  Write
# statements to a file that set the sequences as they are here.  (create_tables() moves
# those that are behind the rows, but it does not know of rows that were deleted.)
#
# The recipe stops the old server for this.  Here it may have other shards.
# cluster_catch_up SHARD FROM FILE
cluster_catch_up()
{
	cluster_sql "$2" "shard$1" -o /dev/null <<-SQL
		ALTER DATABASE shard$1 CONNECTION LIMIT 0;
		SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
		WHERE datname = 'shard$1' AND usename = 'shop';
		DO \$\$
		DECLARE
			last_change CONSTANT pg_lsn := pg_current_wal_lsn();
		BEGIN
			WHILE (SELECT confirmed_flush_lsn < last_change FROM pg_replication_slots
			       WHERE slot_name = 'move_shard$1') LOOP
				IF clock_timestamp() > now() + interval '30 seconds' THEN
					RAISE 'the new server does not catch up';
				END IF;
				PERFORM pg_sleep(0.01);
			END LOOP;
		END
		\$\$;
		\o $3
		SELECT format('SELECT setval(%L, %s);',
		              format('%I.%I', schemaname, sequencename), last_value)
		FROM pg_sequences WHERE schemaname = 'booking' AND last_value IS NOT NULL;
	SQL
}

# End the replication, and open the new database.
#
# While the new server applied changes it did not wait for its standby.  ALTER DATABASE
# does, and then the standby has everything that came before it, too.
# cluster_take_over SHARD TO FILE
cluster_take_over()
{
	cluster_sql "$2" "shard$1" -o /dev/null <<-SQL
		SET client_min_messages = warning;
		DROP SUBSCRIPTION move_shard$1;
		\i $3
		DO \$\$
		BEGIN
			IF EXISTS (SELECT FROM booking.verify()) THEN
				RAISE 'booking.verify() has found problems';
			END IF;
			IF (SELECT (shard, shards) <> ($1, $CLUSTER_SHARDS) FROM booking.this_shard()) THEN
				RAISE 'it is another shard';
			END IF;
		END
		\$\$;
		ALTER DATABASE shard$1 CONNECTION LIMIT -1;
	SQL
}

# Move a shard to the primary of another pair, while it sells.  Its calls wait from PAUSE
# to RESUME, and none fails.  Until RESUME the old database is complete, and the way back
# is to open it again.  Drop it when there is a backup of the new one.
# cluster_move SHARD PAIR
cluster_move()
{
	local from to=${CLUSTER_PRIMARY[$2]} sequences="$CLUSTER_DIR/sequences.sql"

	from=$(cluster_primary "$1")
	cluster_copy_shard "$1" "$from" "$to"
	cluster_bouncer "PAUSE shard$1"
	cluster_catch_up "$1" "$from" "$sequences"
	cluster_take_over "$1" "$to" "$sequences"
	CLUSTER_PAIR[$1]=$2
	cluster_route
	cluster_bouncer "RESUME shard$1"
}
