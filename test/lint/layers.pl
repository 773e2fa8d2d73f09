#!/usr/bin/perl
#
# layers.pl - includes and calls in src/ point down only.
#
# usage: layers.pl [FOLDER]		(default: src)
#
# README.md in the folder lists its subfolders, the lowest first, one a line:
#
#	<!-- begin: layers -->
#	```
#	server
#	pool
#	```
#	<!-- end: layers -->
#
# What lies in the folder itself is above all of them.  Then
#
# - no file includes a header of a higher folder, or uses a name that such a header
#   declares: a function, variable, type, macro or constant of an enum;
# - no .c declares a function of another file itself;
# - within a folder no files use each other in a circle, where foo.c and foo.h count
#   as one file;
# - what foo.h declares is defined in foo.c;
# - the names of its functions and variables begin with "foo_" (%PREFIX has the
#   exceptions);
# - our headers are included by their path in src/, such as "server/plan.h".
#
# Prints "file:line: what is wrong" and ends with status 1 if anything is.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Source qw(line_of mask read_file tree);

# Headers whose names do not begin with the file's: what they begin with instead.
my %PREFIX = (
	'server/errors' => 'error_',
	'server/rowversion' => 'row_version_',
	'server/rowwriter' => 'row_writer_',
);

# What PostgreSQL looks for is not in a header of ours.
my $CALLED_BY_POSTGRESQL = qr/^_PG_/;

my $found = 0;
my $root = shift // 'src';
my %rank;		# of each folder, and of '.', the top
my %code;		# of each file: its text without comments and contents of strings
my %declared;	# of each name in a header: [header, line]
my %defined;	# of each function: the .c that it is in
my %uses;		# of each file, without extension: those it uses, and where

sub complain
{
	my ($path, $line, $what) = @_;

	print "$root/$path:$line: $what\n";
	$found = 1;
}

