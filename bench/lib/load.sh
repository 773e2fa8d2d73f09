# shellcheck shell=bash disable=SC2034
# load.sh - databases to run in, and runs of pgbench; sourced by bench/run.sh
#
# Promises:
#
# - Every run starts in the same state: in a new database with the same number of
#   events, just after a checkpoint.
# - After a run, the tables are compared with what the clients were told.

readonly DATABASE=bench
readonly TEMPLATE=bench_template

# A capacity that no run can use up.
readonly PLENTY=1000000000

# The hot event is one of this many, as in a shop.  If the table had a single row,
# the planner would not use the index that every real shop uses.
readonly SHOP_EVENTS=1000

# The way that needs its rows beforehand gets this many for each second.  It was
# never seen to sell as many.
readonly SKIP_LOCKED_ROWS=20000

# psql in the database of the run.
sql()
{
	pgb_psql -d "$DATABASE" "$@"
}

query()
{
	sql -c "$1"
}

# Make the database that all others are copied from: pg_booking and its tables,
# without events.
make_template()
{
	pgb_psql -c "CREATE DATABASE $TEMPLATE"
	pgb_psql -d "$TEMPLATE" -f "$BENCH/ways/install.sql" >/dev/null
}

# Bring the server to the state of one that has run for a long time.  It gets WAL
# files that it can overwrite, because to make a new one takes as long as a thousand
# bookings.  Then a load warms up the processor.
warm_up()
{
	pgb_psql -c "DO \$\$ BEGIN FOR i IN 1..12 LOOP
			PERFORM pg_logical_emit_message(false, 'bench', ''), pg_switch_wal();
		END LOOP; END \$\$"
	prepare_way blind_insert "$SHOP_EVENTS" "$PLENTY"
	run_way blind_insert 32 -T "$SECONDS_PER_RUN" -D events=1
}

# prepare_way WAY EVENTS CAPACITY [PREFILL]: make a new database with a shop that
# sells this way.
prepare_way()
{
	local only

	only=$(way_setting "$1" events)
	# One session for all, because a benchmark starts with this a thousand times.
	pgb_psql -c 'SET client_min_messages = error' \
		-c "DROP DATABASE IF EXISTS $DATABASE WITH (FORCE)" \
		-c "CREATE DATABASE $DATABASE TEMPLATE $TEMPLATE" -c "\\connect $DATABASE" \
		-v events="${only:-$2}" -v capacity="$3" -v prefill="${4:-$3}" \
		-f "$BENCH/ways/$1/setup.sql" -c CHECKPOINT >/dev/null
}

# check_way WAY CAPACITY BOOKED: check the promises after a run.
check_way()
{
	local problems

	problems=$(sql -v booked="$3" -v capacity="$2" -f "$BENCH/ways/$1/problems.sql")
	[ -z "$problems" ] || broken "$1: $problems"
}

# True if errors ended clients of the last pgbench, and all errors say "sold out".
only_sold_out()
{
	grep -q 'ERROR: ' "$REPORT.err" &&
		! grep 'ERROR: ' "$REPORT.err" | grep -Eqv 'sold[ _]out|violates capacity constraint'
}

# Run pgbench.  Its output goes to $REPORT, its errors to $REPORT.err.  pgbench exits
# with 2 if an error ended a client.  The caller sets SOLD_OUT_ENDS=yes if "sold out"
# is expected to end clients, and RUN_IN to run in another database.
# pg_bench ARGUMENT ...
pg_bench()
{
	local status=0

	PGOPTIONS="-c synchronous_commit=$SYNC_COMMIT" \
		pgb_run pgbench -n -M prepared -j 2 "$@" "${RUN_IN:-$DATABASE}" \
		>"$REPORT" 2>"$REPORT.err" || status=$?
	if [ "$status" -eq 2 ] && [ "${SOLD_OUT_ENDS:-no}" = yes ] && only_sold_out; then
		status=0
	fi
	if [ "$status" -ne 0 ]; then
		head -n 5 "$REPORT.err" >&2
		pgb_die "pgbench failed: $*"
	fi
}

# The output of the last pgbench: transactions per second after all clients were
# connected, the number of transactions, and the milliseconds they took.
reported_rate()
{
	awk '/^tps = / { printf "%.0f\n", $3 }' "$REPORT"
}

reported_count()
{
	sed -nE 's|^number of transactions actually processed: ([0-9]+).*|\1|p' "$REPORT"
}

reported_milliseconds()
{
	awk -v count="$(reported_count)" '/^tps = / { printf "%.1f\n", 1000 * count / $3 }' "$REPORT"
}

# run_way WAY CLIENTS ARGUMENT ...: run pgbench with a way's script.
run_way()
{
	local way=$1 clients=$2
	local options

	shift 2
	read -r -a options <<<"$(way_setting "$way" options)"
	pg_bench -c "$clients" ${options[@]+"${options[@]}"} -f "$BENCH/ways/$way/run.sql" "$@"
}

# Print how long a way is run.  A slow way says in its run.sql that fewer seconds are
# enough, because no close comparison needs it.  Many clients need a second or more to
# connect, which pgbench counts.
# seconds_of WAY CLIENTS
seconds_of()
{
	local seconds

	seconds=$(printf '%s\n' "$SECONDS_PER_RUN" "$(way_setting "$1" seconds)" | sed '/^$/d' |
		sort -n | head -n 1)
	echo $((seconds + $2 / 50))
}

# Measure a way once, from the set-up to the check.  The clients ask for HOT of the
# SHOP's events, which have more places than can be sold.
# measure_way SCENARIO WAY CLIENTS REPEAT SHOP HOT
measure_way()
{
	local scenario=$1 way=$2 clients=$3 repeat=$4 shop=$5 hot=$6
	local seconds

	seconds=$(seconds_of "$way" "$clients")
	prepare_way "$way" "$shop" "$PLENTY" $((seconds * SKIP_LOCKED_ROWS))
	run_way "$way" "$clients" -T "$seconds" -D events="$hot"
	check_way "$way" "$PLENTY" "$(reported_count)"
	record "$scenario" "$way" "$clients" "$repeat" "$(reported_rate)" "$(reported_count)"
	note "$(printf 'repeat %s, %3s clients: %6s/s  %s' "$repeat" "$clients" \
		"$(reported_rate)" "$(way_setting "$way" title)")"
}

# Print the words in reverse order, each on a line.
backwards()
{
	printf '%s\n' "$@" | tac
}

# Print the words, backwards in every other repeat.  So what comes first in one
# repeat comes last in the next, and neighbours stay neighbours.
# in_turn REPEAT WORD ...
in_turn()
{
	local repeat=$1

	shift
	if [ $((repeat % 2)) -eq 1 ]; then
		printf '%s\n' "$@"
	else
		backwards "$@"
	fi
}
