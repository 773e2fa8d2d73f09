# The tables belong to the user.  The user alters them while sessions that have
# booked are still open, and while other sessions are booking.
#
# The direct path writes rows without an INSERT statement.  A session must not use it
# while an INSERT would do more than the direct path does.  Afterwards the session
# must use it again.  The trigger on tickets shows which path was taken, because only
# an INSERT statement calls it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $node = booking_node('ddl', conf => "track_functions = all\n");

create_booking($node);
$node->safe_psql('postgres', <<~'SQL');
	INSERT INTO booking.event (event_id, capacity) VALUES (1, 1000000);
	CREATE TABLE customer (user_id bigint PRIMARY KEY);
	INSERT INTO customer VALUES (1);
	CREATE TABLE seen (user_id bigint);
	CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
	    INSERT INTO public.seen VALUES (NEW.user_id);
	    RETURN NEW;
	END $$;
	SQL

# This session books before and after each change.
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('\set VERBOSITY sqlstate');

# Books for a user.  Returns 'direct', 'sql', or the SQLSTATE of the refusal.
sub book
{
	my ($user_id) = @_;
	my $calls = $session->query(<<~SQL);
		BEGIN;
		SELECT coalesce(pg_stat_get_xact_function_calls('booking.ticket_changed'::regproc), 0) AS before \\gset
		SELECT FROM booking.book_ticket(1, $user_id);
		SELECT coalesce(pg_stat_get_xact_function_calls('booking.ticket_changed'::regproc), 0) > :before;
		COMMIT;
		SQL
	my $error = $session->{stderr};

	$session->{stderr} = '';
	return $1 if $error =~ /ERROR:  (\w+)/;
	return $calls =~ /t/ ? 'sql' : 'direct';
}

