# Prepared transactions survive a crash.  They book, hold, confirm and cancel, some of
# them many places, so that they had prefetched places.  While they are prepared,
# other sessions sell the same events, and must wait for them in some cases.  After
# the crash each is committed or rolled back.  Then its changes must exist completely
# or not at all.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults;
use List::Util qw(shuffle);
use Test::More;
use Time::HiRes qw(sleep);

# The capacity of an event and of a show that are sold by prepared transactions alone.
use constant PLACES => 40;

my $run = Faults->new('prepared transaction', 100, 4);
my $node = $run->node('prepared', conf => <<~'CONF');
	max_prepared_transactions = 500
	CONF
# Several events, so that prepared transactions do not stop the whole sale.
my %rows = (hot => [ (80) x 10 ], small => [ 5, 9, 12 ], limited => [ 60, 40 ], expiring => [ 25, 15 ]);
my %ended = (ok => 0, undone => 0);
my $made_wait = 0;

# A connection that waits for locks only a short time.
sub connect_impatient
{
	my $dbh = connect_to($node) or return;

	$dbh->do('SET lock_timeout = 20');
	return $dbh;
}

# How an event and a show are made, sold by a prepared transaction (given its id, a user
# and the number of places), sold by others at the same time, and then to the last place.
my %sale = (
	event => {
		make => 'INSERT INTO booking.event (capacity) VALUES (?) RETURNING event_id',
		sell => [
			'SELECT booking.book_tickets(?, ?, ?)',
			'INSERT INTO booking.ticket (event_id, user_id) SELECT ?, ? FROM generate_series(1, ?)'
		],
		others => ['SELECT booking.try_book_ticket(?, 100)', 'INSERT INTO booking.ticket VALUES (DEFAULT, ?, 100)'],
		rest => <<~SQL,
			SELECT status, count(*)
			FROM generate_series(1, ${\PLACES} + 1) AS i, booking.try_book_ticket(?, 100 + i)
			GROUP BY status ORDER BY status
			SQL
	},
	show => {
		make => 'INSERT INTO shop_show (capacity) VALUES (?) RETURNING id',
		sell => [
			'INSERT INTO shop_ticket (show_id, user_id, places) VALUES (?, ?, ?)',
			'INSERT INTO shop_ticket (show_id, user_id)'
			  . ' SELECT ?::bigint, ?::bigint FROM generate_series(1, ?::integer)'
		],
		others => [
			'INSERT INTO shop_ticket (show_id, user_id) VALUES (?, 100)',
			q{INSERT INTO shop_ticket (show_id, user_id, status) VALUES (?, 100, 'basket')}
		],
		rest => <<~SQL,
			WITH rest AS MATERIALIZED (SELECT sell_the_rest(?) AS sold)
			SELECT 'booked', sold FROM rest WHERE sold > 0
			UNION ALL
			SELECT 'sold_out', ${\PLACES} + 1 - sold FROM rest
			SQL
	});

# Prepares a transaction that sells some places of a new event or show, one by one or
# three at once.  Returns the kind, the event, the transaction's GID and the number of
# places.
sub prepare_sale
{
	my ($round, $kind) = @_;
	my $dbh = connect_to($node);
	my ($event) = $dbh->selectrow_array($sale{$kind}{make}, undef, PLACES);
	my %new = (kind => $kind, event => $event, gid => "sale-$kind-$round->{number}", places => 0);

	$dbh->do('BEGIN');
	while ($new{places} < PLACES && ($new{places} < 12 || rand() < 0.95))
	{
		my $quantity = rand() < 0.8 || $new{places} > PLACES - 3 ? 1 : 3;

		$dbh->do($sale{$kind}{sell}[ rand 2 ], undef, $event, 100, $quantity) or die $dbh->errstr;
		$new{places} += $quantity;
	}
	$dbh->do("PREPARE TRANSACTION '$new{gid}'") or die $dbh->errstr;
	$dbh->disconnect;
	return \%new;
}

