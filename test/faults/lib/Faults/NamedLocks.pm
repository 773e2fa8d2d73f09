# Named locks, for the faults by which another server takes over.  Those that were
# granted before must be there, and no token may be given again.

package Faults::NamedLocks;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(grant_locks lost_locks skip_tokens old_tokens);

# Acquires some locks in one transaction.  Returns the token of each resource.
sub grant_locks
{
	my ($node, $round) = @_;
	my $granted = $node->safe_psql('postgres', <<~SQL);
		SELECT r, token FROM generate_series(1, 20) n, format('job %s of round $round', n) r,
		    booking.acquire_lock(r, 'holder', '1 hour')
		SQL

	return { map { split /\|/ } split /\n/, $granted };
}

# Returns the resources whose holders would not pass their assertion.
sub lost_locks
{
	my ($node, $granted) = @_;
	my %there = map { split /\|/ } split /\n/,
	  $node->safe_psql('postgres', 'SELECT resource, token FROM booking.resource_lock');

	return grep { ($there{$_} // 0) != $granted->{$_} } sort keys %$granted;
}

# Moves the sequence, as doc/locks.md says, for a server that has taken over and may lack
# the newest tokens.
sub skip_tokens
{
	my ($node) = @_;

	$node->safe_psql('postgres', <<~'SQL');
		SELECT setval('booking.resource_lock_token_seq',
		              greatest((SELECT max(token) FROM booking.resource_lock),
		                       (SELECT last_value FROM booking.resource_lock_token_seq)) + 1000000)
		SQL
	return;
}

# Acquires another lock, and returns the granted tokens that are not below its token.
sub old_tokens
{
	my ($node, $granted) = @_;
	my $token = $node->safe_psql('postgres', q{SELECT token FROM booking.acquire_lock('another job', 'other', '1 hour')});

	return grep { $_ >= $token } sort { $a <=> $b } values %$granted;
}

1;
