#!/usr/bin/perl
#
# editorconfig.pl - do the files look as .editorconfig says?
#
# usage: editorconfig.pl FILE ...
#
# Reads .editorconfig in the current folder and checks of each file
#
#	charset = utf-8, end_of_line = lf, insert_final_newline,
#	trim_trailing_whitespace
#	indent_style	no line begins with the other kind of blank.  With tabs, a line
#					may begin with fewer blanks than a tab is wide (" * text"), and
#					blanks may follow tabs: they line up what is inside.  With
#					blanks, a line begins with at least indent_size of them, except
#					in a comment (" * text").
#	max_line_length	lines with a URL may be longer, and so may the rows of a table
#					that was generated (between "<!-- begin: ..." and "<!-- end: ...")
#
# Prints "file:line: what is wrong" and ends with status 1 if anything is.
# A property that it does not know is an error: it would not be checked.

use strict;
use warnings;

use Encode;
use FindBin;
use lib $FindBin::Bin;
use Source qw(read_file);

my @KNOWN = qw(charset end_of_line insert_final_newline trim_trailing_whitespace
  indent_style indent_size tab_width max_line_length);

my $found = 0;

sub complain
{
	my ($path, $line, $what) = @_;

	print "$path:$line: $what\n";
	$found = 1;
}

# A regular expression for a pattern of .editorconfig.
sub pattern
{
	my ($glob) = @_;
	my $regexp = '';
	my $depth = 0;
	my %plain = ('?' => '[^/]', '**' => '.*', '*' => '[^/]*');

	# one without a slash is about names, in whatever folder
	my $anywhere = $glob =~ m{/} ? '' : '(?:.*/)?';
	$glob =~ s{^/}{};
	for my $part ($glob =~ /\*\*|\[[^\]]*\]|./g)
	{
		if (defined $plain{$part}) { $regexp .= $plain{$part} }
		elsif ($part =~ /^\[./) { $regexp .= $part =~ s/^\[!/[^/r }
		elsif ($part eq '{') { $regexp .= '(?:'; $depth++ }
		elsif ($part eq '}') { $regexp .= ')'; $depth-- }
		elsif ($part eq ',' && $depth) { $regexp .= '|' }
		else { $regexp .= quotemeta $part }
	}
	return qr/^$anywhere$regexp$/;
}

# The sections of .editorconfig: [pattern, { property => value }].
sub read_config
{
	my @sections;

	for my $line (split /\n/, read_file('.editorconfig'))
	{
		next if $line =~ /^\s*(?:[#;].*)?$/;
		if ($line =~ /^\[(.+)\]\s*$/)
		{
			push @sections, [ pattern($1), {} ];
		}
		elsif ($line =~ /^\s*(\w+)\s*=\s*(\S+)\s*$/)
		{
			my ($name, $value) = (lc $1, lc $2);

			next if !@sections && $name eq 'root';
			die ".editorconfig: \"$name\" is not checked by $0\n"
			  if !@sections || !grep { $_ eq $name } @KNOWN;
			$sections[-1][1]{$name} = $value;
		}
		else
		{
			die ".editorconfig: not understood: $line\n";
		}
	}
	return @sections;
}

# What holds for a file.
sub properties
{
	my ($path, @sections) = @_;
	my %wanted;

	for my $section (@sections)
	{
		my ($pattern, $values) = @$section;

		%wanted = (%wanted, %$values) if $path =~ $pattern;
	}
	delete @wanted{ grep { $wanted{$_} eq 'unset' } keys %wanted };
	return %wanted;
}

# The text, decoded, or undef if it has another character set.
sub decoded
{
	my ($path, $bytes) = @_;
	my $text = eval { decode('UTF-8', $bytes, Encode::FB_CROAK | Encode::LEAVE_SRC) };

	complain($path, 1, 'not in UTF-8') if !defined $text;
	complain($path, 1, 'begins with a byte order mark')
	  if defined $text && $text =~ /^\x{FEFF}/;
	return $text;
}

sub check_indent
{
	my ($path, $number, $line, %wanted) = @_;
	my $style = $wanted{indent_style} // '';
	my $width = $wanted{tab_width} // 4;

	complain($path, $number, 'indented with blanks, not tabs')
	  if $style eq 'tab' && $line =~ /^(?: {$width}| +\t)/;
	return if $style ne 'space';
	complain($path, $number, 'indented with tabs, not blanks') if $line =~ /^ *\t/;
	complain($path, $number, "indented by less than $wanted{indent_size}")
	  if ($wanted{indent_size} // '') =~ /^\d+$/
	  && $line =~ /^( +)[^ *]/
	  && length $1 < $wanted{indent_size};
}

sub check_file
{
	my ($path, %wanted) = @_;
	my $bytes = read_file($path);
	my $text = ($wanted{charset} // '') eq 'utf-8' ? decoded($path, $bytes) : undef;
	my @lines = split /\n/, $text // $bytes, -1;
	my $last = pop @lines;
	my $generated = 0;
	my $number = 0;

	push @lines, $last if defined $last && $last ne '';
	for my $line (@lines)
	{
		$number++;
		$generated = $1 eq 'begin' if $line =~ /^<!-- (begin|end): /;
		complain($path, $number, 'ends with a carriage return')
		  if ($wanted{end_of_line} // '') eq 'lf' && $line =~ /\r$/;
		complain($path, $number, 'blanks at the end of the line')
		  if ($wanted{trim_trailing_whitespace} // '') eq 'true' && $line =~ /[ \t]\r?$/;
		check_indent($path, $number, $line, %wanted);
		complain($path, $number, 'more than ' . $wanted{max_line_length} . ' columns')
		  if $wanted{max_line_length}
		  && length $line > $wanted{max_line_length}
		  && $line !~ m{https?://}
		  && !($generated && $line =~ /^\|/);
	}
	complain($path, $number, 'no newline at the end of the file')
	  if ($wanted{insert_final_newline} // '') eq 'true' && defined $last && $last ne '';
}

my @sections = read_config();
check_file($_, properties($_, @sections)) for @ARGV;
exit $found;
