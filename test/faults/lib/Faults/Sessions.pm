# Some sessions that send one statement at a time without waiting for its answer, and
# another that sees for whom they wait.
#
#	my $sessions = Faults::Sessions->new($node, 4);
#	my ($one, $other) = $sessions->all;
#	$sessions->send($one, 'SELECT ...');
#	foreach my $session ($sessions->settle) { ... $session->{state}, {rows}, {message} ... }
#
# A session is a hash: name, dbh, pid, waits (1: it has sent a statement that has no
# answer yet), and of its last answer state ('ok' or a SQLSTATE), rows, affected (how many
# rows it wrote) and message.

package Faults::Sessions;

use strict;
use warnings;

use BookingTest;
use DBD::Pg qw(:async);
use Time::HiRes qw(sleep time);

# Sessions that neither get an answer nor wait for anyone are reported after these seconds.
# (A deadlock is resolved long before, see deadlock_timeout.)
use constant PATIENCE => 20;

sub new
{
	my ($class, $node, $count) = @_;
	my $self = bless { monitor => connect_to($node), sessions => [] }, $class;

	foreach my $name (1 .. $count)
	{
		my $dbh = connect_to($node);

		$dbh->{pg_server_prepare} = 0;
		push @{ $self->{sessions} }, { name => $name, dbh => $dbh, pid => $dbh->{pg_pid}, waits => 0 };
	}
	return $self;
}

sub all { return @{ $_[0]{sessions} } }
sub monitor { return $_[0]{monitor} }

# Returns the session with that process id, or undef.
sub of_pid
{
	my ($self, $pid) = @_;

	return (grep { $_->{pid} == $pid } $self->all)[0];
}

sub disconnect
{
	my ($self) = @_;

	$_->disconnect foreach $self->{monitor}, map { $_->{dbh} } $self->all;
	return;
}

# Sends a statement.  settle() gets its answer.
sub send
{
	my ($self, $session, $sql) = @_;

	$session->{statement} = $session->{dbh}->prepare($sql, { pg_async => PG_ASYNC });
	$session->{statement}->execute;
	$session->{waits} = 1;
	return;
}

# Reads the answer of a session that has one.
sub read_answer
{
	my ($session) = @_;
	my $statement = delete $session->{statement};

	$session->{waits} = 0;
	$session->{rows} = [];
	$session->{affected} = $session->{dbh}->pg_result;
	$session->{state} = $session->{dbh}->state || 'ok';
	$session->{message} = $session->{dbh}->errstr;
	$session->{rows} = $statement->fetchall_arrayref
	  if $session->{state} eq 'ok' && $statement->{NUM_OF_FIELDS};
	return;
}

# Waits until each session has its answer, or waits for a session of ours that has none
# to wait for.  Returns those that got their answer.  Dies if a session waits for
# no session, or for another process.
sub settle
{
	my ($self) = @_;
	my $until = time() + PATIENCE;
	my ($before, @answered) = ('');

	for (;;)
	{
		foreach my $session (grep { $_->{waits} && $_->{dbh}->pg_ready } $self->all)
		{
			read_answer($session);
			push @answered, $session;
			$before = '';
		}
		my @waiting = grep { $_->{waits} } $self->all or return @answered;
		my $blockers = $self->blockers(@waiting);
		my $now = join '; ', map { "$_->{name} for @{ $blockers->{ $_->{pid} } }" } @waiting;

		return @answered if $now eq $before && !grep { !$self->is_stopped($blockers, $_->{pid}) } @waiting;
		die { stuck => "a session waits for no other: $now" } if time() > $until;
		$before = $now;
		sleep 0.002;
	}
	return;
}

# Returns whom each of the sessions waits for: process id => [ process ids ].
sub blockers
{
	my ($self, @waiting) = @_;
	my $found = $self->{monitor}->selectall_arrayref('SELECT pid, pg_blocking_pids(pid) FROM unnest(?::integer[]) AS pid',
		undef, [ map { $_->{pid} } @waiting ]) or die $self->{monitor}->errstr;

	return { map { $_->[0] => $_->[1] } @$found };
}

# True if the session waits, directly or by others, only for sessions of ours that wait
# for no one.
sub is_stopped
{
	my ($self, $blockers, $pid, %on_way) = @_;

	return 0 if $on_way{$pid};    # a deadlock
	my $session = $self->of_pid($pid) or return 0;

	return 1 if !$session->{waits};
	my @for = @{ $blockers->{$pid} };

	return @for && !grep { !$self->is_stopped($blockers, $_, %on_way, $pid => 1) } @for;
}

1;
