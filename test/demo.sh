#!/bin/bash
#
# demo.sh - the same sale in three ways (make demo).
#
# One hundred tickets go on sale.  64 clients at a time ask for them, and each sends
# its next request as soon as it has the answer to the last one:
#
#   1. check, then insert: SELECT count(*), and if a place is left, INSERT, in one
#      transaction, as web applications often do it;
#   2. SELECT ... FOR UPDATE and three more statements, as with an ORM's
#      select_for_update();
#   3. booking.try_book_ticket().  It returns a refusal as a row.  book_ticket() raises
#      an error, and pgbench ends a client that gets an error.
#
# The demo does not slow anything down to provoke errors.  All three ways run as fast
# as they can, with PostgreSQL's default settings, and the table shows what happened.
#
# It promises to leave nothing behind, even if it is interrupted (except packages that
# it had to install, see setup.sh).  It exits with 0 only if pg_booking sold each
# place exactly once and booking.verify() finds no problem.
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

# ---- the three ways ---------------------------------------------------------

# Make the tables that an application without pg_booking would have.
create_naive()
{
	pgb_psql <<-SQL
		CREATE SCHEMA naive;
		CREATE TABLE naive.ticket (
			ticket_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			event_id bigint NOT NULL,
			user_id bigint NOT NULL,
			booked_at timestamptz NOT NULL DEFAULT now());
		CREATE INDEX ON naive.ticket (event_id, user_id);
	SQL
}

write_naive()
{
	cat <<-SQL
		\\set user_id random(1, 1000000000)
		BEGIN;
		SELECT count(*) AS sold FROM naive.ticket WHERE event_id = 1 \\gset
		\\if :sold < $PLACES
		INSERT INTO naive.ticket (event_id, user_id) VALUES (1, :user_id);
		\\endif
		COMMIT;
	SQL
}

create_orm()
{
	pgb_psql <<-SQL
		CREATE SCHEMA orm;
		CREATE TABLE orm.event (
			event_id bigint PRIMARY KEY,
			capacity integer NOT NULL,
			sold integer NOT NULL);
		CREATE TABLE orm.ticket (LIKE naive.ticket INCLUDING ALL);
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
		INSERT INTO orm.ticket (event_id, user_id) VALUES (1, :user_id);
		UPDATE orm.event SET sold = sold + 1 WHERE event_id = 1;
		\\endif
		COMMIT;
	SQL
}

create_booking()
{
	pgb_psql <<-SQL
		CREATE EXTENSION pg_booking;
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

# Run the sale in one way, and print its line of the table.
# play NAME TITLE QUERY-FOR-SOLD
play()
{
	pgb_say "$2"
	"create_$1" >/dev/null
	"write_$1" >"$PGB_DIR/$1.pgbench"
	sale "$1"
	SOLD=$(pgb_psql -c "$3")
	table_row "$2" >>"$PGB_DIR/table"
}

# ---- the verdict ------------------------------------------------------------

# Print what verify() finds.  An error counts as a problem.
ask_verify()
{
	pgb_psql -A -F ' | ' -P tuples_only=off -P footer=off \
		-c 'SELECT * FROM booking.verify()' 2>&1 || echo 'verify() failed'
}

verdict()
{
	local naive_sold=$1 booking_sold=$2 problems failed=0

	echo
	if [ "$naive_sold" -gt "$PLACES" ]; then
		echo " Check, then insert sold $((naive_sold - PLACES)) places that do not exist."
	else
		echo " Check, then insert sold no place twice this time. The next time it may."
	fi
	if [ "$booking_sold" -eq "$PLACES" ]; then
		echo " ${GREEN}pg_booking sold each of the $PLACES places exactly once.${PLAIN}"
	else
		echo " ${RED}pg_booking sold $booking_sold tickets for $PLACES places.${PLAIN}"
		failed=1
	fi

	problems=$(ask_verify)
	if [ "$(wc -l <<<"$problems")" -le 1 ] && [ "$problems" != 'verify() failed' ]; then
		echo " ${GREEN}booking.verify(): no problem found.${PLAIN}"
	else
		echo " ${RED}booking.verify() has found problems:${PLAIN}"
		echo "$problems"
		failed=1
	fi
	return "$failed"
}

main()
{
	local naive_sold status=0

	echo "pg_booking: $PLACES tickets, $CLIENTS clients at once, $CROWD requests, in three ways."
	pgb_prepare
	pgb_say "starting a temporary server"
	pgb_start
	table_head >"$PGB_DIR/table"
	play naive "check, then insert" 'SELECT count(*) FROM naive.ticket'
	naive_sold=$SOLD
	play orm "SELECT ... FOR UPDATE" 'SELECT count(*) FROM orm.ticket'
	play booking "booking.try_book_ticket()" \
		'SELECT count(*) FROM booking.ticket WHERE cancelled_at IS NULL'
	cat "$PGB_DIR/table"
	verdict "$naive_sold" "$SOLD" || status=1

	cat <<-TEXT

		 Next: README.md has a first session in psql, and doc/reference.md all functions.
		 "make bench" compares more ways for a longer time. "make test" runs the tests.
	TEXT
	return "$status"
}

main
