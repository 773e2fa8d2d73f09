# shellcheck shell=bash
# batch - an import of 200,000 tickets for one event: one call of book_batch, beside one COPY that checks nothing
#
# The COPY fills a table with the columns, defaults and indexes of booking.ticket, and
# no trigger.  Both get the same users in the same order, and no other column but the
# event.  What is timed is one statement and its commit, in a session that has done
# the same for one user before.  For book_batch that includes reading the array from a
# table and counting the answers; for COPY, reading the file, which the server does
# itself.  Both are made beforehand.

# make_batch USERS: the file that is copied, and one line with the same users as an array.
make_batch()
{
	awk -v users="$1" 'BEGIN {
		srand(1)
		while (users--)
			printf "1\t%d\n", 1 + int(rand() * 1000000)
	}' >"$PGB_DIR/batch.rows"
	cut -f 2 "$PGB_DIR/batch.rows" | paste -s -d , | sed 's/.*/{&}/' >"$PGB_DIR/batch.array"
}

# time_statement FIRST STATEMENT: when the second started and ended goes to batch.out,
# once the first was done in the same session.
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

# batch_rate USERS: how many of them a second.
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
	# A run takes a second or two, so there can be more of them.
	for repeat in $(seq $((REPEATS * 3))); do
		for side in $(in_turn "$repeat" copy book_batch); do
			"$side" "$users"
			rate=$(batch_rate "$users")
			record batch "$side" 1 "$repeat" "$rate" "$users"
			note "repeat $repeat: $rate places/s $side"
		done
	done
	note "medians: $(middle batch 1 book_batch) places/s book_batch, $(middle batch 1 copy) rows/s COPY"
	target_ratio "a batch of $users users: book_batch / COPY without a trigger" batch 1 book_batch copy 0.8
}
