# The protocol's function call message (PQfn of libpq) tells no types of arguments.
# The form for text works, and the form for "any" is refused.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use IO::Socket::UNIX;
use Test::More;

my $node = booking_node('function_call');

create_booking($node);
$node->safe_psql('postgres', 'INSERT INTO booking.event (event_id, capacity) VALUES (1, 5)');

my $socket = IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port)
  or die "cannot connect: $!";

sub read_bytes
{
	my ($length) = @_;
	my $bytes = '';

	while (length $bytes < $length)
	{
		my $n = $socket->read($bytes, $length - length $bytes, length $bytes);

		die "the server has closed the connection\n" if !$n;
	}
	return $bytes;
}

# Reads messages until the server is ready.  Returns them, by their type.
sub answer
{
	my %message;

	while (!exists $message{Z})
	{
		my ($type, $length) = unpack 'aN', read_bytes(5);

		$message{$type} = read_bytes($length - 4);
	}
	return \%message;
}

# Calls a function with arguments as text.  Returns its result, or the SQLSTATE.
sub call
{
	my ($function, @arguments) = @_;
	my $oid = $node->safe_psql('postgres', "SELECT '$function'::regprocedure::oid");
	my $body = pack('Nn', $oid, 0);

	$body .= pack('n', scalar @arguments)
	  . join('', map { defined $_ ? pack('N/a', $_) : pack('N', 0xFFFFFFFF) } @arguments)
	  . pack('n', 0);
	$socket->print('F' . pack('N', 4 + length $body) . $body);
	$socket->flush;

	my $answer = answer();

	return $answer->{V} ? unpack('N/a', $answer->{V}) : $answer->{E} =~ /\0C(.{5})\0/ ? $1 : undef;
}

my $startup = pack('N', 196608) . join("\0", 'user', $ENV{USER} // getpwuid($<), 'database', 'postgres', '') . "\0";

$socket->print(pack('N', 4 + length $startup) . $startup);
$socket->flush;
answer();

is(call('booking.book_ticket(bigint, text, text)', 1, '42', undef), 1, 'the form for text books');
is($node->safe_psql('postgres', 'SELECT user_id FROM booking.ticket'), '42', 'for this user');
is(call('booking.transfer_ticket(bigint, text)', 1, '43'), 't', 'a transfer');
is(call('booking.book_ticket(bigint, text, text)', 1, undef, undef), '22004', 'a null is refused');
is(call('booking.book_ticket(bigint, "any", text)', 1, '42', undef), '0A000', 'PostgreSQL refuses a value for "any"');
is(call('booking.book_ticket(bigint, "any", text)', 1, undef, undef), '22004', 'and we its null');

check_sound($node, 'function calls');
$node->stop;
done_testing();
