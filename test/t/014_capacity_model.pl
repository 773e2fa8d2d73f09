# Compares capacity constraints with a plain count, at random.
#
# Each scenario has a table with a constraint in the schema "real", and the same tables
# without one in the schema "twin".  A session executes random statements in both, in
# transactions with savepoints and at two isolation levels.  What the twin contains
# afterwards says whether the statement must be refused.  After each statement, the
# rows must be the same in both, and places_left() and verify_capacity() must agree
# with the rows.
#
# A run that fails is shown with its seed and its statements.  BOOKING_MODEL_SEED=seed
# repeats it alone.  BOOKING_MODEL_SECONDS sets the time for each scenario.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{BOOKING_MODEL_SECONDS} // long_run(120, 4);
my $only = $ENV{BOOKING_MODEL_SEED};
my $next = 1;
my $constant = 4;
my $node = booking_node('capacity_model', conf => "fsync = off\n");

$node->safe_psql('postgres', 'CREATE EXTENSION pg_booking');

# What a row takes.  %s is an alias or a table.
my $counts = "%s.status <> 'cancelled'";
my $show = 'CREATE TABLE %s.show (id bigint PRIMARY KEY, capacity integer)';
my $ticket = 'CREATE TABLE %s.ticket (id integer PRIMARY KEY, show_id bigint KEY, places integer, status text)';
my $references = 'REFERENCES %s.show';
my $arguments = q{'real.ticket', '{show_id}', 'real.show', 'capacity', quantity_column => 'places',
	condition => 'status <> ''cancelled''', constraint_name => 'model'};

# The foreign key that the scenario has, and more arguments of the constraint.
my %scenarios = (
	'no foreign key' => { key => '' },
	'cascade' => { key => "$references ON UPDATE CASCADE ON DELETE CASCADE" },
	'set null' => { key => "$references ON UPDATE SET NULL ON DELETE SET NULL" },
	'deferred' => { key => "$references DEFERRABLE INITIALLY DEFERRED" },
	'excess' => { key => "$references ON DELETE CASCADE", excess => 1 },
	'constant' => { key => '', constant => 1 },
);
my (%count, @history, $scenario);
my ($real, $twin);

# ---- random statements ----

sub any { return $_[ int rand @_ ]; }
sub key { return any(1, 1, 2, 2, 3, 4, 5, 'NULL::bigint'); }
sub places { return any(1, 1, 1, 2, 3, 0, 'NULL::integer'); }
sub status { return any("'paid'", "'paid'", "'used'", "'cancelled'"); }
sub capacity { return any(0 .. 5, 30, 30, 'NULL'); }
sub ids { return join ', ', map { 1 + int rand 12 } 0 .. int rand 4; }

sub rows
{
	my %id = map { 1 + int(rand 12) => 1 } 0 .. int rand 4;

	return join ', ', map { "($_, " . join(', ', key(), places(), status()) . ')' } sort keys %id;
}

