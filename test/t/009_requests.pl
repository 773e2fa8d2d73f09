# Lost answers.  A relay between client and server cuts connections: before the
# server gets a request, after it has got it, or after it has answered.  The client
# only knows that there was no answer.  It repeats the request with the same
# idempotency key until it gets one.
#
# Each key must then have exactly one ticket (or one hold), and each answer must
# name it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingRelay;
use BookingTest;
use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;
use Test::More;

my $keys = 500;
my $fewer = 150;                # for functions that use the same code
my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $node = booking_node('requests');

create_booking($node);

# ---- the relay ----

# What the relay does with a connection, by the port to which the client connected.
my %fate = (
	1 => 'not cut',
	2 => 'the answer of the call is lost',
	3 => 'the answer of COMMIT is lost',
	4 => 'cut when the server has got the call',
	5 => 'cut before the server gets the call',
);
my %cut_at = (2 => qr/booking\./, 3 => qr/commit\x00/i, 4 => qr/booking\./, 5 => qr/booking\./);
my %cut = (2 => 'answered', 3 => 'answered', 4 => 'through', 5 => 'before');

my %listener = map {
	$_ => IO::Socket::UNIX->new(Local => "$dir/.s.PGSQL.$_", Listen => 10)
	  // die "$dir/.s.PGSQL.$_: $!"
} keys %fate;
my $relay = BookingRelay->start(
	$node, listen => \%listener,
	fate => sub {
		my ($port, $request) = @_;

		return $cut_at{$port} && $request =~ $cut_at{$port} ? $cut{$port} : undef;
	});

# ---- the client ----

# Makes one attempt.  Returns the answer as text, or undef if there was none.
sub attempt
{
	my ($port, $sql) = @_;
	my $dbh = connect_to($node, host => $dir, port => $port) or return;

	$dbh->do('BEGIN') if $port == 3;
	my $row = $dbh->selectrow_arrayref($sql);
	my $error = $dbh->errstr;

	die "$sql: $error" if !$row && $dbh->ping;
	$row = undef if $port == 3 && !$dbh->do('COMMIT');
	$dbh->disconnect;
	return $row && $row->[0];
}

my %attempts;

# Repeats a request until there is an answer.
sub ask
{
	my ($sql, @ports) = @_;
	my $answer;

	until (defined $answer)
	{
		my $port = shift(@ports) // (rand() < 0.4 ? 2 + int rand 4 : 1);

		$answer = attempt($port, $sql);
		$attempts{$port}++;
		die "there was an answer, but: $fate{$port}" if defined $answer && $port != 1;
	}
	return $answer;
}

sub ask_for_each_key
{
	my ($what, $keys, $call) = @_;
	my (%answer, @changed);

	%attempts = ();
	foreach my $n (1 .. $keys)
	{
		my $sql = $call =~ s/:n/$n/gr;

		$answer{$n} = ask($sql, 2 + $n % 4);
		my $again = ask($sql, 1);

		push @changed, "$n: $answer{$n}, then $again" if $again ne $answer{$n};
	}
	note("$what: $fate{$_}: " . ($attempts{$_} // 0)) foreach sort keys %fate;
	is(join("\n", @changed), '', "$what: a repeated request gets the same answer");
	foreach my $port (sort keys %fate)
	{
		cmp_ok($attempts{$port} // 0, '>', 20, "$what: $fate{$port}");
	}
	return map { "$_|$answer{$_}" } 1 .. $keys;
}

# ---- tickets ----

$node->safe_psql('postgres', <<~SQL);
	INSERT INTO booking.event (event_id, capacity) VALUES (1, $keys), (3, 2 * $fewer);
	INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (2, $keys, 1);
	SQL

my @told = ask_for_each_key('book_ticket', $keys, q{SELECT booking.book_ticket(1, :n, 'key :n')});

is($node->safe_psql('postgres', 'SELECT user_id, ticket_id FROM booking.ticket WHERE event_id = 1 ORDER BY 1'),
	join("\n", @told), 'book_ticket: each idempotency key has one ticket, and the answer named it');
is($node->safe_psql('postgres', 'SELECT capacity, available, held, booked FROM booking.availability(1)'),
	"$keys|0|0|$keys", 'book_ticket: so the event is sold out');

@told = ask_for_each_key('book_tickets', $fewer, q{SELECT array_to_string(booking.book_tickets(3, :n, 2, 'key :n'), ',')});
is( $node->safe_psql('postgres', <<~'SQL'), join("\n", @told), 'book_tickets: each idempotency key has its tickets, and the answer named them');
	SELECT user_id, string_agg(ticket_id::text, ',' ORDER BY ticket_id)
	FROM booking.ticket WHERE event_id = 3 GROUP BY 1 ORDER BY 1
	SQL

# ---- holds ----

# The limit per user is 1, so that a second hold for the same key would be refused.
@told = ask_for_each_key('hold_tickets', $keys,
	q{SELECT hold_id || '|' || expires_at FROM booking.hold_tickets(2, :n, 1, '1 hour', 'key :n')});
is( $node->safe_psql('postgres', 'SELECT user_id, hold_id, expires_at FROM booking.hold WHERE event_id = 2 ORDER BY 1'),
	join("\n", @told), 'hold_tickets: each idempotency key has one hold, and the answer named it');

# confirm_hold() needs no idempotency key to be repeated.
my $first = $node->safe_psql('postgres', 'SELECT min(hold_id) - 1 FROM booking.hold WHERE event_id = 2');
my %hold_of = map { (split /\|/)[ 0, 1 ] } @told;

is($hold_of{1}, $first + 1, 'the holds have consecutive ids');
@told = ask_for_each_key('confirm_hold', $fewer,
	qq{SELECT array_to_string(booking.confirm_hold($first + :n), ',')});
is( $node->safe_psql('postgres', "SELECT hold_id - $first, ticket_id FROM booking.ticket WHERE event_id = 2 ORDER BY 1"),
	join("\n", @told), 'confirm_hold: each hold has one ticket, and the answer named it');
is($node->safe_psql('postgres', 'SELECT capacity, available, held, booked FROM booking.availability(2)'),
	join('|', $keys, 0, $keys - $fewer, $fewer), 'confirm_hold: the number of places taken is right');

is($node->safe_psql('postgres', 'SELECT count(*), count(ids) FROM booking.request'),
	join('|', (2 * $keys + $fewer) x 2), 'each idempotency key is stored once, with its answer');
check_sound($node, 'requests');
check_log($node, 'requests', '08006');

$relay->stop;
$node->stop;
done_testing();
