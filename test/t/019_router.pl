# A router and four shards.
#
# What an application calls answers through the router as it does in one database:
# values and SQLSTATEs.  The differences that doc/shards.md lists are tested, too.
# A cluster whose partitions are not the shards that they should be is refused before
# anything is called there.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $SHARDS = 4;
my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = booking_node('router');

# Creates a database with pg_booking that is one of the shards.
sub create_shard
{
	my ($db, $shard, $type) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, 'CREATE EXTENSION pg_booking');
	$node->safe_psql($db,
		sprintf q{SELECT booking.create_tables('%s', %d, %d)}, $type // 'bigint', $shard, $SHARDS);
	return;
}

# Creates or alters the foreign server, whose partitions are databases.
sub set_partitions
{
	my (@dbs) = @_;
	my $n = 0;
	my $options = join ', ',
	  map { sprintf q{p%d 'dbname=%s host=%s port=%d'}, $n++, $_, $node->host, $node->port } @dbs;

	$node->safe_psql('router', <<~SQL);
		DROP SERVER IF EXISTS shop CASCADE;
		CREATE SERVER shop FOREIGN DATA WRAPPER plproxy OPTIONS ($options);
		CREATE USER MAPPING FOR PUBLIC SERVER shop OPTIONS (user '${\ scalar getpwuid($<)}');
		SQL
	return;
}

# Runs a script, and returns what psql printed.  Errors are lines with the SQLSTATE.
sub answers
{
	my ($db, $file) = @_;
	my ($out, $err) = ('', '');
	local $ENV{PGOPTIONS} = '-c client_min_messages=warning';    # PL/Proxy says when it reconnects

	IPC::Run::run(
		[
			'psql', '-XqAt', '-v', 'VERBOSITY=sqlstate', '-h', $node->host, '-p', $node->port,
			'-d', $db, '-f', $file
		],
		'>', \$out, '2>', \$err);
	$err =~ s/^psql:.*?:(\d+): /line $1: /mg;
	return ($out, $err);
}

