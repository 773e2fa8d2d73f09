# The primary is killed and its synchronous standby promoted, over and over: what
# was the primary comes back as the standby of the new one.  No booking that was
# acknowledged may be lost, though in every other round the standby had lost its
# connection a moment before.
#
# In the control it is not synchronous.  Then the same must lose some, or this
# test is blind; and nothing but what the WAL had after the place where the standby
# had come to.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults qw(end_of_wal);
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

# A connection to whichever is the primary.
sub connect_to_primary
{
	return connect_to($primary,
		host => $hosts, port => $ports, more => ';target_session_attrs=read-write');
}

# Makes a server a standby of the primary, whatever it was, and waits until it is
# a synchronous one (or an asynchronous one, in the control).
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

# Ends the standby's connection for good.
sub cut_off
{
	$standby->safe_psql('postgres', q{ALTER SYSTEM SET primary_conninfo = ''});
	$standby->reload;
	$standby->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_wal_receiver')
	  or die 'the standby stays connected';
	sleep rand 0.1;
	return;
}

# The standby takes over, and what was the primary becomes its standby.
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
	sleep 0.1 + rand 0.4;
	cut_off() if $run->{round} % 2;
	$round->kill_all;
	fail_over('sync');
	$run->injected;
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
	$round->kill_all;
	$round->stop;    # what comes then is somewhere else in the WAL than what is lost
	fail_over('async');
	$control->injected;
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
