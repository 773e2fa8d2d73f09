# csv.awk - reads a line of figures.csv, for the other awk programs here
#
# split_line puts the fields of a line into figure, under their names.  Quoted
# fields may contain commas.

BEGIN { split("scenario kind work clients measured least greatest operator target verdict remark", names, " ") }

function split_line(line,    n)
{
	line = line ","
	for (n = 1; line != ""; n++) {
		if (match(line, /^"[^"]*",/))
			figure[names[n]] = substr(line, 2, RLENGTH - 3)
		else {
			match(line, /^[^,]*,/)
			figure[names[n]] = substr(line, 1, RLENGTH - 1)
		}
		line = substr(line, RLENGTH + 1)
	}
}
