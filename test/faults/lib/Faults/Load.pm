# A mixed load.  Each client is a process, and does what applications do: it calls
# functions and executes plain SQL, in transactions of one call or of several.  It
# keeps a journal of that (Faults::Journal).
#
# Every booking is for a new user, so that the journal can be compared with the tables
# user by user.  Only events with a limit per user are booked for a few users that
# all clients share.
#
# About half of the calls are about shows in tables under capacity constraints
# (Faults::Shop).  In the journal and in all that follows, a show is an event, too.

package Faults::Load;

use strict;
use warnings;

use BookingTest qw(start_worker);
use Faults::Calls qw(%CALL);
use Faults::Journal;
use Faults::Shop qw(is_show);
use List::Util qw(sum0);
use POSIX ();
use Time::HiRes qw(sleep time);

# The clients share the users up to this number.
use constant SHARED_USERS => 20;

# A transferred ticket belongs to its first user plus this number.
use constant TRANSFERRED => 1_000_000_000_000;

# The kinds of events, and how often they are chosen; shows are of the same kinds.
our %EVENT_WEIGHT = map { $_->[0] => $_->[1], "show_$_->[0]" => $_->[1] }
  [ hot => 10 ], [ small => 4 ], [ limited => 3 ], [ expiring => 3 ];

# Starts clients.  Options:
#
#	events      { hot => [ids], small => [...], ... }, see %EVENT_WEIGHT; or code that
#	            returns that, given a client's number
#	connect     code that returns a new connection (DBI), or undef to be called again.
#	            It is given the client's number, from 1
#	journal     the path of the journals; each client adds ".NUMBER"
#	clients     how many clients (default: 6)
#	calls       how many calls each makes (default: until stop())
#	seed        of what is random; each client makes its own seed of it
#	first_user  users of bookings have larger numbers
#	keyed       1: each call that can have an idempotency key has one.  A call with a
#	            key is repeated until there is an answer
#	positions   1: the journal notes positions in the WAL
#	single      1: no transactions of several calls, and no plain statements that
#	            write several tickets
#	most_calls  the largest number of calls in a transaction (default: 5)
#	several     how likely a transaction has several calls (default: 0.15)
#	prepare     how likely such a transaction is prepared.  Some of them stay prepared
#	largest     the largest quantity of calls that have one (default: a few)
#	prepared_statements
#	            1: each statement is prepared once in each connection
#	think       the longest pause after a call in a transaction of several calls, in
#	            seconds (default: 0)
#	may_call    code that returns whether a client makes a call: it is given the client's
#	            number and the name of the call (default: all clients make all calls)
#	lost        a pattern of the errors with which a router says that it got no answer
#	            of a shard
sub start
{
	my ($class, %options) = @_;
	my $self = bless { clients => 6, most_calls => 5, several => 0.15, %options, pids => [], parent => $$ }, $class;

	foreach my $number (1 .. $self->{clients})
	{
		push @{ $self->{pids} }, start_worker(sub { $self->client($number) });
	}
	return $self;
}

# Tells the clients to end after their present call.
sub stop
{
	my ($self) = @_;

	kill 'TERM', @{ $self->{pids} };
	return;
}

