# A power cut: all processes end at the same moment, and all WAL that was written
# since the last sync is lost.
#
# The server runs with powercut.c, whose records show which WAL was not synced.
# Data files need no such treatment.  A page is written only after the WAL up to its
# last change has been synced.  Other changes that a disk could lose are in the WAL
# since the last checkpoint, which synced the files.  So no data file contains a
# change that the WAL has lost.
#
# The control is the same with synchronous_commit = off.  It must lose acknowledged
# bookings; otherwise this test could not see a power cut.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../t", "$FindBin::RealBin/lib";

use BookingTest;
use Faults qw(end_of_wal);
use Fcntl qw(SEEK_CUR SEEK_SET);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# A record of powercut.c: what, pid, inode, offset, length.
use constant { RECORD => 'Q5', RECORD_SIZE => 40 };
use constant { WRITE_BEGINS => 0, WRITE_DONE => 1, SYNC_BEGINS => 2, SYNC_DONE => 3 };

my $dir = PostgreSQL::Test::Utils::tempdir();
my $records = "$dir/records";

# Runs code that starts servers; they run with powercut.c.
sub with_records
{
	my ($code) = @_;

	local $ENV{LD_PRELOAD} = "$dir/powercut.so";
	local $ENV{POWERCUT_LOG} = $records;
	return $code->();
}

# Stops all processes of the server first, so that no record is incomplete, and then
# kills them.
sub end_processes
{
	my ($round) = @_;
	my $node = $round->{node};
	my $until = time() + 60;
	my @running;

	do
	{
		# (a stopped postmaster starts no new processes)
		@running = grep { (stat_of($_) // 'Z') !~ /[TZ]/ } $round->processes;
		kill 'STOP', @running;
		sleep 0.001;
	} while (@running && time() < $until);
	kill 'KILL', $round->processes;
	$node->kill9;
	sleep 0.002 while $round->processes && time() < $until;
	return;
}

# The state of a process: R, S, T, ...
sub stat_of
{
	my ($pid) = @_;

	open my $file, '<', "/proc/$pid/stat" or return;
	return (<$file> // '') =~ /\) (\S)/ ? $1 : undef;
}

# Reads the records.  Returns the writes to the WAL that no sync covers, in order.
sub unsynced_writes
{
	my (@writes, %writing, %syncing);

	open my $file, '<:raw', $records or die "$records: $!";
	while (read($file, my $record, RECORD_SIZE) == RECORD_SIZE)
	{
		my ($what, $pid, $inode, $offset, $length) = unpack RECORD, $record;

		if ($what == WRITE_BEGINS)
		{
			$writing{$pid} = { inode => $inode, offset => $offset };
			push @writes, $writing{$pid};
			read($file, $writing{$pid}{before}, $length) == $length or die 'the last record is not whole';
		}
		elsif ($what == WRITE_DONE)
		{
			$writing{$pid}{done} = 1;
		}
		elsif ($what == SYNC_BEGINS)
		{
			$syncing{$pid} = [ grep { $_->{inode} == $inode && $_->{done} } @writes ];
		}
		else
		{
			$_->{synced} = 1 foreach @{ $syncing{$pid} };
			@writes = grep { !$_->{synced} } @writes;
		}
	}
	return @writes;
}

# Undoes writes, the last one first.  Returns how many bytes this has changed.
sub undo
{
	my ($folder, @writes) = @_;
	my %name = map { (stat $_)[1] => $_ } glob "$folder/*";
	my $changed = 0;

	foreach my $write (reverse @writes)
	{
		my $segment = $name{ $write->{inode} } // die 'no such segment';
		my $before = $write->{before};

		open my $file, '+<:raw', $segment or die "$segment: $!";
		seek $file, $write->{offset}, SEEK_SET;
		read $file, my $now, length $before;
		$changed += ($now ^ $before) =~ tr/\0//c;
		seek $file, $write->{offset}, SEEK_SET;
		print $file $before;
		close $file or die "$segment: $!";
	}
	return $changed;
}

# Cuts the power.  Returns how many bytes of WAL are lost.
sub cut_power
{
	my ($round) = @_;

	end_processes($round);
	my $gone = undo($round->{node}->data_dir . '/pg_wal', unsynced_writes());

	unlink $records;
	return $gone;
}

# Makes a server that records its writes and syncs of WAL.
sub server
{
	my ($run, $name) = @_;

	return with_records(sub { $run->node($name, conf => <<~'CONF') });
		fsync = on
		wal_sync_method = fdatasync
		CONF
}

# Cuts the power under load.  Returns how many bytes of WAL are lost.
sub cut_under_load
{
	my ($run, $round, %options) = @_;
	my $gone;

	$round->load(%options);
	sleep 0.2 + rand 0.5;
	$round->crash(sub { $gone = cut_power($round) });
	$run->injected;
	return $gone;
}

# The promise: no acknowledged booking is lost.
sub power_cuts
{
	my $run = Faults->new('power cut', 20, 3);
	my $node = server($run, 'power');
	my $in_the_middle = 0;

	while (my $round = $run->next_round($node))
	{
		$in_the_middle++ if cut_under_load($run, $round) > 0;
		with_records(sub { $round->start_again });
		sleep rand 0.1;
		$round->stop;
		$round->check;
	}
	cmp_ok($in_the_middle, '>=', $run->full_or_quick(10, 1), 'the power was cut between a write and its sync');
	$run->done;
	check_sound($node, 'power cut');
	$node->stop;
	return;
}

# The control: the sessions of the load don't wait for the sync.  Only transactions
# after the end of the recovered WAL may be lost.
sub power_cuts_without_sync
{
	my $run = Faults->new('power cut, control: synchronous_commit = off', 20, 3);
	my $node = server($run, 'control');
	my $connect = sub {
		my $dbh = connect_to($node) or return;

		$dbh->do('SET synchronous_commit = off');
		return $dbh;
	};
	my $lossy = 0;

	while (my $round = $run->next_round($node))
	{
		cut_under_load($run, $round, positions => 1, connect => $connect);
		$round->stop;    # later transactions would reuse the WAL positions of the lost ones
		with_records(sub { $round->start_again });
		my (undef, @lost) = $round->judge(connect_to($node));

		$lossy++ if @lost;
		note("round $round->{number}: ", scalar @lost, " findings, such as $lost[0]") if @lost;
		$round->check(until => end_of_wal($node), may_lose_all => 1);
	}
	cmp_ok($lossy, '>=', $run->full_or_quick(10, 1), 'without waiting for the sync, bookings were lost');
	$run->done;
	check_sound($node, 'control');
	$node->stop;
	return;
}

system_or_bail(
	$ENV{CC} // 'cc', '-Wall', '-Wextra', '-Werror', '-O2', '-shared', '-fPIC',
	'-o', "$dir/powercut.so", "$FindBin::RealBin/powercut.c");
power_cuts();
power_cuts_without_sync();
done_testing();
