#!/usr/bin/perl
# A job in Perl: parameters from one descriptor, reports to another. JSON::PP comes with Perl.
use strict;
use warnings;
use JSON::PP;

my $json = JSON::PP->new->utf8->canonical;

my $params = do {
    open my $in, '<', "/dev/fd/$ENV{ANYJOB_PARAMS_FD}" or die "parameters: $!\n";
    local $/;
    $json->decode(<$in>)->{params};
};

open my $reports, '>&=', $ENV{ANYJOB_FD} or die "reports: $!\n";
$reports->autoflush(1);
sub report { print {$reports} $json->encode({@_}), "\n" }

my ($count, $label) = ($params->{count}, $params->{label} // 'no label');
report(log => { level => 'info', tag => 'copy', message => "copying $count tables" });
for my $step (1 .. $count) {
    report(progress => { percent => int(100 * $step / $count), stage => 'copy', message => "table $step: $label" });
}
report(metrics => { tables  => $count + 0 });
report(data    => { label   => $label });
report(result  => "$count tables");
report(success => 'all copied');
