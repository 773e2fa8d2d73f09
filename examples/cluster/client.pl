#!/usr/bin/perl
#
# client.pl - buys tickets through the router, for one user after another.
#
# usage: client.pl NUMBER SHARD SHARDS FOLDER CONNINFO
#
# It buys from the events of one shard.  (If each client bought from all shards, then all
# clients would soon wait for the one that is down.  A web application has the same
# problem: keep a part of its workers for each shard, or bound their waits.)
#
# FOLDER/events has the ids of all events.  It ends when there is a file FOLDER/stop.
# It writes a line to FOLDER/journal.NUMBER for each answer and each error:
#
#	TIME SHARD EVENT USER ANSWER TICKET
#
# ANSWER is the status that try_book_ticket() returned, or the SQLSTATE of an error.

use strict;
use warnings;

use DBI;
use IO::Handle;
use Time::HiRes qw(sleep time);

# A call that ends with one of these may have booked, or not: the connection was lost,
# the server was shut down, or there was a conflict.  (PL/Proxy raises XX000 if it loses
# its connection to a shard.)  All others are mistakes that sending it again won't mend.
my $AGAIN = qr/^(?:08|57P|40|XX000)/;

# The seconds for which a call is sent again.
my $PATIENCE = 60;

my ($number, $shard, $shards, $folder, $conninfo) = @ARGV;
my ($router, $journal);

# Returns a new connection to the router, or undef.
sub connect_to_router
{
	my $dbh = DBI->connect("dbi:Pg:$conninfo", undef, undef,
		{ AutoCommit => 1, PrintError => 0, RaiseError => 0 }) or return undef;

	$dbh->do('SET client_min_messages = error');    # PL/Proxy tells when it reconnects
	return $dbh;
}

# Sends a call once.  Returns the status and the ticket, or the SQLSTATE and the message.
sub call
{
	my ($event, $user) = @_;

	$router //= connect_to_router() or return (DBI->state, undef, DBI->errstr);
	my ($status, $ticket) = $router->selectrow_array(
		'SELECT status, ticket_id FROM booking.try_book_ticket(?, ?, idempotency_key => ?)',
		undef, $event, $user, "user $user");

	return ($status, $ticket) if defined $status;
	my @error = ($router->state, undef, $router->errstr);

	undef $router if !$router->ping;
	return @error;
}

# Books a ticket: sends the call until it is answered.
#
# A call that ended with an error may have booked all the same, because a shard commits
# by itself and only its answer was lost.  Each call has the same idempotency key.  So
# if the first one has booked, the second returns its ticket.
sub buy
{
	my ($event, $user) = @_;
	my $until = time() + $PATIENCE;

	while (1)
	{
		my ($answer, $ticket, $message) = call($event, $user);

		$journal->print(join("\t", time(), $shard, $event, $user, $answer, $ticket // ''), "\n");
		return if $answer =~ /^[a-z_]+$/;
		die "event $event, user $user: $answer: $message\n" if $answer !~ $AGAIN || time() > $until;
		sleep 0.1;
	}
}

open my $list, '<', "$folder/events" or die "$folder/events: $!";
chomp(my @events = grep { $_ % $shards == $shard } <$list>);
open $journal, '>', "$folder/journal.$number" or die "$folder/journal.$number: $!";
$journal->autoflush;

# Some events are more popular than others, and are sold out sooner.
for (my $n = 1; !-e "$folder/stop"; $n++)
{
	buy($events[ @events * rand() ** 3 ], $number * 1_000_000 + $n);
	sleep 0.05;
}
