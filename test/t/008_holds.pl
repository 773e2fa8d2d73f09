# A stampede with holds: 16 clients work on four small events in every possible way
# at once: functions, idempotency keys, and plain INSERT, UPDATE and DELETE.
#
# Each client writes a journal outside the database: what it called, when, and what
# the answer was.  Afterwards all promises are checked by these journals:
#
# - what a client was given exists exactly once, and nothing else exists;
# - at no moment were more places of an event taken than it has;
# - at no moment had a user more places than the limit;
# - a hold became tickets at most once, and not after it had expired;
# - each answer "sold out", "limit" or "expired" was true.
#
# A call took effect at some moment between call and answer, but the journals
# don't say when.  So each place has two spans of time.  In the first the place
# was surely taken: this span shows whether too many places were taken.  In the
# second it may have been taken: this span shows whether a refusal was justified.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingTest;
use List::Util qw(max min);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{PG_BOOKING_STAMPEDE_SECONDS} // long_run(60, 20);
my $clients = 16;
my %capacity = (1 => 40, 2 => 30, 3 => 25, 4 => 8);
my $limited = 2;                # the event with a limit
my $limit = 3;
my $users = 12;                 # so few that they reach the limit
my $keys = 300;                 # of each kind; each is used many times
my $never = 9e9;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = booking_node('holds');

create_booking($node);
foreach my $event (sort keys %capacity)
{
	my $max_per_user = $event == $limited ? $limit : 'NULL';

	$node->safe_psql('postgres', <<~SQL);
		INSERT INTO booking.event (event_id, capacity, max_per_user, hold_ttl, max_hold_ttl)
		VALUES ($event, $capacity{$event}, $max_per_user, '0.5 s', '3 s')
		SQL
}

# ---- the clients ----

sub one_of
{
	my (@from) = @_;

	return $from[ rand @from ];
}

sub some_event { return one_of(sort keys %capacity) }
sub some_user { return 1 + int rand $users }
sub some_ttl { return one_of(20, 80, 300, 800) . ' ms' }

# A ticket or hold: a live one, or one of the latest ids in whatever state it is.
my %newest = (ticket => 1, hold => 1);
my %live = (ticket => 'cancelled_at IS NULL', hold => 'ended_at IS NULL');
my %chance = (ticket => 0.7, hold => 0.15);    # most holds are left to expire

sub some_row
{
	my ($dbh, $of) = @_;
	my ($id) = rand() < $chance{$of} ? $dbh->selectrow_array(<<~SQL) : ();
		SELECT ${of}_id FROM booking.$of WHERE $live{$of} ORDER BY random() LIMIT 1
		SQL

	return $id // max(1, $newest{$of} - int rand 30);
}

# All requests with one idempotency key ask for the same.
sub keyed
{
	my ($kind) = @_;
	my $n = 1 + int rand $keys;

	return (
		key => "$kind $n",
		event => 1 + $n % keys %capacity,
		user => 1 + $n % $users,
		places => 1 + $n % 3);
}

# The actions of a client: weight, SQL, and arguments of its own.  The SQL returns
# the ids, if any, and then the time when the hold expires.  Each action is one call
# or changes one row, so that it never causes a deadlock.
my $expiry = 'extract(epoch FROM expires_at)';
my $for_ticket = 'WHERE ticket_id = :ticket';
my $for_hold = 'WHERE hold_id = :hold AND ended_at IS NULL';

