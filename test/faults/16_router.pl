# Clients call a router, which calls two shards, each a server of its own.  A shard or the
# router is killed (SIGKILL), or the network between the router and a shard is cut or falls
# silent, in the middle of calls with and without an idempotency key.
#
# A remote call commits by itself.  If the router lost the shard, the call may have been done,
# or may still be: it has no answer.  So the journals are compared with a shard's tables
# after the shard's sessions have ended.
#
# While one shard can't be reached, the clients of the other one must get their answers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults qw(never times_logged);
use Faults::Calls qw(%CALL);
use Faults::Network;
use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# What limits the wait for a silent shard: the kernel gives up a connection if what it
# sent was not acknowledged for this time, and asks after a second if the shard is alive.
# This is also true of a new connection.  (PL/Proxy's query_timeout would not do: it is
# looked at only after a packet has come.  connect_timeout neither, because PL/Proxy
# connects asynchronously.)
use constant GIVE_UP => 'tcp_user_timeout=1000 keepalives_idle=1 keepalives_interval=1';

use constant SHARDS => 2;

# The clients that use one shard only.  There are as many that use all.
use constant CLIENTS_OF_SHARD => 2;

# How PL/Proxy says that it lost a shard, or can't reach it.
my $lost = qr{PL/Proxy function booking\.\w+\(\d+\): \[\w+\] PQ\w+: |REMOTE \(null\): \(null\)};

my $run = Faults->new('router: a shard or the router killed, the network cut or silent', 200, 4);
my @shards = map { $run->node("shard$_", tables => "'bigint', $_, " . SHARDS) } 0 .. SHARDS - 1;
my @network = map { Faults::Network->start($_) } @shards;
my $router = booking_node('router');
my %down = map { $_ => 0 } qw(killed cut silent);    # the seconds that shards were away
my $acknowledged = 0;           # silences in which the kernel still acknowledged packets

# Makes a server the router of the shards.
sub create_router
{
	my $n = 0;
	my $partitions = join ', ',
	  map { sprintf q{p%d 'host=127.0.0.1 port=%d dbname=postgres %s'}, $n++, $_->{port}, GIVE_UP } @network;

	push @{ $run->{nodes} }, $router;
	$router->safe_psql('postgres', $shards[0]->safe_psql('postgres', q{SELECT booking.router_functions('shop')}));
	$router->safe_psql('postgres', <<~SQL);
		CREATE SERVER shop FOREIGN DATA WRAPPER plproxy OPTIONS ($partitions);
		CREATE USER MAPPING FOR PUBLIC SERVER shop OPTIONS (user '${\ scalar getpwuid($<)}');
		SQL
	return;
}

# Returns the only shard that a client uses, or undef if it uses all.
sub shard_of_client
{
	my ($number) = @_;
	my $shard = int(($number - 1) / CLIENTS_OF_SHARD);

	return $shard < SHARDS ? $shard : undef;
}

# Returns the events that a client uses.
sub events_of_client
{
	my ($round, $number) = @_;
	my $shard = shard_of_client($number) // return $round->{events};
	my $of_shard = $round->events_of($shard);

	return { map { my $kind = $_; $kind => [ grep { $of_shard->{$_} } @{ $round->{events}{$kind} } ] } keys %{ $round->{events} } };
}

# A router has functions only.  expire_holds() runs on all shards, so the clients of
# one shard don't call it.
sub may_call
{
	my ($number, $name) = @_;

	return $CALL{$name}{sql} =~ /^SELECT/ && !($name eq 'sweep' && defined shard_of_client($number));
}

# Returns how many answers the clients of the other shards have got.
sub answers_of_others
{
	my ($round, $shard) = @_;
	my @journals = $round->{load}->journals;
	my $answers = 0;

	foreach my $number (1 .. CLIENTS_OF_SHARD * SHARDS)
	{
		next if shard_of_client($number) == $shard || !-e $journals[ $number - 1 ];
		$answers += () = slurp_file($journals[ $number - 1 ]) =~ /^answer\t\d+\t(?:ok|refused)\t/mg;
	}
	return $answers;
}

