# Disks that are full.  If the tables' disk is full, a statement that needs a new page
# fails (53100), and everything else goes on.  If the WAL's disk is full, the server
# panics.  It is started again when there is room, and must recover.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults qw(never skipped times_logged);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my @names = ('disk full, tables', 'disk full, WAL');
my $disks = $ENV{BOOKING_FAULTS_DISKS};

if (!$disks)
{
	skipped($_) foreach @names;
	plan skip_all => 'there are no small file systems to fill up';
}

# Fills a disk up to its last byte, with one file.
sub fill
{
	my ($disk) = @_;

	open my $file, '>', "$disk/ballast" or die "$disk/ballast: $!";
	1 while defined syswrite $file, "\0" x 65536;
	1 while defined syswrite $file, "\0" x 512;
	close $file;
	return;
}

sub make_room
{
	my ($disk) = @_;

	unlink "$disk/ballast" or die "$disk/ballast: $!";
	return;
}

# Waits until the log contains a message more often than before.
sub wait_for_log
{
	my ($run, $node, $what, $before) = @_;
	my $until = time() + 60;

	sleep 0.01 while times_logged($node, $what) <= $before && time() < $until;
	$run->wrong("not in the log: $what") if time() >= $until;
	return;
}

# ---- the disk of the tables ----

# The load must soon need new pages, so its quantities are large.
my %load = (
	rows => { hot => [5000], small => [9], limited => [60], expiring => [25] },
	largest => 300);
my $full = qr/\] 53100 .*ERROR:  /;
my $run = Faults->new($names[0], 20, 2);
my $node = booking_node('tables_full');

mkdir "$disks/data/space" or die "$disks/data/space: $!";
$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$disks/data/space'");
$node->safe_psql('template1', 'ALTER DATABASE postgres SET default_tablespace = small');
$run->prepare($node);
while (my $round = $run->next_round($node, %load))
{
	my $before = times_logged($node, $full);

	$round->load;
	sleep 0.05 + rand 0.1;
	fill("$disks/data");
	wait_for_log($run, $node, $full, $before + 3);
	make_room("$disks/data");
	sleep rand 0.1;
	$round->stop;
	$run->injected;
	$round->check(allowed => '53100');
}
cmp_ok($run->count('53100'), '>', 0, 'clients were told that the disk is full');
$run->done(unanswered => 0);
check_sound($node, 'disk full, tables');
$node->stop;

# ---- the disk of the WAL ----

my $panic = 'No space left on device';

$run = Faults->new($names[1], 20, 2);
$node = booking_node('wal_full',
	init => { extra => [ "--waldir=$disks/wal/pg_wal", '--wal-segsize=1' ] },
	conf => <<~'CONF');
	min_wal_size = 4MB
	max_wal_size = 8MB
	restart_after_crash = off
	CONF
$run->prepare($node);

# Uses up the WAL segments that exist, until the server has ended.  The clients alone
# would not: they write no WAL when all events are sold out.
sub use_up_wal
{
	my $dbh = connect_to($node) or return;

	1 while $dbh->do(q{SELECT pg_switch_wal() FROM pg_logical_emit_message(false, '', '')});
	return;
}

while (my $round = $run->next_round($node, %load))
{
	my $before = times_logged($node, "PANIC:  .*$panic");

	$round->load;
	sleep 0.05 + rand 0.2;
	$round->crash(sub { fill("$disks/wal"); use_up_wal() });
	make_room("$disks/wal");
	cmp_ok(times_logged($node, "PANIC:  .*$panic"), '>', $before, 'the server had no room for WAL');
	$node->kill9;               # the postmaster has ended by itself
	$round->start_again or last;
	sleep rand 0.1;
	$round->stop;
	$run->injected;
	$round->check(allowed => '53100');
}
$run->done(never => never(panic => $panic));
check_sound($node, 'disk full, WAL');
$node->stop;
done_testing();
