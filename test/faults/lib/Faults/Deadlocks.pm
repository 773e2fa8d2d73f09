# The deadlocks between single statements that are known: those of doc/limits.md.
#
# Each begins with words of that page, which must be there.  "one" and "others" are kinds
# of statements (Faults::Statements).  A deadlock is known if one of its statements is of
# "one", and each of the rest of "others".  "if" is a condition on the statement that is of
# "one": a function that is given the states that were committed while it ran.

package Faults::Deadlocks;

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(any all);

our @EXPORT_OK = qw(known_deadlock known_deadlocks);

my @booking = qw(book try books batch hold);
my @inserting = qw(insert_ticket insert_tickets insert_hold);
my @updating = qw(reinstate_tickets move_tickets reassign_tickets transfer);
my @several = qw(insert_tickets move_tickets reinstate_tickets cancel_tickets delete_tickets
  update_holds delete_holds expire reassign_tickets capacities limits);

# Statements that lock a user at an event with a limit.
my @for_user = (@booking, @inserting, @updating, 'rebook', 'update_holds');

my @known = (
	{
		text => 'But an `UPDATE` of several events locks in the order of its rows',
		one => [qw(capacities limits)], others => \@several,
	},
	{
		text => 'A plain `UPDATE` of a hold, and a function call or another statement for the same user',
		one => ['update_holds'], others => \@for_user,
	},
	{
		text => 'a statement that takes or gives places of several events, keys or constraints, and for one '
		  . 'of them must end an expired hold or row, or wait for one',
		one => [qw(insert_tickets move_tickets reinstate_tickets update_holds capacities)],
		others => [qw(expire update_holds delete_holds)],
	},
	{
		text => 'A `TRUNCATE`, and calls or statements in progress',
		one => [qw(truncate_hold truncate_ticket)], others => undef,
	},
	{
		text => 'Two `book_batch` calls for the same users of an event',
		one => ['batch'], others => [qw(batch purge)],
	},
	{
		text => "`purge()`, a `DELETE` of an event, and a `confirm_hold(.., 'rebook')` or an `UPDATE` of "
		  . 'an ended hold of that event',
		one => ['purge'], others => [qw(delete_event rebook update_holds)],
	},
	{
		text => "`confirm_hold(.., 'rebook')` or `change_hold()`, and another call or statement for the same "
		  . 'user, if at that moment the event gets a limit',
		one => ['rebook'], others => \@for_user,
		if => sub {
			my ($action, @states) = @_;

			return any { !defined limit_of($action, $_) } @states;
		},
	});

# The hold that confirm_hold() is about, in that state.
sub hold_of
{
	my ($action, $state) = @_;
	my ($id) = $action->{sql} =~ /confirm_hold\((\d+)/;

	return $state->{hold}{$id} // {};
}

# The limit of the event of that hold.
sub limit_of
{
	my ($action, $state) = @_;
	my $event = $state->{event}{ hold_of($action, $state)->{event} // 0 } // {};

	return $event->{limit};
}

# The words of doc/limits.md.
sub known_deadlocks { return map { $_->{text} } @known }

# True if the statement is of that kind.
sub is_of
{
	my ($statement, $kinds) = @_;

	return !$kinds || any { $_ eq $statement->{kind} } @$kinds;
}

# True if the deadlock of these statements is known.  Each is a hash: kind, action, and
# states, which were committed while it ran.
sub known_deadlock
{
	my @statements = grep { $_->{kind} ne 'lock' } @_;

	foreach my $known (@known)
	{
		foreach my $one (grep { is_of($_, $known->{one}) } @statements)
		{
			next if $known->{if} && !$known->{if}->($one->{action}, @{ $one->{states} });
			return 1 if all { $_ == $one || is_of($_, $known->{others}) } @statements;
		}
	}
	return 0;
}

1;
