# What a session does in one transaction, and in the next, against a model.
#
# Each run has a few events of its own, and does at random what can be done:
# every function, with and without keys, and plain SQL on all tables; in
# transactions with savepoints, some of them prepared, at two isolation levels,
# in two sessions in turn.  Two, for a session remembers things, which what the
# other does must not make wrong.  After each statement its outcome, and all
# that is there then, must be what the model (BookingModel) says.
#
# A run that fails is told with its seed and all its statements.
# BOOKING_MODEL_SEED=seed repeats it alone, BOOKING_MODEL_SECONDS sets the time.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingDeeds qw(deed_kinds make_deeds some_of);
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

# All that there is, as the model tells it; and when holds expire and have ended.
my $lines_query = <<~'SQL';
	SELECT line, expires, ended FROM (
		SELECT 1 AS nth, event_id AS id,
		       concat_ws(' ', 'event', event_id, e.capacity, coalesce(max_per_user::text, '-'),
		                 available, held, booked) AS line, NULL::numeric AS expires, NULL::numeric AS ended
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
	) AS l
	ORDER BY nth, id, line COLLATE "C"
	SQL

my @sessions = map { open_session($_) } 1 .. 2;
my (%count, %seen);
my $run;                        # the run: model, log and what else is in new_run()

# ---- the server ----

sub open_session
{
	my ($name) = @_;
	my $dbh = connect_to($node);

	$dbh->{pg_server_prepare} = 0;
	return { name => $name, dbh => $dbh, lines => $dbh->prepare($lines_query, { pg_server_prepare => 1 }) };
}

