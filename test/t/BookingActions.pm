# The actions of a session in 012_model.pl.  Each action is one statement, and what
# the model expects of it.  An action is a hash:
#
#	sql, copy	the statement, and the lines that follow a COPY
#	apply		a function that is given the model and the rows that the server has
#				returned.  It changes the model, and returns the rows that the server
#				should have returned, or undef
#	any_order	the statement may process its rows in any order
#
# A function that makes actions is given the model and the ids of the events.  It
# returns an action, or several that follow each other, or none if there is nothing
# to do.  It may also return the name of a kind of action: then an action of that
# kind is made after the actions before it were performed.

package BookingActions;

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(shuffle);

our @EXPORT_OK = (
	qw(action_kinds make_actions some_of chance),
	# what makes one action of given values
	qw(book_one try_one book_some book_batch cancel_one redeem transfer hold_some confirm release extend),
	qw(book_as_staff move exchange unredeem change_hold cancel_event),
	qw(expire rebuild purge insert_tickets update_tickets delete_where insert_hold update_hold),
	qw(insert_event update_event delete_event truncate_tables));

my $users = 4;
my $nowhere = 2_000_000_000;    # an id that no row has
my %bound = ('' => 'NULL', earlier => "'2000-01-01'", later => "'2100-01-01'");

# ---- choosing ----

sub some_of
{
	my (@from) = @_;

	return $from[ rand @from ];
}

# True with the given probability.
sub chance
{
	my ($of_one) = @_;

	return rand() < $of_one;
}

sub some_user { return 1 + int rand $users }
sub some_quantity { return some_of(1, 1, 2, 2, 3, 5, 12, 40) }
sub some_capacity { return some_of(0, 1, 2, 3, 5, 10, 20, 40, 100, undef) }
sub some_key { return chance(0.3) ? some_of('a', 'b') : undef }

# Usually an event that exists.
sub some_event
{
	my ($model, $ids) = @_;
	my @there = keys %{ $model->{event} };

	return @there && chance(0.97) ? some_of(sort { $a <=> $b } @there) : some_of(@$ids);
}

# Usually the id of a ticket or hold that fulfils the condition.
sub some_row
{
	my ($model, $table, $condition) = @_;
	my @rows = sort { $a <=> $b } keys %{ $model->{$table} };
	my @fit = grep { !$condition || $condition->($model->{$table}{$_}) } @rows;

	return chance(0.01) || !@rows ? $nowhere : @fit && chance(0.8) ? some_of(@fit) : some_of(@rows);
}

# Sale rules: limit per user, start, end.  About half of them set no start or end.
sub some_rules
{
	my ($start, $end) = @{ some_of(
			([ '', '' ]) x 6, [ 'earlier', 'later' ], [ '', 'later' ], [ 'earlier', '' ],
			[ '', 'earlier' ], [ 'later', '' ]) };

	return (limit => some_of(undef, undef, undef, 1, 2, 3, 8), start => $start, end => $end);
}

# ---- writing SQL ----

