# Reads one message a path (a line each on stdin) and prints subject and sender as Perl's Encode understands them, in JSON.
use strict;
use warnings;
use Encode qw(decode encode);
use JSON::PP;

my $json = JSON::PP->new->ascii->canonical;
while (my $path = <STDIN>) {
    chomp $path;
    open my $file, '<:raw', $path or die "$path: $!";
    local $/;
    my ($head) = split /\r\n\r\n/, <$file>, 2;
    $head =~ s/\r\n([ \t])/$1/g;
    my %field;
    for my $line (split /\r\n/, $head) {
        my ($name, $value) = split /: ?/, $line, 2;
        $field{lc $name} = $value;
    }
    local $/ = "\n";
    print $json->encode({ subject => decode('MIME-Header', $field{subject}), from => decode('MIME-Header', $field{from}) }), "\n";
}
