# ratio.awk - how one way compares with another in runs.csv
#
# Prints the median ratio, then "<the least> to <the greatest>".  Each is taken within
# one repeat, so that a machine that grows slower over an hour changes both of
# its sides alike.
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
	printf "%.3f %.3f to %.3f\n", middle, ratios[1], ratios[n]
}
