# ramp.awk - how a load grew, read from pgbench's log of each transaction
#
# Prints two numbers:
#
# - the rate in the second second of the load;
# - when the load first reached nine tenths of its final rate, in milliseconds.  The
#   final rate is that of the last half of the run.  The load is counted in tenths
#   of a second, and the end of the tenth is printed.
#
# A line of the log has: client, number, duration in microseconds, script, and when
# the transaction ended, in seconds and microseconds.  Variable: seconds, the length
# of the run.

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
