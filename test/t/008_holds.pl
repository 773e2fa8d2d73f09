# A stampede with holds: 16 clients over four small events, by every way in at
# once: functions, keys, and plain INSERT, UPDATE and DELETE.
#
# Each client writes down outside the database what it called, when, and what it
# was told.  Then all promises are checked by these journals: what was given is
# there, once; nothing is there that nobody was given; at no moment did an event
# have more places taken than it has, or a user more than the limit; a hold
# became tickets once, and not after it had expired; and who was told "sold
# out", "limit" or "expired" was told the truth.
#
# Of a moment between call and answer a journal says nothing.  So each place has
# two times: the one in which it was certainly taken, for what must not be more,
# and the one in which it may have been, for what must not be less.

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
my $users = 12;                 # so few that they meet it
my $keys = 300;                 # of each kind; they are all used again and again
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

# A ticket or hold: one that is live, or one of the latest ids, whatever it is.
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

# What was asked for with a key never changes.
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

# What a client may do: how often, and what it asks for.  The SQL returns the
# ids, if any, then when the hold expires.  Each is one call or the change of one
# row, and so never meets a deadlock.
my $expiry = 'extract(epoch FROM expires_at)';
my $for_ticket = 'WHERE ticket_id = :ticket';
my $for_hold = 'WHERE hold_id = :hold AND ended_at IS NULL';

# Where there is a limit, these lock the hold before the user, and could deadlock.
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
	give_hold => [ 2, "UPDATE booking.hold SET user_id = :user $for_free_hold RETURNING hold_id" ],
	delete_hold => [ 2, "DELETE FROM booking.hold $for_hold RETURNING hold_id" ],
	expire => [ 3, 'SELECT booking.expire_holds(5)' ],
	cancel => [ 16, 'SELECT :ticket WHERE booking.cancel_ticket(:ticket)' ],
	cancel_row => [ 6, "UPDATE booking.ticket SET cancelled_at = clock_timestamp() $for_ticket AND cancelled_at IS NULL RETURNING ticket_id" ],
	revive => [ 3, "UPDATE booking.ticket SET cancelled_at = NULL $for_ticket AND cancelled_at IS NOT NULL RETURNING ticket_id" ],
	delete => [ 4, "DELETE FROM booking.ticket $for_ticket AND hold_id IS NULL RETURNING ticket_id" ],
	transfer => [ 6, 'SELECT :ticket FROM booking.transfer_ticket(:ticket, :user)' ],
	give => [ 3, "UPDATE booking.ticket SET user_id = :user $for_ticket AND cancelled_at IS NULL RETURNING ticket_id" ],
	rolled_back => [ 3, 'SELECT unnest(booking.book_tickets(:event, :user, :places))' ],
	verify => [ 2, 'SELECT 1 FROM booking.verify()' ],
	availability => [ 3, 'SELECT 1 FROM booking.availability(:event) WHERE available < 0 OR held < 0 OR available + held + booked <> capacity' ],
);
my @lots = map { ($_) x $actions{$_}[0] } sort keys %actions;
my %refusal = (sold_out => 'TK001', user_limit => 'TK002');

