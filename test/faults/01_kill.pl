# A backend is killed (SIGKILL), so that the server ends all other sessions and
# recovers.  This happens at random moments, and at each fault point (src/fault.h):
# points in the code that takes, gives back, splits and confirms.  Capacity constraints
# reach those of the pools, too, so in some rounds only shows are sold.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults;
use Faults::Shop qw(@CONSTRAINTS);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# Options of the load without which it would not reach the point, or not often.  "pool"
# is set for the points of the pools.
my %point = (
	'stripe: before the write' => { pool => 1 },
	'stripe: written' => { pool => 1 },
	'stripe: drained' => { pool => 1, split => 1 },
	'stripe: not in the index' => { pool => 1, cold => 1 },
	'split: halved' => { pool => 1, split => 1 },
	'split: done' => { pool => 1, split => 1 },
	'gather: stripe 0 locked' => { pool => 1, split => 1 },
	'gather: in part' => { pool => 1, split => 1 },
	'subtransaction: before its end' => { pool => 1, split => 1 },
	'expire: not given back' => { rows => { expiring => [ 10, 10, 10 ] } },
	'commit: prefetch given back' => { pool => 1, rows => { hot => [2000] }, most_calls => 60 },
	'ticket: inserted' => {},
	'cancel: given back' => {},
	'confirm: no ticket yet' => {},
);

# The points of rounds in which all is sold, or only shows are.
my @rounds = ((map { [ $_, 0 ] } sort keys %point), (map { [ $_, 1 ] } grep { $point{$_}{pool} } sort keys %point));
my $run = Faults->new('backend killed', 500, @rounds + keys %point);
my $node = $run->node('kill', conf => <<~'CONF');
	restart_after_crash = on
	CONF
my $file = PostgreSQL::Test::Utils::tempdir() . '/armed';
my (@points, %seen);

# Returns the names of all fault points in the source.
sub points_of_source
{
	my $source = join '', map { slurp_file($_) } glob "$FindBin::RealBin/../../src/{*,*/*}.c";

	return sort $source =~ /\bfault_point\("([^"]+)"\)/g;
}

# Kills one client's session, preferably an active one.
sub kill_one
{
	my $pid = $node->safe_psql('postgres', <<~'SQL');
		SELECT pid FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
		ORDER BY state = 'active' DESC, random() LIMIT 1
		SQL

	kill 'KILL', $pid;
	return;
}

# Lets one of the sessions that reach a point kill itself there, and waits for that.
# Returns whether it happened.
sub arm
{
	my ($point) = @_;
	my $until = time() + 30;

	append_to_file($file, $point);
	sleep 0.002 while -e $file && time() < $until;
	return unlink($file) ? 0 : 1;
}

# A client's connection in a round for that point.
sub connect_armed
{
	my ($point, $passages) = @_;
	my $dbh = connect_to($node) or return;

	$dbh->do("SET booking.fault_point = '$point'");
	$dbh->do("SET booking.fault_file = '$file'");
	$dbh->do("SET booking.fault_passages = $passages");
	$dbh->do('SET booking.debug_split_always = on') if $point{$point}{split};
	return $dbh;
}

# Each round for a fault point in which all is sold is followed by one for a random moment.
sub next_point
{
	@points = map { $_->[1] ? $_ : ($_, []) } @rounds if !@points;
	return @{ shift @points };
}

# Makes indexes because of which no update of the column available is HOT.
sub make_cold
{
	$node->safe_psql('postgres', <<~SQL);
		CREATE INDEX cold ON booking.inventory (available);
		CREATE INDEX cold_too ON booking.$CONSTRAINTS[0] (available);
		SQL
	return;
}

for (;;)
{
	my ($point, $only_shows) = next_point();
	my $round = $run->next_round($node, only_shows => $only_shows, defined $point ? %{ $point{$point} } : ()) or last;

	if (defined $point)
	{
		make_cold() if $point{$point}{cold};
		$round->load(single => 0, connect => sub { connect_armed($point, int rand 3) });
		$round->crash(sub { $seen{$point}[$only_shows] += arm($point) });
	}
	else
	{
		$round->load;
		sleep 0.05 + rand 0.3;
		$round->crash(\&kill_one);
	}
	$run->injected;
	$round->wait_for_server;
	sleep rand 0.1;
	$round->stop;
	$round->check(allowed => '57P0[123]');
	$node->safe_psql('postgres', 'DROP INDEX IF EXISTS booking.cold, booking.cold_too');
}
is_deeply([ sort keys %point ], [ points_of_source() ], 'these are the points of the source');
foreach (@rounds)
{
	my ($name, $only_shows) = @$_;

	cmp_ok($seen{$name}[$only_shows] // 0, '>', 0, "killed at \"$name\"" . ($only_shows ? ', only shows' : ''));
}
$run->done;
check_sound($node, 'killed');
$node->stop;
done_testing();
