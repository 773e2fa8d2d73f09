# A relay between clients and server cuts connections: before the server gets a
# request, after that, or after the server has committed and before the client gets
# the answer.  The client repeats a request that got no answer, with the same
# idempotency key, until there is one.  The request must take effect exactly once.

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
my $wanted = $run->full_or_quick(100, 50);    # lost answers to requests with a key, in each round
my $clients = 8;
my %rows = (hot => [1500], small => [ 30, 60 ], limited => [60], expiring => [80]);
my $file = PostgreSQL::Test::Utils::tempdir() . '/cuts';

# The end of a request, and a request with a key (see choose_new() in Faults::Load).  The
# server does not answer a COPY before it has its rows.
my $whole = qr/^Q(?!....COPY)|[Sc]\x00\x00\x00\x04\z/s;
my $with_key = qr/\d0000000-\d+-\d+/;

# An answer with a value: the request was executed and committed.
my $value = qr/D\x00\x00..\x00\x01(?!\xff\xff\xff\xff).*Z\x00\x00\x00\x05I\z/s;

# Decides about a request.  Most of the requests that are cut have a key.
sub fate
{
	my (undef, $request) = @_;

	return if $request !~ $whole || rand() > ($request =~ $with_key ? 0.4 : 0.02);
	return ('before', 'through', 'answered', 'answered', 'answered')[ int rand 5 ];
}

# Notes where a connection was cut.  The answer is "lost" if it had a value and the
# client has to repeat the request to get it.
sub note_cut
{
	my ($where, $request, $answer) = @_;

	$where = 'lost' if $request =~ $with_key && $answer =~ $value;
	append_to_file($file, "$where\n");
	return;
}

# Returns the number of cuts by their place.
sub cuts
{
	my %count = map { $_ => 0 } qw(before through answered lost);

	$count{$_}++ foreach -e $file ? split /\n/, slurp_file($file) : ();
	return %count;
}

# Waits until that many answers were lost.
sub wait_for_cuts
{
	my ($enough) = @_;
	my $until = time() + 120;

	while ({ cuts() }->{lost} < $enough)
	{
		return $run->wrong('too few answers were lost') if time() > $until;
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

# A client must not wait for a relay that has died.
my $timeout = ';connect_timeout=20';

while (my $round = $run->next_round($node, rows => \%rows))
{
	$round->load(
		keyed => 1, clients => $clients,
		connect => sub { connect_to($node, host => '127.0.0.1', port => $port, more => $timeout) });
	wait_for_cuts($wanted * $run->{round});
	$round->stop;
	$round->wait_for_sessions;
	$round->check;
}
my %cuts = cuts();

$relay->stop;
$run->injected($cuts{lost});
cmp_ok($cuts{lost}, '>=', $wanted * $run->{rounds}, 'answers were lost, and the requests repeated');
cmp_ok($cuts{$_}, '>', 0, "cut at: $_") foreach sort keys %cuts;
$run->done;
check_sound($node, 'cut');
check_log($node, 'cut', '23T..', '23514', 'P0002', '40P01', '40001', '08...');
$node->stop;
done_testing();
