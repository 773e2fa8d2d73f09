# The tables are altered while clients are at work on them: each kind of
# statement on each table, the extension dropped and made again among them.
#
# What a client may get for it is a deadlock (40P01), also for a call by itself: the
# statements lock the tables against everybody.  Nothing else, but while the
# inventory has what pg_booking did not make: then it is 55000, and after it
# has gone all is as before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults;
use List::Util qw(shuffle sum);
use Test::More;
use Time::HiRes qw(sleep);

# So many statements in each round, and some more to take back what still stands.
use constant STATEMENTS => 20;

# The tables, and a column of each that is not its key.
my %column = (
	event => 'created_at', inventory => 'available', ticket => 'booked_at', hold => 'expires_at',
	request => 'created_at', user_limit => 'user_id', history => 'happened_at');

# The kinds of statements.  "do": what is done to a table; "undo": what takes it
# back some statements later (":t" stands for the table, ":c" for its column, ":n"
# for a number); of a list the statements are sent one by one.  "on": the tables
# that it is for (default: all).  "alien": pg_booking refuses to work with an
# inventory that has this.  "missed": tickets booked since it was done ("?") on
# which it had no effect.
my %kind = (
	'REINDEX' => { do => 'REINDEX TABLE booking.:t' },
	'REINDEX CONCURRENTLY' => { do => 'REINDEX TABLE CONCURRENTLY booking.:t' },
	'VACUUM' => { do => 'VACUUM (FREEZE, ANALYZE) booking.:t' },
	'VACUUM FULL' => { do => 'VACUUM FULL booking.:t' },
	'CLUSTER' => { do => 'CLUSTER booking.:t USING :t_pkey' },
	'ANALYZE' => { do => 'ANALYZE booking.:t' },
	'SET (fillfactor)' => { do => 'ALTER TABLE booking.:t SET (fillfactor = :n)' },
	'COLUMN' => {
		do => q{ALTER TABLE booking.:t ADD extra text DEFAULT 'x'},
		undo => 'ALTER TABLE booking.:t DROP extra', alien => 1,
	},
	'INDEX' => {
		do => 'CREATE INDEX :t_extra ON booking.:t (:c)',
		undo => [ q{SELECT bt_index_check('booking.:t_extra', true)}, 'DROP INDEX booking.:t_extra' ],
	},
	'INDEX CONCURRENTLY' => {
		do => 'CREATE INDEX CONCURRENTLY :t_slow ON booking.:t (:c)',
		undo => [ q{SELECT bt_index_check('booking.:t_slow', true)}, 'DROP INDEX CONCURRENTLY booking.:t_slow' ],
	},
	'INDEX of an expression' => {
		do => 'CREATE INDEX :t_odd ON booking.:t ((:c IS NULL)) WHERE :c IS NOT NULL',
		undo => [ q{SELECT bt_index_check('booking.:t_odd', true)}, 'DROP INDEX booking.:t_odd' ], alien => 1,
	},
	'TRIGGER' => {
		do => 'CREATE TRIGGER see BEFORE INSERT OR UPDATE ON booking.:t FOR EACH ROW EXECUTE FUNCTION see()',
		undo => 'DROP TRIGGER see ON booking.:t', alien => 1,
	},
	'TRIGGER that writes' => {
		on => ['ticket'],
		do => 'CREATE TRIGGER seat BEFORE INSERT ON booking.ticket FOR EACH ROW EXECUTE FUNCTION seat()',
		undo => 'DROP TRIGGER seat ON booking.ticket',
		missed => 'SELECT count(*) FROM booking.ticket WHERE booked_at > ? AND seat IS NULL',
	},
	'CHECK' => {
		do => [
			'ALTER TABLE booking.:t ADD CONSTRAINT odd CHECK (:c IS NOT NULL) NOT VALID',
			'ALTER TABLE booking.:t VALIDATE CONSTRAINT odd'
		],
		undo => 'ALTER TABLE booking.:t DROP CONSTRAINT odd', alien => 1,
	},
	'FOREIGN KEY' => {
		on => [qw(inventory ticket hold request user_limit history)], alien => 1,
		do => [
			'ALTER TABLE booking.:t ADD CONSTRAINT of_event FOREIGN KEY (event_id) REFERENCES booking.event NOT VALID',
			'ALTER TABLE booking.:t VALIDATE CONSTRAINT of_event'
		],
		undo => 'ALTER TABLE booking.:t DROP CONSTRAINT of_event',
	},
	'FOREIGN KEY to it' => {
		on => [qw(event ticket hold history)],
		do => 'ALTER TABLE payment ADD CONSTRAINT to_:t FOREIGN KEY (id) REFERENCES booking.:t',
		undo => 'ALTER TABLE payment DROP CONSTRAINT to_:t',
	},
	'keep_history()' => {
		on => ['history'], do => 'SELECT booking.keep_history()',
		undo => 'DROP TRIGGER booking_history ON booking.ticket; DROP TRIGGER booking_history ON booking.hold',
		missed => q{SELECT count(*) FROM booking.ticket t WHERE booked_at > ? AND NOT EXISTS
		            (SELECT FROM booking.history h WHERE h.ticket_id = t.ticket_id AND action = 'booked')},
	},
	# (in one transaction, so that no writer passes while there are no triggers;
	# that makes the history go on if it was stopped)
	'EXTENSION' => {
		on => ['history'],
		do => 'BEGIN; DROP EXTENSION pg_booking CASCADE; CREATE EXTENSION pg_booking; SELECT booking.create_tables(); COMMIT',
	},
);