# One call; returns what there is to write down of it.
sub act
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
	my %line = (%asked, act => $name, state => '00000');

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
	$dbh->do('SET booking.split_always = on') if $number % 4 == 1;
	$dbh->do('SET booking.direct_path = off') if $number % 4 == 2;
	for (my $end = time + $seconds; time < $end;)
	{
		my $line = act($dbh, one_of(@lots));
		my $of = $line->{act} =~ /hold/ ? 'hold' : 'ticket';

		print $journal join("\t", map { "$_=$line->{$_}" } sort keys %$line), "\n";
		$newest{$of} = max($newest{$of}, split /,/, $line->{ids})
		  if $line->{act} =~ /^(?:book|try|insert|hold|confirm|rebook)/ && $line->{ids};
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

$told{"$_->{act} $_->{state}"}++ foreach @lines;
note("$_: $told{$_}") foreach sort keys %told;

# ---- the answers as such ----

my %books = map { $_ => 1 } qw(book try book_many book_keyed insert batch confirm rebook);
my %holds = map { $_ => 1 } qw(hold hold_default hold_keyed insert_hold);
my %may_be_told = (
	TK001 => qr/^(?:book|try|book_many|book_keyed|insert|hold|hold_default|hold_keyed|insert_hold|rebook|resize_hold|revive|rolled_back)$/,
	TK002 => qr/^(?:book|try|book_many|book_keyed|insert|hold|hold_default|hold_keyed|insert_hold|rebook|resize_hold|revive|rolled_back|retime_hold|give_hold|transfer|give)$/,
	TK004 => qr/^(?:confirm|extend)$/,
	TK005 => qr/^(?:confirm|rebook|extend|transfer)$/,
	P0002 => qr/^(?:confirm|rebook|extend|cancel|transfer)$/,
	'22023' => qr/^extend$/);
my @undocumented = map { "$_->{act}: $_->{state} " . ($_->{message} // '') }
  grep { $_->{state} ne '00000' && $_->{act} !~ ($may_be_told{ $_->{state} } // qr/^$/) } @lines;

is(join("\n", @undocumented[ 0 .. min(20, $#undocumented) ]), '', 'only what is documented was raised');
foreach my $name (sort keys %actions)
{
	ok(exists $told{"$name 00000"}, "$name was done");
}
foreach my $state (sort keys %may_be_told)
{
	ok((grep { / $state$/ } keys %told), "$state was met");
}
is(scalar(grep { $_->{act} eq 'verify' && @{ $_->{ids} } } @lines), 0, 'the books balanced all the time');
is(scalar(grep { $_->{act} eq 'availability' && @{ $_->{ids} } } @lines), 0, 'and so did what is available');

# ---- what became of each ticket and hold ----

# first: the answer that gave it; pos_from, pos_to: when it may have been there;
# def_from, def_to: when it certainly was
my (%ticket, %hold, %key);
my @problems;

sub problem
{
	push @problems, join ' ', @_;
	return;
}

sub given
{
	my ($rows, $id, $line) = @_;
	my $row = $rows->{$id} //= {
		id => $id, event => $line->{event}, places => 1, most => 1, first => $line,
		pos_from => $line->{from}, def_from => $line->{to}, pos_to => $never, def_to => $never,
		users => { $line->{user} => $line->{from} }, user_to => $never };

	$row->{pos_from} = min($row->{pos_from}, $line->{from});
	$row->{def_from} = min($row->{def_from}, $line->{to});
	return $row;
}

# The holds first: a confirmation says nothing of event and user.
foreach my $line (grep { $holds{ $_->{act} } && $_->{state} eq '00000' } @lines)
{
	my ($id) = @{ $line->{ids} };
	my $known = $hold{$id};
	my $row = given(\%hold, $id, $line);

	problem("hold $id was given twice") if $known && ($line->{key} // '') ne ($known->{first}{key} // "no key");
	$row->{places} = $row->{most} = $line->{places};
	$row->{expires} = $row->{soonest} = $row->{latest} = $line->{expires};
}
foreach my $line (grep { $_->{state} eq '00000' && $_->{act} =~ /^(?:extend|.*_hold)$/ && !$holds{ $_->{act} } } @lines)
{
	foreach my $row (map { $hold{$_} // () } @{ $line->{ids} })
	{
		if ($line->{act} eq 'extend' || $line->{act} eq 'retime_hold')
		{
			$row->{soonest} = min($row->{soonest}, $line->{expires});
			$row->{latest} = max($row->{latest}, $line->{expires});
			$row->{retimed} = 1 if $line->{act} eq 'retime_hold';
		}
		elsif ($line->{act} eq 'resize_hold')
		{
			$row->{places} = min($row->{places}, $line->{places});
			$row->{most} = max($row->{most}, $line->{places});
		}
		elsif ($line->{act} eq 'give_hold')
		{
			$row->{users}{ $line->{user} } //= $line->{from};
			$row->{user_to} = min($row->{user_to}, $line->{from});
		}
	}
}

foreach my $line (grep { $books{ $_->{act} } && $_->{state} eq '00000' } @lines)
{
	my $confirmed = $line->{act} =~ /^(?:confirm|rebook)$/ ? $hold{ $line->{hold} } : undef;

	if ($line->{act} =~ /^(?:confirm|rebook)$/ && !$confirmed)
	{
		problem("hold $line->{hold} was confirmed, and nobody was given it");
		next;
	}
	foreach my $id (@{ $line->{ids} })
	{
		my $known = $ticket{$id};
		my $row = given(\%ticket, $id, $line);

		if ($confirmed)
		{
			$row->{event} = $confirmed->{event};
			$row->{users} = { map { $_ => $line->{from} } keys %{ $confirmed->{users} } }
			  unless $known;
			$row->{user_to} = 0 if keys %{ $confirmed->{users} } > 1;
			$row->{hold} //= $line->{hold};
			problem("ticket $id is of two holds") if $row->{hold} != $line->{hold};
			problem("ticket $id was booked, and given for a hold") if $known && !$known->{first}{confirmed};
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
		$confirmed->{$_} = min($confirmed->{$_} // $never, $line->{from}) foreach $line->{act}, 'confirmed_from';
		$confirmed->{confirmed_to} = min($confirmed->{confirmed_to} // $never, $line->{to});
		problem("hold $line->{hold} was confirmed into $confirmed->{ids} and into $ids")
		  if $confirmed->{ids} ne $ids;
		problem("hold $line->{hold} was confirmed into ", scalar @{ $line->{ids} }, 'tickets')
		  if @{ $line->{ids} } < $confirmed->{places} || @{ $line->{ids} } > $confirmed->{most};
	}
	elsif ($line->{act} ne 'batch' && @{ $line->{ids} } != $line->{places})
	{
		problem("$line->{act} of $line->{places} has given @{ $line->{ids} }");
	}
}
is(join("\n", @problems), '', 'each ticket and hold was given once');
@problems = ();

# One key, one answer.
foreach my $line (grep { $_->{key} && $_->{state} eq '00000' } @lines)
{
	my $ids = join ',', @{ $line->{ids} };

	problem("'$line->{key}': $key{ $line->{key} }, then $ids") if ($key{ $line->{key} } //= $ids) ne $ids;
}
is(join("\n", @problems), '', 'one key, one answer');
cmp_ok(scalar(grep { $_->{key} && $_->{state} eq '00000' } @lines), '>', keys %key, 'keys were sent again');
@problems = ();

# The ends.
foreach my $line (grep { $_->{state} eq '00000' } @lines)
{
	my $act = $line->{act};

	foreach my $id ($act =~ /^(?:cancel|cancel_row|revive|delete|transfer|give)$/ ? @{ $line->{ids} } : ())
	{
		my $row = $ticket{$id};

		if (!$row)
		{
			problem("$act of ticket $id, which nobody was given");
			next;
		}
		$row->{cancelled} += $act eq 'revive' ? -1 : $act =~ /^cancel/ ? 1 : 0;
		$row->{revived} = 1 if $act eq 'revive';
		$row->{deleted}++ if $act eq 'delete';
		if ($act =~ /^cancel|^delete/)
		{
			$row->{def_to} = min($row->{def_to}, $line->{from});
			$row->{last_end} = max($row->{last_end} // 0, $line->{to});
		}
		if ($act =~ /^transfer$|^give$/)
		{
			$row->{users}{ $line->{user} } //= $line->{from};
			$row->{user_to} = min($row->{user_to}, $line->{from});
		}
	}
	foreach my $id ($act =~ /^(?:release|end_hold|delete_hold)$/ ? @{ $line->{ids} } : ())
	{
		my $row = $hold{$id};

		if (!$row)
		{
			problem("$act of hold $id, which nobody was given");
			next;
		}
		$row->{ends}++;
		$row->{deleted}++ if $act eq 'delete_hold';
		$row->{def_to} = min($row->{def_to}, $line->{from});
		$row->{pos_to} = min($row->{pos_to}, $line->{to});
	}
}
foreach my $row (values %ticket)
{
	$row->{pos_to} = $row->{last_end} if $row->{last_end} && (!$row->{revived} || $row->{deleted});
}
foreach my $row (values %hold)
{
	problem("hold $row->{id} was ended $row->{ends} times") if ($row->{ends} // 0) > 1;
	problem("hold $row->{id} was ended and confirmed") if $row->{ends} && $row->{confirm} && !$row->{rebook};
	problem("hold $row->{id} was confirmed after it had expired")
	  if $row->{confirm} && !$row->{rebook} && $row->{confirm} > $row->{latest};
	$row->{certain_end} = min($row->{pos_to}, $row->{confirmed_to} // $never);
	$row->{def_to} = min($row->{def_to}, $row->{soonest}, $row->{confirmed_from} // $never);
	$row->{pos_to} = min($row->{certain_end}, $row->{latest});
}
is(join("\n", @problems), '', 'each hold had one end');
@problems = ();

# ---- what is there ----

my $dbh = connect_to($node);

foreach my $found (@{ $dbh->selectall_arrayref(
	'SELECT ticket_id, event_id, user_id, hold_id, cancelled_at IS NOT NULL AS cancelled FROM booking.ticket',
	{ Slice => {} }) })
{
	my $row = $ticket{ $found->{ticket_id} };

	if (!$row)
	{
		problem("ticket $found->{ticket_id}: nobody was given it");
		next;
	}
	$row->{found} = 1;
	problem("ticket $row->{id}: of event $found->{event_id}") if $found->{event_id} != $row->{event};
	problem("ticket $row->{id}: of user $found->{user_id}") if !$row->{users}{ $found->{user_id} };
	problem("ticket $row->{id}: of another hold") if ($found->{hold_id} // 0) != ($row->{hold} // 0);
	problem("ticket $row->{id}: cancelled or not") if ($row->{cancelled} // 0) != $found->{cancelled};
}
foreach my $row (values %ticket)
{
	problem("ticket $row->{id} is lost") if !$row->{found} && !$row->{deleted};
	problem("ticket $row->{id} was deleted, and is there") if $row->{found} && $row->{deleted};
}
my %held = map { $_->[0] => 1 } @{ $dbh->selectall_arrayref('SELECT hold_id FROM booking.hold') };

foreach my $id (keys %held)
{
	problem("hold $id: nobody was given it") if !$hold{$id};
}
foreach my $row (values %hold)
{
	problem("hold $row->{id} is lost") if !$held{ $row->{id} } && !$row->{deleted};
}
is(join("\n", @problems), '', 'all that was given is there, and nothing else');
@problems = ();

# ---- at each moment ----

# The places taken as time goes by: times ascending, and how many from then on.
sub course
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

# The most that were taken at any moment between the two.
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
	my $certain = course(map { [ $_->{def_from}, $_->{def_to}, $_->{places} ] } @rows);
	my $most = max(0, @{ $certain->{places} });

	note("event $event: $most of $capacity{$event} were certainly taken at once");
	cmp_ok($most, '<=', $capacity{$event}, "event $event: at no moment more taken than there are");
	cmp_ok($most, '>', $capacity{$event} / 3, "event $event: which the journals would tell");
	$possible{$event} = course(map { [ $_->{pos_from}, $_->{pos_to}, $_->{most} ] } @rows);
}

my @of_limited = grep { $_->{event} == $limited } values %ticket, values %hold;
my (%possible_of, $most_certain);

foreach my $user (1 .. $users)
{
	my $certain = course(
		map { [ $_->{def_from}, min($_->{def_to}, $_->{user_to}), $_->{places} ] }
		grep { keys %{ $_->{users} } >= 1 && $_->{first}{user} == $user && !$_->{hold} } @of_limited);
	my $most = max(0, @{ $certain->{places} });

	$most_certain = max($most_certain // 0, $most);
	problem("user $user had $most places") if $most > $limit;

	# a hold that has expired may count while somebody has it locked
	$possible_of{$user} = course(
		map { [ min($_->{users}{$user}, $_->{pos_from}), $_->{certain_end} // $_->{pos_to}, $_->{most} ] }
		grep { $_->{users}{$user} } @of_limited);
}
is(join("\n", @problems), '', 'at no moment had a user more places than the limit');
is($most_certain, $limit, 'and some had as many');
@problems = ();

# ---- refusals ----

my $slack = 0.001;              # of the clocks

foreach my $line (grep { $_->{state} =~ /^TK00[12]$/ } @lines)
{
	my $row = $line->{act} =~ /^(?:rebook|.*_hold)$/ && $line->{act} ne 'insert_hold' ? $hold{ $line->{hold} }
	  : $line->{act} =~ /^(?:revive|transfer|give)$/ ? $ticket{ $line->{ticket} } : undef;
	my $event = $row ? $row->{event} : $line->{event};
	my @when = ($line->{from} - $slack, $line->{to} + $slack);

	# of these the journals can't tell how many places more they would have been
	next if $row && $line->{act} !~ /^(?:transfer|give|give_hold|revive)$/;
	if ($line->{state} eq 'TK001')
	{
		my $asked = $line->{act} eq 'revive' ? 1 : $line->{places};
		my $taken = most_between($possible{$event}, @when);

		problem("$line->{act}: $asked places of event $event, $taken taken") if $taken + $asked <= $capacity{$event};
	}
	elsif ($line->{act} ne 'revive')
	{
		my $asked = $line->{act} eq 'give_hold' ? $row->{most} : $row ? 1 : $line->{places};
		my $has = most_between($possible_of{ $line->{user} }, @when);

		problem("$line->{act}: $asked places of event $event for user $line->{user}, who has $has")
		  if $event != $limited || $has + $asked <= $limit;
	}
}
is(join("\n", @problems[ 0 .. min(20, $#problems) ]), '', 'who was refused had nothing to get');
@problems = ();

foreach my $line (grep { $_->{state} eq 'TK004' } @lines)
{
	my $row = $hold{ $line->{hold} };

	problem("hold $line->{hold}: by $line->{act} at $line->{to}, and expires at $row->{expires}")
	  if !$row->{retimed} && $line->{to} + $slack < $row->{expires};
}
is(join("\n", @problems), '', 'what was said to have expired had expired');

# ---- and then ----

check_sound($node, 'stampede');
is( $node->safe_psql('postgres', <<~'SQL'), '', 'the view tells what there is');
	SELECT * FROM booking.sales s
	WHERE booked <> (SELECT count(*) FROM booking.ticket t
	                 WHERE t.event_id = s.event_id AND cancelled_at IS NULL)
	   OR cancelled <> (SELECT count(*) FROM booking.ticket t
	                    WHERE t.event_id = s.event_id AND cancelled_at IS NOT NULL)
	   OR available + held + booked <> capacity
	SQL

# When all holds have expired their places are sold, though nobody sweeps.
$node->safe_psql('postgres', <<~'SQL');
	UPDATE booking.event SET max_per_user = NULL;
	UPDATE booking.event SET capacity = capacity + 5;
	SELECT booking.hold_tickets(event_id, 1, q, '1 ms')
	FROM booking.event, unnest(ARRAY[2, 1, 2]) q;
	SQL
$node->poll_query_until('postgres',
	'SELECT NOT EXISTS (SELECT FROM booking.hold WHERE ended_at IS NULL AND expires_at > clock_timestamp())');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM booking.hold WHERE ended_at IS NULL'),
	'>=', 3, 'holds have expired and nobody has ended them');
sell_the_rest($node, $_, "stampede, event $_") foreach sort keys %capacity;
check_sound($node, 'stampede, sold out');
check_log($node, 'stampede', 'TK001', 'TK002', 'TK004', 'TK005', 'P0002', '22023');
$node->stop;
done_testing();
