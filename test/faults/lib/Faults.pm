# What the tests under faults share: a seeded run of many rounds.  Each round has a
# mixed load (Faults::Load), a fault, a recovery, and checks that the promises are
# kept (Faults::Check).  At its end, a run adds a line to the table of faults.
#
#	my $run = Faults->new('a backend is killed', 500, 20);
#	my $node = $run->node('main');
#	while (my $round = $run->next_round($node)) {
#		$round->load;
#		... the fault ...
#		$round->stop;
#		$round->check;
#	}
#	$run->done;

package Faults;

use strict;
use warnings;

use BookingTest;
use Exporter 'import';
use Faults::Load;
use Faults::Shop qw(create_shop);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

our @EXPORT_OK = qw(end_of_wal never skipped times_logged);

# A new run, with $full rounds, or $quick rounds in the quick form.  The seed is
# BOOKING_FAULTS_SEED or a new one.
sub new
{
	my ($class, $name, $full, $quick) = @_;
	my $seed = $ENV{BOOKING_FAULTS_SEED} || 1 + int rand 1_000_000;
	my $self = bless {
		name => $name, seed => $seed, round => 0, started => time(),
		rounds => $ENV{BOOKING_FAULTS_QUICK} ? $quick : $full,
		dir => PostgreSQL::Test::Utils::tempdir(),
		wrong => 0, injected => 0, nodes => [], count => { map { $_ => 0 } qw(calls booked shop unknown) },
	}, $class;

	srand($seed);
	note("seed $seed");
	return $self;
}

# Returns the first argument in the full form, the second in the quick form.
sub full_or_quick
{
	my ($self, $full, $quick) = @_;

	return $ENV{BOOKING_FAULTS_QUICK} ? $quick : $full;
}

# Makes and starts a server with the extension and all tables.  Options: tables (the
# arguments of create_tables()), and those of booking_node().
sub node
{
	my ($self, $name, %options) = @_;
	my $node = booking_node($name, %options);

	$self->prepare($node, $options{tables});
	return $node;
}

# Creates the extension, its tables and those of the shop on a server.  $tables: the
# arguments of create_tables().
sub prepare
{
	my ($self, $node, $tables) = @_;

	create_booking($node, 'postgres', $tables);
	create_shop($node);
	push @{ $self->{nodes} }, $node;
	return;
}

# Drops databases that the test does not need, because the server is often copied.
sub make_small
{
	my ($self, $node) = @_;

	$node->safe_psql('postgres', <<~'SQL');
		ALTER DATABASE template0 IS_TEMPLATE false;
		ALTER DATABASE template1 IS_TEMPLATE false;
		DROP DATABASE template0;
		DROP DATABASE template1;
		SQL
	return;
}

