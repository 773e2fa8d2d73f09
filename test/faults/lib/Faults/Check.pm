# Compares a journal (Faults::Journal) with the database.
#
# The journal tells which states are possible for each user at an event.  A state is
# the numbers of live tickets, cancelled tickets and held places.  An acknowledged
# call has changed the state.  A refused or failed call has not.  A call without an
# answer has changed it completely or not at all.  The tables must show one of the
# possible states, and nothing for a user who is in no journal.

package Faults::Check;

use strict;
use warnings;

use Exporter 'import';
use Faults::Calls qw(%CALL);
use Faults::Journal;
use Faults::Load;
use Faults::Shop qw(rows);
use List::Util qw(sum0);

our @EXPORT_OK = qw(judge_journals check_events);

# SQLSTATEs that a client may always get.  $ALWAYS: refusals of calls about events.
# $ALWAYS_SHOP: refusals of calls about shows.  $AGAIN: errors after which a transaction
# of several calls should be retried.  $AGAIN_BESIDE: errors of single calls beside such
# transactions, because a single call in their deadlock may be the first to notice it.
my $ALWAYS = '23T0[1-68]|P0002';
my $ALWAYS_SHOP = '23514';
my $AGAIN = '40P01|40001';
my $AGAIN_BESIDE = '40P01';

# Compares journals with the database.  Returns a hash of counts, and a list of
# problems.  Options:
#
#	journals  the files
#	events    { id => kind }.  Calls about other events, those of other shards, are left out
#	allowed   a pattern of more SQLSTATEs that clients may get
#	single    1: each call was a transaction of its own
#	until     a position in the WAL, to which the database was restored
#	decided   { gid => ok or undone }: how transactions that were found prepared were
#	          ended
#
# In the counts, "unknown" are calls without an answer, and "booked" are places that
# clients were told they have, by a ticket or a hold.  "shop" are those of shows.  A
# place is counted when it is taken.  It is not counted again when its hold is confirmed
# or its ticket is transferred, and it stays counted when it is given back.
sub judge_journals
{
	my ($dbh, %options) = @_;
	my %judge = (
		%options, wrong => [], possible => {}, given => {}, shared => {}, split => [],
		count => { calls => 0, booked => 0, shop => 0, refused => 0, failed => 0, unknown => 0 });
	my $alone = join '|', $options{allowed} // (), $options{single} ? () : $AGAIN_BESIDE;
	my $several = join '|', $options{allowed} // (), $AGAIN;

	$judge{allowed} = { single => qr/^(?:$alone)?$/, several => qr/^(?:$several)?$/ };
	foreach my $file (@{ $options{journals} })
	{
		apply_transaction(\%judge, $_) foreach grep { is_about_events(\%judge, $_) } Faults::Journal::transactions($file);
	}
	my $found = read_tables($dbh, $options{events});

	compare_users(\%judge, $found);
	compare_shared(\%judge, $found);
	compare_ids(\%judge, $found);
	return ($judge{count}, @{ $judge{wrong} });
}

# ---- what the journal says --------------------------------------------------

# True if a transaction is about the events that are judged, or has no calls.  (All its
# calls are: with shards, there are no transactions of several calls.)
sub is_about_events
{
	my ($judge, $txn) = @_;
	my ($first) = @{ $txn->{calls} };

	return !$first || $judge->{events}{ $first->{event} };
}

# Returns whether a transaction took effect: ok (surely), failed (surely not), unknown.
sub outcome_of
{
	my ($judge, $txn) = @_;
	my $until = $judge->{until};

	return outcome_of_prepared($judge, $txn) if defined $txn->{gid};
	if (defined $until)
	{
		return 'failed' if $txn->{from} && position($txn->{from}) >= position($until);
		return 'unknown' if $txn->{outcome} eq 'ok'
		  && !($txn->{to} && position($txn->{to}) <= position($until));
	}
	return $txn->{outcome} =~ /^(?:ok|unknown)$/ ? $txn->{outcome} : 'failed';
}

# The same for a transaction that its client wanted to prepare.  Its outcome is always known: it
# was found prepared and ended as decided, or it had ended as its client wanted.
sub outcome_of_prepared
{
	my ($judge, $txn) = @_;
	my ($gid, $outcome) = @{$txn}{qw(gid outcome)};
	my $decided = $judge->{decided}{$gid};

	push @{ $judge->{wrong} }, "transaction $gid was prepared, but has gone"
	  if $outcome eq 'prepared' && !defined $decided;
	push @{ $judge->{wrong} }, "transaction $gid was $outcome, but was found prepared"
	  if defined $decided && $outcome !~ /^(?:prepared|unknown)$/;
	$outcome = $decided // ($outcome eq 'unknown' ? $txn->{if_gone} : $outcome);
	return $outcome eq 'ok' ? 'ok' : 'failed';
}