# Changes the tables, books for two users, undoes the change, and books again.
sub changes
{
	my ($what, $do, $undo, $known_user, $unknown_user) = @_;

	is(book(1), 'direct', "before $what");
	$node->safe_psql('postgres', $do);
	is(book(1), $known_user, "$what");
	is(book(2), $unknown_user // $known_user, "$what: another user");
	$node->safe_psql('postgres', $undo);
	is(book(2), 'direct', "after $what");
	return;
}

my $ticket = 'ALTER TABLE booking.ticket';

changes('a column is added', "$ticket ADD price numeric DEFAULT 7", "$ticket DROP price", 'direct');
changes('a column whose default calls', "$ticket ADD price numeric DEFAULT random()::numeric", "$ticket DROP price", 'sql');
changes('a check', "$ticket ADD CONSTRAINT c CHECK (user_id <> 2) NOT VALID", "$ticket DROP CONSTRAINT c",
	'sql', '23514');
changes('a foreign key', "$ticket ADD CONSTRAINT c FOREIGN KEY (user_id) REFERENCES customer NOT VALID",
	"$ticket DROP CONSTRAINT c", 'direct', '23503');
changes('a trigger',
	'CREATE TRIGGER see BEFORE INSERT ON booking.ticket FOR EACH ROW EXECUTE FUNCTION see()',
	'DROP TRIGGER see ON booking.ticket', 'sql');
is($node->safe_psql('postgres', 'SELECT count(*) FROM seen'), '2', 'a trigger: it has fired for each ticket');
changes('a statement trigger',
	'CREATE TRIGGER see AFTER INSERT ON booking.ticket FOR EACH STATEMENT EXECUTE FUNCTION suppress_redundant_updates_trigger()',
	'DROP TRIGGER see ON booking.ticket', '39P01');
changes('a trigger for updates only',
	'CREATE TRIGGER see BEFORE UPDATE ON booking.ticket FOR EACH ROW EXECUTE FUNCTION see()',
	'DROP TRIGGER see ON booking.ticket', 'direct');
changes('forced row security', "$ticket ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
	"$ticket DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY", 'sql');
changes('a rule', 'CREATE RULE r AS ON INSERT TO booking.ticket DO ALSO INSERT INTO seen VALUES (NEW.user_id)',
	'DROP RULE r ON booking.ticket', 'sql');
changes('a child table', 'CREATE TABLE child () INHERITS (booking.ticket)', 'DROP TABLE child', 'sql');
changes('a default', "$ticket ALTER seat SET DEFAULT gen_random_uuid()", "$ticket ALTER seat DROP DEFAULT", 'sql');
changes('a default dropped', "$ticket ALTER booked_at DROP DEFAULT",
	"$ticket ALTER booked_at SET DEFAULT clock_timestamp()", '23502');
changes('a column renamed', "$ticket RENAME user_id TO owner_id", "$ticket RENAME owner_id TO user_id", '55000');
changes('a column retyped', "DROP VIEW booking.sales; $ticket ALTER cancelled_at TYPE timestamp",
	"$ticket ALTER cancelled_at TYPE timestamptz; SELECT booking.create_tables()", '55000');
changes('our trigger dropped', 'DROP TRIGGER _booking_ticket_changed ON booking.ticket', 'SELECT booking.create_tables()',
	'55000');
changes('our trigger on holds dropped', 'DROP TRIGGER _booking_hold_changed ON booking.hold', 'SELECT booking.create_tables()',
	'55000');
changes('a table renamed', 'ALTER TABLE booking.inventory RENAME TO stock', 'ALTER TABLE booking.stock RENAME TO inventory',
	'42P01');
changes('the table of holds renamed', 'ALTER TABLE booking.hold RENAME TO basket', 'ALTER TABLE booking.basket RENAME TO hold',
	'42P01');
changes('history is kept', 'SELECT booking.keep_history()',
	'DROP TRIGGER _booking_history ON booking.ticket; DROP TRIGGER _booking_history ON booking.hold', 'direct');
is($node->safe_psql('postgres', 'SELECT count(*) FROM booking.history'), '2', 'history is kept: of each ticket');

# Drop the history: otherwise create_tables() would continue it when the extension
# is created again.
$node->safe_psql('postgres', <<~'SQL');
	DROP TRIGGER _booking_history_truncated ON booking.ticket;
	DROP TRIGGER _booking_history_truncated ON booking.hold;
	DROP TABLE booking.history;
	SQL
changes('an index', 'CREATE INDEX i ON booking.ticket ((user_id % 10)) WHERE seat IS NULL',
	"SELECT bt_index_check('booking.i', true); DROP INDEX booking.i", 'direct');
changes('a unique index', 'CREATE UNIQUE INDEX i ON booking.ticket (user_id, booked_at)',
	"SELECT bt_index_check('booking.i', true); DROP INDEX booking.i", 'direct');
check_sound($node, 'after the changes');

# ---- the extension is dropped and created again ----

like(($node->psql('postgres', 'DROP EXTENSION pg_booking'))[2],
	qr/cannot drop extension pg_booking because other objects depend on it/,
	'the extension is not dropped while the triggers exist');
my $tickets = $node->safe_psql('postgres', 'SELECT count(*) FROM booking.ticket');
changes('the extension dropped', 'DROP EXTENSION pg_booking CASCADE',
	'CREATE EXTENSION pg_booking; SELECT booking.create_tables()', '42883');
is($node->safe_psql('postgres', 'SELECT count(*) FROM booking.ticket'),
	$tickets + 2, 'no ticket was lost with the extension');
check_sound($node, 'the extension created again');
is( $node->safe_psql('postgres', <<~'SQL'), "1000000\n0", 'the tables dropped and created again');
	DROP VIEW booking.sales;
	DROP TABLE booking.event, booking.inventory, booking.ticket, booking.hold, booking.request, booking.user_limit;
	SELECT FROM booking.create_tables();
	INSERT INTO booking.event (event_id, capacity) VALUES (1, 1000000);
	SELECT available FROM booking.availability(1);
	SELECT count(*) FROM booking.ticket;
	SQL
is(book(1), 'direct', 'the session sees the new tables');
$session->quit;

# ---- DDL in one transaction with bookings ----

foreach my $ddl (
	"$ticket ADD note text", "$ticket DROP note",
	'CREATE INDEX i ON booking.ticket (booked_at)', 'DROP INDEX booking.i',
	'REINDEX TABLE booking.inventory', 'CLUSTER booking.inventory USING inventory_pkey',
	'ALTER TABLE booking.inventory SET (fillfactor = 20)', 'TRUNCATE booking.ticket',
	'SELECT booking.rebuild_inventory(1)')
{
	$node->safe_psql('postgres', <<~SQL);
		BEGIN;
		SELECT count(booking.book_ticket(1, u)) FROM generate_series(1, 30) u;
		SAVEPOINT s;
		$ddl;
		SELECT count(booking.book_ticket(1, u)) FROM generate_series(1, 30) u;
		ROLLBACK TO s;
		SELECT count(booking.book_ticket(1, u)) FROM generate_series(1, 30) u;
		$ddl;
		SELECT count(booking.book_ticket(1, u)) FROM generate_series(1, 30) u;
		COMMIT;
		SQL
	check_sound($node, "$ddl between bookings");
}

# Prefetched places need not be written back if their table is gone.
foreach my $ddl ('DROP EXTENSION pg_booking CASCADE', 'DROP VIEW booking.sales; DROP TABLE booking.event, booking.inventory, booking.ticket')
{
	my ($status, $out, $err) = $node->psql('postgres', <<~SQL);
		BEGIN;
		SELECT count(booking.book_ticket(1, u)) FROM generate_series(1, 30) u;
		$ddl;
		COMMIT;
		SQL
	is("$status", '0', "after bookings in the same transaction: $ddl") or diag($err);
	$node->safe_psql('postgres', <<~'SQL');
		CREATE EXTENSION IF NOT EXISTS pg_booking;
		SELECT booking.create_tables();
		INSERT INTO booking.event (event_id, capacity) VALUES (1, 1000000) ON CONFLICT DO NOTHING;
		SQL
}
$node->safe_psql('postgres', 'SELECT booking.rebuild_inventory(1)');

# If the inventory can no longer be written, COMMIT fails with 55000.
foreach my $ddl ('DROP CONSTRAINT inventory_pkey', "ALTER available TYPE text USING 'x' || available")
{
	my ($status, $out, $err) = $node->psql('postgres', <<~SQL);
		\\set VERBOSITY sqlstate
		SET statement_timeout = '20s';
		BEGIN;
		SELECT count(booking.book_ticket(1, u)) FROM generate_series(1, 30) u;
		DROP VIEW booking.sales;
		ALTER TABLE booking.inventory DROP CONSTRAINT inventory_available_check;
		ALTER TABLE booking.inventory $ddl;
		COMMIT;
		SQL
	like($err, qr/ERROR:  55000/, "after bookings in the same transaction: $ddl");
}
check_sound($node, 'after transactions that could not commit');

# ---- under load ----

my @steps = (
	'REINDEX TABLE CONCURRENTLY booking.inventory', 'VACUUM FULL booking.inventory',
	'REINDEX TABLE CONCURRENTLY booking.ticket', 'CLUSTER booking.inventory USING inventory_pkey',
	"$ticket ADD note text DEFAULT ''", 'CREATE INDEX CONCURRENTLY i ON booking.ticket (booked_at)',
	'VACUUM booking.inventory', "$ticket DROP note", 'DROP INDEX CONCURRENTLY booking.i',
	'CREATE TRIGGER see BEFORE INSERT ON booking.ticket FOR EACH ROW EXECUTE FUNCTION see()',
	'VACUUM FULL booking.ticket', 'REINDEX TABLE booking.inventory',
	'DROP TRIGGER see ON booking.ticket', 'CLUSTER booking.ticket USING ticket_pkey',
	'ANALYZE booking.ticket', 'ALTER TABLE booking.inventory SET (fillfactor = 15)');

my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/book", "SELECT booking.book_ticket(1, :client_id);\n");
append_to_file("$dir/cancel",
	"\\set id random(1, 10000)\nUPDATE booking.ticket SET cancelled_at = now() WHERE ticket_id = :id AND cancelled_at IS NULL;\n");
my ($out, $err) = ('', '');
my $bench = IPC::Run::start(
	[
		'pgbench', '-n', '-h', $node->host, '-p', $node->port, '--max-tries=1000', '-c16',
		'-j2', '-T' . long_run(60, 8), '-f', "$dir/book\@8", '-f', "$dir/cancel\@1", 'postgres'
	],
	'<', '/dev/null', '>', \$out, '2>', \$err);
my $done = 0;
my @failed;

while ($bench->pumpable || $done < @steps)
{
	my ($status, undef, $message) = $node->psql('postgres', $steps[ $done++ % @steps ]);

	push @failed, $message if $status != 0 && $message !~ /deadlock detected|could not serialize/;
	$bench->pump_nb if $bench->pumpable;
}
ok($bench->finish, 'under load: every client came to its end') or diag($err);
is(join("\n", @failed), '', 'under load: no statement has failed');
note("$done statements, ", $out =~ /(transactions actually processed: \d+)/);
cmp_ok($done, '>=', scalar @steps, 'under load: each statement has run');
check_sound($node, 'under load');

check_log($node, 'ddl', '40P01', '23514', '23503', '23502', '39P01', '55000', '42P01', '42883', '2BP01', '42701', '42703', '42710', '42704', '42P07', '25P02');
$node->stop;
done_testing();
