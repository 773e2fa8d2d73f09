# shellcheck shell=bash disable=SC2153,SC2016
# old-snapshot - a report keeps an old snapshot while a hot event sells, and then is
# sold out
#
# As long as the snapshot is held, no dead version of a row can be removed.  Two
# rates are compared with those of a run without the snapshot: bookings in the last
# sixth of the sale, and refusals after it.

readonly SNAPSHOT_NAME=bench_old_snapshot

SNAPSHOT_PIPE=''	# closing it ends the session that holds the snapshot

# True if a session holds the snapshot, with an open and idle transaction.
snapshot_is_held()
{
	[ "$(query "SELECT count(*) FROM pg_stat_activity WHERE application_name = '$SNAPSHOT_NAME'
		AND state = 'idle in transaction' AND backend_xmin IS NOT NULL")" -eq 1 ]
}

hold_snapshot()
{
	exec {SNAPSHOT_PIPE}> >(PGAPPNAME="$SNAPSHOT_NAME" sql >/dev/null)
	echo 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM booking.ticket;' >&"$SNAPSHOT_PIPE"
	until snapshot_is_held; do
		sleep 0.05
	done
}

release_snapshot()
{
	exec {SNAPSHOT_PIPE}>&-
	while snapshot_is_held; do
		sleep 0.05
	done
}

# rate_at_the_end SECONDS: print the mean rate in the last sixth of the run, from
# the progress that pgbench reports each second.
rate_at_the_end()
{
	awk -v seconds="$1" '/^progress: / && $2 > seconds * 5 / 6 && $2 < seconds + 0.5 { sum += $4; n++ }
		END { printf "%.0f\n", sum / n }' "$REPORT.err"
}

# Lower the capacity to what is sold.
end_sale()
{
	query "UPDATE booking.event SET capacity = (SELECT count(*) FROM booking.ticket WHERE cancelled_at IS NULL)
		WHERE event_id = 1"
}

# snapshot_run with|without REPEAT SECONDS
snapshot_run()
{
	local side=$1 repeat=$2 seconds=$3
	local sold bookings

	prepare_way book_ticket "$SHOP_EVENTS" "$PLENTY"
	[ "$side" = without ] || hold_snapshot
	run_way book_ticket 32 -T "$seconds" -P 1 -D events=1
	sold=$(reported_count)
	bookings=$(rate_at_the_end "$seconds")
	record old-snapshot-bookings "$side" 32 "$repeat" "$bookings" "$sold"
	end_sale
	run_way try_book_ticket 32 -T "$SHORT_SECONDS" -D events=1
	record old-snapshot-refusals "$side" 32 "$repeat" "$(reported_rate)" "$(reported_count)"
	if [ "$side" = with ]; then
		snapshot_is_held || pgb_die "the old snapshot was lost: nothing was measured"
		release_snapshot
	fi
	note "repeat $repeat, $side: $bookings bookings/s at the end, then $(reported_rate) refusals/s"
	check_way book_ticket "$PLENTY" "$sold"
}

scenario_old-snapshot()
{
	local seconds=10 repeat side

	[ "$QUICK" = 0 ] || seconds=4
	pgb_say "an old snapshot is held while a hot event sells for $seconds s, 32 clients"
	for repeat in $(seq "$REPEATS"); do
		for side in $(in_turn "$repeat" without with); do
			snapshot_run "$side" "$repeat" "$seconds"
		done
	done
	target speed "bookings with a $seconds s old snapshot / without" 32 \
		"$(ratio old-snapshot-bookings 32 with without)" '>=' 0.85
	target speed "refusals with a $seconds s old snapshot / without" 32 \
		"$(ratio old-snapshot-refusals 32 with without)" '>=' 0.85
}
