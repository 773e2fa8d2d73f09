# pg_dump and restore.  Tickets are the user's own data: his index, column and
# trigger on our tables come back with them, and sales go on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = booking_node('dump');

create_booking($node);
$node->safe_psql('postgres', <<~'SQL');
	INSERT INTO booking.event (event_id, name, capacity) VALUES (1, 'fair', 10), (2, 'ball', 20);
	INSERT INTO booking.event (event_id, capacity) VALUES (3, 5);

	ALTER TABLE booking.ticket ADD COLUMN price numeric DEFAULT 9.50 CHECK (price > 0);
	ALTER TABLE booking.event ADD COLUMN venue text;
	CREATE INDEX ticket_price ON booking.ticket (price) WHERE cancelled_at IS NULL;
	CREATE TABLE sold (ticket_id bigint);
	CREATE FUNCTION note_sale() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
	    INSERT INTO public.sold VALUES (NEW.ticket_id);
	    RETURN NULL;
	END $$;
	CREATE TRIGGER note_sale AFTER INSERT ON booking.ticket
	    FOR EACH ROW EXECUTE FUNCTION note_sale();

	SET booking.split_always = on;
	SELECT booking.book_ticket(1, 1), booking.book_tickets(2, 2, 3), booking.book_ticket(2, 1);
	INSERT INTO booking.ticket (event_id, user_id, price) VALUES (2, 3, 12);
	SELECT booking.cancel_ticket(1);
	SELECT booking.redeem_ticket(2);
	SELECT booking.book_tickets(3, 1, 5);
	SQL

# All rows of all tables, and what the user added, as text.
sub contents
{
	my ($db) = @_;

	return $node->safe_psql($db, <<~'SQL');
		SELECT e FROM booking.event e ORDER BY event_id;
		SELECT t FROM booking.ticket t ORDER BY ticket_id;
		SELECT i FROM booking.inventory i ORDER BY event_id, stripe;
		SELECT s FROM sold s ORDER BY ticket_id;
		SELECT indexdef FROM pg_indexes WHERE schemaname = 'booking' ORDER BY 1;
		SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2;
		SELECT attrelid::regclass, attname, atttypid::regtype, attnotnull FROM pg_attribute
		WHERE attrelid IN ('booking.event'::regclass, 'booking.ticket'::regclass, 'booking.inventory'::regclass)
		  AND attnum > 0
		ORDER BY attrelid::regclass::text, attnum;
		SELECT extname, extversion FROM pg_extension ORDER BY 1;
		SELECT proname, proacl FROM pg_proc WHERE pronamespace = 'booking'::regnamespace ORDER BY oid::regprocedure::text;
		SQL
}

# Sales go on where they were: new tickets get new ids, and nothing is oversold.
sub sells_on
{
	my ($db, $what) = @_;

	check_sound($node, $what, $db);
	is($node->safe_psql($db, 'SELECT available FROM booking.availability(1)'),
		'10', "$what: a cancelled place is free");
	is($node->safe_psql($db, 'SELECT booking.book_ticket(1, 9)'),
		'12', "$what: the next ticket gets the next id");
	is($node->safe_psql($db, 'SELECT status FROM booking.try_book_ticket(3, 9)'),
		'sold_out', "$what: sold out is sold out");
	sell_the_rest($node, $_, "$what, event $_", $db) foreach 1, 2;
	is( $node->safe_psql($db, 'SELECT count(*) FROM sold'),
		$node->safe_psql($db, 'SELECT count(*) FROM booking.ticket'),
		"$what: the user's trigger fires");
	$node->safe_psql($db, 'SELECT booking.create_tables()');
	check_sound($node, "$what, at the end", $db);
	return;
}

my $before = contents('postgres');

$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(plain custom parallel data_only);
$node->command_ok([ 'pg_dump', '-f', "$dir/plain.sql", $node->connstr('postgres') ],
	'plain dump');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/custom.dump", $node->connstr('postgres') ],
	'custom dump');

$node->command_ok(
	[ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql", $node->connstr('plain') ],
	'plain restore');
is(contents('plain'), $before, 'plain restore: all is as it was');
sells_on('plain', 'plain restore');

$node->command_ok(
	[ 'pg_restore', '--exit-on-error', '-d', $node->connstr('custom'), "$dir/custom.dump" ],
	'custom restore');
is(contents('custom'), $before, 'custom restore: all is as it was');
sells_on('custom', 'custom restore');

$node->command_ok(
	[ 'pg_restore', '--exit-on-error', '-j2', '-d', $node->connstr('parallel'), "$dir/custom.dump" ],
	'restore by two jobs');
is(contents('parallel'), $before, 'restore by two jobs: all is as it was');

# Only the tables' data, triggers disabled, into a database that was set up
# before: the inventory is left behind and then computed.
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
		'-t', 'event', '-t', 'ticket', '-t', 'event_event_id_seq', '-t', 'ticket_ticket_id_seq',
		'-d', $node->connstr('data_only'), "$dir/custom.dump"
	],
	'data-only restore with triggers disabled');
isnt($node->safe_psql('data_only', 'SELECT * FROM booking.verify()'),
	'', 'data-only restore: verify() finds the inventory missing');
my ($status, $out, $err) = $node->psql('data_only', 'SELECT booking.book_ticket(1, 1)');
like($err, qr/event 1 has no inventory.*rebuild_inventory\(1\)/s,
	'data-only restore: a booking says what to do');
$node->safe_psql('data_only', 'SELECT booking.rebuild_inventory(event_id) FROM booking.event');
check_sound($node, 'data-only restore, rebuilt', 'data_only');
sell_the_rest($node, $_, "data-only restore, event $_", 'data_only') foreach 1, 2, 3;

# The same with the triggers enabled: the tickets take their places themselves.
$node->safe_psql('data_only', 'TRUNCATE booking.event, booking.ticket');
$node->command_ok(
	[
		'pg_restore', '--exit-on-error', '--data-only', '-t', 'event',
		'-d', $node->connstr('data_only'), "$dir/custom.dump"
	],
	'data-only restore of the events');
$node->command_ok(
	[
		'pg_restore', '--exit-on-error', '--data-only', '-t', 'ticket',
		'-d', $node->connstr('data_only'), "$dir/custom.dump"
	],
	'data-only restore of the tickets');
check_sound($node, 'data-only restore with triggers', 'data_only');

$node->stop;
done_testing();
