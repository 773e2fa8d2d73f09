# Capacity constraints under load, and what must be true of them afterwards.
#
# An application counts rows and then inserts one: without the constraint it oversells,
# with it each show gets exactly its capacity.  Then clients write in every possible
# way, the server is killed, dumped and restored, and a standby answers.  After each
# part, verify_capacity() must find nothing, and every place must be sellable.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $seconds = long_run(60, 6);
my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = booking_node('capacity', init => { allows_streaming => 1 });

$node->safe_psql('postgres', <<~'SQL');
	CREATE EXTENSION amcheck;
	CREATE EXTENSION pg_booking;
	CREATE TABLE show (id bigint PRIMARY KEY, capacity integer);
	CREATE TABLE ticket (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, show_id bigint NOT NULL,
	                     tier text NOT NULL DEFAULT 'stalls', who integer, status text NOT NULL DEFAULT 'paid',
	                     expires_at timestamptz);
	CREATE INDEX ON ticket (show_id);
	SQL

my $add = <<~'SQL';
	SELECT booking.add_capacity_constraint('ticket', '{show_id}', 'show', 'capacity',
	           condition => $$status NOT IN ('cancelled', 'expired')$$, expires_at => 'expires_at',
	           on_expiry => $$status = 'expired'$$);
	SQL

# Checks that verify_capacity() finds nothing, no show is oversold by a plain count, and
# nothing is corrupt.
sub check_capacity
{
	my ($server, $what, $db) = @_;

	$db //= 'postgres';
	is($server->safe_psql($db, 'SELECT * FROM booking.verify_capacity()'), '', "$what: verify_capacity() finds nothing");
	is($server->safe_psql($db, <<~'SQL'), '', "$what: places left and rows add up to the capacity");
		SELECT s.id, capacity, booking.places_left('ticket_show_id_capacity', s.id), count(t.id)
		FROM show s LEFT JOIN ticket t ON t.show_id = s.id AND t.status NOT IN ('cancelled', 'expired')
		GROUP BY s.id
		HAVING booking.places_left('ticket_show_id_capacity', s.id)
		       <> s.capacity - count(t.id) + count(t.id) FILTER (WHERE t.expires_at <= now())
		ORDER BY 1
		SQL
	my $dbh = connect_to($server, db => $db);

	is(join("\n", amcheck($dbh)), '', "$what: the pools and their indexes are sound");
	$dbh->disconnect;
	return;
}

