# shellcheck shell=bash disable=SC2016
# ramp - how soon a new event sells at full speed, if nothing told the server that
# it would be hot
#
# Two figures, both from pgbench's log of each booking: the rate in the second
# second, compared with a blind INSERT's in its second second; and the end of the
# first tenth of a second that reached nine tenths of the final rate.

readonly RAMP_SECONDS=4

ramp_run()
{
	local way=$1 clients=$2 repeat=$3
	local rate reached

	prepare_way "$way" "$SHOP_EVENTS" "$PLENTY"
	rm -f "$PGB_DIR"/ramp.*
	run_way "$way" "$clients" -T "$RAMP_SECONDS" -D events=1 --log --log-prefix="$PGB_DIR/ramp"
	check_way "$way" "$PLENTY" "$(reported_count)"
	read -r rate reached < <(cat "$PGB_DIR"/ramp.* | awk -v seconds="$RAMP_SECONDS" -f "$BENCH/lib/ramp.awk")
	record ramp "$way" "$clients" "$repeat" "$rate" "$(reported_count)"
	record ramp-milliseconds "$way" "$clients" "$repeat" "$reached" 1
	note "repeat $repeat, $clients clients: $rate/s in the second second," \
		"0.9 of the final rate after $reached ms: $way"
}

ramp_judge()
{
	local clients=$1 goal=$2

	target speed '2nd second of a new event / blind `INSERT`' "$clients" \
		"$(ratio ramp "$clients" book_ticket blind_insert)" '>=' "$goal"
	target speed 'new event: ms until 0.9 of the final rate' "$clients" \
		"$(measured ramp-milliseconds "$clients" book_ticket)" '<=' 1000 \
		"blind_insert: $(middle ramp-milliseconds "$clients" blind_insert)"
}

scenario_ramp()
{
	local repeat clients counts='32 128' way

	[ "$QUICK" = 0 ] || counts=32
	pgb_say "a new event, until it sells at full speed"
	for repeat in $(seq "$REPEATS"); do
		for clients in $counts; do
			for way in $(in_turn "$repeat" blind_insert book_ticket); do
				ramp_run "$way" "$clients" "$repeat"
			done
		done
	done
	ramp_judge 32 0.97
	[ "$QUICK" = 1 ] || ramp_judge 128 0.95
}
