# shellcheck shell=bash disable=SC2016
# upkeep - expire_holds(), cancel_event(), verify(), and the memory of a session
#
# They are called by a timer or by an operator, or grow with a session's life.

# Print the milliseconds that a query takes.
milliseconds()
{
	local start

	start=$(date +%s%N)
	query "$1" >/dev/null
	echo $((($(date +%s%N) - start) / 1000000))
}

# Print the bytes that a session has by itself after it has booked that many events.
# session_bytes EVENTS
session_bytes()
{
	sql <<-SQL
		DO \$\$ BEGIN FOR e IN 1..$1 LOOP PERFORM booking.book_ticket(e, 1); COMMIT; END LOOP; END \$\$;
		SELECT pg_backend_pid() AS pid \\gset
		\\setenv PID :pid
		\\! awk '/^RssAnon/ { print \$2 * 1024 }' /proc/\$PID/status
	SQL
}

expire_many()
{
	local repeat holds=100000 took

	[ "$QUICK" = 0 ] || holds=10000
	pgb_say "expire_holds() of $holds holds of $SHOP_EVENTS events"
	for repeat in $(seq "$REPEATS"); do
		prepare_way book_ticket "$SHOP_EVENTS" "$holds"
		query "SELECT count(h.hold_id) FROM generate_series(1, $holds) AS u,
			booking.hold_tickets(1 + u % $SHOP_EVENTS, u::bigint, 1, '1 hour') AS h" >/dev/null
		query 'UPDATE booking.hold SET expires_at = clock_timestamp()'
		query 'VACUUM (ANALYZE) booking.hold, booking.inventory'
		query CHECKPOINT
		took=$(milliseconds 'SELECT booking.expire_holds()')
		check_way book_ticket "$holds" 0
		record upkeep expire_holds 1 "$repeat" $((holds * 1000 / took)) "$holds"
		note "repeat $repeat: $((holds * 1000 / took)) holds/s"
	done
	target speed "\`expire_holds()\` of $(with_commas "$holds") holds: holds a second" 1 \
		"$(measured upkeep 1 expire_holds)" '>=' 20000
}

# cancel_many: cancel_event() beside an UPDATE of as many rows without any trigger.
cancel_many()
{
	local repeat tickets=100000 plain

	[ "$QUICK" = 0 ] || tickets=10000
	pgb_say "cancel_event() of an event with $tickets tickets"
	for repeat in $(seq "$REPEATS"); do
		prepare_way book_ticket "$SHOP_EVENTS" "$tickets"
		query "SELECT count(*) FROM booking.book_batch(1, ARRAY(SELECT generate_series(1, $tickets)::bigint))" >/dev/null
		query 'CREATE TABLE plain AS TABLE booking.ticket'
		query 'ALTER TABLE plain ADD PRIMARY KEY (ticket_id)'
		query 'VACUUM (ANALYZE) booking.ticket, plain'
		query CHECKPOINT
		plain=$(milliseconds 'UPDATE plain SET cancelled_at = now()')
		record upkeep update 1 "$repeat" "$plain" "$tickets"
		record upkeep cancel_event 1 "$repeat" "$(milliseconds 'SELECT count(*) FROM booking.cancel_event(1)')" "$tickets"
		check_way book_ticket "$tickets" 0
	done
	figure "\`cancel_event()\` of $(with_commas "$tickets") tickets / a plain \`UPDATE\` of as many rows" 1 \
		"$(ratio upkeep 1 cancel_event update)" "$(middle upkeep 1 cancel_event) ms"
}

verify_many()
{
	local repeat tickets=10000000 plain

	[ "$QUICK" = 0 ] || tickets=100000
	pgb_say "verify() of $WATCHED_EVENTS events with $tickets tickets"
	prepare_way book_ticket "$WATCHED_EVENTS" $((tickets * 2 / WATCHED_EVENTS))
	load_tickets "$tickets"
	for repeat in $(seq "$REPEATS"); do
		plain=$(milliseconds 'SELECT event_id, count(*) FROM booking.ticket GROUP BY event_id')
		record upkeep group_by 1 "$repeat" "$plain" "$tickets"
		record upkeep verify 1 "$repeat" "$(milliseconds 'SELECT * FROM booking.verify()')" "$tickets"
	done
	[ -z "$(query 'SELECT * FROM booking.verify()')" ] || broken "verify() found a problem"
	target speed "\`verify()\`, $(with_commas "$tickets") tickets / \`count(*) ... GROUP BY event_id\`" 1 \
		"$(ratio upkeep 1 verify group_by)" '<=' 3
}

remember_many()
{
	local events=100000 few many

	[ "$QUICK" = 0 ] || events=1000
	pgb_say "the memory of a session that has booked $events events"
	prepare_way book_ticket "$events" 10
	few=$(session_bytes 10)
	many=$(session_bytes "$events")
	target fact "memory of a session: $(with_commas "$events") events - 10 events, MB" 1 \
		"$(awk -v more=$((many - few)) 'BEGIN { printf "%.1f", more / 1024 / 1024 }')" '<=' 16
}

scenario_upkeep()
{
	expire_many
	cancel_many
	verify_many
	remember_many
}
