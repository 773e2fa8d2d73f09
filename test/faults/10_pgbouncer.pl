# PgBouncer in transaction mode between the clients and the server: each
# transaction may come from another client than the one before it in the same
# session, and go to another session than the one before it of the same client.
# What a session keeps of one must not be seen by the next.  Now and then
# PgBouncer changes its server connections under the load.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use DBI ();
use Faults;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $clients = 16;
my $sessions = 4;
my $run = Faults->new('PgBouncer', 20, 1);
my $calls = 5000;               # a round, at least
my $node = $run->node('bouncer');
my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $port = 6432;                # of a unix socket in that folder

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
	local $?;                   # the test's own status
	$bouncer->kill_kill if $bouncer;
}

# A connection through PgBouncer, whose sessions know no prepared statements of
# a client's; or to its console.
sub connect_through
{
	my ($name) = @_;
	my $dbh = DBI->connect("dbi:Pg:dbname=$name;host=$dir;port=$port", 'postgres', undef,
		{ AutoCommit => 1, RaiseError => 0, PrintError => 0, pg_server_prepare => 0 });

	return $dbh;
}

sleep 0.05 until -S "$dir/.s.PGSQL.$port" || !$bouncer->pumpable;
my $console = connect_through('pgbouncer') or BAIL_OUT('PgBouncer does not answer');

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
	}
	$round->finish(180);
	$run->injected($calls);
	$round->check;
}

is($renewed, 5 * $run->{rounds}, 'server connections were renewed under the load');
cmp_ok($most, '<=', 2 * $sessions, "$clients clients share few sessions");
cmp_ok($most, '>', 0, 'and do have some');
cmp_ok($run->count('calls'), '>=', $calls * $run->{rounds}, 'so many calls were made');
$run->done(unanswered => 0);
check_sound($node, 'PgBouncer');
$node->stop;
done_testing();
