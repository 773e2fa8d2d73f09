# The journal of a load.  Each client writes what it asks for before the call, and what
# it was told after the answer, to a file outside the server's folder.  The journal
# says what the clients know, and the database is compared with it.
#
# A line is a list of fields with tabs between them:
#
#	begin   TXN FORM
#	call    TXN NAME EVENT USER QUANTITY LIVE CANCELLED HELD ARGUMENT
#	answer  TXN OUTCOME SQLSTATE UNITS IDS
#	keep    TXN COUNT
#	prepare TXN GID IF_GONE
#	end     TXN OUTCOME SQLSTATE FROM TO
#
# A transaction has calls and an end.  Its FORM is "single" (one call, in a transaction
# of its own, at READ COMMITTED) or "several".  The fields:
#
#	QUANTITY  how many units the call asked for
#	LIVE, CANCELLED, HELD   by how much one unit changes the user's live tickets,
#	          cancelled tickets and held places at the event
#	ARGUMENT  the ticket or hold that the call is about
#	UNITS     how many units the answer gave
#	IDS       the tickets or holds that it gave
#	COUNT     a savepoint was rolled back: only the first COUNT calls are left
#	GID       a transaction that is about to be prepared, or to be ended after that
#	IF_GONE   its outcome (ok, undone) if no prepared transaction GID is found later
#	FROM, TO  the positions in the WAL before and after, or empty
#
# The outcomes:
#
#	ok        done, and the client was told so
#	refused   the answer was no (sold out, ...)
#	prepared  PREPARE TRANSACTION was acknowledged, and no end was asked for yet
#	undone    rolled back, as the client wanted
#	failed    an error, but the connection is alive: nothing has happened
#	unknown   the connection was lost: everything has happened, or nothing

package Faults::Journal;

use strict;
use warnings;

use IO::Handle;

sub new
{
	my ($class, $file) = @_;

	open my $handle, '>>', $file or die "$file: $!";
	return bless { handle => $handle, txn => 0 }, $class;
}

# Writes a line at once, so that a client that is killed leaves only whole lines.
sub line
{
	my ($self, @fields) = @_;

	syswrite $self->{handle}, join("\t", map { $_ // '' } @fields) . "\n";
	return;
}

# Begins a transaction of that form.  Returns its number.
sub begin
{
	my ($self, $form) = @_;

	$self->line('begin', ++$self->{txn}, $form);
	return $self->{txn};
}

# A call is about to be made.
sub call
{
	my ($self, $txn, $call) = @_;

	$self->line(
		'call', $txn,
		@{$call}{qw(name event user quantity)},
		@{ $call->{effect} },
		$call->{argument});
	return;
}

# A call was answered.
sub answer
{
	my ($self, $txn, $outcome, $state, $units, @ids) = @_;

	$self->line('answer', $txn, $outcome, $state, $units, join(',', @ids));
	return;
}

# A savepoint was rolled back: only the first calls are left.
sub keep
{
	my ($self, $txn, $count) = @_;

	$self->line('keep', $txn, $count);
	return;
}

# A transaction is about to be prepared, or a prepared one is about to be ended.
sub prepare
{
	my ($self, $txn, $gid, $if_gone) = @_;

	$self->line('prepare', $txn, $gid, $if_gone);
	return;
}

# A transaction has ended.
sub end
{
	my ($self, $txn, $outcome, $state, $from, $to) = @_;

	$self->line('end', $txn, $outcome, $state, $from, $to);
	return;
}

# Returns the transactions in a client's file, in order: hashes with form, outcome,
# state, from, to, gid, if_gone and calls.  Each call is a hash of the fields of its
# call and its answer.  A call without answer, or a transaction without end, is unknown.
sub transactions
{
	my ($file) = @_;
	my (@list, %txn);

	open my $handle, '<', $file or die "$file: $!";
	while (my $line = <$handle>)
	{
		chomp $line;
		my ($what, $number, @rest) = split /\t/, $line, -1;
		my $txn = $txn{$number};

		if ($what eq 'begin')
		{
			$txn{$number} = { form => $rest[0], outcome => 'unknown', state => '', calls => [] };
			push @list, $txn{$number};
		}
		elsif ($what eq 'call')
		{
			my %call = (outcome => 'unknown', state => '', units => 0, ids => '');

			@call{qw(name event user quantity live cancelled held argument)} = @rest;
			push @{ $txn->{calls} }, \%call;
		}
		elsif ($what eq 'answer')
		{
			@{ $txn->{calls}[-1] }{qw(outcome state units ids)} = @rest;
		}
		elsif ($what eq 'keep')
		{
			$_->{outcome} = 'undone' foreach splice @{ [ @{ $txn->{calls} } ] }, $rest[0];
		}
		elsif ($what eq 'prepare')
		{
			@{$txn}{qw(gid if_gone)} = @rest;
		}
		else
		{
			@{$txn}{qw(outcome state from to)} = @rest;
		}
	}
	close $handle;
	return @list;
}

1;
