# What the TAP tests of pg_booking share: a server with the extension, clients that
# run at the same time, and checks that must succeed after every stress.

package BookingTest;

use strict;
use warnings;

use DBI ();
use Exporter 'import';
use File::Basename qw(dirname);
use IPC::Run ();
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  booking_node create_booking create_helpers
  run_pgbench start_psql finish_psql wait_for_waiters
  connect_to start_worker finish_workers
  amcheck check_sound check_log sell_the_rest stripes long_run
);

# The folder of this file.
my $FOLDER = dirname(__FILE__);

# Returns the first argument if the long run was asked for, else the second.
sub long_run
{
	my ($long, $short) = @_;

	return $ENV{BOOKING_TEST_LONG} ? $long : $short;
}

# Makes and starts a server, whose log contains the SQLSTATE of every message.
# Options: init (a hash for the node's init()), conf (lines for postgresql.conf), new
# (a hash for the node's new()).
sub booking_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, %{ $options{new} // {} });

	$node->init(%{ $options{init} // {} });
	$node->append_conf('postgresql.conf', <<~CONF . ($options{conf} // ''));
		max_connections = 200
		max_prepared_transactions = 10
		deadlock_timeout = 100ms
		log_line_prefix = '%m [%p] %e %a '
		log_statement = none
		CONF
	$node->start;
	return $node;
}

# Creates the extension, its tables, and amcheck in a database.  $tables: the arguments of
# create_tables() (default: none).
sub create_booking
{
	my ($node, $db, $tables) = @_;

	$tables //= '';
	$node->safe_psql($db // 'postgres', <<~SQL);
		CREATE EXTENSION amcheck;
		CREATE EXTENSION pg_booking;
		SELECT booking.create_tables($tables);
		SQL
	return;
}

# Creates two functions.  attempt(command) runs a command.  If it is refused with a
# documented SQLSTATE, the command is undone and the SQLSTATE returned.  Any other
# error ends the client.  some_ticket() returns the id of a random ticket.
sub create_helpers
{
	my ($node, $db) = @_;

	$node->safe_psql($db // 'postgres', <<~'SQL');
		CREATE FUNCTION attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
		BEGIN
		    EXECUTE command;
		    RETURN 'done';
		EXCEPTION
		    WHEN SQLSTATE '23T01' OR SQLSTATE '23T05' OR SQLSTATE '23T08'
		      OR SQLSTATE 'P0002' OR SQLSTATE '23503' OR SQLSTATE '40P01' THEN
		        RETURN SQLSTATE;
		END $$;
		CREATE FUNCTION some_ticket() RETURNS bigint LANGUAGE sql VOLATILE AS $$
		    SELECT coalesce((SELECT ticket_id FROM booking.ticket
		                     WHERE ticket_id >= 1 + floor(random() * (SELECT max(ticket_id) FROM booking.ticket))
		                     ORDER BY ticket_id LIMIT 1), 1);
		$$;
		SQL
	return;
}

# Runs pgbench with scripts (name@weight => text).  Serialization failures and
# deadlocks are retried.  Fails unless every client comes to its end.
sub run_pgbench
{
	my ($node, $what, $options, %scripts) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my @files;
	my ($out, $err) = ('', '');

	foreach my $name (sort keys %scripts)
	{
		my ($base, $weight) = split /@/, $name;

		append_to_file("$dir/$base", $scripts{$name});
		push @files, '-f', "$dir/$base" . (defined $weight ? "\@$weight" : '');
	}
	my $ok = IPC::Run::run(
		[
			'pgbench', '-n', '-h', $node->host, '-p', $node->port,
			'--max-tries=1000', '-j2', @$options, @files, 'postgres'
		],
		'>', \$out, '2>', \$err);
	ok($ok, "$what: every client came to its end") or diag($out, $err);
	return $out;
}

# Starts psql with some SQL, without waiting for it.  An error does not end it.
sub start_psql
{
	my ($node, $sql) = @_;
	my %psql = (out => '', err => '');

	$psql{handle} = IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'VERBOSITY=sqlstate', '-d', $node->connstr('postgres'),
			'-c', $sql
		],
		'<', '/dev/null', '>', \$psql{out}, '2>', \$psql{err},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%psql;
}

# Waits for the end of such a psql.  Returns its output, including errors.
sub finish_psql
{
	my ($psql) = @_;

	$psql->{handle}->finish;
	return $psql->{out} . $psql->{err};
}

# Waits until exactly $count sessions wait for a lock.
sub wait_for_waiters
{
	my ($node, $count) = @_;

	$node->poll_query_until('postgres',
		"SELECT count(*) = $count FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
	  or die "there are never $count sessions that wait";
	return;
}

# Connects to a server.  Errors don't die: the caller looks at state().  Options: db,
# host and port, and more (appended to the connection string).
sub connect_to
{
	my ($node, %options) = @_;
	my $host = $options{host} // $node->host;
	my $port = $options{port} // $node->port;
	my $db = $options{db} // 'postgres';
	my $more = $options{more} // '';

	return DBI->connect("dbi:Pg:dbname=$db;host=$host;port=$port$more",
		undef, undef, { AutoCommit => 1, RaiseError => 0, PrintError => 0 });
}

# Runs code in a new process, which ends with the code.  Returns its process id.
sub start_worker
{
	my ($code) = @_;
	my $pid = fork() // die "cannot fork: $!";

	return $pid if $pid;
	my $done = eval { $code->(); 1 };
	print STDERR "# a worker has failed: $@" unless $done;
	POSIX::_exit($done ? 0 : 1);    # without END blocks: they would stop the servers
}

# Waits for such processes.  Fails unless all came to the end of their code.
sub finish_workers
{
	my ($what, @pids) = @_;
	my $failed = 0;

	foreach my $pid (@pids)
	{
		waitpid $pid, 0;
		$failed++ if $? != 0;
	}
	is($failed, 0, "$what: every client came to its end");
	return;
}

# Returns the findings of amcheck in tables and their indexes, or an empty list.  It
# looks at the tables whose names are LIKE $tables (default: all of pg_booking).
sub amcheck
{
	my ($dbh, $tables) = @_;
	my $query = $dbh->prepare(slurp_file("$FOLDER/../amcheck.sql"));

	$query->bind_param(':tables', $tables // '%');
	my $rows = $query->execute && $query->fetchall_arrayref or return $query->errstr;

	return map { join ' ', map { $_ // '' } @$_ } @$rows;
}

# Checks that verify() and verify_capacity() find nothing, no event is oversold, and
# nothing is corrupt.
sub check_sound
{
	my ($node, $what, $db) = @_;

	$db //= 'postgres';
	is($node->safe_psql($db, 'SELECT * FROM booking.verify(); SELECT * FROM booking.verify_capacity()'),
		'', "$what: verify() and verify_capacity() find nothing");
	is($node->safe_psql($db, <<~'SQL'), '', "$what: no event is oversold");
		SELECT event_id, capacity, count(*)
		FROM booking.ticket JOIN booking.event USING (event_id)
		WHERE cancelled_at IS NULL
		GROUP BY event_id, capacity
		HAVING count(*) > capacity
		SQL
	my $dbh = connect_to($node, db => $db);

	is(join("\n", amcheck($dbh)), '', "$what: the tables and indexes are sound and complete");
	$dbh->disconnect;
	return;
}

# Checks that the log shows no crash, no internal error, and no error except those
# with the given SQLSTATEs.
sub check_log
{
	my ($node, $what, @expected) = @_;
	my $expected = join '|', @expected, 'none';
	my @bad = grep {
		/ (?:ERROR|FATAL|PANIC):  / && !/\] (?:$expected) /
		  || /PANIC:|TRAP:|terminated by signal/
	} split /\n/, slurp_file($node->logfile);

	is(join("\n", @bad), '', "$what: nothing unexpected in the log");
	return;
}

# Checks that every place that is left can be sold, one by one, and no more.
sub sell_the_rest
{
	my ($node, $event_id, $what, $db) = @_;

	$db //= 'postgres';
	is( $node->safe_psql($db, <<~SQL), 't', "$what: each place that is left can be sold");
		WITH a AS MATERIALIZED (
		    SELECT available FROM booking.availability($event_id)
		)
		SELECT (SELECT count((booking.try_book_ticket($event_id, n)).ticket_id)
		        FROM generate_series(1, available + 3) n) = available
		FROM a
		SQL
	is( $node->safe_psql($db, <<~SQL), 'sold_out|0|t', "$what: then the event is sold out");
		SELECT (SELECT status FROM booking.try_book_ticket($event_id, 0)), available,
		       capacity = (SELECT count(*) FROM booking.ticket
		                   WHERE event_id = $event_id AND cancelled_at IS NULL)
		FROM booking.availability($event_id)
		SQL
	is(stripes($node, $event_id, $db), 1, "$what: its inventory is one row");
	return;
}

# Returns the number of inventory rows of an event.
sub stripes
{
	my ($node, $event_id, $db) = @_;

	return $node->safe_psql($db // 'postgres',
		"SELECT count(*) FROM booking.inventory WHERE event_id = $event_id");
}

1;
