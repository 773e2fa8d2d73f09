# shellcheck shell=bash disable=SC2153
# hot - everybody wants the same event: every way, at every count of clients
#
# Shows the medians and their ratios to the blind INSERT, and draws the chart.

hot_line()
{
	local clients=$1 way=$2
	local median range

	read -r median range < <(ratio hot "$clients" "$way" blind_insert)
	note "$(printf '%7s/s  %5s x  %-14s  %s' "$(middle hot "$clients" "$way")" "$median" \
		"$range" "$(way_setting "$way" title)")"
}

hot_table()
{
	local clients way

	for clients in $CLIENTS; do
		pgb_say "one hot event, $clients clients: median; median ratio to blind INSERT, least to greatest"
		for way in $WAYS; do
			hot_line "$clients" "$way"
		done
	done
}

# hot_target CLIENTS WAY REFERENCE GOAL: what WAYS or CLIENTS left out is passed over.
hot_target()
{
	[ "$(ratio hot "$1" "$2" "$3")" != none ] || return 0
	target_ratio "one hot event, $1 clients: $2 / $3" hot "$1" "$2" "$3" "$4"
}

hot_targets()
{
	hot_target 1 book_ticket blind_insert 1.00
	hot_target 8 book_ticket blind_insert 1.00
	hot_target 32 book_ticket blind_insert 0.97
	hot_target 32 book_ticket one_statement 8.5
	hot_target 32 book_ticket advisory_lock 5
	hot_target 128 book_ticket blind_insert 0.95
	hot_target 128 book_ticket one_statement 15
	hot_target 32 insert_with_trigger blind_insert 0.80
}

scenario_hot()
{
	local repeat clients way

	pgb_say "one hot event: every way and count of clients for $SECONDS_PER_RUN s, $REPEATS times"
	for repeat in $(seq "$REPEATS"); do
		for clients in $CLIENTS; do
			# shellcheck disable=SC2086
			for way in $(in_turn "$repeat" $WAYS); do
				measure_way hot "$way" "$clients" "$repeat" "$SHOP_EVENTS" 1
			done
		done
	done
	hot_table
	hot_targets
	draw_chart
}
