# shellcheck shell=bash disable=SC2016
# end-of-sale - 128 clients buy 1,000 tickets, each until it is refused
#
# Here many stripes become empty at once.  No client may be told "sold out" too
# early, so the last place must be sold.  The time is compared with that of 1,000
# blind INSERTs and 128 SELECTs, by as many new clients.

readonly END_PLACES=1000
readonly END_CLIENTS=128

# Here "sold out" is an error, which ends a client.
end_of_sale()
{
	prepare_way book_ticket "$SHOP_EVENTS" "$END_PLACES"
	SOLD_OUT_ENDS=yes run_way book_ticket "$END_CLIENTS" -t "$END_PLACES" -D events=1
	[ "$(reported_count)" -eq "$END_PLACES" ] ||
		broken "end of a sale: $(reported_count) of $END_PLACES places were sold"
	[ "$(grep -c 'sold out' "$REPORT.err")" -eq "$END_CLIENTS" ] ||
		broken "end of a sale: not all $END_CLIENTS clients were told that it is sold out"
	check_way book_ticket "$END_PLACES" "$END_PLACES"
}

inserts_and_selects()
{
	prepare_way blind_insert "$SHOP_EVENTS" "$END_PLACES"
	pg_bench -c "$END_CLIENTS" -t $((END_PLACES / END_CLIENTS + 2)) -D n=0 -D places="$END_PLACES" \
		-D clients="$END_CLIENTS" -f "$BENCH/scripts/inserts_then_select.sql"
	check_way blind_insert "$END_PLACES" "$END_PLACES"
}

scenario_end-of-sale()
{
	local repeat side took

	pgb_say "end of a sale: $END_PLACES tickets, $END_CLIENTS clients until all are refused"
	for repeat in $(seq "$REPEATS"); do
		for side in $(in_turn "$repeat" inserts_and_selects end_of_sale); do
			"$side"
			took=$(reported_milliseconds)
			record end-of-sale "$side" "$END_CLIENTS" "$repeat" "$took" "$END_PLACES"
			note "repeat $repeat: $took ms $side"
		done
	done
	target speed 'time to sell 1,000 / as many `INSERT`s' "$END_CLIENTS" \
		"$(ratio end-of-sale "$END_CLIENTS" end_of_sale inserts_and_selects)" '<=' 2
}
