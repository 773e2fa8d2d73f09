# figures.awk - the figures of some scenarios in figures.csv, as a Markdown table
#
# Variable: scenarios, their names with spaces between.  To be used with csv.awk.

# 1234567 as 1,234,567, and 12.345 as 12.3.
function shown(number,    start)
{
	if (number ~ /^[0-9]+\.[0-9]+$/)
		return number + 0 < 10 ? number : sprintf("%.1f", number)
	if (number !~ /^[0-9]+$/)
		return number
	for (start = length(number) - 2; start > 1; start -= 3)
		number = substr(number, 1, start - 1) "," substr(number, start)
	return number
}

function or_dash(text)
{
	return text == "" ? "-" : text
}

BEGIN {
	gsub(/[ \t\n]+/, " ", scenarios)
	scenarios = " " scenarios " "
	print "| work | clients | target | measured | least..greatest | verdict |"
	print "|---|--:|--:|--:|--:|---|"
}

NR > 1 {
	split_line($0)
	if (!index(scenarios, " " figure["scenario"] " "))
		next
	spread = target = ""
	if (figure["greatest"] != "")
		spread = shown(figure["least"]) ".." shown(figure["greatest"])
	if (figure["target"] != "")
		target = figure["operator"] " " shown(figure["target"])
	printf "| %s | %s | %s | %s | %s | %s |\n", figure["work"], figure["clients"], or_dash(target),
		shown(figure["measured"]), or_dash(spread), or_dash(tolower(figure["verdict"]))
}
