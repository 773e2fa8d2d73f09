# shellcheck shell=bash disable=SC2153,SC2016
# capacity - an application's own tables: an INSERT with a capacity constraint,
# without one, and the ways in which people write the check themselves

# The fast ways are neighbours, as in ALL_WAYS.
readonly CAPACITY_WAYS='unprotected capacity_constraint unprotected_uuid capacity_constraint_uuid
	trigger_lock_and_count for_update_and_count counter_with_check serializable_count'

capacity_targets()
{
	local work='`INSERT` with a capacity constraint / without'
	local clients goal

	while read -r clients goal; do
		target_if_run capacity "$clients" capacity_constraint unprotected "$goal" "$work"
		target_if_run capacity "$clients" capacity_constraint_uuid unprotected_uuid "$goal" \
			"$work, uuid key"
	done <<-GOALS
		1 0.97
		8 0.92
		32 0.92
		128 0.90
	GOALS
	target_if_run capacity 32 capacity_constraint trigger_lock_and_count 8 \
		'the same / a trigger that locks the parent row and counts'
}

# Many keys, none of them hot.
capacity_many_keys()
{
	local repeat way

	pgb_say "$MANY_EVENTS keys at random, 32 clients"
	for repeat in $(seq "$REPEATS"); do
		for way in $(in_turn "$repeat" unprotected capacity_constraint); do
			measure_way capacity-keys "$way" 32 "$repeat" "$MANY_EVENTS" "$MANY_EVENTS"
		done
	done
	target speed '10,000 keys: `INSERT` with a capacity constraint / without' 32 \
		"$(ratio capacity-keys 32 capacity_constraint unprotected)" '>=' 0.92
}

scenario_capacity()
{
	pgb_say "capacity constraints: every way and number of clients, $REPEATS times"
	# shellcheck disable=SC2086
	compare_ways capacity unprotected $CAPACITY_WAYS
	capacity_targets
	capacity_many_keys
	# shellcheck disable=SC2086
	draw_chart capacity chart-capacity 'One hot key of an application: rows per second' \
		$CAPACITY_WAYS
}
