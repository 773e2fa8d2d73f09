# shellcheck shell=bash disable=SC2016
# watching - SELECT * FROM booking.sales, with 10,000 events and 1,000,000 tickets
#
# A dashboard that asks every second may take a quarter of that second, including
# the time to send the rows.  5 % of the tickets are cancelled, 10 % redeemed.  The
# tickets of an event are scattered over the table, as if all events were sold at
# the same time.

readonly WATCHED_EVENTS=10000

# load_tickets TICKETS: load them without the triggers and the indexes, which is
# fastest, and correct the inventory afterwards.
load_tickets()
{
	sql <<-SQL
		BEGIN;
		ALTER TABLE booking.ticket DISABLE TRIGGER USER;
		CREATE TEMPORARY TABLE dropped ON COMMIT DROP AS
		SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
		FROM pg_index WHERE indrelid = 'booking.ticket'::regclass AND NOT indisprimary;
		SELECT 'DROP INDEX ' || name FROM dropped \\gexec
		INSERT INTO booking.ticket (event_id, user_id, redeemed_at, cancelled_at)
		SELECT n % $WATCHED_EVENTS + 1, n * 7919 % 1000000 + 1,
			CASE WHEN (n / $WATCHED_EVENTS + n) % 10 = 1 THEN clock_timestamp() END,
			CASE WHEN (n / $WATCHED_EVENTS + n) % 20 = 0 THEN clock_timestamp() END
		FROM generate_series(0, $1::bigint - 1) AS n;
		SELECT definition FROM dropped \\gexec
		ALTER TABLE booking.ticket ENABLE TRIGGER USER;
		SET LOCAL booking.importing = on;
		UPDATE booking.inventory AS i SET available = available - live
		FROM (SELECT event_id, count(*) AS live FROM booking.ticket WHERE cancelled_at IS NULL GROUP BY event_id) AS t
		WHERE t.event_id = i.event_id;
		COMMIT;
		VACUUM (ANALYZE) booking.inventory, booking.ticket;
	SQL
	query CHECKPOINT
}

# The totals of the view.
sales_seen()
{
	query 'SELECT count(*), sum(available), sum(held), sum(booked), sum(redeemed), sum(cancelled), sum(waiting)
		FROM booking.sales'
}

scenario_watching()
{
	local tickets=1000000 places=200 live repeat took expected

	[ "$QUICK" = 0 ] || tickets=100000
	live=$((tickets - tickets / 20))
	pgb_say "watching $WATCHED_EVENTS events with $tickets tickets"
	prepare_way book_ticket "$WATCHED_EVENTS" "$places"
	load_tickets "$tickets"
	expected="$WATCHED_EVENTS|$((WATCHED_EVENTS * places - live))|0|$live|$((tickets / 10))|$((tickets / 20))|0"
	[ "$(sales_seen)" = "$expected" ] || broken "booking.sales: $(sales_seen), expected $expected"
	for repeat in $(seq "$REPEATS"); do
		# Not prepared, like a dashboard's query.
		pg_bench -c 1 -M simple -T "$SHORT_SECONDS" -f "$BENCH/scripts/poll_sales.sql"
		took=$(awk -v count="$(reported_count)" -v all="$(reported_milliseconds)" \
			'BEGIN { printf "%.1f\n", all / count }')
		record watching sales 1 "$repeat" "$took" "$(reported_count)"
		note "repeat $repeat: $took ms a query"
	done
	check_way book_ticket "$places" "$live"
	target speed "view \`sales\`, $(with_commas "$tickets") tickets: ms" 1 \
		"$(measured watching 1 sales)" '<=' 250
}
