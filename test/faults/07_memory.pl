# Backends that run out of memory.  Each session may get little more memory than it
# has after its start (prlimit).  Then it gets small requests and very large ones.
# A request that needs too much fails (53200), and the session goes on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults;
use PostgreSQL::Test::Utils;
use Test::More;

my $run = Faults->new('out of memory', 200, 8);
my $node = $run->node('memory');
my $most = 6_000_000;            # bytes by which a session may grow
my $few = 300_000;               # the same for the first client

# The size of a process, in bytes.
sub size_of
{
	my ($pid) = @_;
	my ($kilobytes) = slurp_file("/proc/$pid/status") =~ /^VmSize:\s+(\d+) kB$/m;

	return 1024 * $kilobytes;
}

# A connection whose session may grow by a limited number of bytes: a few for the
# first client, so that some of its calls must fail; the most for the last client,
# which must be able to book; and a random number in between.  Before that the stack
# grows to its full size, because a stack that can't grow ends any process.  The
# libraries are also loaded before.
sub connect_limited
{
	my ($number) = @_;
	my $dbh = connect_to($node) or return;

	$dbh->do("LOAD '$_'") foreach qw(pg_booking plpgsql);
	$dbh->do(q{SELECT repeat('[', 1000000)::json});
	die 'the stack was not filled' if $dbh->state ne '54001';
	my ($pid) = $dbh->selectrow_array('SELECT pg_backend_pid()');
	my $limit = size_of($pid) + int($number == 1 ? rand $few : $number == 2 ? rand $most : $most);

	system('prlimit', "--pid=$pid", "--as=$limit:") == 0 or die 'prlimit has failed';
	return $dbh;
}

while (my $round = $run->next_round($node, rows => { hot => [3000], small => [9], limited => [100], expiring => [50] }))
{
	$round->load(connect => \&connect_limited, clients => 3, calls => 15, largest => 4000);
	$round->finish(120);
	$run->injected;
	my $count = $round->check(allowed => '53200');

	$run->wrong('no call failed with 53200') if !$count->{53200};
}
note('out of memory: ' . $run->count('53200') . ' calls');
$run->done(unanswered => 0);
check_sound($node, 'out of memory');
$node->stop;
done_testing();
