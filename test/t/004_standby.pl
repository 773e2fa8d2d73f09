# A physical standby refuses every call that writes (25006), and answers every call
# that only reads.  After its promotion, it continues the sale of the primary.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = booking_node('primary', init => { allows_streaming => 1 });

create_booking($primary);
$primary->safe_psql('postgres', <<~'SQL');
	INSERT INTO booking.event (event_id, capacity) VALUES (1, 40), (2, 1), (3, 10);
	SELECT booking.book_ticket(2, 1);
	SELECT booking.hold_tickets(3, 1, 4, ttl => '1 hour', idempotency_key => 'a hold');
	SELECT booking.hold_tickets(3, 2, 5, ttl => '1 microsecond');
	SELECT booking.acquire_lock('a', 'ann', '1 hour');
	SQL
$primary->backup('backup');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

# The standby replays splits, drains and cancellations like any other change.
$primary->safe_psql('postgres', <<~'SQL');
	SET booking.debug_split_always = on;
	SELECT booking.book_ticket(1, u) FROM generate_series(1, 12) u;
	SELECT booking.cancel_ticket(3);
	SQL
$primary->wait_for_catchup($standby);

my %writes = (
	'book_ticket' => 'SELECT booking.book_ticket(1, 1)',
	'book_ticket of a sold-out event' => 'SELECT booking.book_ticket(2, 1)',
	'try_book_ticket' => 'SELECT booking.try_book_ticket(1, 1)',
	'book_tickets' => 'SELECT booking.book_tickets(1, 1, 2)',
	'cancel_ticket' => 'SELECT booking.cancel_ticket(2)',
	'transfer_ticket' => 'SELECT booking.transfer_ticket(2, 3)',
	'redeem_ticket' => 'SELECT booking.redeem_ticket(2)',
	'unredeem_ticket' => 'SELECT booking.unredeem_ticket(2)',
	'move_ticket' => 'SELECT booking.move_ticket(2, 3)',
	'exchange_tickets' => 'SELECT booking.exchange_tickets(1, 2)',
	'cancel_event' => 'SELECT booking.cancel_event(1)',
	'book_as_staff' => 'SELECT booking.book_as_staff(1, 1)',
	'change_hold' => 'SELECT booking.change_hold(1, 2)',
	'hold_tickets' => 'SELECT booking.hold_tickets(3, 1)',
	'hold_tickets of expired places' => 'SELECT booking.hold_tickets(3, 1, 6)',
	'confirm_hold' => 'SELECT booking.confirm_hold(1)',
	'confirm_hold of an expired hold' => "SELECT booking.confirm_hold(2, 'rebook')",
	'extend_hold' => "SELECT booking.extend_hold(1, '1 minute')",
	'release_hold' => 'SELECT booking.release_hold(1)',
	'expire_holds' => 'SELECT booking.expire_holds()',
	'book_batch' => "SELECT booking.book_batch(1, '{1,2}'::bigint[])",
	'book_ticket with an idempotency key' => "SELECT booking.book_ticket(1, 1, 'a key')",
	'purge' => "SELECT booking.purge('0')",
	'forget_user' => 'SELECT booking.forget_user(1, 2)',
	'acquire_lock' => "SELECT booking.acquire_lock('b', 'ann')",
	'try_acquire_lock' => "SELECT booking.try_acquire_lock('a', 'bob')",
	'renew_lock' => "SELECT booking.renew_lock('a', 1, '1 hour')",
	'release_lock' => "SELECT booking.release_lock('a', 1)",
	'assert_lock' => "SELECT booking.assert_lock('a', 1)",
	'assert_lock at the commit' => "SELECT booking.assert_lock('a', 1, 'commit')",
	'rebuild_inventory' => 'SELECT booking.rebuild_inventory(1)',
	'INSERT' => 'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 1)',
	'INSERT of a hold' =>
	  "INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (1, 1, 1, 'infinity')",
	'TRUNCATE' => 'TRUNCATE booking.ticket',
);

# Each of the calls fails with 25006, and the session can continue.
sub check_writes_are_refused
{
	my ($node, $what, $before) = @_;

	foreach my $name (sort keys %writes)
	{
		my ($status, $out, $err) =
		  $node->psql('postgres', "\\set VERBOSITY sqlstate\n$before$writes{$name};\nSELECT 1;",
			on_error_stop => 0);

		like("$out $err", qr/^1 .*ERROR:  25006$/, "$what: $name raises 25006");
	}
	return;
}

check_writes_are_refused($standby, 'standby', '');
check_writes_are_refused($primary, 'read-only session', "SET default_transaction_read_only = on;\n");

is($standby->safe_psql('postgres', 'SELECT capacity, available, held, booked FROM booking.availability(1)'),
	'40|29|0|11', 'standby: availability() answers');
is($standby->safe_psql('postgres', 'SELECT capacity, available, held, booked FROM booking.availability(3)'),
	'10|6|4|0', 'standby: availability() counts holds');
is( $standby->safe_psql('postgres', 'SELECT event_id, available, held, booked, cancelled FROM booking.sales ORDER BY 1'),
	"1|29|0|11|1\n2|0|0|1|0\n3|6|4|0|0", 'standby: the view sales answers');
is($standby->safe_psql('postgres', "SELECT booking.locked('a'), booking.locked('b')"),
	't|f', 'standby: locked() answers');
is($standby->safe_psql('postgres', 'SELECT * FROM booking.verify()'),
	'', 'standby: verify() finds nothing');

# The first session connects before the promotion, the others after it.
my $session = $standby->background_psql('postgres');
is($session->query_safe('SELECT available FROM booking.availability(1)'),
	'29', 'a session on the standby reads the availability');
$primary->stop('immediate');
$standby->promote;
is($session->query_safe('SELECT booking.book_ticket(1, 1) > 12'),
	't', 'promoted: the same session can book');
is($session->query_safe('SELECT cardinality(booking.confirm_hold(1))'),
	'4', 'promoted: the same session can confirm a hold');
$session->quit;
is( $standby->safe_psql('postgres', "SELECT hold_id FROM booking.hold_tickets(3, 1, 4, '1 hour', 'a hold')"),
	'1', 'promoted: an idempotency key is known');
is($standby->safe_psql('postgres', 'SELECT booking.expire_holds()'), '1', 'promoted: an expired hold can be ended');
is( $standby->safe_psql('postgres', "SELECT booking.assert_lock('a', 1), token > 1 FROM booking.acquire_lock('b', 'bob')"),
	't|t', 'promoted: a lock is still its holder\'s, and the tokens go on');

check_sound($standby, 'promoted');
sell_the_rest($standby, $_, "promoted, event $_") foreach 1, 2, 3;
check_sound($standby, 'promoted, sold out');

$standby->stop;
done_testing();