# If the event has a limit, these lock the hold before the user, and could deadlock.
my $for_free_hold = "$for_hold AND event_id <> $limited";
my %actions = (
	book => [ 12, 'SELECT booking.book_ticket(:event, :user)', sub { (places => 1) } ],
	try => [ 8, 'SELECT ticket_id, NULL, status FROM booking.try_book_ticket(:event, :user)', sub { (places => 1) } ],
	book_many => [ 6, 'SELECT unnest(booking.book_tickets(:event, :user, :places))' ],
	book_keyed => [ 8, q{SELECT unnest(booking.book_tickets(:event, :user, :places, ':key'))}, sub { keyed('book') } ],
	insert => [ 8, 'INSERT INTO booking.ticket (event_id, user_id) VALUES (:event, :user) RETURNING ticket_id', sub { (places => 1) } ],
	batch => [ 2, q{SELECT ticket_id FROM booking.book_batch(:event, array_fill(:user::bigint, '{:places}')) WHERE status = 'booked'} ],
	hold => [ 20, "SELECT hold_id, $expiry FROM booking.hold_tickets(:event, :user, :places, ':ttl')" ],
	hold_default => [ 5, "SELECT hold_id, $expiry FROM booking.hold_tickets(:event, ':user', :places)" ],
	hold_keyed => [ 8, "SELECT hold_id, $expiry FROM booking.hold_tickets(:event, :user, :places, NULL, ':key')", sub { keyed('hold') } ],
	insert_hold => [ 6, "INSERT INTO booking.hold (event_id, user_id, quantity, expires_at) VALUES (:event, :user, :places, clock_timestamp() + ':ttl') RETURNING hold_id, $expiry" ],
	confirm => [ 20, 'SELECT unnest(booking.confirm_hold(:hold))' ],
	rebook => [ 8, q{SELECT unnest(booking.confirm_hold(:hold, 'rebook'))} ],
	release => [ 6, 'SELECT :hold WHERE booking.release_hold(:hold)' ],
	extend => [ 8, q{SELECT :hold, extract(epoch FROM booking.extend_hold(:hold, ':ttl'))}, sub { (ttl => one_of(some_ttl(), '4 s')) } ],
	end_hold => [ 2, "UPDATE booking.hold SET ended_at = clock_timestamp() $for_hold RETURNING hold_id" ],
	retime_hold => [ 3, "UPDATE booking.hold SET expires_at = clock_timestamp() + ':ttl' $for_free_hold RETURNING hold_id, $expiry" ],
	resize_hold => [ 3, "UPDATE booking.hold SET quantity = :places $for_free_hold RETURNING hold_id" ],
	reassign_hold => [ 2, "UPDATE booking.hold SET user_id = :user $for_free_hold RETURNING hold_id" ],
	delete_hold => [ 2, "DELETE FROM booking.hold $for_hold RETURNING hold_id" ],
	expire => [ 3, 'SELECT booking.expire_holds(5)' ],
	cancel => [ 16, 'SELECT :ticket WHERE booking.cancel_ticket(:ticket)' ],
	cancel_row => [ 6, "UPDATE booking.ticket SET cancelled_at = clock_timestamp() $for_ticket AND cancelled_at IS NULL RETURNING ticket_id" ],
	uncancel => [ 3, "UPDATE booking.ticket SET cancelled_at = NULL $for_ticket AND cancelled_at IS NOT NULL RETURNING ticket_id" ],
	delete => [ 4, "DELETE FROM booking.ticket $for_ticket AND hold_id IS NULL RETURNING ticket_id" ],
	transfer => [ 6, 'SELECT :ticket FROM booking.transfer_ticket(:ticket, :user)' ],
	reassign => [ 3, "UPDATE booking.ticket SET user_id = :user $for_ticket AND cancelled_at IS NULL RETURNING ticket_id" ],
	rolled_back => [ 3, 'SELECT unnest(booking.book_tickets(:event, :user, :places))' ],
	verify => [ 2, 'SELECT 1 FROM booking.verify()' ],
	availability => [ 3, 'SELECT 1 FROM booking.availability(:event) WHERE available < 0 OR held < 0 OR available + held + booked <> capacity' ],
);
my @lots = map { ($_) x $actions{$_}[0] } sort keys %actions;
my %refusal = (sold_out => '23T01', user_limit => '23T02');

