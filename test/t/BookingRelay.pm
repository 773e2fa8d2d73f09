# A relay between clients and a server that cuts connections where a network may:
# before a request gets through, after it, or when the server has done what it was
# asked and has answered.
#
#	my $relay = BookingRelay->start($node, listen => { name => $socket, ... },
#		fate => sub { my ($name, $request) = @_; ... });
#	...
#	$relay->stop;

package BookingRelay;

use strict;
use warnings;

use BookingTest;
use IO::Select;
use IO::Socket::UNIX;

# Starts a relay to a server.  Options:
#
#	listen  sockets on which clients come in, each with a name
#	fate    code that is given the name and what a client has just sent (not more
#	        than one request), and says what becomes of it: 'before', 'through' or
#	        'answered' is where the connection is cut; undef: nowhere
#	cut     code that is told of each cut: where, the request, and what the server
#	        has answered
#	workers how many connections it takes at once (default: 1)
#	seed    of what is random in fate (each worker has its own)
sub start
{
	my ($class, $node, %options) = @_;
	my $self = bless { server => $node->host . '/.s.PGSQL.' . $node->port, workers => 1, %options }, $class;

	pipe my $pipe, $self->{end} or die "pipe: $!";
	$_->blocking(0) foreach values %{ $self->{listen} };    # another worker may be quicker
	$self->{pids} = [
		map {
			my $number = $_;

			start_worker(sub { close $self->{end}; $self->run($pipe, $number) });
		} 1 .. $self->{workers}
	];
	return $self;
}

# Ends it, when its clients have ended.
sub stop
{
	my ($self) = @_;

	close $self->{end};
	finish_workers('the relay', @{ $self->{pids} });
	return;
}

# One of its workers: takes connections until the pipe is closed.
sub run
{
	my ($self, $pipe, $number) = @_;
	my $listen = $self->{listen};
	my $all = IO::Select->new($pipe, values %$listen);

	local $SIG{PIPE} = 'IGNORE';
	srand($self->{seed} + $number) if $self->{seed};
	for (;;)
	{
		foreach my $ready ($all->can_read)
		{
			return if $ready == $pipe;
			my ($name) = grep { $listen->{$_} == $ready } keys %$listen;
			my $client = $ready->accept or next;

			$self->relay_connection($name, $client);
		}
	}
}

sub bytes_from
{
	my ($socket) = @_;
	my $bytes;

	return sysread($socket, $bytes, 65536) ? $bytes : '';
}

# Lets the server do what it was asked, until it is ready for a next query.
# Returns its answer.
sub wait_for_answer
{
	my ($backend) = @_;
	my $answer = '';

	while ($answer !~ /Z\x00\x00\x00\x05[ITE]\z/)
	{
		my $bytes = bytes_from($backend);

		last if $bytes eq '';
		$answer .= $bytes;
	}
	return $answer;
}

# One connection, from its beginning to its end.
sub relay_connection
{
	my ($self, $name, $client) = @_;
	my $backend = IO::Socket::UNIX->new(Peer => $self->{server}) or die "$self->{server}: $!";
	my $both = IO::Select->new($client, $backend);

	for (;;)
	{
		foreach my $from ($both->can_read)
		{
			my $bytes = bytes_from($from);

			return if $bytes eq '';
			if ($from == $backend)
			{
				syswrite $client, $bytes;
				next;
			}
			my $cut = $self->{fate}->($name, $bytes);

			syswrite $backend, $bytes if !defined $cut || $cut ne 'before';
			next if !defined $cut;
			my $answer = $cut eq 'answered' ? wait_for_answer($backend) : '';

			$self->{cut}->($cut, $bytes, $answer) if $self->{cut};
			return;
		}
	}
}

1;
