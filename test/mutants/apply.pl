#!/usr/bin/perl
#
# apply.pl - the list of mutants, and one of them put into a copy of the sources.
#
# usage: apply.pl LIST				prints NAME, SUITE and what it breaks, a line each
#        apply.pl LIST NAME FOLDER	changes the files in the folder
#
# Fails where the lines to be changed are not there exactly once: the mutant has
# to follow the source.

use strict;
use warnings;

# The mutants of a list, in its order.
sub read_list
{
	my ($file) = @_;
	my @mutants;

	open my $handle, '<', $file or die "$file: $!\n";
	while (my $line = <$handle>)
	{
		if ($line =~ /^mutant (\S+)$/)
		{
			push @mutants, { name => $1, hunks => [] };
		}
		elsif ($line =~ /^(breaks|suite) (.+)$/)
		{
			$mutants[-1]{$1} = $2;
		}
		elsif ($line =~ /^file (.+)$/)
		{
			push @{ $mutants[-1]{hunks} }, { file => $1, '-' => '', '+' => '' };
		}
		elsif ($line =~ /^([-+])(.*\n)/)
		{
			$mutants[-1]{hunks}[-1]{$1} .= $2;
		}
		elsif ($line !~ /^(?:#.*)?$/)
		{
			die "$file:$.: not understood\n";
		}
	}
	close $handle;
	return @mutants;
}

# Changes one file.  The last line may be the beginning of one.
sub change
{
	my ($folder, $hunk) = @_;
	my ($old, $new) = @{$hunk}{ '-', '+' };
	my $path = "$folder/$hunk->{file}";

	chomp($old, $new);
	open my $in, '<', $path or die "$path: $!\n";
	my $text = do { local $/; <$in> };
	close $in;

	my $found = () = $text =~ /\Q$old\E/g;
	die "$hunk->{file} has this $found times, and not once:\n$old\n" if $found != 1;
	$text =~ s/\Q$old\E/$new/;
	open my $out, '>', $path or die "$path: $!\n";
	print $out $text;
	close $out or die "$path: $!\n";
	return;
}

my ($list, $name, $folder) = @ARGV;
my @mutants = read_list($list);

if (defined $name)
{
	my ($mutant) = grep { $_->{name} eq $name } @mutants or die "no mutant \"$name\"\n";

	change($folder, $_) foreach @{ $mutant->{hunks} };
}
else
{
	print join("\t", @{$_}{qw(name suite breaks)}), "\n" foreach @mutants;
}
