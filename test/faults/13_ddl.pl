# The tables are altered while clients use them: by each kind of statement, on each
# table.  In between, the extension is dropped and created again.
#
# The tables of the shop, the pool tables of its capacity constraints and these
# constraints themselves are altered, too.
#
# The statements lock the tables exclusively.  So any client's call, even one in its
# own transaction, may fail with a deadlock (40P01), but with no other error.
# In some rounds a table of stripes gets something that pg_booking does not support.
# Then calls fail with 55000 until it is removed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults;
use Faults::Shop qw(add_constraints @CONSTRAINTS);
use List::Util qw(shuffle sum);
use Test::More;
use Time::HiRes qw(sleep);

# The number of statements in each round.  At its end, what still exists is undone.
use constant STATEMENTS => 20;

# The tables of stripes: the inventory, and the pool tables of the constraints.
my %striped = map { $_ => 1 } 'inventory', @CONSTRAINTS;

# The tables, and a column of each that is not its key.
my %column = (
	event => 'created_at', ticket => 'booked_at', hold => 'expires_at',
	request => 'created_at', user_limit => 'user_id', history => 'happened_at',
	shop_show => 'basket_ttl', shop_ticket => 'status',
	map { $_ => 'available' } keys %striped);

# The kinds of statements.  "do" changes a table, and "undo" undoes that some
# statements later.  In these, ":t" stands for the table, ":c" for its column, and
# ":n" for a number.  A list is sent statement by statement.  "on" lists the tables
# for which the kind is (default: all).  "unsupported" is set if pg_booking refuses to
# work with a table of stripes that has it.  "drops" is set if it makes the pool tables
# of the constraints again.  "missed" is a query that counts the tickets booked since
# "?" on which the change had no effect.
my %kind = (
	'REINDEX' => { do => 'REINDEX TABLE :t' },
	'REINDEX CONCURRENTLY' => { do => 'REINDEX TABLE CONCURRENTLY :t' },
	'VACUUM' => { do => 'VACUUM (FREEZE, ANALYZE) :t' },
	'VACUUM FULL' => { do => 'VACUUM FULL :t' },
	'CLUSTER' => { do => 'CLUSTER :t USING :t_pkey' },
	'ANALYZE' => { do => 'ANALYZE :t' },
	'SET (fillfactor)' => { do => 'ALTER TABLE :t SET (fillfactor = :n)' },
	'COLUMN' => {
		do => q{ALTER TABLE :t ADD extra text DEFAULT 'x'},
		undo => 'ALTER TABLE :t DROP extra', unsupported => 1,
	},
	'INDEX' => {
		do => 'CREATE INDEX :t_extra ON :t (:c)',
		undo => [ q{SELECT bt_index_check(':t_extra', true)}, 'DROP INDEX :t_extra' ],
	},
	'INDEX CONCURRENTLY' => {
		do => 'CREATE INDEX CONCURRENTLY :t_slow ON :t (:c)',
		undo => [ q{SELECT bt_index_check(':t_slow', true)}, 'DROP INDEX CONCURRENTLY :t_slow' ],
	},
	'INDEX of an expression' => {
		do => 'CREATE INDEX :t_odd ON :t ((:c IS NULL)) WHERE :c IS NOT NULL',
		undo => [ q{SELECT bt_index_check(':t_odd', true)}, 'DROP INDEX :t_odd' ], unsupported => 1,
	},
	'TRIGGER' => {
		do => 'CREATE TRIGGER see BEFORE INSERT OR UPDATE ON :t FOR EACH ROW EXECUTE FUNCTION see()',
		undo => 'DROP TRIGGER see ON :t', unsupported => 1,
	},
	'TRIGGER that writes' => {
		on => ['ticket'],
		do => 'CREATE TRIGGER seat BEFORE INSERT ON booking.ticket FOR EACH ROW EXECUTE FUNCTION seat()',
		undo => 'DROP TRIGGER seat ON booking.ticket',
		missed => 'SELECT count(*) FROM booking.ticket WHERE booked_at > ? AND seat IS NULL',
	},
	'CHECK' => {
		do => [
			'ALTER TABLE :t ADD CONSTRAINT odd CHECK (:c IS NOT NULL) NOT VALID',
			'ALTER TABLE :t VALIDATE CONSTRAINT odd'
		],
		undo => 'ALTER TABLE :t DROP CONSTRAINT odd', unsupported => 1,
	},
	'FOREIGN KEY' => {
		on => [qw(inventory ticket hold request user_limit history)], unsupported => 1,
		do => [
			'ALTER TABLE :t ADD CONSTRAINT of_event FOREIGN KEY (event_id) REFERENCES booking.event NOT VALID',
			'ALTER TABLE :t VALIDATE CONSTRAINT of_event'
		],
		undo => 'ALTER TABLE :t DROP CONSTRAINT of_event',
	},
	'FOREIGN KEY to it' => {
		on => [qw(event ticket hold history shop_show shop_ticket)],
		do => 'ALTER TABLE payment ADD CONSTRAINT to_:t FOREIGN KEY (id) REFERENCES :t',
		undo => 'ALTER TABLE payment DROP CONSTRAINT to_:t',
	},
	'keep_history()' => {
		on => ['history'], do => 'SELECT booking.keep_history()',
		undo => 'DROP TRIGGER _booking_history ON booking.ticket; DROP TRIGGER _booking_history ON booking.hold',
		missed => q{SELECT count(*) FROM booking.ticket t WHERE booked_at > ? AND NOT EXISTS
		            (SELECT FROM booking.history h WHERE h.ticket_id = t.ticket_id AND action = 'booked')},
	},
	'rebuild_capacity()' => { on => [@CONSTRAINTS], do => q{SELECT booking.rebuild_capacity(':t')} },

	# (In one transaction, so that nothing is written while there are no triggers.
	# create_tables() also continues a history that was stopped.)
	'CONSTRAINT' => {
		on => ['shop_ticket'], drops => 1,
		do => join('; ', 'BEGIN', (map { "SELECT booking.drop_capacity_constraint('$_')" } @CONSTRAINTS), add_constraints() . 'COMMIT'),
	},
	'EXTENSION' => {
		on => ['history'], drops => 1,
		do => 'BEGIN; DROP EXTENSION pg_booking CASCADE; CREATE EXTENSION pg_booking; SELECT booking.create_tables();'
		  . ' DROP TABLE ' . join(', ', @CONSTRAINTS) . '; ' . add_constraints() . 'COMMIT',
	},
);

