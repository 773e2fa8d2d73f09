# shellcheck shell=bash disable=SC2016
# holds - the cost of a hold that is confirmed, compared with a booking; and the
# cost of a refusal while 10,000 places are held
#
# Two calls are two round trips and two commits.  A refusal must look for holds
# that have expired, and may not become slower through those that have not.

readonly HOLDS_LIVE=10000

hold_and_confirm()
{
	local live

	prepare_way book_ticket "$SHOP_EVENTS" "$PLENTY"
	pg_bench -c 32 -T "$SHORT_SECONDS" -D events=1 -f "$BENCH/scripts/hold_then_confirm.sql"
	check_way book_ticket "$PLENTY" "$(reported_count)"
	live=$(query 'SELECT count(*) FROM booking.hold WHERE ended_at IS NULL')
	[ "$live" -eq 0 ] || broken "all holds were confirmed, but $live are live"
}

book_at_once()
{
	prepare_way book_ticket "$SHOP_EVENTS" "$PLENTY"
	run_way book_ticket 32 -T "$SHORT_SECONDS" -D events=1
	check_way book_ticket "$PLENTY" "$(reported_count)"
}

holds_speed()
{
	local repeat side

	for repeat in $(seq "$REPEATS"); do
		for side in $(in_turn "$repeat" book_at_once hold_and_confirm); do
			"$side"
			record holds "$side" 32 "$repeat" "$(reported_rate)" "$(reported_count)"
			note "repeat $repeat: $(reported_rate) tickets/s $side"
		done
	done
	target speed '`hold_tickets`, `confirm_hold` / `book_ticket`' 32 \
		"$(ratio holds 32 hold_and_confirm book_at_once)" '>=' 0.48
}

# Half of the places are held, or none.  32 clients buy the others, and then ask for
# more.
# refusals_beside_holds with|without REPEAT
refusals_beside_holds()
{
	local side=$1 repeat=$2
	local places=$((HOLDS_LIVE * 2)) free=$((HOLDS_LIVE * 2)) held

	prepare_way try_book_ticket "$SHOP_EVENTS" "$places"
	if [ "$side" = with ]; then
		free=$HOLDS_LIVE
		query "SELECT count(h.hold_id) FROM generate_series(1, $HOLDS_LIVE) AS u,
			booking.hold_tickets(1, u::bigint, 1, '1 hour') AS h" >/dev/null
	fi
	run_way try_book_ticket 32 -t $((free / 32 + 100)) -D events=1
	query 'VACUUM (ANALYZE) booking.hold, booking.inventory, booking.ticket'
	query CHECKPOINT
	run_way try_book_ticket 32 -T "$SHORT_SECONDS" -D events=1
	check_way try_book_ticket "$places" "$free"
	held=$(query 'SELECT held FROM booking.availability(1)')
	[ "$held" -eq $((places - free)) ] || broken "$((places - free)) places were held, and now $held are"
	record holds-refusals "$side" 32 "$repeat" "$(reported_rate)" "$(reported_count)"
	note "repeat $repeat: $(reported_rate) refusals/s $side holds"
}

scenario_holds()
{
	local repeat side

	pgb_say "hold_tickets and confirm_hold, compared with book_ticket, one hot event, 32 clients"
	holds_speed
	pgb_say "sold out, with $HOLDS_LIVE of $((HOLDS_LIVE * 2)) places held and with none, 32 clients"
	for repeat in $(seq "$REPEATS"); do
		for side in $(in_turn "$repeat" without with); do
			refusals_beside_holds "$side" "$repeat"
		done
	done
	target speed 'a refusal: 10,000 live holds / none' 32 \
		"$(ratio holds-refusals 32 with without)" '>=' 0.9
}
