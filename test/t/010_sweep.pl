# pg_cron ends expired holds as the README shows.  Its role has the privilege to do
# that, and no other.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($lib) = `pg_config --pkglibdir` =~ /^(.+)$/m;

plan skip_all => 'pg_cron is not installed' unless defined $lib && -e "$lib/pg_cron.so";

my $node = booking_node('sweep', conf => <<~'CONF');
	shared_preload_libraries = 'pg_cron'
	cron.database_name = 'postgres'
	cron.use_background_workers = on
	CONF

create_booking($node);
$node->safe_psql('postgres', <<~'SQL');
	CREATE EXTENSION pg_cron;
	CREATE ROLE sweeper LOGIN;
	GRANT USAGE ON SCHEMA cron, booking TO sweeper;
	GRANT EXECUTE ON FUNCTION booking.expire_holds(integer) TO sweeper;
	INSERT INTO booking.event (event_id, capacity) SELECT e, 60 FROM generate_series(1, 5) e;
	SELECT booking.hold_tickets(e, u, 1, '1 ms') FROM generate_series(1, 5) e, generate_series(1, 50) u;
	SELECT booking.hold_tickets(1, 1, 3, '1 hour');
	SQL
is($node->safe_psql('postgres', 'SELECT sum(available) FROM booking.inventory'),
	5 * 60 - 250 - 3, 'expired holds keep their places');

# Before version 1.5 pg_cron can't run a job every second, only when it starts.
my $version = $node->safe_psql('postgres', q{SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'});
my $every_second = $version !~ /^1\.[0-4]\b/;

$node->safe_psql('postgres', sprintf(<<~'SQL', $every_second ? '1 second' : '@reboot'));
	SET ROLE sweeper;
	SELECT cron.schedule('expired holds', '%s', 'SELECT booking.expire_holds(100)');
	SQL

# The third run finds the last 50.
foreach my $run (1 .. 3)
{
	if (!$every_second)
	{
		# (restart() would lose a tool such as valgrind that runs the server)
		$node->stop;
		$node->start;
	}
	ok( $node->poll_query_until('postgres', <<~SQL), "run $run has ended");
		SELECT count(*) >= $run FROM cron.job_run_details WHERE status IN ('succeeded', 'failed')
		SQL
	is( $node->safe_psql('postgres', 'SELECT count(*) FROM booking.hold WHERE ended_at IS NULL'),
		(151, 51, 1)[ $run - 1 ], "run $run has ended a hundred holds, or the rest")
	  unless $every_second;
}
is( $node->safe_psql('postgres', <<~'SQL'), 'succeeded|sweeper', 'all runs have succeeded');
	SELECT DISTINCT status, username FROM cron.job_run_details WHERE status IN ('succeeded', 'failed')
	SQL
is($node->safe_psql('postgres', 'SELECT quantity FROM booking.hold WHERE ended_at IS NULL'),
	'3', 'a hold that has not expired is kept');
is($node->safe_psql('postgres', 'SELECT sum(available) FROM booking.inventory'),
	5 * 60 - 3, 'the places of all other holds have come back');
is( $node->safe_psql('postgres', 'SELECT bool_and(ended_at >= expires_at) FROM booking.hold WHERE ended_at IS NOT NULL'),
	't', 'no hold was ended before it expired');
is(($node->psql('postgres', "SET ROLE sweeper; SELECT booking.purge('0')"))[0],
	3, 'the role has no other privilege');

$node->safe_psql('postgres', q{SET ROLE sweeper; SELECT cron.unschedule('expired holds')});
check_sound($node, 'swept');
$node->safe_psql('postgres', 'SELECT booking.release_hold(251)');
sell_the_rest($node, 1, 'swept');
check_log($node, 'sweep', '42501', '57P01');
$node->stop;
done_testing();
