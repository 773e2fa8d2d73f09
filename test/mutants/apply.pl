#!/usr/bin/perl
#
# apply.pl - puts a mutant into a copy of the sources.
#
# usage: apply.pl --show MUTANT				prints what it breaks, the way and the
#											tests that look for it first, and its
#											files, a line each
#        apply.pl --apply FOLDER MUTANT		changes these files in the folder
#        apply.pl --check FOLDER MUTANT ...	only looks whether it could
#
# A mutant is a file:
#
#	breaks: what is wrong with it, in a line
#	tests: regress tickets plain_sql		a way of suite.sh's, and its tests
#	file: src/claim.c
#	-what is there, exactly once
#	+what comes in its place
#
# with as many files and changes as it takes, and comments (#).  What is there
# may be part of a line or more than one; any white space fits any other, so
# that a mutant outlives another format of the source.

use strict;
use warnings;

# Reads a mutant: { breaks, tests, changes => [{ file, old, new }] }.
sub read_mutant
{
	my ($name) = @_;
	my %mutant = (changes => []);
	my ($file, $last) = (undef, '');

	open my $handle, '<', $name or die "$name: $!\n";
	while (my $line = <$handle>)
	{
		my $kind = substr $line, 0, 1;

		if ($line =~ /^(breaks|tests): (\S.*)$/)
		{
			$mutant{$1} = $2;
		}
		elsif ($line =~ /^file: (\S+)$/)
		{
			$file = $1;
		}
		elsif ($kind eq '-' || ($kind eq '+' && $last ne '' && $last =~ /[-+]/))
		{
			push @{ $mutant{changes} }, { file => $file, old => '', new => '' }
			  if $kind eq '-' && $last ne '-';
			$mutant{changes}[-1]{ $kind eq '-' ? 'old' : 'new' } .= substr $line, 1;
		}
		elsif ($line !~ /^(?:#.*)?$/)
		{
			die "$name:$.: not understood\n";
		}
		$last = $kind;
	}
	close $handle;
	die "$name: says not all of: breaks, tests, file, and what to change\n"
	  if grep { !defined } @mutant{qw(breaks tests)}, $file, $mutant{changes}[0];
	return \%mutant;
}

# The files that a mutant changes, each once.
sub files_of
{
	my ($mutant) = @_;
	my %seen;

	return grep { !$seen{$_}++ } map { $_->{file} } @{ $mutant->{changes} };
}

sub read_file
{
	my ($path) = @_;

	open my $handle, '<', $path or die "$path: $!\n";
	local $/;
	return scalar <$handle>;
}

sub write_file
{
	my ($path, $text) = @_;

	open my $handle, '>', $path or die "$path: $!\n";
	print $handle $text;
	close $handle or die "$path: $!\n";
	return;
}

# The files of the folder as the mutant has them: { path => text }.
sub mutate
{
	my ($folder, $name) = @_;
	my $mutant = read_mutant($name);
	my %text = map { $_ => read_file("$folder/$_") } files_of($mutant);

	foreach my $change (@{ $mutant->{changes} })
	{
		my ($file, $old, $new) = @{$change}{qw(file old new)};
		my $pattern = join '\s+', map { quotemeta } split ' ', $old;
		my $found = () = $text{$file} =~ /$pattern/g;

		die "$name: $file has this $found times, and not once:\n$old" if $found != 1;
		chomp $new;
		$text{$file} =~ s/$pattern/$new/;
	}
	return \%text;
}

my ($what, @arguments) = @ARGV;

if ($what eq '--show')
{
	my $mutant = read_mutant($arguments[0]);

	print "$mutant->{breaks}\n$mutant->{tests}\n", join(' ', files_of($mutant)), "\n";
}
elsif ($what eq '--apply')
{
	my ($folder, $name) = @arguments;
	my $text = mutate($folder, $name);

	write_file("$folder/$_", $text->{$_}) foreach keys %$text;
}
elsif ($what eq '--check')
{
	my ($folder, @names) = @arguments;

	my @bad = grep { !eval { mutate($folder, $_) } && warn $@ } @names;

	exit 1 if @bad || !@names;
}
else
{
	die "unknown option: $what\n";
}
