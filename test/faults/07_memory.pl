# Backends that run out of memory: each session may have little more than it has
# after it was started (prlimit), and is then asked for small and for very large
# things.  What can't be had is refused (53200), and the session goes on.

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
my $most = 6_000_000;            # bytes more than a session has
my $few = 300_000;               # the same for the first client

# The size of a process, in bytes.
sub size_of
{
	my ($pid) = @_;
	my ($kilobytes) = slurp_file("/proc/$pid/status") =~ /^VmSize:\s+(\d+) kB$/m;

	return 1024 * $kilobytes;
}

# A connection whose session may grow by few bytes (the first client, to whom some
# must be refused), by a random number of them, or by the most (the last, who must
# be able to book).  Its stack has its full size before: a stack that can't grow
# ends the process, whatever the program.  So is the library there, which needs
# memory to be loaded.
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

	$run->wrong('memory was refused to nobody') if !$count->{53200};
}
note('memory was refused in ' . $run->count('53200') . ' calls');
$run->done(unanswered => 0);
check_sound($node, 'out of memory');
$node->stop;
done_testing();