sub key_argument { return defined $_[0] ? ", idempotency_key => '$_[0]'" : '' }
sub or_null { return $_[0] // 'NULL' }

# Returns the ids in the first column of the rows, which may contain arrays of ids.
sub ids_in
{
	my ($rows) = @_;

	return [ grep { defined } map { ref $_->[0] ? @{ $_->[0] } : $_->[0] } @$rows ];
}

# Returns the assignments to an event's columns, as in UPDATE.
sub event_columns
{
	my (%set) = @_;
	my %column = (capacity => 'capacity', limit => 'max_per_user', start => 'sales_start', end => 'sales_end');

	return join ', ', map {
		"$column{$_} = " . ($_ =~ /start|end/ ? $bound{ $set{$_} } : or_null($set{$_}))
	} grep { exists $set{$_} } sort keys %column;
}

# ---- tickets, by the functions ----

sub book_one
{
	my ($event, $user, $key) = @_;

	return {
		sql => "SELECT booking.book_ticket($event, $user" . key_argument($key) . ')',
		apply => sub { return [ $_[0]->book(ids_in($_[1]), $event, $user, 1, $key) ] } };
}

sub try_one
{
	my ($event, $user, $key) = @_;

	return {
		sql => "SELECT ticket_id, status FROM booking.try_book_ticket($event, '$user'" . key_argument($key) . ')',
		apply => sub { return [ [ reverse $_[0]->try_book(ids_in($_[1]), $event, $user, $key) ] ] } };
}

sub book_some
{
	my ($event, $user, $quantity, $key) = @_;

	return {
		sql => "SELECT booking.book_tickets($event, $user, $quantity" . key_argument($key) . ')',
		apply => sub { return [ [ $_[0]->book(ids_in($_[1]), $event, $user, $quantity, $key) ] ] } };
}

# One statement with several calls, each for the next user.
sub book_burst
{
	my ($event, $count) = @_;

	return {
		sql => "SELECT booking.book_ticket($event, 1 + n % $users) FROM generate_series(1, $count) n",
		apply => sub {
			my ($model, $rows) = @_;
			my $given = ids_in($rows);

			return [ map { $model->book($given, $event, 1 + $_ % $users, 1) } 1 .. $count ];
		} };
}

sub try_burst
{
	my ($event, $count) = @_;

	return {
		sql => <<~SQL,
			SELECT ticket_id, status
			FROM generate_series(1, $count) n, booking.try_book_ticket($event, 1 + n % $users)
			SQL
		apply => sub {
			my ($model, $rows) = @_;
			my $given = ids_in($rows);

			return [ map { [ reverse $model->try_book($given, $event, 1 + $_ % $users) ] } 1 .. $count ];
		} };
}

sub book_batch
{
	my ($event, @asking) = @_;
	my $array = join ',', @asking;

	return {
		sql => "SELECT ticket_id, status FROM booking.book_batch($event, ARRAY[$array]::bigint[])",
		apply => sub {
			my ($model, $rows) = @_;
			my $given = ids_in($rows);

			return [ map { [ reverse @$_ ] } $model->book_batch($given, $event, @asking) ];
		} };
}

sub cancel_one
{
	my ($id) = @_;

	return { sql => "SELECT booking.cancel_ticket($id)::int", apply => sub { return [ [ $_[0]->cancel($id) ] ] } };
}

# Cancels all tickets of an event that can be cancelled.
sub cancel_burst
{
	my ($event) = @_;

	return {
		sql => <<~SQL,
			SELECT count(booking.cancel_ticket(ticket_id)) FROM booking.ticket
			WHERE event_id = $event AND cancelled_at IS NULL AND redeemed_at IS NULL
			SQL
		apply => sub {
			my ($model) = @_;
			my @tickets = grep { !$_->{cancelled} && !$_->{redeemed} } $model->tickets_of($event);

			$model->cancel($_->{id}) foreach @tickets;
			return [ [ scalar @tickets ] ];
		} };
}

sub redeem
{
	my ($id) = @_;

	return {
		sql => "SELECT status FROM booking.redeem_ticket($id)",
		apply => sub { return [ [ $_[0]->redeem($id) ] ] } };
}

sub unredeem
{
	my ($id) = @_;

	return {
		sql => "SELECT booking.unredeem_ticket($id)::int",
		apply => sub { return [ [ $_[0]->unredeem($id) ] ] } };
}

sub book_as_staff
{
	my ($event, $user, $quantity, @override) = @_;
	my $override = join ',', @override;

	return {
		sql => "SELECT booking.book_as_staff($event, $user, $quantity, '{$override}')",
		apply => sub { return [ [ $_[0]->book_as_staff(ids_in($_[1]), $event, $user, $quantity, @override) ] ] } };
}

sub move
{
	my ($id, $event) = @_;

	return {
		sql => "SELECT booking.move_ticket($id, $event)::int",
		apply => sub { return [ [ $_[0]->move($id, $event) ] ] } };
}

sub exchange
{
	my ($id, $other) = @_;

	return {
		sql => "SELECT booking.exchange_tickets($id, $other)::int",
		apply => sub { return [ [ $_[0]->exchange($id, $other) ] ] } };
}

sub transfer
{
	my ($id, $user) = @_;

	return {
		sql => "SELECT booking.transfer_ticket($id, $user)::int",
		apply => sub { return [ [ $_[0]->transfer($id, $user) ] ] } };
}

# ---- holds, by the functions ----

sub hold_some
{
	my ($event, $user, $quantity, $ttl, $key, $return_held) = @_;
	my $how_long = defined $ttl ? ", ttl => '$ttl s'::interval" : '';
	my $more = key_argument($key) . ($return_held ? ", on_held => 'return'" : '');

	return {
		sql => "SELECT hold_id FROM booking.hold_tickets($event, $user, $quantity$how_long$more)",
		apply => sub { return [ [ $_[0]->hold(ids_in($_[1]), $event, $user, $quantity, $ttl, $key, $return_held) ] ] } };
}

sub change_hold
{
	my ($id, $quantity, $user) = @_;
	my $arguments = join ', ', $id, or_null($quantity), defined $user ? $user : ();

	return {
		sql => "SELECT booking.change_hold($arguments)::int",
		apply => sub { return [ [ $_[0]->change_hold($id, $quantity, $user) ] ] } };
}

sub confirm
{
	my ($id, $rebook) = @_;

	return {
		sql => "SELECT booking.confirm_hold($id" . ($rebook ? ", 'rebook'" : '') . ')',
		apply => sub { return [ [ $_[0]->confirm(ids_in($_[1]), $id, $rebook) ] ] } };
}

sub release
{
	my ($id) = @_;

	return { sql => "SELECT booking.release_hold($id)::int", apply => sub { return [ [ $_[0]->release($id) ] ] } };
}

sub extend
{
	my ($id, $ttl) = @_;

	return {
		sql => "SELECT booking.extend_hold($id, '$ttl s') IS NOT NULL",
		apply => sub { $_[0]->extend($id, $ttl); return } };
}

# ---- what an administrator does ----

sub expire
{
	return { sql => 'SELECT booking.expire_holds()', apply => sub { return [ [ $_[0]->expire ] ] } };
}

sub verify
{
	return {
		sql => 'SELECT event_id, expected, found FROM booking.verify()',
		apply => sub { return [ map { [ split / / ] } $_[0]->over_limit ] } };
}

sub rebuild
{
	my ($event) = @_;

	return { sql => "SELECT booking.rebuild_inventory($event)", apply => sub { $_[0]->rebuild($event); return } };
}

sub purge
{
	my ($all) = @_;

	return {
		sql => "SELECT booking.purge('" . ($all ? '0' : '1 day') . "') >= 0",
		apply => sub { $_[0]->purge($all); return } };
}

# ---- tickets, by plain SQL ----

# INSERT of rows [ event, user, cancelled ].
sub insert_tickets
{
	my (@rows) = @_;
	my $values = join ', ', map { "($_->[0], $_->[1], " . ($_->[2] ? 'clock_timestamp()' : 'NULL') . ')' } @rows;

	return {
		sql => "INSERT INTO booking.ticket (event_id, user_id, cancelled_at) VALUES $values RETURNING ticket_id",
		apply => sub { $_[0]->insert_tickets(ids_in($_[1]), @rows); return } };
}

# The same by COPY, which returns no ids.
sub copy_tickets
{
	my (@rows) = @_;

	return {
		sql => 'COPY booking.ticket (event_id, user_id) FROM STDIN',
		copy => [ map { "$_->[0]\t$_->[1]\n" } @rows ],
		apply => sub { $_[0]->insert_tickets(ids_in($_[1]), @rows); return } };
}

# UPDATE of tickets.  $set is its SET list, and $change the same for the model.
# $where is its WHERE clause, and $condition the same as a function.
sub update_tickets
{
	my ($set, $change, $where, $condition) = @_;

	return {
		sql => "UPDATE booking.ticket SET $set WHERE $where",
		apply => sub {
			my ($model) = @_;

			$model->update_tickets([ grep { $condition->($_) } $model->all_tickets ], %$change);
			return;
		} };
}

# Two events exchange the tickets of some users.
sub exchange_tickets
{
	my ($one, $other, @users) = @_;
	my $users = join ', ', @users;
	my $sum = $one + $other;

	return {
		sql => "UPDATE booking.ticket SET event_id = $sum - event_id"
		  . " WHERE event_id IN ($one, $other) AND user_id IN ($users)",
		apply => sub {
			my ($model) = @_;
			my %chosen = map { $_ => 1 } @users;

			$model->exchange_tickets($sum, grep { $chosen{ $_->{user} } && $_->{event} =~ /^(?:$one|$other)$/ }
				  $model->all_tickets);
			return;
		} };
}

# DELETE of tickets or of holds.
sub delete_where
{
	my ($table, $where, $condition) = @_;

	return {
		sql => "DELETE FROM booking.$table WHERE $where",
		apply => sub {
			my ($model) = @_;

			$model->delete_rows($table, grep { $condition->($_) } values %{ $model->{$table} });
			return;
		} };
}

sub of_event
{
	my ($event) = @_;

	return ("event_id = $event", sub { return $_[0]{event} == $event });
}

sub of_id
{
	my ($id) = @_;

	return ("ticket_id = $id", sub { return $_[0]{id} == $id });
}

# Some tickets: one, or all of an event, or all of a user.
sub some_tickets
{
	my ($model, $ids) = @_;
	my $user = some_user();

	return of_id(some_row($model, 'ticket')) if chance(0.6);
	return of_event(some_event($model, $ids)) if chance(0.5);
	return ("user_id = $user", sub { return $_[0]{user} == $user });
}

# ---- holds, by plain SQL ----

# INSERT of a hold, live or ended, that expires after ttl seconds.
sub insert_hold
{
	my ($event, $user, $quantity, $ttl, $ended) = @_;
	my $ended_at = $ended ? 'clock_timestamp()' : 'NULL';

	return {
		sql => <<~SQL,
			INSERT INTO booking.hold (event_id, user_id, quantity, expires_at, ended_at)
			VALUES ($event, $user, $quantity, clock_timestamp() + '$ttl s', $ended_at) RETURNING hold_id
			SQL
		apply => sub {
			my ($model, $rows) = @_;

			$model->insert_hold(ids_in($rows), event => $event, user => $user, quantity => $quantity,
				expires => $model->{now} + $ttl, ended => $ended ? $model->{now} : undef);
			return;
		} };
}

# UPDATE of a hold.  $set is its SET list, and $change returns the same for the model.
sub update_hold
{
	my ($id, $set, $change) = @_;

	return {
		sql => "UPDATE booking.hold SET $set WHERE hold_id = $id",
		apply => sub {
			my ($model) = @_;
			my $hold = $model->{hold}{$id};

			$model->update_hold($hold, $change->($model)) if $hold;
			return;
		} };
}

# Returns the arguments $set and $change of update_hold().
sub some_change_of_hold
{
	my ($model, $ids) = @_;
	my ($quantity, $user, $event) = (some_of(1 .. 5), some_user(), some_event($model, $ids));

	return @{ some_of(
			[ "expires_at = clock_timestamp() - interval '1 s'", sub { return (expires => $_[0]{now} - 1) } ],
			[ "expires_at = clock_timestamp() + interval '300 s'", sub { return (expires => $_[0]{now} + 300) } ],
			[ 'ended_at = clock_timestamp()', sub { return (ended => $_[0]{now}) } ],
			[ 'ended_at = NULL', sub { return (ended => undef) } ],
			[ "quantity = $quantity", sub { return (quantity => $quantity) } ],
			[ "user_id = $user", sub { return (user => $user) } ],
			[ "event_id = $event", sub { return (event => $event) } ]) };
}

# ---- events, by plain SQL ----

sub insert_event
{
	my ($id, %row) = @_;

	return {
		sql => 'INSERT INTO booking.event (event_id, capacity, max_per_user, sales_start, sales_end) VALUES ('
		  . join(', ', $id, or_null($row{capacity}), or_null($row{limit}), map { $bound{$_} } @row{qw(start end)}) . ')',
		apply => sub { $_[0]->insert_event($id, %row); return } };
}

sub update_event
{
	my ($id, %set) = @_;

	return {
		sql => 'UPDATE booking.event SET ' . event_columns(%set) . " WHERE event_id = $id",
		apply => sub { $_[0]->update_event($id, %set); return } };
}

# Changes the sale rules without firing triggers, as a restore of data alone does.
# Then rebuilds the inventory.
sub reload_event
{
	my ($id, %set) = @_;
	my $columns = event_columns(%set);

	return {
		sql => <<~SQL,
			DO \$\$
			BEGIN
			    SET LOCAL session_replication_role = replica;
			    UPDATE booking.event SET $columns WHERE event_id = $id;
			    SET LOCAL session_replication_role = origin;
			    PERFORM booking.rebuild_inventory($id);
			END \$\$
			SQL
		apply => sub {
			my ($model) = @_;

			$model->update_event($id, %set);
			$model->rebuild($id);
			return;
		} };
}

# Changes the id of an event, and perhaps its capacity.
sub renumber_event
{
	my ($id, $to, %set) = @_;
	my $more = %set ? ', ' . event_columns(%set) : '';

	return {
		sql => "UPDATE booking.event SET event_id = $to$more WHERE event_id = $id",
		any_order => 1,
		apply => sub {
			my ($model) = @_;

			if (!$model->{event}{$id}) { }
			elsif ($id == $to) { $model->update_event($id, %set) }
			else { $model->renumber_events([ [ $id, $to ] ], %set) }
			return;
		} };
}

# Adds a number to the ids of several events.  A new id may be another's old id.
sub shift_events
{
	my ($step, @ids) = @_;

	return {
		sql => "UPDATE booking.event SET event_id = event_id + $step WHERE event_id IN (" . join(', ', @ids) . ')',
		any_order => 1,
		apply => sub {
			my ($model) = @_;

			$model->renumber_events([ map { [ $_, $_ + $step ] } shuffle grep { $model->{event}{$_} } @ids ]);
			return;
		} };
}

sub delete_event
{
	my ($id) = @_;

	return {
		sql => "DELETE FROM booking.event WHERE event_id = $id",
		apply => sub { $_[0]->delete_event($id); return } };
}

# Deletes an event and creates it again, in one statement.
sub replace_event
{
	my ($id, $capacity) = @_;
	my $places = or_null($capacity);

	return {
		sql => <<~SQL,
			WITH gone AS (DELETE FROM booking.event WHERE event_id = $id RETURNING event_id)
			INSERT INTO booking.event (event_id, capacity) SELECT event_id, $places FROM gone
			SQL
		apply => sub {
			my ($model) = @_;
			my $there = $model->{event}{$id};

			$model->delete_event($id);
			$model->insert_event($id, capacity => $capacity) if $there;
			return;
		} };
}

sub cancel_event
{
	my ($id) = @_;

	return {
		sql => "SELECT user_id, ticket_ids FROM booking.cancel_event($id)",
		apply => sub { return [ $_[0]->cancel_event($id) ] } };
}

sub truncate_tables
{
	my (@tables) = @_;

	return {
		sql => 'TRUNCATE ' . join(', ', map { "booking.$_" } @tables),
		apply => sub { $_[0]->truncate_tables(@tables); return } };
}

# MERGE that creates an event, or changes its capacity.
sub merge_event
{
	my ($id, $capacity) = @_;
	my $places = or_null($capacity);

	return {
		sql => <<~SQL,
			MERGE INTO booking.event e USING (VALUES ($id, ${places}::integer)) v (id, places) ON e.event_id = v.id
			WHEN MATCHED THEN UPDATE SET capacity = v.places
			WHEN NOT MATCHED THEN INSERT (event_id, capacity) VALUES (v.id, v.places)
			SQL
		apply => sub {
			my ($model) = @_;

			$model->{event}{$id} ? $model->update_event($id, capacity => $capacity)
			  : $model->insert_event($id, capacity => $capacity);
			return;
		} };
}

# MERGE that cancels a user's tickets of an event.
sub merge_tickets
{
	my ($event, $user) = @_;

	return {
		sql => <<~SQL,
			MERGE INTO booking.ticket t USING (VALUES ($event, $user)) v (event_id, user_id)
			ON t.event_id = v.event_id AND t.user_id = v.user_id
			WHEN MATCHED AND t.cancelled_at IS NULL THEN UPDATE SET cancelled_at = clock_timestamp()
			WHEN MATCHED THEN DELETE
			SQL
		apply => sub {
			my ($model) = @_;
			my @tickets = grep { $_->{user} == $user } $model->tickets_of($event);

			$model->delete_rows('ticket', grep { $_->{cancelled} } @tickets);
			$model->update_tickets([ grep { !$_->{cancelled} } @tickets ], cancelled => 1);
			return;
		} };
}

# ---- all kinds ----

# Removes an event: alone, or with its tickets and holds, or all events by TRUNCATE.
sub end_of_event
{
	my ($model, $event) = @_;

	return truncate_tables(qw(event ticket hold)) if chance(0.3);
	return (
		chance(0.8) ? delete_where('hold', of_event($event)) : (),
		$model->{has_key} && chance(0.7) ? () : delete_where('ticket', of_event($event)),
		delete_event($event));
}

# Removes an event and creates it again.  What a session remembers of the old event
# must not apply to the new one.
sub event_sequence
{
	my ($model, $ids) = @_;
	my $event = some_event($model, $ids);
	my $capacity = some_capacity();
	my @booked = chance(0.7) ? book_burst($event, some_of(9, 12, 20)) : ();

	unshift @booked, update_event($event, capacity => 100, limit => undef, start => '', end => '')
	  if @booked && chance(0.7);
	return (
		@booked, end_of_event($model, $event),
		insert_event($event, capacity => $capacity, some_rules()),
		chance(0.7) ? update_event($event, capacity => ($capacity // 0) + some_of(1, 2, 5)) : (),
		try_burst($event, some_of(5, 12)));
}

# Books, changes the sale rules, gives places back, and books again.
sub rules_sequence
{
	my ($model, $ids) = @_;
	my $event = some_event($model, $ids);

	return (
		chance(0.5) ? update_event($event, capacity => 100, limit => undef, start => '', end => '') : (),
		chance(0.7) ? book_burst($event, some_of(9, 12, 20)) : (),
		chance(0.7) ? update_event($event, some_rules()) : reload_event($event, some_rules()),
		some_of(
			delete_where('ticket', "event_id = $event AND user_id = 1",
				sub { return $_[0]{event} == $event && $_[0]{user} == 1 }),
			cancel_burst($event), rebuild($event),
			update_event($event, capacity => some_capacity())),
		try_burst($event, some_of(1, 5, 12)));
}

# ---- named locks ----

sub some_resource { return 'job ' . some_of(@{ $_[1] }[ 0, 1 ]) }

# A lock that is acquired for a millisecond has expired when the statement ends.
sub acquire
{
	my ($resource, $owner, $expires_at_once) = @_;
	my $ttl = $expires_at_once ? '1 ms' : '1 hour';
	my $wait = $expires_at_once ? 0.003 : 0;

	return {
		sql => <<~SQL,
			SELECT l.status, l.owner FROM booking.try_acquire_lock('$resource', '$owner', '$ttl') AS l
			CROSS JOIN LATERAL (SELECT pg_sleep($wait * length(l.status))) AS s
			SQL
		apply => sub { return [ [ $_[0]->acquire($resource, $owner, $expires_at_once) ] ] } };
}

# Uses a lock by its token, which the statement looks up, or by the one before.
sub use_lock
{
	my ($function, $resource, $token_is_right) = @_;
	my $token = "(SELECT token FROM booking.resource_lock WHERE resource = '$resource')";
	my %call = (
		renew => "(booking.renew_lock('$resource', TOKEN, '1 hour') > now())::int",
		assert => "booking.assert_lock('$resource', TOKEN)::int",
		release => "booking.release_lock('$resource', TOKEN)::int");
	my %apply = (
		renew => sub { $_[0]->renew_lock($resource, $token_is_right); return [ [1] ] },
		assert => sub { $_[0]->assert_lock($resource, $token_is_right); return [ [1] ] },
		release => sub { return [ [ $_[0]->release_lock($resource, $token_is_right) ] ] });

	$token .= ' - 1' if !$token_is_right;
	return { sql => 'SELECT ' . $call{$function} =~ s/TOKEN/$token/r, apply => $apply{$function} };
}

# Makes sure that there are locks, and uses them.
sub lock_sequence
{
	my ($model, $ids) = @_;

	return ((map { acquire("job $ids->[$_]", 'user ' . some_user(), 0) } 0, 1),
		shuffle(qw(acquire renew_lock assert_lock release_lock release_lock)));
}

# Makes a hold and performs actions on holds, perhaps with another action between.
sub hold_sequence
{
	my ($model, $ids) = @_;
	my $ttl = some_of(undef, undef, 1800, '0.000001');

	return (
		hold_some(some_event($model, $ids), some_user(), some_of(1, 2, 3), $ttl, some_key()),
		chance(0.3) ? some_of(action_kinds()) : (),
		map { some_of(qw(confirm confirm extend release update_hold update_hold expire try_burst)) } 1 .. some_of(1, 2, 4));
}

# Makes a hold that expires while bookings ask for its places.
sub expiry_sequence
{
	my ($model, $ids) = @_;
	my $event = some_event($model, $ids);

	return (
		hold_some($event, some_user(), some_of(1, 2, 3), 0.06),
		try_burst($event, some_of(1, 12)), try_one($event, some_user()), { wait => 0.05 },
		try_one($event, some_user()), try_burst($event, some_of(1, 12)));
}

my %kinds = (
	book => sub { return book_one(some_event(@_), some_user(), some_key()) },
	try => sub { return try_one(some_event(@_), some_user(), some_key()) },
	books => sub { return book_some(some_event(@_), some_user(), some_quantity(), some_key()) },
	book_burst => sub { return book_burst(some_event(@_), some_of(3, 9, 12, 30)) },
	try_burst => sub { return try_burst(some_event(@_), some_of(3, 9, 12, 30)) },
	batch => sub { return book_batch(some_event(@_), map { some_user() } 1 .. some_of(0, 1, 3, 10, 30)) },
	cancel => sub { return cancel_one(some_row($_[0], 'ticket', sub { return !$_[0]{cancelled} })) },
	cancel_burst => sub { return cancel_burst(some_event(@_)) },
	redeem => sub { return redeem(some_row($_[0], 'ticket')) },
	unredeem => sub { return unredeem(some_row($_[0], 'ticket', sub { return $_[0]{redeemed} })) },
	staff => sub {
		return book_as_staff(some_event(@_), some_user(), some_quantity(), grep { chance(0.7) } qw(window limit));
	},
	move => sub { return move(some_row($_[0], 'ticket', sub { return !$_[0]{cancelled} }), some_event(@_)) },
	exchange => sub { return exchange(map { some_row($_[0], 'ticket', sub { return !$_[0]{cancelled} }) } 1, 2) },
	change_hold => sub {
		return change_hold(some_row($_[0], 'hold', sub { return !defined $_[0]{ended} }),
			some_of(undef, 1 .. 5, 12), some_of(undef, some_user()));
	},
	hold_again => sub { return map { hold_some($_->[0], $_->[1], 1, undef, undef, 1) } ([ some_event(@_), some_user() ]) x 2 },
	cancel_event => sub { return cancel_event(some_event(@_)) },
	transfer => sub { return transfer(some_row($_[0], 'ticket', sub { return !$_[0]{cancelled} }), some_user()) },
	hold => sub {
		return hold_some(some_event(@_), some_user(), some_of(1, 2, 3, 12),
			some_of(undef, undef, 1800, '0.000001', 7200), some_key());
	},
	confirm => sub {
		return confirm(some_row($_[0], 'hold', sub { return !defined $_[0]{ended} }), chance(0.5));
	},
	release => sub { return release(some_row($_[0], 'hold', sub { return !defined $_[0]{ended} })) },
	extend => sub {
		return extend(some_row($_[0], 'hold', sub { return !defined $_[0]{ended} }), some_of(1, 1200, 1200, 7200));
	},
	expire => \&expire,
	hold_sequence => \&hold_sequence,
	expiry_sequence => \&expiry_sequence,
	verify => \&verify,
	rebuild => sub { return rebuild(some_event(@_)) },
	purge => sub { return purge(chance(0.5)) },
	insert => sub { return insert_tickets([ some_event(@_), some_user(), chance(0.1) ]) },
	insert_many => sub {
		my $event = some_event(@_);

		return insert_tickets(map { [ $event, some_user(), chance(0.1) ] } 1 .. some_of(2, 3, 12, 30));
	},
	insert_mixed => sub {
		my ($model, $ids) = @_;

		return insert_tickets(map { [ some_event($model, $ids), some_user(), 0 ] } 1 .. some_of(2, 5, 12));
	},
	copy => sub {
		my $event = some_event(@_);

		return copy_tickets(map { [ $event, some_user() ] } 1 .. some_of(1, 3, 12, 30));
	},
	cancel_rows => sub {
		return update_tickets('cancelled_at = clock_timestamp()', { cancelled => 1 }, some_tickets(@_));
	},
	reinstate_rows => sub { return update_tickets('cancelled_at = NULL', { cancelled => 0 }, some_tickets(@_)) },
	exchange_rows => sub {
		my ($model, $ids) = @_;

		return exchange_tickets(some_event(@_), some_event(@_), map { some_user() } 1 .. 3);
	},
	move_rows => sub {
		my $event = some_event(@_);

		return update_tickets("event_id = $event", { event => $event },
			chance(0.5) ? of_id(some_row($_[0], 'ticket')) : of_event(some_event(@_)));
	},
	reassign_rows => sub {
		my $user = some_user();

		return update_tickets("user_id = $user", { user => $user }, some_tickets(@_));
	},
	delete_rows => sub { return delete_where('ticket', some_tickets(@_)) },
	insert_hold => sub {
		return insert_hold(some_event(@_), some_user(), some_of(1 .. 4), some_of(900, 900, -1), chance(0.1));
	},
	update_hold => sub { return update_hold(some_row($_[0], 'hold'), some_change_of_hold(@_)) },
	delete_hold => sub {
		my $id = some_row($_[0], 'hold');

		return delete_where('hold', "hold_id = $id", sub { return $_[0]{id} == $id });
	},
	insert_event => sub { return insert_event(some_of(@{ $_[1] }), capacity => some_capacity(), some_rules()) },
	capacity => sub { return update_event(some_event(@_), capacity => some_capacity()) },
	rules => sub { return update_event(some_event(@_), some_rules(), chance(0.2) ? (capacity => some_capacity()) : ()) },
	reload => sub { return reload_event(some_event(@_), some_rules()) },
	renumber => sub {
		return renumber_event(some_event(@_), some_of(@{ $_[1] }), chance(0.3) ? (capacity => some_capacity()) : ());
	},
	shift => sub { return shift_events(some_of(1, -1), $nowhere, grep { chance(0.7) } @{ $_[1] }[ 0 .. 2 ]) },
	delete_event => sub { return delete_event(some_event(@_)) },
	replace => sub { return replace_event(some_event(@_), some_capacity()) },
	event_sequence => \&event_sequence,
	rules_sequence => \&rules_sequence,
	truncate => sub {
		return if chance(0.7);    # it is slow
		return truncate_tables(@{ some_of([ 'ticket' ], [ 'ticket' ], [ 'hold' ], [ 'ticket', 'hold' ], [ 'event' ],
				[ 'event', 'ticket' ], [ 'event', 'ticket', 'hold' ]) });
	},
	merge_event => sub { return merge_event(some_of(@{ $_[1] }), some_capacity()) },
	merge_tickets => sub { return merge_tickets(some_event(@_), some_user()) },
	acquire => sub { return acquire(some_resource(@_), 'user ' . some_user(), chance(0.3) ? 1 : 0) },
	lock_sequence => \&lock_sequence,
	renew_lock => sub { return use_lock('renew', some_resource(@_), chance(0.8) ? 1 : 0) },
	assert_lock => sub { return use_lock('assert', some_resource(@_), chance(0.8) ? 1 : 0) },
	release_lock => sub { return use_lock('release', some_resource(@_), chance(0.8) ? 1 : 0) },
	direct_path => sub { return { sql => 'SET booking.direct_path = ' . some_of(qw(on off)), apply => sub { return } } },
	debug_split_always => sub { return { sql => 'SET booking.debug_split_always = ' . some_of(qw(on off)), apply => sub { return } } },
);

# Returns the names of all kinds of actions.
sub action_kinds { return sort keys %kinds }

# Makes actions of one kind.  Each action remembers its kind.
sub make_actions
{
	my ($kind, $model, $ids) = @_;

	return map { ref $_ ? { kind => $kind, %$_ } : $_ } $kinds{$kind}->($model, $ids);
}

1;
