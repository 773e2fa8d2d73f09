# thereof
my $n = $#list;    # whomever
is($n, 1, 'nobody else has it');
safe_psql("SELECT 'nobody', 'has', 'it'");    # fine: SQL
my $user = 'nobody';
