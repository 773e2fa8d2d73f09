# A shop with rows of every kind, for tests that move a database elsewhere (pg_dump,
# pg_upgrade).

package BookingShop;

use strict;
use warnings;

use BookingTest;
use Exporter 'import';
use Test::More;

our @EXPORT = qw(fill_shop sells_on);

# Fills a database: tickets, also cancelled and redeemed ones; live, ended and
# expired holds; an index, two columns and a trigger of the user's own.
sub fill_shop
{
	my ($node, $db) = @_;

	create_booking($node, $db);
	$node->safe_psql($db, <<~'SQL');
		INSERT INTO booking.event (event_id, name, capacity) VALUES (1, 'fair', 10), (2, 'ball', 20);
		INSERT INTO booking.event (event_id, capacity) VALUES (3, 5);
		INSERT INTO booking.event (event_id, capacity, max_per_user, sales_start, sales_end, hold_ttl)
		VALUES (4, 12, 3, '2000-01-01', '2100-01-01', '1 hour');
		INSERT INTO booking.event (event_id, capacity, sales_end) VALUES (5, 7, '2001-01-01');

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

		SET booking.debug_split_always = on;
		SELECT booking.book_ticket(1, 1), booking.book_tickets(2, 2, 3), booking.book_ticket(2, 1);
		INSERT INTO booking.ticket (event_id, user_id, price) VALUES (2, 3, 12);
		SELECT booking.cancel_ticket(1);
		SELECT booking.redeem_ticket(2);
		SELECT booking.book_tickets(3, 1, 5);

		SELECT booking.keep_history();
		SELECT booking.hold_tickets(4, 1, 2, idempotency_key => 'live');        -- hold 1
		SELECT booking.hold_tickets(4, 2, 3);
		SELECT booking.confirm_hold(2);                                         -- tickets 12, 13, 14
		SELECT booking.hold_tickets(4, 3, 2);
		SELECT booking.release_hold(3);
		SELECT booking.hold_tickets(4, 4, 3, ttl => '1 microsecond');
		SELECT booking.book_ticket(4, 5, 'one');                                -- ticket 15
		SELECT booking.acquire_lock('restore', 'ann', '1 day', 'token 1');
		SQL
	return;
}

# Checks that the sale goes on: new tickets get new ids, and nothing is oversold.
sub sells_on
{
	my ($node, $db, $what) = @_;

	check_sound($node, $what, $db);
	is($node->safe_psql($db, 'SELECT available FROM booking.availability(1)'),
		'10', "$what: the place of a cancelled ticket is free");
	is($node->safe_psql($db, 'SELECT booking.book_ticket(1, 9)'),
		'16', "$what: the next ticket gets the next id");
	is($node->safe_psql($db, 'SELECT status FROM booking.try_book_ticket(3, 9)'),
		'sold_out', "$what: a sold-out event is still sold out");
	is($node->safe_psql($db, 'SELECT status FROM booking.try_book_ticket(5, 9)'),
		'not_on_sale', "$what: a sale that had ended has still ended");
	is( $node->safe_psql($db, 'SELECT status FROM generate_series(1, 2) id, booking.redeem_ticket(id)'),
		"cancelled\nalready_redeemed", "$what: tickets are still cancelled or redeemed");
	is( $node->safe_psql($db, <<~'SQL'), "15\n{17,18}\n{12,13,14}", "$what: repeated requests get the same answers");
		SELECT booking.book_ticket(4, 5, 'one');
		SELECT booking.confirm_hold(hold_id) FROM booking.hold_tickets(4, 1, 2, idempotency_key => 'live');
		SELECT booking.confirm_hold(2);
		SQL
	like(($node->psql($db, 'SELECT booking.confirm_hold(4)'))[2],
		qr/hold 4 has expired/, "$what: an expired hold can't be confirmed");
	is( $node->safe_psql($db, <<~'SQL'), "booked\nuser_limit", "$what: the limit per user still applies");
		SELECT status FROM booking.try_book_ticket(4, 1);
		SELECT status FROM booking.try_book_ticket(4, 1);
		SQL
	is( $node->safe_psql($db, 'SELECT hold_id FROM booking.hold_tickets(4, 6, 3)'),
		'5', "$what: the next hold gets the next id");
	is( $node->safe_psql($db, "SELECT count(booking.book_ticket(4, u)) FROM generate_series(10, 11) u"),
		'2', "$what: places of an expired hold are sold");
	is($node->safe_psql($db, 'SELECT capacity, available, held, booked FROM booking.availability(4)'),
		'12|0|3|9', "$what: then no place is left");
	is( $node->safe_psql($db, 'SELECT max(history_id), count(*) FROM booking.history'),
		'19|19', "$what: the history goes on");
	sell_the_rest($node, $_, "$what, event $_", $db) foreach 1, 2;
	is( $node->safe_psql($db, 'SELECT count(*) FROM sold'),
		$node->safe_psql($db, 'SELECT count(*) FROM booking.ticket'),
		"$what: the user's trigger fires");
	is( $node->safe_psql($db, "SELECT booking.assert_lock('restore', 1), token > 1 FROM booking.acquire_lock('new', 'bob')"),
		't|t', "$what: a lock is still its holder's, and the tokens go on");
	$node->safe_psql($db, 'SELECT booking.create_tables()');
	check_sound($node, "$what, at the end", $db);
	return;
}

1;
