# verdicts.awk - targets.csv as a table; exits with 2 if a target was missed
#
# Variable: quick, 1 if the runs were too short to judge speeds by.

# The fields of a line of which some are quoted and may hold commas.
function split_line(line, fields,    n)
{
	for (n = 0; line != ""; ) {
		if (match(line, /^"[^"]*"/))
			fields[++n] = substr(line, 2, RLENGTH - 2)
		else {
			match(line, /^[^,]*/)
			fields[++n] = substr(line, 1, RLENGTH)
		}
		line = substr(line, RSTART + RLENGTH + 1)
	}
}

BEGIN { printf "%-12s  %9s  %10s  %s\n", "verdict", "measured", "target", "work" }

NR > 1 {
	split("", field)
	split_line($0, field)
	printf "%-12s  %9s  %2s %7s  %s%s\n", field[6], field[3], field[4], field[5], field[2],
		field[7] == "" ? "" : " (" field[7] ")"
	count++
	if (field[6] == "MISSED") {
		missed++
		if (!quick || field[1] != "speed")
			failed = 2
	}
}

END {
	printf "%d figures have a target, %d missed it%s\n", count, missed,
		quick ? " (a quick run is too short to judge speeds by)" : ""
	exit failed
}