# While they are prepared, another session must get neither one of these places nor the
# answer "sold out": it must wait.
sub expect_to_wait
{
	my ($when, @sales) = @_;
	my $dbh = connect_impatient();

	foreach my $sale (@sales)
	{
		foreach my $sql (@{ $sale{ $sale->{kind} }{others} })
		{
			$dbh->do($sql, undef, $sale->{event});
			$run->wrong("$when, \"$sql\" beside a prepared sale: " . $dbh->state) if $dbh->state ne '55P03';
			$made_wait++;
		}
	}
	$dbh->disconnect;
	return;
}

# After it has ended, exactly the places that it has not taken can be sold.
sub expect_the_rest
{
	my ($sale, $outcome) = @_;
	my $dbh = connect_to($node);
	my $rest = PLACES - ($outcome eq 'ok' ? $sale->{places} : 0);
	my $rows = $dbh->selectall_arrayref($sale{ $sale->{kind} }{rest}, undef, $sale->{event}) // [ [ $dbh->errstr ] ];
	my $sold = join ', ', map { "@$_" } @$rows;
	my $expected = join ', ', $rest ? "booked $rest" : (), 'sold_out ' . (PLACES + 1 - $rest);

	$dbh->disconnect;
	$run->wrong("after a prepared sale of $sale->{places} ($outcome): $sold") if $sold ne $expected;
	return;
}

# Commits or rolls back prepared transactions at random.  Returns what was decided.
sub decide
{
	my (@gids) = @_;
	my $dbh = connect_to($node);
	my %decided;

	foreach my $gid (@gids)
	{
		my $outcome = rand() < 0.5 ? 'ok' : 'undone';

		$dbh->do(($outcome eq 'ok' ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$gid'")
		  or $run->wrong("transaction $gid cannot be ended: " . $dbh->errstr);
		$decided{$gid} = $outcome;
		$ended{$outcome}++;
	}
	$dbh->disconnect;
	return %decided;
}

# Returns the GIDs of transactions that were prepared before a moment.
sub standing
{
	my ($before) = @_;

	return split /\n/, $node->safe_psql('postgres',
		"SELECT gid FROM pg_prepared_xacts WHERE prepared < $before ORDER BY gid");
}

while (my $round = $run->next_round($node, rows => \%rows))
{
	my @sales = map { prepare_sale($round, $_) } qw(event show);

	expect_to_wait('before the crash', @sales);
	$round->load(clients => 8, connect => \&connect_impatient, several => 0.4, most_calls => 8, prepare => 0.7);
	sleep 0.2 + rand 0.4;
	$node->poll_query_until('postgres', 'SELECT count(*) > 2 FROM pg_prepared_xacts')
	  or die 'nothing is prepared';
	$node->stop('immediate');
	$node->start;
	expect_to_wait('after the crash', @sales);

	# some are ended while clients book and prepare other transactions
	my @gids = shuffle(grep { !/^sale/ } standing('pg_postmaster_start_time()'));
	$run->injected;
	sleep rand 0.2;
	my %decided = decide(splice @gids, int rand @gids);
	sleep rand 0.2;
	$round->stop;
	%decided = (%decided, decide(standing('now()')));
	expect_the_rest($_, $decided{ $_->{gid} }) foreach @sales;
	$round->check(allowed => '55P03|57P0[123]', decided => \%decided);
}
cmp_ok($ended{$_}, '>', $run->{rounds}, "$ended{$_} prepared transactions were ended: $_") foreach sort keys %ended;
cmp_ok($run->count('55P03'), '>', $run->{rounds}, 'clients waited for prepared transactions, and gave up');
cmp_ok($made_wait, '>', 0, 'calls that had to wait for a prepared sale did wait');
$run->done;
check_sound($node, 'prepared');
$node->stop;
done_testing();