# The text of a result, to be compared.
sub text_of
{
	my ($rows) = @_;

	return join '; ', map {
		join ',', map { ref $_ ? '{' . join(',', @$_) . '}' : $_ // '' } @$_
	} @$rows;
}

# Copies lines into a table, and finds the ids that they were given.
sub copy_lines
{
	my ($dbh, $deed) = @_;
	my $before = $dbh->selectrow_array('SELECT coalesce(max(ticket_id), 0) FROM booking.ticket');

	return [] if !$dbh->do($deed->{sql});
	$dbh->pg_putcopydata($_) foreach @{ $deed->{copy} };
	return [] if !$dbh->pg_putcopyend;
	return $dbh->selectall_arrayref("SELECT ticket_id FROM booking.ticket WHERE ticket_id > $before ORDER BY 1");
}

# Runs a statement: its SQLSTATE, or 'ok', and its rows.
sub execute
{
	my ($session, $deed) = @_;
	my $dbh = $session->{dbh};
	my $rows = [];

	if ($deed->{copy})
	{
		$rows = copy_lines($dbh, $deed);
	}
	else
	{
		my $statement = $dbh->prepare($deed->{sql});

		$rows = $statement->fetchall_arrayref if $statement->execute && $statement->{NUM_OF_FIELDS};
	}
	my $state = $dbh->state || 'ok';

	push @{ $run->{log} }, "[$session->{name}] $deed->{sql}; -- $state" . (@$rows ? ' ' . text_of($rows) : '');
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

# Ends the run: what was found is not what was to be.
sub differs
{
	my ($what, $expected, $found) = @_;

	die { difference => "$what\n  expected: $expected\n  found:    $found" };
}

# Ends the run, of which nothing can be said: a hold expired meanwhile.
sub give_up
{
	die { unclear => 1 };
}

# Does any live hold expire in that time?
sub any_expiry
{
	my ($model, $from, $to) = @_;

	return any { !defined $_->{ended} && $_->{expires} > $from && $_->{expires} <= $to } values %{ $model->{hold} };
}

# Is all that the session sees what the model says?  The model learns when holds
# expire and have ended.
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

# What the model says of a deed: the outcome, the rows or undef, and what there
# is then.
sub foretell
{
	my ($model, $deed, $rows) = @_;
	my $after = $model->copy($model->{now});
	my $expected = eval { $deed->{does}->($after, $rows) };
	my $refusal = $@;

	return ('ok', $expected, $after) if !$refusal;
	die $refusal if !ref $refusal || !$refusal->{state};
	return ($refusal->{state}, undef, $model);
}

# The outcome alone, of what is to be done now.
sub foretell_state
{
	my ($deed) = @_;

	$run->{model}{now} = time;
	return (foretell($run->{model}, $deed, []))[0];
}

# Does the deed, which must turn out as the model says; whether it was done.
sub do_deed
{
	my ($session, $deed) = @_;
	my $model = $run->{model};

	$model->{now} = time;
	my ($state, $rows) = execute($session, $deed);

	give_up() if any_expiry($model, $model->{now}, time);
	my ($foretold, $expected, $after) = foretell($model, $deed, $rows);

	for (my $attempts = 30; $deed->{any_order} && $foretold ne $state && $attempts > 0; $attempts--)
	{
		($foretold, $expected, $after) = foretell($model, $deed, $rows);
	}
	differs($deed->{sql}, $foretold, $state) if $foretold ne $state;
	differs($deed->{sql}, text_of($expected), text_of($rows))
	  if defined $expected && text_of($expected) ne text_of($rows);
	$run->{model} = $after;
	$count{statements}++;
	$seen{"$deed->{kind} $state"}++;
	$seen{$state}++;
	return $state eq 'ok';
}

# ---- a transaction ----

# Waits while a hold is about to expire.
sub wait_for_expiry
{
	my $now = time;
	my @soon = grep { $_ > $now && $_ < $now + 0.03 }
	  map { $_->{expires} } grep { !defined $_->{ended} } values %{ $run->{model}{hold} };

	sleep(max(@soon) - $now + 0.002) if @soon;
	return;
}

# The next thing to be done.
sub next_deed
{
	my $queue = $run->{queue};

	until (@$queue && ref $queue->[0])
	{
		my $kind = shift @$queue // some_of(@{ $run->{kinds} });

		unshift @$queue, make_deeds($kind, $run->{model}, $run->{ids});
	}
	return shift @$queue;
}

# Goes back to the savepoint, which stays.
sub go_back
{
	my ($session, $stack) = @_;

	command($session, "ROLLBACK TO s" . scalar @$stack);
	$run->{model} = $stack->[-1]->copy(time);
	compare_all($session, $run->{model}, 'going back to a savepoint');
	return;
}

# Makes a savepoint, or goes back to one, or releases one, or does nothing.
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

# One deed in a transaction; whether the transaction goes on.
sub step
{
	my ($session, $stack) = @_;
	my $deed = next_deed();

	change_savepoints($session, $stack);
	if ($deed->{wait})
	{
		sleep $deed->{wait};
		return 1;
	}
	wait_for_expiry();
	my $foretold = foretell_state($deed);

	return 1 if $foretold eq 'either';
	if ($foretold ne 'ok' && rand() < 0.9)
	{
		return 1 if rand() < 0.3;
		push @$stack, $run->{model}->copy(time);
		command($session, 'SAVEPOINT s' . scalar @$stack);
	}
	if (do_deed($session, $deed))
	{
		compare_all($session, $run->{model}, $deed->{sql});
		note_inventory($session) if rand() < 0.1;
		return 1;
	}
	return 0 if !@$stack;
	go_back($session, $stack);
	return 1;
}

# Notes that what the test is for was there: several stripes, a reserve.
sub note_inventory
{
	my ($session) = @_;
	my ($stripes, $reserve) = $session->{dbh}->selectrow_array(<<~'SQL');
		SELECT max((SELECT count(*) FROM booking.inventory i WHERE i.event_id = e.event_id)),
		       max((SELECT available FROM booking.availability(event_id))
		           - (SELECT sum(available) FROM booking.inventory i WHERE i.event_id = e.event_id)
		           - (SELECT coalesce(sum(quantity), 0) FROM booking.hold h
		              WHERE h.event_id = e.event_id AND ended_at IS NULL AND expires_at <= clock_timestamp()))
		FROM booking.event e
		SQL

	$seen{stripes}++ if ($stripes // 0) > 1;
	$seen{reserve}++ if ($reserve // 0) > 0;
	return;
}

# Ends a transaction, perhaps in two phases; whether it was committed.
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

# A transaction of some deeds; those that belong together are done in one.
sub transaction
{
	my ($session) = @_;
	my $before = $run->{model};
	my $level = rand() < 0.75 ? 'READ COMMITTED' : 'REPEATABLE READ';
	my $goes_on = 1;
	my @stack;

	command($session, "BEGIN ISOLATION LEVEL $level");
	for (my $deeds = 1 + int rand some_of(3, 10, 25); ($deeds > 0 || @{ $run->{queue} }) && $goes_on; $deeds--)
	{
		$goes_on = step($session, \@stack);
	}
	command($session, 'ROLLBACK') if !$goes_on;
	$run->{model} = $before if !$goes_on || !end_transaction($session);
	return;
}

# A deed by itself.
sub single_deed
{
	my ($session) = @_;
	my $deed = next_deed();

	sleep $deed->{wait} if $deed->{wait};
	wait_for_expiry();
	do_deed($session, $deed) if !$deed->{wait} && foretell_state($deed) ne 'either';
	return;
}

# ---- a run ----

# Some events, and some kinds of deeds.
sub new_run
{
	my ($seed, $number) = @_;
	my $base = 1 + $number * 10;
	my @kinds = grep { rand() < 0.5 } deed_kinds();

	return {
		seed => $seed, log => [], queue => [ map { make_deeds('insert_event', undef, [ $base + $_ ]) } 0 .. 1 ],
		ids => [ $base .. $base + 2, $base + 1024 ],    # two of them are remembered in one place
		kinds => [ qw(book books try_burst insert_event rules_anew hold_life hold_life), map { ($_) x some_of(1 .. 4) } @kinds ],
		model => BookingModel->new(rand() < 0.3),
	};
}

# Does it all, in the sessions by turns.
sub do_run
{
	my $session = $sessions[0];

	command($session, $foreign_key) if $run->{model}{has_key};
	foreach (1 .. some_of(2, 5, 12))
	{
		$session = some_of(@sessions);
		rand() < 0.2 ? single_deed($session) : transaction($session);
		$run->{model}{now} = time;
		$count{transactions}++;
		compare_all($_, $run->{model}, 'a transaction') foreach shuffle(@sessions);
		do_deed(some_of(@sessions), make_deeds('verify', $run->{model}, $run->{ids}));
	}
	return;
}

# Leaves nothing behind, though the run went wrong.
sub clean_up
{
	my ($dbh) = map { $_->{dbh} } @sessions;

	$_->{dbh}->do('ROLLBACK') foreach grep { $_->{dbh}->ping > 1 } @sessions;
	$dbh->do("ROLLBACK PREPARED 'model'") if $dbh->selectrow_array('SELECT count(*) FROM pg_prepared_xacts');
	$dbh->do('ALTER TABLE booking.ticket DROP CONSTRAINT ticket_event_fk') if $run->{model}{has_key};
	$dbh->do($_)
	  foreach 'DELETE FROM booking.hold', 'DELETE FROM booking.ticket', 'DELETE FROM booking.event',
	  'SELECT booking.purge(\'0\')';
	my ($left) = $dbh->selectrow_array('SELECT count(*) FROM booking.inventory');

	return $left;
}

# One run; whether all was as it should be.
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

# ---- all of them ----

# What a test that is not blind has met: outcomes, the ends of transactions, and
# every kind of deed that is one statement.
my @to_be_met = (
	qw(ok TK001 TK002 TK003 TK004 TK005 TK006 TK008 P0002 22023 23503 23505 stripes reserve),
	'COMMIT PREPARED', 'ROLLBACK PREPARED', map { "$_ ok" } grep { $_ !~ /_anew$|_wait$|_life$/ } deed_kinds());

# What is still to be met.
sub missing
{
	return grep { !$seen{$_} } @to_be_met;
}

# Is it time for another run?  Until the time has passed, and as much again and
# more for what is missing then.
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
	is(join(', ', missing()), '', 'all that can come of a statement did');
	cmp_ok($count{unclear}, '<=', 5 + $count{runs} / 10, 'hardly a run had to be given up');
}
check_sound($node, 'all runs');
# (57014: a TRUNCATE that autovacuum makes way for)
check_log($node, 'all runs', qw(TK001 TK002 TK003 TK004 TK005 TK006 TK008 P0002 22023 23503 23505 0A000 57014));
$node->stop;
done_testing();
