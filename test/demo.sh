#!/bin/bash
#
# demo.sh - an application that oversells, and one statement that ends it (make demo).
#
# An application has two tables, shop_show and shop_ticket.  It counts the tickets,
# and if a place is left, it inserts one.  One hundred places go on sale.  64 clients
# at a time ask for them, and each sends its next request as soon as it has the answer
# to the last one:
#
#	1. The application as it is sells show 1.
#	2. booking.add_capacity_constraint() is called.  The application as it is sells
#	   show 2.
#	3. To compare: SELECT ... FOR UPDATE of a counter and three more statements, as
#	   with an ORM's select_for_update(), in tables of their own.
#	4. booking.try_book_ticket() sells tickets that pg_booking keeps itself.
#
# The demo does not slow anything down to provoke errors.  All of them run as fast as
# they can, with PostgreSQL's default settings, and the table shows what happened.
#
# It promises to leave nothing behind, even if it is interrupted (except packages that
# it had to install, see setup.sh).  It exits with 0 only if the constraint and
# try_book_ticket() sold each place exactly once, and verify_capacity() and verify()
# find no problem, except that show 1 was oversold before there was a constraint.
#
# Environment: PLACES (100), CLIENTS (64), REQUESTS per client (50), and what
# server.sh reads.

# (SC2119: functions with optional arguments, called without.)
# shellcheck disable=SC2119

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"

PLACES=${PLACES:-100}
CLIENTS=${CLIENTS:-64}
REQUESTS=${REQUESTS:-50}
CROWD=$((CLIENTS * REQUESTS))

RED='' BOLD='' GREEN='' PLAIN=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
	RED=$'\e[1;31m' GREEN=$'\e[32m' BOLD=$'\e[1m' PLAIN=$'\e[0m'
fi

SOLD=0			# the places that the last sale sold
SECONDS_TAKEN=0	# the time that it took

# ---- the four ways ----------------------------------------------------------

# Make the application's tables and two shows.  pgbench ends a client that gets an
# error, so the INSERT is in a function that catches it.
create_shop()
{
	pgb_psql <<-SQL
		CREATE TABLE shop_show (
			id bigint PRIMARY KEY,
			capacity integer NOT NULL);
		CREATE TABLE shop_ticket (
			id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			show_id bigint NOT NULL REFERENCES shop_show,
			user_id bigint NOT NULL,
			booked_at timestamptz NOT NULL DEFAULT now());
		CREATE INDEX ON shop_ticket (show_id);
		CREATE FUNCTION save_ticket(show bigint, buyer bigint) RETURNS void
		LANGUAGE plpgsql AS \$\$
		BEGIN
			INSERT INTO shop_ticket (show_id, user_id) VALUES (show, buyer);
		EXCEPTION WHEN integrity_constraint_violation THEN
			NULL;
		END
		\$\$;
		INSERT INTO shop_show VALUES (1, $PLACES), (2, $PLACES);
	SQL
}

# The application's code.
# write_shop SHOW
write_shop()
{
	cat <<-SQL
		\\set user_id random(1, 1000000000)
		BEGIN;
		SELECT count(*) AS sold FROM shop_ticket WHERE show_id = $1 \\gset
		SELECT capacity FROM shop_show WHERE id = $1 \\gset
		\\if :sold < :capacity
		SELECT save_ticket($1, :user_id);
		\\endif
		COMMIT;
	SQL
}

# Print the statement, and send it.
create_constraint()
{
	local statement="SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}',
		capacity_table => 'shop_show', capacity_column => 'capacity',
		allow_excess => true);"

	printf '\t%s\n' "$statement" >&8
	pgb_psql -c 'CREATE EXTENSION pg_booking' -c "$statement"
}

create_orm()
{
	pgb_psql <<-SQL
		CREATE SCHEMA orm;
		CREATE TABLE orm.event (
			event_id bigint PRIMARY KEY,
			capacity integer NOT NULL,
			sold integer NOT NULL);
		CREATE TABLE orm.ticket (LIKE shop_ticket INCLUDING ALL);
		INSERT INTO orm.event VALUES (1, $PLACES, 0);
	SQL
}

write_orm()
{
	cat <<-SQL
		\\set user_id random(1, 1000000000)
		BEGIN;
		SELECT capacity, sold FROM orm.event WHERE event_id = 1 FOR UPDATE \\gset
		\\if :sold < :capacity
		INSERT INTO orm.ticket (show_id, user_id) VALUES (1, :user_id);
		UPDATE orm.event SET sold = sold + 1 WHERE event_id = 1;
		\\endif
		COMMIT;
	SQL
}

create_booking()
{
	pgb_psql <<-SQL
		SELECT booking.create_tables();
		INSERT INTO booking.event (name, capacity) VALUES ('demo', $PLACES);
	SQL
}

write_booking()
{
	local event_id

	event_id=$(pgb_psql -c 'SELECT event_id FROM booking.event')
	cat <<-SQL
		\\set user_id random(1, 1000000000)
		SELECT status, ticket_id FROM booking.try_book_ticket($event_id, :user_id);
	SQL
}

# ---- one sale ---------------------------------------------------------------