# Fails unless a statement at the router raises an error of this SQLSTATE whose text
# matches.
sub refused
{
	my ($statement, $state, $text, $what) = @_;
	my ($rc, $out, $err) =
	  $node->psql('router', $statement, extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	ok($err =~ /^(?:psql:.*)?ERROR:\s+$state:/m && $err =~ $text, $what) or diag("got: $out$err");
	return;
}

create_shard("shard$_", $_) for 0 .. $SHARDS - 1;
create_shard('alone', 1);
$node->safe_psql('postgres', 'CREATE DATABASE router');
my $functions =
  $node->safe_psql('shard0', q{SELECT booking.router_functions('shop')});
my $no_proxy = q{SELECT count(*) FROM pg_proc WHERE prolang IN (SELECT oid FROM pg_language WHERE lanname = 'plproxy')};
my ($rc, $out, $err) = $node->psql('alone', $functions, on_error_stop => 0);
like($err, qr/this database has pg_booking itself/, 'a database with pg_booking can be no router');
is($node->safe_psql('alone', $no_proxy), '0', 'and nothing of it is changed');
$node->safe_psql('router', $functions);
$node->safe_psql('router', $functions);
set_partitions(map { "shard$_" } 0 .. $SHARDS - 1);

# ---- the same answers ----

# Events of shard 1: 5 with 6 places, 9 with a limit, 13 before its sale, 17 of orders of two,
# 21 without a limit.
foreach my $db ('shard1', 'alone')
{
	$node->safe_psql($db, <<~'SQL');
		INSERT INTO booking.event (event_id, capacity, max_per_user, sales_start, min_per_order)
		VALUES (5, 6, NULL, NULL, NULL), (9, 10, 2, NULL, NULL), (13, 5, NULL, '2200-01-01', NULL),
		       (17, 5, NULL, NULL, 2), (21, NULL, NULL, NULL, NULL);
		SELECT setval('booking.event_event_id_seq', 21);
		SQL
}
my $calls = <<'SQL';
SELECT booking.book_ticket(5, 1), booking.book_ticket(5, '1'), booking.book_ticket(5, '1'::text);
SELECT booking.book_ticket(5, 1, 'k'), booking.book_ticket(5, 1, 'k'), booking.book_ticket(5, '1', 'k');
SELECT booking.book_ticket(5, 2, 'k');
SELECT booking.book_ticket(5, 2, '');
SELECT booking.book_ticket(5, 'x');
SELECT booking.book_ticket(5, 'c3e0a8f4-3d4c-4c39-8d5c-1b5b8a4b2f10'::uuid);
SELECT booking.book_ticket(NULL, 1);
SELECT booking.book_ticket(5, NULL);
SELECT booking.book_ticket(1000001, 1);
SELECT booking.book_ticket(-3, 1);
SELECT booking.book_ticket(13, 1);
SELECT booking.book_ticket(17, 1);
PREPARE book AS SELECT booking.book_ticket($1, $2);
EXECUTE book(5, 7);
SELECT booking.book_ticket(event_id => 5, user_id => 8);
SELECT booking.book_ticket(5, 9);
SELECT * FROM booking.try_book_ticket(5, 9);
SELECT * FROM booking.try_book_ticket(9, 9, 'a');
SELECT * FROM booking.try_book_ticket(9, 9);
SELECT * FROM booking.try_book_ticket(9, '9');
SELECT * FROM booking.try_book_ticket(13, 9);
SELECT * FROM booking.try_book_ticket(1000001, 9);
SELECT (booking.try_book_ticket(21, 9)).status;
SELECT booking.book_tickets(17, 1, 2), booking.book_tickets(21, '1', 3);
SELECT booking.book_tickets(17, 1, 1);
SELECT booking.book_tickets(17, 1, 4);
SELECT booking.book_as_staff(13, 3, 2), booking.book_as_staff(17, '3', 1, '{limit}');
SELECT booking.book_as_staff(13, 3, 2, '{limit}');
SELECT booking.book_as_staff(13, 3, 2, '{rules}');
SELECT * FROM booking.book_batch(9, ARRAY[9, 10, 11], 'batch');
SELECT * FROM booking.book_batch(9, ARRAY[9, 10, 11], 'batch');
SELECT * FROM booking.book_batch(9, '{12,12,12}');
SELECT * FROM booking.book_batch(9, ARRAY['13'::text]);
SELECT * FROM booking.book_batch(9, 'no array');
SELECT booking.cancel_ticket(5), booking.cancel_ticket(5);
SELECT booking.cancel_ticket(1000001);
SELECT booking.cancel_ticket(NULL);
SELECT booking.transfer_ticket(9, 3), booking.transfer_ticket(9, 3), booking.transfer_ticket(9, '4');
SELECT booking.transfer_ticket(5, 3);
SELECT booking.move_ticket(9, 21), booking.move_ticket(9, 21);
SELECT booking.move_ticket(9, 1000001);
SELECT booking.move_ticket(9, NULL);
SELECT booking.move_ticket(NULL, 9);
SELECT booking.exchange_tickets(9, 13);
SELECT booking.exchange_tickets(9, 1000001);
SELECT status FROM booking.redeem_ticket(9, 22);
SELECT status FROM booking.redeem_ticket(9, 5);
SELECT status, redeemed_at FROM booking.redeem_ticket(9, 21, '2020-01-01');
SELECT status, redeemed_at FROM booking.redeem_ticket(9);
SELECT status FROM booking.redeem_ticket(1000001);
SELECT booking.unredeem_ticket(9), booking.unredeem_ticket(9);
SELECT hold_id, expires_at > now() FROM booking.hold_tickets(9, 20);
SELECT hold_id FROM booking.hold_tickets(9, 20, 2, '1 hour', 'hold');
SELECT hold_id FROM booking.hold_tickets(9, '21', 2, '1 hour', 'hold');
SELECT hold_id FROM booking.hold_tickets(9, '20', on_held => 'return');
SELECT hold_id FROM booking.hold_tickets(9, 20, ttl => '1 year');
SELECT booking.extend_hold(5, '20 minutes') > now();
SELECT booking.extend_hold(1000001, '20 minutes');
SELECT booking.change_hold(5, 2), booking.change_hold(5, 1), booking.change_hold(5, NULL, 22), booking.change_hold(5, NULL, '23');
SELECT booking.change_hold(5, 100);
SELECT booking.confirm_hold(5), booking.confirm_hold(5, 'rebook');
SELECT booking.confirm_hold(5, 'other');
SELECT hold_id FROM booking.hold_tickets(21, 20, 2);
SELECT booking.release_hold(13), booking.release_hold(9), booking.release_hold(9);
SELECT booking.confirm_hold(9);
SELECT hold_id FROM booking.hold_tickets(21, 30, 4, '1 ms');
SELECT pg_sleep(0.01);
SELECT booking.confirm_hold(17);
SELECT booking.expire_holds(0), booking.expire_holds(), booking.expire_holds(NULL);
SELECT booking.expire_holds(-1);
SELECT * FROM booking.availability(5);
SELECT * FROM booking.availability(21);
SELECT * FROM booking.availability(NULL);
SELECT * FROM booking.availability(1000001);
SELECT event_id, name, capacity, available, held, booked, redeemed, cancelled, status FROM booking.sales ORDER BY 1;
SELECT * FROM booking.cancel_event(9);
SELECT * FROM booking.cancel_event(NULL);
SELECT * FROM booking.cancel_event(1000001);
SELECT booking.forget_user(1, 1001), booking.forget_user('1001', '1002');
SELECT booking.forget_user(1, 1);
SELECT booking.purge('0'), booking.purge('1 hour');
SELECT booking.purge(NULL);
SELECT booking.purge('-1 hour');
SELECT * FROM booking.verify();
SELECT * FROM booking.verify(5);
SELECT * FROM booking.rebuild_inventory();
SELECT * FROM booking.rebuild_inventory(1000001);
SELECT booking.create_event('bad', -1);
SELECT booking.create_event('new', 3, max_per_user => 1, hold_ttl => '2 hours', max_hold_ttl => '3 hours') > 0;
SELECT token > 0, expires_at > now() FROM booking.acquire_lock('a', 'ann');
SELECT token FROM booking.acquire_lock('a', 'bob');
SELECT status, token IS NOT NULL, owner FROM booking.try_acquire_lock('a', 'bob');
SELECT status, token IS NOT NULL, owner FROM booking.try_acquire_lock('b', 'bob', '1 hour', 'note');
SELECT booking.locked('a'), booking.locked('c');
SELECT booking.locked(NULL);
SELECT booking.renew_lock('a', 1000001, '1 minute');
SELECT booking.release_lock('a', 1000001);
SELECT booking.assert_lock('a', 1000001);
SELECT booking.assert_lock('c', 1);
SELECT booking.acquire_lock('', 'ann');
SELECT booking.shard_of(7, 4);
SELECT booking.shard_of(7, 3);
SQL
append_to_file("$dir/calls.sql", $calls);
my @alone = answers('alone', "$dir/calls.sql");
my @router = answers('router', "$dir/calls.sql");

is($router[0], $alone[0], 'the router returns the same values');
is($router[1], $alone[1], 'the router raises the same SQLSTATEs');
cmp_ok(scalar split(/\n/, $alone[0]), '>', 60, 'the calls return something');
my @missing = grep { $calls !~ /booking\.$_\(/ } split /\n/,
  $node->safe_psql('shard0', q{SELECT DISTINCT name FROM booking.router_proxies('shop')});
is("@missing", '', 'each function was called');

# ---- many shards ----

$node->safe_psql("shard$_", "INSERT INTO booking.event (event_id, name, capacity) VALUES ($_ + 400, 'race', 50)")
  for 0 .. $SHARDS - 1;
my @clients = map {
	my $user = $_;
	start_worker(sub {
		my $dbh = connect_to($node, db => 'router');

		foreach my $event (map { 400 + int rand $SHARDS } 1 .. 100)
		{
			$dbh->selectrow_array('SELECT * FROM booking.try_book_ticket(?, ?)', undef, $event, $user)
			  or die 'a client got ' . $dbh->state . ': ' . $dbh->errstr;
		}
		$dbh->disconnect;
	})
} 1 .. 8;
finish_workers('events of all shards', @clients);
is( $node->safe_psql('router', q{SELECT event_id, booked, available FROM booking.sales WHERE name = 'race' ORDER BY 1}),
	join("\n", map { "$_|50|0" } 400 .. 403),
	'each sold its places');
is($node->safe_psql('router', 'SELECT count(*) FROM booking.verify()'), '0', 'verify() of all shards');
my %used = map { $_ => 1 } split /\n/,
  $node->safe_psql('router', q{SELECT booking.shard_of(booking.create_event('x', 1), 4) FROM generate_series(1, 60)});
is(join(' ', sort keys %used), '0 1 2 3', 'create_event() uses all shards');
$node->safe_psql("shard$_", "INSERT INTO booking.event (event_id, capacity) VALUES ($_ + 800, 9)") for 0 .. $SHARDS - 1;
$node->safe_psql('router', q{SELECT booking.hold_tickets(e, 77, 1, '1 ms') FROM generate_series(800, 803) e});
$node->safe_psql('router', 'SELECT pg_sleep(0.01)');
is($node->safe_psql('router', 'SELECT booking.expire_holds(1)'), '4', 'max_holds counts on each shard');
$node->safe_psql('router', q{SELECT booking.book_ticket(e, 88) FROM generate_series(800, 803) e});
is($node->safe_psql('router', 'SELECT booking.forget_user(88, 89)'), '4', 'a user of all shards is forgotten');
is( $node->safe_psql('router', q{SELECT count(DISTINCT booking.release_lock(r, (booking.acquire_lock(r, 'x')).token)) FROM (SELECT 'r' || n FROM generate_series(1, 100) n) AS v (r)}),
	'1', 'named locks are found again');
cmp_ok($node->safe_psql('shard2', q{SELECT last_value FROM booking.resource_lock_token_seq}), '>', 5,
	'and are on all shards');

# ---- the differences ----

refused('SELECT booking.move_ticket(5, 6)', '0A000', qr/5 and 6 are on different shards.*shards 1 and 2 of 4/s,
	'a ticket stays on its shard');
refused('SELECT booking.exchange_tickets(5, 8)', '0A000', qr/different shards/, 'two tickets of different shards');
$node->safe_psql('router', q{BEGIN; SELECT booking.book_ticket(800, 99, 'kept'); ROLLBACK});
is($node->safe_psql('shard0', 'SELECT count(*) FROM booking.ticket WHERE user_id = 99'),
	'1', 'a call commits by itself');
$node->safe_psql('router', q{SELECT booking.book_ticket(800, 99, 'kept')});
is($node->safe_psql('shard0', 'SELECT count(*) FROM booking.ticket WHERE user_id = 99'),
	'1', 'and the key makes it safe to repeat');
refused(q{SELECT booking.book_ticket(800, 'x')}, '22P02', qr/REMOTE ERROR: .*\n.*/, 'messages say where they come from');
$node->safe_psql('router', q{CREATE ROLE clerk LOGIN; GRANT USAGE ON SCHEMA booking TO clerk});
refused('SET ROLE clerk; SELECT booking.book_ticket(800, 1)', '42501', qr/permission denied for function book_ticket/,
	'EXECUTE is the gate');
$node->safe_psql('router', q{GRANT EXECUTE ON FUNCTION booking.book_ticket(bigint, bigint, text) TO clerk});
like($node->safe_psql('router', 'SET ROLE clerk; SELECT booking.book_ticket(800, 1)'), qr/^\d+$/,
	'with it a role needs nothing else');

# PL/Proxy is run by a superuser, so nothing of the caller's may be run with it.
$node->safe_psql('router', <<~'SQL');
	SET ROLE clerk;
	CREATE FUNCTION pg_temp.rise(t pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS
	$$ BEGIN IF current_user <> 'clerk' THEN EXECUTE 'ALTER ROLE clerk SUPERUSER'; END IF; RETURN true; END $$;
	CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.rise(VALUE));
	CREATE DOMAIN pg_temp.int8 AS pg_catalog.int8 CHECK (pg_temp.rise(VALUE::pg_catalog.text));
	CREATE FUNCTION pg_temp.eq(pg_catalog.text, pg_catalog.text) RETURNS boolean LANGUAGE sql AS
	$$ SELECT pg_temp.rise($1) $$;
	CREATE OPERATOR pg_temp.= (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = pg_temp.eq);
	SET search_path = pg_temp, pg_catalog;
	SELECT booking.book_ticket(800, 1);
	SQL
is($node->safe_psql('router', q{SELECT rolsuper FROM pg_roles WHERE rolname = 'clerk'}), 'f',
	'a caller gets no rights of the owner of the functions');

# PL/Proxy has one result for each cluster at a time.
my $two_sets = q{SELECT count(*) FROM (SELECT booking.book_batch(800, '{1,2}'::bigint[]), booking.book_batch(801, '{4,5}'::bigint[])) AS r};
is($node->safe_psql('router', $two_sets), '2', 'two sets in one select list');
is( $node->safe_psql('router', q{SELECT array_agg(a = b) FROM (SELECT (booking.book_batch(800, '{1,2}'::bigint[], 'a')).ord,
	(booking.book_batch(801, '{4,5}'::bigint[], 'a')).ord) AS r (a, b)}),
	'{t,t}', 'and their rows are not mixed');

# ---- clusters that do not fit ----

my $tickets = q{SELECT count(*) FROM booking.ticket};
my $before = join ' ', map { $node->safe_psql($_, $tickets) } map { "shard$_" } 0 .. 3;
my $does_not_fit = qr/cluster "shop" does not fit the functions of this router/;

my $old = connect_to($node, db => 'router');
$old->do('SELECT booking.book_ticket(801, 1)') or die $old->errstr;
set_partitions('shard0', 'shard2', 'shard1', 'shard3');
$old->do('SELECT booking.book_ticket(801, 1)');
is($old->state, '55000', 'a session that has called the shard before looks again');
$old->disconnect;
refused('SELECT booking.book_ticket(801, 1)', '55000', qr/$does_not_fit.*Partition 1 is shard 2 of 4, not shard 1 of 4\./s,
	'two partitions are swapped');
like($node->safe_psql('router', 'SELECT booking.book_ticket(803, 1)'), qr/^\d+$/, 'the others sell');
refused(q{SELECT * FROM booking.verify()}, '55000', $does_not_fit, 'a call to all shards is refused');
set_partitions('shard0', 'shard1', 'shard2', 'shard0');
refused(q{SELECT * FROM booking.sales}, '55000', qr/$does_not_fit.*Only 3 of its 4 partitions differ\./s,
	'two partitions are the same shard');

# What is changed behind the connection string is not noticed at once.  But a lock is never
# acquired on another shard, and an event is not found there.
set_partitions(map { "shard$_" } 0 .. 3);
$old = connect_to($node, db => 'router');
my ($lock) = $old->selectrow_array(q{SELECT r FROM (SELECT 'r' || n FROM generate_series(1, 100) n) AS v (r)
	WHERE booking.shard_of_resource(r, 4) = 1 LIMIT 1});
$old->do('SELECT booking.book_ticket(801, 1)') or die $old->errstr;
$old->do('SELECT booking.release_lock(?, (booking.acquire_lock(?, $$ann$$)).token)', undef, $lock, $lock) or die $old->errstr;
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('shard1', 'shard2')});
$node->safe_psql('postgres', 'ALTER DATABASE shard1 RENAME TO other; ALTER DATABASE shard2 RENAME TO shard1; ALTER DATABASE other RENAME TO shard2');
my @states = map { $old->do($_, undef, /\?/ ? $lock : ()); $old->state }
  ('SELECT booking.book_ticket(801, 1)', 'SELECT booking.book_ticket(801, 1)', 'SELECT booking.acquire_lock(?, $$ann$$)');
