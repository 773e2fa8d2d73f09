#!/usr/bin/perl
#
# links.pl - finds broken relative links in Markdown.
#
# usage: links.pl FILE ...
#
# Checks the links and images in those of the files that are Markdown, except URLs.
# Each must lead to a file or folder, and the part after "#" to a heading of that
# file.  Prints a line for each that does not,
#
#	file:line: the link: what is missing
#
# and ends with status 1 if there is any.

use strict;
use warnings;

use File::Basename;
use FindBin;
use lib $FindBin::Bin;
use Source qw(line_of read_file);

my %anchors;	# of each file: its anchors
my $found = 0;

# The text of a Markdown file with the contents of code replaced by blanks.
sub without_code
{
	my ($text) = @_;
	my $blank = sub { my ($code) = @_; $code =~ tr/\n/ /c; return $code };

	$text =~ s/(^[ \t]*(```|~~~).*?^[ \t]*\2[^\n]*)/$blank->($1)/gems;
	$text =~ s/((`+)(?!`)[^\n]*?(?<!`)\2(?!`))/$blank->($1)/ge;
	return $text;
}

# The anchors that GitHub makes of the headings of a file, and those in HTML.
sub anchors_of
{
	my ($path) = @_;

	return $anchors{$path} if $anchors{$path};
	my $text = read_file($path);
	my %found;

	# (Headings may hold code, so that only fenced code is taken away.)
	$text =~ s/^[ \t]*(```|~~~).*?^[ \t]*\1[^\n]*//gms;
	while ($text =~ /^#{1,6}[ \t]+(.+?)[ \t]*#*$/gm)
	{
		my $anchor = lc $1;

		$anchor =~ s/\[([^\]]*)\]\([^)]*\)/$1/g;
		$anchor =~ s/[^\w\- ]//g;
		$anchor =~ tr/ /-/;
		my $n = $found{$anchor}++;
		$found{"$anchor-$n"}++ if $n;
	}
	$found{$1}++ while $text =~ /<[^>]+\b(?:id|name)="([^"]+)"/g;
	return $anchors{$path} = \%found;
}

# What is wrong with a link of a file, or undef.
sub problem
{
	my ($path, $link) = @_;
	my ($target, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/s;
	my $file = $path;

	return undef if $link =~ m{^(?:[a-z][a-z0-9+.-]*:|//)}i;
	if ($target ne '')
	{
		$file = dirname($path) . "/$target";
		return 'no such file' if !-e $file;
	}
	return undef if !defined $anchor || $file !~ /\.md$/;
	return anchors_of($file)->{$anchor} ? undef : 'no such heading';
}

for my $path (grep { /\.md$/ } @ARGV)
{
	my $text = without_code(read_file($path));

	while ($text =~ /\]\(\s*<?([^()\s>]+)>?(?:\s+"[^"]*")?\s*\)|^[ ]{0,3}\[[^\]\n]+\]:\s+<?(\S+?)>?\s*$/gm)
	{
		my $link = $1 // $2;
		my $line = line_of($text, $-[0]);
		my $problem = problem($path, $link);

		next if !defined $problem;
		print "$path:$line: $link: $problem\n";
		$found = 1;
	}
}
exit $found;
