# The server is killed in the middle of a stampede, several times.
#
# Each client writes the answers it received to a journal outside the database.
# After each restart, every acknowledged booking must exist exactly once, every
# acknowledged cancellation must exist, and verify() must find no problem.  At
# the end, every place that is left must be sellable.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = long_run(30, 4);
my $clients = 16;
my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = booking_node('crash');

create_booking($node);
$node->safe_psql('postgres',
	'INSERT INTO booking.event (event_id, capacity) VALUES (1, 10000000)');

# What a client does in a loop.  A client writes a line to its journal when the
# server has answered.  Before a cancellation it also writes a line.
my $script = <<'SQL' x 20000;
SELECT 'booked ' || booking.book_ticket(1, 1);
SELECT booking.book_ticket(1, 1) AS id \gset
\qecho booked :id
\qecho cancelling :id
SELECT booking.cancel_ticket(:id) AS done \gset
\qecho cancelled :id
SELECT 'booked ' || unnest(booking.book_tickets(1, 1, 3));
INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 1) RETURNING 'booked ' || ticket_id;
BEGIN;
SELECT 'void ' || booking.book_ticket(1, 1);
ROLLBACK;
SQL
append_to_file("$dir/script", $script);

sub start_client
{
	my ($number) = @_;

	# stop at an error: otherwise a variable of an earlier call would be written
	return IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'),
			'-o', "$dir/journal$number", '-f', "$dir/script"
		],
		'>', '/dev/null', '2>', '/dev/null');
}

# A new server can't start before the old server's backends have noticed and ended.
sub restart
{
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if $node->start(fail_ok => 1);
		usleep(100_000);
		$node->stop('fast', fail_ok => 1);    # makes the test library forget the attempt
	}
	return 0;
}

# Returns the ids in all journals, grouped by the word before them.
sub read_journals
{
	my %ids;

	foreach my $line (map { split /\n/, slurp_file("$dir/journal$_") } 1 .. $clients)
	{
		my ($word, $id) = split / /, $line;

		push @{ $ids{$word} }, $id if defined $id && $id =~ /^\d+$/;
	}
	return %ids;
}

# Returns how many of the ids are tickets that fulfil the condition.
sub count_tickets
{
	my ($condition, @ids) = @_;
	my $array = '{' . join(',', @ids) . '}';

	return $node->safe_psql('postgres', <<~SQL);
		SELECT count(*) FROM booking.ticket
		WHERE ticket_id = ANY ('$array'::bigint[]) AND $condition
		SQL
}

foreach my $round (1 .. $rounds)
{
	my @handles = map { start_client($_) } 1 .. $clients;

	$node->poll_query_until('postgres',
		"SELECT count(*) > $round * 300 FROM booking.ticket");
	usleep(int(rand(300_000)));
	$node->kill9;
	$_->finish foreach @handles;
	ok(restart(), "round $round: the server starts again") or last;

	my %ids = read_journals();
	my %maybe_cancelled = map { $_ => 1 } @{ $ids{cancelling} };
	my @live = grep { !$maybe_cancelled{$_} } @{ $ids{booked} };

	note(scalar(@{ $ids{booked} }), ' bookings and ', scalar(@{ $ids{cancelled} }),
		' cancellations were acknowledged');
	cmp_ok(scalar @live, '>', 0, "round $round: the clients were at work");
	is(count_tickets('cancelled_at IS NULL', @live),
		scalar @live, "round $round: every acknowledged booking exists");
	is( count_tickets('cancelled_at IS NOT NULL', @{ $ids{cancelled} }),
		scalar @{ $ids{cancelled} },
		"round $round: every acknowledged cancellation exists");
	is(count_tickets('true', @{ $ids{void} }),
		0, "round $round: nothing that was rolled back exists");
	check_sound($node, "round $round");
}

$node->safe_psql('postgres', <<~'SQL');
	UPDATE booking.event SET capacity = (SELECT count(*) + 50 FROM booking.ticket WHERE cancelled_at IS NULL)
	SQL
sell_the_rest($node, 1, 'after all crashes');
check_sound($node, 'after all crashes');
$node->stop;
done_testing();
