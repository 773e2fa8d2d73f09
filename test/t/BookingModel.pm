# A model of pg_booking, as simple as possible: events, tickets, holds,
# idempotency keys and named locks in memory, and what each action of a session must do to them.
# 012_model.pl compares a server with it.
#
# A method changes the model, or dies with the SQLSTATE of a refusal.  After that
# the model is invalid, so the caller must work on a copy.  What triggers do is done
# after all rows of the statement were changed: what its rows take and give is added
# up by event, and settled at its end.  {now} is the time.  The caller must make sure
# that no hold expires while a statement runs.

package BookingModel;

use strict;
use warnings;

use List::Util qw(any max sum0);
use Storable qw(dclone);

# An empty shop.  has_key: true if a foreign key binds tickets to their event, with
# ON DELETE and ON UPDATE CASCADE.
sub new
{
	my ($class, $has_key) = @_;

	return bless {
		now => 0, has_key => $has_key, next => -1,
		event => {}, ticket => {}, hold => {}, request => {}, pending => {}, lock => {}
	}, $class;
}

# Returns a copy with a new time.
sub copy
{
	my ($self, $now) = @_;
	my $copy = dclone($self);

	$copy->{now} = $now;
	return $copy;
}

# Refuses the action with a SQLSTATE.
sub refuse
{
	my ($state) = @_;

	die { state => $state };
}

# A new id: the next one that the server gave, or an invented one.
sub new_id
{
	my ($self, $given) = @_;

	return defined $given && @$given ? shift @$given : $self->{next}--;
}

# ---- reading ----

# All tickets, in the order of their ids.
sub all_tickets
{
	my ($self) = @_;

	return map { $self->{ticket}{$_} } sort { $a <=> $b } keys %{ $self->{ticket} };
}

# The tickets of an event.
sub tickets_of
{
	my ($self, $event) = @_;

	return grep { $_->{event} == $event } $self->all_tickets;
}

