# shellcheck shell=bash
# history - what it costs that every booking is also written down in booking.history, one hot event
#
# There is no target: the history is one more row in one more table with its indexes,
# and nobody has it who did not ask for it.

# How many bookings and rows of the history there are without each other.
history_differs()
{
	query "WITH booked AS (SELECT 'booked' AS action, ticket_id, event_id, user_id FROM booking.ticket),
			written AS (SELECT action, ticket_id, event_id, user_id FROM booking.history)
		SELECT count(*) FROM ((TABLE booked EXCEPT ALL TABLE written)
			UNION ALL (TABLE written EXCEPT ALL TABLE booked)) AS d"
}

# history_run with|without CLIENTS REPEAT
history_run()
{
	local side=$1 clients=$2 repeat=$3
	local differs

	prepare_way book_ticket "$SHOP_EVENTS" "$PLENTY"
	[ "$side" = without ] || query 'SELECT booking.keep_history()' >/dev/null
	query CHECKPOINT
	run_way book_ticket "$clients" -T "$SECONDS_PER_RUN" -D events=1
	check_way book_ticket "$PLENTY" "$(reported_count)"
	if [ "$side" = with ]; then
		differs=$(history_differs)
		[ "$differs" -eq 0 ] || broken "$differs bookings are not in the history, or are there only"
	fi
	record history "$side" "$clients" "$repeat" "$(reported_rate)" "$(reported_count)"
	note "$(printf 'repeat %s, %3s clients: %6s/s  %s a history' "$repeat" "$clients" "$(reported_rate)" "$side")"
}

scenario_history()
{
	local repeat clients counts='8 32' side

	[ "$QUICK" = 0 ] || counts=32
	pgb_say "book_ticket with a history of every change, and without, one hot event"
	for repeat in $(seq "$REPEATS"); do
		for clients in $counts; do
			for side in $(in_turn "$repeat" without with); do
				history_run "$side" "$clients" "$repeat"
			done
		done
	done
	for clients in $counts; do
		note "$clients clients, book_ticket with a history / without: $(ratio history "$clients" with without)"
	done
}
