# Point-in-time restore to random moments.  A base backup is taken during a sale.
# Then a later moment, which is a position in the WAL, is chosen, and the backup is
# restored to it from the WAL archive.  Everything acknowledged before the moment must
# exist, and nothing that began later.  A transaction that was running must exist
# completely or not at all.  The sale must go on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults;
use File::Path qw(rmtree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $run = Faults->new('point-in-time restore', 20, 2);
my $node = $run->node(
	'sale',
	init => { allows_streaming => 1, has_archiving => 1, extra => ['--wal-segsize=1'] },
	conf => <<~'CONF');
	shared_buffers = 16MB
	CONF
my $restored = PostgreSQL::Test::Cluster->new('restored');
my $cut_off = 0;

push @{ $run->{nodes} }, $restored;

# Returns the present moment, as a position in the WAL.
sub now
{
	return $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
}

# Returns a random moment between two, not too near to the second one.
sub some_moment
{
	my ($from, $to) = @_;

	return $node->safe_psql('postgres', sprintf q{SELECT '%s'::pg_lsn + trunc(%f * ('%s'::pg_lsn - '%1$s'::pg_lsn))},
		$from, 0.9 * rand, $to);
}

# Waits until all WAL written so far is in the archive.
sub archive_all
{
	my $file = $node->safe_psql('postgres', <<~'SQL');
		SELECT pg_walfile_name(pg_current_wal_lsn()) FROM pg_switch_wal()
		SQL

	$node->poll_query_until('postgres', "SELECT last_archived_wal >= '$file' FROM pg_stat_archiver")
	  or die 'the WAL was not archived';
	return;
}

# Restores the backup to a moment, and promotes the server for the sale.
sub restore
{
	my ($moment) = @_;

	system_or_bail('cp', '-R', $node->backup_dir . '/base', $restored->data_dir);
	$restored->append_conf('postgresql.auto.conf', sprintf <<~'CONF', $restored->port, $node->archive_dir, $moment);
		port = %s
		archive_mode = off
		restore_command = 'cp "%s/%%f" "%%p"'
		recovery_target_lsn = '%s'
		recovery_target_inclusive = off
		recovery_target_timeline = current
		recovery_target_action = promote
		CONF
	$restored->set_recovery_mode;
	$restored->start;
	$restored->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()')
	  or die 'the restore does not end';
	return;
}

# Returns the id of the newest ticket of the round.
sub newest_ticket
{
	my ($round, $server) = @_;
	my $ids = join ',', keys %{ $round->{kind} };

	return $server->safe_psql('postgres', "SELECT max(ticket_id) FROM booking.ticket WHERE event_id IN ($ids)");
}

$run->make_small($node);
while (my $round = $run->next_round($node))
{
	$round->load(positions => 1, clients => 4);
	sleep 0.1 + rand 0.3;
	rmtree($node->backup_dir . '/base');
	$node->backup('base', backup_options => ['--no-manifest']);
	my $from = now();

	sleep 0.3 + rand 0.7;
	my $to = now();

	$round->stop;
	archive_all();
	my $moment = some_moment($from, $to);

	rmtree($restored->data_dir);
	restore($moment);
	$run->injected;
	$cut_off++ if newest_ticket($round, $restored) < newest_ticket($round, $node);
	$round->check(node => $restored, until => $moment);
	check_sound($restored, 'restored');
	$restored->stop;
}
is($cut_off, $run->{rounds}, 'each moment was before the end of the sale');
$run->done;
check_sound($node, 'sale');
$node->stop;
done_testing();
