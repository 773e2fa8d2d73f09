# shellcheck shell=bash
# many-events - 10,000 events sold at random by 32 clients: nothing is hot, and nothing may be slower for it

readonly MANY_EVENTS=10000

scenario_many-events()
{
	local repeat way

	pgb_say "$MANY_EVENTS events at random, 32 clients"
	for repeat in $(seq "$REPEATS"); do
		for way in $(in_turn "$repeat" blind_insert book_ticket insert_with_trigger one_statement); do
			measure_way many-events "$way" 32 "$repeat" "$MANY_EVENTS" "$MANY_EVENTS"
		done
	done
	target_ratio "$MANY_EVENTS events at random, 32 clients: book_ticket / blind_insert" \
		many-events 32 book_ticket blind_insert 0.95
	for way in insert_with_trigger one_statement; do
		note "$(way_setting "$way" title) / blind_insert: $(ratio many-events 32 "$way" blind_insert)"
	done
}
