#!/usr/bin/perl
#
# apply.pl - puts a mutant into a copy of the sources.
#
# usage: apply.pl --show MUTANT				prints, a line each: what it breaks; the
#											way and the tests that should notice it;
#											the files that it changes
#        apply.pl --apply FOLDER MUTANT		changes these files in the folder
#        apply.pl --check FOLDER MUTANT ...	only checks whether it could
#
# A mutant is a file:
#
#	breaks: what is wrong, in a line
#	tests: regress tickets plain_sql				a way of suite.sh, and tests
#	file: src/event/user_limit.c
#	-what is there, exactly once
#	+what replaces it
#
# It may have several files and changes, and comments (#).  A file is a source that
# the build starts from: src/*.c, src/*.h or src/*.sql, also in a folder of src.
# What is there may be part of a line, or several lines.  Any white space matches
# any other, so that a mutant still fits after the source was formatted again.

use strict;
use warnings;

# Read a mutant: { breaks, tests, changes => [{ file, old, new }] }.
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
			die "$name:$.: $file is not a source in src/\n"
			  if $file !~ m{^src/(?:\w+/)*\w+\.(?:c|h|sql)$};
		}
		elsif ($kind eq '-' || ($kind eq '+' && $last ne '' && $last =~ /[-+]/))
		{
			push @{ $mutant{changes} }, { file => $file, old => '', new => '' }
			  if $kind eq '-' && $last ne '-';
			$mutant{changes}[-1]{ $kind eq '-' ? 'old' : 'new' } .= substr $line, 1;
		}
		elsif ($line !~ /^(?:#.*)?$/)
		{
			die "$name:$.: this line is not understood\n";
		}
		$last = $kind;
	}
	close $handle;
	die "$name: one of these is missing: breaks, tests, file, what to change\n"
	  if grep { !defined } @mutant{qw(breaks tests)}, $file, $mutant{changes}[0];
	return \%mutant;
}

# Return the files that a mutant changes, each once.
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

# Return the files of the folder with the mutant in them: { path => text }.
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

		die "$name: $file has this $found times instead of once:\n$old" if $found != 1;
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
