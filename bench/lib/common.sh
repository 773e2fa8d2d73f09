# shellcheck shell=bash
# common.sh - what every part of the benchmark uses; sourced by bench/run.sh
#
# Promises:
#
# - A figure is judged as it was measured, not as it is printed.
# - A broken promise of a way ends the benchmark, because it is worse than any
#   figure.
#
# Files in $RESULTS:
#   runs.csv      a line for each run: scenario, way, clients, repeat, the measure
#                 (per second, unless the scenario says otherwise), and the number
#                 of transactions
#   figures.csv   a line for each figure, with its target and the verdict

note()
{
	echo "    $*"
}

broken()
{
	pgb_die "PROMISE BROKEN: $*"
}

# Print a setting at the head of a way's run.sql ("-- title: ..."), or nothing.
way_setting()
{
	sed -n "s/^-- $2: //p" "$BENCH/ways/$1/run.sql"
}

is_safe()
{
	[ "$(way_setting "$1" safe)" = yes ]
}

# record SCENARIO WAY CLIENTS REPEAT MEASURE COUNT
record()
{
	local IFS=,

	echo "$*" >>"$RESULTS/runs.csv"
}

# ratio SCENARIO CLIENTS WAY REFERENCE: print the median, the least and the greatest
# ratio of the two ways within a repeat, or "none" if they were not both run.
ratio()
{
	awk -F, -f "$BENCH/lib/median.awk" -f "$BENCH/lib/ratio.awk" -v scenario="$1" \
		-v clients="$2" -v way="$3" -v reference="$4" "$RESULTS/runs.csv"
}

# measured SCENARIO CLIENTS WAY: print the median, the least and the greatest
# measure of a way, or "none" if it was not run.
measured()
{
	awk -F, -f "$BENCH/lib/median.awk" -f "$BENCH/lib/measured.awk" \
		-v scenario="$1" -v clients="$2" -v way="$3" "$RESULTS/runs.csv"
}

# middle SCENARIO CLIENTS WAY: print only the median.
middle()
{
	local median

	read -r median _ < <(measured "$@")
	echo "$median"
}

# Show the spread, or nothing if there is none.
# spread LEAST GREATEST
spread()
{
	[ -z "${2:-}" ] || echo "$1..$2"
}

# Print the verdict on a figure.
# verdict MEDIAN LEAST GREATEST OPERATOR GOAL
verdict()
{
	awk -v median="$1" -v least="$2" -v greatest="$3" -v operator="$4" -v goal="$5" '
		function reaches(figure) {
			if (operator == ">=")
				return figure >= goal + 0
			return operator == "<=" ? figure <= goal + 0 : figure < goal + 0
		}
		BEGIN {
			if (median == "none")
				print "not measured"
			else if (reaches(median + 0))
				print "reached"
			else if (least != "" && reaches(operator == ">=" ? greatest + 0 : least + 0))
				print "undecided"
			else
				print "MISSED"
		}'
}

# keep KIND WORK CLIENTS FIGURE OPERATOR GOAL VERDICT REMARK: a line of figures.csv.
keep()
{
	local median least greatest

	read -r median least greatest <<<"$4"
	printf '%s,%s,"%s",%s,%s,%s,%s,%s,%s,%s,"%s"\n' "$SCENARIO" "$1" "$2" "$3" \
		"$median" "$least" "$greatest" "$5" "$6" "$7" "$8" >>"$RESULTS/figures.csv"
}

# Judge a figure, show it, and keep it.  FIGURE is "MEDIAN LEAST GREATEST", or only
# one number.  OPERATOR is >=, <= or <.  KIND is "speed", if a quick run is too
# short to judge it, or "fact".  WORK is Markdown.
# target KIND WORK CLIENTS FIGURE OPERATOR GOAL [REMARK]
target()
{
	local median least greatest verdict

	read -r median least greatest <<<"$4"
	verdict=$(verdict "$median" "$least" "$greatest" "$5" "$6")
	keep "$1" "$2" "$3" "$4" "$5" "$6" "$verdict" "${7:-}"
	note "$verdict: ${2//\`/}, $3 clients: $median, target $5 $6" \
		"$(spread "$least" "$greatest")${7:+ ($7)}"
}

# Show and keep a figure that has no target.
# figure WORK CLIENTS FIGURE [REMARK]
figure()
{
	local median least greatest

	read -r median least greatest <<<"$3"
	keep speed "$1" "$2" "$3" '' '' '' "${4:-}"
	note "${1//\`/}, $2 clients: $median $(spread "$least" "$greatest")${4:+ ($4)}"
}

# Show all figures that have a target.  Fails with 2 if this run did not reach a
# target that it can judge.
show_verdicts()
{
	[ "$(wc -l <"$RESULTS/figures.csv")" -gt 1 ] || return 0
	echo
	awk -f "$BENCH/lib/csv.awk" -f "$BENCH/lib/verdicts.awk" -v quick="$QUICK" \
		"$RESULTS/figures.csv"
}
