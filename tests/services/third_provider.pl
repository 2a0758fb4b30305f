#!/usr/bin/env perl
# A third service, written from the published contract alone, in a language that nothing else here uses: Perl 5 and what comes with it.
#
#     perl third_provider.pl --port PORT --ledger FILE [--limit AMOUNT] [--secret "whsec_… whsec_…"]
#
# It keeps both promises. A process for each request; they take turns with a lock on the ledger, a file of JSON lines, one a decision.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_base64);
use Fcntl qw(:flock :seek);
use Getopt::Long;
use IO::Handle;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64 qw(decode_base64);

GetOptions('port=i' => \my $port, 'ledger=s' => \my $ledger, 'limit=f' => \(my $limit = 1e9), 'secret=s' => \(my $secret = '')) or exit 2;
my @secrets = map { decode_base64(s/^whsec_//r) } split ' ', $secret;
my $json = JSON::PP->new->utf8->canonical;
$SIG{CHLD} = 'IGNORE';
my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 128, ReuseAddr => 1) or die "no port: $!";
while (1) {
    my $client = $server->accept or next;
    defined(my $child = fork) or next;
    if ($child) { close $client; next }
    serve($client);
    exit 0;
}

sub serve {
    my ($client) = @_;
    my $line = <$client> // return;
    my ($method, $path) = split ' ', $line;
    my %header;
    while (defined($line = <$client>) && $line =~ /^([^:]+):\s*(.*?)\s*$/) { $header{lc $1} = $2 }
    my $length = $header{'content-length'} // 0;
    return say_to($client, 413, {detail => 'a body has at most 64 KiB'}, $length) if $length > 65536;
    read($client, my $raw, $length) == $length or return;
    return say_to($client, 404, {detail => 'there are POST /act and /undo'}) unless $method eq 'POST' && $path =~ m{/(act|undo)$};
    my $verb = $1;
    return say_to($client, 401, {detail => 'the signature is missing or wrong'}) if @secrets && !signed(\%header, $raw);
    my $body = eval { $json->decode($raw) };
    return say_to($client, 400, {detail => 'the body is no JSON object'}) unless ref $body eq 'HASH';
    my $key = $header{'idempotency-key'} // '';
    return say_to($client, 400, {detail => 'idempotency-key is not `key`'}) if $key eq '' || ($body->{key} // '') ne $key;
    return say_to($client, 400, {detail => 'act_key is missing'}) if $verb eq 'undo' && !$body->{act_key};
    say_to($client, 200, decide($verb, $body));
}

sub signed {
    my ($header, $raw) = @_;
    my ($id, $time, $given) = map { $header->{"webhook-$_"} // '' } qw(id timestamp signature);
    return 0 unless $time =~ /^\d+$/ && abs(time - $time) <= 300;
    my %valid = map { my $tag = hmac_sha256_base64("$id.$time.$raw", $_); $tag .= '=' while length($tag) % 4; ("v1,$tag" => 1) } @secrets;
    return grep { $valid{$_} } split ' ', $given;
}

# Under the lock: what was decided before, or a new decision that is on disk before it is in any answer.
sub decide {
    my ($verb, $body) = @_;
    open my $file, '+>>', $ledger or die "no ledger: $!";
    flock $file, LOCK_EX or die "no lock: $!";
    seek $file, 0, SEEK_SET;
    my %answer;
    while (defined(my $line = <$file>)) {
        my $entry = $json->decode($line);
        $answer{$entry->{verb}, $entry->{key}} = $entry->{answer};
    }
    if (my $known = $answer{$verb, $body->{key}}) { return $known }
    my $note = sub {
        my ($of, $key, $effect, $answer) = @_;
        print $file $json->encode({verb => $of, key => $key, effect => $effect, answer => $answer}) . "\n";
        $file->flush && $file->sync;
        return $answer;
    };
    if ($verb eq 'undo') {
        my $acted = $answer{'act', $body->{act_key}};
        $note->('act', $body->{act_key}, 0, {decision => 'refused', reason => 'it was undone before it came'}) unless $acted;
        return $note->('undo', $body->{key}, ($acted->{decision} // '') eq 'accepted' ? -1 : 0, {decision => 'undone'});
    }
    my $amount = $body->{input}{amount} // 0;
    return $note->('act', $body->{key}, 0, {decision => 'refused', reason => "the amount is over $limit"}) if $amount > $limit;
    return $note->('act', $body->{key}, 1, {decision => 'accepted', output => {booking => "P-$$"}});
}

sub say_to {
    my ($client, $status, $answer, $unread) = @_;
    my $content = $json->encode($answer);
    my $kind = $status == 200 ? 'application/json' : 'application/problem+json';
    print $client "HTTP/1.1 $status OK\r\nContent-Type: $kind\r\nContent-Length: " . length($content) . "\r\nConnection: close\r\n\r\n$content";
    $client->flush;
    # A caller that is still sending reads no answer.
    read($client, my $rest, $unread) if $unread;
    close $client;
}