my %statements = (
	insert => sub { 'INSERT INTO %s.ticket VALUES ' . rows() },
	nothing => sub { 'INSERT INTO %s.ticket VALUES ' . rows() . ' ON CONFLICT DO NOTHING' },
	upsert => sub {
		'INSERT INTO %s.ticket VALUES ' . rows()
		  . ' ON CONFLICT (id) DO UPDATE SET show_id = excluded.show_id, places = excluded.places';
	},
	merge => sub {
		'MERGE INTO %s.ticket t USING (VALUES ' . rows() . ') v (id, show_id, places, status) ON t.id = v.id'
		  . any('', ' WHEN MATCHED AND v.places = 1 THEN DELETE')
		  . " WHEN MATCHED THEN UPDATE SET status = v.status, show_id = v.show_id"
		  . ' WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.show_id, v.places, v.status)';
	},
	move => sub { 'UPDATE %s.ticket SET show_id = ' . key() . ' WHERE id IN (' . ids() . ')' },
	exchange => sub { 'UPDATE %s.ticket SET show_id = 3 - show_id WHERE show_id < 3' },
	quantity => sub {
		'UPDATE %s.ticket SET places = ' . any(places(), 'places + 1') . ' WHERE id IN (' . ids() . ')';
	},
	status => sub { 'UPDATE %s.ticket SET status = ' . status() . ' WHERE id IN (' . ids() . ')' },
	delete => sub { 'DELETE FROM %s.ticket WHERE id IN (' . ids() . ')' },
	replace => sub {
		'WITH d AS (DELETE FROM %s.ticket WHERE id IN (' . ids()
		  . ')) INSERT INTO %s.ticket VALUES (13 + ' . int(rand 4) . ', ' . key() . ", 1, 'paid')";
	},
	loop => sub {
		'DO $$ BEGIN FOR i IN 20 .. 40 LOOP INSERT INTO %s.ticket VALUES (i, ' . key()
		  . ", 1, 'paid') ON CONFLICT DO NOTHING; END LOOP; END \$\$";
	},
	unloop => sub {
		'DO $$ BEGIN FOR i IN ' . any(20, 30) . ' .. 40 LOOP DELETE FROM %s.ticket WHERE id = i; END LOOP; END $$';
	},
	truncate => sub { 'TRUNCATE %s.ticket' },
	rebuild => sub { "SELECT booking.rebuild_capacity('model')" },
);
my %of_shows = (
	show => sub { 'INSERT INTO %s.show VALUES (' . int(1 + rand 5) . ', ' . capacity() . ')' },
	shows => sub { 'INSERT INTO %s.show SELECT n, ' . capacity() . ' FROM generate_series(1, 5) n ON CONFLICT DO NOTHING' },
	capacity => sub { 'UPDATE %s.show SET capacity = ' . capacity() . ' WHERE id = ' . key() },
	capacities => sub { 'UPDATE %s.show SET capacity = greatest(capacity + ' . any(-1, 1, 2) . ', 0)' },
	remove => sub { 'DELETE FROM %s.show WHERE id = ' . key() },
	rekey => sub { 'UPDATE %s.show SET id = ' . int(1 + rand 5) . ' WHERE id = ' . key() },
	rekey_and_more => sub {
		'UPDATE %s.show SET id = ' . int(1 + rand 5) . ', capacity = ' . capacity() . ' WHERE id = ' . key();
	},
	both => sub {
		my $key = key();
		"WITH d AS (DELETE FROM %s.ticket WHERE show_id = $key) DELETE FROM %s.show WHERE id = $key";
	},
	raise_and_insert => sub {
		my $key = key();
		'WITH s AS (UPDATE %s.show SET capacity = 30 WHERE id = ' . $key . ') INSERT INTO %s.ticket VALUES ('
		  . int(1 + rand 16) . ", $key, 3, 'paid')";
	},
	delete_and_lower => sub {
		my $key = key();
		"WITH d AS (DELETE FROM %s.ticket WHERE show_id = $key AND mod(id, 2) = 0) UPDATE %s.show SET capacity = "
		  . capacity() . " WHERE id = $key";
	},
	# without a foreign key, the rows would be without a show for a moment, which is refused
	replace_show => sub {
		my $key = int(1 + rand 5);
		my $where = $scenario->{key} ? "id = $key" : 'false';
		"WITH d AS (DELETE FROM %s.show WHERE $where RETURNING id) INSERT INTO %s.show SELECT id, "
		  . any(0 .. 5, 30, 'NULL::integer') . ' FROM d';
	},
	truncate_both => sub { 'TRUNCATE %s.ticket, %s.show' },
	truncate_shows => sub { 'TRUNCATE %s.show' },
);

# ---- the state ----

# The rows, and per key: whether it has a capacity, which, and how many places are taken.
sub state_of
{
	my ($dbh, $schema) = @_;
	my $shows = $scenario->{constant} ? "(SELECT NULL::bigint AS id, NULL::integer AS capacity LIMIT 0)" : "$schema.show";
	my $places = $scenario->{constant} ? '1' : 'coalesce(places, 0)';
	my $taken = $scenario->{constant} ? 'true' : sprintf($counts, 't');
	my %state = (rows => $dbh->selectcol_arrayref("SELECT t::text FROM $schema.ticket t ORDER BY id"));

	push @{ $state{rows} }, @{ $dbh->selectcol_arrayref("SELECT s::text FROM $shows s ORDER BY id") };
	$state{keys} = $dbh->selectall_hashref(<<~SQL, 'key');
		SELECT key, s.id IS NOT NULL AS exists, s.capacity, coalesce(t.taken, 0) AS taken
		FROM (SELECT show_id AS key, sum($places) AS taken FROM $schema.ticket t
		      WHERE show_id IS NOT NULL AND $taken GROUP BY 1) t
		FULL JOIN (SELECT id AS key, id, capacity FROM $shows s) s USING (key)
		SQL
	foreach my $key (values %{ $state{keys} })
	{
		@$key{ 'exists', 'capacity' } = (1, $constant) if $scenario->{constant};
	}
	return \%state;
}

