# shellcheck shell=bash disable=SC2016
# codes - bookings of tickets that have a code that can't be guessed, compared with a
# blind INSERT into a table with the same

scenario_codes()
{
	pgb_say "book_ticket and a blind INSERT with a unique code, one hot event, 32 clients"
	compare_changed codes \
		'ALTER TABLE :schema.ticket ADD COLUMN code uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE;'
	target speed 'a unique code: `book_ticket` / blind `INSERT`' 32 \
		"$(ratio codes 32 book_ticket blind_insert)" '>=' 0.95
}
