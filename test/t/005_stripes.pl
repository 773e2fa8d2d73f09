# Stress for the stripes of an event: splits, drains and gathers, mixed with
# rollbacks, savepoints and prepared transactions.
#
# "Sold out" is exact: a client is refused only if no place is left for it.  So if
# clients book until they are refused and sometimes roll back, no place may be left.
# The inventory of a sold-out event must be one row.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = booking_node('stripes');

create_booking($node);
create_helpers($node);
$node->safe_psql('postgres', <<~'SQL');
	-- Books until it is refused.  After a rollback it tries again.
	CREATE PROCEDURE buy_until_refused(event bigint, user_id bigint, rollbacks float) LANGUAGE plpgsql AS $$
	DECLARE
	    answer text;
	BEGIN
	    LOOP
	        SELECT status INTO answer FROM booking.try_book_ticket(event, user_id);
	        EXIT WHEN answer = 'sold_out';
	        IF random() < 0.2 THEN
	            -- some more tickets in the same transaction
	            PERFORM attempt(format('SELECT booking.book_tickets(%s, %s, %s)',
	                                   event, user_id, 1 + floor(random() * 12)));
	        END IF;
	        IF random() < rollbacks THEN
	            ROLLBACK;
	        ELSE
	            COMMIT;
	        END IF;
	    END LOOP;
	END $$;
	SQL

# Creates an event.  Its places are in the stripes given, or in one stripe.
my $last_event = 0;

sub new_event
{
	my ($capacity, %stripes) = @_;

	$last_event++;
	$node->safe_psql('postgres',
		"INSERT INTO booking.event (event_id, capacity) VALUES ($last_event, $capacity)");
	foreach my $stripe (sort keys %stripes)
	{
		$node->safe_psql('postgres', <<~SQL);
			SET booking.importing = on;
			INSERT INTO booking.inventory (event_id, stripe, available)
			VALUES ($last_event, $stripe, $stripes{$stripe})
			ON CONFLICT (event_id, stripe) DO UPDATE SET available = EXCLUDED.available
			SQL
	}
	return $last_event;
}

sub is_sold_to_the_last
{
	my ($event, $what) = @_;

	is( $node->safe_psql('postgres', <<~SQL), '0|t', "$what: the last place is sold");
		SELECT available, booked = capacity FROM booking.availability($event)
		SQL
	is(stripes($node, $event), 1, "$what: the inventory is one row");
	return;
}

# ---- a whole sale, until every client is refused ----

