#!/usr/bin/perl
#
# meta.pl - is META.json right for PGXN?
#
# usage: meta.pl META.json FOLDER
#
# Checks it against the PGXN Meta Spec 1.0.0: the keys that must be there and those
# that can be, the values of each, and that the versions are semantic ones.  The
# files that it names must be in FOLDER, and its version must go with the extension's
# control file there: 1.0.x is for default_version 1.0.
#
# Prints a line for each error.  The exit status is 1 if there is any.

use strict;
use warnings;

use JSON::PP;

my ($path, $folder) = @ARGV;
my $errors = 0;

my $SEMVER = qr/^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-?[A-Za-z][-0-9A-Za-z]*)?$/;
my %LICENSE = map { $_ => 1 } qw(
  agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2 gfdl_1_3 gpl_1
  gpl_2 gpl_3 lgpl_2_1 lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5 postgresql
  qpl_1_0 ssleay sun zlib open_source restricted unrestricted unknown);

sub complain
{
	my ($where, $what) = @_;

	print "META.json: $where: $what\n";
	$errors++;
}

sub read_file
{
	my ($file) = @_;

	open my $in, '<:raw', $file or die "$file: $!\n";
	local $/ = undef;
	return scalar <$in>;
}

# ---- values ----
#
# Each of these complains unless the value is of a kind.

sub string
{
	my ($where, $value) = @_;

	complain($where, 'not a text') if !defined $value || ref $value || $value eq '';
	return;
}

sub term
{
	my ($where, $value) = @_;

	complain($where, "\"$value\" is no term") if ref $value || $value !~ m{^[^\s[:cntrl:]/\\]{2,}$};
	return;
}

sub tag
{
	my ($where, $value) = @_;

	complain($where, "\"$value\" is no tag") if ref $value || $value !~ m{^[^[:cntrl:]/\\]{1,256}$};
	return;
}

sub version
{
	my ($where, $value) = @_;

	complain($where, "\"$value\" is no semantic version") if ref $value || $value !~ $SEMVER;
	return;
}

# Versions such as "0" or ">= 1.0.0, < 2.0.0".
sub version_range
{
	my ($where, $value) = @_;

	for my $part (split /,\s*/, $value, -1)
	{
		next if $part eq '0';
		$part =~ s/^(?:[<>]=?|==|!=)\s*//;
		version($where, $part);
	}
	return;
}

sub license
{
	my ($where, $value) = @_;

	complain($where, "\"$value\" is no licence that PGXN knows") unless $LICENSE{$value};
	return;
}

sub url
{
	my ($where, $value) = @_;

	complain($where, "\"$value\" is no URL") if ref $value || $value !~ m{^[a-z]+://[^/]+};
	return;
}

sub file
{
	my ($where, $value) = @_;

	complain($where, "there is no file \"$value\"")
	  if ref $value || $value =~ m{^/|\.\.} || !-f "$folder/$value";
	return;
}

sub one_of
{
	my (@values) = @_;

	return sub {
		my ($where, $value) = @_;

		complain($where, "\"$value\" is none of: @values") unless grep { $_ eq $value } @values;
	};
}

# A list of values.  One value alone is a list, too.
sub list
{
	my ($check) = @_;

	return sub {
		my ($where, $value) = @_;

		$check->($where, $_) foreach ref $value eq 'ARRAY' ? @$value : $value;
		complain($where, 'empty') if ref $value eq 'ARRAY' && !@$value;
	};
}

# An object with keys of any name, each with such a value.
sub each_key
{
	my ($name, $check) = @_;

	return sub {
		my ($where, $value) = @_;

		return complain($where, 'not an object') if ref $value ne 'HASH';
		for my $key (sort keys %$value)
		{
			$name->("$where: the key", $key);
			$check->("$where/$key", $value->{$key});
		}
	};
}

# An object.  The names of keys that must be there begin with "!".
sub object
{
	my (%keys) = @_;
	my @required = sort map { /^!(.*)/ } keys %keys;

	return sub {
		my ($where, $value) = @_;

		return complain($where, 'not an object') if ref $value ne 'HASH';
		for my $key (@required)
		{
			complain($where, "has no \"$key\"") unless defined $value->{$key};
		}
		for my $key (sort keys %$value)
		{
			my $check = $keys{$key} // $keys{"!$key"};

			if ($check) { $check->("$where/$key", $value->{$key}) }
			elsif ($key !~ /^x_/i) { complain($where, "unknown key \"$key\"") }
		}
	};
}

# ---- the whole ----

my $check = object(
	'!name' => \&term,
	'!version' => \&version,
	'!abstract' => \&string,
	'!maintainer' => list(\&string),
	'!license' => list(\&license),
	'!provides' => each_key(
		\&term,
		object('!file' => \&file, '!version' => \&version, abstract => \&string, docfile => \&file)),
	'!meta-spec' => object('!version' => one_of('1.0.0'), url => \&url),
	description => \&string,
	generated_by => \&string,
	release_status => one_of(qw(stable testing unstable)),
	tags => list(\&tag),
	no_index => object(file => list(\&string), directory => list(\&string)),
	prereqs => each_key(
		one_of(qw(configure build test runtime develop)),
		each_key(
			one_of(qw(requires recommends suggests conflicts)),
			each_key(\&term, \&version_range))),
	resources => object(
		homepage => \&url,
		license => list(\&url),
		bugtracker => object(web => \&url, mailto => \&string),
		repository => object(web => \&url, url => \&url, type => \&string)));

my $meta = eval { JSON::PP->new->decode(read_file($path)) };

if (!$meta)
{
	complain('as a whole', "no JSON: $@");
	exit 1;
}
$check->('', $meta);

for my $name (sort keys %{ $meta->{provides} // {} })
{
	my $control = "$folder/$name.control";
	my $extension = -f $control && read_file($control) =~ /^default_version = '(.*)'/m ? $1 : '';

	complain("/provides/$name", "its version is not that of $name.control, \"$extension\"")
	  if $meta->{provides}{$name}{version} !~ /^\Q$extension\E\.\d+$/;
}
exit($errors ? 1 : 0);
