# shellcheck shell=bash disable=SC2153
# chart.sh - draws transactions per second against clients; sourced by bench/run.sh
#
# A chart has a line for each way, from the lines of a scenario in runs.csv.

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
# chart_ways WAY ...
chart_ways()
{
	local kind way

	for kind in s u o; do
		for way in $(backwards "$@"); do
			[ "$(way_kind "$way")" != "$kind" ] || echo "$way"
		done
	done
}

# Print a table for gnuplot: the title of each way, then a line of medians for each
# number of clients.
# chart_data SCENARIO WAY ...
chart_data()
{
	local scenario=$1 clients way

	shift
	printf 'clients'
	for way in "$@"; do
		printf ' "%s"' "$(way_setting "$way" title)"
	done
	echo
	for clients in $CLIENTS; do
		printf '%s' "$clients"
		for way in "$@"; do
			printf ' %s' "$(middle "$scenario" "$clients" "$way")"
		done
		echo
	done
}

# draw_chart SCENARIO NAME TITLE WAY ...: write $RESULTS/NAME.svg.
draw_chart()
{
	local scenario=$1 name=$2 title=$3 ways way kinds=''

	shift 3
	mapfile -t ways < <(chart_ways "$@")
	for way in "${ways[@]}"; do
		kinds+=$(way_kind "$way")
	done
	chart_data "$scenario" "${ways[@]}" >"$RESULTS/$name.dat"
	gnuplot -e "data = '$RESULTS/$name.dat'; image = '$RESULTS/$name.svg'" \
		-e "heading = '$title'; kinds = '$kinds'" "$PGB_REPO/bench/lib/chart.gp"
}
