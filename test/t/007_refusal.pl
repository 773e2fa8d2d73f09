# A refusal for a sold-out event costs as much as reading a row by its key.  It
# assigns no transaction id, locks no row and writes no WAL.  Calls do not leak
# memory, whether they are refused or not.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use Test::More;

# No other process writes WAL here.
my $node = booking_node('refusal', conf => <<~'CONF');
	autovacuum = off
	bgwriter_lru_maxpages = 0
	checkpoint_timeout = 1h
	wal_level = minimal
	max_wal_senders = 0
	jit = off
	CONF

create_booking($node);
create_helpers($node);
$node->safe_psql('postgres', <<~'SQL');
	INSERT INTO booking.event (event_id, capacity) VALUES (1, 1), (2, 2000), (3, 0);
	SELECT booking.book_ticket(1, 1);
	CREATE FUNCTION refusals(event bigint, times integer) RETURNS bigint LANGUAGE plpgsql AS $$
	DECLARE
	    refused bigint := 0;
	BEGIN
	    FOR i IN 1 .. times LOOP
	        IF (SELECT status FROM booking.try_book_ticket(event, i)) = 'sold_out' THEN
	            refused := refused + 1;
	        END IF;
	    END LOOP;
	    RETURN refused;
	END $$;
	-- The same with errors, each in a transaction of its own.
	CREATE PROCEDURE errors(event bigint, times integer) LANGUAGE plpgsql AS $$
	BEGIN
	    FOR i IN 1 .. times LOOP
	        BEGIN
	            PERFORM booking.book_ticket(event, i);
	            RAISE 'booked';
	        EXCEPTION WHEN SQLSTATE '23T01' THEN
	            NULL;
	        END;
	        COMMIT;
	    END LOOP;
	END $$;
	SQL

# Event 2 is sold out by many clients at once, in many stripes.
{
	local $ENV{PGOPTIONS} = '-c booking.debug_split_always=on';

	run_pgbench($node, 'a sale', [ '-c32', '-t70' ],
		book => "SELECT status FROM booking.try_book_ticket(2, :client_id);\n");
}
is($node->safe_psql('postgres', 'SELECT status FROM booking.try_book_ticket(2, 1)'),
	'sold_out', 'a sale: sold out');

# Helps to investigate a failure: shows the WAL records from an LSN on.
sub show_wal
{
	my ($from) = @_;

	diag $node->safe_psql('postgres', <<~SQL);
		CHECKPOINT;
		SET client_min_messages = warning;
		CREATE EXTENSION IF NOT EXISTS pg_walinspect;
		SELECT resource_manager, record_type, xid, description, block_ref
		FROM pg_get_wal_records_info('$from', pg_current_wal_lsn()) LIMIT 10;
		SQL
	return;
}

# Checks what a statement answers, and that it writes no WAL.  run executes SQL.
# Any statement that reads a catalog may prune old row versions of it, and that is
# written to the WAL; but a refusal that writes some does so every time.
sub check_no_wal
{
	my ($what, $expected, $run, $statement) = @_;
	my ($before, $bytes, @answer);

	for my $attempt (1 .. 5)
	{
		@answer = split /\n/, $run->(<<~SQL);
			SELECT pg_current_wal_insert_lsn() AS before \\gset
			$statement;
			SELECT :'before';
			SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'before');
			SQL
		$bytes = pop @answer;
		$before = pop @answer;
		last if $bytes eq '0';
	}
	is("@answer", $expected, "$what: the answer");
	is($bytes, '0', "$what: no WAL is written") or show_wal($before);
	return;
}

foreach my $event (1, 2, 3)
{
	my $session = $node->background_psql('postgres');

	# the first refusal may prune row versions that the sale left on the page
	is($session->query_safe("SELECT refusals($event, 1)"), '1', "event $event: a first refusal");
	check_no_wal("event $event: 1000 refusals", '1000', sub { $session->query_safe($_[0]) },
		"SELECT refusals($event, 1000)");
	check_no_wal("event $event: 100 refusals that raise errors", '', sub { $session->query_safe($_[0]) },
		"CALL errors($event, 100)");
	is( $session->query_safe(<<~SQL), "sold_out\nt|t", "event $event: a refusal assigns no transaction id and locks no row");
		SELECT max(xmax::text) AS before FROM booking.inventory WHERE event_id = $event \\gset
		BEGIN;
		SELECT status FROM booking.try_book_ticket($event, 1);
		SELECT pg_current_xact_id_if_assigned() IS NULL,
		       (SELECT max(xmax::text) = :'before' FROM booking.inventory WHERE event_id = $event);
		COMMIT;
		SQL
	$session->quit;

	# each session is new, and remembers no row version
	check_no_wal("event $event: a new session's first refusal", '1', sub { $node->safe_psql('postgres', $_[0]) },
		"SELECT refusals($event, 1)");
}

