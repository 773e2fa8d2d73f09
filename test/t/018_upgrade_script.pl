# ALTER EXTENSION pg_booking UPDATE, in a running sale.
#
# The test makes a version 1.1 of its own from these sources: it has one more function
# in C, one more column of booking.ticket, and the script that goes from 1.0 to 1.1.
# CONTRIBUTING.md describes how a real one is made.
#
# Promises: while the files are installed, the extension is updated and create_tables()
# adds the column, no client sees an error, neither those that loaded the library
# before nor those that connect in between.  Rows, constraints and grants stay.  The
# result is that of a new installation, and it can be dumped and restored.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BookingCapacity;
use BookingShop;
use BookingTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $sources = "$FindBin::RealBin/../..";
my $dir = PostgreSQL::Test::Utils::tempdir();
my ($build, $inst, $journals) = map { "$dir/$_" } qw(build inst journals);

# ---- version 1.1 ----

# Returns where pg_config says something is.
sub pg_config
{
	my ($what) = @_;
	my $path = `pg_config --$what`;

	chomp $path;
	return $path;
}

# Returns the settings with which a server finds the extension in $inst, or nothing if
# it has no such settings.
sub settings
{
	my ($share, $lib) = map { pg_config($_) } qw(sharedir pkglibdir);
	my $sample = slurp_file("$share/postgresql.conf.sample");
	my $where =
	    $sample =~ /extension_control_path/ ? "extension_control_path = '$inst$share:\$system'"
	  : $sample =~ /extension_destdir/ ? "extension_destdir = '$inst'"
	  : return;

	return "dynamic_library_path = '$inst$lib:\$libdir'\n$where\n";
}

# Builds what is in $build, and installs it into $inst.  As dpkg does it, each file
# replaces the old one by a rename: "make install" removes the library first, so that
# for a moment no session can load it.
sub install
{
	my ($version, @scripts) = @_;
	my $new = "$dir/new-$version";

	system_or_bail(
		'make', '-s', '-C', $build, 'install', "DESTDIR=$new", "DATA_built=pg_booking--$version.sql",
		"DATA=@scripts");
	system_or_bail('sh', '-e', '-c', <<~'SH', 'sh', $new, $inst);
		cd "$1"
		find . -type d -exec mkdir -p "$2/{}" ';'
		find . -type f -exec mv "{}" "$2/{}" ';'
		SH
	return;
}

sub write_file
{
	my ($file, $text) = @_;

	unlink $file;
	append_to_file($file, $text);
	return;
}

# Changes a text, in which the old part must occur once.
sub change
{
	my ($text, $old, $new) = @_;
	my @parts = split /\Q$old\E/, $text, -1;

	@parts == 2 or BAIL_OUT("the sources have changed, adapt this test: $old");
	return join $new, @parts;
}

# The same in a file.
sub change_file
{
	my ($file, @changes) = @_;
	my $text = slurp_file("$build/$file");

	$text = change($text, splice @changes, 0, 2) while @changes;
	write_file("$build/$file", $text);
	return;
}

# The new function, with its comment.
my $new_function = <<~'SQL';
	CREATE FUNCTION booking.library_version() RETURNS text
	AS 'MODULE_PATHNAME', 'booking_library_version'
	LANGUAGE C STABLE PARALLEL SAFE;
	COMMENT ON FUNCTION booking.library_version() IS 'Returns the version of the library.';

	SQL

