# A backend is killed at a random moment (SIGKILL): the server ends all the
# others and recovers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults;
use Test::More;
use Time::HiRes qw(sleep);

my $run = Faults->new('backend killed', 500, 20);
my $node = $run->node('kill', conf => <<~'CONF');
	restart_after_crash = on
	CONF

while (my $round = $run->next_round($node))
{
	$round->load;
	sleep 0.05 + rand 0.3;
	my $pid = $node->safe_psql('postgres', <<~'SQL');
		SELECT pid FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
		ORDER BY state = 'active' DESC, random() LIMIT 1
		SQL

	$round->crash(sub { $run->injected(kill 'KILL', $pid) });
	$round->wait_for_server;
	sleep rand 0.1;
	$round->stop;
	$round->check(allowed => '57P0[123]');
}
$run->done;
check_sound($node, 'killed');
$node->stop;
done_testing();
