# Named locks: a stale holder can't commit.
#
# 16 clients want one lock that lasts 20 ms.  One that has it pauses up to 100 ms, as
# a process does that is swapped out, and then appends (token, n) to a log, where n is
# one more than the largest n in it.  The log is read in the order of the commits, by
# logical decoding: the tokens never fall, and n counts up without a gap.  The same
# without assert_lock() must break that: otherwise the test would be blind.
#
# Then holders and the server are killed.  A lock whose acquisition was acknowledged
# is there after a crash, even if commits are asynchronous, and no token is given
# twice.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seconds = $ENV{PG_BOOKING_LOCK_SECONDS} // long_run(60, 8);
my $clients = 16;
my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = booking_node('lock', init => { allows_streaming => 'logical' }, conf => <<~CONF);
	wal_writer_delay = 10s
	wal_writer_flush_after = 1GB
	CONF

create_booking($node);
$node->safe_psql('postgres', 'CREATE TABLE log (token bigint, n bigint)');

# ---- the proof ----

# Writes to the log under the token, in one transaction or several, and then renews or
# releases the lock, or does neither.  Returns 'lost' if another client has the lock.
sub work
{
	my ($dbh, $token, $assertion) = @_;

	for (1 .. 1 + int rand 3)
	{
		usleep(int rand 100_000) if rand() < 0.7;
		$dbh->do('BEGIN');
		my $done =
		     $dbh->do($assertion, undef, $assertion =~ /\?/ ? $token : ())
		  && $dbh->do('INSERT INTO log SELECT ?, coalesce(max(n), 0) + 1 FROM log', undef, $token)
		  && (usleep(rand() < 0.2 ? int rand 40_000 : 0) || 1)
		  && $dbh->do('COMMIT');
		next if $done;
		my ($state, $error) = ($dbh->state, $dbh->errstr);

		$dbh->do('ROLLBACK');
		return 'lost' if $state eq '23T09';
		die "a client got $state: $error";
	}
	my $what = rand();
	$dbh->do(q{SELECT booking.renew_lock('r', ?, '20 ms')}, undef, $token) if $what < 0.2;
	$dbh->do(q{SELECT booking.release_lock('r', ?)}, undef, $token) if $what > 0.6;
	return 'held';
}

# One client.  It writes what it has seen to a file at the end.
sub client
{
	my ($number, $assertion) = @_;
	my $dbh = connect_to($node);
	my $until = time + $seconds;
	my %seen = (lost => 0, held => 0, refused => 0, slowest => 0);
	my $last = 0;

	srand($number);
	while (time < $until)
	{
		my $start = time;
		my ($status, $token) =
		  $dbh->selectrow_array(q{SELECT status, token FROM booking.try_acquire_lock('r', ?, '20 ms')},
			undef, "client $number");

		die 'try_acquire_lock: ' . $dbh->errstr if !defined $status;
		$seen{slowest} = time - $start if time - $start > $seen{slowest};
		if ($status eq 'locked')
		{
			$seen{refused}++;
			usleep(int rand 5_000);
			next;
		}
		die "token $token after $last" if $token <= $last;
		$last = $token;
		$seen{ work($dbh, $token, $assertion) }++;
	}
	append_to_file("$dir/seen", join(' ', map { $_, $seen{$_} } sort keys %seen) . "\n");
	return;
}

# Runs the clients.  Returns what they have seen, and the rows of the log in the order
# of their commits.
sub run_clients
{
	my ($what, $assertion) = @_;
	my %seen;

	unlink "$dir/seen";
	$node->safe_psql('postgres', <<~'SQL');
		TRUNCATE log;
		TRUNCATE booking.resource_lock;
		SELECT pg_create_logical_replication_slot('slot', 'test_decoding');
		SQL
	finish_workers($what, map { my $n = $_; start_worker(sub { client($n, $assertion) }) } 1 .. $clients);
	foreach my $line (split /\n/, slurp_file("$dir/seen"))
	{
		my %line = split / /, $line;
		$seen{$_} += $line{$_} foreach keys %line;
	}
	my @rows = map { /table public\.log: INSERT: token\[bigint\]:(\d+) n\[bigint\]:(\d+)/ ? [ $1, $2 ] : () }
	  split /\n/, $node->safe_psql('postgres',
		q{SELECT data FROM pg_logical_slot_get_changes('slot', NULL, NULL); SELECT pg_drop_replication_slot('slot')});

	note("$what: ", scalar(@rows), ' rows, ', join ', ', map { "$_ $seen{$_}" } sort keys %seen);
	return (\%seen, @rows);
}

