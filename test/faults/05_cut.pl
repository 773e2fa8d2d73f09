# Connections are cut by a relay between clients and server: when the server has
# committed and before the client has the answer, and also before and after the
# request gets through.  What got no answer is asked again with its idempotency
# key until there is one, and must have been done once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingRelay;
use BookingTest;
use Faults;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $run = Faults->new('connection cut before the reply', 20, 2);
my $node = $run->node('cut');
my $wanted = $run->full_or_quick(100, 50);    # lost replies with a key, in a round
my $clients = 8;
my %rows = (hot => [1500], small => [ 30, 60 ], limited => [60], expiring => [80]);
my $file = PostgreSQL::Test::Utils::tempdir() . '/cuts';

# A request that ends here, and one with a key (its head is the round's first user).
my $whole = qr/^Q|S\x00\x00\x00\x04\z/s;
my $with_key = qr/\d0000000-\d+-\d+/;

# An answer with a value: what was asked is done, and committed.
my $value = qr/D\x00\x00..\x00\x01(?!\xff\xff\xff\xff).*Z\x00\x00\x00\x05I\z/s;

# What becomes of a request.  Most of those that are cut have a key.
sub fate
{
	my (undef, $request) = @_;

	return if $request !~ $whole || rand() > ($request =~ $with_key ? 0.4 : 0.02);
	return ('before', 'through', 'answered', 'answered', 'answered')[ int rand 5 ];
}

# Notes a cut: where, and whether its client has to ask again for what it has.
sub note_cut
{
	my ($where, $request, $answer) = @_;

	$where = 'lost' if $request =~ $with_key && $answer =~ $value;
	append_to_file($file, "$where\n");
	return;
}

# How many cuts there were, by where.
sub cuts
{
	my %count = map { $_ => 0 } qw(before through answered lost);

	$count{$_}++ foreach -e $file ? split /\n/, slurp_file($file) : ();
	return %count;
}

# Waits until there were so many lost replies.
sub wait_for_cuts
{
	my ($enough) = @_;
	my $until = time() + 120;

	while ({ cuts() }->{lost} < $enough)
	{
		return $run->wrong('too few connections were cut') if time() > $until;
		sleep 0.02;
	}
	return;
}

my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 50)
  or die "127.0.0.1: $!";
my $relay = BookingRelay->start(
	$node, listen => { relay => $listener },
	fate => \&fate, cut => \&note_cut,
	workers => 2 * $clients, seed => $run->{seed});
my $port = $listener->sockport;

while (my $round = $run->next_round($node, rows => \%rows))
{
	$round->load(
		keyed => 1, clients => $clients,
		connect => sub { connect_to($node, host => '127.0.0.1', port => $port) });
	wait_for_cuts($wanted * $run->{round});
	$round->stop;
	$round->wait_for_sessions;
	$round->check;
}
my %cuts = cuts();

$relay->stop;
$run->injected($cuts{lost});
cmp_ok($cuts{lost}, '>=', $wanted * $run->{rounds}, 'replies were lost, and asked for again');
cmp_ok($cuts{$_}, '>', 0, "cut at: $_") foreach sort keys %cuts;
$run->done;
check_sound($node, 'cut');
check_log($node, 'cut', 'TK...', 'P0002', '40P01', '40001', '08...');
$node->stop;
done_testing();
