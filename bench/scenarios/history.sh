# shellcheck shell=bash disable=SC2016
# history - the cost of a history: every booking also writes a row of booking.history

# Print the number of bookings without a row of the history, and of rows without a
# booking.
history_differs()
{
	query "WITH booked AS (SELECT 'booked' AS action, ticket_id, event_id, user_id FROM booking.ticket),
			written AS (SELECT action, ticket_id, event_id, user_id FROM booking.history)
		SELECT count(*) FROM ((TABLE booked EXCEPT ALL TABLE written)
			UNION ALL (TABLE written EXCEPT ALL TABLE booked)) AS d"
}

# history_run with|without REPEAT
history_run()
{
	local side=$1 repeat=$2
	local differs

	prepare_way book_ticket "$SHOP_EVENTS" "$PLENTY"
	[ "$side" = without ] || query 'SELECT booking.keep_history()' >/dev/null
	query CHECKPOINT
	run_way book_ticket 32 -T "$SHORT_SECONDS" -D events=1
	check_way book_ticket "$PLENTY" "$(reported_count)"
	if [ "$side" = with ]; then
		differs=$(history_differs)
		[ "$differs" -eq 0 ] || broken "$differs bookings and rows of the history have no counterpart"
	fi
	record history "$side" 32 "$repeat" "$(reported_rate)" "$(reported_count)"
	note "$(printf 'repeat %s: %6s/s  %s a history' "$repeat" "$(reported_rate)" "$side")"
}

scenario_history()
{
	local repeat side

	pgb_say "book_ticket with and without a history, one hot event, 32 clients"
	for repeat in $(seq "$REPEATS"); do
		for side in $(in_turn "$repeat" without with); do
			history_run "$side" "$repeat"
		done
	done
	target speed '`book_ticket`: `keep_history()` / without' 32 \
		"$(ratio history 32 with without)" '>=' 0.88
}
