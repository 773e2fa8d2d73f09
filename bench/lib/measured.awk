# measured.awk - what was measured for one way in runs.csv
#
# Prints the median, the least and the greatest, or "none".
# Variables: scenario, way, clients.  To be used with median.awk.

$1 == scenario && $2 == way && $3 == clients { values[++n] = $5 + 0 }

END {
	if (n == 0) {
		print "none"
		exit
	}
	middle = median(values, n)
	form = middle < 10 ? "%.3f" : middle < 100 ? "%.1f" : "%.0f"
	printf form " " form " " form "\n", middle, values[1], values[n]
}
