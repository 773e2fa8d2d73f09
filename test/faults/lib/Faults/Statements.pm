# The random statements of 15_sessions.pl.  Each is one statement, and what the model
# (BookingModel) expects of it: an action as BookingActions makes it, with these keys
# in addition:
#
#	kind		its name in the table below
#	expects, effect	for a statement whose answer is of two moments.  "expects" is given the
#				states at these moments and the rows, and returns the rows expected.  "effect"
#				is given a state and the rows, and makes the change that they tell
#	rows_differ	(1) the rows returned are not compared
#	learns		(1) which rows it deletes depends on its snapshot: the model learns it
#
# Rows are named by their ids.  A condition on other columns would be judged by the
# snapshot with which the statement began, which the model does not have.

package Faults::Statements;

use strict;
use warnings;

use BookingActions qw(some_of chance book_one try_one book_some book_batch cancel_one redeem transfer
  hold_some confirm release extend expire rebuild purge insert_tickets update_tickets
  delete_where insert_hold update_hold insert_event update_event delete_event truncate_tables);
use Exporter 'import';
use List::Util qw(shuffle sum0);
use Time::HiRes qw(time);

our @EXPORT_OK = qw(favour some_kinds some_lock some_statement statement_kinds setup_statements EVENTS USERS);

use constant EVENTS => 1 .. 3;
use constant USERS => 1 .. 3;
use constant NO_ROW => 2_000_000_000;

# ---- choosing ----

my ($event_in_favour, $user_in_favour) = (1, 1);

# From now on, about every other statement is about this event and this user, so that
# sessions meet.
sub favour
{
	($event_in_favour, $user_in_favour) = @_;
	return;
}

sub any_event { return chance(0.6) ? $event_in_favour : some_of(EVENTS) }
sub some_event { return chance(0.98) ? any_event() : NO_ROW }
sub some_user { return chance(0.6) ? $user_in_favour : some_of(USERS) }
sub some_quantity { return some_of(1, 1, 1, 2, 2, 3) }
sub some_key { return chance(0.25) ? some_of('a', 'b') : undef }
sub some_limit { return some_of(undef, undef, 1, 2, 3, 5, 8) }
sub some_capacity { return some_of(0, 1, 2, 3, 4, 6, 8, 12, 20) }

# Returns the ids of some rows of a table, preferably of those that fulfil the condition.
sub some_rows
{
	my ($model, $table, $count, $condition) = @_;
	my @ids = sort { $a <=> $b } keys %{ $model->{$table} };
	my @fit = grep { !$condition || $condition->($model->{$table}{$_}) } @ids;
	my @from = shuffle(@fit && chance(0.85) ? @fit : @ids);

	return (NO_ROW) if !@from;
	return sort { $a <=> $b } grep { defined } @from[ 0 .. $count - 1 ];
}

sub one_row { return (some_rows($_[0], $_[1], 1, $_[2]))[0] }
sub is_live { return !$_[0]{cancelled} && !defined $_[0]{ended} }
sub is_expired { return $_[0]{expires} < time }

# The WHERE clause for the ids, and the same as a function.
sub of_ids
{
	my ($table, @ids) = @_;
	my %chosen = map { $_ => 1 } @ids;

	return ("${table}_id IN (" . join(', ', @ids) . ')', sub { return $chosen{ $_[0]{id} } });
}

# ---- statements that BookingActions does not have, or not with these keys ----

# Locks a row and does nothing else.  With it, other statements can be stopped at any lock.
sub some_lock
{
	my ($model) = @_;
	my $event = any_event();
	my $key = some_of('a', 'b');
	my $row = some_of(
		("inventory WHERE event_id = $event ORDER BY stripe LIMIT 1") x 2,
		('hold WHERE hold_id = ' . one_row($model, 'hold', \&is_live)) x 2,
		'hold WHERE hold_id = ' . one_row($model, 'hold'),
		("user_limit WHERE event_id = $event AND user_id = " . some_user()) x 2,
		'ticket WHERE ticket_id = ' . one_row($model, 'ticket'),
		"request WHERE event_id = $event AND idempotency_key = '$key'",
		"event WHERE event_id = $event");

	return {
		kind => 'lock', sql => "SELECT FROM booking.$row FOR " . some_of('UPDATE', 'NO KEY UPDATE'),
		apply => sub { return } };
}