is("@states[1,2]", '23503 55000', 'shards that were swapped behind the connection strings');
$old->disconnect;
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('shard1', 'shard2')});
$node->safe_psql('postgres', 'ALTER DATABASE shard1 RENAME TO other; ALTER DATABASE shard2 RENAME TO shard1; ALTER DATABASE other RENAME TO shard2');
set_partitions('shard0', 'shard1');
refused('SELECT booking.book_ticket(800, 1)', '55000', qr/It has 2 partitions, but there are 4 shards\./, 'too few partitions');
refused(q{SELECT booking.acquire_lock('a', 'ann')}, '55000', $does_not_fit, 'a lock in too few partitions');
refused(q{SELECT booking.create_event('a', 1)}, '55000', $does_not_fit, 'an event in too few partitions');
set_partitions(map { "shard$_" } 0 .. 3, 0 .. 3);
refused('SELECT booking.book_ticket(800, 1)', '55000', qr/It has 8 partitions, but there are 4 shards\./, 'too many partitions');
create_shard('uuids', 1, 'uuid');
set_partitions('shard0', 'uuids', 'shard2', 'shard3');
refused('SELECT booking.book_ticket(801, 1)', '55000', qr/The user ids of partition 1 are of type uuid, not bigint\./, 'other user ids');
$node->safe_psql('postgres', 'CREATE DATABASE empty');
set_partitions('shard0', 'empty', 'shard2', 'shard3');
refused('SELECT booking.book_ticket(801, 1)', '42883|3F000', qr/REMOTE ERROR/, 'a database without pg_booking');
set_partitions('shard0', 'nowhere', 'shard2', 'shard3');
refused('SELECT booking.book_ticket(801, 1)', '[0-9A-Z]{5}', qr/nowhere/, 'a shard that is away');
like($node->safe_psql('router', 'SELECT booking.book_ticket(802, 1)'), qr/^\d+$/, 'the others sell');
set_partitions(map { "shard$_" } 0 .. 3);
$node->safe_psql('shard1', q{UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'pg_booking'});
refused('SELECT booking.book_ticket(801, 1)', '55000', qr/Partition 1 has pg_booking 0\.9, not 1\.0\./, 'another version');
$node->safe_psql('shard1', q{UPDATE pg_extension SET extversion = '1.0' WHERE extname = 'pg_booking'});
like($node->safe_psql('router', 'SELECT booking.book_ticket(801, 1)'), qr/^\d+$/, 'and back');
my $after = join ' ', map { $node->safe_psql($_, $tickets) } map { "shard$_" } 0 .. 3;
is($after, join(' ', map { (split ' ', $before)[$_] + ($_ == 0 ? 0 : $_ == 1 ? 3 : 1) } 0 .. 3), 'no refused call has sold anything');

$node->stop;
done_testing();
