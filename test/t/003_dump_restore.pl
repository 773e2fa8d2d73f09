# pg_dump and restore.  The tables belong to the user: the user's own index, column
# and trigger must come back with them.  Sales must go on after the restore: an
# idempotency key keeps its answer, a hold can be confirmed, a limit still applies.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingShop;
use BookingTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = booking_node('dump');

fill_shop($node, 'postgres');

# Returns all rows of all tables, and the objects that the user added, as text.
sub contents
{
	my ($db) = @_;

	return $node->safe_psql($db, <<~'SQL');
		SELECT e FROM booking.event e ORDER BY event_id;
		SELECT t FROM booking.ticket t ORDER BY ticket_id;
		SELECT i FROM booking.inventory i ORDER BY event_id, stripe;
		SELECT h FROM booking.hold h ORDER BY hold_id;
		SELECT r FROM booking.request r ORDER BY event_id, idempotency_key;
		SELECT u FROM booking.user_limit u ORDER BY event_id, user_id;
		SELECT l FROM booking.resource_lock l ORDER BY resource;
		SELECT h FROM booking.history h ORDER BY history_id;
		SELECT s FROM booking.sales s ORDER BY event_id;
		SELECT pg_get_viewdef('booking.sales');
		SELECT s FROM sold s ORDER BY ticket_id;
		SELECT indexdef FROM pg_indexes WHERE schemaname = 'booking' ORDER BY 1;
		SELECT tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2;
		SELECT c.relname, c.relkind, a.attname, a.atttypid::regtype, a.attnotnull
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = 'booking'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0
		ORDER BY c.relname, a.attnum;
		SELECT c.relname, a.attname, d.description
		FROM pg_description d JOIN pg_class c ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid
		LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND a.attnum > 0
		WHERE c.relnamespace = 'booking'::regnamespace
		ORDER BY 1, 2 NULLS FIRST;
		SELECT extname, extversion FROM pg_extension ORDER BY 1;
		SELECT proname, proacl FROM pg_proc WHERE pronamespace = 'booking'::regnamespace ORDER BY oid::regprocedure::text;
		SQL
}

my $before = contents('postgres');

$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(plain custom parallel data_only);
$node->command_ok([ 'pg_dump', '-f', "$dir/plain.sql", $node->connstr('postgres') ],
	'pg_dump, plain format');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/custom.dump", $node->connstr('postgres') ],
	'pg_dump, custom format');

$node->command_ok(
	[ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql", $node->connstr('plain') ],
	'plain restore');
is(contents('plain'), $before, 'plain restore: the contents are unchanged');
sells_on($node, 'plain', 'plain restore');

$node->command_ok(
	[ 'pg_restore', '--exit-on-error', '-d', $node->connstr('custom'), "$dir/custom.dump" ],
	'custom restore');
is(contents('custom'), $before, 'custom restore: the contents are unchanged');
sells_on($node, 'custom', 'custom restore');

$node->command_ok(
	[ 'pg_restore', '--exit-on-error', '-j2', '-d', $node->connstr('parallel'), "$dir/custom.dump" ],
	'restore with two jobs');
is(contents('parallel'), $before, 'restore with two jobs: the contents are unchanged');

# Restores only the tables' data, with triggers disabled, into a database that has
# the tables already.  The inventory is not restored but rebuilt afterwards.
$node->safe_psql('data_only', <<~'SQL');
	CREATE EXTENSION amcheck;
	CREATE EXTENSION pg_booking;
	SELECT booking.create_tables();
	ALTER TABLE booking.ticket ADD COLUMN price numeric;
	ALTER TABLE booking.event ADD COLUMN venue text;
	SQL
$node->command_ok(
	[
		'pg_restore', '--exit-on-error', '--data-only', '--disable-triggers',
		(map { ('-t', $_) } qw(event ticket hold request user_limit resource_lock
			event_event_id_seq ticket_ticket_id_seq hold_hold_id_seq resource_lock_token_seq)),
		'-d', $node->connstr('data_only'), "$dir/custom.dump"
	],
	'data-only restore with triggers disabled');
isnt($node->safe_psql('data_only', 'SELECT * FROM booking.verify()'),
	'', 'data-only restore: verify() finds the inventory missing');
my ($status, $out, $err) = $node->psql('data_only', 'SELECT booking.book_ticket(1, 1)');
like($err, qr/event 1 has no inventory.*rebuild_inventory\(1\)/s,
	'data-only restore: the error of a booking says what to do');
$node->safe_psql('data_only', 'SELECT booking.rebuild_inventory(event_id) FROM booking.event');
check_sound($node, 'data-only restore, rebuilt', 'data_only');
sell_the_rest($node, $_, "data-only restore, event $_", 'data_only') foreach 1, 2, 3;
is($node->safe_psql('data_only', 'SELECT capacity, available, held, booked FROM booking.availability(4)'),
	'12|6|2|4', 'data-only restore: holds keep their places');
is($node->safe_psql('data_only', 'SELECT booking.confirm_hold(1), booking.book_ticket(4, 5, $$one$$)'),
	'{' . $node->safe_psql('data_only', 'SELECT string_agg(ticket_id::text, $$,$$ ORDER BY ticket_id) FROM booking.ticket WHERE hold_id = 1')
	  . '}|15', 'data-only restore: a hold can be confirmed, and an idempotency key is known');
check_sound($node, 'data-only restore, sold', 'data_only');

# The same with triggers enabled: the triggers take the places of tickets and holds.
$node->safe_psql('data_only', 'TRUNCATE booking.event, booking.ticket, booking.hold');
foreach my $table (qw(event ticket hold))
{
	$node->command_ok(
		[
			'pg_restore', '--exit-on-error', '--data-only', '-t', $table,
			'-d', $node->connstr('data_only'), "$dir/custom.dump"
		],
		"data-only restore of table $table");
}
is($node->safe_psql('data_only', 'SELECT capacity, available, held, booked FROM booking.availability(4)'),
	'12|6|2|4', 'data-only restore with triggers: holds keep their places');
check_sound($node, 'data-only restore with triggers', 'data_only');

$node->stop;
done_testing();
