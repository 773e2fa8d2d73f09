# Numbers that come to their end: transaction ids and multixact ids, which wrap
# around, and sequences, which do not.  Each server in this test meets
#
# - the wraparound of transaction ids and of multixact ids, while clients work and
#   tables are frozen;
# - the limit at which PostgreSQL assigns no more transaction ids (54000), because a
#   forgotten replication slot keeps VACUUM from removing old ids.  Refusals and
#   other calls that only read must still be answered.  After the slot is dropped
#   and VACUUM has run, the same sessions must go on;
# - the last numbers of the sequences of tickets, holds and events (2200H).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults;
use Faults::Shop qw(@CONSTRAINTS);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# Transaction ids and multixact ids have 32 bits; half of them are in the future at any time.
use constant { WRAP => 2**32, HALF => 2**31 - 1 };

# PostgreSQL assigns no more transaction ids when only this many of the half are left.
use constant STOP_BEFORE => 3_000_000;

# The last number of a sequence of bigints.
use constant LAST_NUMBER => '9223372036854775807';

# These sell one place of a show, or three, and return the show.
my $SELL = 'INSERT INTO shop_ticket (show_id, user_id) VALUES (?, 100) RETURNING show_id';
my $SELL_THREE = 'INSERT INTO shop_ticket (show_id, user_id) SELECT ?::bigint, generate_series(100, 102) RETURNING show_id';

my $run = Faults->new('wraparound, sequences at their end', 9, 3);

# ---- transaction ids and multixact ids --------------------------------------

# Makes the file that contains a number's page in one of the server's folders.  Each
# file there has room for $per_file numbers.
sub make_pages
{
	my ($node, $folder, $number, $per_file) = @_;
	my $file = sprintf '%s/%s/%04X', $node->data_dir, $folder, $number / $per_file;

	open my $handle, '>>', $file or die "$file: $!";
	truncate $handle, 32 * 8192 or die "$file: $!";
	close $handle;
	return;
}

# Stops the server, sets its next numbers, and starts it.  All present ids must then be
# in the past.  Options: xid (may exceed 32 bits), multi and oldest_multi.
sub jump
{
	my ($node, %to) = @_;
	my @options = ('-x', $to{xid} % WRAP, '-e', int($to{xid} / WRAP));

	$node->stop;
	make_pages($node, 'pg_xact', $to{xid} % WRAP, 32 * 8192 * 4);
	if ($to{multi})
	{
		make_pages($node, 'pg_multixact/offsets', $to{multi}, 32 * 2048);
		push @options, '-m', "$to{multi},$to{oldest_multi}";
	}
	system_or_bail('pg_resetwal', @options, '-D', $node->data_dir);
	$node->start;
	return;
}

# Returns the next transaction id, which may exceed 32 bits.
sub next_xid
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())');
}

sub next_multi
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'CHECKPOINT; SELECT next_multixact_id FROM pg_control_checkpoint()');
}

# Freezes all tables.  (Truncating empty pages would need a transaction id.)
sub freeze
{
	my ($node) = @_;

	$node->safe_psql('postgres', 'VACUUM (FREEZE, TRUNCATE off)');
	return;
}

