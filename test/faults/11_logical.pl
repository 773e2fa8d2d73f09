# All tables are replicated logically to a subscriber, which then takes over the
# sale: after the primary was stopped in good order, or after it was killed.  Then
# the subscriber was a synchronous one, and no acknowledged booking may be lost,
# though it had ceased to listen a moment before.  The next round goes the other
# way.
#
# The subscriber has the extension and its tables like any server.  Its triggers
# stay silent while it applies what the primary has written, for they are no
# ALWAYS or REPLICA triggers, and the inventory is replicated as a table.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults;
use Test::More;
use Time::HiRes qw(sleep);

my $run = Faults->new('logical replication', 5, 2);
my %server = map {
	$_ => $run->node($_,
		init => { allows_streaming => 'logical' },
		conf => "shared_buffers = 16MB\nwal_retrieve_retry_interval = 100ms\n")
} qw(one two);
my ($primary, $subscriber) = @server{qw(one two)};
my $whose_turn = "$run->{dir}/primary";
my $replicated = 0;

# Clients are told where to go by a symbolic link.
sub send_clients_to
{
	my ($node) = @_;

	unlink $whose_turn;
	symlink $node->name, $whose_turn or die "$whose_turn: $!";
	return;
}

sub connect_where_told
{
	my $name = readlink $whose_turn or return;

	return connect_to($server{$name});
}

# The subscriber gets all that is there, and all that comes.
sub subscribe
{
	my ($synchronous) = @_;

	$primary->safe_psql('postgres', 'CREATE PUBLICATION sale FOR TABLES IN SCHEMA booking');
	$subscriber->safe_psql('postgres', sprintf <<~'SQL', $primary->connstr);
		CREATE SUBSCRIPTION sale CONNECTION '%s dbname=postgres' PUBLICATION sale WITH (synchronous_commit = local)
		SQL
	$subscriber->wait_for_subscription_sync($primary, 'sale');
	return if !$synchronous;
	$primary->append_conf('postgresql.auto.conf', "synchronous_standby_names = 'sale'");
	$primary->reload;
	$primary->poll_query_until('postgres',
		q{SELECT sync_state = 'sync' FROM pg_stat_replication WHERE application_name = 'sale'})
	  or die 'the subscriber does not become synchronous';
	return;
}

# The primary is killed, when the subscriber listens no more.
sub kill_primary
{
	my ($round) = @_;

	$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION sale DISABLE');
	sleep rand 0.2;
	$round->kill_all;
	return;
}

# What a user does when the primary is gone.  Sequences are not replicated; the
# newest id that is there may be less than the newest that was given, for that row
# may have been deleted.
sub take_over
{
	my @tables = (qw(event ticket hold), has_history($subscriber) ? 'history' : ());

	$subscriber->safe_psql('postgres', <<~'SQL');
		ALTER SUBSCRIPTION sale DISABLE;
		ALTER SUBSCRIPTION sale SET (slot_name = NONE);
		DROP SUBSCRIPTION sale;
		SQL
	$subscriber->safe_psql('postgres', <<~SQL) foreach @tables;
		SELECT setval(pg_get_serial_sequence('booking.$_', '${_}_id'), coalesce(max(${_}_id), 0) + 10000)
		FROM booking.$_
		SQL
	my $problems = $subscriber->safe_psql('postgres', 'SELECT * FROM booking.verify()');

	$run->wrong("verify() of the subscriber: $problems") if $problems ne '';
	$replicated += $subscriber->safe_psql('postgres', 'SELECT count(*) FROM booking.ticket');
	return;
}

sub has_history
{
	my ($node) = @_;

	return $node->safe_psql('postgres', q{SELECT to_regclass('booking.history') IS NOT NULL}) eq 't';
}

# What the tables say, in a form that can be compared.
sub contents
{
	my ($node) = @_;

	return $node->safe_psql('postgres', join ' UNION ALL ',
		map { "SELECT '$_', count(*), md5(string_agg(t::text, ';' ORDER BY t::text)) FROM booking.$_ t" }
		  qw(event inventory ticket hold request user_limit), has_history($node) ? 'history' : ());
}

# What was the primary forgets all, to be the subscriber of the next round.
sub start_anew
{
	my ($node) = @_;

	$node->safe_psql('postgres', <<~'SQL');
		SET synchronous_commit = local;
		DROP PUBLICATION sale;
		SELECT pg_drop_replication_slot('sale');
		DROP EXTENSION pg_booking CASCADE;
		DROP SCHEMA booking CASCADE;
		CREATE EXTENSION pg_booking;
		SELECT booking.create_tables();
		ALTER SYSTEM RESET synchronous_standby_names;
		SQL
	$node->reload;
	return;
}

while (my $round = $run->next_round($primary))
{
	my $killed = $run->{round} % 2 == 0;
	my $before;

	# a history is kept from the second round on
	if ($run->{round} > 1)
	{
		$_->safe_psql('postgres', 'SELECT booking.keep_history()') foreach $primary, $subscriber;
	}
	send_clients_to($primary);
	$round->load(connect => \&connect_where_told, keyed => 1, clients => 4);
	subscribe($killed);
	sleep 0.3 + rand 0.5;
	$killed ? kill_primary($round) : $primary->stop('fast');
	$run->injected;
	take_over();
	$before = contents($subscriber);
	send_clients_to($subscriber);
	sleep 0.3;
	$round->stop;
	$round->check(node => $subscriber, allowed => '57P0[123]');
	check_sound($subscriber, 'taken over');
	$primary->start;
	check_sound($primary, 'left behind');
	is($before, contents($primary), 'the subscriber had what the primary had') if !$killed;
	start_anew($primary);
	($primary, $subscriber) = ($subscriber, $primary);
}
cmp_ok($replicated, '>', 0, 'tickets were replicated');
$run->done;
$_->stop foreach values %server;
done_testing();
