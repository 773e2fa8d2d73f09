# The network between a router and a shard: a relay that a test can cut or silence.  The
# router connects to its port, and it connects to the shard's unix socket.
#
#	my $network = Faults::Network->start($shard);
#	... "host=127.0.0.1 port=$network->{port}" ...
#	$network->mute;       # requests arrive, answers do not
#	$network->cut;        # connections are reset, new ones refused
#	$network->silence;    # no packet arrives, as if the cable was pulled
#	$network->restore;    # after any of these
#	$network->stop;
#
# A relay that only stops reading would be no silence: its kernel would go on to
# acknowledge what the router sends.  So a socket filter drops the router's packets, before
# TCP sees them.  Then the timeouts of the router's TCP are tested, too.  Some kernels
# allow the filter only with CAP_NET_ADMIN (run.sh).

package Faults::Network;

use strict;
use warnings;

use BookingTest;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC SOL_SOCKET SO_ATTACH_FILTER SO_DETACH_FILTER
  SO_KEEPALIVE SO_LINGER IPPROTO_TCP TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT);
use parent 'BookingRelay';

# A program of one instruction, which accepts no byte of a packet (BPF_RET | BPF_K, 0):
# struct sock_filter, and struct sock_fprog, which points to it.
my $INSTRUCTION = pack 'S C C L', 6, 0, 0, 0;
my $DROP_ALL = pack 'S x![P] P', 1, $INSTRUCTION;

# What the relay does when it is told to.
my %ORDER = (mute => \&mute_now, cut => \&cut_now, silence => \&silence_now, restore => \&restore_now);