# Returns the SQLSTATEs with which the step from one state to another may be refused;
# none if it must not be.
sub refusals
{
	my ($before, $after) = @_;
	my %refusals;

	foreach my $key (keys %{ $after->{keys} })
	{
		my $new = $after->{keys}{$key};
		my $more = $new->{taken} - ($before->{keys}{$key}{taken} // 0);

		if (!$new->{exists})
		{
			my $left = $new->{taken} > 0 && $before->{keys}{$key}{exists} && !$scenario->{key};

			$refusals{23503} = 1 if $more > 0 || $left;
		}
		elsif (defined $new->{capacity} && $new->{taken} > $new->{capacity}
			&& ($more > 0 || !$scenario->{excess}))
		{
			$refusals{23514} = 1;
		}
	}
	return sort keys %refusals;
}

# Returns what is wrong with the real tables, or ''.
sub problem
{
	my ($after) = @_;
	my $found = state_of($real, 'real');
	my @problems;

	push @problems, 'the rows differ' if "@{$found->{rows}}" ne "@{$after->{rows}}";
	foreach my $key (sort keys %{ $after->{keys} })
	{
		my $state = $after->{keys}{$key};
		my $left = defined $state->{capacity} ? $state->{capacity} - $state->{taken} : undef;

		next unless $state->{exists};
		$left = 0 if defined $left && $left < 0;
		my ($says) = $real->selectrow_array("SELECT booking.places_left('model', $key)");

		push @problems, "key $key: places_left() says " . ($says // 'null') . ', not ' . ($left // 'null')
		  if ($says // 'null') ne ($left // 'null');
	}
	if (rand() < 0.3)
	{
		my $verify = $real->selectall_arrayref("SELECT * FROM booking.verify_capacity('model')")
		  // [ [ $real->errstr ] ];

		foreach my $row (@$verify)
		{
			# within a transaction, a deferred foreign key allows rows without a show
			push @problems, join ' ', map { $_ // '' } @$row
			  unless $scenario->{excess} && ($row->[2] // '') =~ /^more places/
			  || $scenario->{key} && ($row->[2] // '') =~ /a key without a capacity$/;
		}
	}
	return join '; ', @problems;
}

# ---- a run ----

sub run_both
{
	my ($sql) = @_;

	push @history, $sql;
	foreach my $dbh ($twin, $real)
	{
		$dbh->do($sql) // die "$sql: " . $dbh->errstr;
	}
	return;
}

# Executes a random statement.  Returns what was wrong, or ''.
sub step
{
	my ($before) = @_;
	my %known = (%statements, $scenario->{constant} ? () : %of_shows);
	my @kinds = sort keys %known;
	my $kind = any(@kinds);
	# these leave little for others to do
	$kind = any(@kinds) if $kind =~ /truncate|both|remove|unloop/;
	$kind = any(@kinds) if $kind =~ /truncate/;
	my $sql = $known{$kind}->();
	my $run = sub {
		my ($dbh, $schema) = @_;

		return 1 if $schema eq 'twin' && $sql =~ /booking/;
		(my $text = $sql) =~ s/%s/$schema/g;
		return $dbh->do($text);
	};

	$twin->do('SAVEPOINT statement');
	my $failed = $run->($twin, 'twin') ? '' : $twin->state;
	my $after = $failed ? $before : state_of($twin, 'twin');
	my $expected = $failed || join ' or ', refusals($before, $after);
	my $savepoint = $expected || rand() < 0.5;

	$real->do('SAVEPOINT statement') if $savepoint;
	my $state = $run->($real, 'real') ? '' : $real->state;

	push @history, "$sql;  -- $kind: " . ($state || 'done') . ', expected: ' . ($expected || 'done');
	$count{"$kind " . ($state || 'done')}++;
	if ($state && !$savepoint)
	{
		return "refused: $state, " . $real->errstr;
	}
	if ($expected)
	{
		$twin->do('ROLLBACK TO statement');
		$real->do('ROLLBACK TO statement');
		$after = $before;
	}
	return "got '$state', expected '$expected'" if $expected ? !$state || !$failed && $expected !~ /$state/ : $state;
	return problem($after);
}

# One transaction of random statements.
sub transaction
{
	my $depth = 0;
	my $problem = '';

	run_both('BEGIN ISOLATION LEVEL ' . any('READ COMMITTED', 'READ COMMITTED', 'REPEATABLE READ'));
	for (1 .. 1 + int rand 15)
	{
		my $what = rand;

		if ($what < 0.1)
		{
			run_both('SAVEPOINT s' . ++$depth);
		}
		elsif ($what < 0.2 && $depth > 0)
		{
			run_both(any('ROLLBACK TO', 'ROLLBACK TO', 'RELEASE') . " s$depth");
			$depth-- if $history[-1] =~ /RELEASE/;
			$problem = problem(state_of($twin, 'twin'));
		}
		else
		{
			$problem = step(state_of($twin, 'twin'));
		}
		return $problem if $problem;
	}
	my $end = any('COMMIT', 'COMMIT', 'ROLLBACK');
	my @done = map { $_->do($end) ? 1 : 0 } $twin, $real;

	push @history, $end . ($done[0] ? '' : ' fails');
	return "$end: $done[1] instead of $done[0], " . ($real->errstr // '') if $done[0] != $done[1];
	return problem(state_of($twin, 'twin'));
}

# Makes new tables of the scenario.
sub new_tables
{
	foreach my $schema ('twin', 'real')
	{
		$real->do("DROP SCHEMA IF EXISTS $schema CASCADE; CREATE SCHEMA $schema");
		(my $tables = "$show; $ticket") =~ s/KEY, places/$scenario->{key}, places/;
		$tables =~ s/%s/$schema/g;
		$real->do($tables) // die $real->errstr;
	}
	$real->do('DROP TABLE IF EXISTS booking.model');
	$real->do(
		$scenario->{constant} ?
		  "SELECT booking.add_capacity_constraint('real.ticket', '{show_id}', capacity => $constant, constraint_name => 'model')"
		: "SELECT booking.add_capacity_constraint($arguments" . ($scenario->{excess} ? ', allow_excess => true)' : ')'))
	  // die $real->errstr;
	return;
}

sub run_with_seed
{
	my ($seed) = @_;
	my $problem = '';

	srand $seed;
	($real, $twin) = map { connect_to($node) } 1 .. 2;
	$real->do('SET client_min_messages = warning');
	@history = ();
	new_tables();
	run_both('BEGIN');
	foreach my $dbh ([ $real, 'real' ], [ $twin, 'twin' ])
	{
		$dbh->[0]->do("INSERT INTO $dbh->[1].show VALUES (1, 3), (2, 4), (3, 30), (4, NULL)");
		$dbh->[0]->do("INSERT INTO $dbh->[1].ticket SELECT n, 1 + n % 4, 1, 'paid' FROM generate_series(1, 8) n");
	}
	run_both('COMMIT');
	for (1 .. 25)
	{
		last if $problem = eval { transaction() } // $@;
	}
	$_->disconnect foreach $real, $twin;
	return $problem;
}

foreach my $name (sort keys %scenarios)
{
	my ($runs, @failures) = (0);
	my $end = time + $seconds;

	$scenario = $scenarios{$name};
	%count = ();
	while ((time < $end || $runs < 6) && @failures < 2)
	{
		my $seed = $only // ($ENV{BOOKING_MODEL_RANDOM} ? 1 + int rand 1_000_000_000 : $next++);
		my $problem = run_with_seed($seed);

		$runs++;
		if ($problem)
		{
			push @failures, $seed;
			diag("$name, seed $seed: $problem\n", map { "  $_\n" } @history > 40 ? @history[ -40 .. -1 ] : @history);
		}
		srand;
		last if defined $only;
	}
	is("@failures", '', "$name: $runs runs, as the plain count says");
	note(map { "$_: $count{$_}\n" } sort keys %count);
	next if defined $only;
	my %of;
	$of{$_}++ foreach map { (split)[1] } keys %count;
	ok($of{done} > 5 && $of{23514} > 3, "$name: statements were done, and refused");
}
check_log($node, 'model', '23503', '23505', '23514', '21000', '0A000', '55006');
$node->stop;
done_testing();
