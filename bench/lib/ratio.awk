# ratio.awk - compares one way with another in runs.csv
#
# Prints the median ratio, the least and the greatest, or "none".  Each ratio is
# taken within one repeat.  So if the machine becomes slower over an hour, both
# sides of a ratio are slower.
#
# Variables: scenario, clients, way, reference.  To be used with median.awk.

$1 == scenario && $3 == clients && $2 == way { mine[$4] = $5 + 0 }
$1 == scenario && $3 == clients && $2 == reference { theirs[$4] = $5 + 0 }

END {
	for (repeat in mine)
		if (theirs[repeat] > 0)
			ratios[++n] = mine[repeat] / theirs[repeat]
	if (n == 0) {
		print "none"
		exit
	}
	middle = median(ratios, n)
	printf "%.3f %.3f %.3f\n", middle, ratios[1], ratios[n]
}