my $run = Faults->new('DDL', 25, 4);
my $node = $run->node('ddl');
my $dbh = connect_to($node, more => ';options=--search_path=booking,public');
my (@deck, %since, %done);    # since: when each change, NAME/TABLE, was made

# Notes when a change was made, if it was not noted before.
sub note_made
{
	my ($change) = @_;

	$since{$change} //= $dbh->selectrow_array('SELECT clock_timestamp()');
	return;
}

# Notes that a change is about to be undone.  Until now it must have had an effect.
sub note_undone
{
	my ($change, $missed) = @_;
	my $since = delete $since{$change};

	return if !$missed;
	my ($count) = $dbh->selectrow_array($missed, undef, $since);

	$run->wrong("$change: " . ($count // $dbh->errstr) . " tickets were booked without its effect") if !defined $count || $count > 0;
	return;
}

# Sends a statement, again if it is the victim of a deadlock.
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
	$run->wrong("$sql: nothing but deadlocks");
	return 0;
}

# Makes a change of a table ($how is 'do'), or undoes it ('undo').
sub change
{
	my ($name, $table, $how) = @_;
	my $kind = $kind{$name};
	my $statements = $kind->{$how};
	my $number = 20 + int rand 70;
	my $sent = 0;

	note_undone("$name/$table", $kind->{missed}) if $how eq 'undo';
	foreach my $sql (ref $statements ? @$statements : $statements)
	{
		(my $text = $sql) =~ s/:([tcn])(?![a-z])/{ t => $table, c => $column{$table}, n => $number }->{$1}/eg;
		$sent += send_statement($text);
	}
	$run->injected if $sent;
	$done{$name}++ if $sent;
	note_made("$name/$table") if $how eq 'do' && $kind->{undo};
	note_made('keep_history()/history') if $name eq 'EXTENSION';
	forget_pools() if $kind->{drops};
	return;
}

# Forgets the changes of pool tables that were dropped.
sub forget_pools
{
	delete @since{ map { my $table = $_; grep { m{/$table$} } keys %since } @CONSTRAINTS };
	return;
}

# Makes or undoes one change, of the next kind in a shuffled list, on one of its
# tables.  In a round with unsupported changes they are made on tables of stripes, but
# only for a moment, because no client can book then.
sub change_something
{
	my ($unsupported) = @_;

	@deck = shuffle sort keys %kind if !@deck;
	my $name = pop @deck;
	my $kind = $kind{$name};
	my @tables = @{ $kind->{on} // [ sort keys %column ] };

	@tables = grep { !$striped{$_} == !$unsupported } @tables if $kind->{unsupported};
	my $table = $tables[ rand @tables ];

	sleep rand 0.1;
	change($name, $table, $since{"$name/$table"} ? 'undo' : 'do');
	return if !$kind->{unsupported} || !$striped{$table};
	sleep 0.02;
	change($name, $table, 'undo');
	return;
}

# Undoes all changes.
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
note_made('keep_history()/history');

while (my $round = $run->next_round($node, rows => { hot => [3000], small => [ 5, 9 ], limited => [60], expiring => [25] }))
{
	my $unsupported = $round->{number} % 4 == 0;
	my $made = $run->{injected};

	$round->load(prepared_statements => $round->{number} % 2);
	change_something($unsupported) while $run->{injected} < $made + STATEMENTS;
	change_back();
	$round->stop;
	$round->check(allowed => $unsupported ? '40P01|55000' : '40P01');
	$run->wrong(amcheck($dbh));
}
cmp_ok($done{$_} // 0, '>', 0, "done: $_") foreach sort keys %kind;
cmp_ok(sum(values %done), '>=', $run->full_or_quick(500, 80), 'the wanted number of statements was run');
cmp_ok($run->count('55000'), '>', 0, 'pg_booking refused to work with an unsupported table of stripes');
$run->done(unanswered => 0);
check_sound($node, 'ddl');
$node->stop;
done_testing();