# Makes one call.  Returns what the journal says about it.
sub make_call
{
	my ($dbh, $name) = @_;
	my ($weight, $sql, $more) = @{ $actions{$name} };
	my %asked = (
		event => some_event(), user => some_user(), places => 1 + int rand 3,
		ttl => some_ttl(), $more ? $more->() : ());

	foreach my $of ('ticket', 'hold')
	{
		$asked{$of} = some_row($dbh, $of) if $sql =~ /:$of\b/;
	}
	my %line = (%asked, action => $name, state => '00000');

	$sql =~ s/:(event|user|places|ttl|ticket|hold|key)\b/$asked{$1}/g;
	$dbh->begin_work if $name eq 'rolled_back';
	$line{from} = sprintf '%.6f', time;
	my $rows = $dbh->selectall_arrayref($sql);
	$line{to} = sprintf '%.6f', time;
	if ($rows)
	{
		$line{state} = $refusal{ $rows->[0][2] }
		  if $name eq 'try' && $rows->[0][2] ne 'booked';
		$line{ids} = join ',', grep { defined } map { $_->[0] } @$rows;
		$line{expires} = $rows->[0][1] if @$rows && defined $rows->[0][1];
	}
	else
	{
		$line{state} = $dbh->state;
		$line{message} = $dbh->errstr =~ s/\s+/ /gr;
	}
	$dbh->rollback if $name eq 'rolled_back';
	return \%line;
}

sub client
{
	my ($number) = @_;
	my $dbh = connect_to($node);
	open my $journal, '>', "$dir/journal$number" or die "journal$number: $!";

	srand($number);
	$dbh->do('SET booking.debug_split_always = on') if $number % 4 == 1;
	$dbh->do('SET booking.direct_path = off') if $number % 4 == 2;
	for (my $end = time + $seconds; time < $end;)
	{
		my $line = make_call($dbh, one_of(@lots));
		my $of = $line->{action} =~ /hold/ ? 'hold' : 'ticket';

		print $journal join("\t", map { "$_=$line->{$_}" } sort keys %$line), "\n";
		$newest{$of} = max($newest{$of}, split /,/, $line->{ids})
		  if $line->{action} =~ /^(?:book|try|insert|hold|confirm|rebook)/ && $line->{ids};
		die "the connection is lost: $line->{message}\n" unless $dbh->ping;
	}
	close $journal or die "journal$number: $!";
	$dbh->disconnect;
	return;
}