# Waits until the clients have ended, at most that many seconds.  Returns problems.
sub finish
{
	my ($self, $seconds) = @_;
	my $until = time() + ($seconds // 60);
	my @problems;

	foreach my $pid (@{ $self->{pids} })
	{
		my $ended;

		sleep 0.005 until ($ended = waitpid($pid, POSIX::WNOHANG())) || time() > $until;
		if (!$ended)
		{
			kill 'KILL', $pid;
			waitpid $pid, 0;
			push @problems, 'a client hangs';
		}
		elsif ($? != 0)
		{
			push @problems, 'a client of the load has failed';
		}
	}
	$self->{pids} = [];
	return @problems;
}

# Returns the files of the journal.
sub journals
{
	my ($self) = @_;

	return map { "$self->{journal}.$_" } 1 .. $self->{clients};
}

# ---- one client -------------------------------------------------------------

# A client: makes calls until it is told to stop, or has made all its calls.
sub client
{
	my ($self, $number) = @_;

	local $SIG{TERM} = sub { $self->{told_to_stop} = 1 };
	srand($self->{seed} * 100 + $number);
	$self->{number} = $number;
	$self->{events} = $self->{events}->($number) if ref $self->{events} eq 'CODE';
	$self->{journal_writer} = Faults::Journal->new("$self->{journal}.$number");
	$self->{next_user} = $self->{first_user} + 100_000 * $number;
	$self->{things} = [];                 # tickets and holds for later calls
	until ($self->stopped || (defined $self->{calls} && $self->{calls} <= 0))
	{
		if (!$self->connected)
		{
			sleep 0.01;
			next;
		}
		$self->{calls}-- if defined $self->{calls};
		if (!$self->{single} && rand() < $self->{several})
		{
			$self->several_calls;
		}
		else
		{
			$self->single_call;
		}
	}
	$self->{dbh}->disconnect if $self->{dbh};
	return;
}

# True if the client must end: it was told to stop, or the test has ended without that.
sub stopped
{
	my ($self) = @_;

	return $self->{told_to_stop} || getppid() != $self->{parent};
}

# Connects if there is no connection.  Returns whether there is one.  About every
# fourth connection uses the SQL path.
sub connected
{
	my ($self) = @_;

	return 1 if $self->{dbh};
	$self->{dbh} = $self->{connect}->($self->{number}) or return 0;
	$self->{dbh}->do('SET booking.direct_path = off') if rand() < 0.25;
	return 1;
}

# Drops a connection that is lost or no longer wanted.
sub forget_connection
{
	my ($self) = @_;

	my $dbh = delete $self->{dbh} or return;

	$dbh->disconnect;
	return;
}

# Returns one of a list, or one of a hash of names and weights.
sub one_of { my ($list) = @_; return $list->[ int rand @$list ] }

sub one_by_weight
{
	my (%weight) = @_;
	my $at = rand sum0(values %weight);

	foreach my $name (sort keys %weight)
	{
		return $name if ($at -= $weight{$name}) < 0;
	}
	return (sort keys %weight)[-1];
}

# Chooses the next call, with all its fields.
sub choose
{
	my ($self) = @_;
	my $thing = @{ $self->{things} } && rand() < 0.6 ? $self->take_thing : undef;

	return $self->choose_new if !$thing;
	my $name = $self->choose_name($thing->{what}, is_show($thing->{event}));

	return {
		%{ $CALL{$name} }, name => $name, event => $thing->{event}, user => $thing->{user},
		quantity => $thing->{quantity},
		argument => $thing->{id}, thing => $thing, $thing->{what} => $thing->{id},
		other => $thing->{user} % TRANSFERRED + TRANSFERRED * ($thing->{user} < TRANSFERRED)
	};
}

# Chooses the name of a call that is about these things, of an event or of a show.
sub choose_name
{
	my ($self, $about, $of_show) = @_;

	return one_by_weight(
		map { $_ => $CALL{$_}{weight} }
		  grep { $CALL{$_}{about} =~ /^(?:$about)$/ && !$CALL{$_}{shop} == !$of_show && $self->may_be_called($_) }
		  keys %CALL);
}

# True if the load may make this call.
sub may_be_called
{
	my ($self, $name) = @_;

	return 0 if $self->{single} && $CALL{$name}{like_several};
	return !$self->{may_call} || $self->{may_call}->($self->{number}, $name);
}

# Chooses a call for a user who has nothing yet, or about an event.
sub choose_new
{
	my ($self) = @_;
	my $kind = one_by_weight(map { $_ => $EVENT_WEIGHT{$_} } keys %{ $self->{events} });
	my $name = $self->choose_name('new|event', $kind =~ /^show/);
	my $limited = $kind =~ /limited$/;
	my $user = $limited ? 1 + int rand SHARED_USERS : $self->{next_user}++;
	my %call = (
		%{ $CALL{$name} }, name => $name, event => one_of($self->{events}{$kind}), user => $user,
		quantity => $limited ? 1 : $self->quantity_for($name), shared => $limited);

	$call{key} = $call{key} && ($self->{keyed} || rand() < 0.3)
	  ? "$self->{first_user}-$self->{seed}-" . $self->{next_user}++ : undef;
	return \%call;
}

# Takes a random ticket or hold.  remember() puts it back if it still exists later.
sub take_thing
{
	my ($self) = @_;

	return splice @{ $self->{things} }, int rand @{ $self->{things} }, 1;
}

# Returns how many places to ask for.
sub quantity_for
{
	my ($self, $name) = @_;
	my $most = $CALL{$name}{most} // 1;

	$most = $self->{largest} if $most > 1 && $self->{largest} && rand() < 0.3;
	return 1 + int rand $most;
}

# Sends a call.  Returns the outcome, the SQLSTATE and the ids.
sub send_call
{
	my ($self, $call) = @_;
	my $sql = $call->{sql};
	my @values;

	return $self->send_copy($call) if $call->{copy};
	$sql =~ s/(?<!:):([a-z]+)/push @values, $call->{$1}; '?'/eg;
	$sql = $self->{dbh}->prepare_cached($sql) if $self->{prepared_statements};
	my $ids = $self->{dbh}->selectcol_arrayref($sql, undef, @values);

	return $self->failure if $self->{dbh}->err;
	return ('failed', 'VERIFY') if $call->{nothing} && @$ids;
	return ('refused', '') if $call->{about} ne 'event' && !grep { defined } @$ids;
	return ('ok', '', $call->{gives} ? @$ids : ());
}

# Sends a COPY of one row for each place.  Returns the outcome and the SQLSTATE.
sub send_copy
{
	my ($self, $call) = @_;
	my $dbh = $self->{dbh};
	my $row = "$call->{event}\t$call->{user}\n";

	return $self->failure if !defined $dbh->do($call->{sql});
	foreach (1 .. $call->{quantity})
	{
		last if !$dbh->pg_putcopydata($row);
	}
	return $dbh->pg_putcopyend ? ('ok', '') : $self->failure;
}

# Returns the outcome and the SQLSTATE of the last error.  If the server has ended the
# session, or said that it would, the call may have been committed.  So it may if a router
# got no answer: the client's session goes on, but the shard's may still be at work.
sub failure
{
	my ($self) = @_;
	my $state = $self->{dbh}->state;

	if ($self->{lost} && $self->{dbh}->errstr =~ $self->{lost})
	{
		sleep 0.01;
		return ('unknown', $state);
	}
	if ($state =~ /^(?:57P0[123]|08...|S8...|)$/ || !$self->{dbh}->ping)
	{
		$self->forget_connection;
		return ('unknown', $state);
	}
	return ('refused', $state) if $state =~ /^(?:23T..|23514|P0002)$/;
	return ('failed', $state);
}

# Makes a call of a transaction that the journal has begun.  Returns the outcome, the
# SQLSTATE and the ids.
sub make_call
{
	my ($self, $txn, $call) = @_;
	my ($outcome, $state, @ids);

	$self->{journal_writer}->call($txn, $call);
	($outcome, $state, @ids) = $self->send_call($call);
	while ($outcome eq 'unknown' && $self->{keyed} && $call->{key} && !$self->stopped)
	{
		sleep 0.002 until $self->connected || $self->stopped;
		($outcome, $state, @ids) = $self->send_call($call) if $self->connected;
	}
	my $units = $call->{partial} ? scalar @ids : $call->{quantity};

	if ($outcome eq 'ok' && @ids && @ids != ($call->{one_row} ? 1 : $units))
	{
		($outcome, $state) = ('failed', 'NUMBER');
	}
	$self->{journal_writer}->answer($txn, $outcome, $state, $units, @ids);
	return ($outcome, $state, @ids);
}

# After a successful call, keeps its tickets and holds for later calls.
sub remember
{
	my ($self, $call, @ids) = @_;
	my $thing = $call->{thing};
	my %new = (
		event => $call->{event}, user => $call->{user}, what => $call->{gives},
		quantity => $call->{one_row} ? $call->{quantity} : 1);

	return if $call->{shared};
	if ($call->{gives})
	{
		push @{ $self->{things} }, map { { %new, id => $_ } } @ids;
	}
	elsif ($call->{name} eq 'transfer')
	{
		push @{ $self->{things} }, { %$thing, user => $call->{other} };
	}
	elsif ($call->{name} =~ /extend$/)
	{
		push @{ $self->{things} }, $thing;
	}
	return;
}

# Returns the position in the WAL, if the journal notes it.
sub position
{
	my ($self) = @_;

	return '' if !$self->{positions} || !$self->connected;
	my ($at) = $self->{dbh}->selectrow_array('SELECT pg_current_wal_insert_lsn()');

	return $at // '';
}

# Makes one call in a transaction of its own.
sub single_call
{
	my ($self) = @_;
	my $call = $self->choose;
	my $txn = $self->{journal_writer}->begin('single');
	my $from = $self->position;

	return if !$self->connected;
	my ($outcome, $state, @ids) = $self->make_call($txn, $call);

	$self->{journal_writer}->end($txn, $outcome, $state, $from, $outcome eq 'ok' ? $self->position : '');
	$self->remember($call, @ids) if $outcome eq 'ok';
	return;
}

# ---- transactions of several calls ------------------------------------------

# Sends a command that is not a call.  Returns the outcome and the SQLSTATE.
sub command
{
	my ($self, $sql) = @_;

	return defined $self->{dbh}->do($sql) ? ('ok', '') : $self->failure;
}

# Commits or rolls back, directly or with PREPARE TRANSACTION.
sub end_transaction
{
	my ($self, $txn) = @_;
	my $commit = rand() < 0.8;

	return $self->end_prepared($txn, $commit) if $self->{prepare} && rand() < $self->{prepare};
	my ($outcome, $state) = $self->command($commit ? 'COMMIT' : 'ROLLBACK');

	return ($commit ? $outcome : 'undone', $state);
}

sub end_prepared
{
	my ($self, $txn, $commit) = @_;
	my $gid = "$self->{seed}-$self->{number}-$txn";

	$self->{journal_writer}->prepare($txn, $gid, 'undone');
	my ($outcome, $state) = $self->command("PREPARE TRANSACTION '$gid'");

	return ($outcome, $state) if $outcome ne 'ok';
	return ('prepared', '') if rand() < 0.3;
	$self->{journal_writer}->prepare($txn, $gid, $commit ? 'ok' : 'undone');
	($outcome, $state) = $self->command(($commit ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$gid'");
	return ($outcome eq 'ok' && !$commit ? 'undone' : $outcome, $state);
}

# Makes sure that a session that is still connected is in no transaction.  The command
# that should have ended it may itself have been cancelled.
sub leave_transaction
{
	my ($self) = @_;

	$self->command('ROLLBACK') while $self->{dbh} && $self->{dbh}->ping > 1;
	return;
}

# Runs a transaction of several calls, at READ COMMITTED or REPEATABLE READ.
sub several_calls
{
	my ($self) = @_;
	my $txn = $self->{journal_writer}->begin('several');
	my $from = $self->position;
	my ($outcome, $state, @done) = ('unknown', '');

	return if !$self->connected;
	($outcome, $state) = $self->command(one_by_weight('BEGIN' => 3, 'BEGIN ISOLATION LEVEL REPEATABLE READ' => 1));
	($outcome, $state, @done) = $self->calls_of_transaction($txn) if $outcome eq 'ok';
	if ($outcome eq 'ok')
	{
		($outcome, $state) = $self->end_transaction($txn);
	}
	elsif (!$self->{dbh})
	{
		$outcome = 'undone';    # it was never told to commit
	}
	$self->leave_transaction;
	$self->{journal_writer}->end($txn, $outcome, $state, $from, $outcome eq 'ok' ? $self->position : '');
	return if $outcome ne 'ok';
	$self->remember(@$_) foreach @done;
	return;
}

# Makes at least two calls, perhaps some of them after a savepoint, which is perhaps
# rolled back.  Returns the outcome, the SQLSTATE and the calls that were not undone.
sub calls_of_transaction
{
	my ($self, $txn) = @_;
	my ($outcome, $state, @done) = ('ok', '');
	my ($made, $savepoint, $kept) = (0);

	foreach my $n (1 .. 2 + int rand($self->{most_calls} - 1))
	{
		if (!defined $savepoint && rand() < 0.2)
		{
			($outcome, $state) = $self->command('SAVEPOINT s');
			return ($outcome, $state) if $outcome ne 'ok';
			($savepoint, $kept) = ($made, scalar @done);
		}
		my $call = $self->choose;

		delete $call->{key};
		($outcome, $state, my @ids) = $self->make_call($txn, $call);
		$made++;
		sleep rand $self->{think} if $self->{think};
		return ($outcome, $state) if $outcome eq 'unknown' || ($state ne '' && !defined $savepoint);
		push @done, [ $call, @ids ] if $outcome eq 'ok';
		next if !defined $savepoint || ($state eq '' && rand() < 0.5);
		($outcome, $state) = $self->command('ROLLBACK TO s');
		return ($outcome, $state) if $outcome ne 'ok';
		$self->{journal_writer}->keep($txn, $savepoint);
		$#done = $kept - 1;
		undef $savepoint;
	}
	return ('ok', '', @done);
}

1;