# Checks that every place that is left can be sold one by one, and no more.
sub sell_every_place
{
	my ($server, $what, $db) = @_;

	is( $server->safe_psql($db // 'postgres', <<~'SQL'), 't', "$what: every place can be sold, to the last one");
		CREATE OR REPLACE FUNCTION sell(wanted bigint) RETURNS integer LANGUAGE plpgsql AS $$
		DECLARE
		    sold integer := 0;
		BEGIN
		    LOOP
		        BEGIN
		            INSERT INTO ticket (show_id) VALUES (wanted);
		        EXCEPTION WHEN check_violation THEN
		            RETURN sold;
		        END;
		        sold := sold + 1;
		    END LOOP;
		END $$;
		SELECT bool_and((SELECT sell(id)) = places_left) FROM (
		    SELECT id, booking.places_left('ticket_show_id_capacity', id) AS places_left
		    FROM show OFFSET 0) s
		SQL
	is( $server->safe_psql($db // 'postgres',
			"SELECT DISTINCT booking.places_left('ticket_show_id_capacity', id) FROM show"),
		'0', "$what: then all shows are sold out");
	return;
}

# ---- count, then insert ----

# What applications do: a request reads how many places are left, and inserts if any is.
my $application = <<~'SQL';
	SELECT count(*) < 40 AS left FROM ticket WHERE show_id = 1 \gset
	\if :left
	INSERT INTO ticket (show_id, who) VALUES (1, :client_id);
	\endif
	SQL

# Sixty-four clients at once; refusals end a client, so there must be many.
sub stampede
{
	my ($what) = @_;

	$node->safe_psql('postgres', 'TRUNCATE show, ticket; INSERT INTO show VALUES (1, 40)');
	append_to_file("$dir/$what.sql", $application);
	for my $round (1 .. 3)
	{
		my ($out, $err) = ('', '');

		IPC::Run::run(
			[
				'pgbench', '-n', '-h', $node->host, '-p', $node->port,
				'-c64', '-j2', '-t2', '-f', "$dir/$what.sql", 'postgres'
			],
			'>', \$out, '2>', \$err);
	}
	return $node->safe_psql('postgres', 'SELECT count(*) FROM ticket');
}

cmp_ok(stampede('without'), '>', 40, 'without the constraint, the application oversells');
$node->safe_psql('postgres', "TRUNCATE show, ticket; $add");
is(stampede('with'), '40', 'with the constraint, it sells exactly the capacity');
check_capacity($node, 'stampede');

# ---- everything at once ----

$node->safe_psql('postgres', <<~'SQL');
	TRUNCATE show, ticket RESTART IDENTITY;
	INSERT INTO show SELECT n, 150 FROM generate_series(1, 4) n;
	CREATE FUNCTION attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
	    EXECUTE command;
	    RETURN 'done';
	EXCEPTION
	    WHEN check_violation OR foreign_key_violation OR unique_violation OR deadlock_detected THEN
	        RETURN SQLSTATE;
	END $$;
	CREATE FUNCTION some_row() RETURNS bigint LANGUAGE sql VOLATILE AS $$
	    SELECT coalesce((SELECT id FROM ticket WHERE id >= floor(random() * (SELECT max(id) FROM ticket))
	                     ORDER BY id LIMIT 1), 1);
	$$;
	CREATE FUNCTION must_be_consistent() RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
	    problem text;
	BEGIN
	    SELECT string_agg(v::text, '; ') INTO problem FROM booking.verify_capacity() v;
	    IF problem IS NOT NULL THEN
	        RAISE EXCEPTION 'verify_capacity() found a problem: %', problem;
	    END IF;
	END $$;
	-- a second constraint on the same table
	SELECT booking.add_capacity_constraint('ticket', '{who,tier}', capacity => 30,
	           condition => $$status <> 'cancelled'$$, constraint_name => 'ticket_per_user');
	SQL
append_to_file("$dir/copied", "1\t70\n2\t70\n1\t71\n");

my %ways = (
	'insert@20' => q{SELECT attempt('INSERT INTO ticket (show_id, who) VALUES (:show, :client_id)');},
	'plain@5' => q{INSERT INTO ticket (show_id, who) SELECT :show, :client_id
		WHERE booking.places_left('ticket_show_id_capacity', :show) > 1000;},
	'several@5' =>
	  q{SELECT attempt('INSERT INTO ticket (show_id, who) SELECT 1 + (n * :few) % 4, :client_id FROM generate_series(1, :few) n');},
	'copy@2' => qq{SELECT attempt('COPY ticket (show_id, who) FROM ''$dir/copied''');},
	'hold@8' =>
	  q{SELECT attempt('INSERT INTO ticket (show_id, who, status, expires_at) VALUES (:show, :client_id, ''held'', now() + interval ''50 ms'')');},
	'confirm@5' =>
	  q{SELECT attempt('UPDATE ticket SET status = ''paid'', expires_at = NULL WHERE id = some_row() AND status = ''held''');},
	'expire@1' => q{SELECT booking.expire_rows('ticket_show_id_capacity', :few);},
	'cancel@6' => q{SELECT attempt('UPDATE ticket SET status = ''cancelled'' WHERE id = some_row()');},
	'revive@3' => q{SELECT attempt('UPDATE ticket SET status = ''paid'', expires_at = NULL WHERE id = some_row()');},
	'delete@5' => q{SELECT attempt('DELETE FROM ticket WHERE id = some_row()');},
	'move@5' => q{SELECT attempt('UPDATE ticket SET show_id = :show WHERE id = some_row()');},
	'exchange@2' => q{SELECT attempt('UPDATE ticket SET show_id = 5 - show_id WHERE id BETWEEN some_row() AND some_row() + 4');},
	'capacity@2' => q{SELECT attempt('UPDATE show SET capacity = 140 + :few WHERE id = :show');},
	'show@1' => q{SELECT attempt('INSERT INTO show VALUES (9, 3)'); SELECT attempt('INSERT INTO ticket (show_id, who) VALUES (9, :client_id)');
		SELECT attempt('DELETE FROM ticket WHERE show_id = 9'); SELECT attempt('DELETE FROM show WHERE id = 9');},
	'savepoint@3' => q{
		BEGIN;
		SELECT attempt('INSERT INTO ticket (show_id, who) VALUES (:show, :client_id)');
		SAVEPOINT s;
		SELECT attempt('INSERT INTO ticket (show_id, who) SELECT :show, :client_id FROM generate_series(1, 12)');
		SELECT attempt('DELETE FROM ticket WHERE id = some_row()');
		ROLLBACK TO s;
		SELECT attempt('UPDATE ticket SET show_id = :show WHERE id = some_row()');
		COMMIT;},
	'rollback@2' => q{
		BEGIN;
		SELECT attempt('INSERT INTO ticket (show_id, who) SELECT :show, :client_id FROM generate_series(1, 20)');
		ROLLBACK;},
	'repeatable@2' => q{
		BEGIN ISOLATION LEVEL REPEATABLE READ;
		SELECT attempt('DELETE FROM ticket WHERE id = some_row()');
		SELECT attempt('INSERT INTO ticket (show_id, who) VALUES (:show, :client_id)');
		COMMIT;},
	'serializable@1' => q{
		BEGIN ISOLATION LEVEL SERIALIZABLE;
		SELECT attempt('INSERT INTO ticket (show_id, who) VALUES (:show, :client_id)');
		COMMIT;},
	'rebuild@1' => q{SELECT booking.rebuild_capacity('ticket_per_user');},
	'verify@2' => 'SELECT must_be_consistent();',
);

# Two-phase commit, from one client, because each needs a name of its own.
sub start_two_phase
{
	my ($until) = @_;

	return start_worker(
		sub {
			my $dbh = connect_to($node);

			for (my $n = 1; time < $until; $n++)
			{
				$dbh->do('BEGIN');
				$dbh->do("SELECT attempt('INSERT INTO ticket (show_id, who) SELECT 1 + n % 4, 99 FROM generate_series(1, 9) n')");
				$dbh->do("PREPARE TRANSACTION 'capacity'") || die $dbh->errstr;
				sleep 0.02;
				$dbh->do(($n % 3 ? 'COMMIT' : 'ROLLBACK') . " PREPARED 'capacity'") || die $dbh->errstr;
			}
			$dbh->disconnect;
		});
}

foreach my $settings ('', 'booking.debug_split_always=on')
{
	my $what = 'mixed load' . ($settings && ", $settings");
	local $ENV{PGOPTIONS} = $settings ? "-c $settings" : '';
	my $variables = "\\set show random(1, 4)\n\\set few random(1, 12)\n";
	my $worker = start_two_phase(time + $seconds);

	run_pgbench(
		$node, $what,
		[ '-c32', "-T$seconds" ],
		map { $_ => $variables . $ways{$_} . "\n" } keys %ways);
	finish_workers("$what, two-phase commit", $worker);
	check_capacity($node, $what);
	sell_every_place($node, $what);
	check_capacity($node, "$what, sold out");
	$node->safe_psql('postgres', "DELETE FROM ticket WHERE id % 2 = 0");
	check_capacity($node, "$what, half deleted");
}

# ---- long transactions ----

# Returns the seconds that some SQL took.
sub seconds_of
{
	my ($sql) = @_;
	my $start = time;

	$node->safe_psql('postgres', $sql);
	return time - $start;
}

# Returns how many row versions the pool table has, dead ones included.
sub versions
{
	return $node->safe_psql('postgres', <<~'SQL');
		SELECT count(*) FROM generate_series(0, pg_relation_size('booking.big_show_id_capacity') / 8192 - 1) p,
		       heap_page_items(get_raw_page('booking.big_show_id_capacity', p::integer)) WHERE lp_flags = 1
		SQL
}

$node->safe_psql('postgres', <<~'SQL');
	CREATE EXTENSION pageinspect;
	CREATE TABLE big (show_id bigint);
	INSERT INTO show VALUES (100, 3000000);
	SELECT booking.add_capacity_constraint('big', '{show_id}', 'show', 'capacity');
	VACUUM FULL booking.big_show_id_capacity;
	SQL
$node->safe_psql('postgres', "COPY (SELECT 100 FROM generate_series(1, $_)) TO '$dir/rows.$_'") foreach 100_000, 1_000_000;
my $before = versions();
my $some = seconds_of("COPY big FROM '$dir/rows.100000'");
my $all = seconds_of("COPY big FROM '$dir/rows.1000000'");

cmp_ok($all, '<', 30 * $some + 5, 'COPY: ten times as many rows are not more than linear in time');
note(sprintf 'COPY of 100,000 rows: %.2f s, of 1,000,000: %.2f s', $some, $all);
note('COPY: ' . (versions() - $before) . ' row versions of the pool');
cmp_ok(versions() - $before, '<=', 3, 'COPY: two of them leave one row version of the pool each');
is($node->safe_psql('postgres', q{SELECT booking.places_left('big_show_id_capacity', 100)}),
	'1900000', 'COPY: each row has taken a place');

$before = versions();
my $few = seconds_of('DO $$ BEGIN FOR i IN 1..10000 LOOP INSERT INTO big VALUES (100); END LOOP; END $$');
my $many = seconds_of('DO $$ BEGIN FOR i IN 1..100000 LOOP INSERT INTO big VALUES (100); END LOOP; END $$');

cmp_ok($many, '<', 30 * $few + 5, 'single INSERTs: ten times as many are not more than linear in time');
note(sprintf '10,000 INSERTs: %.2f s, 100,000: %.2f s', $few, $many);
note('single INSERTs: ' . (versions() - $before) . ' row versions of the pool');
cmp_ok(versions() - $before, '<', 200, 'single INSERTs: a transaction of 100,000 leaves few row versions of the pool');
is($node->safe_psql('postgres', q{SELECT booking.places_left('big_show_id_capacity', 100)}),
	'1790000', 'single INSERTs: each has taken a place');
is($node->safe_psql('postgres', 'SELECT * FROM booking.verify_capacity()'), '', 'long transactions: verify_capacity() finds nothing');
$node->safe_psql('postgres', q{SELECT booking.drop_capacity_constraint('big_show_id_capacity'); DROP TABLE big; DELETE FROM show WHERE id = 100});

# ---- a crash under load ----

append_to_file("$dir/load.sql", "\\set show random(1, 4)\n$ways{'insert@20'}\n$ways{'delete@5'}\n$ways{'move@5'}\n");
my $load = IPC::Run::start(
	[ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-c16', '-j2', '-T60', '-f', "$dir/load.sql", 'postgres' ],
	'>', '/dev/null', '2>', '/dev/null');
sleep 2;
$node->kill9;
$load->finish;

# A new server can't start before the old server's backends have noticed and ended.
my $started = 0;
for (1 .. 100)
{
	last if $started = $node->start(fail_ok => 1);
	sleep 0.1;
	$node->stop('fast', fail_ok => 1);    # makes the test library forget the attempt
}
ok($started, 'crash: the server starts again');
check_capacity($node, 'crash');
sell_every_place($node, 'crash');
$node->safe_psql('postgres', "UPDATE ticket SET status = 'cancelled' WHERE id % 3 = 0");

# ---- a standby ----

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->safe_psql('postgres', "INSERT INTO ticket (show_id, who, status, expires_at) VALUES (2, 500, 'held', now()) ");
$node->wait_for_catchup($standby);
my $left = q{SELECT id, booking.places_left('ticket_show_id_capacity', id) FROM show ORDER BY 1};

is($standby->safe_psql('postgres', $left), $node->safe_psql('postgres', $left), 'standby: places_left() answers');
is($standby->safe_psql('postgres', 'SELECT constraint_name FROM booking.capacity_constraints ORDER BY 1'),
	"ticket_per_user\nticket_show_id_capacity", 'standby: the constraints are listed');
is($standby->safe_psql('postgres', 'SELECT * FROM booking.verify_capacity()'), '', 'standby: verify_capacity() answers');
my ($status, $out, $err) = $standby->psql('postgres', "SELECT booking.expire_rows('ticket_show_id_capacity')");
like($err, qr/read-only transaction/, 'standby: expire_rows() is refused');
$standby->promote;
check_capacity($standby, 'promoted');
sell_every_place($standby, 'promoted');
$standby->stop;

# ---- dump and restore ----

my $rows = 'SELECT t FROM ticket t ORDER BY id; SELECT s FROM show s ORDER BY id; '
  . 'SELECT * FROM booking.capacity_constraints ORDER BY 1';
my $contents = $node->safe_psql('postgres', $rows);

sub restore
{
	my ($db, $what, @options) = @_;

	$node->command_ok([ 'pg_dump', '-f', "$dir/$db.sql", @options, $node->connstr('postgres') ], "$what: pg_dump");
	$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/$db.sql", $node->connstr($db) ],
		"$what: restore");
	return;
}

$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(whole parts custom);
restore('whole', 'dump');
is($node->safe_psql('whole', $rows), $contents, 'dump: the contents and the constraints are unchanged');
check_capacity($node, 'dump', 'whole');
sell_every_place($node, 'dump', 'whole');

restore('parts', 'schema only', '--schema-only');
is($node->safe_psql('parts', 'SELECT count(*) FROM booking.capacity_constraints'), '2', 'schema only: the constraints are there');
check_capacity($node, 'schema only', 'parts');
$node->safe_psql('parts', "INSERT INTO show VALUES (77, 2)");
is($node->safe_psql('parts', "SELECT booking.places_left('ticket_show_id_capacity', 77)"), '2', 'schema only: a show has places');
is($node->safe_psql('parts', "SELECT booking.places_left('ticket_per_user', 1, 'stalls')"), '30', 'schema only: a user has places');
$node->safe_psql('parts', 'TRUNCATE show, ticket');
restore('parts', 'data only', '--data-only', '--disable-triggers');
is($node->safe_psql('parts', $rows), $contents, 'data only: the contents are unchanged');
check_capacity($node, 'data only', 'parts');
sell_every_place($node, 'data only', 'parts');

$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/custom.dump", $node->connstr('postgres') ], 'custom: pg_dump');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-j2', '-d', $node->connstr('custom'), "$dir/custom.dump" ],
	'custom: restore with two jobs');
check_capacity($node, 'custom', 'custom');
sell_every_place($node, 'custom', 'custom');

check_log($node, 'capacity', '23514', '40001', '40P01', '57P01', '57P03', 'F0001');
$node->stop;
done_testing();
