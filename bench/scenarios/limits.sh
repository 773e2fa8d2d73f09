# shellcheck shell=bash disable=SC2016
# limits - the cost of a limit per user, and of a sales window
#
# With a limit, each booking locks the user's row of that event and counts what the
# user has.  The first booking of a user makes the row.  A sales window costs two
# comparisons.

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
	pg_bench -c 32 -T "$SHORT_SECONDS" -D clients=32 -D n=0 -f "$BENCH/scripts/users_in_turn.sql"
	check_way book_ticket "$PLENTY" "$(reported_count)"
	record limits "$side" 32 "$repeat" "$(reported_rate)" "$(reported_count)"
	note "$(printf 'repeat %s: %6s/s  %s' "$repeat" "$(reported_rate)" "$side")"
}

scenario_limits()
{
	local repeat side

	pgb_say "book_ticket with max_per_user = 4, with a sales window, and with neither, 32 clients"
	for repeat in $(seq "$REPEATS"); do
		for side in $(in_turn "$repeat" limit none window); do
			limits_run "$side" "$repeat"
		done
	done
	target speed '`book_ticket`: `max_per_user` / without' 32 \
		"$(ratio limits 32 limit none)" '>=' 0.95
	figure '`book_ticket`: a sales window / without' 32 "$(ratio limits 32 window none)"
}