# Returns the next round, or undef after the last.  Options: rows (the new events, and
# as many shows: a hash of kind => list of capacities), only_shows (1: no events),
# only_events (1: no shows), shards (the servers with the events, if $node is a router)
# and those of Faults::Load.
sub next_round
{
	my ($self, $node, %options) = @_;

	return if $self->{round} >= $self->{rounds};
	$self->{round}++;
	my $round = bless {
		run => $self, node => $node, number => $self->{round},
		seed => $self->{seed} * 1000 + $self->{round}, options => \%options
	}, 'Faults::Round';

	srand($round->{seed});
	$round->create_events(%{ $options{rows} // {} });
	return $round;
}

# Counts injected faults (default: 1).
sub injected
{
	my ($self, $count) = @_;

	$self->{injected} += $count // 1;
	return;
}

# Returns a count over all rounds: calls, booked (places), shop (those of shows),
# refused, failed, unknown, or a SQLSTATE: the calls that ended with it.
sub count
{
	my ($self, $what) = @_;

	return $self->{count}{$what} // 0;
}

# Reports problems, with the seed and the round in which they were found.
sub wrong
{
	my ($self, @what) = @_;
	my $where = "$self->{name}, seed $self->{seed}, round $self->{round}";
	my $table = $ENV{BOOKING_FAULTS_TABLE};

	$self->{wrong} += @what;
	diag("$where: $_") foreach @what;
	append_to_file("$table.wrong", join('', map { "$where: $_\n" } @what)) if $table && @what;
	return;
}

# Returns the position in the WAL where the server's last recovery ended.
sub end_of_wal
{
	my ($node) = @_;
	my @ends = slurp_file($node->logfile) =~ m{redo done at ([0-9A-F]+/[0-9A-F]+)}g;

	return $ends[-1];
}

# Returns how many times a message is in a server's log.
sub times_logged
{
	my ($node, $what) = @_;

	return scalar(() = slurp_file($node->logfile) =~ /$what/g);
}

# Reports the lines of a server's log that must not be there.
sub look_at_log
{
	my ($self, $node, $never) = @_;
	my @bad = grep { /$never/ } split /\n/, slurp_file($node->logfile);

	$self->wrong(map { 'in the log of ' . $node->name . ": $_" } @bad);
	return;
}

# Returns a pattern of what no server's log may contain: a panic, a failed assertion,
# an internal error, or a process that was ended by an unexpected signal.  Options:
# panic, a pattern of expected panics, each of which ends its process by SIGABRT;
# internal, a pattern of expected internal errors.
sub never
{
	my (%expected) = @_;
	my $signal = $expected{panic} ? '[69]' : '9';
	my $panic = $expected{panic} ? "PANIC:(?!.*$expected{panic})" : 'PANIC:';

	# (what the log tells of an error in more lines has its SQLSTATE, too)
	my $internal = $expected{internal}
	  ? "\\] XX\\w{3} (?!.*(?:$expected{internal}|(?:DETAIL|HINT|QUERY|CONTEXT|STATEMENT):  ))" : '\\] XX\w{3} ';

	return qr/$panic|TRAP:|$internal|terminated by signal (?!$signal\b)/;
}

# Ends the run: makes its assertions and adds its line to the table.  Options: never,
# a pattern for the servers' logs (default: never()); unanswered, 0 if every call must
# have been answered, because the fault ends no session; only_events, 1 if there are no
# shows.
sub done
{
	my ($self, %options) = @_;
	my $count = $self->{count};

	$self->look_at_log($_, $options{never} // never()) foreach @{ $self->{nodes} };
	is($self->{round}, $self->{rounds}, "$self->{name}: all $self->{rounds} rounds were run");
	cmp_ok($self->{injected}, '>=', $self->{rounds}, "$self->{name}: a fault was injected in each");
	cmp_ok($count->{booked} - $count->{shop}, '>', $self->{rounds}, "$self->{name}: clients were at work");
	cmp_ok($count->{shop}, '>', $self->{rounds}, "$self->{name}: clients were at work under capacity constraints")
	  if !$options{only_events};
	is($count->{unknown}, 0, "$self->{name}: each call was answered") if defined $options{unanswered};
	is($self->{wrong}, 0, "$self->{name}: no promise was broken (seed $self->{seed})");
	add_to_table($self->{name}, $self->{injected}, @{$count}{qw(calls booked unknown)},
		$self->{wrong}, int(time() - $self->{started}));
	return;
}

# Adds to the table that a fault can't be injected here.
sub skipped
{
	my ($name) = @_;

	add_to_table($name, 'skipped', ('-') x 5);
	return;
}

# Adds a line to the table, which run.sh prints.
sub add_to_table
{
	my (@fields) = @_;
	my $file = $ENV{BOOKING_FAULTS_TABLE} or return;

	append_to_file($file, join("\t", @fields) . "\n");
	return;
}

package Faults::Round;

use BookingTest;
use Cwd ();
use Faults::Check qw(judge_journals check_events);
use Faults::Shop qw(is_show check_shows);
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

# The capacities of a round's events, by kind, if the round does not say others.
my %ROWS = (hot => [300], small => [ 5, 9 ], limited => [60], expiring => [25]);

# Returns the servers that have the tables: the shards, or else the round's own.
sub servers
{
	my ($self) = @_;

	return @{ $self->{options}{shards} // [ $self->{node} ] };
}

# Creates the events of this round, and shows of the same kinds and capacities.
sub create_events
{
	my ($self, %rows) = @_;

	%rows = %ROWS if !%rows;
	$self->create_events_on($_, %rows) foreach $self->servers;
	return;
}

sub create_events_on
{
	my ($self, $node, %rows) = @_;
	my $dbh = connect_to($node) or die 'no connection to create events';

	foreach my $kind (sort keys %rows)
	{
		my $limit = $kind eq 'limited' ? 3 : undef;
		my $ttl = $kind eq 'expiring' ? '50 ms' : '1 hour';

		$self->create_kind($dbh, $kind, <<~'SQL', $rows{$kind}, $limit, $ttl) if !$self->{options}{only_shows};
			INSERT INTO booking.event (capacity, max_per_user, hold_ttl)
			SELECT unnest(?::integer[]), ?::integer, ?::interval RETURNING event_id
			SQL
		$self->create_kind($dbh, "show_$kind", <<~'SQL', $rows{$kind}, $ttl) if !$self->{options}{only_events};
			INSERT INTO shop_show (capacity, basket_ttl)
			SELECT unnest(?::integer[]), ?::interval RETURNING id
			SQL
	}
	$dbh->disconnect;
	return;
}

# Creates the events or shows of a kind by a statement, and notes their ids.
sub create_kind
{
	my ($self, $dbh, $kind, $sql, @values) = @_;
	my $ids = $dbh->selectcol_arrayref($sql, undef, @values) or die $dbh->errstr;

	push @{ $self->{events}{$kind} }, @$ids;
	$self->{kind}{$_} = $kind foreach @$ids;
	return;
}

# Starts the load.  Options: those of Faults::Load, in addition to the round's.  In
# about every third round, each call is a transaction of its own, unless an option
# says otherwise.  Then no call may be the victim of a deadlock.
sub load
{
	my ($self, %options) = @_;
	my $node = $self->{node};

	%options = (%{ $self->{options} }, %options);
	$options{single} //= rand() < 1 / 3 && !grep { exists $options{$_} } qw(several most_calls);
	$self->{load} = Faults::Load->start(
		connect => sub { connect_to($node) },
		events => $self->{events},
		journal => "$self->{run}{dir}/journal-$self->{number}",
		seed => $self->{seed},
		first_user => 10_000_000 * $self->{number},
		%options);
	return;
}

# Tells the clients to stop, and waits until they have ended.
sub stop
{
	my ($self, $seconds) = @_;

	$self->{load}->stop;
	$self->{run}->wrong($self->{load}->finish($seconds));
	return;
}

# Waits until the clients have made all their calls.
sub finish
{
	my ($self, $seconds) = @_;

	$self->{run}->wrong($self->{load}->finish($seconds));
	return;
}

# Runs code that makes the server crash, and waits until all sessions have ended.
# Until then, the server would still accept connections.
sub crash
{
	my ($self, $code) = @_;
	my $session = connect_to($self->{node}) or return $self->{run}->wrong('no connection');
	my $until = time() + 60;

	$code->();
	sleep 0.002 while $session->ping && time() < $until;
	$self->{run}->wrong('the server has not crashed') if time() >= $until;
	return;
}

# Waits until the server accepts connections again.  Returns whether it does.
sub wait_for_server
{
	my ($self, $seconds) = @_;
	my $until = time() + ($seconds // 60);

	while (time() < $until)
	{
		my $dbh = connect_to($self->{node});

		if ($dbh)
		{
			my ($recovering) = $dbh->selectrow_array('SELECT pg_is_in_recovery()');

			$dbh->disconnect;
			return 1 if defined $recovering && !$recovering;
		}
		sleep 0.01;
	}
	$self->{run}->wrong('the server has not come back');
	return 0;
}

# Returns the processes of a server (default: the round's): those whose current folder is
# the data folder.
sub processes
{
	my ($self, $node) = @_;
	my $folder = Cwd::realpath(($node // $self->{node})->data_dir);

	return grep { (readlink "/proc/$_/cwd" // '') eq $folder } map { m{(\d+)$} } glob '/proc/[0-9]*';
}

# Kills all processes of a server (default: the round's), first the postmaster.  Waits until they are gone,
# including zombies, see start_again().
sub kill_all
{
	my ($self, $node) = @_;
	my $until = time() + 60;
	my @pids = $self->processes($node);

	($node // $self->{node})->kill9;
	push @pids, $self->processes($node);
	kill 'KILL', @pids;
	sleep 0.01 while kill(0, @pids) && time() < $until;
	return;
}

# Starts a server (default: the round's) again after its postmaster was killed.  A new
# postmaster refuses to start while old sessions are alive.  It also refuses while a
# process with the number in the lock file exists, even a zombie.  So this waits for them
# first.
sub start_again
{
	my ($self, $seconds, $node) = @_;
	$node //= $self->{node};
	my $until = time() + ($seconds // 60);
	my $lock_file = $node->data_dir . '/postmaster.pid';
	my ($pid) = -e $lock_file ? slurp_file($lock_file) =~ /^(\d+)/ : ();

	sleep 0.01 while ($self->processes($node) || ($pid && kill 0, $pid)) && time() < $until;
	return 1 if $node->start(fail_ok => 1);
	$self->{run}->wrong('the server does not start');
	return 0;
}

# Compares the journals with the database.  Options: those of judge_journals().
sub judge
{
	my ($self, $dbh, %options) = @_;

	return judge_journals($dbh, events => $self->{kind}, %options,
		journals => [ $self->{load}->journals ], single => $self->{load}{single});
}

# Returns the events of a shard, by its number, as id => kind.  (If there is only one
# server, those are all, and the shows.)
sub events_of
{
	my ($self, $shard) = @_;
	my @servers = $self->servers;

	return { map { $_ => $self->{kind}{$_} } grep { ($_ & $#servers) == $shard } keys %{ $self->{kind} } };
}

# Waits until the sessions of clients at a server (default: the round's) have ended.  A
# session whose client has gone may still be running, and may commit.
sub wait_for_sessions
{
	my ($self, $seconds, $node) = @_;
	my $until = time() + ($seconds // 60);
	my $dbh = connect_to($node // $self->{node}) or return $self->{run}->wrong('no connection');

	while ($dbh->selectrow_array(<<~'SQL'))
		SELECT count(*) FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
		SQL
	{
		return $self->{run}->wrong('sessions have not ended') if time() > $until;
		sleep 0.01;
	}
	$dbh->disconnect;
	return;
}

# Checks the promises: compares the journals with the database, looks at the events and
# shows, and at their pools with amcheck.  (To check the other tables too would take longer
# from round to round; check_sound() does it at the end.)  Something must have been
# booked, unless may_lose_all is set.  Other options: node (if not the round's), and
# those of judge_journals().  Returns the counts of judge_journals().
sub check
{
	my ($self, %options) = @_;
	my $run = $self->{run};
	my @servers = $options{node} // $self->servers;
	my (%count, @wrong);

	foreach my $shard (0 .. $#servers)
	{
		my ($count, @of_server) = $self->check_server($servers[$shard], %options, events => $self->events_of($shard));

		$count{$_} += $count->{$_} foreach keys %$count;
		push @wrong, @of_server;
	}
	push @wrong, 'nothing was booked' if !$count{booked} && !$options{may_lose_all};
	$run->{count}{$_} += $count{$_} foreach keys %count;
	$run->wrong(@wrong);
	unlink $self->{load}->journals if !@wrong;
	return \%count;
}

# The same for one server and its events.  Returns the counts and a list of problems.
sub check_server
{
	my ($self, $node, %options) = @_;
	my $dbh = connect_to($node) or return ({}, 'no connection for the checks');
	my ($count, @wrong) = $self->judge($dbh, %options);
	my @ids = sort { $a <=> $b } keys %{ $options{events} };

	push @wrong, check_events($dbh, grep { !is_show($_) } @ids);
	push @wrong, check_shows($dbh, grep { is_show($_) } @ids);
	push @wrong, map { "amcheck: $_" } map { amcheck($dbh, $_) } qw(inventory shop%);
	$dbh->disconnect;
	return ($count, @wrong);
}

1;
