# Counters at their end: the transaction ids of a throw-away cluster wrap around
# under the load; then the server stops giving them out, because of a table that
# can't be frozen, until it can; then the sequences of the ids have no more
# numbers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $run = Faults->new('wraparound', 3, 3);
my $node = $run->node('wrap', conf => <<~'CONF');
	wal_level = minimal
	max_wal_senders = 0
	CONF
my @databases = qw(postgres template1 template0);

# Freezes all that there is.
sub freeze
{
	$node->safe_psql($_, 'VACUUM (FREEZE, TRUNCATE off)') foreach @databases;
	return;
}

# Makes this the next transaction id of the stopped server.  The segment of
# pg_xact that it is in has to be there: 2^20 transactions, two bits for each.
sub set_next_xid
{
	my ($xid) = @_;
	my $segment = sprintf '%s/pg_xact/%04X', $node->data_dir, $xid >> 20;

	$node->stop;
	append_to_file($segment, "\0" x 2**18) if !-e $segment;
	system_or_bail('pg_resetwal', '-x', $xid, $node->data_dir);
	$node->start;
	return;
}

sub next_xid { return $node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())') }

# How often a SQLSTATE stands in the server's log.
sub logged
{
	my ($state) = @_;

	return scalar(() = slurp_file($node->logfile) =~ /\] $state .*ERROR:  /g);
}

# Waits for that.
sub wait_until_logged
{
	my ($state, $times) = @_;
	my $until = time() + 60;

	sleep 0.02 while logged($state) < $times && time() < $until;
	cmp_ok(logged($state), '>=', $times, "$state was seen by clients");
	return;
}

# Restarts the sequence of a table's ids.
sub set_sequence
{
	my ($table, $to) = @_;

	$node->safe_psql('postgres',
		"SELECT setval(pg_get_serial_sequence('booking.$table', '${table}_id'), $to)");
	return;
}

$node->safe_psql('postgres', 'ALTER DATABASE template0 ALLOW_CONNECTIONS true');

# ---- the transaction ids wrap around ----

my $round = $run->next_round($node);

foreach my $xid (2_000_000_000, 4_000_000_000)
{
	set_next_xid($xid);
	freeze();
}
set_next_xid(2**32 - 300);
cmp_ok(next_xid(), '<', 2**32, 'before the wrap');
$round->load;
sleep 0.02 until next_xid() > 2**32 + 1000 || $round->{waited}++ > 3000;
$round->stop;
cmp_ok(next_xid(), '>', 2**32, 'the transaction ids have wrapped around under the load');
$run->injected;
$round->check;

# ---- there are no more of them ----

freeze();
$round = $run->next_round($node);
my ($sold_out) = split /\n/, $node->safe_psql('postgres', <<~'SQL');
	INSERT INTO booking.event (capacity) VALUES (1) RETURNING event_id;
	SELECT booking.book_ticket(max(event_id), 1) FROM booking.event
	SQL
$node->safe_psql('postgres', 'CREATE TABLE old ()');
set_next_xid((next_xid() + 2**31 - 3_000_000 - 800) % 2**32);

# autovacuum comes at once, whatever its setting
my $lock = connect_to($node);
$lock->do('BEGIN');
$lock->do('LOCK TABLE old');
$round->load;
wait_until_logged('54000', 50);
$run->injected;
is( $node->safe_psql('postgres', <<~SQL), "sold_out\n1|0", 'who comes too late is told so all the same');
	SELECT status FROM booking.try_book_ticket($sold_out, 2);
	SELECT capacity, available FROM booking.availability($sold_out)
	SQL
$round->stop;
$lock->disconnect;
freeze();
$round->check(allowed => '54000');

# ---- the sequences are at their end ----

my $last = '9223372036854775807';
my %left = (ticket => 60, hold => 5, event => 0);
my %high;

$round = $run->next_round($node);
foreach my $table (qw(ticket hold event))
{
	$high{$table} = $node->safe_psql('postgres', "SELECT coalesce(max(${table}_id), 0) FROM booking.$table") + 100_000;
	set_sequence($table, "$last - $left{$table}");
}
is(($node->psql('postgres', 'INSERT INTO booking.event (capacity) VALUES (1)'))[0], 3, 'no more events');
$round->load;
wait_until_logged('2200H', 50);
$round->stop;
$run->injected;
is( $node->safe_psql('postgres', <<~SQL), "$last|$last", 'the last number was given');
	SELECT t.last_value, h.last_value
	FROM booking.ticket_ticket_id_seq t, booking.hold_hold_id_seq h
	SQL
set_sequence($_, $high{$_}) foreach qw(ticket hold event);
$round->check(allowed => '2200H');

$run->done;
check_sound($node, 'wrapped around');
$node->stop;
done_testing();
