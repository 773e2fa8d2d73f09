# verdicts.awk - the figures of figures.csv that have a target, as a table
#
# Exits with 2 if a target was not reached.  Variable: quick, 1 if the runs were too
# short to judge speeds.  To be used with csv.awk.

BEGIN { printf "%-12s  %9s  %-16s  %10s  %7s  %s\n", "verdict", "measured", "spread", "target", "clients", "work" }

NR > 1 {
	split_line($0)
	if (figure["target"] == "")
		next
	gsub(/`/, "", figure["work"])
	spread = figure["greatest"] == "" ? "" : figure["least"] ".." figure["greatest"]
	printf "%-12s  %9s  %-16s  %2s %7s  %7s  %s%s\n", figure["verdict"], figure["measured"], spread,
		figure["operator"], figure["target"], figure["clients"], figure["work"],
		figure["remark"] == "" ? "" : " (" figure["remark"] ")"
	count++
	verdicts[figure["verdict"]]++
	if (figure["verdict"] !~ /^(reached|not measured)$/ && (!quick || figure["kind"] != "speed"))
		failed = 2
}

END {
	printf "%d targets: %d reached, %d undecided, %d missed%s\n", count, verdicts["reached"],
		verdicts["undecided"], verdicts["MISSED"],
		quick ? " (a quick run is too short to judge speeds)" : ""
	exit failed
}
