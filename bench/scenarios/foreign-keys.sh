# shellcheck shell=bash disable=SC2016
# foreign-keys - bookings of a ticket table with the two foreign keys that an ORM adds,
# compared with a blind INSERT into a table with the same
#
# The keys are to the event and to a table of 1,000,000 users, which all are there.

readonly FOREIGN_KEYS='
	CREATE TABLE users (user_id bigint PRIMARY KEY);
	INSERT INTO users SELECT generate_series(1, 1000000);
	VACUUM (ANALYZE) users;
	ALTER TABLE :schema.ticket ADD FOREIGN KEY (event_id) REFERENCES :schema.event,
		ADD FOREIGN KEY (user_id) REFERENCES users;'

scenario_foreign-keys()
{
	pgb_say "book_ticket and a blind INSERT with two foreign keys, one hot event, 32 clients"
	compare_changed foreign-keys "$FOREIGN_KEYS"
	target speed 'two foreign keys: `book_ticket` / blind `INSERT`' 32 \
		"$(ratio foreign-keys 32 book_ticket blind_insert)" '>=' 0.95
}
