# shellcheck shell=bash disable=SC2016
# sold-out - an event is sold out, and 32 clients continue to ask
#
# 32 clients have sold the event before.  Its places had been split into many
# stripes, and what that left behind is there.  The time of a refusal is compared
# with that of a prepared SELECT by primary key.  A refusal must write no WAL, take
# no transaction id, and lock no row.

# If the sale had fewer stripes, this would not be the case to measure.
readonly SOLD_OUT_STRIPES=8

refusals()
{
	run_way try_book_ticket 32 -D events=1 "$@"
}

primary_key_selects()
{
	pg_bench -c 32 -D events=1 -f "$BENCH/scripts/primary_key_select.sql" "$@"
}

sold_out_speed()
{
	local repeat side

	for repeat in $(seq "$REPEATS"); do
		for side in $(in_turn "$repeat" primary_key_selects refusals); do
			"$side" -T "$SHORT_SECONDS"
			record sold-out "$side" 32 "$repeat" "$(reported_rate)" "$(reported_count)"
			note "repeat $repeat: $(reported_rate)/s $side"
		done
	done
	target speed 'sold out: `try_book_ticket` / `SELECT` by key' 32 \
		"$(ratio sold-out 32 refusals primary_key_selects)" '>=' 0.95
}

# While WAL is counted, only the load may write.
stop_autovacuum()
{
	query 'ALTER SYSTEM SET autovacuum = off'
	query 'SELECT pg_reload_conf()' >/dev/null
	while [ "$(query "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%'")" -gt 0 ]; do
		sleep 0.1
	done
}

start_autovacuum()
{
	query 'ALTER SYSTEM RESET autovacuum'
	query 'SELECT pg_reload_conf()' >/dev/null
}

# wal_written FROM TO: print the bytes of WAL between two positions.  Two kinds of
# records are left out, because the server writes them by the clock: the list of
# running transactions, and a checkpoint's own records.
wal_written()
{
	if [ "$1" = "$2" ]; then
		echo 0
		return
	fi
	# Only WAL that is on disk can be read.
	query CHECKPOINT
	query "SELECT coalesce(sum(record_length), 0) FROM pg_get_wal_records_info('$1', '$2')
		WHERE record_type NOT IN ('RUNNING_XACTS', 'CHECKPOINT_ONLINE', 'CHECKPOINT_REDO')"
}

# Print the next transaction id without taking it.
next_transaction_id()
{
	query 'SELECT pg_snapshot_xmax(pg_current_snapshot())'
}

sold_out_writes()
{
	local calls from to first last

	query 'CREATE EXTENSION pg_walinspect'
	stop_autovacuum
	query CHECKPOINT
	first=$(next_transaction_id)
	from=$(query 'SELECT pg_current_wal_insert_lsn()')
	refusals -t $((SECONDS_PER_RUN * 1000))
	calls=$(with_commas "$(reported_count)")
	to=$(query 'SELECT pg_current_wal_insert_lsn()')
	last=$(next_transaction_id)
	start_autovacuum
	target fact "sold out: bytes of WAL in $calls refusals" 32 "$(wal_written "$from" "$to")" '<=' 0 \
		"from $from to $to, without the server's own"
	target fact "sold out: transaction ids in $calls refusals" 32 $((last - first)) '<=' 0
}

# Print three answers of one transaction: the refusal, the transaction id, and
# whether another session can lock the event's inventory while it is open.
refusal_in_detail()
{
	sql <<-SQL
		BEGIN;
		SELECT status FROM booking.try_book_ticket(1::bigint, 1::bigint);
		SELECT coalesce(pg_current_xact_id_if_assigned()::text, 'no transaction id');
		\\! psql -X -q -A -t -d $DATABASE -c "SELECT 'no row lock' FROM booking.inventory WHERE event_id = 1 FOR UPDATE NOWAIT" 2>&1
		COMMIT;
	SQL
}

# Print the statement that psql prepares, with an event and a user as parameters.
statement_of()
{
	case $1 in
		book_ticket) echo 'SELECT booking.book_ticket($1, $2)' ;;
		primary_key_select) echo 'SELECT available, $2 FROM shop.event WHERE event_id = $1' ;;
	esac
}

# ask_by_psql WHAT: run 32 sessions of psql, because an error would end pgbench's
# clients.  Prints answers per second; the time includes the start of the sessions.
ask_by_psql()
{
	local calls=$((SHORT_SECONDS * 300)) started pid
	local sessions=()

	{
		echo "PREPARE ask(bigint, bigint) AS $(statement_of "$1");"
		awk -v calls="$calls" 'BEGIN { while (calls--) print "EXECUTE ask(1, 1);" }'
	} >"$PGB_DIR/ask.sql"
	started=$(date +%s%N)
	for _ in {1..32}; do
		pgb_as psql -X -q -d "$DATABASE" -o /dev/null -f "$PGB_DIR/ask.sql" 2>/dev/null &
		sessions+=($!)
	done
	for pid in "${sessions[@]}"; do
		wait "$pid" || pgb_die "psql failed"
	done
	awk -v calls=$((calls * 32)) -v from="$started" -v to="$(date +%s%N)" \
		'BEGIN { printf "%.0f\n", calls / ((to - from) / 1e9) }'
}

# book_ticket raises an error, which the server also logs.  Measure what that costs.
sold_out_raised()
{
	local repeat what answers error

	error=$(pgb_as psql -X -q -v VERBOSITY=sqlstate -d "$DATABASE" \
		-c 'SELECT booking.book_ticket(1::bigint, 1::bigint)' 2>&1 || true)
	[ "$error" = 'ERROR:  23T01' ] || broken "book_ticket on a sold-out event: $error"
	for repeat in $(seq "$REPEATS"); do
		for what in $(in_turn "$repeat" primary_key_select book_ticket); do
			answers=$(ask_by_psql "$what")
			record sold-out-psql "$what" 32 "$repeat" "$answers" $((SHORT_SECONDS * 300 * 32))
			note "repeat $repeat: $answers/s $what, asked by 32 sessions of psql"
		done
	done
	figure 'sold out: `book_ticket` / `SELECT`, by psql' 32 \
		"$(ratio sold-out-psql 32 book_ticket primary_key_select)"
}

scenario_sold-out()
{
	local places=200000 detail

	[ "$QUICK" = 0 ] || places=20000
	pgb_say "sold out: 32 clients have sold $places places and continue to ask"
	sell_out "$places"
	target fact "$(with_commas "$places") tickets sold: most stripes seen" 32 "$MOST_STRIPES" '>=' "$SOLD_OUT_STRIPES"
	sql -v events="$SHOP_EVENTS" -v capacity=0 -f "$BENCH/ways/shop.sql" >/dev/null
	sold_out_speed
	sold_out_writes
	detail=$(refusal_in_detail | paste -s -d ,)
	[ "$detail" = 'sold_out,no transaction id,no row lock' ] || broken "a refusal: $detail"
	sold_out_raised
	check_way try_book_ticket "$places" "$places"
}