# In half of the rounds, the answers stop a little before the fault.  Then the calls in
# progress have been done, and their answers are lost.  Returns whether they stop.
sub perhaps_mute
{
	my (@networks) = @_;

	return 0 if rand() < 0.5;
	$_->mute foreach @networks;
	sleep 0.05 + rand 0.1;
	return 1;
}

# Takes a shard away by code, for that many seconds.  It stays away until the clients of the
# others got answers.
sub take_away
{
	my ($round, $shard, $how, $seconds, $code) = @_;
	my $from = time();

	$code->(perhaps_mute($network[$shard]));
	my $before = answers_of_others($round, $shard);

	sleep $seconds;
	my $until = time() + 20;

	sleep 0.02 while answers_of_others($round, $shard) < $before + 10 && time() < $until;
	$run->wrong("clients of another shard waited for shard $shard, which was $how") if time() >= $until;
	$down{$how} += time() - $from;
	return;
}

# Returns for how many seconds the network fails: from 1 to 30, but mostly few.
sub outage
{
	my ($least, $most, $power) = @{ $run->full_or_quick([ 1, 30, 20 ], [ 0.2, 2, 1 ]) };

	return $least + ($most - $least) * rand()**$power;
}

my %fault = (
	'shard killed' => sub {
		my ($round, $shard) = @_;

		take_away(
			$round, $shard, 'killed', 0.2 + rand 0.3,
			sub {
				my ($mute) = @_;

				$round->kill_all($shards[$shard]);
				$network[$shard]->cut if $mute;    # so that no answer arrives now
			});
		$network[$shard]->restore;
		$round->start_again(60, $shards[$shard]);
	},
	'router killed' => sub {
		my ($round) = @_;

		perhaps_mute(@network);
		$round->kill_all;
		$_->restore foreach @network;
		sleep rand 0.2;
		$round->start_again;
	},
	'cut' => sub {
		my ($round, $shard) = @_;

		take_away($round, $shard, 'cut', outage(), sub { $network[$shard]->cut });
		$network[$shard]->restore;
	},
	# After it, what the shard was sent before arrives late, or never.
	'silence' => sub {
		my ($round, $shard) = @_;

		take_away($round, $shard, 'silent', outage(), sub { $acknowledged += !$network[$shard]->silence });
		$network[$shard]->cut if rand() < 0.5;
		$network[$shard]->restore;
	});
my %rows = (hot => [120], small => [ 5, 9 ], limited => [40], expiring => [20]);    # on each shard
my (@faults, %done);

create_router();
while (my $round = $run->next_round($router, shards => \@shards, only_events => 1, rows => \%rows))
{
	$round->load(
		# (PL/Proxy sends a notice whenever it connects again)
		connect => sub { connect_to($router, more => ';options=-cclient_min_messages=error') },
		clients => 2 * CLIENTS_OF_SHARD * SHARDS, events => sub { events_of_client($round, @_) },
		single => 1, may_call => \&may_call, lost => $lost, keyed => $run->{round} % 2);
	sleep 0.1 + rand 0.2;
	@faults = shuffle sort keys %fault if !@faults;    # each is as frequent as the others
	my $name = pop @faults;

	$fault{$name}->($round, int rand SHARDS);
	$run->injected;
	$done{$name}++;
	sleep rand 0.2;
	$round->stop;
	$round->wait_for_sessions(60, $_) foreach @shards;
	$round->check;
}
note("$_: $done{$_} times") foreach sort keys %done;
note(sprintf 'shards were %s for %d s', $_, $down{$_}) foreach sort keys %down;
note("in $acknowledged silences the kernel acknowledged packets") if $acknowledged;
is(scalar keys %done, scalar keys %fault, 'each fault was injected');
cmp_ok($run->count('unknown'), '>', 0, 'calls were lost');
cmp_ok($run->count('XX000'), '>', 0, 'the router said so');
cmp_ok(times_logged($router, 'PQconsumeInput: .*Connection timed out'), '>', 0, 'the router gave up silent shards')
  if !$acknowledged && $run->full_or_quick(1, 0);
$_->stop foreach @network;
$run->done(only_events => 1, never => never(internal => $lost));
check_sound($_, $_->name) foreach @shards;
$_->stop foreach $router, @shards;
done_testing();
