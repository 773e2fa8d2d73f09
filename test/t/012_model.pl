# Compares what sessions do with a model (BookingModel), at random.
#
# Each run has a few events of its own.  Two sessions take turns.  They call every
# function, with and without idempotency keys, and write all tables by plain SQL.
# They do this in transactions with savepoints, some of them prepared, at two
# isolation levels.  There are two sessions because a session remembers row
# versions: changes of the other session must not lead it to a wrong answer.  After
# each statement, its outcome and the contents of the tables must be what the model
# says.
#
# A run that fails is shown with its seed and all its statements.
# BOOKING_MODEL_SEED=seed repeats it alone.  BOOKING_MODEL_SECONDS sets the time.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingActions qw(action_kinds make_actions some_of);
use BookingModel;
use BookingTest;
use DBD::Pg ();
use List::Util qw(any max shuffle);
use Test::More;
use Time::HiRes qw(sleep time);

my $seconds = $ENV{BOOKING_MODEL_SECONDS} // long_run(1200, 10);
my $only = $ENV{BOOKING_MODEL_SEED};
my $first_seed = $only // 1 + int rand 1_000_000_000;
my $most_failures = 3;
my $foreign_key = 'ALTER TABLE booking.ticket ADD CONSTRAINT ticket_event_fk
	FOREIGN KEY (event_id) REFERENCES booking.event ON UPDATE CASCADE ON DELETE CASCADE';

my $node = booking_node('model', conf => "fsync = off\nlock_timeout = 10s\n");

create_booking($node);

# All contents, in the form of the model's lines; also when holds expire and ended.
my $lines_query = <<~'SQL';
	SELECT line, expires, ended FROM (
		SELECT 1 AS nth, event_id AS id,
		       concat_ws(' ', 'event', event_id, coalesce(e.capacity::text, '-'), coalesce(max_per_user::text, '-'),
		                 coalesce(available::text, '-'), held, booked) AS line, NULL::numeric AS expires, NULL::numeric AS ended
		FROM booking.event e CROSS JOIN LATERAL booking.availability(event_id)
	  UNION ALL
		SELECT 2, hold_id, concat_ws(' ', 'hold', hold_id, event_id, user_id, quantity,
		                             CASE WHEN ended_at IS NULL THEN 'live' ELSE 'ended' END),
		       extract(epoch FROM expires_at), extract(epoch FROM ended_at)
		FROM booking.hold
	  UNION ALL
		SELECT 3, ticket_id, concat_ws(' ', 'ticket', ticket_id, event_id, user_id, (cancelled_at IS NOT NULL)::int,
		                               (redeemed_at IS NOT NULL)::int, coalesce(hold_id::text, '-')), NULL, NULL
		FROM booking.ticket
	  UNION ALL
		SELECT 4, NULL, concat_ws(' ', 'key', event_id, idempotency_key), NULL, NULL
		FROM booking.request
	  UNION ALL
		SELECT 5, NULL, concat_ws(' ', 'lock', resource, owner), NULL, NULL
		FROM booking.resource_lock
	) AS l
	ORDER BY nth, id, line COLLATE "C"
	SQL

my @sessions = map { open_session($_) } 1 .. 2;
my (%count, %seen);
my $run;                        # the current run, see new_run()

# ---- the server ----

sub open_session
{
	my ($name) = @_;
	my $dbh = connect_to($node);

	$dbh->{pg_server_prepare} = 0;
	return { name => $name, dbh => $dbh, lines => $dbh->prepare($lines_query, { pg_server_prepare => 1 }) };
}