sub folder_of { return $_[0] =~ m{^(.*)/[^/]*$} ? $1 : '.' }
sub without_extension { return $_[0] =~ s/\.[ch]$//r }

# Reads the order of the folders.
sub read_order
{
	my $readme = "$root/README.md";
	my $n = 0;

	-e $readme or die "$readme: no such file\n";
	my ($list) = read_file($readme) =~
	  /^<!-- begin: layers -->\n(.*?)^<!-- end: layers -->$/ms
	  or die "$readme: no list of folders between the marks \"layers\"\n";
	for my $line (split /\n/, $list)
	{
		next if $line =~ /^\s*(?:```.*)?$/;
		my ($folder) = $line =~ m{^\s*([^\s/]+)};

		-d "$root/$folder" or complain('README.md', 1, "there is no folder $folder");
		$rank{$folder} = ++$n;
	}
	$n > 0 or die "$readme: the list of folders is empty\n";
	$rank{'.'} = $n + 1;
}

# Reads the files, and complains of those in folders that are not listed.
sub read_sources
{
	for my $path (grep { /\.[ch]$/ } tree($root))
	{
		my $name = substr $path, length($root) + 1;
		my $folder = folder_of($name);

		$code{$name} = mask('code', $name, read_file($path));
		$code{$name} =~ tr/\x01/ /;
		next if $rank{$folder};
		complain($name, 1, "the folder $folder is not in the list of layers");
		delete $code{$name};
	}
}

# The text with the contents of braces and of inner parentheses blanked, and those
# of enums in <>, so that what is left are declarations.
sub outer_text
{
	my ($text) = @_;
	my $blank = sub { my ($inside) = @_; $inside =~ tr/\n/ /c; return $inside };

	$text =~ s/(\benum\b[^{};]*)\{([^{}]*)\}/$1<$2>/g;
	1 while $text =~ s/(\{[^{}]*\})/$blank->($1)/ge;
	1 while $text =~ s/(\([^()]*)(\([^()]*\))/$1 . $blank->($2)/ge;
	return $text;
}

# Notes that a header declares a name at a position of a text.
sub declare
{
	my ($header, $text, $position, $name) = @_;

	$declared{$name} //= [ $header, line_of($text, $position) ];
}

# The same of a function or variable, which begins with the file's prefix.
sub declare_symbol
{
	my ($header, $text, $position, $name) = @_;
	my $unit = without_extension($header);
	my $prefix = $PREFIX{$unit} // ($unit =~ m{([^/]*)$})[0] . '_';

	declare($header, $text, $position, $name);
	complain($header, line_of($text, $position), "$name does not begin with $prefix")
	  if index($name, $prefix) != 0;
}

# Reads the macros of a header.
sub read_macros
{
	my ($header, $text) = @_;

	while ($text =~ /^[ \t]*#[ \t]*define[ \t]+(\w+)(.*)/gm)
	{
		my ($name, $position, $rest) = ($1, $-[1], $2);

		# (A guard against including twice has no value.)
		declare($header, $text, $position, $name)
		  if $name !~ /_H_?$/ || $rest =~ /\S/;
	}
}

# Reads what a header declares.
sub read_header
{
	my ($header) = @_;
	my $text = $code{$header};

	read_macros($header, $text);
	$text =~ s/^([ \t]*#(?:[^\n]*\\\n)*[^\n]*)/$1 =~ tr{\n}{ }cr/gem;
	$text = outer_text($text);
	while ($text =~ /\benum\b[^<;]*<([^>]*)>/g)
	{
		my ($constants, $start) = ($1, $-[1]);

		declare($header, $text, $start + $-[1], $1)
		  while $constants =~ /(?:^|,)\s*(\w+)/g;
	}

	# (The head of an inline function has no semicolon behind it, and begins the
	# next declaration.)
	while ($text =~ /([^;]+);/g)
	{
		my ($declaration, $start) = ($1, $-[1]);

		if ($declaration =~ /\btypedef\b.*\(\s*\*\s*(\w+)/s
			|| $declaration =~ /\btypedef\b.*?\b(\w+)\s*(?:\[[^\]]*\]\s*)*$/s)
		{
			declare($header, $text, $start + $-[1], $1);
			next;
		}
		while ($declaration =~ /\b(\w+)\s*\(/g)
		{
			declare_symbol($header, $text, $start + $-[1], $1)
			  if $1 !~ /^(?:pg_attribute_\w+|__attribute__)$/;
		}
		declare_symbol($header, $text, $start + $-[1], $1)
		  if $declaration =~ /\bextern\b[^()]*\b(\w+)\s*(?:\[[^\]]*\]\s*)*$/;
	}
}

# Notes the functions that a .c defines; it may declare none of another's.
sub read_definitions
{
	my ($path) = @_;
	my $text = $code{$path};

	while ($text =~ /^(\w+)\([^;{}]*\)\s*\{/gm)
	{
		my $name = $1;
		my $before = substr $text, 0, $-[0];

		$defined{$name} = $path if $before !~ /\bstatic\b[^;{}]*$/;
	}
	while ($text =~ /^[ \t]*(?:pg_noreturn\s+)?extern\b[^;{}]*?(\w+)\s*[(;]/gm)
	{
		complain($path, line_of($text, $-[0]), "declares $1 outside of a header")
		  if $1 !~ $CALLED_BY_POSTGRESQL;
	}
}

# Notes that a file uses another, at a line, and how.  It may if that one is not in
# a higher folder.
sub note_use
{
	my ($path, $line, $other, $how) = @_;
	my $unit = without_extension($path);
	my $used = without_extension($other);
	my ($from, $to) = (folder_of($path), folder_of($other));

	return if $unit eq $used;
	if ($rank{$to} > $rank{$from})
	{
		complain($path, $line, "$how, which is in a higher folder");
	}
	elsif ($from eq $to)
	{
		$uses{$unit}{$used} //= "$root/$path:$line: $how";
	}
}

# Reads which of our headers a file includes.
sub read_includes
{
	my ($path) = @_;
	my $text = read_file("$root/$path");
	my $folder = folder_of($path);

	while ($text =~ /^[ \t]*#[ \t]*include[ \t]+"([^"]+)"/gm)
	{
		my ($header, $line) = ($1, line_of($text, $-[0]));

		if (exists $code{$header})
		{
			note_use($path, $line, $header, "includes $header");
		}
		elsif (-e "$root/$folder/$header")
		{
			complain($path, $line, "includes $header not by its path in $root/");
		}
	}
}

# Reads which names of other headers a file uses.
sub read_uses
{
	my ($path) = @_;
	my $text = $code{$path};
	my %seen;

	# (A struct that is only pointed to needs no header.)
	while ($text =~ /(?<![.\w])(?<!->)(?<!\bstruct )([A-Za-z_]\w*)/g)
	{
		my $name = $1;
		my $header = $declared{$name} ? $declared{$name}[0] : next;

		next if $seen{$name}++;
		note_use($path, line_of($text, $-[1]), $header, "uses $name of $header");
	}
}

# What a header declares is defined in the .c of that name, if it is in any.
sub check_definitions
{
	for my $name (sort keys %declared)
	{
		my ($header, $line) = @{ $declared{$name} };
		my $path = $defined{$name};

		next if !defined $path;
		complain($header, $line, "$name is defined in $path")
		  if without_extension($header) ne without_extension($path);
	}
}

# Complains of a circle that a file is in, once for each of its files.
my (%state, @way);

sub check_circles
{
	my ($unit) = @_;

	$state{$unit} = 'open';
	push @way, $unit;
	for my $used (sort keys %{ $uses{$unit} })
	{
		if (($state{$used} // '') eq 'open')
		{
			my @circle = @way;

			shift @circle while $circle[0] ne $used;
			complain(folder_of($used), 1, 'a circle: ' . join(' -> ', @circle, $used));
			for my $i (0 .. $#circle)
			{
				my $next = $i < $#circle ? $circle[ $i + 1 ] : $used;

				print "    $uses{ $circle[$i] }{$next}\n";
			}
		}
		elsif (!$state{$used})
		{
			check_circles($used);
		}
	}
	pop @way;
	$state{$unit} = 'done';
}

read_order();
read_sources();
my @paths = sort keys %code;
read_header($_) for grep { /\.h$/ } @paths;
read_definitions($_) for grep { /\.c$/ } @paths;
read_includes($_) for @paths;
read_uses($_) for @paths;
check_definitions();
$state{$_} || check_circles($_) for sort keys %uses;
exit $found;
