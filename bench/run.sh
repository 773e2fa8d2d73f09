#!/bin/bash
# shellcheck disable=SC2034	# the files that it sources read these variables
#
# run.sh - compares pg_booking with the other ways of booking (make bench).
#
# usage: bench/run.sh [scenario ...]		(default: all but router, which takes 10 minutes)
#        bench/run.sh --list
#
# A full run takes about 50 minutes.
#
# Each folder in ways/ is one way of booking, written as its users write it.  The
# ways differ only in how they keep a place from being sold twice: their tables of
# tickets have the same columns, defaults and indexes.  Each file in scenarios/ is
# one scenario.  It prints what it measured, the target, and the verdict.
#
# The benchmark promises:
#
# - All runs use one throw-away server with PostgreSQL's default settings, except
#   max_connections.  So fsync is on.  Each run starts with a new database and a
#   checkpoint.
# - Each repeat runs every way once, and every other repeat runs them backwards.
#   So a machine that becomes slower slows all ways alike.  A ratio compares two
#   runs of the same repeat.  The median of the ratios counts; the least and the
#   greatest are shown beside it.
# - After each run the tables are compared with what the clients were told, and
#   booking.verify() is called.  A broken promise ends the benchmark.
#
# The verdict on a figure is one of:
#
#   reached     the median reaches the target
#   undecided   the median does not, but at least one repeat does: noise may be
#               the reason
#   MISSED      no repeat reaches the target
#
# The exit status is 0 if all targets were reached, 2 if one was not, and 1 if a
# promise was broken or something else went wrong.  The runs of a quick benchmark
# are too short to judge speeds by: there, only other figures count.
#
# Environment:
#   CLIENTS           numbers of clients for the hot event (default: 1 8 32 128)
#   SECONDS_PER_RUN   (3)
#   SHORT_SECONDS     the same for runs that compare a function with itself (2)
#   REPEATS           (5; with an even number, each order is used equally often)
#   SYNC_COMMIT       synchronous_commit of all clients (on)
#   WAYS              for the hot event: names of folders in ways/ (all)
#   QUICK=1           all scenarios in a few minutes
#   TABLES_TO         a folder: every run writes its tables, into the documents below
#                     that folder (see test/lib/docs.sh)
# and what test/server.sh reads.  PGB_TMPDIR decides which disk is measured.
#
# The results are in bench/results/<time>/: runs.csv, figures.csv, the charts, and
# environment.txt, which describes the machine.  A full run of the scenario hot also
# writes bench/chart.svg and the table "hot" of doc/performance.md; one of the scenario
# capacity writes bench/chart-capacity.svg and the table "capacity"; one of both the
# table "performance" of README.md; one of the scenario router the table "router" of
# doc/shards.md.  A full run of the scenarios of table "work" or "cost" writes that table.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../test/server.sh"
# shellcheck source=test/lib/docs.sh
. "$PGB_REPO/test/lib/docs.sh"
for file in "$PGB_REPO"/bench/lib/*.sh "$PGB_REPO"/bench/scenarios/*.sh; do
	# shellcheck source=/dev/null
	. "$file"
done

# The scenarios that have tables of their own.
readonly MAIN_SCENARIOS='promises hot capacity'
# The scenarios whose figures are in the table "work": how well does it sell?
readonly WORK_SCENARIOS='ramp many-events sold-out end-of-sale old-snapshot
	calls-in-one-transaction inventory-size'
# The scenarios whose figures are in the table "cost": what do the extras cost?
readonly COST_SCENARIOS='limits foreign-keys codes keys holds expiry history batch watching upkeep
	locks'
readonly ALL_SCENARIOS="$MAIN_SCENARIOS $WORK_SCENARIOS $COST_SCENARIOS"
# Those that are run only if they are named.
readonly OTHER_SCENARIOS='router'

# The fast ways are neighbours: a close comparison needs runs that follow each other.
readonly ALL_WAYS='blind_insert book_ticket try_book_ticket insert_with_trigger one_statement
	plpgsql_for_update advisory_lock client_for_update skip_locked serializable'

# The settings of a full run.
readonly FULL_CLIENTS='1 8 32 128' FULL_SECONDS=3 FULL_SHORT_SECONDS=2 FULL_REPEATS=5

QUICK=${QUICK:-0}
if [ "$QUICK" = 0 ]; then
	CLIENTS=${CLIENTS:-$FULL_CLIENTS}
	SECONDS_PER_RUN=${SECONDS_PER_RUN:-$FULL_SECONDS}
	SHORT_SECONDS=${SHORT_SECONDS:-$FULL_SHORT_SECONDS}
	REPEATS=${REPEATS:-$FULL_REPEATS}
else
	CLIENTS=${CLIENTS:-1 32}
	SECONDS_PER_RUN=${SECONDS_PER_RUN:-1}
	SHORT_SECONDS=${SHORT_SECONDS:-1}
	REPEATS=${REPEATS:-1}
fi
WAYS=${WAYS:-$ALL_WAYS}
SYNC_COMMIT=${SYNC_COMMIT:-on}

BENCH=''		# this folder, in the copy that the server's user can read
RESULTS=''		# the folder for the results of this run
REPORT=''		# the file with the output of the last pgbench
SCENARIO=''		# the scenario that is running

# Print the comment at the head of this file.
usage()
{
	awk 'NR > 3 && !/^#/ { exit } NR > 3 { sub(/^# ?/, ""); print }' "${BASH_SOURCE[0]}"
}

# Print the words of a list on one line.
one_line()
{
	tr -s ' \t\n' ' ' <<<"$*"
}

# check_words KIND KNOWN WORD ...: fail unless every word is one of the known ones.
check_words()
{
	local kind=$1 known word

	known=$(one_line "$2")
	shift 2
	for word in "$@"; do
		[[ " $known " == *" $word "* ]] || pgb_die "there is no $kind \"$word\""
	done
}

check_settings()
{
	local number

	# shellcheck disable=SC2086
	check_words way "$ALL_WAYS" $WAYS
	for number in $CLIENTS "$SECONDS_PER_RUN" "$SHORT_SECONDS" "$REPEATS"; do
		[[ $number =~ ^[1-9][0-9]*$ ]] ||
			pgb_die "CLIENTS, SECONDS_PER_RUN, SHORT_SECONDS and REPEATS are whole numbers" \
				"above 0, not \"$number\""
	done
	[[ $QUICK =~ ^[01]$ ]] || pgb_die "QUICK is 0 or 1, not \"$QUICK\""
}

# True if no setting makes this run less than a full one.
is_full_run()
{
	[ "$QUICK" = 0 ] && [ "$WAYS" = "$ALL_WAYS" ] && [ "$CLIENTS" = "$FULL_CLIENTS" ] &&
		[ "$SECONDS_PER_RUN" -ge "$FULL_SECONDS" ] &&
		[ "$SHORT_SECONDS" -ge "$FULL_SHORT_SECONDS" ] &&
		[ "$REPEATS" -ge "$FULL_REPEATS" ] && [ "$SYNC_COMMIT" = on ]
}

# Print the largest number of clients that a scenario uses.
most_clients()
{
	tr ' ' '\n' <<<"$CLIENTS 128" | sort -n | tail -n 1
}

# Fail if the data is in memory: fsync costs nothing there, so every ratio would be
# a different one.
check_disk()
{
	[ "$(stat -f -c %T "$PGB_DIR")" = tmpfs ] || return 0
	[ "$QUICK" = 1 ] || pgb_die "$PGB_DIR is in memory: set PGB_TMPDIR to a folder on a disk"
	note "$PGB_DIR is in memory: these figures say nothing about a disk"
}

start_results()
{
	RESULTS="$PGB_REPO/bench/results/$(date -u +%Y%m%dT%H%M%SZ)"
	mkdir -p "$RESULTS"
	REPORT="$PGB_DIR/report"
	echo scenario,way,clients,repeat,measure,count >"$RESULTS/runs.csv"
	echo scenario,kind,work,clients,measured,least,greatest,operator,target,verdict,remark \
		>"$RESULTS/figures.csv"
	describe_environment >"$RESULTS/environment.txt"
}

describe_environment()
{
	echo "$MEASURED_ON"
	date -u '+%Y-%m-%d %H:%M UTC'
	pgb_psql -c 'SELECT version()'
	echo "Linux $(uname -r), data on $(df --output=fstype "$PGB_DIR" | tail -n 1)"
	echo "clients: $CLIENTS; repeats: $REPEATS; quick: $QUICK"
	echo "seconds per run: $SECONDS_PER_RUN, or $SHORT_SECONDS for short ones"
	echo "synchronous_commit: $SYNC_COMMIT"
	pgb_psql -c "SELECT name || ': ' || current_setting(name) FROM pg_settings
		WHERE name IN ('autovacuum', 'fsync', 'jit', 'max_connections', 'max_wal_size',
			'shared_buffers', 'wal_level', 'wal_sync_method') ORDER BY name"
}

run_scenarios()
{
	local started

	for SCENARIO in "$@"; do
		started=$SECONDS
		"scenario_$SCENARIO"
		note "$SCENARIO took $((SECONDS - started)) s"
	done
}

main()
{
	local scenarios status=0

	case ${1:-} in
		-h | --help) usage && return ;;
		--list) one_line "$ALL_SCENARIOS $OTHER_SCENARIOS" | xargs -n 1 && return ;;
	esac
	read -r -a scenarios <<<"$(one_line "${*:-$ALL_SCENARIOS}")"
	check_words scenario "$ALL_SCENARIOS $OTHER_SCENARIOS" "${scenarios[@]}"
	check_settings
	check_tables "${scenarios[@]}"

	pgb_prepare gnuplot-nox pgbouncer
	check_disk
	describe_machine "$PGB_DIR"
	BENCH="$PGB_SRC/bench"
	pgb_start "max_connections = $(($(most_clients) + 20))"
	start_results
	make_template
	warm_up
	run_scenarios "${scenarios[@]}"
	show_verdicts || status=$?
	publish_tables "${scenarios[@]}"
	pgb_say "results: ${RESULTS#"$PGB_REPO"/}"
	return "$status"
}

main "$@"
