# figures.awk - the figures of some scenarios in figures.csv, as a Markdown table
#
# Variable: scenarios, their names with spaces between.  To be used with csv.awk.

# 1234567 as 1,234,567; other numbers stay as they are.
function with_commas(number,    start)
{
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
		spread = with_commas(figure["least"]) ".." with_commas(figure["greatest"])
	if (figure["target"] != "")
		target = figure["operator"] " " with_commas(figure["target"])
	printf "| %s | %s | %s | %s | %s | %s |\n", figure["work"], figure["clients"], or_dash(target),
		with_commas(figure["measured"]), or_dash(spread), or_dash(tolower(figure["verdict"]))
}