# Returns the rows of a result as text, to be compared.
sub text_of
{
	my ($rows) = @_;

	return join '; ', map {
		join ',', map { ref $_ ? '{' . join(',', @$_) . '}' : $_ // '' } @$_
	} @$rows;
}

# Copies lines into a table.  Returns the ids that the tickets got.
sub copy_lines
{
	my ($dbh, $action) = @_;
	my $before = $dbh->selectrow_array('SELECT coalesce(max(ticket_id), 0) FROM booking.ticket');

	return [] if !$dbh->do($action->{sql});
	$dbh->pg_putcopydata($_) foreach @{ $action->{copy} };
	return [] if !$dbh->pg_putcopyend;
	return $dbh->selectall_arrayref("SELECT ticket_id FROM booking.ticket WHERE ticket_id > $before ORDER BY 1");
}

# Runs a statement.  Returns its SQLSTATE, or 'ok', and its rows.
sub execute
{
	my ($session, $action) = @_;
	my $dbh = $session->{dbh};
	my $rows = [];

	if ($action->{copy})
	{
		$rows = copy_lines($dbh, $action);
	}
	else
	{
		my $statement = $dbh->prepare($action->{sql});

		$rows = $statement->fetchall_arrayref if $statement->execute && $statement->{NUM_OF_FIELDS};
	}
	my $state = $dbh->state || 'ok';

	push @{ $run->{log} }, "[$session->{name}] $action->{sql}; -- $state" . (@$rows ? ' ' . text_of($rows) : '');
	return ($state, $rows);
}

# Runs a statement that must succeed.
sub command
{
	my ($session, $sql) = @_;
	my ($state) = execute($session, { sql => $sql });

	differs("'$sql'", 'ok', $state) if $state ne 'ok';
	return;
}

# ---- comparing ----

# Ends the run with a failure: the server differs from the model.
sub differs
{
	my ($what, $expected, $found) = @_;

	die { difference => "$what\n  expected: $expected\n  found:    $found" };
}

# Ends the run without a result, because a hold expired during a statement.
sub give_up
{
	die { unclear => 1 };
}

# True if a live hold expires in that span of time.
sub any_expiry
{
	my ($model, $from, $to) = @_;

	return any { !defined $_->{ended} && $_->{expires} > $from && $_->{expires} <= $to } values %{ $model->{hold} };
}

# Fails unless the session sees what the model says.  The model learns from the
# server when holds expire and when they ended.
sub compare_all
{
	my ($session, $model, $what) = @_;

	$model->{now} = time;
	my $found = $session->{dbh}->selectall_arrayref($session->{lines});

	differs("the state after $what", 'rows', $session->{dbh}->errstr) if $session->{dbh}->err;
	give_up() if any_expiry($model, $model->{now}, time);
	my $expected = join "\n", $model->lines;
	my $lines = join "\n", map { $_->[0] } @$found;

	differs("the state after $what", "\n$expected", "\n$lines") if $lines ne $expected;
	foreach my $row (grep { $_->[0] =~ /^hold / } @$found)
	{
		my $hold = $model->{hold}{ (split / /, $row->[0])[1] };

		$hold->{expires} = $row->[1];
		$hold->{ended} = $row->[2];
	}
	$count{states}++;
	return;
}

# Applies an action to a copy of the model.  Returns the outcome, the rows expected
# (or undef), and the model afterwards.
sub predict
{
	my ($model, $action, $rows) = @_;
	my $after = $model->copy($model->{now});
	my $expected = eval { $action->{apply}->($after, $rows) };
	my $refusal = $@;

	return ('ok', $expected, $after) if !$refusal;
	die $refusal if !ref $refusal || !$refusal->{state};
	return ($refusal->{state}, undef, $model);
}

# Returns only the outcome that the model predicts for an action now.
sub predict_state
{
	my ($action) = @_;

	$run->{model}{now} = time;
	return (predict($run->{model}, $action, []))[0];
}

# Performs an action, whose outcome must be the model's.  Returns whether it succeeded.
sub do_action
{
	my ($session, $action) = @_;
	my $model = $run->{model};

	$model->{now} = time;
	my ($state, $rows) = execute($session, $action);

	give_up() if any_expiry($model, $model->{now}, time);
	my ($predicted, $expected, $after) = predict($model, $action, $rows);

	for (my $attempts = 30; $action->{any_order} && $predicted ne $state && $attempts > 0; $attempts--)
	{
		($predicted, $expected, $after) = predict($model, $action, $rows);
	}
	differs($action->{sql}, $predicted, $state) if $predicted ne $state;
	differs($action->{sql}, text_of($expected), text_of($rows))
	  if defined $expected && text_of($expected) ne text_of($rows);
	$run->{model} = $after;
	$count{statements}++;
	$seen{"$action->{kind} $state"}++;
	$seen{$state}++;
	return $state eq 'ok';
}

# ---- a transaction ----

# If a hold is about to expire, waits until it has expired.
sub wait_for_expiry
{
	my $now = time;
	my @soon = grep { $_ > $now && $_ < $now + 0.03 }
	  map { $_->{expires} } grep { !defined $_->{ended} } values %{ $run->{model}{hold} };

	sleep(max(@soon) - $now + 0.002) if @soon;
	return;
}

# Returns the next action.
sub next_action
{
	my $queue = $run->{queue};

	until (@$queue && ref $queue->[0])
	{
		my $kind = shift @$queue // some_of(@{ $run->{kinds} });

		unshift @$queue, make_actions($kind, $run->{model}, $run->{ids});
	}
	return shift @$queue;
}

# Rolls back to the last savepoint, which stays.
sub go_back
{
	my ($session, $stack) = @_;

	command($session, "ROLLBACK TO s" . scalar @$stack);
	$run->{model} = $stack->[-1]->copy(time);
	compare_all($session, $run->{model}, 'going back to a savepoint');
	return;
}

# Makes a savepoint, or rolls back to one, or releases one, or does nothing.
sub change_savepoints
{
	my ($session, $stack) = @_;
	my $dice = rand;

	if ($dice < 0.15)
	{
		push @$stack, $run->{model}->copy(time);
		command($session, 'SAVEPOINT s' . scalar @$stack);
	}
	elsif (@$stack && $dice < 0.22)
	{
		splice @$stack, 1 + int rand @$stack;
		go_back($session, $stack);
	}
	elsif (@$stack && $dice < 0.3)
	{
		my $kept = int rand @$stack;

		command($session, 'RELEASE s' . ($kept + 1));
		splice @$stack, $kept;
	}
	return;
}

# Performs one action in a transaction.  Returns whether the transaction goes on.
sub step
{
	my ($session, $stack) = @_;
	my $action = next_action();

	change_savepoints($session, $stack);
	if ($action->{wait})
	{
		sleep $action->{wait};
		return 1;
	}
	wait_for_expiry();
	my $predicted = predict_state($action);

	return 1 if $predicted eq 'either';
	if ($predicted ne 'ok' && rand() < 0.9)
	{
		return 1 if rand() < 0.3;
		push @$stack, $run->{model}->copy(time);
		command($session, 'SAVEPOINT s' . scalar @$stack);
	}
	if (do_action($session, $action))
	{
		compare_all($session, $run->{model}, $action->{sql});
		note_inventory($session) if rand() < 0.1;
		return 1;
	}
	return 0 if !@$stack;
	go_back($session, $stack);
	return 1;
}

# Notes whether the cases that matter occurred: several stripes, prefetched places.
sub note_inventory
{
	my ($session) = @_;
	my ($stripes, $prefetched) = $session->{dbh}->selectrow_array(<<~'SQL');
		SELECT max((SELECT count(*) FROM booking.inventory i WHERE i.event_id = e.event_id)),
		       max((SELECT coalesce(available, 2000000000 - held - booked) FROM booking.availability(event_id))
		           - (SELECT sum(available) FROM booking.inventory i WHERE i.event_id = e.event_id)
		           - (SELECT coalesce(sum(quantity), 0) FROM booking.hold h
		              WHERE h.event_id = e.event_id AND ended_at IS NULL AND expires_at <= clock_timestamp()))
		FROM booking.event e
		SQL

	$seen{stripes}++ if ($stripes // 0) > 1;
	$seen{prefetch}++ if ($prefetched // 0) > 0;
	return;
}

# Ends a transaction, perhaps in two phases.  Returns whether it was committed.
sub end_transaction
{
	my ($session) = @_;
	my $name = "'model'";

	if (rand() < 0.85)
	{
		my $end = rand() < 0.8 ? 'COMMIT' : 'ROLLBACK';

		command($session, $end);
		return $end eq 'COMMIT';
	}
	my $end = rand() < 0.7 ? 'COMMIT' : 'ROLLBACK';

	command($session, "PREPARE TRANSACTION $name");
	command(some_of(@sessions), "$end PREPARED $name");
	$seen{"$end PREPARED"}++;
	return $end eq 'COMMIT';
}

# Runs a transaction of some actions.  Actions that belong together stay in one.
sub transaction
{
	my ($session) = @_;
	my $before = $run->{model};
	my $level = rand() < 0.75 ? 'READ COMMITTED' : 'REPEATABLE READ';
	my $goes_on = 1;
	my @stack;

	command($session, "BEGIN ISOLATION LEVEL $level");
	for (my $left = 1 + int rand some_of(3, 10, 25); ($left > 0 || @{ $run->{queue} }) && $goes_on; $left--)
	{
		$goes_on = step($session, \@stack);
	}
	command($session, 'ROLLBACK') if !$goes_on;
	$run->{model} = $before if !$goes_on || !end_transaction($session);
	return;
}

# Performs one action outside of a transaction block.
sub single_action
{
	my ($session) = @_;
	my $action = next_action();

	sleep $action->{wait} if $action->{wait};
	wait_for_expiry();
	do_action($session, $action) if !$action->{wait} && predict_state($action) ne 'either';
	return;
}

# ---- a run ----

# Returns a new run: some events and some kinds of actions.
sub new_run
{
	my ($seed, $number) = @_;
	my $base = 1 + $number * 10;
	my @kinds = grep { rand() < 0.5 } action_kinds();

	return {
		seed => $seed, log => [], queue => [ map { make_actions('insert_event', undef, [ $base + $_ ]) } 0 .. 1 ],
		ids => [ $base .. $base + 2, 4294967296 + ($base ^ 1) ],    # two have the same hash
		kinds => [ qw(book books try_burst insert_event rules_sequence hold_sequence hold_sequence lock_sequence), map { ($_) x some_of(1 .. 4) } @kinds ],
		model => BookingModel->new(rand() < 0.3),
	};
}

# Does the run; the sessions take turns.
sub do_run
{
	my $session = $sessions[0];

	command($session, $foreign_key) if $run->{model}{has_key};
	foreach (1 .. some_of(2, 5, 12))
	{
		$session = some_of(@sessions);
		rand() < 0.2 ? single_action($session) : transaction($session);
		$run->{model}{now} = time;
		$count{transactions}++;
		compare_all($_, $run->{model}, 'a transaction') foreach shuffle(@sessions);
		do_action(some_of(@sessions), make_actions('verify', $run->{model}, $run->{ids}));
	}
	return;
}

# Removes all data, even if the run failed.  Returns how many rows of inventory are
# left.
sub clean_up
{
	my ($dbh) = map { $_->{dbh} } @sessions;

	$_->{dbh}->do('ROLLBACK') foreach grep { $_->{dbh}->ping > 1 } @sessions;
	$dbh->do("ROLLBACK PREPARED 'model'") if $dbh->selectrow_array('SELECT count(*) FROM pg_prepared_xacts');
	$dbh->do('ALTER TABLE booking.ticket DROP CONSTRAINT ticket_event_fk') if $run->{model}{has_key};
	$dbh->do($_)
	  foreach 'DELETE FROM booking.hold', 'DELETE FROM booking.ticket', 'DELETE FROM booking.event',
	  'DELETE FROM booking.resource_lock',
	  'SELECT booking.purge(\'0\')';
	my ($left) = $dbh->selectrow_array('SELECT count(*) FROM booking.inventory');

	return $left;
}

# Does one run.  Returns whether it succeeded.
sub try_run
{
	my ($seed, $number) = @_;

	srand($seed);
	$run = new_run($seed, $number);
	my $done = eval { do_run(); 1 };
	my $problem = $done ? undef : $@;
	my $left = clean_up();

	if ($problem && ref $problem && $problem->{unclear})
	{
		$count{unclear}++;
		return 1;
	}
	$problem = { difference => "$left inventory rows are left when all events are deleted" } if !$problem && $left;
	return 1 if !$problem;
	diag(join "\n", "BOOKING_MODEL_SEED=$seed", @{ $run->{log} },
		ref $problem ? $problem->{difference} : $problem);
	@sessions = map { open_session($_) } 1 .. 2;
	return 0;
}

# ---- all runs ----

# What the runs together must have seen, or the test proves little: outcomes, ends
# of transactions, and every kind of action that is a single statement.
my @wanted = (
	qw(ok 23T01 23T02 23T03 23T04 23T05 23T06 23T08 23T09 P0002 22004 22023 23503 23505 stripes prefetch),
	'COMMIT PREPARED', 'ROLLBACK PREPARED', map { "$_ ok" } grep { $_ !~ /_sequence$/ } action_kinds());

# Returns what has not been seen yet.
sub missing
{
	return grep { !$seen{$_} } @wanted;
}

# True if another run is due.  If something is missing when the time has passed, the
# test goes on for about as long again.
sub goes_on
{
	my ($started) = @_;
	my $passed = time - $started;

	return !$count{runs} if defined $only;
	return $count{failures} < $most_failures && ($passed < $seconds || (missing() && $passed < 60 + 2 * $seconds));
}

$count{$_} = 0 foreach qw(runs failures statements states transactions unclear);
my $started = time;

for (; goes_on($started); $count{runs}++)
{
	$count{failures}++ if !try_run($first_seed + $count{runs}, $count{runs});
}
note(join ', ', "seed $first_seed", map { "$count{$_} $_" } sort keys %count);
note(map { "$_: $seen{$_}\n" } sort keys %seen) if long_run(1, 0);
is($count{failures}, 0, 'each statement turned out as the model says');
if (!defined $only)
{
	is(join(', ', missing()), '', 'every possible outcome occurred');
	cmp_ok($count{unclear}, '<=', 5 + $count{runs} / 10, 'few runs had to be given up');
}
check_sound($node, 'all runs');
# (57014: autovacuum is cancelled when TRUNCATE wants its lock)
check_log($node, 'all runs', qw(23T01 23T02 23T03 23T04 23T05 23T06 23T08 23T09 P0002 22004 22023 23503 23505 0A000 57014));
$node->stop;
done_testing();
