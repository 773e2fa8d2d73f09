#!/bin/bash
#
# test.sh - tests the cluster: plays the sale (run.sh), and interrupts another one.
#
# usage: examples/cluster/test.sh
#
# Neither may leave anything behind: no process, file, mount or network interface.
# report.pl, which judges the sale, must notice each kind of damage in what a sale leaves.
# Only root can play the sale.  For other users it is skipped.
#
# The last line is
#
#	N passed, N failed
#
# Environment: what test/server.sh reads.

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../test/server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"
# shellcheck source=test/mounts.sh
. "$PGB_REPO/test/mounts.sh"

HERE="$PGB_REPO/examples/cluster"

# ---- the sale ---------------------------------------------------------------

# Print the interfaces and mounts of the machine.
machine()
{
	cut -d: -f1 /proc/net/dev
	cut -d' ' -f5 /proc/self/mountinfo | sort
}

# Print the processes that work in the folder of a sale, and the files in it.
left_behind()
{
	find "$PGB_DIR/tmp" -mindepth 1 -maxdepth 2
	find /proc -mindepth 2 -maxdepth 2 -name cwd -lname "$PGB_DIR/tmp/*" 2>/dev/null || true
	machine | diff "$PGB_DIR/machine" - || true
}

# True if nothing is left.
nothing_left()
{
	left_behind >"$PGB_DIR/left"
	cat "$PGB_DIR/left"
	[ ! -s "$PGB_DIR/left" ]
}

# Interrupt a sale, as Ctrl-C does.
interrupted()
{
	local log="$PGB_DIR/interrupted.log" status=0

	setsid env --default-signal=INT,QUIT "$HERE/run.sh" >"$log" 2>&1 8>&- 9>&- &
	PGB_CHILD=$!
	while kill -0 "$PGB_CHILD" && ! grep -q 'is killed' "$log"; do
		sleep 0.1
	done
	kill -INT -- "-$PGB_CHILD" || true
	wait "$PGB_CHILD" || status=$?
	PGB_CHILD=''
	cat "$log"
	echo "    status $status"
	grep -q 'is killed' "$log" && [ "$status" -eq 130 ]
}

# ---- the report -------------------------------------------------------------

# Write what a sale of two shards leaves, in which nothing went wrong.  Shard 1 was killed.
write_sale()
{
	rm -rf "$PGB_DIR/sale"
	mkdir "$PGB_DIR/sale"
	cd "$PGB_DIR/sale"
	printf '%s\t0\t2\t%s\t%s\t%s\n' 10.1 1 booked 2 10.2 2 booked 4 10.3 3 sold_out '' >journal.0
	printf '%s\t1\t3\t%s\t%s\t%s\n' 10.1 4 booked 3 10.2 5 08P01 '' 19.0 5 booked 5 >journal.1
	printf '2\t2\n' >events.0
	printf '3\t9\n' >events.1
	printf '%s\t2\t%s\t10.0\n' 2 1 4 2 >tickets.0
	printf '%s\t3\t%s\t10.0\n' 3 4 5 5 >tickets.1
	echo 'a0 10.77.0.1' | tee server.0 >server.1
	touch verify.0 verify.1
}

judge_sale()
{
	"$HERE/report.pl" "$PGB_DIR/sale" 2 1 1
}

approves()
{
	write_sale
	judge_sale
}

# Does the report notice a change of a file?
# notices PROBLEM FILE SED-SCRIPT
notices()
{
	write_sale
	sed -i -E "$3" "$PGB_DIR/sale/$2"
	if judge_sale >"$PGB_DIR/report"; then
		echo "    it finds no problem"
		return 1
	fi
	grep "PROBLEM: $1" "$PGB_DIR/report"
}

test_report()
{
	add_check "the report approves of a good sale" approves
	add_check "a lost ticket" notices 'ticket 4 of user 2 was lost' tickets.0 2d
	add_check "a ticket of a client that was not told of it" \
		notices 'user 1 was not told of ticket 2' journal.0 1d
	add_check "another ticket than the client was told of" \
		notices 'user 1 has ticket 6, but was told of ticket 2' tickets.0 '1s/^2/6/'
	add_check "two tickets of one key" \
		notices 'user 4 has several tickets' tickets.1 '1p'
	add_check "more tickets than places" \
		notices 'event 2 has 1 places, but 2 tickets' events.0 's/2$/1/'
	add_check "sold out too early" \
		notices 'event 2 was sold out with 2 tickets for 3 places' events.0 's/2$/3/'
	add_check "a ticket on another shard" \
		notices 'ticket 6 of event 3 is on shard 1' tickets.1 '1s/^3/6/'
	add_check "a shard that stopped" \
		notices 'the clients of shard 0 waited for 8.8 s' journal.0 '3s/^10.3/19.0/'
	add_check "an error of a shard whose server was not killed" \
		notices 'the clients of shard 0 got errors' journal.0 '3s/sold_out/XX000/'
	add_check "a problem that verify() has found" \
		notices 'booking.verify() of shard 1: a0' server.1 'w verify.1'
}

main()
{
	PGB_DIR=$(mktemp -d "${PGB_TMPDIR:-/tmp}/pgb.XXXXXX")
	chmod 755 "$PGB_DIR"
	test_report
	if find_unshare --net; then
		mkdir "$PGB_DIR/tmp"
		export PGB_TMPDIR="$PGB_DIR/tmp"
		machine >"$PGB_DIR/machine"
		add_check "a server is killed and a shard moves: no problem" pgb_run "$HERE/run.sh"
		add_check "nothing is left of it" nothing_left
		add_check "Ctrl-C ends the sale" interrupted
		add_check "nothing is left of it" nothing_left
	else
		pgb_say "skipped: the sale ($OBSTACLE)"
	fi
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
