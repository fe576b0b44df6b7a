#!/bin/sh
# perl.sh: hashes, strings, regular expressions, sorting and fork in perl.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
need perl

count=100000
[ "$quick" = 1 ] && count=20000
cat >script.pl <<'PERL'
use strict; use warnings;
my ($n) = @ARGV;
my (%h, @a);
for my $i (1 .. $n) {
    my $key = sprintf("%x", ($i * 2654435761) % 1000003);
    $h{$key} .= "value $i;";
    push @a, { key => $key, list => [1 .. $i % 7], text => 'x' x ($i % 300) } if $i % 5 == 0;
}
my $total = 0;
$total += length $h{$_} for sort keys %h;
print scalar(keys %h), " $total\n";
delete @h{ grep { /7/ } keys %h };
print scalar(keys %h), "\n";
my @sorted = sort { $a->{key} cmp $b->{key} || length $a->{text} <=> length $b->{text} } @a;
print join(',', map { $_->{key} } @sorted[0 .. 9]), "\n";
my $text = join ' ', map { "$_=$h{$_}" } (sort keys %h)[0 .. 999];
my $hits = () = $text =~ /(\w+)=value (\d+)(?:;value (\d+))*/g;
(my $copy = $text) =~ s/(\d+)/<$1>/g;
print "$hits ", length($copy), "\n";
@a = ();
my $big = 'abc' x 1_000_000;
$big .= $big for 1 .. 3;
print length($big), "\n";
undef $big;
for my $child (1 .. 5) {
    my $pid = fork() // die;
    if (!$pid) { my @x = map { "child $child $_" } 1 .. 10000; exit(@x == 10000 ? $child : 99); }
    waitpid $pid, 0;
    print "child: ", $? >> 8, "\n";
}
open my $pipe, '-|', 'echo through a pipe' or die;
print <$pipe>;
print STDERR "to standard error\n";
exit 3;
PERL
export PERL_HASH_SEED=0
both perl ../script.pl "$count"
[ "$preloaded_status" = 3 ] || fail "the script ended with $preloaded_status"
echo "$name: $count entries"
