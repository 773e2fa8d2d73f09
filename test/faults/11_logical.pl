# All tables are replicated logically to a subscriber, which then takes over the
# sale.  In odd rounds the primary is shut down before.  In even rounds it is killed,
# and the subscriber was synchronous: no acknowledged booking may be lost, although
# the subscription was disabled just before.  Each round changes the roles.
#
# The subscriber has the extension and its tables like any server.  Its triggers do
# not fire while it applies changes of the primary, because they are not ALWAYS or
# REPLICA triggers.  The inventory is replicated as a table.
#
# Named locks are replicated as rows.  The sequence of their tokens is moved.
#
# The shop's tables are published, too.  Who takes over rebuilds their constraints.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults;
use Faults::NamedLocks qw(grant_locks lost_locks skip_tokens old_tokens);
use Faults::Shop qw(create_shop @CONSTRAINTS);
use Test::More;
use Time::HiRes qw(sleep);

my $run = Faults->new('logical replication', 5, 2);
my %server = map {
	$_ => $run->node($_,
		init => { allows_streaming => 'logical' },
		conf => "shared_buffers = 16MB\nwal_retrieve_retry_interval = 100ms\n")
} qw(one two);
my ($primary, $subscriber) = @server{qw(one two)};
my $primary_link = "$run->{dir}/primary";
my %replicated = ('booking.ticket' => 0, 'shop_ticket' => 0);

# Tells the clients by a symbolic link which server to connect to.
sub send_clients_to
{
	my ($node) = @_;

	unlink $primary_link;
	symlink $node->name, $primary_link or die "$primary_link: $!";
	return;
}

sub connect_where_told
{
	my $name = readlink $primary_link or return;

	return connect_to($server{$name});
}

# Subscribes to all tables: first their contents are copied, then all changes.
sub subscribe
{
	my ($synchronous) = @_;

	$primary->safe_psql('postgres',
		'CREATE PUBLICATION sale FOR TABLES IN SCHEMA booking, TABLE shop_show, shop_ticket');
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

# Kills the primary, after disabling the subscription.
sub kill_primary
{
	my ($round) = @_;

	$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION sale DISABLE');
	sleep rand 0.2;
	$round->kill_all;
	return;
}

# Does what a user does when the primary is gone.  Sequences are not replicated, so
# they are set far beyond the newest ids in the tables.  (Those of the shop descend.)  The newest id that was ever
# given may be larger, because its row may have been deleted.
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
	skip_tokens($subscriber);
	$subscriber->safe_psql('postgres', <<~SQL) foreach qw(shop_show shop_ticket);
		SELECT setval(pg_get_serial_sequence('$_', 'id'), coalesce(min(id), 0) - 10000) FROM $_
		SQL
	$subscriber->safe_psql('postgres', "SELECT booking.rebuild_capacity('$_')") foreach @CONSTRAINTS;
	my $problems = $subscriber->safe_psql('postgres', 'SELECT * FROM booking.verify(); SELECT * FROM booking.verify_capacity()');

	$run->wrong("verify() of the subscriber: $problems") if $problems ne '';
	$replicated{$_} += $subscriber->safe_psql('postgres', "SELECT count(*) FROM $_") foreach keys %replicated;
	return;
}

sub has_history
{
	my ($node) = @_;

	return $node->safe_psql('postgres', q{SELECT to_regclass('booking.history') IS NOT NULL}) eq 't';
}

# Returns the contents of the tables, in a form that can be compared.  (The pools of the
# constraints were rebuilt.)
sub contents
{
	my ($node) = @_;

	return $node->safe_psql('postgres', join ' UNION ALL ',
		map { "SELECT '$_', count(*), md5(string_agg(t::text, ';' ORDER BY t::text)) FROM $_ t" }
		  qw(shop_show shop_ticket),
		map { "booking.$_" } qw(event inventory ticket hold request user_limit resource_lock), has_history($node) ? 'history' : ());
}

# Removes everything from the old primary, which becomes the next round's subscriber.
sub reset_server
{
	my ($node) = @_;

	$node->safe_psql('postgres', <<~'SQL');
		SET synchronous_commit = local;
		DROP PUBLICATION sale;
		SELECT pg_drop_replication_slot('sale');
		DROP EXTENSION pg_booking CASCADE;
		DROP SCHEMA booking CASCADE;
		DROP TABLE shop_ticket, shop_show;
		DROP FUNCTION sell_the_rest;
		CREATE EXTENSION pg_booking;
		SELECT booking.create_tables();
		ALTER SYSTEM RESET synchronous_standby_names;
		SQL
	$node->reload;
	create_shop($node);
	return;
}

while (my $round = $run->next_round($primary))
{
	my $killed = $run->{round} % 2 == 0;
	my $before;

	# from the second round on, a history is kept
	if ($run->{round} > 1)
	{
		$_->safe_psql('postgres', 'SELECT booking.keep_history()') foreach $primary, $subscriber;
	}
	send_clients_to($primary);
	$round->load(connect => \&connect_where_told, keyed => 1, clients => 4);
	subscribe($killed);
	my $granted = grant_locks($primary, $run->{round});

	sleep 0.3 + rand 0.5;
	$killed ? kill_primary($round) : $primary->stop('fast');
	$run->injected;
	take_over();
	$before = contents($subscriber);
	$run->wrong("the lock of $_ was lost") foreach lost_locks($subscriber, $granted);
	$run->wrong("token $_ can be given again") foreach old_tokens($subscriber, $granted);
	send_clients_to($subscriber);
	sleep 0.3;
	$round->stop;
	$round->check(node => $subscriber, allowed => '57P0[123]');
	check_sound($subscriber, 'taken over');
	$primary->start;
	check_sound($primary, 'left behind');
	is($before, contents($primary), 'the subscriber had the same contents as the primary') if !$killed;
	reset_server($primary);
	($primary, $subscriber) = ($subscriber, $primary);
}
cmp_ok($replicated{$_}, '>', 0, "rows of $_ were replicated") foreach sort keys %replicated;
$run->done;
$_->stop foreach values %server;
done_testing();