my $run = Faults->new('DDL', 25, 4);
my $node = $run->node('ddl');
my $dbh = connect_to($node);
my (@deck, %since, %done);    # since when a change stands, by NAME/TABLE

# From now on it stands, if it did not before.
sub stands
{
	my ($change) = @_;

	$since{$change} //= $dbh->selectrow_array('SELECT clock_timestamp()');
	return;
}

# It does not stand any more.  While it did, it must have had its effect.
sub stands_no_more
{
	my ($change, $missed) = @_;
	my $since = delete $since{$change};

	return if !$missed;
	my ($count) = $dbh->selectrow_array($missed, undef, $since);

	$run->wrong("$change: " . ($count // $dbh->errstr) . " tickets were booked without it") if !defined $count || $count > 0;
	return;
}

# Sends a statement until it is no victim of a deadlock.
sub send_statement
{
	my ($sql) = @_;

	for (1 .. 100)
	{
		return 1 if defined $dbh->do($sql);
		my ($state, $message) = ($dbh->state, $dbh->errstr);

		$dbh->do('ROLLBACK') if $sql =~ /^BEGIN/;
		next if $state eq '40P01';
		$run->wrong("$sql: $state $message");
		return 0;
	}
	$run->wrong("$sql: deadlocks only");
	return 0;
}

# Does that to a table, or takes it back.
sub change
{
	my ($name, $table, $how) = @_;
	my $kind = $kind{$name};
	my $statements = $kind->{$how};
	my $number = 20 + int rand 70;
	my $sent = 0;

	stands_no_more("$name/$table", $kind->{missed}) if $how eq 'undo';
	foreach my $sql (ref $statements ? @$statements : $statements)
	{
		(my $text = $sql) =~ s/:([tcn])(?![a-z])/{ t => $table, c => $column{$table}, n => $number }->{$1}/eg;
		$sent += send_statement($text);
	}
	$run->injected if $sent;
	$done{$name}++ if $sent;
	stands("$name/$table") if $how eq 'do' && $kind->{undo};
	stands('keep_history()/history') if $name eq 'EXTENSION';
	return;
}

# One of those kinds, dealt like cards, to one of its tables.  In a round for
# aliens the inventory has them, but not for long: nobody can book.
sub change_something
{
	my ($aliens) = @_;

	@deck = shuffle sort keys %kind if !@deck;
	my $name = pop @deck;
	my $kind = $kind{$name};
	my @tables = @{ $kind->{on} // [ sort keys %column ] };

	@tables = grep { ($_ eq 'inventory') == $aliens } @tables if $kind->{alien};
	my $table = $tables[ rand @tables ];

	sleep rand 0.1;
	change($name, $table, $since{"$name/$table"} ? 'undo' : 'do');
	return if !$kind->{alien} || $table ne 'inventory';
	sleep 0.02;
	change($name, $table, 'undo');
	return;
}

# Takes back all that stands.
sub change_back
{
	change(split(m{/}, $_), 'undo') foreach shuffle sort keys %since;
	return;
}

$node->safe_psql('postgres', <<~'SQL');
	CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE FUNCTION seat() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.seat := gen_random_uuid(); RETURN NEW; END';
	CREATE TABLE payment (id bigint);
	SELECT booking.keep_history();
	SQL
stands('keep_history()/history');

while (my $round = $run->next_round($node, rows => { hot => [3000], small => [ 5, 9 ], limited => [60], expiring => [25] }))
{
	my $aliens = $round->{number} % 4 == 0;
	my $made = $run->{injected};

	$round->load(prepared => $round->{number} % 2);
	change_something($aliens) while $run->{injected} < $made + STATEMENTS;
	change_back();
	$round->stop;
	$round->check(allowed => $aliens ? '40P01|55000' : '40P01');
	$run->wrong(amcheck($dbh));
}
cmp_ok($done{$_} // 0, '>', 0, "done: $_") foreach sort keys %kind;
cmp_ok(sum(values %done), '>=', $run->full_or_quick(500, 80), 'so many statements were run');
cmp_ok($run->count('55000'), '>', 0, 'an inventory that is not as it was made is not worked with');
$run->done(unanswered => 0);
check_sound($node, 'ddl');
$node->stop;
done_testing();
