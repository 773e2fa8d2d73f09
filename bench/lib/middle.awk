# middle.awk - the median of what was measured of a way in runs.csv
#
# Variables: scenario, way, clients.  To be used with median.awk.

$1 == scenario && $2 == way && $3 == clients { values[++n] = $5 + 0 }

END {
	if (n == 0)
		print "none"
	else
		printf "%.0f\n", median(values, n)
}
