# The primary is killed and its synchronous standby promoted, again and again.  The
# old primary becomes the standby of the new one.  No acknowledged booking may be
# lost.  In every other round, the standby lost its connection just before.
#
# In the control, the standby is asynchronous.  Then acknowledged bookings must be
# lost; otherwise this test could not see a loss.  Only those may be lost that come
# after the position in the WAL which the standby had reached.
#
# Named locks that were granted on the old primary are those of the new one, with the same
# tokens.  An asynchronous standby loses some.  Their tokens are not given again if the
# sequence is moved first.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults qw(end_of_wal);
use Faults::NamedLocks qw(grant_locks lost_locks skip_tokens old_tokens);
use File::Path qw(rmtree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $run = Faults->new('failover', 50, 3);
my $primary = $run->node(
	'one',
	init => { allows_streaming => 1, extra => ['--wal-segsize=1'] },
	conf => <<~'CONF');
	shared_buffers = 16MB
	min_wal_size = 2MB
	max_wal_size = 32MB
	CONF
my $standby = PostgreSQL::Test::Cluster->new('two');
my $hosts = join ',', map { $_->host } $primary, $standby;
my $ports = join ',', map { $_->port } $primary, $standby;

push @{ $run->{nodes} }, $standby;

# Connects to whichever server is the primary.
sub connect_to_primary
{
	return connect_to($primary,
		host => $hosts, port => $ports, more => ';target_session_attrs=read-write');
}

# Makes a new standby of the primary in the place of a server.  Waits until its state
# is sync (or async, in the control).
sub make_standby
{
	my ($node, $state) = @_;

	rmtree($node->data_dir);
	system_or_bail('pg_basebackup', '-D', $node->data_dir, '-h', $primary->host,
		'-p', $primary->port, '--checkpoint=fast', '--no-sync', '--no-manifest', '--wal-method=fetch');
	unlink $node->data_dir . '/postgresql.auto.conf';
	$node->append_conf('postgresql.auto.conf', sprintf <<~'CONF', $node->port, $primary->connstr);
		port = %s
		primary_conninfo = '%s'
		CONF
	$node->set_standby_mode;
	$node->start;
	$primary->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = '$state'")
	  or die "the standby does not become $state";
	return;
}

# Cuts the standby's connection.  It does not reconnect.
sub cut_off
{
	$standby->safe_psql('postgres', q{ALTER SYSTEM SET primary_conninfo = ''});
	$standby->reload;
	$standby->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_wal_receiver')
	  or die 'the standby stays connected';
	sleep rand 0.1;
	return;
}

# Promotes the standby, and makes the old primary its standby.
sub fail_over
{
	my ($state) = @_;

	$standby->promote;
	($primary, $standby) = ($standby, $primary);
	make_standby($standby, $state);
	return;
}

$run->make_small($primary);
$primary->append_conf('postgresql.conf', "synchronous_standby_names = '*'");
$primary->reload;
make_standby($standby, 'sync');
while (my $round = $run->next_round($primary))
{
	$round->load(connect => \&connect_to_primary, keyed => $run->{round} % 3 == 0);
	my $granted = grant_locks($primary, $run->{round});

	sleep 0.1 + rand 0.4;
	cut_off() if $run->{round} % 2;
	$round->kill_all;
	fail_over('sync');
	$run->injected;
	$run->wrong("the lock of $_ was lost") foreach lost_locks($primary, $granted);
	$run->wrong("token $_ can be given again") foreach old_tokens($primary, $granted);
	sleep rand 0.3;
	$round->stop;
	$round->check(node => $primary);
}
cmp_ok($run->count('unknown'), '>', 0, 'clients waited for the standby when the primary was killed');
$run->done;
check_sound($_, 'failover') foreach $primary, $standby;

foreach my $node ($primary, $standby)
{
	$node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
	$node->reload;
}

my $control = Faults->new('failover, control: asynchronous standby', 5, 1);

push @{ $control->{nodes} }, $primary, $standby;
while (my $round = $control->next_round($primary))
{
	$round->load(connect => \&connect_to_primary, positions => 1);
	sleep 0.2;
	cut_off();
	my $granted = grant_locks($primary, 'control');

	$round->kill_all;
	$round->stop;    # later transactions would reuse the WAL positions of the lost ones
	fail_over('async');
	$control->injected;
	cmp_ok(scalar lost_locks($primary, $granted), '>', 0, 'control: an asynchronous standby has lost locks');
	skip_tokens($primary);
	is(join(' ', old_tokens($primary, $granted)), '', 'control: their tokens are not given again');
	my $dbh = connect_to($primary);
	my (undef, @lost) = $round->judge($dbh);

	cmp_ok(scalar @lost, '>', 0, 'control: an asynchronous standby has lost acknowledged bookings');
	$dbh->disconnect;
	$round->check(node => $primary, until => end_of_wal($primary), may_lose_all => 1);
}
$control->done;
check_sound($primary, 'control');
$standby->stop;
$primary->stop;
done_testing();
