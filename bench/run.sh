#!/bin/bash
# shellcheck disable=SC2034	# what is set here is read in the files that it sources
#
# run.sh - pg_booking beside the other ways of booking (make bench).
#
# usage: bench/run.sh [scenario ...]		all of them by default
#        bench/run.sh --list
#
# Every way, in ways/, is written as its users write it and differs from the
# others by how it keeps places from being sold twice: the tables of tickets
# have the same columns, defaults and indexes.  Every scenario, in scenarios/,
# prints what it measured, what the target is, and whether that was reached.
#
# It promises:
#
# - One throw-away server for all, with PostgreSQL's default settings but for
#   max_connections (fsync is on); a new database and a checkpoint before each
#   run.
# - The ways take turns and the turns are repeated, backwards every other time,
#   so that a machine's drift hits all alike.  Ratios are taken within a repeat;
#   their median is what counts, and the least and the greatest are shown.
# - After each run the tables are compared with what the clients were told, and
#   booking.verify() is asked.  A broken promise ends the benchmark.
#
# It exits with 0 if all targets were reached, with 2 if one was missed, and
# with 1 if a promise was broken or something else went wrong.  A quick run
# reports how fast it was, but is too short to miss a target by that.
#
# Environment:
#   CLIENTS           for the hot event (default: 1 8 32 128)
#   SECONDS_PER_RUN   (5)
#   REPEATS           (4; an even number has each order as often as the other)
#   SYNC_COMMIT       synchronous_commit of all clients (on)
#   WAYS              for the hot event; a folder's name in ways/ each (all)
#   QUICK=1           all scenarios in less than two minutes
# and what test/server.sh reads.  Where PGB_TMPDIR lies decides what fsync costs.
#
# Results are in bench/results/<time>/: runs.csv, targets.csv, chart.svg, and
# environment.txt, which says what they were measured on.  A full run of the
# hot event leaves its chart in bench/chart.svg, too, for the README.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../test/server.sh"
for file in "$PGB_REPO"/bench/lib/*.sh "$PGB_REPO"/bench/scenarios/*.sh; do
	# shellcheck source=/dev/null
	. "$file"
done

# In the order of the table in which the targets were set.
readonly SCENARIOS='promises hot ramp many-events sold-out end-of-sale old-snapshot
	calls-in-one-transaction inventory-size batch history holds watching limits'

# The fast ones are neighbours: what is compared most closely lies close in time.
readonly ALL_WAYS='blind_insert book_ticket try_book_ticket insert_with_trigger one_statement
	plpgsql_for_update advisory_lock client_for_update skip_locked serializable'

# What a full run is.
readonly FULL_CLIENTS='1 8 32 128' FULL_SECONDS=5 FULL_REPEATS=4

QUICK=${QUICK:-0}
if [ "$QUICK" = 0 ]; then
	CLIENTS=${CLIENTS:-$FULL_CLIENTS}
	SECONDS_PER_RUN=${SECONDS_PER_RUN:-$FULL_SECONDS}
	REPEATS=${REPEATS:-$FULL_REPEATS}
else
	CLIENTS=${CLIENTS:-1 32}
	SECONDS_PER_RUN=${SECONDS_PER_RUN:-1}
	REPEATS=${REPEATS:-1}
fi
WAYS=${WAYS:-$ALL_WAYS}
SYNC_COMMIT=${SYNC_COMMIT:-on}

BENCH=''		# this folder, in the copy that the server's user can read
RESULTS=''		# the folder of this run's results
REPORT=''		# what the last pgbench said

# The head of this file.
usage()
{
	awk 'NR > 3 && !/^#/ { exit } NR > 3 { sub(/^# ?/, ""); print }' "${BASH_SOURCE[0]}"
}

# check_words KIND KNOWN WORD ...: every word is one of those known.
check_words()
{
	local kind=$1 known=$2 word

	shift 2
	for word in "$@"; do
		[[ " ${known//[$'\n\t']/ } " == *" $word "* ]] || pgb_die "no such $kind: $word"
	done
}

check_settings()
{
	local number

	# shellcheck disable=SC2086
	check_words way "$ALL_WAYS" $WAYS
	for number in $CLIENTS "$SECONDS_PER_RUN" "$REPEATS"; do
		[[ $number =~ ^[1-9][0-9]*$ ]] ||
			pgb_die "CLIENTS, SECONDS_PER_RUN and REPEATS are whole numbers above 0, not \"$number\""
	done
	[[ $QUICK =~ ^[01]$ ]] || pgb_die "QUICK is 0 or 1"
}

# Nothing was left out or cut short.
is_full_run()
{
	[ "$QUICK" = 0 ] && [ "$WAYS" = "$ALL_WAYS" ] && [ "$CLIENTS" = "$FULL_CLIENTS" ] &&
		[ "$SECONDS_PER_RUN" -ge "$FULL_SECONDS" ] && [ "$REPEATS" -ge "$FULL_REPEATS" ] &&
		[ "$SYNC_COMMIT" = on ]
}

# The greatest of the counts of clients, and those that scenarios ask for.
most_clients()
{
	tr ' ' '\n' <<<"$CLIENTS 128" | sort -n | tail -n 1
}

# In memory fsync costs nothing, and every ratio would be another.
check_disk()
{
	[ "$(stat -f -c %T "$PGB_DIR")" = tmpfs ] || return 0
	[ "$QUICK" = 1 ] || pgb_die "$PGB_DIR lies in memory: set PGB_TMPDIR to a folder on a disk"
	note "$PGB_DIR lies in memory: nothing of this says anything about a disk"
}

start_results()
{
	RESULTS="$PGB_REPO/bench/results/$(date -u +%Y%m%dT%H%M%SZ)"
	mkdir -p "$RESULTS"
	REPORT="$PGB_DIR/report"
	echo scenario,way,clients,repeat,measure,count >"$RESULTS/runs.csv"
	echo kind,work,measured,operator,target,verdict,remark >"$RESULTS/targets.csv"
	describe_environment >"$RESULTS/environment.txt"
}

describe_environment()
{
	date -u '+%Y-%m-%d %H:%M UTC'
	pgb_psql -c 'SELECT version()'
	echo "$(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)"
	echo "data on $(stat -f -c %T "$PGB_DIR")"
	echo "clients: $CLIENTS; seconds per run: $SECONDS_PER_RUN; repeats: $REPEATS; quick: $QUICK"
	echo "synchronous_commit: $SYNC_COMMIT"
	pgb_psql -c "SELECT name || ': ' || current_setting(name) FROM pg_settings
		WHERE name IN ('autovacuum', 'fsync', 'jit', 'max_connections', 'max_wal_size',
			'shared_buffers', 'wal_level', 'wal_sync_method') ORDER BY name"
}

main()
{
	local scenario scenarios status=0

	case ${1:-} in
		-h | --help) usage && return ;;
		--list) tr -s ' \t\n' '\n' <<<"$SCENARIOS" && return ;;
	esac
	read -r -a scenarios <<<"${*:-${SCENARIOS//[$'\n\t']/ }}"
	check_words scenario "$SCENARIOS" "${scenarios[@]}"
	check_settings

	pgb_prepare gnuplot-nox
	check_disk
	BENCH="$PGB_SRC/bench"
	pgb_start "max_connections = $(($(most_clients) + 20))"
	start_results
	make_template
	warm_up
	for scenario in "${scenarios[@]}"; do
		"scenario_$scenario"
	done
	show_verdicts || status=$?
	pgb_say "results: ${RESULTS#"$PGB_REPO"/}"
	return "$status"
}

main "$@"
