# A relay between clients and a server, which cuts connections where a network may
# fail: before the server gets a request, after that, or after it has answered.
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
#	listen  sockets to which clients connect: { name => socket }
#	fate    code that decides where a connection is cut.  It is given the socket's
#	        name and the request that a client has just sent.  It returns 'before',
#	        'through' (the server got the request), 'answered', or undef: no cut
#	cut     code that is called at each cut, with the return value of fate, the
#	        request, and the server's answer
#	workers how many connections it serves at once (default: 1)
#	seed    the seed for what is random in fate (each worker adds its number)
sub start
{
	my ($class, $node, %options) = @_;
	my $server = $node->host . '/.s.PGSQL.' . $node->port;
	my $self = bless { server => $server, workers => 1, %options, parent => $$ }, $class;

	pipe my $pipe, $self->{end} or die "pipe: $!";
	$_->blocking(0) foreach values %{ $self->{listen} };    # another worker may accept first
	$self->{pids} = [
		map {
			my $number = $_;

			start_worker(sub { close $self->{end}; $self->run($pipe, $number) });
		} 1 .. $self->{workers}
	];
	return $self;
}

# Ends the relay.  Its clients must have ended before.
sub stop
{
	my ($self) = @_;

	close $self->{end};
	finish_workers('the relay', @{ $self->{pids} });
	return;
}

# A worker: serves connections until stop() closes the pipe.
sub run
{
	my ($self, $pipe, $number) = @_;
	my $listen = $self->{listen};
	my $all = IO::Select->new($pipe, values %$listen);

	local $SIG{PIPE} = 'IGNORE';
	srand($self->{seed} + $number) if $self->{seed};
	for (;;)
	{
		foreach my $ready ($self->wait_for_input($all))
		{
			return if $ready == $pipe;
			my ($name) = grep { $listen->{$_} == $ready } keys %$listen;
			my $client = $ready->accept or next;

			$self->relay_connection($name, $client);
		}
	}
}

# Waits for input.  Returns the sockets that can be read.  Dies if the test that
# started the relay is gone: it may have been killed before it called stop().
sub wait_for_input
{
	my ($self, $sockets) = @_;

	for (;;)
	{
		my @ready = $sockets->can_read(1);

		return @ready if @ready;
		die 'the test is gone' if getppid() != $self->{parent};
	}
}

# Reads what a socket has.  Returns '' if the connection has ended.
sub bytes_from
{
	my ($socket) = @_;
	my $bytes;

	return sysread($socket, $bytes, 65536) ? $bytes : '';
}

# Waits until the server is ready for the next query.  Returns its answer.
sub wait_for_answer
{
	my ($self, $backend) = @_;
	my $answer = '';
	my $sockets = IO::Select->new($backend);

	while ($answer !~ /Z\x00\x00\x00\x05[ITE]\z/)
	{
		$self->wait_for_input($sockets);
		my $bytes = bytes_from($backend);

		last if $bytes eq '';
		$answer .= $bytes;
	}
	return $answer;
}

# Serves one connection until it ends or is cut.
sub relay_connection
{
	my ($self, $name, $client) = @_;
	my $backend = IO::Socket::UNIX->new(Peer => $self->{server}) or die "$self->{server}: $!";
	my $both = IO::Select->new($client, $backend);

	for (;;)
	{
		foreach my $from ($self->wait_for_input($both))
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
			my $answer = $cut eq 'answered' ? $self->wait_for_answer($backend) : '';

			$self->{cut}->($cut, $bytes, $answer) if $self->{cut};
			return;
		}
	}
}

1;