# Returns a position in the WAL as a number.
sub position
{
	my ($high, $low) = split m{/}, $_[0];

	return hex($high) * 2**32 + hex($low);
}

# Applies one transaction to the possible states.
sub apply_transaction
{
	my ($judge, $txn) = @_;
	my $outcome = outcome_of($judge, $txn);
	my @touched;

	check_state($judge, $txn->{form}, $_) foreach $txn, @{ $txn->{calls} };
	foreach my $call (grep { $_->{outcome} =~ /^(?:ok|unknown)$/ } @{ $txn->{calls} })
	{
		my $sure = $outcome eq 'ok' && $call->{outcome} eq 'ok';

		next if $outcome eq 'failed';
		$judge->{count}{booked} += taken($call) if $sure;
		$judge->{count}{shop} += taken($call) if $sure && $CALL{ $call->{name} }{shop};
		$judge->{count}{unknown}++ if !$sure;
		push @touched, apply_call($judge, $call, $sure);
		note_ids($judge, $call, $sure);
	}
	push @{ $judge->{split} }, [@touched] if $outcome eq 'unknown' && @touched > 1;
	return;
}

# Counts a call or the end of a transaction, and checks its SQLSTATE.
sub check_state
{
	my ($judge, $form, $what) = @_;

	if (!$what->{calls})
	{
		$judge->{count}{calls}++;
		$judge->{count}{ $what->{state} }++ if $what->{state} ne '';
		$judge->{count}{ $what->{outcome} }++ if $what->{outcome} =~ /^(?:refused|failed)$/;
	}
	return if $what->{outcome} =~ /^(?:unknown|undone|prepared)$/ || $what->{state} =~ $judge->{allowed}{$form};
	return if is_refusal($what);
	push @{ $judge->{wrong} }, sprintf 'a client got %s (%s, %s)', $what->{state}, $what->{name} // 'commit', $form;
	return;
}

# True if a call has ended with one of its refusals, or a transaction with one of any
# call.
sub is_refusal
{
	my ($what) = @_;
	my $refusals = $what->{calls} ? "$ALWAYS|$ALWAYS_SHOP" : $CALL{ $what->{name} }{shop} ? $ALWAYS_SHOP : $ALWAYS;

	return $what->{state} =~ /^(?:$refusals)$/;
}

# Returns how many places, free before, a successful call has taken.
sub taken
{
	my ($call) = @_;
	my $of_one = $call->{live} + $call->{held};

	return $of_one > 0 ? $of_one * $call->{units} : 0;
}

# Returns event and user in one string: for a transferred ticket, its first user.
sub event_user
{
	my ($event, $user) = @_;

	return $event . '/' . $user % Faults::Load::TRANSFERRED;
}