# Run a pgbench script, and set SECONDS_TAKEN.
# sale NAME
sale()
{
	local log="$PGB_DIR/$1.log" answered tps

	pgb_run pgbench -n -M prepared -c "$CLIENTS" -j 2 -t "$REQUESTS" \
		-f "$PGB_DIR/$1.pgbench" >"$log" 2>&1 ||
		pgb_step_failed "pgbench failed" "$log"
	answered=$(sed -nE 's|^number of transactions actually processed: ([0-9]+)/.*|\1|p' "$log")
	tps=$(sed -nE 's|^tps = ([0-9.]+) .*without initial.*|\1|p' "$log")
	[ "$answered" = "$CROWD" ] ||
		pgb_step_failed "$answered of $CROWD requests were answered" "$log"
	SECONDS_TAKEN=$(awk -v n="$CROWD" -v tps="$tps" 'BEGIN { print n / tps }')
}

# (The table has at most 80 columns.)
table_head()
{
	printf '\n %s%-25s %5s %8s %7s %7s %10s %10s%s\n' "$BOLD" \
		"" sold oversold refused time bookings/s requests/s "$PLAIN"
	printf ' %s\n' "$(printf '%78s' '' | tr ' ' -)"
}

# table_row TITLE
table_row()
{
	local oversold=$((SOLD > PLACES ? SOLD - PLACES : 0))
	local color='' plain=''

	if [ "$oversold" -gt 0 ]; then
		color=$RED plain=$PLAIN
	fi
	awk -v title="$1" -v sold="$SOLD" -v over="$oversold" -v crowd="$CROWD" \
		-v t="$SECONDS_TAKEN" -v color="$color" -v plain="$plain" 'BEGIN {
			printf " %-25s %5d %s%8d%s %7d %5.2f s %10.0f %10.0f\n",
				title, sold, color, over, plain, crowd - sold, t, sold / t, crowd / t
		}'
}

# Make the tables for a way, run the sale, and add its line to the table.
# play WAY TITLE QUERY-FOR-SOLD CODE [ARGUMENT]
play()
{
	pgb_say "$2"
	"create_$1" >/dev/null
	"write_$4" "${@:5}" >"$PGB_DIR/$1.pgbench"
	sale "$1"
	SOLD=$(pgb_psql -c "$3")
	table_row "$2" >>"$PGB_DIR/table"
}

# ---- the verdict ------------------------------------------------------------

# Check that a way sold each place once.
# check_exact TITLE SOLD
check_exact()
{
	if [ "$2" -eq "$PLACES" ]; then
		echo " ${GREEN}$1 sold each of the $PLACES places exactly once.${PLAIN}"
	else
		echo " ${RED}$1 sold $2 tickets for $PLACES places.${PLAIN}"
		return 1
	fi
}

# Print what a check finds.  An error counts as a problem.
# check_verify TITLE FROM-CLAUSE
check_verify()
{
	local problems

	problems=$(pgb_psql -F ' | ' -c "SELECT * FROM $2" 2>&1) ||
		problems="the check failed: $problems"
	if [ -z "$problems" ]; then
		echo " ${GREEN}$1: no problem found.${PLAIN}"
	else
		echo " ${RED}$1 has found problems:${PLAIN}"
		echo "$problems"
		return 1
	fi
}

# verdict SOLD-BEFORE SOLD-WITH-CONSTRAINT SOLD-BY-FUNCTION
verdict()
{
	local failed=0

	echo
	if [ "$1" -gt "$PLACES" ]; then
		echo " Count, then insert sold $(($1 - PLACES)) places that do not exist."
	else
		echo " Count, then insert sold no place twice this time. The next time it may."
	fi
	check_exact "The same code with the constraint" "$2" || failed=1
	check_exact "try_book_ticket()" "$3" || failed=1
	# (Show 1 was oversold before; allow_excess accepts that, and the check tells it.)
	check_verify "booking.verify_capacity(), show 1 aside" \
		"booking.verify_capacity() WHERE key IS DISTINCT FROM '1'" || failed=1
	check_verify "booking.verify()" 'booking.verify()' || failed=1
	return "$failed"
}

main()
{
	local before with_constraint status=0

	echo "pg_booking: $PLACES places, $CLIENTS clients at once, $CROWD requests, in four ways."
	pgb_prepare
	pgb_say "starting a temporary server"
	pgb_start
	table_head >"$PGB_DIR/table"
	play shop "count, then insert" \
		'SELECT count(*) FROM shop_ticket WHERE show_id = 1' shop 1
	before=$SOLD
	play constraint "with the constraint" \
		'SELECT count(*) FROM shop_ticket WHERE show_id = 2' shop 2
	with_constraint=$SOLD
	play orm "SELECT ... FOR UPDATE" 'SELECT count(*) FROM orm.ticket' orm
	play booking "booking.try_book_ticket()" \
		'SELECT count(*) FROM booking.ticket WHERE cancelled_at IS NULL' booking
	cat "$PGB_DIR/table"
	verdict "$before" "$with_constraint" "$SOLD" || status=1

	cat <<-TEXT

		 Next: doc/capacity-constraints.md is about tables that you have already.
		 README.md has a first session with tables of pg_booking.
		 "make bench" compares more ways for a longer time. "make test" runs the tests.
	TEXT
	return "$status"
}

main
