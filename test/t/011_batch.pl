# book_batch() with a million users: users are served in the order of the array, and
# memory is bounded.  A batch that is cancelled leaves nothing behind.  Many sessions
# that book for the same new user wait for each other, and none fails.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = booking_node('batch', conf => "max_wal_size = 4GB\n");

create_booking($node);

# ---- a million ----

my $million = 1_000_000;
my $places = 900_000;
my $everybody = "ARRAY(SELECT generate_series(1::bigint, $million))";

# Returns the peak memory of the session's process in MB, or undef if unknown.
sub peak_memory
{
	my ($dbh) = @_;
	my $file = "/proc/$dbh->{pg_pid}/status";

	return -r $file && slurp_file($file) =~ /^VmHWM:\s+(\d+) kB$/m ? $1 / 1024 : undef;
}

foreach my $path ('direct_path = on', 'direct_path = off')
{
	my $event = $path =~ /on/ ? 1 : 2;

	$node->safe_psql('postgres',
		"INSERT INTO booking.event (event_id, capacity) VALUES ($event, $places)");
	my $dbh = connect_to($node);

	$dbh->do("SET booking.$path");
	my $started = time;
	my ($served, $refused) = $dbh->selectrow_array(<<~SQL);
		SELECT count(*) FILTER (WHERE status = 'booked' AND ord <= $places AND ticket_id IS NOT NULL),
		       count(*) FILTER (WHERE status = 'sold_out' AND ord > $places AND ticket_id IS NULL)
		FROM booking.book_batch($event, $everybody)
		SQL
	my $took = time - $started;
	my $memory = peak_memory($dbh);

	is($dbh->err, undef, "$path: a million users") or diag($dbh->errstr);
	is($served, $places, "$path: the first users are served");
	is($refused, $million - $places, "$path: the other users are refused");
	note(sprintf '%s: %.1f s, %s MB at most', $path, $took, $memory // '?');
	cmp_ok($took, '<', 120, "$path: within two minutes");
	SKIP:
	{
		skip 'there is no /proc here', 1 unless defined $memory;
		cmp_ok($memory, '<', $path =~ /on/ ? 300 : 700, "$path: within bounded memory");
	}
	is( $node->safe_psql('postgres', <<~SQL), "$places|1|$places|t", "$path: each served user has one ticket, in the order of the array");
		SELECT count(*), min(user_id), max(user_id), bool_and(in_order) FROM (
		    SELECT user_id, ticket_id > coalesce(lag(ticket_id) OVER (ORDER BY user_id), 0) AS in_order
		    FROM booking.ticket WHERE event_id = $event) AS t
		SQL
	is($node->safe_psql('postgres', "SELECT capacity, available, held, booked FROM booking.availability($event)"),
		"$places|0|0|$places", "$path: sold out");
	is(stripes($node, $event), 1, "$path: its inventory is one row");
	$dbh->disconnect;
	check_sound($node, $path);
	$node->safe_psql('postgres', 'TRUNCATE booking.ticket');
}

# ---- cancelled ----

# Half of the places of event 4 are in expired holds, which the batch ends first.
$node->safe_psql('postgres', <<~SQL);
	INSERT INTO booking.event (event_id, capacity) VALUES (3, $million), (4, $million);
	INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (5, $million, 1);
	SELECT booking.hold_tickets(4, u, 50000, '1 ms') FROM generate_series(1, 10) u;
	SQL

# Waits until the batch has got so far.  Returns the pid of its session.
sub batch_at
{
	my ($how_far) = @_;
	my $query = 'SELECT pid FROM pg_stat_activity WHERE query LIKE $$%FROM booking.book_batch%$$'
	  . " AND pid <> pg_backend_pid() AND state = 'active' AND $how_far";

	$node->poll_query_until('postgres', "SELECT EXISTS ($query)") or die "the batch never reached: $how_far";
	return $node->safe_psql('postgres', $query);
}

sub check_cancelled
{
	my ($what, $event, $path, $how_far) = @_;
	my $before = $node->safe_psql('postgres', "SELECT capacity, available, held, booked FROM booking.availability($event)");
	my $held = $node->safe_psql('postgres',
		"SELECT count(*) FROM booking.hold WHERE event_id = $event AND ended_at IS NULL");

	$node->safe_psql('postgres', 'VACUUM FULL booking.ticket; VACUUM FULL booking.user_limit');
	my $psql = start_psql($node, "SET booking.direct_path = $path; SELECT count(*) FROM booking.book_batch($event, $everybody)");
	my $pid = batch_at($how_far);

	is($node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)"), 't', "$what: the batch is cancelled");
	like(finish_psql($psql), qr/^ERROR:  57014$/m, "$what: the batch ends with 57014");
	is($node->safe_psql('postgres', "SELECT count(*) FROM booking.ticket WHERE event_id = $event"),
		'0', "$what: no ticket is left");
	is($node->safe_psql('postgres', "SELECT capacity, available, held, booked FROM booking.availability($event)"),
		$before, "$what: no place is lost");
	is( $node->safe_psql('postgres', "SELECT count(*) FROM booking.hold WHERE event_id = $event AND ended_at IS NULL"),
		$held, "$what: no hold is lost");
	check_sound($node, $what);
	return;
}

my $written = "pg_relation_size('booking.ticket') >";

check_cancelled('cancelled early', 3, 'on', "$written 100000");
check_cancelled('cancelled in the middle', 3, 'on', "$written 20000000");
check_cancelled('cancelled, SQL path', 3, 'off', "$written 20000000");
check_cancelled('cancelled, expired holds', 4, 'on', "$written 1000000");
check_cancelled('cancelled while users are locked', 5, 'on', "pg_relation_size('booking.user_limit') > 1000000");

# A batch that was cancelled can be repeated.
is( $node->safe_psql('postgres', "SELECT status, count(*) FROM booking.book_batch(4, $everybody) GROUP BY 1"),
	"booked|$million", 'repeated: all users are served, some from expired holds');
is($node->safe_psql('postgres', 'SELECT capacity, available, held, booked FROM booking.availability(4)'),
	"$million|0|0|$million", 'repeated: the event is sold out');
check_sound($node, 'repeated');

# ---- users of each type ----

my %user = (
	bigint => 'u::text',
	uuid => q{format('00000000-0000-4000-8000-%s', lpad(u::text, 12, '0'))},
	text => q{format('user %s', u)});

foreach my $type (sort keys %user)
{
	my $users = "ARRAY(SELECT $user{$type} FROM generate_series(1, 3000) u)";

	$node->safe_psql('postgres', "CREATE DATABASE $type");
	$node->safe_psql($type, <<~SQL);
		CREATE EXTENSION amcheck;
		CREATE EXTENSION pg_booking;
		SELECT booking.create_tables('$type');
		INSERT INTO booking.event (event_id, capacity) VALUES (1, 5000);
		INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (2, 5000, 2);
		SQL
	foreach my $path ('on', 'off')
	{
		my $what = "users of type $type, direct_path = $path";
		local $ENV{PGOPTIONS} = "-c booking.direct_path=$path";

		is( $node->safe_psql($type, <<~SQL), "booked|5000|1|5000\nsold_out|1000|5001|6000", "$what: served in the order of the array");
			SELECT status, count(*), min(ord), max(ord)
			FROM booking.book_batch(1, $users || $users) GROUP BY 1 ORDER BY 1
			SQL
		is( $node->safe_psql($type, <<~SQL), "booked|5000|1|5000\nsold_out|1000|5001|6000\nuser_limit|3000|6001|9000", "$what: up to the limit");
			SELECT status, count(*), min(ord), max(ord)
			FROM booking.book_batch(2, $users || $users || $users) GROUP BY 1 ORDER BY 1
			SQL
		is( $node->safe_psql($type, <<~SQL), "5000\n5000", "$what: each ticket belongs to its user");
			SELECT count(*) FROM booking.ticket t JOIN generate_series(1, 3000) u ON t.user_id::text = $user{$type}
			WHERE t.event_id = 1;
			SELECT count(*) FROM booking.ticket t JOIN generate_series(1, 3000) u ON t.user_id::text = $user{$type}
			WHERE t.event_id = 2;
			SQL
		check_sound($node, $what, $type);
		$node->safe_psql($type, 'TRUNCATE booking.ticket');
	}
}
like(($node->psql('uuid', q{SELECT * FROM booking.book_batch(1, ARRAY['x'])}))[2],
	qr/invalid input syntax for type uuid/, 'a user that is no uuid is refused');

# ---- many sessions book for a user who is new at the event ----

# The user follows from the clock, so it is the same one for all of them.
$node->safe_psql('postgres', <<~'SQL');
	TRUNCATE booking.event, booking.ticket, booking.hold, booking.user_limit;
	INSERT INTO booking.event (event_id, capacity, max_per_user) VALUES (1, 1000000, 3);
	CREATE FUNCTION newcomer() RETURNS bigint LANGUAGE sql
	RETURN (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
	SQL
run_pgbench(
	$node, 'one new user', [ '-c16', '-T' . long_run(60, 6) ],
	'single@8' => 'SELECT status FROM booking.try_book_ticket(1::bigint, newcomer());',
	'batch@1' => 'SELECT count(*) FROM booking.book_batch(1, ARRAY[newcomer(), newcomer() + 1]);');
check_sound($node, 'one new user');

check_log($node, 'batch', '57014', '22P02');
$node->stop;
done_testing();
