#!/usr/bin/perl
#
# words.pl - finds words that make a text hard to read.
#
# usage: words.pl FILE ...
#
# Looks at what people read: comments, messages, COMMENTs of SQL and Markdown
# (Source.pm says how they are found).  In src/ it also looks for names of ours that
# the glossary in src/README.md replaces by others.  Prints a line
#
#	file:line:what is there (what to write)
#
# for each, and ends with status 1 if there is any.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Source qw(language line_of mask read_file);

# What to look for, and what to write.  Only what is almost never right: each
# word stands for itself, and _ for any white space.
my @WORDS = (
	[ 'nobody' => 'no session, no other user, not ... anyone' ],
	[ 'who(?:so)?ever|whomever' => 'a session that, the user who' ],
	[ 'anew' => 'again, new' ],
	[ 'meanwhile' => 'while ..., in between, by now' ],
	[ 'but_for' => 'except' ],
	[ 'so_many' => 'the number, that many' ],
	[ 'therein|thereof|thereto|hereof|wherein|whereof' => 'in it, of it' ],
	[ 'lest' => 'so that ... not' ],
	[ '(?:is|are|was|were)_to_be' => 'must be, will be' ],
	[ '(?:may|can|might|could)_be_had' => 'is available, exists' ],
	[ 'brings(?!_(?:\w+_)?(?:back|up|down)\b)' => 'has, comes with, adds' ],
	[ 'lets_(?:\w+_){0,3}be' => 'keeps, leaves, allows' ],
	[ 'in_vain' => 'without success' ],
);

# Parts of names in src/, and what the glossary calls them.
my @NAMES = (
	[ 'reserve' => 'prefetch' ],
	[ 'ahead' => 'prefetch, handover' ],
);

# Names of PostgreSQL that have such a part.
my %FOREIGN = map { $_ => 1 } qw(MarkGUCPrefixReserved);

# What a pattern finds in a masked text: [line, text to print] for each match.
sub matches
{
	my ($text, $pattern, $instead) = @_;
	my @matches;

	while ($text =~ /$pattern/g)
	{
		my ($match, $line) = ($&, line_of($text, $-[0]));

		next if $FOREIGN{$match};
		$match =~ s/\s+/ /g;
		push @matches, [ $line, "$match ($instead)" ];
	}
	return @matches;
}

# The same for all words and names in a file.
sub matches_in
{
	my ($path) = @_;
	my $text = read_file($path);
	my $prose = mask('prose', $path, $text);
	my @matches;

	for my $entry (@WORDS)
	{
		my ($words, $instead) = @$entry;

		$words =~ s/_/\\s+/g;
		push @matches, matches($prose, qr/\b(?:$words)\b/i, $instead);
	}
	if ($path =~ m{^src/.*\.(?:[ch]|sql)$})
	{
		my $code = mask('code', $path, $text);

		for my $entry (@NAMES)
		{
			my ($part, $instead) = @$entry;

			push @matches, matches($code, qr/\b\w*$part\w*\b/i, $instead);
		}
	}
	return sort { $a->[0] <=> $b->[0] || $a->[1] cmp $b->[1] } @matches;
}

my $found = 0;
for my $path (grep { language($_) } @ARGV)
{
	for my $match (matches_in($path))
	{
		print "$path:$match->[0]:$match->[1]\n";
		$found = 1;
	}
}
exit $found;
