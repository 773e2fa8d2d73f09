# Rows that come past the triggers of capacity constraints: by logical replication, and
# by loads with triggers disabled.  verify_capacity() must tell, rebuild_capacity() must
# mend that, and then the constraints must be exact.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingCapacity;
use BookingTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my @tables = qw(hall visit course pupil);
my @constraints = qw(pupil_course_capacity pupil_room_day_capacity visit_each visit_hall_id_capacity);
my ($old, $new) = map { booking_node($_, init => { allows_streaming => 'logical' }) } qw(old new);

# Makes the database on the old server, with rows, and on the new one without.
sub make_database
{
	my ($db) = @_;

	foreach my $node ($old, $new)
	{
		$node->safe_psql('postgres', "CREATE DATABASE $db");
		create_constraints($node, $db);
	}
	fill_constraints($old, $db);
	return;
}

# Replicates what is published, and waits until it has been copied.
sub subscribe
{
	my ($db, $published) = @_;

	$old->safe_psql($db, "CREATE PUBLICATION $db FOR $published");
	$new->safe_psql($db,
		sprintf q{CREATE SUBSCRIPTION %s CONNECTION '%s dbname=%1$s' PUBLICATION %1$s}, $db, $old->connstr);
	$new->wait_for_subscription_sync($old, $db, $db);
	return;
}

# Takes over, and sets the sequences.
sub take_over
{
	my ($db) = @_;

	$new->safe_psql($db, <<~SQL);
		DROP SUBSCRIPTION $db;
		SELECT setval(pg_get_serial_sequence(t, 'id'), 10000) FROM unnest('{visit, pupil}'::text[]) t;
		SQL
	return;
}

# Returns the constraints in which verify_capacity() finds problems.
sub found
{
	my ($node, $db) = @_;

	return $node->safe_psql($db, 'SELECT DISTINCT constraint_name FROM booking.verify_capacity() ORDER BY 1');
}

# Checks that a rebuild mends everything, so that the state is that of another server.
sub rebuild_mends
{
	my ($node, $db, $state, $what) = @_;

	rebuild_constraints($node, $db);
	is(found($node, $db), '', "$what: rebuild_capacity() mends");
	is(state_of_constraints($node, $db), $state, "$what: then the same places are left");
	return;
}

# ---- logical replication of the tables ----

make_database('rows');
subscribe('rows', 'TABLE ' . join ', ', @tables);
is(found($new, 'rows'), join("\n", @constraints), 'copied: verify_capacity() finds all constraints out of date');
foreach my $sql (
	'INSERT INTO visit (hall_id, guest) VALUES (2, 9)',
	'INSERT INTO pupil (course) SELECT id FROM course')
{
	isnt($new->safe_psql('rows', "SELECT attempt('$sql')"), 'done', "copied: not accepted: $sql");
}
rebuild_mends($new, 'rows', state_of_constraints($old, 'rows'), 'copied');

# all of these change what is left, in both directions
$old->safe_psql('rows', <<~'SQL');
	UPDATE hall SET capacity = 12 WHERE id = 1;
	INSERT INTO hall VALUES (6, 7);
	INSERT INTO visit (hall_id, guest, places) VALUES (6, 1, 3), (1, 8, 2);
	UPDATE visit SET status = 'cancelled' WHERE hall_id = 2;
	DELETE FROM pupil WHERE course::text LIKE '%2';
	INSERT INTO pupil (course, room, day) SELECT id, room, day FROM course WHERE places IS NOT NULL;
	SQL
$old->wait_for_catchup('rows');
is(found($new, 'rows'), join("\n", @constraints), 'applied: verify_capacity() finds all constraints out of date');
rebuild_mends($new, 'rows', state_of_constraints($old, 'rows'), 'applied');

# back to the rows that enforces_constraints() expects
$old->safe_psql('rows', 'TRUNCATE ' . join ', ', @tables);
fill_constraints($old, 'rows');
$old->wait_for_catchup('rows');
take_over('rows');
rebuild_mends($new, 'rows', state_of_constraints($old, 'rows'), 'taken over');
enforces_constraints($new, 'rows', 'taken over');

# ---- logical replication of the tables and of schema booking ----

# The pool tables are in that schema, so nothing is out of date.
make_database('pools');
subscribe('pools', 'TABLES IN SCHEMA booking, public');
is(found($new, 'pools'), '', 'pools copied: verify_capacity() finds nothing');
$old->safe_psql('pools', 'TRUNCATE ' . join ', ', @tables);
fill_constraints($old, 'pools');
$old->wait_for_catchup('pools');
take_over('pools');
is(state_of_constraints($new, 'pools'), state_of_constraints($old, 'pools'), 'pools applied: the same places are left');
enforces_constraints($new, 'pools', 'pools applied');
$new->stop;

# ---- loads ----

# Dumps the data of the database, and loads it into another one, which has the tables
# and constraints.  Returns what psql says.
sub load
{
	my ($db, @options) = @_;
	my $file = "$dir/$db.sql";

	$old->safe_psql('postgres', "CREATE DATABASE $db");
	create_constraints($old, $db);
	$old->command_ok([ 'pg_dump', '-f', $file, '--data-only', @options, $old->connstr('rows') ], "$db: pg_dump");
	return ($old->psql($db, slurp_file($file), extra_params => [ '-v', 'VERBOSITY=verbose' ]))[2];
}

my @only = map { ('-t', $_) } @tables;
my $left = state_of_constraints($old, 'rows');

is(load('silent', @only, '--disable-triggers'), '', 'loaded without triggers: no error');
is(found($old, 'silent'), join("\n", @constraints), 'loaded without triggers: verify_capacity() finds all constraints out of date');
rebuild_mends($old, 'silent', $left, 'loaded without triggers');
enforces_constraints($old, 'silent', 'loaded without triggers');

is(load('counted', @only), '', 'loaded with triggers: no error');
is(found($old, 'counted'), '', 'loaded with triggers: verify_capacity() finds nothing');
is(state_of_constraints($old, 'counted'), $left, 'loaded with triggers: the same places are left');

is(load('everything', '--disable-triggers'), '', 'loaded with the pools: no error');
is(found($old, 'everything'), '', 'loaded with the pools: verify_capacity() finds nothing');
is(state_of_constraints($old, 'everything'), $left, 'loaded with the pools: the same places are left');
enforces_constraints($old, 'everything', 'loaded with the pools');

# rows that are counted twice find too few places
like(load('twice'), qr/ERROR:  (?:23505|23514)/, 'loaded with the pools and with triggers: refused');
$old->stop;
done_testing();