# Returns the install script of 1.1.
sub install_script
{
	my ($script) = @_;

	$script = change($script, '/* ---- privileges ---- */', "$new_function/* ---- privileges ---- */");
	$script = change(
		$script,
		"cancelled_at timestamptz\n        )\$sql\$, user_id_type);",
		"cancelled_at timestamptz,\n            channel text\n        )\$sql\$, user_id_type);");
	$script = change($script, 'WITH wanted_index (tab, kind, def) AS (VALUES', <<~'SQL' . '    wanted_index (tab, kind, def) AS (VALUES');
		WITH wanted_column (tab, col, def) AS (VALUES
		        ('ticket', 'channel', 'text')
		    ),
		SQL
	return change($script, "found AS (\n        SELECT 1 AS nth, tab,", <<~'SQL' . '        SELECT 1, tab,');
		found AS (
		        SELECT 0 AS nth, tab, format('table booking.%s lacks the column %s', tab, col) AS problem,
		               format('ALTER TABLE booking.%I ADD COLUMN %I %s', tab, col, def) AS repair
		        FROM wanted_column JOIN tables USING (tab)
		        WHERE NOT EXISTS (SELECT FROM pg_attribute a
		                          WHERE a.attrelid = rel AND a.attname = col AND NOT a.attisdropped)
		        UNION ALL
		SQL
}

# Returns the script from 1.0 to 1.1: the functions that have changed, the new one, and
# its privileges.
sub update_script
{
	my ($script) = @_;
	my $delta = qq{\\echo Use "ALTER EXTENSION pg_booking UPDATE" to load this file. \\quit\n};

	foreach my $name (qw(create_tables schema_problems))
	{
		$script =~ /^CREATE (FUNCTION booking\.$name\(.*?^\$\$;\n)/ms or BAIL_OUT("no $name");
		$delta .= "CREATE OR REPLACE $1\n";
	}
	$script =~ m{^/\* ---- privileges.*?(^SET LOCAL .*?^\$\$;\n)}ms or BAIL_OUT('no privileges');
	return $delta . $new_function
	  . change($1, "p.prorettype <> 'trigger'::regtype", "p.proname IN ('library_version')");
}

# Changes the sources to those of 1.1.
sub make_next_version
{
	my $script = install_script(slurp_file("$build/pg_booking--1.0.sql"));

	write_file("$build/pg_booking--1.1.sql", $script);
	write_file("$build/pg_booking--1.0--1.1.sql", update_script($script));
	change_file('pg_booking.control', "default_version = '1.0'", "default_version = '1.1'");
	change_file(
		'src/tables/inspect.c',
		'{"redeemed_at", TIMESTAMPTZOID, ROW_SHAPE_NULLABLE},',
		qq({"redeemed_at", TIMESTAMPTZOID, ROW_SHAPE_NULLABLE},\n\t{"channel", TEXTOID, ROW_SHAPE_ADDED},));
	change_file(
		'src/pg_booking.c',
		'#include "utils/guc.h"',
		qq(#include "utils/builtins.h"\n#include "utils/guc.h"),
		'extern PGDLLEXPORT void _PG_init(void);',
		<<~'C');
		extern PGDLLEXPORT void _PG_init(void);

		SQL_FUNCTION(booking_library_version);

		Datum
		booking_library_version(PG_FUNCTION_ARGS)
		{
			PG_RETURN_TEXT_P(cstring_to_text("1.1"));
		}
		C
	return;
}

my $settings = settings() // plan skip_all => 'this server finds extensions in one place only';

mkdir $_ foreach $build, $inst, $journals;
system_or_bail('cp', '-a', (grep { -e } map { "$sources/$_" }
	qw(Makefile META.json pg_booking.control pg_booking--1.0.sql pg_booking.so src)), $build);
install('1.0');

# ---- the databases ----

my $node = booking_node('upgrade', conf => "$settings\nfsync = off\n");

# Sends SQL as a role, and returns what it returns, or its error.
sub as_role
{
	my ($role, $sql, $db) = @_;
	my ($status, $out, $err) =
	  $node->psql($db // 'shop', $sql, extra_params => [ '-U', $role, '-v', 'VERBOSITY=terse' ]);

	return $status ? $err : $out;
}

# The sale.  The owner of the database is no superuser.
$node->safe_psql('postgres', <<~'SQL');
	CREATE ROLE shop_owner LOGIN;
	CREATE ROLE web LOGIN;
	CREATE DATABASE shop OWNER shop_owner;
	SQL
$node->safe_psql('shop', 'CREATE EXTENSION amcheck');
as_role('shop_owner', <<~'SQL');
	CREATE EXTENSION pg_booking;
	SELECT booking.create_tables();
	INSERT INTO booking.event (event_id, capacity, max_per_user)
	VALUES (1, 1000000, NULL), (2, 50, NULL), (3, 1000000, 1000000);
	CREATE TABLE show (id bigint PRIMARY KEY, capacity integer NOT NULL);
	CREATE TABLE seat (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, show_id bigint NOT NULL);
	INSERT INTO show VALUES (1, 1000000), (2, 50);
	SELECT booking.add_capacity_constraint('seat', '{show_id}', 'show', 'capacity');
	GRANT USAGE ON SCHEMA booking TO web;
	GRANT EXECUTE ON FUNCTION booking.try_book_ticket(bigint, "any", text), booking.confirm_hold(bigint, text),
	    booking.hold_tickets(bigint, "any", integer, interval, text, text) TO web;
	GRANT SELECT, INSERT (event_id, user_id) ON booking.ticket TO web;
	GRANT SELECT, INSERT ON seat TO web;
	SQL

# The shop of the tests of pg_dump, and constraints of every kind.
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(quiet restored constraints fresh);
fill_shop($node, 'quiet');
create_constraints($node, 'constraints');
fill_constraints($node, 'constraints');

# Returns the rows of the quiet shop.  Of the tickets only the columns of 1.0.
sub contents
{
	my ($db) = @_;

	return $node->safe_psql($db, <<~'SQL');
		SELECT e FROM booking.event e ORDER BY event_id;
		SELECT ticket_id, event_id, user_id, seat, hold_id, booked_at, redeemed_at, cancelled_at, price
		FROM booking.ticket t ORDER BY ticket_id;
		SELECT i FROM booking.inventory i ORDER BY event_id, stripe;
		SELECT h FROM booking.hold h ORDER BY hold_id;
		SELECT r FROM booking.request r ORDER BY event_id, idempotency_key;
		SELECT u FROM booking.user_limit u ORDER BY event_id, user_id;
		SELECT l FROM booking.resource_lock l ORDER BY resource;
		SELECT h FROM booking.history h ORDER BY history_id;
		SELECT s FROM booking.sales s ORDER BY event_id;
		SELECT indexdef FROM pg_indexes WHERE schemaname = 'booking' ORDER BY 1;
		SELECT tgrelid::regclass::text, pg_get_triggerdef(oid), tgenabled
		FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2;
		SQL
}

# ---- the sale ----

# What a client sends, in turn.  Each returns the id of a ticket, or nothing if all
# places are sold.
my @calls = (
	'SELECT ticket_id FROM booking.try_book_ticket(1, 7)',
	'SELECT ticket_id FROM booking.try_book_ticket(3, 8)',
	'INSERT INTO booking.ticket (event_id, user_id) VALUES (1, 7) RETURNING ticket_id',
	'SELECT (booking.confirm_hold(hold_id))[1] FROM booking.hold_tickets(1, 9, 1)',
	'SELECT ticket_id FROM booking.try_book_ticket(2, 7)',
	'INSERT INTO seat (show_id) VALUES (1) RETURNING -id');

# Books until the sale is stopped, and writes the ids of the tickets into a journal.  A
# client that does not stay connects for each call.  (As with any database, a deadlock
# is tried again.)
sub sell
{
	my ($name, $stays) = @_;
	my $dbh;

	open my $journal, '>>', "$journals/$name" or die "$name: $!";
	$journal->autoflush(1);
	for (my $n = 0; !-e "$dir/stop"; $n++)
	{
		$dbh = connect_to($node, db => 'shop', more => ';user=web') if !$dbh || !$stays;
		my $rows = $dbh->selectcol_arrayref($calls[ $n % @calls ]);

		if (!$rows)
		{
			die "$name: " . $dbh->errstr if $dbh->state ne '40P01';
			next;
		}
		print $journal "$_\n" foreach grep { defined } @$rows;
		# not as fast as it can: other tests may run
		select undef, undef, undef, 0.005;
	}
	return;
}

# Returns the ids in a client's journal.
sub journal
{
	my ($name) = @_;
	my $file = "$journals/$name";

	return -e $file ? split /\n/, slurp_file($file) : ();
}

my @clients = qw(stays_1 stays_2 comes_1 comes_2);
my @workers;

# Waits until each client has sold 20 more tickets.
sub goes_on
{
	my ($what) = @_;
	my %before = map { $_ => scalar(my @ids = journal($_)) } @clients;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	my @waiting = @clients;

	while (@waiting && time < $end)
	{
		select undef, undef, undef, 0.05;
		@waiting = grep { (my @ids = journal($_)) < $before{$_} + 20 } @waiting;
	}
	is("@waiting", '', "$what: all clients sell on") or die 'they do not';
	return;
}

foreach my $name (@clients)
{
	push @workers, start_worker(sub { sell($name, $name =~ /stays/) });
}
my $old = connect_to($node, db => 'shop', more => ';user=shop_owner');

# Books a ticket in the session that has the old library.
sub old_books
{
	my ($what) = @_;
	my ($ticket) = $old->selectrow_array('SELECT booking.book_ticket(1, 11)');

	ok($ticket, "$what: a session with the old library books") or diag $old->errstr;
	return;
}

old_books('1.0');
goes_on('1.0');
my $before = contents('quiet');
my $constraints = state_of_constraints($node, 'constraints');

# ---- the upgrade ----

my $version = "SELECT extversion FROM pg_extension WHERE extname = 'pg_booking'";
my $verify = 'SELECT problem FROM booking.verify()';
my $lacks = 'table booking.ticket lacks the column channel';

make_next_version();
install('1.1', 'pg_booking--1.0--1.1.sql');
unlink glob "$inst" . pg_config('sharedir') . '/extension/pg_booking--1.0.sql';
goes_on('the files of 1.1');
old_books('the files of 1.1');
is(as_role('shop_owner', "$version; $verify"), '1.0', 'the files of 1.1: the database still has 1.0');
as_role('shop_owner', 'SELECT booking.create_tables()');
is(as_role('shop_owner', $verify), '', 'the files of 1.1: create_tables() changes nothing');

is(as_role('shop_owner', 'ALTER EXTENSION pg_booking UPDATE'), '', 'the update: by the owner of the extension');
goes_on('the update');
old_books('the update');
is(as_role('shop_owner', "$version; $verify"), "1.1\n$lacks", 'the update: verify() says what the tables lack');
is(as_role('shop_owner', 'SELECT booking.library_version()'), '1.1', 'the update: a new session has the new function');
$old->do('SELECT booking.library_version()');
like($old->errstr, qr/could not find function "booking_library_version"/,
	'the update: a session with the old library does not');
like(as_role('web', 'SELECT booking.library_version()'), qr/permission denied/,
	'the update: the new function is not for all roles');

like(as_role('shop_owner', 'SELECT booking.create_tables()'), qr/^$/, 'create_tables(): without a warning');
goes_on('create_tables()');
old_books('create_tables()');
is(as_role('shop_owner', $verify), '', 'create_tables(): the tables lack nothing');
is( as_role('shop_owner', "INSERT INTO booking.ticket (event_id, user_id, channel) VALUES (1, 12, 'box office') RETURNING channel"),
	'box office', 'create_tables(): the column is there');

# The direct path, by which functions insert tickets, does not fire the trigger.
my $path = <<~'SQL';
	BEGIN;
	SET LOCAL track_functions = 'all';
	SELECT booking.book_ticket(1, 11) > 0;
	SELECT coalesce(pg_stat_get_xact_function_calls('booking.ticket_changed'::regproc), 0);
	ROLLBACK;
	SQL
is($node->safe_psql('shop', $path), "t\n0", 'create_tables(): a new session takes the direct path');

# ---- the sale after it ----

append_to_file("$dir/stop", '');
finish_workers('the sale', @workers);
my @sold = map { journal($_) } @clients;
my @tickets = grep { $_ > 0 } @sold;
my @seats = map { -$_ } grep { $_ < 0 } @sold;

is( $node->safe_psql('shop', 'SELECT ticket_id FROM booking.ticket WHERE user_id < 10 ORDER BY 1'),
	join("\n", sort { $a <=> $b } @tickets), 'the sale: each ticket that was sold is there, and no other');
is($node->safe_psql('shop', 'SELECT id FROM seat ORDER BY 1'),
	join("\n", sort { $a <=> $b } @seats), 'the sale: so are the rows under the constraint');
like(
	as_role('web', 'INSERT INTO seat (show_id) SELECT 2 FROM generate_series(1, 51)'),
	qr/violates capacity constraint "seat_show_id_capacity"/, 'the sale: the constraint is still there');
check_sound($node, 'the sale', 'shop');
sell_the_rest($node, 2, 'the sale', 'shop');
$old->disconnect;

# ---- the same as a new installation ----

# Returns the functions, and the columns of the tables, of a database, each in a line.
sub catalog
{
	my ($db) = @_;

	return split /\n/, $node->safe_psql($db, <<~'SQL');
		SELECT p.oid::regprocedure, md5(prosrc), probin, prokind, provolatile, proparallel, prosecdef, proisstrict,
		       proconfig, proacl, pg_get_function_result(p.oid), pg_get_function_arguments(p.oid),
		       obj_description(p.oid)
		FROM pg_proc p
		JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
		WHERE e.extname = 'pg_booking'
		ORDER BY p.oid::regprocedure::text;
		SELECT attrelid::regclass, attname, atttypid::regtype, attnotnull, attidentity, attcollation::regcollation
		FROM pg_attribute
		WHERE attnum > 0 AND NOT attisdropped
		  AND attrelid = ANY ('{booking.event, booking.inventory, booking.ticket, booking.hold, booking.request,
		                        booking.user_limit, booking.resource_lock}'::regclass[])
		ORDER BY attrelid::regclass::text, attnum;
		SELECT indexdef FROM pg_indexes WHERE schemaname = 'booking' AND tablename <> 'seat_show_id_capacity'
		ORDER BY 1;
		SQL
}

as_role('shop_owner', <<~'SQL');
	REVOKE ALL ON FUNCTION booking.try_book_ticket(bigint, "any", text), booking.confirm_hold(bigint, text),
	    booking.hold_tickets(bigint, "any", integer, interval, text, text) FROM web;
	SQL
$node->safe_psql('postgres', 'ALTER DATABASE fresh OWNER TO shop_owner');
as_role('shop_owner', 'CREATE EXTENSION pg_booking; SELECT booking.create_tables()', 'fresh');
is(as_role('shop_owner', $version, 'fresh'), '1.1', 'a new installation: has 1.1');
{
	my (%shop, %fresh);

	@shop{ catalog('shop') } = ();
	@fresh{ catalog('fresh') } = ();
	cmp_ok(scalar keys %fresh, '>', 100, 'a new installation: has functions and tables');
	is( join("\n", grep { !exists $fresh{$_} } sort keys %shop),
		join("\n", grep { !exists $shop{$_} } sort keys %fresh),
		'a new installation: those of the upgraded database are the same');
}

# ---- the other databases ----

foreach my $db (qw(quiet constraints))
{
	is($node->safe_psql($db, $version), '1.0', "$db: has 1.0 until it is updated, too");
	$node->safe_psql($db, 'ALTER EXTENSION pg_booking UPDATE');
}
is(contents('quiet'), $before, 'the shop: the contents are unchanged');
$node->safe_psql('quiet', 'SELECT booking.create_tables()');
is(contents('quiet'), $before, 'the shop: nor does create_tables() change them');

$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/quiet.dump", $node->connstr('quiet') ], 'the shop: pg_dump');
$node->command_ok(
	[ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), "$dir/quiet.dump" ],
	'the shop: pg_restore');
is(contents('restored'), $before, 'the shop, restored: the contents are unchanged');
is($node->safe_psql('restored', "$version; SELECT channel FROM booking.ticket WHERE ticket_id = 1"),
	"1.1\n", 'the shop, restored: with the new column');
sells_on($node, 'quiet', 'the shop');
sells_on($node, 'restored', 'the shop, restored');

is(state_of_constraints($node, 'constraints'), $constraints, 'constraints: the same places are left');
enforces_constraints($node, 'constraints', 'constraints');
check_log($node, 'the log', qw(23514 23T04 40P01 42501 42883));

$node->stop;
done_testing();