# The tickets that a hold was confirmed into, including cancelled ones.
sub tickets_of_hold
{
	my ($self, $hold) = @_;

	return grep { ($_->{hold} // 0) == $hold } $self->all_tickets;
}

# The live holds of an event.
sub holds_of
{
	my ($self, $event) = @_;

	return grep { $_->{event} == $event && !defined $_->{ended} } values %{ $self->{hold} };
}

sub has_expired
{
	my ($self, $hold) = @_;

	return $hold->{expires} <= $self->{now};
}

# The live holds of an event that have expired, in the order of their expiry.
sub expired_of
{
	my ($self, $event) = @_;

	return sort { $a->{expires} <=> $b->{expires} || $a->{id} <=> $b->{id} }
	  grep { $self->has_expired($_) } $self->holds_of($event);
}

# The number of places that the limit counts for a user at an event.
sub owned
{
	my ($self, $event, $user) = @_;

	return scalar(grep { $_->{user} == $user && !$_->{cancelled} } $self->tickets_of($event)) +
	  sum0(map { $_->{quantity} }
		grep { $_->{user} == $user && !$self->has_expired($_) } $self->holds_of($event));
}

# The places of an event.  One without a limit has two billion.
sub size_of
{
	my ($capacity) = @_;

	return $capacity // 2_000_000_000;
}

# The places of an event that can be booked, those of expired holds included.
sub left
{
	my ($self, $event) = @_;

	return $self->{event}{$event}{free} + sum0(map { $_->{quantity} } $self->expired_of($event));
}

# (available, held, booked), as availability() returns them.
sub availability
{
	my ($self, $event) = @_;
	my $capacity = $self->{event}{$event}{capacity};
	my $left = $self->left($event);
	my $held = sum0(map { $_->{quantity} } $self->holds_of($event)) + $self->{event}{$event}{free} - $left;

	return (defined $capacity ? $left : undef, $held, size_of($capacity) - $left - $held);
}

# The events at which verify() reports a user over the limit, because the limit was
# lowered: event, limit, places.
sub over_limit
{
	my ($self) = @_;
	my @found;

	foreach my $id (sort { $a <=> $b } keys %{ $self->{event} })
	{
		my $limit = $self->{event}{$id}{limit} // next;
		my %users = map { $_->{user} => 1 } $self->tickets_of($id), $self->holds_of($id);
		my $most = max(0, map { $self->owned($id, $_) } keys %users);

		push @found, "$id $limit $most" if $most > $limit;
	}
	return @found;
}

# ---- places ----

sub on_sale
{
	my ($event) = @_;

	return $event->{start} ne 'later' && $event->{end} ne 'earlier';
}

# Ends a hold and gives its places back.
sub end_hold
{
	my ($self, $hold) = @_;

	$hold->{ended} = $self->{now};
	$self->{event}{ $hold->{event} }{free} += $hold->{quantity};
	return;
}

# Takes places of an event, if the rules allow it.  Options: window (1: check the
# sales window), user (check the limit of this user), written (users whose places the
# limit counts already).
sub take
{
	my ($self, $id, $quantity, %on) = @_;
	my $event = $self->{event}{$id} // refuse('23503');
	my @expired = $self->expired_of($id);

	refuse('23T03') if $on{window} && !on_sale($event);
	refuse('23T01') if $event->{free} + sum0(map { $_->{quantity} } @expired) < $quantity;
	refuse('23T02')
	  if defined $on{user} && defined $event->{limit}
	  && $self->owned($id, $on{user}) + $quantity > $event->{limit};
	refuse('23T02')
	  if defined $event->{limit} && any { $self->owned($id, $_) > $event->{limit} } @{ $on{written} // [] };
	my $missing = $quantity - $event->{free};

	while ($missing > 0)
	{
		my $hold = shift @expired;

		$missing -= $hold->{quantity};
		$self->end_hold($hold);
	}
	$event->{free} -= $quantity;
	return;
}

# What the statement does to an event so far.
sub pending
{
	my ($self, $event) = @_;

	return $self->{pending}{$event} //= { taken => 0, given => 0, added => 0, users => [], expired => 0 };
}

# The trigger for a row that came to an event with that many places.
sub row_added
{
	my ($self, $row, $places) = @_;
	my $pending = $self->pending($row->{event});

	$pending->{added} = 1;
	$pending->{taken} += $places;
	push @{ $pending->{users} }, $row->{user} if $places > 0;
	$pending->{expired} = 1 if defined $row->{quantity} && $self->has_expired($row);
	return;
}

# The trigger for a row that stays in its event, whose user's limit is checked.
sub row_kept
{
	my ($self, $row) = @_;
	my $pending = $self->pending($row->{event});

	$pending->{added} = 1;
	push @{ $pending->{users} }, $row->{user};
	return;
}

# The trigger for a row that has left an event.
sub row_removed
{
	my ($self, $event, $places) = @_;

	$self->pending($event)->{given} += $places;
	return;
}

# The end of a statement.  If one of its rows is an expired hold and too few places
# are free, the outcome is not defined: the hold may be ended to provide its own
# places, or be refused.  Then 'either' is raised.
sub settle
{
	my ($self) = @_;

	foreach my $id (sort { $a <=> $b } keys %{ $self->{pending} })
	{
		my $pending = $self->{pending}{$id};
		my $net = $pending->{taken} - $pending->{given};

		next if !$pending->{added} && !$self->{event}{$id};
		refuse('23503') if !$self->{event}{$id};
		refuse('either') if $pending->{expired} && $self->{event}{$id}{free} < $net;
		$self->take($id, max($net, 0), window => $pending->{taken} > 0, written => $pending->{users})
		  if $pending->{added};
		$self->{event}{$id}{free} -= $net if $net < 0;
	}
	$self->{pending} = {};
	return;
}

# The places of a ticket or hold.
sub places
{
	my ($row) = @_;

	return defined $row->{quantity} ? (defined $row->{ended} ? 0 : $row->{quantity}) : $row->{cancelled} ? 0 : 1;
}

# ---- keys ----

# The answer that is stored for an idempotency key, or undef.  Raises 23T06 if the
# key was used for another request, or if the rows are no longer the user's.
sub answer
{
	my ($self, $event, $user, $key, $asked) = @_;
	my $request = defined $key ? $self->{request}{"$event $key"} : undef;

	return if !$request;
	refuse('23T06') if $request->{asked} ne $asked;
	my $table = $self->{ is_hold_key($request) ? 'hold' : 'ticket' };
	my @ids = ref $request->{answer} ? @{ $request->{answer} } : $request->{answer};

	foreach my $row (map { $table->{$_} } @ids)
	{
		refuse('23T06') if !$row || $row->{event} ne $event || $row->{user} ne $user;
	}
	return $request->{answer};
}

# Was the key sent with hold_tickets()?
sub is_hold_key
{
	my ($request) = @_;

	return $request->{asked} =~ /hold/;
}

sub remember
{
	my ($self, $event, $key, $asked, $answer) = @_;

	$self->{request}{"$event $key"} = { asked => $asked, answer => $answer } if defined $key;
	return $answer;
}

sub forget_keys
{
	my ($self, $event) = @_;

	delete $self->{request}{$_} foreach grep { /^$event / } keys %{ $self->{request} };
	return;
}

# ---- the functions ----

# Adds a ticket, whose place must have been taken.
sub add_ticket
{
	my ($self, $given, %row) = @_;
	my $id = $self->new_id($given);

	$self->{ticket}{$id} = { id => $id, cancelled => 0, redeemed => 0, %row };
	return $id;
}

# book_tickets(), and book_ticket() with quantity 1.  Returns the ids.
sub book
{
	my ($self, $given, $event, $user, $quantity, $key) = @_;
	my $asked = "$user $quantity book";
	my $answer = $self->answer($event, $user, $key, $asked);

	return $answer if $answer;
	$self->take($event, $quantity, window => 1, user => $user);
	return $self->remember($event, $key, $asked,
		[ map { $self->add_ticket($given, event => $event, user => $user) } 1 .. $quantity ]);
}

# try_book_ticket().  Returns (status, id).
sub try_book
{
	my ($self, $given, $event, $user, $key) = @_;
	my %status = ('23T01' => 'sold_out', '23T02' => 'user_limit', '23T03' => 'not_on_sale', '23503' => 'no_event');
	my $ids = eval { $self->book($given, $event, $user, 1, $key) };

	return ('booked', $ids->[0]) if $ids;
	my $refusal = $@;

	die $refusal if !ref $refusal || !$status{ $refusal->{state} };
	return ($status{ $refusal->{state} }, '');
}

# book_batch().  Returns a list of [ status, id ].  Users over the limit are refused
# before places are given out.
sub book_batch
{
	my ($self, $given, $event, @users) = @_;
	my $row = $self->{event}{$event} // refuse('23503');
	my (%asked, @answers);
	my $left = $self->left($event);

	foreach my $user (@users)
	{
		my $status = 'booked';

		$status = 'user_limit'
		  if defined $row->{limit} && $self->owned($event, $user) + ++$asked{$user} > $row->{limit};
		$status = !on_sale($row) ? 'not_on_sale' : $left-- > 0 ? 'booked' : 'sold_out'
		  if $status eq 'booked';
		push @answers, [ $status, '', $user ];
	}
	my @served = grep { $_->[0] eq 'booked' } @answers;

	$self->take($event, scalar @served) if @served;
	$_->[1] = $self->add_ticket($given, event => $event, user => $_->[2]) foreach @served;
	return map { [ @$_[ 0, 1 ] ] } @answers;
}

# book_as_staff().  Returns the ids.
sub book_as_staff
{
	my ($self, $given, $event, $user, $quantity, @override) = @_;
	my %override = map { $_ => 1 } @override;

	$self->take($event, $quantity, window => !$override{window}, user => $override{limit} ? undef : $user);
	return [ map { $self->add_ticket($given, event => $event, user => $user) } 1 .. $quantity ];
}

# The user's hold of that many places that expires last, or undef.
sub same_hold
{
	my ($self, $event, $user, $quantity) = @_;
	my @same = sort { $b->{expires} <=> $a->{expires} || $a->{id} <=> $b->{id} }
	  grep { $_->{user} == $user && $_->{quantity} == $quantity && !$self->has_expired($_) } $self->holds_of($event);

	return $same[0];
}

# hold_tickets(), with ttl in seconds.  Returns the id.
sub hold
{
	my ($self, $given, $event, $user, $quantity, $ttl, $key, $return_held) = @_;
	my $asked = "$user $quantity hold " . ($ttl // '');
	my $answer = $self->answer($event, $user, $key, $asked);

	return $answer if $answer;
	refuse('23503') if !$self->{event}{$event};
	my $same = $return_held ? $self->same_hold($event, $user, $quantity) : undef;

	return $self->remember($event, $key, $asked, $same->{id}) if $same;
	refuse('22023') if defined $ttl && ($ttl <= 0 || $ttl > 3600);
	$self->take($event, $quantity, window => 1, user => $user);
	my $id = $self->new_id($given);

	$self->{hold}{$id} = { id => $id, event => $event, user => $user, quantity => $quantity,
		expires => $self->{now} + ($ttl // 600), created => $self->{now}, ended => undef };
	return $self->remember($event, $key, $asked, $id);
}

# True if an ended hold was ended before it expired: released or confirmed.
sub ended_early
{
	my ($hold) = @_;

	return $hold->{ended} < $hold->{expires};
}

# confirm_hold().  Returns the ids of the tickets.
sub confirm
{
	my ($self, $given, $id, $rebook) = @_;
	my $hold = $self->{hold}{$id} // refuse('P0002');
	my @before = defined $hold->{ended} ? $self->tickets_of_hold($id) : ();

	return [ map { $_->{id} } @before ] if @before;
	refuse('23T05') if $hold->{confirmed} || defined $hold->{ended} && ended_early($hold);
	if (!defined $hold->{ended} && !$self->has_expired($hold))
	{
		$hold->{ended} = $self->{now};
	}
	elsif ($rebook)
	{
		$self->end_hold($hold) if !defined $hold->{ended};
		$self->take($hold->{event}, $hold->{quantity}, window => 1, user => $hold->{user});
		refuse('23T05') if $self->{event}{ $hold->{event} }{created} > $hold->{created};
	}
	else
	{
		refuse('23T04');
	}
	$hold->{confirmed} = 1;
	return [ map { $self->add_ticket($given, event => $hold->{event}, user => $hold->{user}, hold => $id) }
		  1 .. $hold->{quantity} ];
}

# release_hold().  Returns 1 or 0.
sub release
{
	my ($self, $id) = @_;
	my $hold = $self->{hold}{$id};
	my $live = $hold && !defined $hold->{ended};

	$self->end_hold($hold) if $live;
	return $live ? 1 : 0;
}

# Returns a hold that has not ended or expired.
sub alive
{
	my ($self, $id) = @_;
	my $hold = $self->{hold}{$id} // refuse('P0002');

	refuse('23T05')
	  if defined $hold->{ended} && ($hold->{confirmed} || $self->tickets_of_hold($id) || ended_early($hold));
	refuse('23T04') if defined $hold->{ended} || $self->has_expired($hold);
	return $hold;
}

# change_hold().  Returns 0 if there is nothing to change.
sub change_hold
{
	my ($self, $id, $quantity, $user) = @_;
	my $hold = $self->alive($id);
	my %set = (quantity => $quantity // $hold->{quantity}, user => $user // $hold->{user});

	return 0 if $set{quantity} == $hold->{quantity} && $set{user} == $hold->{user};
	$self->update_hold($hold, %set);
	return 1;
}

# extend_hold()
sub extend
{
	my ($self, $id, $ttl) = @_;
	my $hold = $self->alive($id);

	refuse('22023') if $ttl > 3600 || $self->{now} + $ttl > $hold->{created} + 3600;
	$hold->{expires} = max($hold->{expires}, $self->{now} + $ttl);
	return;
}

# expire_holds().  Returns how many holds it ended.
sub expire
{
	my ($self) = @_;
	my @expired = map { $self->expired_of($_) } keys %{ $self->{event} };

	$self->end_hold($_) foreach @expired;
	return scalar @expired;
}

# cancel_ticket().  Returns 1 or 0.
sub cancel
{
	my ($self, $id) = @_;
	my $ticket = $self->{ticket}{$id} // refuse('P0002');

	return 0 if $ticket->{cancelled};
	refuse('23T05') if $ticket->{redeemed};
	$ticket->{cancelled} = 1;
	$self->row_removed($ticket->{event}, 1);
	$self->settle;
	return 1;
}

# redeem_ticket().  Returns the status.
sub redeem
{
	my ($self, $id) = @_;
	my $ticket = $self->{ticket}{$id} // refuse('P0002');

	return 'cancelled' if $ticket->{cancelled};
	return 'already_redeemed' if $ticket->{redeemed};
	$ticket->{redeemed} = 1;
	return 'redeemed';
}

# unredeem_ticket().  Returns 0 if the ticket was not redeemed.
sub unredeem
{
	my ($self, $id) = @_;
	my $ticket = $self->{ticket}{$id} // refuse('P0002');
	my $was = $ticket->{redeemed};

	$ticket->{redeemed} = 0;
	return $was;
}

# move_ticket().  Returns 0 if the ticket is at this event already.
sub move
{
	my ($self, $id, $event) = @_;
	my $ticket = $self->{ticket}{$id} // refuse('P0002');

	refuse('23T05') if $ticket->{cancelled} || $ticket->{redeemed};
	return 0 if $ticket->{event} == $event;
	$self->update_tickets([ $ticket ], event => $event);
	return 1;
}

# exchange_tickets().  Returns 0 if both are one user's.
sub exchange
{
	my ($self, @ids) = @_;
	my @tickets = map { $self->{ticket}{$_} // refuse('P0002') } @ids;
	my @old = map { {%$_} } @tickets;

	refuse('23T05') if any { $_->{cancelled} || $_->{redeemed} } @tickets;
	return 0 if $tickets[0]{user} == $tickets[1]{user};
	$_->{user} = $old[ $_->{id} == $ids[0] ? 1 : 0 ]{user} foreach @tickets;
	$self->row_changed($old[$_], $tickets[$_]) foreach 0, 1;
	$self->settle;
	return 1;
}

# cancel_event().  Returns a list of [ user, ids of his tickets ].
sub cancel_event
{
	my ($self, $id) = @_;
	my $event = $self->{event}{$id} // refuse('23503');
	my %ids;

	$event->{start} = '' if $event->{start} eq 'later';
	$event->{end} = 'earlier';
	$self->end_hold($_) foreach $self->holds_of($id);
	foreach my $ticket (grep { !$_->{cancelled} } $self->tickets_of($id))
	{
		push @{ $ids{ $ticket->{user} } }, $ticket->{id};
		$ticket->{cancelled} = 1;
		$event->{free}++;
	}
	return map { [ $_, $ids{$_} ] } sort keys %ids;
}

# transfer_ticket().  Returns 0 if the ticket is this user's already.
sub transfer
{
	my ($self, $id, $user) = @_;
	my $ticket = $self->{ticket}{$id} // refuse('P0002');

	refuse('23T05') if $ticket->{cancelled} || $ticket->{redeemed};
	return 0 if $ticket->{user} == $user;
	$self->update_tickets([ $ticket ], user => $user);
	return 1;
}

# rebuild_inventory(), which has no visible effect.
sub rebuild
{
	my ($self, $event) = @_;

	refuse('23503') if !$self->{event}{$event};
	return;
}

# purge().  Removes all keys and ended holds, or only the holds of deleted events.
sub purge
{
	my ($self, $all) = @_;

	$self->{request} = {} if $all;
	foreach my $hold (values %{ $self->{hold} })
	{
		delete $self->{hold}{ $hold->{id} }
		  if defined $hold->{ended} && ($all || !$self->{event}{ $hold->{event} });
	}
	return;
}

# ---- plain SQL: tickets and holds ----

# The foreign key's check of a ticket's event.
sub check_key
{
	my ($self, $event) = @_;

	refuse('23503') if $self->{has_key} && !$self->{event}{$event};
	return;
}

# INSERT of tickets, given as a list of [ event, user, cancelled ].
sub insert_tickets
{
	my ($self, $given, @rows) = @_;
	my @ids = map { $self->add_ticket($given, event => $_->[0], user => $_->[1], cancelled => $_->[2] ? 1 : 0) } @rows;

	foreach my $ticket (map { $self->{ticket}{$_} } @ids)
	{
		$self->check_key($ticket->{event});
		$self->row_added($ticket, places($ticket));
	}
	$self->settle;
	return \@ids;
}

# The trigger for a row of either table that has changed.
sub row_changed
{
	my ($self, $old, $new) = @_;
	my ($before, $after) = (places($old), places($new));

	refuse('23T05')
	  if defined $new->{quantity} && !$before && $after && ($new->{confirmed} || $self->tickets_of_hold($new->{id}));
	if ($old->{event} != $new->{event})
	{
		$self->check_key($new->{event}) if !defined $new->{quantity};
		$self->row_removed($old->{event}, $before);
		$self->row_added($new, $after);
		return;
	}
	my $postponed = defined $new->{quantity} && $new->{expires} > $old->{expires} && $self->has_expired($old);

	$self->row_kept($new)
	  if $after > 0 && $after <= $before && ($old->{user} != $new->{user} || $postponed);
	$self->row_added($new, $after - $before) if $after > $before;
	$self->row_removed($new->{event}, $before - $after) if $after < $before;
	return;
}

# UPDATE of tickets
sub update_tickets
{
	my ($self, $tickets, %set) = @_;
	my @old = map { {%$_} } @$tickets;

	@$_{ keys %set } = values %set foreach @$tickets;
	$self->row_changed($old[$_], $tickets->[$_]) foreach 0 .. $#old;
	$self->settle;
	return;
}

# UPDATE that moves each ticket to the other one of two events, whose ids have that
# sum
sub exchange_tickets
{
	my ($self, $sum, @tickets) = @_;
	my @old = map { {%$_} } @tickets;

	$_->{event} = $sum - $_->{event} foreach @tickets;
	$self->row_changed($old[$_], $tickets[$_]) foreach 0 .. $#old;
	$self->settle;
	return;
}

# DELETE of tickets or of holds
sub delete_rows
{
	my ($self, $table, @rows) = @_;

	delete $self->{$table}{ $_->{id} } foreach @rows;
	$self->row_removed($_->{event}, places($_)) foreach @rows;
	$self->settle;
	return;
}

# INSERT of a hold
sub insert_hold
{
	my ($self, $given, %row) = @_;
	my $id = $self->new_id($given);

	$self->{hold}{$id} = { id => $id, created => $self->{now}, ended => undef, %row };
	$self->row_added($self->{hold}{$id}, places($self->{hold}{$id}));
	$self->settle;
	return $id;
}

# UPDATE of a hold
sub update_hold
{
	my ($self, $hold, %set) = @_;
	my $old = {%$hold};

	@$hold{ keys %set } = values %set;
	$self->row_changed($old, $hold);
	$self->settle;
	return;
}

# ---- plain SQL: events ----

# INSERT of an event with capacity, limit, start and end
sub insert_event
{
	my ($self, $id, %row) = @_;

	refuse('23514') if size_of($row{capacity}) < 0;
	refuse('23505') if $self->{event}{$id};
	$self->{event}{$id} = { start => '', end => '', limit => undef, created => $self->{now}, %row,
		free => size_of($row{capacity}) };
	return;
}

# Removes an event that was deleted, or that gets another id.
sub remove_event
{
	my ($self, $id) = @_;

	refuse('23503') if $self->holds_of($id) || $self->tickets_of($id);
	$self->forget_keys($id);
	delete $self->{event}{$id};
	return;
}

# DELETE of an event
sub delete_event
{
	my ($self, $id) = @_;

	return if !$self->{event}{$id};
	delete $self->{ticket}{ $_->{id} } foreach $self->{has_key} ? $self->tickets_of($id) : ();
	$self->remove_event($id);
	return;
}

# UPDATE of the ids of events, each given as [ from, to ], and perhaps of other
# columns.  Tickets follow by the foreign key.  The unique key is checked as each
# row is written.  Then the triggers fire: first those of events, then of tickets.
sub renumber_events
{
	my ($self, $pairs, %set) = @_;
	my %there = map { $_ => 1 } keys %{ $self->{event} };
	my @moved;

	foreach my $pair (@$pairs)
	{
		delete $there{ $pair->[0] };
		refuse('23505') if $there{ $pair->[1] };
		$there{ $pair->[1] } = 1;
	}
	foreach my $pair (@$pairs)
	{
		my ($from, $to) = @$pair;
		my $event = $self->{event}{$from};
		my @tickets = $self->{has_key} ? $self->tickets_of($from) : ();

		$_->{event} = $to foreach @tickets;
		$self->remove_event($from);
		$self->insert_event($to, %$event, %set);
		push @moved, @tickets;
	}
	$self->row_added($_, places($_)) foreach @moved;
	$self->settle;
	return;
}

# UPDATE of other columns of an event
sub update_event
{
	my ($self, $id, %set) = @_;
	my $event = $self->{event}{$id} // return;
	my $more = exists $set{capacity} ? size_of($set{capacity}) - size_of($event->{capacity}) : 0;

	refuse('23514') if size_of($event->{capacity}) + $more < 0;
	@$event{ keys %set } = values %set;
	if ($more < 0)
	{
		$self->end_hold($_) foreach $self->expired_of($id);
		refuse('23T08') if $event->{free} + $more < 0;
	}
	$event->{free} += $more;
	return;
}

# TRUNCATE of tables
sub truncate_tables
{
	my ($self, @tables) = @_;
	my %gone = map { $_ => 1 } @tables;

	refuse('0A000') if $gone{event} && $self->{has_key} && !$gone{ticket};
	$self->{$_} = {} foreach grep { $gone{$_} } qw(ticket hold);
	foreach my $key (keys %{ $self->{request} })
	{
		delete $self->{request}{$key} if $gone{ is_hold_key($self->{request}{$key}) ? 'hold' : 'ticket' };
	}
	refuse('23503') if $gone{event} && (%{ $self->{ticket} } || %{ $self->{hold} });
	@$self{qw(event request)} = ({}, {}) if $gone{event};
	foreach my $id (keys %{ $self->{event} })
	{
		$self->{event}{$id}{free} = size_of($self->{event}{$id}{capacity}) -
		  sum0(map { places($_) } $self->tickets_of($id), $self->holds_of($id));
	}
	return;
}

# ---- the contents ----

# Returns all contents, as lines that a query on the server can also return.
sub lines
{
	my ($self) = @_;
	my @lines;

	foreach my $id (sort { $a <=> $b } keys %{ $self->{event} })
	{
		my $event = $self->{event}{$id};

		push @lines, join ' ', 'event', $id, map { $_ // '-' } @$event{qw(capacity limit)}, $self->availability($id);
	}
	push @lines, map { join ' ', 'hold', @$_{qw(id event user quantity)}, defined $_->{ended} ? 'ended' : 'live' }
	  map { $self->{hold}{$_} } sort { $a <=> $b } keys %{ $self->{hold} };
	push @lines, map { join ' ', 'ticket', @$_{qw(id event user cancelled redeemed)}, $_->{hold} // '-' }
	  $self->all_tickets;
	push @lines, map { "key $_" } sort keys %{ $self->{request} };
	push @lines, map { "lock $_ $self->{lock}{$_}{owner}" } sort keys %{ $self->{lock} };
	return @lines;
}

# ---- named locks ----

# try_acquire_lock().  Returns the status, and who has the lock then.
sub acquire
{
	my ($self, $resource, $owner, $expires_at_once) = @_;
	my $lock = $self->{lock}{$resource};

	return ('locked', $lock->{owner}) if $lock && !$lock->{expired} && $lock->{owner} ne $owner;
	$self->{lock}{$resource} = { owner => $owner, expired => $expires_at_once };
	return ('acquired', $owner);
}

# renew_lock() with a long ttl, assert_lock() and release_lock().  The caller has the
# token of the lock, or the one before.  Without a lock it is null.
sub renew_lock
{
	my ($self, $resource, $token_is_right) = @_;

	$self->assert_lock($resource, $token_is_right);
	$self->{lock}{$resource}{expired} = 0;
	return;
}

sub assert_lock
{
	my ($self, $resource, $token_is_right) = @_;

	refuse('22004') if !$self->{lock}{$resource};
	refuse('23T09') if !$token_is_right;
	return;
}

sub release_lock
{
	my ($self, $resource, $token_is_right) = @_;

	refuse('22004') if !$self->{lock}{$resource};
	delete $self->{lock}{$resource} if $token_is_right;
	return $token_is_right;
}

1;
