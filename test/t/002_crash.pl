# The server is killed in the middle of a stampede, again and again.
#
# The clients keep a journal outside the database of what they were told.  After
# each restart every booking that was acknowledged is there, once, every
# cancellation too, the books balance, and at the end each place that is left
# can be sold.

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

# What a client does, over and over.  A line is written to the journal when the
# server's answer is there; before a cancellation also when it is asked for.
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

	# stopping at an error, lest a variable is journalled that was set before it
	return IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'),
			'-o', "$dir/journal$number", '-f', "$dir/script"
		],
		'>', '/dev/null', '2>', '/dev/null');
}

# The old server's backends take a moment to notice; a new one can't start before.
sub restart
{
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if $node->start(fail_ok => 1);
		usleep(100_000);
		$node->stop('fast', fail_ok => 1);    # forgets the attempt
	}
	return 0;
}

# Returns the ids in all journals by the word before them.
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

# How many of the ids are tickets for which the condition holds?
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
	my %doubtful = map { $_ => 1 } @{ $ids{cancelling} };
	my @live = grep { !$doubtful{$_} } @{ $ids{booked} };

	note(scalar(@{ $ids{booked} }), ' bookings and ', scalar(@{ $ids{cancelled} }),
		' cancellations were acknowledged');
	cmp_ok(scalar @live, '>', 0, "round $round: the clients were at work");
	is(count_tickets('cancelled_at IS NULL', @live),
		scalar @live, "round $round: every acknowledged booking is there");
	is( count_tickets('cancelled_at IS NOT NULL', @{ $ids{cancelled} }),
		scalar @{ $ids{cancelled} },
		"round $round: and every cancellation");
	is(count_tickets('true', @{ $ids{void} }),
		0, "round $round: and nothing that was rolled back");
	check_sound($node, "round $round");
}

$node->safe_psql('postgres', <<~'SQL');
	UPDATE booking.event SET capacity = (SELECT count(*) + 50 FROM booking.ticket WHERE cancelled_at IS NULL)
	SQL
sell_the_rest($node, 1, 'after all crashes');
check_sound($node, 'after all crashes');
$node->stop;
done_testing();
