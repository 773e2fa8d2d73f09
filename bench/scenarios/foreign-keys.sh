# shellcheck shell=bash disable=SC2016
# foreign-keys - bookings of a ticket table with the two foreign keys that an ORM adds,
# compared with a blind INSERT into a table with the same
#
# The keys are to the event and to a table of 1,000,000 users, which all are there.

# foreign_keys_run WAY REPEAT
foreign_keys_run()
{
	local way=$1 repeat=$2 schema=booking

	[ "$way" = book_ticket ] || schema=shop
	prepare_way "$way" "$SHOP_EVENTS" "$PLENTY"
	query 'CREATE TABLE users (user_id bigint PRIMARY KEY)'
	query 'INSERT INTO users SELECT generate_series(1, 1000000)'
	query 'VACUUM (ANALYZE) users'
	query "ALTER TABLE $schema.ticket ADD FOREIGN KEY (event_id) REFERENCES $schema.event"
	query "ALTER TABLE $schema.ticket ADD FOREIGN KEY (user_id) REFERENCES users"
	query CHECKPOINT
	run_way "$way" 32 -T "$SHORT_SECONDS" -D events=1
	check_way "$way" "$PLENTY" "$(reported_count)"
	record foreign-keys "$way" 32 "$repeat" "$(reported_rate)" "$(reported_count)"
	note "$(printf 'repeat %s: %6s/s  %s with two foreign keys' "$repeat" "$(reported_rate)" "$way")"
}

scenario_foreign-keys()
{
	local repeat way

	pgb_say "book_ticket and a blind INSERT with two foreign keys, one hot event, 32 clients"
	for repeat in $(seq "$REPEATS"); do
		for way in $(in_turn "$repeat" blind_insert book_ticket); do
			foreign_keys_run "$way" "$repeat"
		done
	done
	target speed 'two foreign keys: `book_ticket` / blind `INSERT`' 32 \
		"$(ratio foreign-keys 32 book_ticket blind_insert)" '>=' 0.95
}