# Changes the possible states of a call's user.  Returns the event and user, and the
# states before and after, for compare_users().
sub apply_call
{
	my ($judge, $call, $sure) = @_;
	my @effect = @{$call}{qw(live cancelled held)};
	my $name = event_user($call->{event}, $call->{user});
	my ($least, $most) = ($call->{units}, $call->{units});
	my (%before, %after);

	if ($call->{outcome} eq 'unknown')
	{
		$least = $CALL{ $call->{name} }{partial} ? 0 : $call->{quantity};
		$most = $call->{quantity};
	}
	if ($call->{user} <= Faults::Load::SHARED_USERS)
	{
		my $shared = $judge->{shared}{$name} //= { least => 0, most => 0 };

		$shared->{most} += $most * ($effect[0] + $effect[2]);
		$shared->{least} += $least * ($effect[0] + $effect[2]) if $sure;
		return;
	}
	%before = %{ $judge->{possible}{$name} // { '0 0 0' => 1 } };
	foreach my $state (keys %before)
	{
		my @state = split / /, $state;

		foreach my $units ($least .. $most)
		{
			$after{ join ' ', map { $state[$_] + $units * $effect[$_] } 0 .. 2 } = 1;
		}
	}
	my $possible = $judge->{possible}{$name} = $sure ? \%after : { %before, %after };

	return [ $name, \%before, \%after, $possible ];
}

# Notes which tickets must exist, and for whom.
sub note_ids
{
	my ($judge, $call, $sure) = @_;
	my $given = $judge->{given};

	delete $given->{ $call->{argument} } if $call->{name} =~ /delete$/;
	return if !$sure || $call->{live} <= 0;
	foreach my $id (split /,/, $call->{ids})
	{
		push @{ $judge->{wrong} }, "ticket $id was given twice" if $given->{$id};
		$given->{$id} = event_user($call->{event}, $call->{user});
	}
	return;
}

# ---- what the tables say ----------------------------------------------------

# Returns the tickets by id, and the states by event and user.  Each row of the shop has
# a number of places, which is 1 in other tickets.
sub read_tables
{
	my ($dbh, $events) = @_;
	my @ids = sort { $a <=> $b } keys %$events;
	my %found = (state => {}, ticket => {});
	my $tickets = $dbh->selectall_arrayref(<<~'SQL', undef, \@ids, \@ids) // die $dbh->errstr;
		SELECT ticket_id, event_id, user_id, cancelled_at IS NULL, 1
		FROM booking.ticket WHERE event_id = ANY (?)
		UNION ALL
		SELECT id, show_id, user_id, status = 'sold', places
		FROM shop_ticket WHERE show_id = ANY (?) AND status IN ('sold', 'cancelled')
		SQL
	my $holds = $dbh->selectall_arrayref(<<~'SQL', undef, \@ids, \@ids) // die $dbh->errstr;
		SELECT event_id, user_id, sum(quantity)
		FROM booking.hold WHERE event_id = ANY (?) AND ended_at IS NULL
		GROUP BY event_id, user_id
		UNION ALL
		SELECT show_id, user_id, sum(places)
		FROM shop_ticket WHERE show_id = ANY (?) AND status = 'basket'
		GROUP BY show_id, user_id
		SQL

	foreach my $row (@$tickets)
	{
		my ($id, $event, $user, $live, $places) = @$row;
		my $name = event_user($event, $user);

		$found{ticket}{$id} = $name;
		$found{state}{$name} //= [ 0, 0, 0 ];
		$found{state}{$name}[ $live ? 0 : 1 ] += $places;
	}
	foreach my $row (@$holds)
	{
		$found{state}{ event_user(@{$row}[ 0, 1 ]) } //= [ 0, 0, 0 ];
		$found{state}{ event_user(@{$row}[ 0, 1 ]) }[2] += $row->[2];
	}
	return \%found;
}

# ---- the comparison ---------------------------------------------------------

# True if a state is one of the possible ones.  Held places of an event whose holds
# expire are not compared.
sub is_one_of
{
	my ($judge, $name, $state, $possible) = @_;
	my ($event) = split m{/}, $name;

	return $possible->{"@$state"} if $judge->{events}{$event} !~ /expiring$/;
	return grep { my @p = split / /; "@p[0, 1]" eq "@{$state}[0, 1]" } keys %$possible;
}

sub compare_users
{
	my ($judge, $found) = @_;
	my $nothing = [ 0, 0, 0 ];

	foreach my $name (sort keys %{ $judge->{possible} })
	{
		my $state = $found->{state}{$name} // $nothing;
		my $possible = $judge->{possible}{$name};

		next if is_one_of($judge, $name, $state, $possible);
		push @{ $judge->{wrong} },
		  "event/user $name has (live cancelled held) @$state, and not " . join(' or ', sort keys %$possible);
	}
	foreach my $name (sort keys %{ $found->{state} })
	{
		next if $judge->{possible}{$name} || $judge->{shared}{$name};
		push @{ $judge->{wrong} }, "event/user $name has @{ $found->{state}{$name} }, but is in no journal";
	}
	foreach my $touched (@{ $judge->{split} })
	{
		my $done = grep { was_done($judge, $found, $_) eq 'done' } @$touched;
		my $not_done = grep { was_done($judge, $found, $_) eq 'not done' } @$touched;

		next if !$done || !$not_done;
		push @{ $judge->{wrong} }, 'only half of a transaction took effect: ' . join ', ', map { $_->[0] } @$touched;
	}
	return;
}

# Returns whether a call without an answer was done, if its user's state tells that.
# It does not if both are possible, or if a later call was about the same user.
sub was_done
{
	my ($judge, $found, $touched) = @_;
	my ($name, $before, $after, $possible) = @$touched;
	my $state = $found->{state}{$name} // [ 0, 0, 0 ];

	return 'unclear' if $judge->{possible}{$name} != $possible;
	my ($was, $is) = map { !!is_one_of($judge, $name, $state, $_) } $before, $after;

	return $was == $is ? 'unclear' : $is ? 'done' : 'not done';
}

# Users whom all clients share have at least as many places as were acknowledged, and
# at most as many as were asked for.
sub compare_shared
{
	my ($judge, $found) = @_;

	foreach my $name (sort keys %{ $judge->{shared} })
	{
		my ($least, $most) = @{ $judge->{shared}{$name} }{qw(least most)};
		my $state = $found->{state}{$name} // [ 0, 0, 0 ];
		my $has = $state->[0] + $state->[2];

		next if $least <= $has && $has <= $most;
		push @{ $judge->{wrong} }, "event/user $name has $has places, and not $least to $most";
	}
	return;
}

sub compare_ids
{
	my ($judge, $found) = @_;

	foreach my $id (sort { $a <=> $b } keys %{ $judge->{given} })
	{
		my $who = $found->{ticket}{$id} // 'no user';

		next if $who eq $judge->{given}{$id};
		push @{ $judge->{wrong} }, "ticket $id belongs to $who, and not to event/user $judge->{given}{$id}";
	}
	return;
}

# ---- the events -------------------------------------------------------------

# Checks the events without the journals: no event is oversold, no user is over the
# limit, and verify() finds nothing.  Exactly the places that are left can be sold, one
# by one.  Returns a list of problems.
sub check_events
{
	my ($dbh, @ids) = @_;
	my @wrong;

	push @wrong, map { "event $_->[0] is oversold: @$_[1, 2]" } rows($dbh, <<~'SQL', \@ids);
		SELECT event_id, capacity, t.live + h.held
		FROM booking.event e,
		     LATERAL (SELECT count(*) AS live FROM booking.ticket t
		              WHERE t.event_id = e.event_id AND cancelled_at IS NULL) t,
		     LATERAL (SELECT coalesce(sum(quantity), 0) AS held FROM booking.hold h
		              WHERE h.event_id = e.event_id AND ended_at IS NULL) h
		WHERE event_id = ANY (?) AND t.live + h.held > capacity
		SQL
	push @wrong, map { "event $_->[0], user $_->[1] has $_->[2] places" } rows($dbh, <<~'SQL', \@ids);
		SELECT event_id, user_id, sum(n)
		FROM (SELECT event_id, user_id, 1 AS n FROM booking.ticket WHERE cancelled_at IS NULL
		      UNION ALL
		      SELECT event_id, user_id, quantity FROM booking.hold WHERE ended_at IS NULL) x
		     JOIN booking.event USING (event_id)
		WHERE event_id = ANY (?)
		GROUP BY event_id, user_id, max_per_user HAVING sum(n) > max_per_user
		SQL
	push @wrong, check_verify($dbh, @ids);
	push @wrong, map { sell_the_rest($dbh, $_) } @ids;
	push @wrong, check_verify($dbh, @ids);
	return @wrong;
}

sub check_verify
{
	my ($dbh, @ids) = @_;

	return map { 'verify(): ' . join ' ', map { $_ // 'null' } @$_ }
	  rows($dbh, 'SELECT v.* FROM unnest(?::bigint[]) AS id, booking.verify(id) AS v', \@ids);
}

# Sells the places that are left, each to a new user.  Returns a problem, or nothing.
sub sell_the_rest
{
	my ($dbh, $event) = @_;
	my ($row) = rows($dbh, <<~'SQL', $event, $event);
		WITH RECURSIVE sold (n, status) AS (
		    SELECT 0, 'booked'
		    UNION ALL
		    SELECT n + 1, (booking.try_book_ticket(?::bigint, 500000000000 + n)).status
		    FROM sold WHERE status = 'booked'
		)
		SELECT string_agg(DISTINCT status, ' ' ORDER BY status),
		       (SELECT capacity FROM booking.event WHERE event_id = ?::bigint)
		FROM sold
		SQL
	my ($taken) = rows($dbh, <<~'SQL', $event, $event, $event);
		SELECT (SELECT count(*) FROM booking.ticket WHERE event_id = ? AND cancelled_at IS NULL)
		       + (SELECT coalesce(sum(quantity), 0) FROM booking.hold WHERE event_id = ? AND ended_at IS NULL),
		       (SELECT count(*) FROM booking.inventory WHERE event_id = ?)
		SQL
	my ($statuses, $capacity) = @$row;

	return if $statuses eq 'booked sold_out' && $taken->[0] == $capacity && $taken->[1] == 1;
	return "event $event: the rest was sold with \"$statuses\", then $taken->[0] of $capacity places"
	  . " are taken and the inventory has $taken->[1] rows";
}

1;
