# The postmaster is killed (SIGKILL), and each session ends as soon as it notices.
# Or the postmaster is told to stop immediately.  The server is started again while
# the clients are trying to connect.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults qw(times_logged);
use Test::More;
use Time::HiRes qw(sleep);

my $run = Faults->new('postmaster killed, or stopped immediately', 200, 6);
my $node = $run->node('postmaster');
my %done = (killed => 0, stopped => 0);

while (my $round = $run->next_round($node))
{
	my $how = $round->{number} % 2 ? 'killed' : 'stopped';

	$round->load;
	sleep 0.05 + rand 0.3;
	$round->crash(sub { $how eq 'killed' ? $node->kill9 : $node->stop('immediate') });
	$run->injected;
	$done{$how}++;
	$round->start_again;
	sleep rand 0.1;
	$round->stop;
	$round->check;
}
is(times_logged($node, 'received immediate shutdown request'), $done{stopped}, "stopped $done{stopped} times");
cmp_ok(times_logged($node, 'terminating connection due to unexpected postmaster exit'),
	'>=', $done{killed}, "killed $done{killed} times");
is(times_logged($node, 'automatic recovery in progress'), $done{killed} + $done{stopped}, 'the server recovered after each');
$run->done;
check_sound($node, 'postmaster');
$node->stop;
done_testing();