sub read_journals
{
	my @lines;

	foreach my $number (1 .. $clients)
	{
		foreach my $line (split /\n/, slurp_file("$dir/journal$number"))
		{
			my %line = map { split /=/, $_, 2 } split /\t/, $line;

			$line{ids} = [ split /,/, $line{ids} // '' ];
			push @lines, \%line;
		}
	}
	return sort { $a->{from} <=> $b->{from} } @lines;
}

finish_workers('stampede', map { my $number = $_; start_worker(sub { client($number) }) } 1 .. $clients);
my @lines = read_journals();
my %told;

$told{"$_->{action} $_->{state}"}++ foreach @lines;
note("$_: $told{$_}") foreach sort keys %told;

# ---- the answers alone ----

my %books = map { $_ => 1 } qw(book try book_many book_keyed insert batch confirm rebook);
my %holds = map { $_ => 1 } qw(hold hold_default hold_keyed insert_hold);
my %may_be_told = (
	'23T01' => qr/^(?:book|try|book_many|book_keyed|insert|hold|hold_default|hold_keyed|insert_hold|rebook|resize_hold|uncancel|rolled_back)$/,
	'23T02' => qr/^(?:book|try|book_many|book_keyed|insert|hold|hold_default|hold_keyed|insert_hold|rebook|resize_hold|uncancel|rolled_back|retime_hold|reassign_hold|transfer|reassign)$/,
	'23T04' => qr/^(?:confirm|extend)$/,
	'23T05' => qr/^(?:confirm|rebook|extend|transfer)$/,
	'23T06' => qr/^(?:book_keyed|hold_keyed)$/,
	P0002 => qr/^(?:confirm|rebook|extend|cancel|transfer)$/,
	'22023' => qr/^extend$/);
my @undocumented = map { "$_->{action}: $_->{state} " . ($_->{message} // '') }
  grep { $_->{state} ne '00000' && $_->{action} !~ ($may_be_told{ $_->{state} } // qr/^$/) } @lines;

is(join("\n", @undocumented[ 0 .. min(20, $#undocumented) ]), '', 'only documented SQLSTATEs were raised');
foreach my $name (sort keys %actions)
{
	ok(exists $told{"$name 00000"}, "$name has succeeded");
}
foreach my $state (sort keys %may_be_told)
{
	ok((grep { / $state$/ } keys %told), "$state was raised");
}
is(scalar(grep { $_->{action} eq 'verify' && @{ $_->{ids} } } @lines), 0, 'verify() never found a problem');
is(scalar(grep { $_->{action} eq 'availability' && @{ $_->{ids} } } @lines), 0, 'the answers of availability() always added up to the capacity');

# ---- the history of each ticket and hold ----

# For each id a row: "first" is the answer that gave it.  The ticket or hold existed
# surely from surely_from to surely_to, and perhaps from maybe_from to maybe_to.
my (%ticket, %hold, %key);
my @problems;

sub problem
{
	push @problems, join ' ', @_;
	return;
}

sub note_given
{
	my ($rows, $id, $line) = @_;
	my $row = $rows->{$id} //= {
		id => $id, event => $line->{event}, places => 1, most => 1, first => $line,
		maybe_from => $line->{from}, surely_from => $line->{to}, maybe_to => $never, surely_to => $never,
		users => { $line->{user} => $line->{from} }, user_to => $never };

	$row->{maybe_from} = min($row->{maybe_from}, $line->{from});
	$row->{surely_from} = min($row->{surely_from}, $line->{to});
	return $row;
}

# The holds first, because a confirmation does not name the event and the user.
foreach my $line (grep { $holds{ $_->{action} } && $_->{state} eq '00000' } @lines)
{
	my ($id) = @{ $line->{ids} };
	my $known = $hold{$id};
	my $row = note_given(\%hold, $id, $line);

	problem("hold $id was given twice") if $known && ($line->{key} // '') ne ($known->{first}{key} // "no key");
	$row->{places} = $row->{most} = $line->{places};
	$row->{expires} = $row->{soonest} = $row->{latest} = $line->{expires};
}
foreach my $line (grep { $_->{state} eq '00000' && $_->{action} =~ /^(?:extend|.*_hold)$/ && !$holds{ $_->{action} } } @lines)
{
	foreach my $row (map { $hold{$_} // () } @{ $line->{ids} })
	{
		if ($line->{action} eq 'extend' || $line->{action} eq 'retime_hold')
		{
			$row->{soonest} = min($row->{soonest}, $line->{expires});
			$row->{latest} = max($row->{latest}, $line->{expires});
			$row->{retimed} = 1 if $line->{action} eq 'retime_hold';
		}
		elsif ($line->{action} eq 'resize_hold')
		{
			$row->{places} = min($row->{places}, $line->{places});
			$row->{most} = max($row->{most}, $line->{places});
		}
		elsif ($line->{action} eq 'reassign_hold')
		{
			$row->{users}{ $line->{user} } //= $line->{from};
			$row->{user_to} = min($row->{user_to}, $line->{from});
		}
	}
}

foreach my $line (grep { $books{ $_->{action} } && $_->{state} eq '00000' } @lines)
{
	my $confirmed = $line->{action} =~ /^(?:confirm|rebook)$/ ? $hold{ $line->{hold} } : undef;

	if ($line->{action} =~ /^(?:confirm|rebook)$/ && !$confirmed)
	{
		problem("hold $line->{hold} was confirmed, but no client was given it");
		next;
	}
	foreach my $id (@{ $line->{ids} })
	{
		my $known = $ticket{$id};
		my $row = note_given(\%ticket, $id, $line);

		if ($confirmed)
		{
			$row->{event} = $confirmed->{event};
			$row->{users} = { map { $_ => $line->{from} } keys %{ $confirmed->{users} } }
			  unless $known;
			$row->{user_to} = 0 if keys %{ $confirmed->{users} } > 1;
			$row->{hold} //= $line->{hold};
			problem("ticket $id belongs to two holds") if $row->{hold} != $line->{hold};
			problem("ticket $id was booked, and given for a hold too") if $known && !$known->{first}{confirmed};
		}
		else
		{
			problem("ticket $id was given twice")
			  if $known && ($line->{key} // '') ne ($known->{first}{key} // "no key");
		}
		$row->{first}{confirmed} = 1 if $confirmed;
	}
	if ($confirmed)
	{
		my $ids = join ',', sort { $a <=> $b } @{ $line->{ids} };

		$confirmed->{ids} //= $ids;
		$confirmed->{$_} = min($confirmed->{$_} // $never, $line->{from}) foreach $line->{action}, 'confirmed_from';
		$confirmed->{confirmed_to} = min($confirmed->{confirmed_to} // $never, $line->{to});
		problem("hold $line->{hold} was confirmed into $confirmed->{ids} and into $ids")
		  if $confirmed->{ids} ne $ids;
		problem("hold $line->{hold} was confirmed into ", scalar @{ $line->{ids} }, 'tickets')
		  if @{ $line->{ids} } < $confirmed->{places} || @{ $line->{ids} } > $confirmed->{most};
	}
	elsif ($line->{action} ne 'batch' && @{ $line->{ids} } != $line->{places})
	{
		problem("$line->{action} of $line->{places} places has given the tickets @{ $line->{ids} }");
	}
}
is(join("\n", @problems), '', 'each ticket and hold was given only once');
@problems = ();

# One idempotency key, one answer.
foreach my $line (grep { $_->{key} && $_->{state} eq '00000' } @lines)
{
	my $ids = join ',', @{ $line->{ids} };

	problem("'$line->{key}': $key{ $line->{key} }, then $ids") if ($key{ $line->{key} } //= $ids) ne $ids;
}
is(join("\n", @problems), '', 'one idempotency key, one answer');
cmp_ok(scalar(grep { $_->{key} && $_->{state} eq '00000' } @lines), '>', keys %key, 'idempotency keys were used again');
@problems = ();

# How tickets and holds ended.
foreach my $line (grep { $_->{state} eq '00000' } @lines)
{
	my $action = $line->{action};

	foreach my $id ($action =~ /^(?:cancel|cancel_row|uncancel|delete|transfer|reassign)$/ ? @{ $line->{ids} } : ())
	{
		my $row = $ticket{$id};

		if (!$row)
		{
			problem("$action of ticket $id, which no client was given");
			next;
		}
		$row->{cancelled} += $action eq 'uncancel' ? -1 : $action =~ /^cancel/ ? 1 : 0;
		$row->{uncancelled} = 1 if $action eq 'uncancel';
		$row->{deleted}++ if $action eq 'delete';
		if ($action =~ /^cancel|^delete/)
		{
			$row->{surely_to} = min($row->{surely_to}, $line->{from});
			$row->{last_end} = max($row->{last_end} // 0, $line->{to});
		}
		if ($action =~ /^transfer$|^reassign$/)
		{
			$row->{users}{ $line->{user} } //= $line->{from};
			$row->{user_to} = min($row->{user_to}, $line->{from});
		}
	}
	foreach my $id ($action =~ /^(?:release|end_hold|delete_hold)$/ ? @{ $line->{ids} } : ())
	{
		my $row = $hold{$id};

		if (!$row)
		{
			problem("$action of hold $id, which no client was given");
			next;
		}
		$row->{ends}++;
		$row->{deleted}++ if $action eq 'delete_hold';
		$row->{surely_to} = min($row->{surely_to}, $line->{from});
		$row->{maybe_to} = min($row->{maybe_to}, $line->{to});
	}
}
foreach my $row (values %ticket)
{
	$row->{maybe_to} = $row->{last_end} if $row->{last_end} && (!$row->{uncancelled} || $row->{deleted});
}
foreach my $row (values %hold)
{
	problem("hold $row->{id} was ended $row->{ends} times") if ($row->{ends} // 0) > 1;
	problem("hold $row->{id} was ended and confirmed") if $row->{ends} && $row->{confirm} && !$row->{rebook};
	problem("hold $row->{id} was confirmed after it had expired")
	  if $row->{confirm} && !$row->{rebook} && $row->{confirm} > $row->{latest};
	$row->{ended_by} = min($row->{maybe_to}, $row->{confirmed_to} // $never);
	$row->{surely_to} = min($row->{surely_to}, $row->{soonest}, $row->{confirmed_from} // $never);
	$row->{maybe_to} = min($row->{ended_by}, $row->{latest});
}
is(join("\n", @problems), '', 'each hold ended in one way');
@problems = ();

# ---- comparison of the journals with the tables ----

my $dbh = connect_to($node);

foreach my $found (@{ $dbh->selectall_arrayref(
	'SELECT ticket_id, event_id, user_id, hold_id, cancelled_at IS NOT NULL AS cancelled FROM booking.ticket',
	{ Slice => {} }) })
{
	my $row = $ticket{ $found->{ticket_id} };

	if (!$row)
	{
		problem("ticket $found->{ticket_id}: no client was given it");
		next;
	}
	$row->{found} = 1;
	problem("ticket $row->{id} has the event $found->{event_id}") if $found->{event_id} != $row->{event};
	problem("ticket $row->{id} has the user $found->{user_id}") if !$row->{users}{ $found->{user_id} };
	problem("ticket $row->{id} has another hold") if ($found->{hold_id} // 0) != ($row->{hold} // 0);
	problem("ticket $row->{id}: table and journals disagree whether it is cancelled") if ($row->{cancelled} // 0) != $found->{cancelled};
}
foreach my $row (values %ticket)
{
	problem("ticket $row->{id} is lost") if !$row->{found} && !$row->{deleted};
	problem("ticket $row->{id} was deleted, but still exists") if $row->{found} && $row->{deleted};
}
my %held = map { $_->[0] => 1 } @{ $dbh->selectall_arrayref('SELECT hold_id FROM booking.hold') };

foreach my $id (keys %held)
{
	problem("hold $id: no client was given it") if !$hold{$id};
}
foreach my $row (values %hold)
{
	problem("hold $row->{id} is lost") if !$held{ $row->{id} } && !$row->{deleted};
}
is(join("\n", @problems), '', 'exactly what clients were given exists');
@problems = ();

# ---- at each moment ----

# Returns how many places were taken over time: the ascending times of each change,
# and the number of places from that time on.
sub places_over_time
{
	my (@spans) = @_;
	my %change;

	foreach my $span (@spans)
	{
		my ($from, $to, $places) = @$span;

		next if $from >= $to;
		$change{$from} += $places;
		$change{$to} -= $places;
	}
	my @times = sort { $a <=> $b } keys %change;
	my $now = 0;

	return { times => \@times, places => [ map { $now += $change{$_} } @times ] };
}

# The largest number of places taken at any moment between the two times.
sub most_between
{
	my ($course, $from, $to) = @_;
	my $times = $course->{times};
	my ($low, $high) = (0, scalar @$times);

	while ($low < $high)
	{
		my $middle = int(($low + $high) / 2);

		$times->[$middle] <= $from ? ($low = $middle + 1) : ($high = $middle);
	}
	my $most = $low > 0 ? $course->{places}[ $low - 1 ] : 0;

	for (; $low < @$times && $times->[$low] <= $to; $low++)
	{
		$most = max($most, $course->{places}[$low]);
	}
	return $most;
}

my %possible;

foreach my $event (sort keys %capacity)
{
	my @rows = grep { $_->{event} == $event } values %ticket, values %hold;
	my $certain = places_over_time(map { [ $_->{surely_from}, $_->{surely_to}, $_->{places} ] } @rows);
	my $most = max(0, @{ $certain->{places} });

	note("event $event: $most of $capacity{$event} places were surely taken at once");
	cmp_ok($most, '<=', $capacity{$event}, "event $event: at no moment were more places taken than exist");
	cmp_ok($most, '>', $capacity{$event} / 3, "event $event: enough places were taken at once for the check to mean something");
	$possible{$event} = places_over_time(map { [ $_->{maybe_from}, $_->{maybe_to}, $_->{most} ] } @rows);
}

my @of_limited = grep { $_->{event} == $limited } values %ticket, values %hold;
my (%possible_of, $most_certain);

foreach my $user (1 .. $users)
{
	my $certain = places_over_time(
		map { [ $_->{surely_from}, min($_->{surely_to}, $_->{user_to}), $_->{places} ] }
		grep { keys %{ $_->{users} } >= 1 && $_->{first}{user} == $user && !$_->{hold} } @of_limited);
	my $most = max(0, @{ $certain->{places} });

	$most_certain = max($most_certain // 0, $most);
	problem("user $user had $most places") if $most > $limit;

	# an expired hold may still count while another session has it locked
	$possible_of{$user} = places_over_time(
		map { [ min($_->{users}{$user}, $_->{maybe_from}), $_->{ended_by} // $_->{maybe_to}, $_->{most} ] }
		grep { $_->{users}{$user} } @of_limited);
}
is(join("\n", @problems), '', 'at no moment had a user more places than the limit');
is($most_certain, $limit, 'some user reached the limit');
@problems = ();

# ---- refusals ----

my $slack = 0.001;              # the clocks may differ by this much

foreach my $line (grep { $_->{state} =~ /^23T0[12]$/ } @lines)
{
	my $row = $line->{action} =~ /^(?:rebook|.*_hold)$/ && $line->{action} ne 'insert_hold' ? $hold{ $line->{hold} }
	  : $line->{action} =~ /^(?:uncancel|transfer|reassign)$/ ? $ticket{ $line->{ticket} } : undef;
	my $event = $row ? $row->{event} : $line->{event};
	my @when = ($line->{from} - $slack, $line->{to} + $slack);

	# the journals can't tell how many more places these actions asked for
	next if $row && $line->{action} !~ /^(?:transfer|reassign|reassign_hold|uncancel)$/;
	if ($line->{state} eq '23T01')
	{
		my $asked = $line->{action} eq 'uncancel' ? 1 : $line->{places};
		my $taken = most_between($possible{$event}, @when);

		problem("$line->{action}: $asked places of event $event, $taken taken") if $taken + $asked <= $capacity{$event};
	}
	elsif ($line->{action} ne 'uncancel')
	{
		my $asked = $line->{action} eq 'reassign_hold' ? $row->{most} : $row ? 1 : $line->{places};
		my $has = most_between($possible_of{ $line->{user} }, @when);

		problem("$line->{action}: $asked places of event $event for user $line->{user}, who has $has")
		  if $event != $limited || $has + $asked <= $limit;
	}
}
is(join("\n", @problems[ 0 .. min(20, $#problems) ]), '', 'each refused call had asked for too many places');
@problems = ();

foreach my $line (grep { $_->{state} eq '23T04' } @lines)
{
	my $row = $hold{ $line->{hold} };

	problem("hold $line->{hold} was said to have expired by $line->{action} at $line->{to}, but expires at $row->{expires}")
	  if !$row->{retimed} && $line->{to} + $slack < $row->{expires};
}
is(join("\n", @problems), '', 'each hold that was said to have expired had expired');

# ---- after the stampede ----

check_sound($node, 'stampede');
is( $node->safe_psql('postgres', <<~'SQL'), '', 'the view sales agrees with the tables');
	SELECT * FROM booking.sales s
	WHERE booked <> (SELECT count(*) FROM booking.ticket t
	                 WHERE t.event_id = s.event_id AND cancelled_at IS NULL)
	   OR cancelled <> (SELECT count(*) FROM booking.ticket t
	                    WHERE t.event_id = s.event_id AND cancelled_at IS NOT NULL)
	   OR available + held + booked <> capacity
	SQL

# Places of expired holds can be sold even if expire_holds() is never called.
$node->safe_psql('postgres', <<~'SQL');
	UPDATE booking.event SET max_per_user = NULL;
	UPDATE booking.event SET capacity = capacity + 5;
	SELECT booking.hold_tickets(event_id, 1, q, '1 ms')
	FROM booking.event, unnest(ARRAY[2, 1, 2]) q;
	SQL
$node->poll_query_until('postgres',
	'SELECT NOT EXISTS (SELECT FROM booking.hold WHERE ended_at IS NULL AND expires_at > clock_timestamp())');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM booking.hold WHERE ended_at IS NULL'),
	'>=', 3, 'some holds have expired and were not ended');
sell_the_rest($node, $_, "stampede, event $_") foreach sort keys %capacity;
check_sound($node, 'stampede, sold out');
check_log($node, 'stampede', '23T01', '23T02', '23T04', '23T05', '23T06', 'P0002', '22023');
$node->stop;
done_testing();
