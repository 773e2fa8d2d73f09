# shellcheck shell=bash
# common.sh - what every part of the benchmark uses; sourced by bench/run.sh
#
# Promises that a figure is kept before it is judged, that it is judged as it
# was measured and not as it is printed, and that a broken promise of a way's
# ends the benchmark: it is worse than any figure.
#
# Files in $RESULTS:
#   runs.csv      one line per run: scenario, way, clients, repeat, per second
#                 (or another measure that the scenario names), how many
#   targets.csv   one line per figure that has a target, with the verdict

note()
{
	echo "    $*"
}

broken()
{
	pgb_die "PROMISE BROKEN: $*"
}

# A setting at the head of a way's run.sql ("-- title: ..."), or nothing.
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

# ratio SCENARIO CLIENTS WAY REFERENCE: the median of the two's ratios within each
# repeat, then the least and the greatest ("1.02 0.99 to 1.03"); "none" if not
# both were run.
ratio()
{
	awk -F, -f "$BENCH/lib/median.awk" -f "$BENCH/lib/ratio.awk" -v scenario="$1" \
		-v clients="$2" -v way="$3" -v reference="$4" "$RESULTS/runs.csv"
}

# middle SCENARIO CLIENTS WAY: the median of a measure; "none" if there is none.
middle()
{
	awk -F, -f "$BENCH/lib/median.awk" -f "$BENCH/lib/middle.awk" \
		-v scenario="$1" -v clients="$2" -v way="$3" "$RESULTS/runs.csv"
}

# target KIND WORK FIGURE OPERATOR GOAL [REMARK]: judge a figure, show it, and
# keep the verdict.  OPERATOR is >=, <= or <.  KIND: a "speed" is judged for good by
# a full run only, for a quick one is too short; a "fact" by any.
target()
{
	local kind=$1 work=$2 figure=$3 operator=$4 goal=$5 remark=${6:-} verdict

	verdict=$(awk -v figure="$figure" -v operator="$operator" -v goal="$goal" 'BEGIN {
		if (figure == "none")
			print "not measured"
		else if ((operator == ">=" && figure + 0 >= goal + 0) ||
			(operator == "<=" && figure + 0 <= goal + 0) || (operator == "<" && figure + 0 < goal + 0))
			print "reached"
		else
			print "MISSED"
	}')
	printf '%s,"%s",%s,%s,%s,%s,"%s"\n' "$kind" "$work" "$figure" "$operator" \
		"$goal" "$verdict" "$remark" >>"$RESULTS/targets.csv"
	note "$verdict: $work: $figure, target $operator $goal${remark:+ ($remark)}"
}

# target_ratio WORK SCENARIO CLIENTS WAY REFERENCE GOAL
target_ratio()
{
	local median range

	read -r median range < <(ratio "$2" "$3" "$4" "$5")
	target speed "$1" "$median" '>=' "$6" "$range"
}

# All verdicts as a table.  Fails if this run missed a target that it can judge.
show_verdicts()
{
	[ "$(wc -l <"$RESULTS/targets.csv")" -gt 1 ] || return 0
	echo
	awk -f "$BENCH/lib/verdicts.awk" -v quick="$QUICK" "$RESULTS/targets.csv"
}
