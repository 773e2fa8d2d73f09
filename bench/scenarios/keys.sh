# shellcheck shell=bash disable=SC2016
# keys - the cost of an idempotency key, for a booking and for a refusal
#
# Every call has a new key, as when every request arrives once.

# keys_call with|without WAY: run one side of the comparison.
keys_call()
{
	if [ "$1" = with ]; then
		pg_bench -c 32 -T "$SHORT_SECONDS" -D events=1 -f "$BENCH/scripts/$2_with_key.sql"
	else
		run_way "$2" 32 -T "$SHORT_SECONDS" -D events=1
	fi
}

keys_bookings()
{
	local side=$1 repeat=$2 keys

	prepare_way book_ticket "$SHOP_EVENTS" "$PLENTY"
	keys_call "$side" book_ticket
	check_way book_ticket "$PLENTY" "$(reported_count)"
	if [ "$side" = with ]; then
		keys=$(query 'SELECT count(*) FROM booking.request')
		[ "$keys" -eq "$(reported_count)" ] ||
			broken "$(reported_count) bookings with a key were acknowledged, and $keys keys are there"
	fi
	record keys "$side" 32 "$repeat" "$(reported_rate)" "$(reported_count)"
	note "repeat $repeat: $(reported_rate) bookings/s $side a key"
}

# Event 1 has no places.
keys_refusals()
{
	local side=$1 repeat=$2

	prepare_way try_book_ticket "$SHOP_EVENTS" 0
	keys_call "$side" try_book_ticket
	check_way try_book_ticket 0 0
	record keys-refusals "$side" 32 "$repeat" "$(reported_rate)" "$(reported_count)"
	note "repeat $repeat: $(reported_rate) refusals/s $side a key"
}

scenario_keys()
{
	local repeat side

	pgb_say "bookings and refusals with and without an idempotency key, one hot event, 32 clients"
	for repeat in $(seq "$REPEATS"); do
		for side in $(in_turn "$repeat" without with); do
			keys_bookings "$side" "$repeat"
		done
		for side in $(in_turn "$repeat" without with); do
			keys_refusals "$side" "$repeat"
		done
	done
	target speed '`book_ticket`: idempotency key / without' 32 \
		"$(ratio keys 32 with without)" '>=' 0.80
	target speed 'a refusal: idempotency key / without' 32 \
		"$(ratio keys-refusals 32 with without)" '>=' 0.90
}
