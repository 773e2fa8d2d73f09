# shellcheck shell=bash disable=SC2153
# chart.sh - draws bookings per second against clients; sourced by bench/run.sh
#
# The chart has a line for each way, from the lines of the hot event in runs.csv.

# Print the kind of line of a way: o for ours, u for the unsafe way, s for another
# safe way.
way_kind()
{
	case $(way_setting "$1" title) in
		pg_booking*) echo o ;;
		*) if is_safe "$1"; then echo s; else echo u; fi ;;
	esac
}

# Print the ways in the order in which they are drawn.  The last way is on top of
# the others, and first in the key.
chart_ways()
{
	local kind way

	for kind in s u o; do
		# shellcheck disable=SC2086
		for way in $(backwards $WAYS); do
			[ "$(way_kind "$way")" != "$kind" ] || echo "$way"
		done
	done
}

# Print a table for gnuplot: the title of each way, then a line of medians for each
# number of clients.
chart_data()
{
	local clients way

	printf 'clients'
	for way in "$@"; do
		printf ' "%s"' "$(way_setting "$way" title)"
	done
	echo
	for clients in $CLIENTS; do
		printf '%s' "$clients"
		for way in "$@"; do
			printf ' %s' "$(middle hot "$clients" "$way")"
		done
		echo
	done
}

draw_chart()
{
	local ways way kinds=''

	mapfile -t ways < <(chart_ways)
	for way in "${ways[@]}"; do
		kinds+=$(way_kind "$way")
	done
	chart_data "${ways[@]}" >"$RESULTS/chart.dat"
	gnuplot -e "data = '$RESULTS/chart.dat'; image = '$RESULTS/chart.svg'; kinds = '$kinds'" \
		"$PGB_REPO/bench/lib/chart.gp"
}
