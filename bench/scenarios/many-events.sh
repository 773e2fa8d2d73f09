# shellcheck shell=bash disable=SC2016
# many-events - 32 clients buy from 10,000 events at random
#
# Here no event is hot, and pg_booking may cost no more than a little.

readonly MANY_EVENTS=10000

scenario_many-events()
{
	local repeat way

	pgb_say "$MANY_EVENTS events at random, 32 clients"
	for repeat in $(seq "$REPEATS"); do
		for way in $(in_turn "$repeat" book_ticket blind_insert insert_with_trigger); do
			measure_way many-events "$way" 32 "$repeat" "$MANY_EVENTS" "$MANY_EVENTS"
		done
	done
	target speed '10,000 events: `book_ticket` / blind `INSERT`' 32 \
		"$(ratio many-events 32 book_ticket blind_insert)" '>=' 0.95
	figure '10,000 events: plain `INSERT` / blind `INSERT`' 32 \
		"$(ratio many-events 32 insert_with_trigger blind_insert)"
}
