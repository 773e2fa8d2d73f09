# pg_upgrade.  A shop, and a sale that is under way, move to a newer PostgreSQL:
# everything is as it was, and both sell on to the last place.
#
# Environment: BOOKING_OLD_INSTALL, the folder in which the older PostgreSQL is
# installed; BOOKING_OLD_CONF, the settings by which it finds pg_booking.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t";

use BookingShop;
use BookingTest;
use PostgreSQL::Test::Utils;
use Test::More;

# A server of the older PostgreSQL.
sub older_node
{
	local $ENV{TEMP_CONFIG} = $ENV{BOOKING_OLD_CONF};

	return booking_node('old', new => { install_path => $ENV{BOOKING_OLD_INSTALL} });
}

# A sale in many stripes: a part is sold, a part held, a part was cancelled, and
# all the row versions that this leaves are there.
sub start_sale
{
	my ($node) = @_;

	local $ENV{PGOPTIONS} = '-c booking.split_always=on';

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
	cmp_ok(stripes($node, 1), '>', 1, 'the sale before: its inventory is several rows');
	return;
}

# A database as the newer pg_dump writes it, all rows included, and what the view
# shows.  (How a view is written depends on the server, and so do the settings.)
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

my %before = map { $_ => dump_of($old, $_) } qw(postgres shop);
my $left = $old->safe_psql('postgres', 'SELECT available FROM booking.availability(1)');

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
	is(dump_of($new, $db), $before{$db}, "$db: everything is as it was");
}

sells_on($new, 'shop', 'the shop after');

check_sound($new, 'the sale after');
is($new->safe_psql('postgres', 'SELECT available FROM booking.availability(1)'),
	$left, 'the sale after: as many places are left');
is( $new->safe_psql('postgres', <<~'SQL'), 't|t', 'the sale after: what is held becomes tickets');
	WITH h AS MATERIALIZED (SELECT hold_id FROM booking.hold WHERE ended_at IS NULL)
	SELECT count(*) > 0, bool_and(cardinality(booking.confirm_hold(hold_id)) = 2) FROM h
	SQL
run_pgbench($new, 'the sale after', [ '-c8', '-t30' ],
	book => "SELECT booking.book_ticket(1, :client_id);\n");
sell_the_rest($new, 1, 'the sale after');
check_sound($new, 'the sale after, at the end');
check_log($new, 'after', 'TK004');

$new->stop;
done_testing();
