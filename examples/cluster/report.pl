#!/usr/bin/perl
#
# report.pl - compares what the clients of a sale were told with the tables.
#
# usage: report.pl FOLDER SHARDS KILLED MOVED
#
# KILLED is the shard whose primary was killed, and MOVED the one that was moved.  Only
# the clients of these may have waited long, and only those of KILLED may have got
# errors.  FOLDER has
#
#	journal.*   what the clients were told (client.pl)
#	server.N    the server of shard N, and its address
#	events.N    the events of shard N: id, capacity
#	tickets.N   its tickets: id, event, user, time
#	verify.N    what booking.verify() has found
#
# Prints a table of the shards, the errors, and each problem.  The exit status is 0 only
# if there is none.

use strict;
use warnings;

use List::Util qw(max sum0);

# A longer wait than this, in seconds, is not one for a busy machine.
my $LONG = 2;

my ($folder, $shards, $killed, $moved) = @ARGV;
my @shards = map { { calls => 0, errors => 0, sent_again => 0, times => [], sold => 0 } } 1 .. $shards;
my (%told, %failed, %states, %capacity, %sold_out, %sold, @problems);

# Returns the lines of files, each as a list of fields.
sub lines
{
	my (@files) = @_;
	my @lines;

	foreach my $file (@files)
	{
		open my $handle, '<', $file or die "$file: $!";
		push @lines, map { chomp; [ split /\t/ ] } <$handle>;
	}
	return @lines;
}

# Reads what the clients were told.  %told has the event and ticket of each user that
# was told of a ticket, and %failed the time of each user's last error.
sub read_journals
{
	foreach my $line (lines(glob "$folder/journal.*"))
	{
		my ($time, $n, $event, $user, $answer, $ticket) = @$line;
		my $shard = $shards[$n];

		if ($answer !~ /^[a-z_]+$/)
		{
			$shard->{errors}++;
			$states{$answer}++;
			$failed{$user} = $time;
			next;
		}
		$shard->{calls}++;
		$shard->{sent_again}++ if $failed{$user};
		push @{ $shard->{times} }, $time;
		$sold_out{$event} = 1 if $answer eq 'sold_out';
		$told{$user} = { event => $event, ticket => $ticket } if $answer eq 'booked';
		push @problems, "the answer of event $event is $answer" if $answer !~ /^(?:booked|sold_out)$/;
	}
	return;
}

# Compares the tickets of a shard with what their users were told.
sub compare_tickets
{
	my ($n) = @_;

	foreach my $line (lines("$folder/tickets.$n"))
	{
		my ($id, $event, $user, $time) = @$line;
		my $told = $told{$user};

		$shards[$n]{sold}++;
		$sold{$event}++;
		push @problems, "ticket $id of event $event is on shard $n" if $id % $shards != $n || $event % $shards != $n;
		if (!$told)
		{
			push @problems, "user $user was not told of ticket $id";
		}
		elsif ($told->{ticket} ne $id || $told->{event} ne $event)
		{
			push @problems, "user $user has ticket $id, but was told of ticket $told->{ticket}";
		}
		push @problems, "user $user has several tickets" if $told && $told->{found}++;
		$shards[$n]{kept} += $failed{$user} && $failed{$user} > $time ? 1 : 0;
	}
	return;
}

# Compares the events of a shard with its tickets.
sub compare_events
{
	my ($n) = @_;

	foreach my $line (lines("$folder/events.$n"))
	{
		my ($event, $capacity) = @$line;
		my $sold = $sold{$event} // 0;

		$capacity{$event} = $capacity;
		$shards[$n]{events}++;
		$shards[$n]{places} += $capacity;
		push @problems, "event $event has $capacity places, but $sold tickets" if $sold > $capacity;
		push @problems, "event $event was sold out with $sold tickets for $capacity places"
		  if $sold_out{$event} && $sold < $capacity;
	}
	my @wrong = map { "booking.verify() of shard $n: @$_" } lines("$folder/verify.$n");

	$shards[$n]{verify} = @wrong ? scalar @wrong : 'ok';
	push @problems, @wrong;
	return;
}

# Sets the longest time between two answers of a shard.
sub find_gap
{
	my ($n) = @_;
	my @times = sort { $a <=> $b } @{ $shards[$n]{times} };
	my $gap = max(0, map { $times[$_] - $times[ $_ - 1 ] } 1 .. $#times);

	$shards[$n]{gap} = $gap;
	push @problems, "the clients of shard $n have bought nothing" if !$shards[$n]{sold};
	push @problems, sprintf 'the clients of shard %d waited for %.1f s', $n, $gap
	  if $gap > $LONG && $n != $killed && $n != $moved;
	push @problems, "the clients of shard $n got errors" if $shards[$n]{errors} && $n != $killed;
	return;
}

# Prints a line for each shard.
sub print_table
{
	printf "\n %-5s %-13s %6s %6s %5s %6s %6s %10s %12s %8s\n", 'shard', 'server', 'events',
	  'places', 'sold', 'calls', 'errors', 'sent again', 'longest wait', 'verify()';
	print ' ', '-' x 87, "\n";
	foreach my $n (0 .. $shards - 1)
	{
		my $shard = $shards[$n];
		my ($server) = lines("$folder/server.$n");
		my $what = $n == $killed ? '  killed' : $n == $moved ? '  moved' : '';

		printf " %-5d %-13s %6d %6d %5d %6d %6d %10d %10.2f s %8s%s\n", $n, "@$server",
		  @{$shard}{qw(events places sold calls errors sent_again gap verify)}, $what;
	}
	printf " %-19s %6d %6d %5d %6d %6d %10d\n\n", 'all',
	  map { my $what = $_; sum0(map { $_->{$what} } @shards) } qw(events places sold calls errors sent_again);
	return;
}

# Prints what can't be told by shard.  (Without an idempotency key, the calls that had
# booked although they ended with an error would have booked again.)
sub print_summary
{
	my $kept = sum0(map { $_->{kept} // 0 } @shards);

	print ' Errors by SQLSTATE: ', join(', ', map { "$_: $states{$_}" } sort keys %states) || 'none', "\n";
	print " Calls that had booked although they ended with an error: $kept\n";
	print ' Events that are sold out: ', scalar(grep { ($sold{$_} // 0) == $capacity{$_} } keys %capacity), "\n";
	if (@problems)
	{
		print " PROBLEM: $_\n" foreach @problems;
		return;
	}
	print " booking.verify() of each shard: no problem found.\n",
	  " Each ticket that a client was told of is in the tables, and no other.\n",
	  " No event has more tickets than places, and each key has one ticket at most.\n";
	return;
}

read_journals();
compare_tickets($_) foreach 0 .. $shards - 1;
compare_events($_) foreach 0 .. $shards - 1;
push @problems, map { "ticket $told{$_}{ticket} of user $_ was lost" } grep { !$told{$_}{found} } sort keys %told;
find_gap($_) foreach 0 .. $shards - 1;
print_table();
print_summary();
exit(@problems ? 1 : 0);