{
	my $event = new_event(1000);

	run_pgbench($node, 'a sale', [ '-c128', '-t1' ],
		sale => "DO \$\$ BEGIN
			WHILE (SELECT status FROM booking.try_book_ticket($event, 1)) <> 'sold_out' LOOP COMMIT; END LOOP;
		END \$\$;\n");
	is_sold_to_the_last($event, 'a sale');
	check_sound($node, 'a sale');
}

foreach my $debug_split_always ('off', 'on')
{
	foreach my $rollbacks (0.3, 0.9)
	{
		my $what = "debug_split_always = $debug_split_always, rollbacks $rollbacks";
		my $places = long_run(10000, 600);
		my $event = new_event($places);
		local $ENV{PGOPTIONS} = "-c booking.debug_split_always=$debug_split_always";

		run_pgbench($node, $what, [ '-c64', '-t1' ],
			buy => "CALL buy_until_refused($event, :client_id, $rollbacks);\n");
		is_sold_to_the_last($event, $what);
		check_sound($node, $what);
	}
}

# ---- everything mixed ----

my %mix = (
	'one@10' => "SELECT status FROM booking.try_book_ticket(:event, 1);\n",
	'many@6' => "SELECT attempt('SELECT booking.book_tickets(:event, 1, :many)');\n",
	'cancel@12' => "SELECT attempt('SELECT booking.cancel_ticket(some_ticket())');\n",
	'clear@1' => "UPDATE booking.ticket SET cancelled_at = now()
		WHERE cancelled_at IS NULL AND ticket_id IN (SELECT some_ticket() FROM generate_series(1, 20));\n",
	'capacity@2' =>
	  "SELECT attempt('UPDATE booking.event SET capacity = 150 + :many WHERE event_id = :event');\n",
	'back@5' => <<~'SQL',
		BEGIN;
		SELECT status FROM booking.try_book_ticket(:event, 1);
		SELECT attempt('SELECT booking.book_tickets(:event, 1, :many)');
		ROLLBACK;
		SQL
	'savepoint@5' => <<~'SQL',
		BEGIN;
		SAVEPOINT a;
		SELECT attempt('SELECT booking.book_tickets(:event, 1, :many)');
		SELECT status FROM booking.try_book_ticket(:event, 1);
		ROLLBACK TO a;
		SELECT status FROM booking.try_book_ticket(:event, 1);
		SAVEPOINT b;
		SELECT status FROM booking.try_book_ticket(:event, 1);
		RELEASE b;
		ROLLBACK TO a;
		SELECT status FROM booking.try_book_ticket(:event, 1);
		COMMIT;
		SQL
	# long enough to prefetch places, at several levels of savepoints
	'long@2' => <<~'SQL',
		BEGIN;
		SELECT count((booking.try_book_ticket(:event, u)).ticket_id) FROM generate_series(1, 15) u;
		SAVEPOINT a;
		SELECT count((booking.try_book_ticket(:event, u)).ticket_id) FROM generate_series(1, 15) u;
		SAVEPOINT b;
		SELECT count((booking.try_book_ticket(:event, u)).ticket_id) FROM generate_series(1, :many) u;
		RELEASE b;
		SELECT attempt('UPDATE booking.event SET capacity = capacity - 1 WHERE event_id = :event');
		ROLLBACK TO a;
		SELECT count((booking.try_book_ticket(:event, u)).ticket_id) FROM generate_series(1, :many) u;
		COMMIT;
		SQL
);

foreach my $debug_split_always ('off', 'on')
{
	my $what = "a mix, debug_split_always = $debug_split_always";
	my @events = (new_event(200), new_event(200));
	my $variables = "\\set event random($events[0], $events[1])\n\\set many random(2, 60)\n";
	local $ENV{PGOPTIONS} = "-c booking.debug_split_always=$debug_split_always";

	run_pgbench($node, $what, [ '-c32', '-T' . long_run(60, 5) ],
		map { $_ => $variables . $mix{$_} } keys %mix);
	check_sound($node, $what);
	sell_the_rest($node, $_, "$what, event $_") foreach @events;
}

# ---- 30 clients wait for the last place, whose holder rolls back or commits ----

foreach my $end ('ROLLBACK', 'COMMIT')
{
	my $event = new_event(1);
	my $holder = $node->background_psql('postgres');

	$holder->query_safe("BEGIN; SELECT booking.book_ticket($event, 0)");
	my @waiting = map { start_psql($node, "SELECT status FROM booking.try_book_ticket($event, $_)") } 1 .. 30;
	wait_for_waiters($node, 30);
	$holder->query_safe($end);
	my @answers = map { finish_psql($_) } @waiting;
	$holder->quit;

	is(scalar(grep { /^booked$/ } @answers),
		$end eq 'ROLLBACK' ? 1 : 0, "30 clients wait, $end: the last place is sold if it came back");
	is(scalar(grep { /^sold_out$/ } @answers),
		$end eq 'ROLLBACK' ? 29 : 30, "30 clients wait, $end: all others are refused");
	is_sold_to_the_last($event, "30 clients wait, $end");
}
check_sound($node, '30 clients wait');

# ---- prepared transactions ----

# Returns the answer that a session gets, or 'waits' after a wait of 100 ms.
my $ask = sub {
	my ($session, $event) = @_;
	my $answer = $session->query("SELECT status FROM booking.try_book_ticket($event, 1)");
	my $error = $session->{stderr};

	$session->{stderr} = '';
	return $error =~ /lock timeout/ ? 'waits' : $answer . $error;
};

foreach my $end ('ROLLBACK', 'COMMIT')
{
	my $event = new_event(1, 0 => 0, 1 => 1);
	my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;

	$_->query_safe("SET lock_timeout = '100ms'") foreach @sessions;
	$sessions[0]->query_safe('BEGIN');
	is($ask->($sessions[0], $event), 'booked', "prepared, $end: the last place is booked");
	is($ask->($sessions[0], $event), 'sold_out', "prepared, $end: then the event is sold out for the same transaction");
	$sessions[0]->query_safe("PREPARE TRANSACTION 'sale'");
	is($ask->($sessions[0], $event), 'waits',
		"prepared, $end: the session that prepared it waits");
	is($ask->($sessions[1], $event), 'waits', "prepared, $end: another session waits, too");
	$sessions[1]->query_safe("$end PREPARED 'sale'");
	is( $ask->($sessions[0], $event),
		$end eq 'ROLLBACK' ? 'booked' : 'sold_out',
		"prepared, $end: then the session that prepared it gets the right answer");
	is($ask->($sessions[1], $event), 'sold_out', "prepared, $end: then the event is sold out");
	is_sold_to_the_last($event, "prepared, $end");
	$_->quit foreach @sessions;
}

# With prefetched places: PREPARE TRANSACTION must give them back.
{
	my $event = new_event(100);

	$node->safe_psql('postgres', <<~SQL);
		BEGIN;
		SELECT booking.book_ticket($event, u) FROM generate_series(1, 30) u;
		PREPARE TRANSACTION 'long';
		COMMIT PREPARED 'long';
		SQL
	check_sound($node, 'prepared, prefetched places');
	sell_the_rest($node, $event, 'prepared, prefetched places');
}

# ---- a remembered version must not be mistaken for a later version there ----

# A session writes a row version, remembers its position, and rolls back.  Later,
# bookings of other sessions put a version of another stripe, with fewer places, at
# the same position.  This happens as soon as no snapshot needs the old version:
# both stripes are alone on one page, and its positions are used in turn.
{
	my $found = '';

	$node->safe_psql('postgres', $_)
	  foreach 'TRUNCATE booking.event, booking.ticket', 'VACUUM FULL booking.inventory';
	my $event = new_event(1000);
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $ctid = $session->query_safe(<<~SQL);
		BEGIN;
		SELECT FROM booking.book_ticket($event, 1);
		SELECT ctid FROM booking.inventory WHERE event_id = $event;
		ROLLBACK;
		SQL
	$ctid =~ s/\s//g;
	$node->safe_psql('postgres',
		"SET booking.debug_split_always = on; SELECT booking.book_ticket($event, 1)");
	for (my $i = 0; $i < 300 && $found eq ''; $i++)
	{
		$found = $node->safe_psql('postgres', <<~SQL);
			SELECT booking.book_ticket($event, 1) \\gset
			SELECT stripe FROM booking.inventory WHERE event_id = $event AND ctid = '$ctid'
			SQL
	}
	isnt($found, '', 'another row version was put at the position that a session remembers');
	is( $session->query(<<~SQL), 't', 'a quantity that only all stripes together have is booked');
		SELECT cardinality(booking.book_tickets($event, 1, available::integer)) = available
		FROM booking.availability($event)
		SQL
	is($session->{stderr}, '', 'the remembered version causes no refusal');
	$session->quit;
	is_sold_to_the_last($event, 'a reused row position');
}

# ---- a hot row leaves its page if its old versions can't be pruned ----

# An old snapshot keeps the old versions.  So new versions go to other pages and get
# new index entries.  Without these entries, only a session that remembers the
# version could find the row.
{
	my $event = new_event(2000);
	my $old = $node->background_psql('postgres');

	$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM booking.inventory');
	run_pgbench($node, 'an old snapshot', [ '-c4', '-t250' ],
		book => "SELECT booking.book_ticket($event, 1);\n");
	isnt( $node->safe_psql('postgres', <<~SQL), '0', 'the rows have moved to other pages');
		SELECT max((ctid::text::point)[0]) FROM booking.inventory WHERE event_id = $event
		SQL
	check_sound($node, 'an old snapshot');
	is($node->safe_psql('postgres', "SELECT available FROM booking.availability($event)"),
		'1000', 'an old snapshot: the row is found by the index');
	$old->query_safe('COMMIT');
	$old->quit;
	sell_the_rest($node, $event, 'an old snapshot');
}

check_sound($node, 'at the end');
check_log($node, 'stripes', '55P03', '40P01');
$node->stop;
done_testing();
