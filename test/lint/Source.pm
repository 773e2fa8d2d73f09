# Source.pm - tells comments, strings and code of a source file apart.
#
# mask(KIND, PATH, TEXT) returns the text of a file with everything that is not of
# that kind replaced by \x01.  So a search finds only that kind.  The lines stay the
# same, so the line of a match is the number of newlines before it, plus one.
#
# The kinds:
#
#	prose	what people read: comments, messages, COMMENTs of SQL, Markdown
#	code	the rest, without the contents of strings
#
# This is not a parser.  In shell and Perl, a quoted string on one line counts as a
# message if it has three words and does not begin with an SQL keyword.

package Source;

use strict;
use warnings;

use Exporter 'import';
our @EXPORT_OK = qw(language line_of mask read_file tree);

my $SQL_KEYWORD = qr/SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|BEGIN|SET|ALTER|CREATE|DROP
	|GRANT|REVOKE|COPY|TRUNCATE|LOCK|DO|CALL|EXPLAIN|VALUES/x;

# Each language is a list of [kind, pattern].  The first pattern that fits at a
# position decides; what fits none is code.  (The patterns for code are only there
# to be fast.)
my %LANGUAGE = (
	c => [
		[ prose => qr{/\*.*?\*/}s ],
		[ prose => qr{//[^\n]*} ],
		[ prose => qr/"(?:[^"\\\n]|\\.)*"/s ],
		[ data => qr/'(?:[^'\\\n]|\\.)*'/ ],
		[ code => qr{[^/"']+} ],
	],
	sql => [
		[ prose => qr/--[^\n]*/ ],
		[ prose => qr{/\*.*?\*/}s ],
		[ prose => qr/(?:\bIS|\bRAISE(?:\s+[A-Z]+)?|\b(?:HINT|DETAIL|MESSAGE)\s*=)\s+'(?:[^']|'')*'/ ],
		[ data => qr/'(?:[^']|'')*'/ ],
		[ code => qr{(?!(?:IS|RAISE|HINT|DETAIL|MESSAGE)\b)\w+[^\w'/-]*} ],
	],
	spec => [
		[ prose => qr/#[^\n]*/ ],
		[ prose => qr/--[^\n]*/ ],
		[ data => qr/'(?:[^'\n]|'')*'/ ],
		[ code => qr/[^'#-]+/ ],
	],
	script => [
		[ prose => qr/(?:^|(?<=\s))#[^\n]*/m ],
		[ string => qr/"(?:[^"\\\n]|\\.)*"/ ],
		[ string => qr/'[^'\n]*'/ ],
		[ code => qr/[^"'#\s]+(?:\s+(?!\#))?/ ],
	],
	markdown => [
		[ data => qr/^[ \t]*(```|~~~).*?^[ \t]*\g{-1}[^\n]*/ms ],
		[ data => qr/(`+)(?!`).*?(?<!`)\g{-1}(?!`)/s ],
		[ data => qr/(?<=\])\([^)\s]*\)/ ],
		[ prose => qr/[^`\]\n]+|\]/ ],
	],
	mutant => [
		[ prose => qr/^(?:breaks: |#)[^\n]*/m ],
	],
	text => [ [ prose => qr/.+/s ] ],
);

# (Compiled once, and not each time that another was used in between.)
$_->[1] = qr/\G(?:$_->[1])/ for map { @$_ } values %LANGUAGE;

# The language of a file, by its name; undef for one that is not checked.
sub language
{
	my ($path) = @_;

	return 'c' if $path =~ /\.[ch]$/;
	return 'sql' if $path =~ /\.sql$/;
	return 'spec' if $path =~ /\.spec$/;
	return 'markdown' if $path =~ /\.md$/;
	return 'mutant' if $path =~ /\.mutant$/;
	return 'text' if $path =~ /\.control$/;
	return 'script' if $path =~ m{\.(?:sh|pl|pm|awk)$|(?:^|/)Makefile$|^\.ci/run$};
	return undef;
}

# Is a string of a shell or Perl script a message?
sub is_message
{
	my ($string) = @_;

	return $string =~ /[a-z]+\s+[a-z]+\s+[a-z]+/i
	  && $string !~ /^.\s*(?:$SQL_KEYWORD)\b/;
}

sub hide
{
	my ($text) = @_;

	$text =~ tr/\n/\x01/c;
	return $text;
}

# The text of a comment without its marks, of the same length.
sub unmark
{
	my ($text) = @_;

	$text =~ s{^(/\*+|--+|//|#+)}{' ' x length $1}e;
	$text =~ s{(\*+/)$}{' ' x length $1}e;
	$text =~ s/^([ \t]*)\*/$1 /mg;
	$text =~ s/^"|"$/\x01/g;
	return $text;
}

# What a piece of a file looks like when one kind is asked for.
sub show
{
	my ($wanted, $kind, $text) = @_;

	if ($kind eq 'string')
	{
		$kind = is_message($text) ? 'prose' : 'data';
	}
	if ($wanted eq 'prose')
	{
		return unmark($text) if $kind eq 'prose';
		# (White space between two line comments joins them.)
		return $text =~ /\S/ ? hide($text) : $text;
	}
	return $kind eq 'code' ? $text : hide($text);
}

sub mask
{
	my ($wanted, $path, $text) = @_;
	my $language = language($path);
	my $masked = '';

	return hide($text) if !defined $language;
	pos($text) = 0;
	PIECE: while (pos($text) < length $text)
	{
		my $start = pos $text;

		for my $rule (@{ $LANGUAGE{$language} })
		{
			my ($kind, $pattern) = @$rule;

			next if $text !~ /$pattern/gc;
			$masked .= show($wanted, $kind, substr $text, $start, pos($text) - $start);
			next PIECE;
		}
		$text =~ /\G(?:\w+|.)/gcs;
		$masked .= show($wanted, 'code', substr $text, $start, pos($text) - $start);
	}
	return $masked;
}

sub read_file
{
	my ($path) = @_;

	open my $handle, '<', $path or die "$path: $!\n";
	local $/;
	my $text = <$handle>;
	close $handle;
	return $text // '';
}

# The line of a position in a text.
sub line_of
{
	my ($text, $position) = @_;

	return 1 + (substr($text, 0, $position) =~ tr/\n//);
}

# The files below a folder, sorted.
sub tree
{
	my ($folder) = @_;
	my @files;

	opendir my $handle, $folder or die "$folder: $!\n";
	for my $name (sort readdir $handle)
	{
		next if $name =~ /^\.\.?$/;
		my $path = "$folder/$name";
		push @files, -d $path ? tree($path) : $path;
	}
	closedir $handle;
	return @files;
}

1;
