# shellcheck shell=bash disable=SC2034
# load.sh - databases to run in, and runs of pgbench; sourced by bench/run.sh
#
# Promises that every run starts alike: in a new database, with as many events,
# just after a checkpoint; and that what the clients were told is compared with
# what the tables say when it is over.

readonly DATABASE=bench
readonly TEMPLATE=bench_template

# A capacity that no run can use up.
readonly PLENTY=1000000000

# The hot event is one of so many, as in a shop: in a table of a single row the
# planner would do without the index that every real shop uses.
readonly SHOP_EVENTS=1000

# So many rows a second are laid out for the way that needs them beforehand:
# more than it was ever seen to sell.
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

# What all databases are copied from: pg_booking and its tables, no event.
make_template()
{
	pgb_psql -c "CREATE DATABASE $TEMPLATE"
	pgb_psql -d "$TEMPLATE" -f "$BENCH/ways/install.sql" >/dev/null
}

# Bring the server to where one in use has been for long: it has WAL files to write
# over (making a new one takes as long as a thousand bookings), and the machine is
# at work.
warm_up()
{
	pgb_psql -c "DO \$\$ BEGIN FOR i IN 1..12 LOOP
			PERFORM pg_logical_emit_message(false, 'bench', ''), pg_switch_wal();
		END LOOP; END \$\$"
	prepare_way blind_insert "$SHOP_EVENTS" "$PLENTY"
	run_way blind_insert 32 -T "$SECONDS_PER_RUN" -D events=1
}

new_database()
{
	pgb_psql -c "SET client_min_messages = error" -c "DROP DATABASE IF EXISTS $DATABASE WITH (FORCE)" \
		-c "CREATE DATABASE $DATABASE TEMPLATE $TEMPLATE"
}

# prepare_way WAY EVENTS CAPACITY [PREFILL]: a new database, and a shop in it that
# sells this way.
prepare_way()
{
	local only

	only=$(way_setting "$1" events)
	new_database
	sql -v events="${only:-$2}" -v capacity="$3" -v prefill="${4:-$3}" \
		-f "$BENCH/ways/$1/setup.sql" >/dev/null
	query CHECKPOINT
}

# check_way WAY CAPACITY BOOKED: the promises, after a run.
check_way()
{
	local problems

	problems=$(sql -v booked="$3" -v capacity="$2" -f "$BENCH/ways/$1/problems.sql")
	[ -z "$problems" ] || broken "$1: $problems"
}

# Did clients of the last pgbench end at errors, and all of these say "sold out"?
only_sold_out()
{
	grep -q 'ERROR: ' "$REPORT.err" && ! grep 'ERROR: ' "$REPORT.err" | grep -qv 'sold out'
}

# pg_bench ARGUMENT ...: its report goes to $REPORT, what it complains of to
# $REPORT.err.  It exits with 2 when a client ended at an error, which is no
# failure where the caller says by SOLD_OUT_ENDS=yes that it was to end so.
pg_bench()
{
	local status=0

	PGOPTIONS="-c synchronous_commit=$SYNC_COMMIT" \
		pgb_run pgbench -n -M prepared -j 2 "$@" "$DATABASE" \
		>"$REPORT" 2>"$REPORT.err" || status=$?
	if [ "$status" -eq 2 ] && [ "${SOLD_OUT_ENDS:-no}" = yes ] && only_sold_out; then
		status=0
	fi
	if [ "$status" -ne 0 ]; then
		head -n 5 "$REPORT.err" >&2
		pgb_die "pgbench failed: $*"
	fi
}

# What the last pgbench reported: how many a second once all clients were
# connected, how many in all, and in how many milliseconds.
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

# run_way WAY CLIENTS ARGUMENT ...: pgbench with a way's script.
run_way()
{
	local way=$1 clients=$2
	local options

	shift 2
	read -r -a options <<<"$(way_setting "$way" options)"
	pg_bench -c "$clients" ${options[@]+"${options[@]}"} -f "$BENCH/ways/$way/run.sql" "$@"
}

# measure_way SCENARIO WAY CLIENTS REPEAT SHOP HOT: one run, from the set-up to the
# check.  HOT of the SHOP's events are asked for; they have places without end.
measure_way()
{
	local scenario=$1 way=$2 clients=$3 repeat=$4 shop=$5 hot=$6

	prepare_way "$way" "$shop" "$PLENTY" $((SECONDS_PER_RUN * SKIP_LOCKED_ROWS))
	run_way "$way" "$clients" -T "$SECONDS_PER_RUN" -D events="$hot"
	check_way "$way" "$PLENTY" "$(reported_count)"
	record "$scenario" "$way" "$clients" "$repeat" "$(reported_rate)" "$(reported_count)"
	note "$(printf 'repeat %s, %3s clients: %6s/s  %s' "$repeat" "$clients" \
		"$(reported_rate)" "$(way_setting "$way" title)")"
}

# The words in reverse order, each on a line.
backwards()
{
	printf '%s\n' "$@" | tac
}

# in_turn REPEAT WORD ...: the words, backwards in every other repeat, so that
# what comes first in one comes last in the next, and neighbours stay neighbours.
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
