//! Peers that speak no TLS, break it, or show what nobody can trust.

use roundsman::domain::outcome::FailureKind as Is;

use super::row::{NOW_AND_THEN, Peer, Row};
use crate::probing::quoted;
use crate::servers::certificates::{Authority, Identity, chain_of, self_signed};
use crate::servers::hostile::Move::{Drip, Hang, ReadBytes, Reset, Send};
use crate::servers::secured::Secured;

/// Every row, to both kinds that speak TLS.
pub fn rows() -> Vec<Row> {
    let of = |kind: &'static str| {
        let handshakes = [silent(), no_tls()].into_iter().flatten().map(move |row| row.over_tls(kind));
        handshakes.chain(certificates(kind))
    };
    of("tls").chain(of("http")).collect()
}

fn silent() -> Vec<Row> {
    let hello = [b"\x16\x03\x03\x40\x00\x02".to_vec(), vec![0; 1_000]].concat();
    vec![
        Row::new("never begins the TLS handshake", vec![Hang], Is::TimeoutTls)
            .within(300)
            .saying("the TLS handshake was not done within"),
        Row::new("drips its part of the TLS handshake", vec![Drip(hello, NOW_AND_THEN)], Is::TimeoutTls).within(300),
        Row::new("falls silent in the TLS handshake", vec![Send(server_hello()), Hang], Is::TimeoutTls).within(300),
    ]
}

/// The first word of a server of TLS 1.2 (RFC 5246, section 7.4.1.3), which means ECDHE with ECDSA, AES-128 and GCM.
fn server_hello() -> Vec<u8> {
    let body = [&[3, 3][..], &[7; 32], &[0, 0xc0, 0x2b, 0]].concat();
    let length = u8::try_from(body.len()).unwrap();
    [&[0x16, 3, 3, 0, length + 4, 2, 0, 0, length], &body[..]].concat()
}

fn no_tls() -> Vec<Row> {
    let alert = |description: u8| vec![0x15, 0x03, 0x03, 0x00, 0x02, 0x02, description];
    let sent = [
        ("speaks HTTP where TLS is spoken", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "does not speak TLS"),
        ("speaks SMTP where TLS is spoken", b"220 mail.example ESMTP\r\n".to_vec(), "does not speak TLS"),
        ("speaks TLS 1.0 only", b"\x15\x03\x01\x00\x02\x02\x46".to_vec(), "speaks neither TLS 1.2 nor 1.3"),
        (
            "gives up at the beginning of the handshake",
            alert(40),
            "the server broke off the handshake: handshake failure",
        ),
        (
            "gives up in the middle of the handshake",
            [server_hello(), alert(80)].concat(),
            "the server broke off the handshake: internal error",
        ),
        ("begins the handshake anew, again and again", hello_requests(), "the handshake broke the protocol"),
        ("closes in the handshake", Vec::new(), "was closed in the handshake"),
        ("closes in the middle of the handshake", server_hello(), "was closed in the handshake"),
        ("sends a record of nothing", vec![0x16, 0x03, 0x03, 0x00, 0x00], "TLS"),
    ];
    let mut rows: Vec<_> = sent
        .into_iter()
        .map(|(peer, bytes, says)| Row::new(peer, vec![Send(bytes)], Is::TlsProtocol).saying(says))
        .collect();
    let reset = vec![ReadBytes(5), Send(server_hello()), Reset];
    rows.push(Row::new("resets in the handshake", reset, Is::TlsProtocol).saying("in the handshake"));
    rows
}

/// The request for another handshake (RFC 5246, section 7.4.1.1), in the middle of the first one.
fn hello_requests() -> Vec<u8> {
    [server_hello(), [0x16, 3, 3, 0, 4, 0, 0, 0, 0].repeat(100)].concat()
}

/// What is wrong with a certificate is told with its end, for who watches only that.
fn certificates(kind: &'static str) -> Vec<Row> {
    let authority = Authority::new("Test CA");
    let (ca, name) = (quoted(&authority.pem), ["127.0.0.1"]);
    let expired = authority.issue(&name, |params| params.not_after = rcgen::date_time_ymd(2021, 1, 1));
    let early = authority.issue(&name, |params| params.not_before = rcgen::date_time_ymd(2098, 1, 1));
    let other = authority.issue(&["a.example"], |_| {});
    let unknown = Authority::new("Nobody's CA").issue(&name, |_| {});
    let good = authority.issue(&name, |_| {});
    let crowd = (0..99).map(|_| self_signed(&name).certificate).collect::<String>();
    let crowded = Identity { certificate: good.certificate.clone() + &crowd, key: good.key.clone() };
    let crowds = Identity { certificate: good.certificate + &crowd.repeat(3), key: good.key };
    let (chain, root) = chain_of(100, &name);
    let bad = |peer, identity, failure| shows(peer, kind, &ca, identity, failure).telling_its_end();
    let mut rows = vec![
        bad("shows an expired certificate", expired, Is::TlsExpired),
        bad("shows a certificate before its time", early, Is::TlsNotYetValid),
        bad("shows a certificate for another name", other, Is::TlsWrongName),
        bad("shows a certificate of nobody's", unknown, Is::TlsUnknownIssuer),
        bad("shows a certificate that signed itself", self_signed(&name), Is::TlsSelfSigned),
        shows("shows a chain of 100 certificates", kind, &quoted(&root), chain, Is::TlsCertificate).telling_its_end(),
        // More than 64 KiB of certificates is more than the TLS library takes.
        shows("shows 300 certificates", kind, &ca, crowds, Is::TlsProtocol),
    ];
    if kind == "tls" {
        let facts = "cert.chain_length == 100 && size(cert.chain) == 16";
        let row = shows("shows 100 certificates, of which one matters", kind, &ca, crowded, Is::TlsCertificate);
        rows.push(row.expecting(facts).well());
    }
    rows
}

fn shows(peer: &'static str, kind: &'static str, ca: &str, identity: Identity, failure: Is) -> Row {
    let starts = move || {
        let (certificate, key) = (identity.certificate.clone(), identity.key.clone());
        async move {
            let peer = Secured::showing(&Identity { certificate, key }).await;
            Peer::new(peer.address, peer)
        }
    };
    let place = if kind == "tls" { "address: \"PEER\"" } else { "url: \"https://PEER/\"" };
    Row::against(peer, starts, failure).probed_by(kind, format!("{{ {place}, ca: {ca} }}"))
}