# Makes a server that is near to the wraparound.  This takes several steps, because a
# step may not skip more than half of all numbers.  Also makes a slot, which the test
# "forgets".
sub make_server
{
	my ($number) = @_;
	my $node = $run->node(
		"server$number",
		init => { allows_streaming => 'logical' },
		conf => <<~'CONF');
		shared_buffers = 16MB
		client_min_messages = error
		log_min_messages = error
		CONF

	$run->make_small($node);
	jump($node, xid => 1.4e9, multi => 1.4e9, oldest_multi => 1);
	freeze($node);
	jump($node, xid => 2.8e9, multi => 2.8e9, oldest_multi => 1.4e9);
	freeze($node);
	$node->safe_psql('postgres', q{SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')});
	return $node;
}

# ---- what is expected of single calls ---------------------------------------

# Returns the answer to a query, or the SQLSTATE of its error.
sub answer
{
	my ($dbh, $sql, @values) = @_;
	my $ids = $dbh->selectcol_arrayref($sql, undef, @values);

	return $dbh->err ? $dbh->state : join ',', map { $_ // '' } @$ids;
}

sub expect
{
	my ($dbh, $expected, $when, @query) = @_;
	my $answer = answer($dbh, @query);

	$run->wrong("$when: \"$answer\" and not \"$expected\" is the answer to @query") if $answer ne $expected;
	return;
}

# Creates an event.  Returns its id.
sub event
{
	my ($node, $capacity) = @_;

	return $node->safe_psql('postgres',
		"INSERT INTO booking.event (capacity) VALUES ($capacity) RETURNING event_id");
}

# Creates a show.  Returns its id.
sub show
{
	my ($node, $capacity) = @_;

	return $node->safe_psql('postgres', "INSERT INTO shop_show (capacity) VALUES ($capacity) RETURNING id");
}

# ---- the wraparound ---------------------------------------------------------

# Makes multixacts: two sessions lock rows of the pools of an event and a show, as the
# checks of two foreign keys would, while others write them.
sub make_multixacts
{
	my ($event, $show, @sessions) = @_;

	$_->do('BEGIN') foreach @sessions;
	$_->do('SELECT FROM booking.inventory WHERE event_id = ? AND stripe = 0 FOR KEY SHARE', undef, $event)
	  foreach @sessions;
	$_->do("SELECT FROM booking.$CONSTRAINTS[0] WHERE show_id = ? AND stripe = 0 FOR KEY SHARE", undef, $show)
	  foreach @sessions;
	$_->do('COMMIT') foreach @sessions;
	return;
}

# After the wraparound, what a session remembers of a sold-out event must still be
# right.
sub wraparound
{
	my ($node, $round) = @_;
	my ($first, $other, @lockers) = map { connect_to($node) } 1 .. 4;
	my $event = event($node, 2);
	my $show = show($node, 2);
	my $until = time() + 120;

	expect($first, 'booked', 'before', 'SELECT status FROM booking.try_book_ticket(?, 1)', $event);
	my $ticket = answer($other, 'SELECT booking.book_ticket(?, 2)', $event);

	expect($first, 'sold_out', 'before', 'SELECT status FROM booking.try_book_ticket(?, 3)', $event);
	answer($_, $SELL, $show) foreach $first, $other;
	expect($first, '23514', 'before', $SELL, $show);
	$round->load;
	for (my $turn = 0; ($turn < 4 || next_xid($node) < WRAP + 500) && time() < $until; $turn++)
	{
		make_multixacts((map { $_->[0] } @{ $round->{events} }{qw(hot show_hot)}), @lockers) foreach 1 .. 20;
		$node->safe_psql('postgres', "VACUUM (FREEZE) $_")
		  foreach (map { "booking.$_" } qw(inventory ticket hold), @CONSTRAINTS), qw(shop_show shop_ticket);
	}
	expect($first, 'sold_out', 'after', 'SELECT status FROM booking.try_book_ticket(?, 3)', $event);
	answer($other, 'SELECT booking.cancel_ticket(?)', $ticket);
	expect($first, 'booked', 'after', 'SELECT status FROM booking.try_book_ticket(?, 3)', $event);
	expect($first, '23514', 'after', $SELL, $show);
	expect($other, '0', 'after',
		'DELETE FROM shop_ticket WHERE id = (SELECT max(id) FROM shop_ticket WHERE show_id = ?) RETURNING 0', $show);
	expect($first, $show, 'after', $SELL, $show);
	$round->stop;
	$round->check;
	$_->disconnect foreach $first, $other, @lockers;
	cmp_ok(next_xid($node), '>', WRAP, 'transaction ids have wrapped around');
	cmp_ok(next_multi($node), '<', HALF, 'multixact ids have wrapped around');
	$run->injected;
	return;
}

# ---- the limit --------------------------------------------------------------

# At the limit, calls that need a transaction id fail, and all other calls succeed.
sub limit_of_wraparound
{
	my ($node, $round) = @_;
	my ($sold_out, $open) = (event($node, 1), event($node, 5));
	my $show = show($node, 5);
	my $limit = $node->safe_psql('postgres', 'SELECT datfrozenxid FROM pg_database') + HALF - STOP_BEFORE;

	$node->safe_psql('postgres', "SELECT booking.book_ticket($sold_out, 1)");
	jump($node, xid => $limit - 600);
	my $dbh = connect_to($node);
	my $until = time() + 120;

	$round->load;
	sleep 0.02 while answer($dbh, 'SELECT pg_current_xact_id()') ne '54000' && time() < $until;
	expect($dbh, '54000', 'limit', 'SELECT booking.book_ticket(?, 1)', $open);
	expect($dbh, '54000', 'limit', 'INSERT INTO booking.ticket (event_id, user_id) VALUES (?, 1)', $open);
	expect($dbh, '54000', 'limit', 'SELECT booking.hold_tickets(?, 1)', $open);
	expect($dbh, '54000', 'limit', $SELL, $show);
	expect($dbh, 'sold_out', 'limit', 'SELECT status FROM booking.try_book_ticket(?, 1)', $sold_out);
	expect($dbh, '23T01', 'limit', 'SELECT booking.book_ticket(?, 1)', $sold_out);
	expect($dbh, '5', 'limit', 'SELECT available FROM booking.availability(?)', $open);
	expect($dbh, '', 'limit', 'SELECT problem FROM booking.verify(?)', $open);
	expect($dbh, '5', 'limit', "SELECT booking.places_left('$CONSTRAINTS[0]', ?::bigint)", $show);
	expect($dbh, '', 'limit', 'SELECT problem FROM booking.verify_capacity()');
	sleep 0.2;

	answer($dbh, q{SELECT pg_drop_replication_slot('forgotten')});
	freeze($node);
	expect($dbh, 'booked', 'after the limit', 'SELECT status FROM booking.try_book_ticket(?, 1)', $open);
	expect($dbh, $show, 'after the limit', $SELL, $show);
	sleep 0.3;
	$dbh->disconnect;
	$round->stop;
	$round->check(allowed => '54000');
	$run->injected;
	return;
}

# ---- the end of sequences ---------------------------------------------------

# Returns SQL for the sequence of a table's ids.
sub sequence_of
{
	my ($table) = @_;

	return "pg_get_serial_sequence('booking.$table', '${table}_id')::regclass";
}

sub set_sequence
{
	my ($node, $table, $number) = @_;

	$node->safe_psql('postgres', sprintf 'SELECT setval(%s, %s)', sequence_of($table), $number);
	return;
}

# Sets a sequence so that only $count numbers are left.
sub leave_numbers
{
	my ($node, $table, $count) = @_;

	set_sequence($node, $table, LAST_NUMBER . " - $count");
	return;
}

# A call that comes to the end of a sequence half-way must leave nothing behind.
sub end_of_tickets
{
	my ($node, $dbh, $event, $hold) = @_;

	foreach my $call (
		[ 'SELECT booking.book_tickets(?, 2, 3)', $event ],
		[ 'SELECT ticket_id FROM booking.book_batch(?, ARRAY[2, 3, 4]::bigint[])', $event ],
		[ 'INSERT INTO booking.ticket (event_id, user_id) SELECT ?, generate_series(2, 4)', $event ],
		[ 'SELECT booking.confirm_hold(?)', $hold ])
	{
		leave_numbers($node, 'ticket', 2);
		expect($dbh, '2200H', 'two numbers left', @$call);
	}
	expect($dbh, '16', 'the end', 'SELECT available FROM booking.availability(?)', $event);
	return;
}

# The same for a table under a capacity constraint, whose sequence descends.
sub end_of_shop_tickets
{
	my ($node, $dbh) = @_;
	my $show = show($node, 20);
	my $next = answer($dbh, q{SELECT nextval('shop_ticket_id_seq')});

	answer($dbh, q{SELECT setval('shop_ticket_id_seq', 1 - ?::bigint)}, LAST_NUMBER);
	expect($dbh, '2200H', 'two numbers left', $SELL_THREE, $show);
	expect($dbh, '20', 'the end', "SELECT booking.places_left('$CONSTRAINTS[0]', ?::bigint)", $show);
	answer($dbh, q{SELECT setval('shop_ticket_id_seq', ?)}, $next);
	expect($dbh, "$show,$show,$show", 'after the end', $SELL_THREE, $show);
	return;
}

sub end_of_sequences
{
	my ($node, $round) = @_;
	my @tables = qw(ticket hold event);
	my $event = event($node, 20);
	my $dbh = connect_to($node);
	my $hold = answer($dbh, 'SELECT hold_id FROM booking.hold_tickets(?, 1, 4)', $event);
	my %next = map { $_ => 1_000_000 + answer($dbh, 'SELECT pg_sequence_last_value(' . sequence_of($_) . ')') } @tables;

	end_of_tickets($node, $dbh, $event, $hold);
	end_of_shop_tickets($node, $dbh);
	set_sequence($node, 'ticket', $next{ticket});
	$round->load;
	sleep 0.3;
	leave_numbers($node, $_, 60) foreach @tables;
	sleep 0.5;
	leave_numbers($node, $_, 0) foreach @tables;
	foreach my $sql ('SELECT booking.book_ticket(?, 2)', 'SELECT booking.try_book_ticket(?, 2)',
		'SELECT booking.hold_tickets(?, 2)', 'INSERT INTO booking.event (capacity) VALUES (?)')
	{
		expect($dbh, '2200H', 'the end', $sql, $event);
	}
	$round->stop;

	set_sequence($node, $_, 1_000_000 + $next{$_}) foreach @tables;
	expect($dbh, 4, 'after the end', 'SELECT cardinality(booking.confirm_hold(?))', $hold);
	expect($dbh, 16, 'after the end', 'SELECT cardinality(booking.book_tickets(?, 5, 16))', $event);
	expect($dbh, 'sold_out', 'after the end', 'SELECT status FROM booking.try_book_ticket(?, 6)', $event);
	$dbh->disconnect;
	$round->check(allowed => '2200H');
	$run->injected;
	return;
}

# ---- the test ---------------------------------------------------------------

foreach my $number (1 .. $run->{rounds} / 3)
{
	my $node = make_server($number);
	my $round = $run->next_round($node);

	jump($node, xid => WRAP - 600, multi => WRAP - 50, oldest_multi => 2.8e9);
	wraparound($node, $round);
	limit_of_wraparound($node, $run->next_round($node));
	end_of_sequences($node, $run->next_round($node));
	check_sound($node, "server $number");
	$node->stop;
}
cmp_ok($run->count('54000'), '>', 0, 'clients met the limit of transaction ids');
cmp_ok($run->count('2200H'), '>', 0, 'clients met the end of sequences');
$run->done(unanswered => 0);
done_testing();