# Returns how often a token is below the one before, and how often n is not one more.
sub count_faults
{
	my (@rows) = @_;
	my ($fell, $skipped) = (0, 0);

	foreach my $i (0 .. $#rows)
	{
		$fell++ if $i > 0 && $rows[$i][0] < $rows[ $i - 1 ][0];
		$skipped++ if $rows[$i][1] != $i + 1;
	}
	return ($fell, $skipped);
}

sub prove
{
	my ($what, $assertion) = @_;
	my ($seen, @rows) = run_clients($what, $assertion);
	my ($fell, $skipped) = count_faults(@rows);

	is($fell, 0, "$what: in the order of commits no token falls");
	is($skipped, 0, "$what: n counts up without a gap");
	cmp_ok(scalar @rows, '>', $seconds * 2, "$what: the log was written");
	cmp_ok($seen->{lost}, '>', 0, "$what: stale holders were stopped");
	cmp_ok($seen->{refused}, '>', 0, "$what: clients were refused");
	check_sound($node, $what);
	return;
}

prove('asserted', q{SELECT booking.assert_lock('r', ?)});

# At the commit.  Here n is read before the lock is asserted.  If the lock was lost by
# then, nothing is committed; and if it was not, no other client has written since.
prove('asserted at the commit', q{SELECT booking.assert_lock('r', ?, 'commit')});

# The control.
{
	my ($seen, @rows) = run_clients('not asserted', 'SELECT 1');
	my ($fell, $skipped) = count_faults(@rows);

	cmp_ok($fell, '>', 0, 'not asserted: stale holders write after their successors');
	cmp_ok($skipped, '>', 0, 'not asserted: and do so at the same time');
}

# ---- a renewal is not overtaken ----

# The renewal waits behind a writer, and is stopped at the moment when the writer
# commits, as if it had not been woken up yet.
$node->safe_psql('postgres', q{SELECT booking.acquire_lock('queue', 'ann', '1 ms')});
my $writer = connect_to($node);
my ($token) = $writer->selectrow_array(q{SELECT token FROM booking.resource_lock WHERE resource = 'queue'});
my $try = q{SELECT status, owner FROM booking.try_acquire_lock('queue', 'bob')};

$writer->do('BEGIN');
$writer->do(q{SELECT booking.assert_lock('queue', ?)}, undef, $token);
my $renewal = start_psql($node, "SELECT booking.renew_lock('queue', $token, '1 hour') > clock_timestamp()");
wait_for_waiters($node, 1);
my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'});
kill 'STOP', $pid;
$writer->do('COMMIT');
is($node->safe_psql('postgres', $try), 'locked|ann', 'a renewal that waits is not overtaken');
kill 'CONT', $pid;
is(finish_psql($renewal), "t\n", 'then it renews the lock');
is($node->safe_psql('postgres', $try), 'locked|ann', 'then the lock is its holder\'s again');

# ---- a holder is killed ----

$node->safe_psql('postgres', 'TRUNCATE log; TRUNCATE booking.resource_lock');
my $holder = start_worker(
	sub {
		my $dbh = connect_to($node);
		my ($token) = $dbh->selectrow_array(q{SELECT token FROM booking.acquire_lock('killed', 'ann', '2 s')});

		$dbh->begin_work;
		$dbh->do(q{SELECT booking.assert_lock('killed', ?)}, undef, $token);
		$dbh->do('INSERT INTO log VALUES (?, 1)', undef, $token);
		$dbh->do(q{SELECT booking.acquire_lock('never committed', 'ann')});
		append_to_file("$dir/ready", 'yes');
		sleep 600;
	});

usleep(10_000) until -e "$dir/ready";
is( $node->safe_psql('postgres', q{SELECT status, owner FROM booking.try_acquire_lock('never committed', 'bob')}),
	'locked|', 'a holder is alive: what it has not committed is locked');
kill 'KILL', $holder;
waitpid $holder, 0;
$node->poll_query_until('postgres', q{SELECT status = 'acquired' FROM booking.try_acquire_lock('never committed', 'bob')});
is( $node->safe_psql('postgres', q{SELECT status, owner FROM booking.try_acquire_lock('killed', 'bob')}),
	'locked|ann', 'a holder was killed: its lock stays until it expires');
ok( $node->poll_query_until('postgres', q{SELECT status = 'acquired' FROM booking.try_acquire_lock('killed', 'bob')}),
	'a holder was killed: then another owner acquires it');
is($node->safe_psql('postgres', 'TABLE log'), '', 'a holder was killed: what it wrote was rolled back');

# ---- the server is killed ----

foreach my $round (1 .. 3)
{
	my ($token) = split /\n/, $node->safe_psql('postgres', <<~SQL);
		SET synchronous_commit = off;
		SELECT token FROM booking.acquire_lock('crash $round', 'ann', '1 hour');
		INSERT INTO log VALUES ($round);
		SQL

	$node->kill9;
	usleep(200_000);
	for (1 .. 50)
	{
		last if $node->start(fail_ok => 1);
		usleep(100_000);
		$node->stop('fast', fail_ok => 1);
	}
	is( $node->safe_psql('postgres', "SELECT owner, token FROM booking.resource_lock WHERE resource = 'crash $round'"),
		"ann|$token", "round $round: an acquisition that was acknowledged survives a crash");
	cmp_ok($node->safe_psql('postgres', "SELECT token FROM booking.acquire_lock('next $round', 'bob')"),
		'>', $token, "round $round: the next token is larger");
	is($node->safe_psql('postgres', "SELECT booking.assert_lock('crash $round', $token)"),
		't', "round $round: its token is still the lock's");
}
check_sound($node, 'after the crashes');
# (57P0x, F0001: the server was killed and started; 23T09: a stale holder)
check_log($node, 'locks', qw(23T09 57P01 57P02 57P03 F0001));

$node->stop;
done_testing();
