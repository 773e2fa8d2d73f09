# ramp.awk - how a load grew, from pgbench's log of each transaction
#
# Prints the rate in the second second of the load, and how many milliseconds had
# passed at the end of the first tenth of a second that held nine tenths of the
# rate in the last half of the run.
#
# A line has: client, number, microseconds that it took, script, when it ended in
# seconds, and the microseconds of that.  Variable: seconds, how long the run was.

{
	ended[NR] = $5 + $6 / 1e6
	if (NR == 1 || ended[NR] - $3 / 1e6 < start)
		start = ended[NR] - $3 / 1e6
}

END {
	for (i = 1; i <= NR; i++)
		count[int((ended[i] - start) * 10)]++
	for (tenth = 10; tenth < 20; tenth++)
		second += count[tenth]
	for (tenth = seconds * 5; tenth < seconds * 10; tenth++)
		late += count[tenth]
	for (tenth = 0; count[tenth] < 0.9 * late / (seconds * 5); tenth++)
		;
	print second, (tenth + 1) * 100
}
