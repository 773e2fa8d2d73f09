# shellcheck shell=bash
# limits - what it costs that an event has a limit per user, or a sales window, 32 clients, one hot event
#
# There is no target.  With a limit each booking locks its user's row at the event,
# which the first booking of a user makes, and counts what the user has; a window is
# two comparisons.

# limits_run SIDE REPEAT
limits_run()
{
	local side=$1 repeat=$2

	prepare_way book_ticket "$SHOP_EVENTS" "$PLENTY"
	case $side in
		none) ;;
		limit) query 'UPDATE booking.event SET max_per_user = 4 WHERE event_id = 1' ;;
		window) query "UPDATE booking.event SET sales_start = now() - interval '1 day',
			sales_end = now() + interval '1 day' WHERE event_id = 1" ;;
	esac
	query CHECKPOINT
	pg_bench -c 32 -T "$SECONDS_PER_RUN" -D clients=32 -D n=0 -f "$BENCH/scripts/users_in_turn.sql"
	check_way book_ticket "$PLENTY" "$(reported_count)"
	record limits "$side" 32 "$repeat" "$(reported_rate)" "$(reported_count)"
	note "$(printf 'repeat %s: %6s/s  %s' "$repeat" "$(reported_rate)" "$side")"
}

scenario_limits()
{
	local repeat side

	pgb_say "book_ticket with max_per_user = 4, with a sales window, and with none, one hot event, 32 clients"
	for repeat in $(seq "$REPEATS"); do
		for side in $(in_turn "$repeat" limit none window); do
			limits_run "$side" "$repeat"
		done
	done
	note "book_ticket with max_per_user = 4 / without: $(ratio limits 32 limit none)"
	note "book_ticket with a sales window / without: $(ratio limits 32 window none)"
}