# Starts a relay to a shard.
sub start
{
	my ($class, $node) = @_;
	my $self = bless { server => $node->host . '/.s.PGSQL.' . $node->port, parent => $$ }, $class;

	$self->{listener} = $self->bind_port;
	$self->{port} = $self->{listener}->sockport;
	socketpair($self->{test}, $self->{relay}, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair: $!";
	$self->{pid} = start_worker(sub { close $self->{test}; $self->run });
	close $self->{relay};
	close $self->{listener};
	return $self;
}

# Keeps the shard's answers back, until restore().
sub mute { my ($self) = @_; return $self->order('mute') }

# Cuts all connections, and refuses new ones until restore().
sub cut { my ($self) = @_; return $self->order('cut') }

# Drops all packets of the router, and sends it nothing, until restore().  Returns false if
# the kernel allows no filter: the packets are acknowledged, but go nowhere.
sub silence { my ($self) = @_; return $self->order('silence') }

# Accepts connections again.  Those that were silenced and not cut go on.
sub restore { my ($self) = @_; return $self->order('restore') }

# Ends the relay.
sub stop
{
	my ($self) = @_;

	$self->order('stop');
	finish_workers('the relay', $self->{pid});
	return;
}

# Tells the relay what to do, and waits until it is done.  Returns what it answers.
sub order
{
	my ($self, $what) = @_;

	syswrite $self->{test}, "$what\n";
	my $answer = readline $self->{test} // die "the relay has ended before \"$what\"";

	chomp $answer;
	return $answer;
}

# ---- the relay --------------------------------------------------------------

# Returns a socket of the relay's port.  It does not listen yet, so it refuses connections.
sub bind_port
{
	my ($self) = @_;

	return IO::Socket::INET->new(
		LocalAddr => '127.0.0.1', LocalPort => $self->{port} // 0, Proto => 'tcp', ReuseAddr => 1)
	  || die "127.0.0.1: $!";
}

# Relays bytes until it is told to stop.
sub run
{
	my ($self) = @_;

	local $SIG{PIPE} = 'IGNORE';
	$self->{sockets} = { map { $_ => IO::Select->new($self->{relay}) } qw(all mute silent) };
	$self->{router} = {};       # the router's connections, by file number
	$self->{other_end} = {};    # the connection to which a connection's bytes go
	$self->restore_now;
	for (;;)
	{
		foreach my $ready ($self->wait_for_input($self->{sockets}{ $self->{from} }))
		{
			if ($ready == $self->{relay})
			{
				return if !$self->obey;
				last;           # the other sockets may be closed or silent now
			}
			if ($ready == $self->{listener})
			{
				$self->accept_connection;
			}
			elsif ($ready->opened)
			{
				$self->relay_bytes($ready);
			}
		}
	}
}

# Carries out an order, and answers 1, or 0 if it could not.  Returns false if the relay
# must stop.
sub obey
{
	my ($self) = @_;
	my ($what) = BookingRelay::bytes_from($self->{relay}) =~ /^(\w+)/;
	my $order = $ORDER{ $what // 'stop' };
	my $done = $order ? $order->($self) : 1;

	syswrite $self->{relay}, $done ? "1\n" : "0\n";
	return defined $order;
}

# Connects a new connection of the router with the shard.  The shard may be down.
sub accept_connection
{
	my ($self) = @_;
	my $router = $self->{listener}->accept or return;
	my $shard = IO::Socket::UNIX->new(Peer => $self->{server}) or return $router->close;

	# If the router has given up a connection during a silence, its end here must be
	# noticed afterwards: the shard's session lasts as long.
	setsockopt $router, SOL_SOCKET, SO_KEEPALIVE, 1;
	setsockopt $router, IPPROTO_TCP, $_->[0], $_->[1]
	  foreach [ TCP_KEEPIDLE, 1 ], [ TCP_KEEPINTVL, 1 ], [ TCP_KEEPCNT, 3 ];
	$self->{router}{ fileno $router } = $router;
	$self->{other_end}{ fileno $router } = $shard;
	$self->{other_end}{ fileno $shard } = $router;
	$self->{sockets}{all}->add($router, $shard);
	$self->{sockets}{mute}->add($router);
	return;
}

# Sends what has come from one end to the other one.  If one end has closed its connection,
# or has gone, closes both.
sub relay_bytes
{
	my ($self, $from) = @_;
	my $to = $self->{other_end}{ fileno $from };
	my $bytes = BookingRelay::bytes_from($from);

	return if $bytes ne '' && defined syswrite $to, $bytes;
	$self->close_both($from);
	return;
}

# Closes a connection, and the one at its other end.
sub close_both
{
	my ($self, $one) = @_;

	foreach my $socket ($self->{other_end}{ fileno $one }, $one)
	{
		$_->remove($socket) foreach values %{ $self->{sockets} };
		delete $self->{other_end}{ fileno $socket };
		delete $self->{router}{ fileno $socket };
		close $socket;
	}
	return;
}

sub mute_now
{
	my ($self) = @_;

	$self->{from} = 'mute';
	return 1;
}

sub cut_now
{
	my ($self) = @_;

	$_->remove($self->{listener}) foreach values %{ $self->{sockets} };
	close $self->{listener};
	$self->{listener} = $self->bind_port;
	foreach my $socket (my @router = values %{ $self->{router} })
	{
		setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'i i', 1, 0;    # close() resets it
		$self->close_both($socket);
	}
	$self->{from} = 'all';
	return 1;
}

sub silence_now
{
	my ($self) = @_;
	my $filtered = 1;

	foreach my $socket ($self->{listener}, values %{ $self->{router} })
	{
		setsockopt $socket, SOL_SOCKET, SO_ATTACH_FILTER, $DROP_ALL or $filtered = 0;
	}
	$self->{from} = 'silent';
	return $filtered;
}

sub restore_now
{
	my ($self) = @_;

	setsockopt $_, SOL_SOCKET, SO_DETACH_FILTER, 0 foreach $self->{listener}, values %{ $self->{router} };
	$self->{from} = 'all';
	$self->{listener}->listen(128) or die "listen: $!";
	$self->{sockets}{$_}->add($self->{listener}) foreach qw(all mute);
	return 1;
}

1;
