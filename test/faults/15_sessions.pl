# Three to five sessions send random statements, each in a transaction of its own,
# at the same time.  No fault is injected: the sessions are made to meet at each lock.
#
# One statement is sent at a time.  Its session gets an answer, or waits for another
# session, which is seen in pg_blocking_pids().  Then another statement is sent, or a
# transaction that has its answer is committed or rolled back.  So it is known at each
# moment what is committed, and a model (BookingModel) knows which answers are right:
#
# - What succeeds must do so in the state in which it commits, with the same answer.
# - A refusal, or an answer that changes nothing, must have been right at a moment while
#   the statement ran.
# - After each commit all tables, availability() and verify() must be what the model says.
# - A session waits only for one that has a transaction open.
# - In the end each place that is left can be sold, and no more.
# - A deadlock is allowed only between statements for which doc/limits.md has one.
#
# An episode that fails is shown with its seed and all statements.  This repeats it until
# it fails:
#
#	BOOKING_SESSIONS_SEED=seed test/faults/run.sh sessions
#
# (The seed decides everything except which session goes on first if one commit ends the
# waits of several.)  BOOKING_SESSIONS_SECONDS sets the time.  With QUICK=1, the seeds are
# always the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingActions qw(some_of chance);
use BookingModel;
use BookingTest;
use Faults;
use Faults::Deadlocks qw(known_deadlock known_deadlocks);
use Faults::Sessions;
use Faults::Statements qw(favour some_kinds some_lock some_statement statement_kinds setup_statements EVENTS USERS);
use List::Util qw(any);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use constant MOST_FAILURES => 3;
use constant SESSIONS => 5;

my $quick = $ENV{BOOKING_FAULTS_QUICK};
my $only = $ENV{BOOKING_SESSIONS_SEED};
my $seconds = $ENV{BOOKING_SESSIONS_SECONDS} // ($quick ? 25 : 240);
my $first_seed = $only || $ENV{BOOKING_FAULTS_SEED} || ($quick ? 1 : 1 + int rand 1_000_000_000);

my $node = booking_node('sessions', conf => <<~'CONF');
	fsync = off
	autovacuum = off
	jit = off
	deadlock_timeout = 20ms
	CONF
my (%count, %seen, $sessions);
my $run;    # the current episode, see new_episode()

create_booking($node);

# ---- comparing ----

# All contents, in the form of the model's lines.
my $lines_query = <<~'SQL';
	SELECT line FROM (
		SELECT 1 AS nth, event_id AS id,
		       concat_ws(' ', 'event', event_id, e.capacity, coalesce(max_per_user::text, '-'),
		                 available, held, booked) AS line
		FROM booking.event e CROSS JOIN LATERAL booking.availability(event_id)
	  UNION ALL
		SELECT 2, hold_id, concat_ws(' ', 'hold', hold_id, event_id, user_id, quantity,
		                             CASE WHEN ended_at IS NULL THEN 'live' ELSE 'ended' END)
		FROM booking.hold
	  UNION ALL
		SELECT 3, ticket_id, concat_ws(' ', 'ticket', ticket_id, event_id, user_id, (cancelled_at IS NOT NULL)::int,
		                               (redeemed_at IS NOT NULL)::int, coalesce(hold_id::text, '-'))
		FROM booking.ticket
	  UNION ALL
		SELECT 4, NULL, concat_ws(' ', 'key', event_id, idempotency_key) FROM booking.request
	) AS l
	ORDER BY nth, id, line COLLATE "C"
	SQL

my $holds_query = <<~'SQL';
	SELECT hold_id, extract(epoch FROM expires_at), extract(epoch FROM ended_at) FROM booking.hold ORDER BY hold_id
	SQL

# Ends the episode with a failure.  If the last states could not be read, it ends without
# a result: which expired holds were ended is then unknown.
sub differs
{
	my ($what, $expected, $found) = @_;

	die { unclear => 1 } if $run->{unread};
	die { difference => "$what\n  expected: $expected\n  found:    $found" };
}

# Returns the rows of a query on what is committed.  A TRUNCATE that waits or is not
# committed makes that impossible (55P03).
sub committed
{
	my ($sql) = @_;
	my $monitor = $sessions->monitor;
	my $rows = $monitor->selectall_arrayref($sql);

	die { unread => 1 } if $monitor->state eq '55P03';
	return $rows // differs($sql, 'rows', $monitor->errstr);
}

