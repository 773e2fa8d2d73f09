# PgBouncer in transaction mode between the clients and the server.  A session gets
# transactions of different clients, and a client's transactions go to different
# sessions.  What a session remembers from one client must not harm the next one.
# Several times PgBouncer renews its server connections under load.
#
# A named lock belongs to its token, not to a session: its holder asserts, renews and
# releases it in whatever session it gets.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $clients = 16;
my $sessions = 4;
my $run = Faults->new('PgBouncer', 20, 1);
my $calls = 5000;               # in each round, at least
my $node = $run->node('bouncer');
my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $port = 6432;                # the number in the name of the unix socket

append_to_file("$dir/pgbouncer.ini", sprintf <<~'INI', $node->host, $node->port, $dir, $port, $sessions, $dir);
	[databases]
	postgres = host=%s port=%d user=postgres
	[pgbouncer]
	listen_addr =
	unix_socket_dir = %s
	listen_port = %d
	auth_type = any
	pool_mode = transaction
	default_pool_size = %d
	max_client_conn = 100
	admin_users = postgres
	logfile = %s/log
	INI

my ($renewed, $most) = (0, 0);
my $bouncer = IPC::Run::start([ 'pgbouncer', '-q', "$dir/pgbouncer.ini" ], '<', \'', '>&', "$dir/out");
END
{
	local $?;                   # keeps the test's own status
	$bouncer->kill_kill if $bouncer;
}

# Connects to a database through PgBouncer, or to PgBouncer's console.  Prepared
# statements are off, because they would belong to one session.
sub connect_through
{
	my ($name) = @_;
	my $dbh = connect_to($node, host => $dir, port => $port, db => $name, more => ';user=postgres') or return;

	$dbh->{pg_server_prepare} = 0;
	return $dbh;
}

# Uses a lock under the load, each statement in a session that PgBouncer chooses.
# Returns what went wrong.
sub use_lock
{
	my ($holder, $other) = @_;
	my ($token) = $holder->selectrow_array(q{SELECT token FROM booking.acquire_lock('job', 'holder', '1 hour')})
	  or return 'acquire_lock: ' . $holder->errstr;
	my @wrong;

	my ($status) = $other->selectrow_array(q{SELECT status FROM booking.try_acquire_lock('job', 'other')});

	push @wrong, 'another client got the lock' if ($status // '') ne 'locked';
	$holder->begin_work;
	push @wrong, 'assert_lock: ' . $holder->errstr
	  if !$holder->do('SELECT booking.assert_lock($$job$$, ?)', undef, $token);
	$holder->commit;
	push @wrong, 'renew_lock: ' . $holder->errstr
	  if !$holder->do('SELECT booking.renew_lock($$job$$, ?, $$1 hour$$)', undef, $token);
	my ($released) = $holder->selectrow_array('SELECT booking.release_lock($$job$$, ?)', undef, $token);

	push @wrong, 'the lock was not released' if !$released;
	push @wrong, 'a released lock was asserted'
	  if $other->do('SELECT booking.assert_lock($$job$$, ?)', undef, $token) || $other->state ne '23T09';
	return @wrong;
}

sleep 0.05 until -S "$dir/.s.PGSQL.$port" || !$bouncer->pumpable;
my $console = connect_through('pgbouncer') or BAIL_OUT('PgBouncer does not answer');
my ($holder, $other) = map { connect_through('postgres') } 1 .. 2;

while (my $round = $run->next_round($node, rows => { hot => [1500], small => [ 5, 9, 30 ], limited => [200], expiring => [50] }))
{
	$round->load(connect => sub { connect_through('postgres') },
		clients => $clients, calls => 1 + int($calls / $clients));
	foreach my $change (1 .. 5)
	{
		sleep rand 1;
		my $seen = $node->safe_psql('postgres', <<~'SQL');
			SELECT count(*) FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
			SQL

		$most = $seen if $seen > $most;
		$renewed += $console->do('RECONNECT') ? 1 : 0;
		$run->wrong(use_lock($holder, $other));
	}
	$round->finish(180);
	$run->injected($calls);
	$round->check;
}

is($renewed, 5 * $run->{rounds}, 'server connections were renewed under the load');
cmp_ok($most, '<=', 2 * $sessions, "$clients clients share few sessions");
cmp_ok($most, '>', 0, 'the clients have sessions');
cmp_ok($run->count('calls'), '>=', $calls * $run->{rounds}, 'the wanted number of calls was made');
$run->done(unanswered => 0);
check_sound($node, 'PgBouncer');
$node->stop;
done_testing();
