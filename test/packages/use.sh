#!/bin/bash
#
# use.sh - installs a Debian package of pg_booking as a user does, sells a ticket, and
# takes it away again.
#
# usage: use.sh MAJOR FILE
#
# test.sh runs it as root in a copy of a bare folder, which has no PostgreSQL.  FILE is
# the package, for PostgreSQL MAJOR.  The last line is
#
#	N passed, N failed

set -euo pipefail

readonly MAJOR=$1 FILE=$2
readonly PACKAGE="postgresql-$MAJOR-pg-booking"

PASSED=0
FAILED=0

# Run a command that counts as one test.
# check WHAT COMMAND ...
check()
{
	local what=$1 log=/tmp/use.log

	shift
	if "$@" >"$log" 2>&1; then
		echo "    $what"
		PASSED=$((PASSED + 1))
	else
		echo "    FAILED: $what"
		tail -n 20 "$log" | sed 's/^/        /'
		FAILED=$((FAILED + 1))
	fi
}

apt_get()
{
	DEBIAN_FRONTEND=noninteractive apt-get -y -q -o Dpkg::Use-Pty=0 "$@"
}

# The lists of packages are those that the folder was made with: its packages are in
# apt's cache, too.
install_package()
{
	apt_get install --no-install-recommends "$FILE"
}

# ---- the documents ----------------------------------------------------------

# Print the names of the pages.
list_pages()
{
	find "/usr/share/doc/$PACKAGE" -name '*.md'
}

has_documents()
{
	list_pages | grep -q '/README\.md$' && list_pages | grep -q '/doc/reference\.md$'
}

has_no_broken_link()
{
	list_pages | xargs "${BASH_SOURCE[0]%/*}/../lint/links.pl"
}

# ---- the cluster ------------------------------------------------------------

# The cluster that Debian's package makes must not listen on a port of this machine.
forbid_ports()
{
	mkdir -p /etc/postgresql-common
	cat >/etc/postgresql-common/createcluster.conf <<-END
		initdb_options = '--no-sync'
		listen_addresses = ''
		fsync = off
	END
}

is_online()
{
	pg_lsclusters --no-header | grep -q "^$MAJOR  *main  *[0-9]*  *online "
}

# In a container without systemd the cluster may be down.
start_cluster()
{
	is_online || pg_ctlcluster "$MAJOR" main start
	is_online
}

# psql as the superuser of the cluster.
query()
{
	runuser -u postgres -- psql -X -q -A -t -v ON_ERROR_STOP=1 -v VERBOSITY=verbose "$@"
}

# The same as clerk, who owns the database shop and is no superuser.
clerk()
{
	query -d shop -c 'SET SESSION AUTHORIZATION clerk' "$@"
}

# True if a query of clerk's returns a value.
# returns VALUE QUERY
returns()
{
	local result

	result=$(clerk -c "$2") || return
	echo "$result"
	[ "$result" = "$1" ]
}

# True if a statement of clerk's is refused with a text.
# refused TEXT STATEMENT
refused()
{
	local result

	! result=$(clerk -c "$2" 2>&1) || return
	echo "$result"
	grep -qF "$1" <<<"$result"
}

create_shop()
{
	query -c 'CREATE ROLE clerk' -c 'CREATE DATABASE shop OWNER clerk'
	clerk -c 'CREATE EXTENSION pg_booking'
	clerk -c 'CREATE TABLE show (id bigint PRIMARY KEY, capacity integer NOT NULL)' \
		-c 'CREATE TABLE seat (id bigint GENERATED ALWAYS AS IDENTITY, show_id bigint)' \
		-c 'INSERT INTO show VALUES (1, 1)'
}

# The library has bitcode beside it, which PostgreSQL's JIT compiler can inline.
jit_returns()
{
	local settings="SET jit_above_cost = 0; SET jit_inline_above_cost = 0"

	returns "$1" "$settings; $2"
}

# ---- taking it away ---------------------------------------------------------

# Print the files that have its name, except the logs and caches of dpkg and apt.
list_files()
{
	find / -xdev \( -path /proc -o -path /tmp -o -path /var/cache/apt -o -path /var/log \) -prune \
		-o \( -name '*pg_booking*' -o -name '*pg-booking*' \) -print
}

has_files()
{
	list_files | grep -q .
}

has_no_files()
{
	! list_files | grep .
}

main()
{
	forbid_ports
	check "apt installs $PACKAGE and what it needs" install_package
	check "its documents are there" has_documents
	check "no link of them is broken" has_no_broken_link
	check "its files have its name" has_files
	check "the cluster main runs" start_cluster
	check "the owner of a database creates the extension" create_shop

	check "a capacity constraint is added" clerk -c "SELECT booking.add_capacity_constraint(
		'seat', '{show_id}', capacity_table => 'show', capacity_column => 'capacity')"
	check "it accepts a row for the last place" clerk -c 'INSERT INTO seat (show_id) VALUES (1)'
	check "it refuses one more row" \
		refused '23514: new row for relation "seat" violates capacity constraint' \
		'INSERT INTO seat (show_id) VALUES (1)'
	check "no place is left" returns 0 "SELECT booking.places_left('seat_show_id_capacity', 1)"
	check "nor with JIT" jit_returns 0 "SELECT booking.places_left('seat_show_id_capacity', id) FROM show"

	check "the tables are created" clerk -c 'SELECT booking.create_tables()'
	check "book_ticket() sells a ticket" returns 1 "INSERT INTO booking.event (capacity) VALUES (1);
		SELECT booking.book_ticket(1, 42)"
	check "book_ticket() refuses one more" refused '23T01: event 1 is sold out' \
		'SELECT booking.book_ticket(1, 43)'
	check "verify() and verify_capacity() find nothing" returns '' \
		'SELECT * FROM booking.verify(); SELECT * FROM booking.verify_capacity()'

	check "the extension is dropped" clerk -c 'DROP EXTENSION pg_booking CASCADE'
	check "apt purges the package" apt_get purge "$PACKAGE"
	check "it leaves no file" has_no_files
	check "dpkg does not know it any more" bash -c "! dpkg-query -W $PACKAGE"
	check "the server still runs, with the rows" returns '1|1' \
		'SELECT (SELECT count(*) FROM seat), (SELECT count(*) FROM booking.ticket)'
	pg_ctlcluster "$MAJOR" main stop -m fast

	echo "$PASSED passed, $FAILED failed"
	[ "$FAILED" -eq 0 ]
}

main
