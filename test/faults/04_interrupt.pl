# Calls are interrupted at random moments: by a cancel, by statement_timeout, by
# lock_timeout, and by the end of the session (pg_terminate_backend).  The server's
# log tells these four apart, so the interrupted calls are counted there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults;
use Faults::Shop qw(is_show);
use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# What the log says for each kind of interrupt.
my %interrupt = (
	'cancel' => qr/ 57014 .*: +canceling statement due to user request/,
	'statement_timeout' => qr/ 57014 .*: +canceling statement due to statement timeout/,
	'lock_timeout' => qr/ 55P03 .*: +canceling statement due to lock timeout/,
	'terminate' => qr/ 57P01 .*: +terminating connection due to administrator command/,
);

my $run = Faults->new('statement cancelled, timed out, session ended', 50, 3);
my $node = $run->node('interrupt');
my $wanted = $run->full_or_quick(25, 12);    # of each kind in each round
my %seen = map { $_ => 0 } keys %interrupt;
my $read = 0;                                # how much of the log has been read
my %rows = (hot => [500], small => [ (30) x 8 ], limited => [ (60) x 3 ], expiring => [60]);

# A client's connection.  About every other one has a timeout of some milliseconds.
sub connect_impatient
{
	my $dbh = connect_to($node) or return;
	my $timeout = (undef, undef, 'statement_timeout', 'lock_timeout')[ int rand 4 ];

	$dbh->do("SET $timeout = " . (1 + int rand 4)) if $timeout;
	return $dbh;
}

# Interrupts one client's session, preferably an active one.
sub interrupt
{
	my ($dbh, $how) = @_;

	$dbh->do(<<~SQL) // $run->wrong($dbh->errstr);
		SELECT pg_${how}_backend(pid) FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
		ORDER BY state = 'active' DESC, random() LIMIT 1
		SQL
	return;
}

# Returns how many calls were interrupted so far, by kind.
sub seen
{
	return join ', ', map { "$_ $seen{$_}" } sort keys %seen;
}

# Counts the interrupts in the part of the log that was not read yet.
sub read_log
{
	my $news = slurp_file($node->logfile, $read);

	$read += length $news;
	foreach my $how (keys %interrupt)
	{
		my $count = () = $news =~ /$interrupt{$how}/g;

		$seen{$how} += $count;
		$run->injected($count);
	}
	return;
}

# Raises the capacity of an event or show, so that its sale goes on.  Then raises it again in
# a transaction that lasts a while, so that bookings have to wait.
sub raise
{
	my ($dbh, $event) = @_;
	my $raise = sprintf 'UPDATE %s = capacity + 5 WHERE %s = %d',
	  is_show($event) ? ('shop_show SET capacity', 'id') : ('booking.event SET capacity', 'event_id'), $event;

	$dbh->do($_) foreach $raise, 'BEGIN', $raise;
	sleep rand 0.01;
	$dbh->do('COMMIT');
	return;
}

# Interrupts clients until there were enough interrupts of each kind.  All kinds go on
# until then: a session that is ended is replaced by one with another timeout.
sub interrupt_all
{
	my ($round, $enough) = @_;
	my @events = shuffle map { @{ $round->{events}{$_} } } qw(small show_small);
	my $dbh = connect_to($node) or return $run->wrong('no connection');
	my $until = time() + 60;

	while (grep { $seen{$_} < $enough } keys %seen)
	{
		foreach my $event (@events)
		{
			sleep rand 0.006;
			interrupt($dbh, 'cancel') if rand() < ($seen{cancel} < $enough ? 1 : 0.2);
			interrupt($dbh, 'terminate') if rand() < ($seen{terminate} < $enough ? 0.5 : 0.1);
			raise($dbh, $event) if rand() < ($seen{lock_timeout} < $enough ? 1 : 0.2);
		}
		read_log();
		return $run->wrong('too few were interrupted: ' . seen()) if time() > $until;
	}
	$dbh->disconnect;
	return;
}

while (my $round = $run->next_round($node, rows => \%rows))
{
	$round->load(connect => \&connect_impatient, clients => 8, several => 0.5, most_calls => 12, think => 0.005);
	interrupt_all($round, $wanted * $run->{round});
	$round->stop;
	$round->check(allowed => '57014|55P03');
}
foreach my $how (sort keys %seen)
{
	cmp_ok($seen{$how}, '>=', $wanted * $run->{rounds}, "interrupted by $how");
}
# (08000 is what a client gets when its session was ended.)
cmp_ok($run->count($_), '>', 0, "clients were told $_") foreach qw(57014 55P03 08000);
note(seen());
$run->done;
check_sound($node, 'interrupted');
check_log($node, 'interrupted', '23T..', '23514', 'P0002', '40P01', '40001', '57014', '55P03', '57P01');
$node->stop;
done_testing();