# availability(), which may wait for nothing.
sub look
{
	my ($event) = @_;

	return {
		sql => "SELECT available, held, booked FROM booking.availability($event)",
		apply => sub {
			BookingModel::refuse('23503') if !$_[0]{event}{$event};
			return [ [ $_[0]->availability($event) ] ];
		} };
}

# Which of the users of a batch are over the limit.
sub over_limit
{
	my ($model, $event, @users) = @_;
	my $limit = $model->{event}{$event}{limit};
	my %asked;

	return map { defined $limit && $model->owned($event, $_) + ++$asked{$_} > $limit } @users;
}

# book_batch(): the limits are judged at one moment and the places taken at a later one.
# How many were left then is of that moment.
sub batch
{
	my ($event, @users) = @_;

	return {
		%{ book_batch($event, @users) },
		expects => sub {
			my ($first, $then, $rows) = @_;
			my $row = $first->{event}{$event} && $then->{event}{$event} or return [];
			my @over = over_limit($first, $event, @users);
			my ($left) = $then->availability($event);
			my @status = map { $_ ? 'user_limit' : !BookingModel::on_sale($row) ? 'not_on_sale' : $left-- > 0 ? 'booked' : 'sold_out' } @over;

			return [ map { [ $status[$_] eq 'booked' ? $rows->[$_][0] : undef, $status[$_] ] } 0 .. $#status ];
		},
		effect => sub {
			my ($model, $rows) = @_;
			my @served = grep { $rows->[$_][1] eq 'booked' } 0 .. $#$rows;

			$model->take($event, scalar @served) if @served;
			$model->add_ticket([ $rows->[$_][0] ], event => $event, user => $users[$_]) foreach @served;
			return;
		} };
}

# UPDATE of several holds.
sub update_holds
{
	my ($set, $change, @ids) = @_;
	my ($where, $condition) = of_ids('hold', @ids);

	return {
		sql => "UPDATE booking.hold SET $set WHERE $where",
		apply => sub {
			my ($model) = @_;
			my @holds = grep { $condition->($_) } map { $model->{hold}{$_} } sort { $a <=> $b } keys %{ $model->{hold} };
			my @old = map { {%$_} } @holds;
			my %set = $change->($model);

			@$_{ keys %set } = values %set foreach @holds;
			$model->row_changed($old[$_], $holds[$_]) foreach 0 .. $#holds;
			$model->settle;
			return;
		} };
}

sub some_change_of_hold
{
	my ($quantity, $user, $event) = (some_of(1 .. 3), some_user(), any_event());

	return @{ some_of(
			[ "expires_at = clock_timestamp() - interval '1 s'", sub { return (expires => $_[0]{now} - 1) } ],
			[ "expires_at = clock_timestamp() + interval '300 s'", sub { return (expires => $_[0]{now} + 300) } ],
			[ 'ended_at = clock_timestamp()', sub { return (ended => $_[0]{now}) } ],
			[ 'ended_at = NULL', sub { return (ended => undef) } ],
			[ "quantity = $quantity", sub { return (quantity => $quantity) } ],
			[ "user_id = $user", sub { return (user => $user) } ],
			[ "event_id = $event", sub { return (event => $event) } ]) };
}

# UPDATE of several events, which differ in what they get.
sub update_events
{
	my ($column, $key, %value) = @_;
	my $cases = join ' ', map { "WHEN $_ THEN " . ($value{$_} // 'NULL') } sort keys %value;

	return {
		sql => "UPDATE booking.event SET $column = (CASE event_id $cases END)::int WHERE event_id IN (" . join(', ', sort keys %value) . ')',
		apply => sub {
			my ($model) = @_;

			$model->update_event($_, $key => $value{$_}) foreach sort { $a <=> $b } keys %value;
			return;
		} };
}

sub rebuild_all
{
	return { sql => 'SELECT booking.rebuild_inventory()', apply => sub { return } };
}

# ---- all kinds ----

my %kinds = (
	book => [ 8, sub { return book_one(some_event(), some_user(), some_key()) } ],
	try => [ 6, sub { return try_one(some_event(), some_user(), some_key()) } ],
	books => [ 6, sub { return book_some(some_event(), some_user(), some_quantity(), some_key()) } ],
	batch => [ 4, sub { return batch(some_event(), map { some_user() } 1 .. some_of(1, 2, 3, 4)) } ],
	hold => [ 5, sub { return hold_some(some_event(), some_user(), some_quantity(), undef, some_key()) } ],
	confirm => [ 4, sub { return confirm(one_row($_[0], 'hold', \&is_live), 0) } ],
	rebook => [ 7, sub { return confirm(one_row($_[0], 'hold', \&is_expired), 1) } ],
	release => [ 3, sub { return release(one_row($_[0], 'hold', \&is_live)) } ],
	extend => [ 2, sub { return extend(one_row($_[0], 'hold', \&is_live), some_of(1, 1200)) } ],
	expire => [ 5, sub { return { %{ expire() }, rows_differ => 1 } } ],
	cancel => [ 6, sub { return cancel_one(one_row($_[0], 'ticket', \&is_live)) } ],
	transfer => [ 4, sub { return transfer(one_row($_[0], 'ticket', \&is_live), some_user()) } ],
	redeem => [ 1, sub { return redeem(one_row($_[0], 'ticket')) } ],
	purge => [ 3, sub { return { %{ purge(1) }, learns => 1 } } ],
	rebuild => [ 1, sub { return rebuild(any_event()) } ],
	rebuild_all => [ 1, \&rebuild_all ],
	look => [ 2, sub { return look(some_event()) } ],
	insert_ticket => [ 5, sub { return insert_tickets([ some_event(), some_user(), 0 ]) } ],
	insert_tickets => [ 4, sub { return insert_tickets(map { [ any_event(), some_user(), 0 ] } 1 .. some_of(2, 3)) } ],
	cancel_tickets => [
		3, sub {
			return update_tickets('cancelled_at = clock_timestamp()', { cancelled => 1 },
				of_ids('ticket', some_rows($_[0], 'ticket', some_of(1, 2, 3), \&is_live)));
		} ],
	reinstate_tickets => [
		2, sub {
			return update_tickets('cancelled_at = NULL', { cancelled => 0 },
				of_ids('ticket', some_rows($_[0], 'ticket', some_of(1, 2), sub { return $_[0]{cancelled} })));
		} ],
	move_tickets => [
		4, sub {
			my $event = some_event();

			return update_tickets("event_id = $event", { event => $event },
				of_ids('ticket', some_rows($_[0], 'ticket', some_of(1, 1, 2), \&is_live)));
		} ],
	reassign_tickets => [
		2, sub {
			my $user = some_user();

			return update_tickets("user_id = $user", { user => $user },
				of_ids('ticket', some_rows($_[0], 'ticket', some_of(1, 2), \&is_live)));
		} ],
	delete_tickets => [ 3, sub { return delete_where('ticket', of_ids('ticket', some_rows($_[0], 'ticket', some_of(1, 2)))) } ],
	insert_hold => [ 2, sub { return insert_hold(some_event(), some_user(), some_of(1, 2), some_of(900, -1), 0) } ],
	update_holds => [ 5, sub { return update_holds(some_change_of_hold(), some_rows($_[0], 'hold', some_of(1, 1, 2), \&is_live)) } ],
	delete_holds => [ 3, sub { return delete_where('hold', of_ids('hold', some_rows($_[0], 'hold', some_of(1, 2)))) } ],
	insert_event => [ 2, sub { return insert_event(any_event(), capacity => some_capacity(), limit => some_limit(), start => '', end => '') } ],
	capacity => [ 5, sub { return update_event(any_event(), capacity => some_capacity()) } ],
	capacities => [
		2, sub {
			return update_events('capacity', 'capacity', map { $_ => some_capacity() } (shuffle EVENTS)[ 0, 1 ]);
		} ],
	limit => [ 6, sub { return update_event(any_event(), limit => some_limit()) } ],
	limits => [
		1, sub {
			return update_events('max_per_user', 'limit', map { $_ => some_limit() } (shuffle EVENTS)[ 0, 1 ]);
		} ],
	window => [ 2, sub { return update_event(any_event(), start => '', end => some_of('', '', '', 'earlier')) } ],
	delete_event => [ 5, sub { return delete_event(any_event()) } ],
	truncate_hold => [ 0.7, sub { return truncate_tables('hold') } ],
	truncate_ticket => [ 0.5, sub { return truncate_tables('ticket') } ],
);

# Kinds of statements that lock much of the same, in different ways.
my @themes = (
	[qw(rebook purge limit delete_event)], [qw(rebook book books limit)], [qw(rebook expire books hold)],
	[qw(rebook release update_holds book)], [qw(move_tickets insert_tickets expire limit)],
	[qw(move_tickets insert_tickets release rebook)], [qw(batch purge limit)], [qw(capacity capacities expire books)],
	[qw(update_holds book hold limits)], [qw(truncate_hold delete_event book)], [qw(delete_event cancel book purge)],
	[qw(rebuild rebuild_all books cancel capacities)], [qw(delete_holds purge extend confirm)],
	[qw(transfer reassign_tickets book cancel_tickets)]);

sub statement_kinds { return sort keys %kinds }

# Returns some kinds of statements.
sub some_kinds
{
	my @kinds = shuffle(statement_kinds());

	return @{ some_of(@themes) } if chance(0.5);
	return @kinds[ 0 .. some_of(4, 9, 14, $#kinds) ];
}


# Returns a random statement, of one of the kinds.
sub some_statement
{
	my ($model, @of) = @_;
	my $dice = rand sum0(map { $kinds{$_}[0] } @of);
	my $kind;

	foreach (@of)
	{
		$kind = $_;
		$dice -= $kinds{$_}[0];
		last if $dice < 0;
	}
	my $statement = $kinds{$kind}[1]->($model);

	$statement->{kind} = $kind;
	return $statement;
}

# Returns statements that fill the tables, each of which must be run by itself.
# (Many holds have expired: no hold expires while the sessions are at work.)
sub setup_statements
{
	my @statements = map { insert_event($_, capacity => some_capacity(), limit => some_limit(), start => '', end => '') }
	  grep { chance(0.9) } EVENTS;
	my $events = @statements;

	push @statements, {
		sql => 'INSERT INTO booking.user_limit SELECT e, u FROM generate_series(1, 3) e, generate_series(1, 3) u ON CONFLICT DO NOTHING',
		apply => sub { return } };

	foreach (1 .. some_of(2, 4, 6))
	{
		push @statements, insert_tickets([ any_event(), some_user(), chance(0.1) ]);
	}
	foreach (1 .. some_of(2, 5, 9))
	{
		push @statements, insert_hold(any_event(), some_user(), some_of(1, 1, 2), some_of(900, -1, -1), chance(0.25));
	}
	push @statements, map { book_one($_->[0], some_user(), $_->[1]) }
	  grep { chance(0.4) } map { my $event = $_; map { [ $event, $_ ] } qw(a b) } EVENTS;
	return (@statements[ 0 .. $events - 1 ], shuffle @statements[ $events .. $#statements ]);
}

1;