# A refusal because fewer places are left than were asked for.
$node->safe_psql('postgres', <<~'SQL');
	INSERT INTO booking.event (event_id, capacity) VALUES (4, 50);
	SET booking.debug_split_always = on;
	SELECT count(booking.book_ticket(4, u)) FROM generate_series(1, 10) u;
	SQL
is( $node->safe_psql('postgres', <<~'SQL'), "23T01\nt", 'more places than are left: the refusal assigns no transaction id');
	CREATE PROCEDURE too_many(INOUT state text) LANGUAGE plpgsql AS $$
	BEGIN
	    PERFORM booking.book_tickets(4, 1, 41);
	EXCEPTION WHEN OTHERS THEN
	    state := SQLSTATE;
	END $$;
	BEGIN;
	CALL too_many('');
	SELECT pg_current_xact_id_if_assigned() IS NULL;
	COMMIT;
	SQL

# ---- memory ----

# Runs a call many times in one transaction, and checks by how many kB the memory
# contexts grow.
sub check_growth
{
	my ($what, $call) = @_;
	my $grown = $node->safe_psql('postgres', <<~SQL);
		BEGIN;
		DO \$\$ BEGIN FOR i IN 1 .. 2000 LOOP PERFORM $call; END LOOP; END \$\$;
		SELECT sum(total_bytes) AS before FROM pg_backend_memory_contexts \\gset
		DO \$\$ BEGIN FOR i IN 1 .. 100000 LOOP PERFORM $call; END LOOP; END \$\$;
		SELECT (sum(total_bytes) - :before) / 1024 FROM pg_backend_memory_contexts;
		ROLLBACK;
		SQL

	note("100,000 calls, $what: memory contexts grow by $grown kB");
	cmp_ok($grown, '<', 1024, "100,000 calls, $what: memory does not grow by a megabyte");
	return;
}

$node->safe_psql('postgres', <<~'SQL');
	INSERT INTO booking.event (event_id, capacity) SELECT 1000 + i, 1000000 FROM generate_series(0, 99) i;
	SQL
check_growth('refused', 'booking.try_book_ticket(2, i)');
check_growth('booked, one event', 'booking.book_ticket(1000, i)');
check_growth('booked, 100 events', 'booking.book_ticket(1000 + i % 100, i)');
check_growth('availability', 'booking.availability(1000)');

# INSERTs into a table with a capacity constraint, each in a block of its own.
$node->safe_psql('postgres', <<~'SQL');
	CREATE TABLE show (id bigint PRIMARY KEY, capacity integer);
	CREATE TABLE ticket (id bigint, show_id bigint, status text);
	INSERT INTO show VALUES (1, 0);
	SELECT booking.add_capacity_constraint('ticket', '{show_id}', 'show', 'capacity',
	    condition => $$status IS DISTINCT FROM 'cancelled'$$);
	CREATE FUNCTION insert_refused(show bigint, times integer, expected text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
	    FOR i IN 1 .. times LOOP
	        BEGIN
	            INSERT INTO ticket VALUES (i, show, 'sold'), (-i, show, 'sold');
	            RAISE 'inserted';
	        EXCEPTION WHEN check_violation OR foreign_key_violation THEN
	            IF SQLSTATE <> expected THEN
	                RAISE;
	            END IF;
	        END;
	    END LOOP;
	END $$;
	SQL
foreach ([ 1, '23514' ], [ 2, '23503' ])
{
	my ($show, $code) = @$_;
	my $grown = $node->safe_psql('postgres', <<~SQL);
		BEGIN;
		DO \$\$ BEGIN PERFORM insert_refused($show, 2000, '$code'); END \$\$;
		SELECT sum(total_bytes) AS before FROM pg_backend_memory_contexts \\gset
		DO \$\$ BEGIN PERFORM insert_refused($show, 20000, '$code'); END \$\$;
		SELECT (sum(total_bytes) - :before) / 1024 FROM pg_backend_memory_contexts;
		ROLLBACK;
		SQL

	note("20,000 INSERTs that raise $code: memory contexts grow by $grown kB");
	cmp_ok($grown, '<', 1024, "20,000 INSERTs that raise $code: memory does not grow by a megabyte");
}
is($node->safe_psql('postgres', 'SELECT * FROM booking.verify_capacity()'), '', 'INSERTs: the constraint is sound');

check_sound($node, 'refusals');
$node->stop;
done_testing();
