# shellcheck shell=bash disable=SC2153,SC2016
# hot - all clients want the same event: every way, with every number of clients
#
# Shows the medians and their ratios to the blind INSERT, and draws the chart.

hot_line()
{
	local clients=$1 way=$2
	local median least greatest

	read -r median least greatest < <(ratio hot "$clients" "$way" blind_insert)
	note "$(printf '%7s/s  %5s x  %-14s  %s' "$(middle hot "$clients" "$way")" "$median" \
		"$(spread "$least" "$greatest")" "$(way_setting "$way" title)")"
}

hot_table()
{
	local clients way

	for clients in $CLIENTS; do
		pgb_say "one hot event, $clients clients: median; median ratio to blind INSERT; spread"
		for way in $WAYS; do
			hot_line "$clients" "$way"
		done
	done
}

# Judge a ratio, unless WAYS or CLIENTS left out what it needs.
# hot_target CLIENTS WAY REFERENCE GOAL WORK
hot_target()
{
	local figure

	figure=$(ratio hot "$1" "$2" "$3")
	[ "$figure" = none ] || target speed "$5" "$1" "$figure" '>=' "$4"
}

hot_targets()
{
	local work='hot event: `book_ticket` / blind `INSERT`'

	hot_target 1 book_ticket blind_insert 1.00 "$work"
	hot_target 8 book_ticket blind_insert 1.00 "$work"
	hot_target 32 book_ticket blind_insert 1.00 "$work"
	hot_target 128 book_ticket blind_insert 0.97 "$work"
	hot_target 32 insert_with_trigger blind_insert 0.95 'hot event: plain `INSERT` / blind `INSERT`'
	hot_target 32 book_ticket one_statement 8.5 'hot event: `book_ticket` / one SQL statement'
	hot_target 128 book_ticket one_statement 15 'hot event: `book_ticket` / one SQL statement'
	hot_target 32 book_ticket advisory_lock 5 'hot event: `book_ticket` / advisory lock'
}

scenario_hot()
{
	local repeat clients way

	pgb_say "one hot event: every way and number of clients, $REPEATS times"
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
