# pg_upgrade.  A shop, a sale that is under way, and tables under capacity constraints
# move to a newer PostgreSQL.  The contents must be unchanged, and the sale must go on
# until the last place is sold.
#
# Environment: BOOKING_OLD_INSTALL, the installation folder of the older PostgreSQL;
# BOOKING_OLD_CONF, settings by which the older PostgreSQL finds pg_booking.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t";

use BookingCapacity;
use BookingShop;
use BookingTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Makes a server of the older PostgreSQL.
sub older_node
{
	local $ENV{TEMP_CONFIG} = $ENV{BOOKING_OLD_CONF};

	return booking_node('old', new => { install_path => $ENV{BOOKING_OLD_INSTALL} });
}

# Starts a sale in many stripes.  Some places are sold, some held and some cancelled,
# and old row versions remain.
sub start_sale
{
	my ($node) = @_;

	local $ENV{PGOPTIONS} = '-c booking.debug_split_always=on';

	create_booking($node);
	create_helpers($node);
	$node->safe_psql('postgres', 'INSERT INTO booking.event (event_id, capacity) VALUES (1, 3000)');
	run_pgbench(
		$node,
		'the sale before',
		[ '-c8', '-t200' ],
		'book@6' => "SELECT booking.book_ticket(1, :client_id);\n",
		'hold@1' => "SELECT booking.hold_tickets(1, :client_id, 2);\n",
		'cancel@2' => "SELECT attempt('SELECT booking.cancel_ticket(' || some_ticket() || ')');\n");
	cmp_ok(stripes($node, 1), '>', 1, 'the sale before: the inventory has several rows');
	return;
}

# Returns the dump of a database by the newer pg_dump, and the rows of the view.
# (Settings and the text of the view depend on the server, so they are left out.)
sub dump_of
{
	my ($node, $db) = @_;
	my ($dump, $err) = ('', '');

	IPC::Run::run(
		[ 'pg_dump', '-T', 'booking.sales', '-d', $node->connstr($db) ],
		'>', \$dump, '2>', \$err) or die "pg_dump: $err";
	return join "\n",
	  (grep { !/^(?:--|SET |\\)/ } split /\n/, $dump),
	  $node->safe_psql($db, 'SELECT * FROM booking.sales ORDER BY event_id');
}

my $old = older_node();
my $new = booking_node('new');

cmp_ok($old->pg_version, '<', $new->pg_version,
	'from ' . $old->pg_version . ' to ' . $new->pg_version);
$old->safe_psql('postgres', 'CREATE DATABASE shop');
fill_shop($old, 'shop');
start_sale($old);
check_sound($old, 'before');
$old->safe_psql('postgres', 'CREATE DATABASE constraints');
create_constraints($old, 'constraints');
fill_constraints($old, 'constraints');

my %before = map { $_ => dump_of($old, $_) } qw(postgres shop);
my $left = $old->safe_psql('postgres', 'SELECT available FROM booking.availability(1)');
my $constraints = state_of_constraints($old, 'constraints');

$old->stop;
$new->stop;
chdir PostgreSQL::Test::Utils::tempdir();
$new->command_ok(
	[
		'pg_upgrade', '--no-sync',
		'-b', "$ENV{BOOKING_OLD_INSTALL}/bin", '-d', $old->data_dir,
		'-D', $new->data_dir, '-s', $new->host,
		'-p', $old->port, '-P', $new->port
	],
	'pg_upgrade');
$new->start;

foreach my $db (sort keys %before)
{
	ok($before{$db} =~ /^COPY booking\.ticket .*\n(?:\d+\t.*\n){15}/m, "$db: the dump has tickets");
	is(dump_of($new, $db), $before{$db}, "$db: the contents are unchanged");
}

sells_on($new, 'shop', 'the shop after');
is(state_of_constraints($new, 'constraints'), $constraints, 'constraints: the same places are left');
enforces_constraints($new, 'constraints', 'constraints');

check_sound($new, 'the sale after');
is($new->safe_psql('postgres', 'SELECT available FROM booking.availability(1)'),
	$left, 'the sale after: the same number of places is left');
is( $new->safe_psql('postgres', <<~'SQL'), 't|t', 'the sale after: holds can be confirmed');
	WITH h AS MATERIALIZED (SELECT hold_id FROM booking.hold WHERE ended_at IS NULL)
	SELECT count(*) > 0, bool_and(cardinality(booking.confirm_hold(hold_id)) = 2) FROM h
	SQL
run_pgbench($new, 'the sale after', [ '-c8', '-t30' ],
	book => "SELECT booking.book_ticket(1, :client_id);\n");
sell_the_rest($new, 1, 'the sale after');
check_sound($new, 'the sale after, at the end');
check_log($new, 'after', '23T04');

$new->stop;
done_testing();
