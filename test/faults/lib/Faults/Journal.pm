# The journal of a load: what each client asked for and what it was told, written
# before the call and after the answer, to a file outside the server's folder.
# What the journal says is what the clients know; the database is judged by it.
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
# A transaction is a number of calls and their end; a call by itself is one, too.
# FORM is "single" for that, at READ COMMITTED, and else "several".
# LIVE, CANCELLED and HELD are by how much one unit of the call changes the live
# and the cancelled tickets and the held places of the user at the event; QUANTITY
# is how many units were asked for, UNITS how many the answer gave.  ARGUMENT is
# the ticket or hold that the call was about, IDS those that it gave.  "keep"
# tells that a savepoint was rolled back: the first COUNT calls stand.  "prepare"
# tells that the transaction is prepared, or its end asked for: if no transaction
# GID stands prepared afterwards, the outcome is IF_GONE (ok, undone).  FROM and
# TO are the places in the server's log (WAL) before and after, or empty.  The
# outcomes:
#
#	ok        done, the client was told so
#	refused   the answer was no (sold out, ...)
#	prepared  PREPARE TRANSACTION was acknowledged, and nothing asked since
#	undone    rolled back, as was asked
#	failed    an error, the connection still stands: nothing may have happened
#	unknown   the connection was lost: all of it has happened, or nothing

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

# One line, in one write: a client that is killed leaves whole lines.
sub line
{
	my ($self, @fields) = @_;

	syswrite $self->{handle}, join("\t", map { $_ // '' } @fields) . "\n";
	return;
}

# A new transaction of that form: its number.
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

# And this is what came back.
sub answer
{
	my ($self, $txn, $outcome, $state, $units, @ids) = @_;

	$self->line('answer', $txn, $outcome, $state, $units, join(',', @ids));
	return;
}

# A savepoint was rolled back: of the calls the first ones stand.
sub keep
{
	my ($self, $txn, $count) = @_;

	$self->line('keep', $txn, $count);
	return;
}

# The transaction is about to be prepared, or to be ended then.
sub prepare
{
	my ($self, $txn, $gid, $if_gone) = @_;

	$self->line('prepare', $txn, $gid, $if_gone);
	return;
}

# The transaction's end.
sub end
{
	my ($self, $txn, $outcome, $state, $from, $to) = @_;

	$self->line('end', $txn, $outcome, $state, $from, $to);
	return;
}

# The transactions in a client's file, in their order: form, outcome, state, from,
# to, gid, if_gone and calls, each with what was asked and answered.  What has no answer or no
# end (the client was stopped) is unknown.
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
