# shellcheck shell=bash disable=SC2016
# expiry - 10,000 holds expire at once, and 64 clients want their places
#
# All places of the event are held.  Each client that finds none left ends an
# expired hold itself.  How long does the slowest client wait, compared with the
# median if the same number of places is free?  The slowest of that other run is
# shown, too: with 64 clients on few processors, some wait long without any hold.

readonly EXPIRING=10000

# Print the milliseconds that a quantile of the bookings took: 0.5 is the median, 1
# the longest.
# latency_quantile QUANTILE
latency_quantile()
{
	awk '{ print $3 }' "$PGB_DIR"/tmp/latency.* | sort -n |
		awk -v quantile="$1" '{ value[NR] = $1 }
			END { i = int(NR * quantile); print value[i < 1 ? 1 : i] / 1000 }'
}

# expiry_run held|free REPEAT
expiry_run()
{
	local side=$1 repeat=$2 each=$((EXPIRING / 64))

	prepare_way book_ticket "$SHOP_EVENTS" "$EXPIRING"
	if [ "$side" = held ]; then
		query "SELECT count(h.hold_id) FROM generate_series(1, $EXPIRING) AS u,
			booking.hold_tickets(1, u::bigint, 1, '1 hour') AS h" >/dev/null
		query 'UPDATE booking.hold SET expires_at = clock_timestamp()'
		query 'VACUUM (ANALYZE) booking.hold, booking.inventory'
		query CHECKPOINT
	fi
	rm -f "$PGB_DIR"/tmp/latency.*
	run_way book_ticket 64 -t "$each" -D events=1 -l --log-prefix="$PGB_DIR/tmp/latency"
	check_way book_ticket "$EXPIRING" $((each * 64))
	record expiry "$side-median" 64 "$repeat" "$(latency_quantile 0.5)" "$(reported_count)"
	record expiry "$side-99" 64 "$repeat" "$(latency_quantile 0.99)" "$(reported_count)"
	record expiry "$side-longest" 64 "$repeat" "$(latency_quantile 1)" "$(reported_count)"
	note "$(printf 'repeat %s: %7.1f ms median, %7.1f ms 99 %%, %7.1f ms longest, places %s' "$repeat" \
		"$(latency_quantile 0.5)" "$(latency_quantile 0.99)" "$(latency_quantile 1)" "$side")"
}

scenario_expiry()
{
	local repeat side

	pgb_say "64 clients book, $EXPIRING holds have just expired, or the places are free"
	for repeat in $(seq "$REPEATS"); do
		for side in $(in_turn "$repeat" free held); do
			expiry_run "$side" "$repeat"
		done
	done
	target speed '10,000 holds expire: longest wait / median if the places are free' 64 \
		"$(ratio expiry 64 held-longest free-median)" '<=' 2 \
		"free places: $(ratio expiry 64 free-longest free-median)"
	figure '10,000 holds expire: median wait / if the places are free' 64 \
		"$(ratio expiry 64 held-median free-median)"
	figure '10,000 holds expire: 99 % of the waits / if the places are free' 64 \
		"$(ratio expiry 64 held-99 free-99)"
}
