# shellcheck shell=bash disable=SC2153
# old-snapshot - a report holds an old snapshot while one hot event sells for 60 s, and is sold out then
#
# No dead version of a row can be removed meanwhile.  The bookings in the last sixth
# of that time and the refusals after it are compared with those of a run that
# differs by the snapshot alone.

readonly SNAPSHOT_NAME=bench_old_snapshot

SNAPSHOT_PIPE=''	# ends the session that holds the snapshot when it is closed

# Is there a session that holds it, with a transaction open and idle?
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

# rate_at_the_end SECONDS: the mean of what pgbench told every second, over the
# last sixth of the run.
rate_at_the_end()
{
	awk -v seconds="$1" '/^progress: / && $2 > seconds * 5 / 6 && $2 < seconds + 0.5 { sum += $4; n++ }
		END { printf "%.0f\n", sum / n }' "$REPORT.err"
}

# What is sold is the capacity from now on.
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
	run_way try_book_ticket 32 -T "$SECONDS_PER_RUN" -D events=1
	record old-snapshot-refusals "$side" 32 "$repeat" "$(reported_rate)" "$(reported_count)"
	if [ "$side" = with ]; then
		snapshot_is_held || pgb_die "the old snapshot is gone: this measured nothing"
		release_snapshot
	fi
	note "repeat $repeat, $side: $bookings bookings/s at the end, then $(reported_rate) refusals/s"
	check_way book_ticket "$PLENTY" "$sold"
}

scenario_old-snapshot()
{
	local seconds=60 repeats=$REPEATS repeat side

	# One repeat takes more than two minutes.
	[ "$repeats" -le 2 ] || repeats=2
	[ "$QUICK" = 0 ] || seconds=4
	pgb_say "an old snapshot held for $seconds s under full load, one hot event, 32 clients"
	for repeat in $(seq "$repeats"); do
		for side in $(in_turn "$repeat" without with); do
			snapshot_run "$side" "$repeat" "$seconds"
		done
	done
	target_ratio "old snapshot, 32 clients: bookings at the end of $seconds s, with it / without" \
		old-snapshot-bookings 32 with without 0.85
	target_ratio "old snapshot, 32 clients: refusals after that, with it / without" \
		old-snapshot-refusals 32 with without 0.85
}