# Returns the rows of a result as text.
sub text_of
{
	my ($rows) = @_;

	return join '; ', map {
		join ',', map { ref $_ ? '{' . join(',', @$_) . '}' : $_ // '' } @$_
	} @$rows;
}

# The model learns when holds expire, and which of those that have expired were ended.
# Which these are is free: their places are available in either case.
sub learn_expiry
{
	my ($model) = @_;

	foreach my $row (@{ committed($holds_query) })
	{
		my ($id, $expires, $ended) = @$row;
		my $hold = $model->{hold}{$id} // next;
		my $event = $model->{event}{ $hold->{event} };

		$hold->{expires} = $expires;
		$hold->{ended} = $ended if defined $hold->{ended} && defined $ended;
		next if defined $hold->{ended} == defined $ended || !$model->has_expired($hold);
		$event->{free} += defined $ended ? $hold->{quantity} : -$hold->{quantity} if $event;
		$hold->{ended} = $ended;
	}
	return;
}

# The same for the keys and holds that purge() has deleted.  $start: the state in which it
# was sent.  What was there then must be gone, if no one has changed it.
sub learn_purge
{
	my ($model, $start) = @_;
	my %keys = map { $_->[0] => 1 } @{ committed(q{SELECT event_id || ' ' || idempotency_key FROM booking.request}) };
	my %holds = map { $_->[0] => 1 } @{ committed($holds_query) };

	foreach my $key (grep { $keys{$_} } sort keys %{ $model->{request} })
	{
		differs('purge()', "without key $key", 'with it')
		  if $start->{request}{$key} && $start->{request}{$key}{serial} == $model->{request}{$key}{serial};
	}
	delete @{ $model->{request} }{ grep { !$keys{$_} } keys %{ $model->{request} } };
	foreach my $hold (grep { defined $_->{ended} } map { $model->{hold}{$_} } sort { $a <=> $b } keys %{ $model->{hold} })
	{
		my $then = $start->{hold}{ $hold->{id} };

		delete $model->{hold}{ $hold->{id} } if !$holds{ $hold->{id} };
		differs('purge()', "without hold $hold->{id}", 'with it')
		  if $holds{ $hold->{id} } && $then && defined $then->{ended};
	}
	return;
}

# Fails unless what is committed is what the model says.
sub compare
{
	my ($what) = @_;
	my $model = $run->{model};

	learn_expiry($model);
	my $expected = join "\n", $model->lines;
	my $found = join "\n", map { $_->[0] } @{ committed($lines_query) };

	differs("the state after $what", "\n$expected", "\n$found") if $found ne $expected;
	$found = text_of(committed('SELECT event_id, problem, expected, found FROM booking.verify()'));
	$expected = join '; ', map { join ',', (split)[0], 'a user has more places than max_per_user', (split)[ 1, 2 ] } $model->over_limit;
	differs("verify() after $what", $expected, $found) if $found ne $expected;
	$count{states}++;
	return;
}

# Applies a statement to a copy of a state.  Returns the outcome, the rows expected (or
# undef), and the state afterwards.  The outcome is 'either' if it is not defined.
sub predict
{
	my ($state, $action, $rows) = @_;
	my $after = $state->copy(time);
	my $expected = eval { $action->{apply}->($after, $rows) };
	my $refusal = $@;

	return ('ok', $expected, $after) if !$refusal;
	die $refusal if !ref $refusal || !$refusal->{state};
	return ($refusal->{state}, undef, $state);
}

# True if the model has made a row whose id is that of a row that is gone.
sub repeats_id
{
	my ($before, $after) = @_;

	foreach my $table (qw(ticket hold))
	{
		return 1 if any { !$before->{$table}{$_} && $run->{known}{"$table $_"} } keys %{ $after->{$table} };
	}
	return 0;
}

# If the answer is right in that state, returns the state afterwards.
sub state_after
{
	my ($state, $action, $rows) = @_;
	my ($outcome, $expected, $after) = predict($state, $action, $rows);

	die { unclear => 1 } if $outcome eq 'either';
	return if $outcome ne 'ok';
	return if defined $expected && !$action->{rows_differ} && text_of($expected) ne text_of($rows);
	return if repeats_id($state, $after);
	return $after;
}

# Returns the states that were committed while the statement ran.
sub moments
{
	my ($session) = @_;

	return @{ $run->{states} }[ $session->{since} .. $session->{until} ];
}

# The same for an answer that is of two moments.
sub state_after_two
{
	my ($session) = @_;
	my ($action, $rows) = @{$session}{qw(action rows)};
	my @moments = (moments($session), $run->{model});

	foreach my $first (0 .. $#moments)
	{
		foreach my $then (@moments[ $first .. $#moments ])
		{
			my $copy = $run->{model}->copy(time);

			next if text_of($action->{expects}->($moments[$first], $then, $rows)) ne text_of($rows);
			return $copy if eval { $action->{effect}->($copy, $rows); 1 };
		}
	}
	return;
}

# Returns how many rows of the model an UPDATE or DELETE names that it has not written.
# It does not see those that were inserted after it began.
sub count_unseen
{
	my ($session) = @_;
	my ($table, $ids) = $session->{action}{sql} =~ /^(?:UPDATE|DELETE) .* WHERE (\w+)_id (?:=|IN) \(?([\d, ]+)/ or return 0;
	my @there = grep { $run->{model}{$table}{$_} } split /, /, $ids;

	return @there - $session->{affected};
}

# The statement has succeeded, and its transaction is about to end.  Returns the state
# after its commit.  Fails if the answer is wrong.
sub state_at_end
{
	my ($session) = @_;
	my ($action, $rows) = @{$session}{qw(action rows)};
	my $model = $run->{model};
	my $unseen = count_unseen($session);

	return $model if $unseen > 0 && $session->{affected} == 0;
	die { unclear => 1 } if $unseen > 0;
	my $after = $action->{expects} ? state_after_two($session) : state_after($model, $action, $rows);

	return $after if $after;
	foreach my $moment (moments($session))
	{
		$after = state_after($moment, $action, $rows) or next;
		return $model if join("\n", $after->lines) eq join("\n", $moment->lines);
	}
	my ($outcome, $expected) = predict($model, $action, $rows);

	return differs("[$session->{name}] $action->{sql}", $outcome . ' ' . text_of($expected // []), 'ok ' . text_of($rows));
}

# Fails unless a refusal was right at a moment while the statement ran.
sub judge_refusal
{
	my ($session) = @_;
	my ($action, $state) = @{$session}{qw(action state)};
	my @outcomes = map { (predict($_, $action, []))[0] } moments($session);

	return if any { $_ eq $state || $_ eq 'either' } @outcomes;
	differs("[$session->{name}] $action->{sql}", join(' or ', @outcomes), "$state $session->{message}");
	return;
}

# Returns the sessions of a deadlock.  A session that is first in the queue for a row is
# left out if another waits behind it: they wait for the same third session.
sub sessions_of_deadlock
{
	my ($message) = @_;
	my @pids = $message =~ /^(?:DETAIL: +)?Process (\d+) waits for/mg;
	my %queues = map { $_ => 1 } $message =~ /waits for \w+ on tuple .*; blocked by process (\d+)/g;

	return map { $sessions->of_pid($_) // differs('a deadlock', 'only our sessions', $message) } grep { !$queues{$_} } @pids;
}

# Fails unless a deadlock is one that the documents have.
sub judge_deadlock
{
	my ($session) = @_;
	my @others = sessions_of_deadlock($session->{message});
	my $last = $#{ $run->{states} };
	my $known = known_deadlock(map {
		{ kind => $_->{action}{kind}, action => $_->{action}, states => [ @{ $run->{states} }[ $_->{since} .. $last ] ] }
	} @others);
	my $who = join ', ', sort map { $_->{action}{kind} } @others;

	$count{deadlocks}++;
	$seen{"40P01: $who"}++;
	differs('a deadlock that doc/limits.md does not list', 'none', "$who\n$session->{message}") if !$known;
	return;
}

# ---- an episode ----

sub log_line
{
	my ($session, $text) = @_;

	push @{ $run->{log} }, "[$session->{name}] $text";
	return;
}

# Runs a command that must succeed, and is never waited for.
sub command
{
	my ($session, $sql) = @_;

	log_line($session, $sql);
	$session->{dbh}->do($sql) // differs($sql, 'ok', $session->{dbh}->state);
	return;
}

# The model has a new state: what is committed now.
sub note_state
{
	my ($what) = @_;

	$run->{unread} = !eval { compare($what); 1 };
	die $@ if $run->{unread} && !(ref $@ && $@->{unread});
	$_->{serial} //= ++$run->{serial} foreach values %{ $run->{model}{request} };
	foreach my $table (qw(ticket hold))
	{
		$run->{known}{"$table $_"} = 1 foreach keys %{ $run->{model}{$table} };
	}
	push @{ $run->{states} }, $run->{model}->copy(time);
	return;
}

# Begins a transaction, and sends its statement.  While few transactions are open, it
# often is one that only locks a row, so that those that follow are stopped there.
sub begin
{
	my ($session) = @_;
	my $open = grep { $_->{open} } $sessions->all;

	command($session, 'BEGIN');
	$session->{action} = chance($open < 2 ? 0.5 : 0.1) ? some_lock($run->{model}) : some_statement($run->{model}, @{ $run->{kinds} });
	$session->{since} = $#{ $run->{states} };
	$session->{open} = 1;
	log_line($session, "$session->{action}{sql};");
	$sessions->send($session, $session->{action}{sql});
	$count{statements}++;
	return;
}

# Ends the transaction of a session that has its answer.
sub end
{
	my ($session, $how) = @_;

	$run->{model}{now} = time;
	if ($session->{state} eq 'ok')
	{
		my $start = $run->{states}[ $session->{since} ];
		my $after = $session->{action}{learns} ? $run->{model}->copy(time) : state_at_end($session);

		command($session, $how);
		$run->{model} = $after if $how eq 'COMMIT';
		learn_purge($run->{model}, $start) if $how eq 'COMMIT' && $session->{action}{learns};
		note_state("$session->{action}{sql}; $how");
	}
	else
	{
		command($session, 'ROLLBACK');
	}
	$session->{open} = 0;
	return;
}

# Judges the answer that a session got.
sub take_answer
{
	my ($session) = @_;
	my ($action, $state) = @{$session}{qw(action state)};

	$session->{until} = $#{ $run->{states} };
	log_line($session, "-- $state " . text_of($session->{rows}));
	$seen{"$action->{kind} $state"}++;
	$seen{$state}++;
	$count{booked} += grep { ($_->[0] // '') ne '' } @{ $session->{rows} } if $action->{kind} =~ /^(?:book|try|batch)/;
	return if $state eq 'ok';
	$state eq '40P01' ? judge_deadlock($session) : judge_refusal($session);
	end($session);
	return;
}

# Waits until all answers are there that can come now.
sub settle
{
	take_answer($_) foreach $sessions->settle;
	my @waiting = grep { $_->{waits} } $sessions->all;

	$count{waits} += grep { !$_->{counted} } @waiting;
	$_->{counted} = $_->{waits} foreach $sessions->all;
	return;
}

# One step: a session begins a transaction, or ends one.
sub step
{
	my @all = ($sessions->all)[ 0 .. $run->{sessions} - 1 ];
	my @idle = grep { !$_->{open} } @all;
	my @open = grep { $_->{open} && !$_->{waits} } @all;

	if (@idle && (!@open || chance(0.75)))
	{
		begin(some_of(@idle));
	}
	else
	{
		end(some_of(@open), chance(0.75) ? 'COMMIT' : 'ROLLBACK');
	}
	settle();
	return;
}

# Ends all transactions, until no session waits.
sub come_to_rest
{
	for (;;)
	{
		my @open = grep { $_->{open} && !$_->{waits} } $sessions->all or last;

		end(some_of(@open), chance(0.75) ? 'COMMIT' : 'ROLLBACK');
		settle();
	}
	differs('the end', 'no session waits', 'one does') if any { $_->{waits} } $sessions->all;
	$count{quiescent}++;
	return;
}

# Fails unless each place that is left can be sold, and no more.  Then it is undone.
sub sell_what_is_left
{
	my ($session) = $sessions->all;

	foreach my $id (grep { $run->{model}{event}{$_} } EVENTS)
	{
		my ($left) = $run->{model}->availability($id);

		$session->{dbh}->do('BEGIN');
		my ($sold) = $session->{dbh}->selectrow_array(<<~SQL);
			SELECT count(ticket_id)
			FROM generate_series(1, greatest($left, 0) + 2) n, booking.try_book_ticket($id, 1000 + n)
			SQL
		$session->{dbh}->do('ROLLBACK');
		$left = 0 if $left < 0 || !BookingModel::on_sale($run->{model}{event}{$id});
		differs("the places that can be sold of event $id", $left, $sold // $session->{dbh}->errstr) if ($sold // -1) != $left;
	}
	return;
}

# A new episode: some sessions, and some kinds of statements.
sub new_episode
{
	my ($seed) = @_;
	favour(some_of(EVENTS), some_of(USERS));
	return {
		seed => $seed, log => [], model => BookingModel->new(0), states => [], serial => 0,
		kinds => [some_kinds()], sessions => some_of(3 .. SESSIONS, SESSIONS),
		direct => some_of('on', 'on', 'off'), split => some_of('off', 'off', 'on'),
	};
}

sub fill_tables
{
	my ($session) = $sessions->all;

	foreach my $action (setup_statements())
	{
		my ($outcome) = predict($run->{model}, $action, []);

		next if $outcome ne 'ok';
		log_line($session, "$action->{sql};");
		$sessions->send($session, $action->{sql});
		$sessions->settle;
		differs($action->{sql}, 'ok', $session->{message}) if $session->{state} ne 'ok';
		$run->{model} = (predict($run->{model}, $action, $session->{rows}))[2];
		$run->{model}{now} = time;
		learn_expiry($run->{model});
	}
	note_state('filling the tables');
	return;
}

sub do_episode
{
	foreach my $session ($sessions->all)
	{
		command($session, "SET booking.direct_path = $run->{direct}");
		command($session, "SET booking.debug_split_always = $run->{split}");
	}
	fill_tables();
	foreach (1 .. some_of(2 .. 4))
	{
		step() foreach 1 .. some_of(8, 16, 24);
		come_to_rest();
		sell_what_is_left();
	}
	return;
}

# Removes all data, by sessions that no failure has left busy.
sub clean_up
{
	my ($failed) = @_;
	my $dbh;

	if ($failed || !$sessions)
	{
		$sessions->disconnect if $sessions;
		$sessions = Faults::Sessions->new($node, SESSIONS);
		$sessions->monitor->do("SET lock_timeout = '20ms'");
	}
	$dbh = $sessions->monitor;
	$dbh->do($_) // die $dbh->errstr
	  foreach 'TRUNCATE booking.event, booking.ticket, booking.hold RESTART IDENTITY', 'DELETE FROM booking.user_limit';
	$_->{open} = $_->{waits} = 0 foreach $sessions->all;
	return;
}

# Does one episode.  Returns whether it succeeded.
sub try_episode
{
	my ($seed) = @_;

	clean_up();
	srand($seed);
	$run = new_episode($seed);
	return 1 if eval { do_episode(); 1 };
	my $problem = $@;
	my $unclear = ref $problem && ($problem->{unclear} || $problem->{unread});

	$count{unclear}++ if $unclear;
	diag(join "\n", "BOOKING_SESSIONS_SEED=$seed", @{ $run->{log} },
		ref $problem ? $problem->{difference} // $problem->{stuck} : $problem)
	  if !$unclear;
	clean_up(1);
	return $unclear;
}

# ---- all episodes ----

# What all episodes together must have seen, or the test proves little.
my @wanted = qw(ok 23T01 23T02 23503);

push @wanted, qw(23T03 23T04 23T05 23T06 23T08 P0002 23505 40P01), map { "$_ ok" } statement_kinds() if !$quick;

sub missing { return grep { !$seen{$_} } @wanted }

sub goes_on
{
	my ($started) = @_;
	my $passed = time - $started;

	return !$count{failures} && $passed < $seconds if defined $only;
	return $count{failures} < MOST_FAILURES && ($passed < $seconds || (missing() && $passed < 30 + 2 * $seconds));
}

$count{$_} = 0 foreach qw(episodes failures unclear statements states waits deadlocks quiescent booked);
my $started = time;

for (; goes_on($started); $count{episodes}++)
{
	$count{failures}++ if !try_episode($only // $first_seed + $count{episodes});
}
note(join ', ', "seed $first_seed", map { "$count{$_} $_" } sort keys %count);
note(map { "$_: $seen{$_}\n" } sort keys %seen);
Faults::add_to_table('single statements of several sessions', @count{qw(waits statements booked)}, 0,
	$count{failures}, int(time - $started));

my $limits = slurp_file("$FindBin::RealBin/../../doc/limits.md") =~ s/\s+/ /gr;

is_deeply([ grep { index($limits, $_) < 0 } known_deadlocks() ], [], 'the deadlocks that are allowed are in doc/limits.md');
is($count{failures}, 0, "no answer was wrong (seed $first_seed)");
is_deeply([ defined $only ? () : missing() ], [], 'all kinds of statements and refusals were seen');
cmp_ok($count{waits}, '>', $count{episodes}, 'sessions have waited for each other') if !defined $only;
cmp_ok($count{unclear}, '<=', $count{episodes} / 10 + 1, 'most episodes came to their end');
clean_up(1);
check_sound($node, 'sessions');
check_log($node, 'sessions', '23T..', '23503', '23505', 'P0002', '22023', '40P01', '55P03', '08006');
$node->stop;
done_testing();
