# shellcheck shell=bash disable=SC2016
# batch - an import of 200,000 tickets for one event: one call of book_batch,
# compared with one COPY that checks nothing
#
# The COPY fills a table that has the columns, defaults and indexes of
# booking.ticket, but no trigger.  Both sides get the same users in the same order.
#
# The time is that of one statement and its commit.  The session has run the same
# statement for one user before.  The time of book_batch includes reading the array
# from a table and counting the answers.  The time of COPY includes reading a file
# on the server.  The table and the file are made before.

# make_batch USERS: make the file for COPY, and a file with the same users as an
# array in one line.
make_batch()
{
	awk -v users="$1" 'BEGIN {
		srand(1)
		while (users--)
			printf "1\t%d\n", 1 + int(rand() * 1000000)
	}' >"$PGB_DIR/batch.rows"
	cut -f 2 "$PGB_DIR/batch.rows" | paste -s -d , | sed 's/.*/{&}/' >"$PGB_DIR/batch.array"
}

# time_statement FIRST STATEMENT: run the first, then the second in the same
# session, and write to batch.out when the second started and when it ended.
time_statement()
{
	PGOPTIONS="-c synchronous_commit=$SYNC_COMMIT" sql <<-SQL >"$PGB_DIR/batch.out"
		\\o /dev/null
		$1;
		SELECT clock_timestamp();
		\\o
		SELECT extract(epoch FROM clock_timestamp());
		\\o /dev/null
		$2;
		\\o
		SELECT extract(epoch FROM clock_timestamp());
	SQL
}

# batch_rate USERS: print the number of users per second.
batch_rate()
{
	awk -v users="$1" '{ at[NR] = $1 } END { printf "%.0f\n", users / (at[2] - at[1]) }' "$PGB_DIR/batch.out"
}

book_batch()
{
	prepare_way book_ticket "$SHOP_EVENTS" "$PLENTY"
	query 'CREATE TABLE batch (user_ids bigint[])'
	query "COPY batch FROM '$PGB_DIR/batch.array'"
	query CHECKPOINT
	time_statement "SELECT booking.book_batch(1, '{1}'::bigint[])" \
		"SELECT count(*) FROM booking.book_batch(1, (SELECT user_ids FROM batch)) WHERE status = 'booked'"
	check_way book_ticket "$PLENTY" $(($1 + 1))
}

copy()
{
	prepare_way blind_insert "$SHOP_EVENTS" "$PLENTY"
	time_statement "COPY shop.ticket (event_id, user_id) FROM PROGRAM 'head -n 1 $PGB_DIR/batch.rows'" \
		"COPY shop.ticket (event_id, user_id) FROM '$PGB_DIR/batch.rows'"
	check_way blind_insert "$PLENTY" $(($1 + 1))
}

scenario_batch()
{
	local users=200000 repeat side rate

	[ "$QUICK" = 0 ] || users=20000
	pgb_say "a batch: tickets for $users users of one event, in one statement"
	make_batch "$users"
	# Each run takes only a second or two, so there are more of them.
	for repeat in $(seq $((REPEATS * 2))); do
		for side in $(in_turn "$repeat" copy book_batch); do
			"$side" "$users"
			rate=$(batch_rate "$users")
			record batch "$side" 1 "$repeat" "$rate" "$users"
			note "repeat $repeat: $rate places/s $side"
		done
	done
	target speed "\`book_batch\`, $(with_commas "$users") users / \`COPY\`" 1 \
		"$(ratio batch 1 book_batch copy)" '>=' 0.8
	figure '`book_batch`: places per second' 1 "$(measured batch 1 book_batch)"
}
