# shellcheck shell=bash disable=SC2153
# compare.sh - ways of booking side by side, with every number of clients; sourced
# by bench/run.sh

# One line of the table below.
# way_line SCENARIO REFERENCE CLIENTS WAY
way_line()
{
	local scenario=$1 reference=$2 clients=$3 way=$4
	local median least greatest

	read -r median least greatest < <(ratio "$scenario" "$clients" "$way" "$reference")
	note "$(printf '%7s/s  %5s x  %-14s  %s' "$(middle "$scenario" "$clients" "$way")" \
		"$median" "$(spread "$least" "$greatest")" "$(way_setting "$way" title)")"
}

# ways_table SCENARIO REFERENCE WAY ...: show the medians, and their ratios to the
# way that is the reference.
ways_table()
{
	local scenario=$1 reference=$2 clients way

	shift 2
	for clients in $CLIENTS; do
		pgb_say "$scenario, $clients clients: median; median ratio to" \
			"$(way_setting "$reference" name); spread"
		for way in "$@"; do
			way_line "$scenario" "$reference" "$clients" "$way"
		done
	done
}

# Print the ways that have a turn in a repeat, in its order.  A way says in its run.sql
# if fewer repeats are enough, because no figure with a target needs it.
# ways_in_turn REPEAT WAY ...
ways_in_turn()
{
	local repeat=$1 way repeats

	for way in $(in_turn "$@"); do
		repeats=$(way_setting "$way" repeats)
		[ "$repeat" -gt "${repeats:-$repeat}" ] || echo "$way"
	done
}

# compare_ways SCENARIO REFERENCE WAY ...: measure ways, all clients wanting the
# first event, with every number of clients.
compare_ways()
{
	local scenario=$1 reference=$2 repeat clients way

	shift 2
	for repeat in $(seq "$REPEATS"); do
		for clients in $CLIENTS; do
			for way in $(ways_in_turn "$repeat" "$@"); do
				measure_way "$scenario" "$way" "$clients" "$repeat" "$SHOP_EVENTS" 1
			done
		done
	done
	ways_table "$scenario" "$reference" "$@"
}

# Judge a ratio, unless the settings of this run left out what it needs.
# target_if_run SCENARIO CLIENTS WAY REFERENCE GOAL WORK
target_if_run()
{
	local figure

	figure=$(ratio "$1" "$2" "$3" "$4")
	[ "$figure" = none ] || target speed "$6" "$2" "$figure" '>=' "$5"
}

# changed_run SCENARIO CHANGE WAY REPEAT
changed_run()
{
	local schema=booking

	[ "$3" = book_ticket ] || schema=shop
	prepare_way "$3" "$SHOP_EVENTS" "$PLENTY"
	sql -v schema="$schema" <<<"$2"
	query CHECKPOINT
	# longer, because a new event needs a moment to spread its places
	run_way "$3" 32 -T $((SECONDS_PER_RUN + 2)) -D events=1
	check_way "$3" "$PLENTY" "$(reported_count)"
	record "$1" "$3" 32 "$4" "$(reported_rate)" "$(reported_count)"
	note "$(printf 'repeat %s: %6s/s  %s, %s' "$4" "$(reported_rate)" "$1" "$3")"
}

# compare_changed SCENARIO CHANGE: compare book_ticket with a blind INSERT after a change
# of both tables of tickets.  It is SQL, in which :schema is where they are.
compare_changed()
{
	local repeat way

	for repeat in $(seq "$REPEATS"); do
		for way in $(in_turn "$repeat" blind_insert book_ticket); do
			changed_run "$1" "$2" "$way" "$repeat"
		done
	done
}
