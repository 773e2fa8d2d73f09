# shellcheck shell=bash disable=SC2153
# chart.sh - bookings per second against clients, one line per way; sourced by bench/run.sh
#
# Draws what runs.csv has of the hot event.  The README shows the chart of the last
# full run, so nothing less than that replaces it.

# What a line looks like: o for ours, u for the unsafe one, s for another that is safe.
way_kind()
{
	case $(way_setting "$1" title) in
		pg_booking*) echo o ;;
		*) if is_safe "$1"; then echo s; else echo u; fi ;;
	esac
}

# The ways in the order in which they are drawn: what comes last is on top of the
# others, and first in the key.
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

# A table for gnuplot: a title for each way, and a line of medians for each count
# of clients.
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
	if is_full_run; then
		cp "$RESULTS/chart.svg" "$PGB_REPO/bench/chart.svg"
	fi
}
