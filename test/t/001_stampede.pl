# A stampede: 64 clients book from two events of 300 places at once, in every
# possible way.
#
# verify() must find no problem at any moment.  After the stampede, every place
# that is left must be sellable.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = long_run(60, 6);
my $node = booking_node('stampede');

create_booking($node);
create_helpers($node);
$node->safe_psql('postgres', <<~'SQL');
	INSERT INTO booking.event (event_id, capacity) VALUES (1, 300), (2, 300);
	CREATE FUNCTION must_be_consistent() RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
	    problem text;
	BEGIN
	    SELECT string_agg(v::text, '; ') INTO problem FROM booking.verify() v;
	    IF problem IS NOT NULL THEN
	        RAISE EXCEPTION 'verify() found a problem: %', problem;
	    END IF;
	END $$;
	SQL

my $copied = PostgreSQL::Test::Utils::tempdir() . '/tickets';
append_to_file($copied, "1\t77\n2\t77\n1\t78\n");

my %ways_to_write = (
	'book@10' => q{SELECT attempt('SELECT booking.book_ticket(:event, :client_id)');},
	'try@10' => q{SELECT status FROM booking.try_book_ticket(:event, :client_id);},
	'many@5' => q{SELECT attempt('SELECT booking.book_tickets(:event, :client_id, :few)');},
	'insert@5' =>
	  q{SELECT attempt('INSERT INTO booking.ticket (event_id, user_id) VALUES (:event, :client_id)');},
	'select@3' => q{SELECT attempt('INSERT INTO booking.ticket (event_id, user_id)
		SELECT :event, u FROM generate_series(1, :few) u');},
	'conflict@3' => q{SELECT attempt('INSERT INTO booking.ticket (event_id, user_id, seat)
		VALUES (:event, :client_id, ''seat :few'') ON CONFLICT DO NOTHING');},
	'copy@3' =>
	  qq{SELECT attempt('COPY booking.ticket (event_id, user_id) FROM ''$copied''');},
	'cancel@10' => q{SELECT attempt('SELECT booking.cancel_ticket(some_ticket())');},
	'update@5' =>
	  q{SELECT attempt('UPDATE booking.ticket SET cancelled_at = now() WHERE ticket_id = some_ticket() AND redeemed_at IS NULL');},
	'uncancel@2' =>
	  q{SELECT attempt('UPDATE booking.ticket SET cancelled_at = NULL, seat = NULL WHERE ticket_id = some_ticket()');},
	'move@2' =>
	  q{SELECT attempt('UPDATE booking.ticket SET event_id = 3 - event_id, seat = NULL WHERE ticket_id = some_ticket()');},
	'delete@3' =>
	  q{SELECT attempt('DELETE FROM booking.ticket WHERE ticket_id = some_ticket()');},
	'capacity@2' =>
	  q{SELECT attempt('UPDATE booking.event SET capacity = 250 + 10 * :few WHERE event_id = :event');},
	'transfer@3' =>
	  q{SELECT attempt('SELECT booking.transfer_ticket(some_ticket(), :client_id)');},
	'redeem@1' => q{SELECT attempt('SELECT booking.redeem_ticket(some_ticket())');},
	'rebuild@1' => q{SELECT attempt('SELECT booking.rebuild_inventory(:event)');},
	'rollback@3' => q{
		BEGIN;
		SELECT status FROM booking.try_book_ticket(:event, :client_id);
		SAVEPOINT s;
		SELECT status FROM booking.try_book_ticket(:event, :client_id);
		SELECT attempt('SELECT booking.cancel_ticket(some_ticket())');
		ROLLBACK TO s;
		SELECT status FROM booking.try_book_ticket(:event, :client_id);
		ROLLBACK;},
	'serializable@2' => q{
		BEGIN ISOLATION LEVEL SERIALIZABLE;
		SELECT attempt('SELECT booking.book_ticket(:event, :client_id)');
		COMMIT;},
	'repeatable@2' => q{
		BEGIN ISOLATION LEVEL REPEATABLE READ;
		SELECT attempt('SELECT booking.cancel_ticket(some_ticket())');
		SELECT attempt('SELECT booking.book_ticket(:event, :client_id)');
		COMMIT;},
	'verify@3' => 'SELECT must_be_consistent();',
);

foreach my $settings ('', 'booking.direct_path=off', 'booking.debug_split_always=on')
{
	my $what = $settings || 'default settings';
	local $ENV{PGOPTIONS} = $settings ? "-c $settings" : '';
	my $variables = "\\set event random(1, 2)\n\\set few random(1, 9)\n";

	run_pgbench(
		$node, $what,
		[ '-c64', "-T$seconds" ],
		map { $_ => $variables . $ways_to_write{$_} . "\n" } keys %ways_to_write);
	check_sound($node, $what);
	foreach my $event_id (1, 2)
	{
		sell_the_rest($node, $event_id, "$what, event $event_id");
	}
	$node->safe_psql('postgres', 'TRUNCATE booking.ticket');
	check_sound($node, "$what, after TRUNCATE");
}

check_log($node, 'stampede', '40001', '40P01', '57P01');
$node->stop;
done_testing();
