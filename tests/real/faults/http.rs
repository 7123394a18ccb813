//! Peers that break HTTP/1.1, or say in it what is not so.

use roundsman::domain::outcome::FailureKind as Is;

use super::row::{NOW_AND_THEN, Row};
use crate::servers::hostile::Move::{Drip, Endless, Hang, ReadHead, Reset, Send};

/// Every row.
pub fn rows() -> Vec<Row> {
    [silent(), endless(), heads(), framing(), redirects(), bodies()].into_iter().flatten().collect()
}

/// Silence and drips end with the budget, in the part that they are in: the deadline is total, not idle.
fn silent() -> Vec<Row> {
    let ok = "HTTP/1.1 200 OK\r\n";
    let long_head = format!("{ok}X: {}\r\n\r\n", "x".repeat(2_000)).into_bytes();
    let unfinished = format!("{ok}Content-Length: 2000\r\n\r\nabc").into_bytes();
    vec![
        Row::new("accepts and never answers", vec![Hang], Is::TimeoutFirstByte)
            .within(300)
            .saying("no byte of an answer came within"),
        Row::new("falls silent in the head", vec![ReadHead, Send(b"HTTP/1.1 200".to_vec()), Hang], Is::TimeoutTransfer)
            .within(300)
            .saying("the answer was not whole within"),
        Row::new("falls silent in the body", vec![ReadHead, Send(unfinished.clone()), Hang], Is::TimeoutTransfer)
            .within(300),
        Row::new("drips its head", vec![ReadHead, Drip(long_head, NOW_AND_THEN)], Is::TimeoutTransfer).within(300),
        Row::new(
            "drips its body",
            vec![ReadHead, Send(unfinished), Drip(vec![b'x'; 2_000], NOW_AND_THEN)],
            Is::TimeoutTransfer,
        )
        .within(300),
    ]
}

/// What has no end is cut at the limit.
fn endless() -> Vec<Row> {
    let head = |text: &str| Send(format!("HTTP/1.1 200 OK\r\n{text}").into_bytes());
    let chunk = [b"1000\r\n".to_vec(), vec![b'x'; 0x1000], b"\r\n".to_vec()].concat();
    vec![
        Row::new(
            "sends a body without end",
            vec![ReadHead, head("\r\n"), Endless(vec![b'x'; 65_536])],
            Is::BodyTooLarge,
        )
        .saying("the body is larger than 1 MiB"),
        Row::new(
            "sends chunks without end",
            vec![ReadHead, head("Transfer-Encoding: chunked\r\n\r\n"), Endless(chunk)],
            Is::BodyTooLarge,
        ),
        Row::sends(
            "announces a body of 1 GiB",
            "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\nx",
            Is::BodyTooLarge,
        ),
        Row::new(
            "sends headers without end",
            vec![ReadHead, head(""), Endless(b"X: y\r\n".to_vec())],
            Is::ProtocolHeaderTooLarge,
        ),
        Row::new(
            "sends informational answers without end",
            vec![ReadHead, Endless(b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100))],
            Is::ProtocolHeaderTooLarge,
        ),
        Row::new(
            "sends an extension of a chunk without end",
            vec![ReadHead, head("Transfer-Encoding: chunked\r\n\r\n1;"), Endless(vec![b'x'; 4_096])],
            Is::ProtocolInvalid,
        ),
        Row::new(
            "sends trailers without end",
            vec![ReadHead, head("Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"), Endless(b"X: y\r\n".to_vec())],
            Is::ProtocolInvalid,
        ),
    ]
}

/// Heads that are too large, or none.
fn heads() -> Vec<Row> {
    let head = |text: &str| format!("HTTP/1.1 200 OK\r\n{text}\r\n");
    let invalid = [
        ("sends a header without a colon", head("NoColon\r\n")),
        ("sends a NUL in a header", head("X: a\0b\r\nContent-Length: 0\r\n")),
        ("folds a header", head("X: a\r\n folded\r\nContent-Length: 0\r\n")),
        ("ends lines with a bare line feed", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok".to_owned()),
        ("ends one line with a bare line feed", "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 2\r\n\r\nok".to_owned()),
        ("has a status of four digits", "HTTP/1.1 9999 OK\r\n\r\n".to_owned()),
        ("speaks SSH", "SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
        ("speaks TLS where HTTP is spoken", "\x16\x03\x01\x00\x05hello\r\n\r\n".to_owned()),
    ];
    let mut rows: Vec<_> =
        invalid.into_iter().map(|(peer, bytes)| Row::sends(peer, bytes, Is::ProtocolInvalid)).collect();
    rows.extend([
        Row::sends(
            "sends a header of 1 MiB",
            head(&format!("X: {}\r\n", "x".repeat(1_048_576))),
            Is::ProtocolHeaderTooLarge,
        ),
        Row::sends("sends 10,000 headers", head(&"X: y\r\n".repeat(10_000)), Is::ProtocolHeaderTooLarge),
    ]);
    rows
}

/// Where an answer ends is told wrongly, twice or not at all; a short one is never a success.
fn framing() -> Vec<Row> {
    let lengths = |text: &str| format!("HTTP/1.1 200 OK\r\n{text}");
    let chunks = |text: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{text}");
    let invalid = [
        ("has a negative length", lengths("Content-Length: -1\r\n\r\n")),
        ("has two lengths", lengths("Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc")),
        (
            "has a length and chunks, to smuggle",
            lengths("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
        ),
        ("has a coding that nobody asked for", lengths("Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")),
        ("has no coding that anybody knows", lengths("Transfer-Encoding: br\r\n\r\nab")),
        ("has a chunk whose size overflows", chunks("FFFFFFFFFFFFFFFF1\r\nab\r\n")),
        ("has a chunk of negative size", chunks("-2\r\nab\r\n0\r\n\r\n")),
        ("has a chunk longer than it says", chunks("2\r\nabXX0\r\n\r\n")),
    ];
    let closed = [
        ("closes without an answer", String::new()),
        ("closes in the head", lengths("Content-Le")),
        ("closes before the length is reached", lengths("Content-Length: 9\r\n\r\nabc")),
        ("closes in a chunk", chunks("5\r\nab")),
        ("closes before the last chunk", chunks("2\r\nab\r\n")),
    ];
    let mut rows: Vec<_> =
        invalid.into_iter().map(|(peer, bytes)| Row::sends(peer, bytes, Is::ProtocolInvalid)).collect();
    rows.extend(closed.into_iter().map(|(peer, bytes)| Row::sends(peer, bytes, Is::ProtocolClosed)));
    let body = Send(b"HTTP/1.1 200 OK\r\n\r\nabc".to_vec());
    rows.push(
        Row::new("resets in the body", vec![ReadHead, body, Reset], Is::ProtocolClosed)
            .saying("the connection was reset before the answer was whole"),
    );
    rows.push(Row::new("resets at once", vec![ReadHead, Reset], Is::ProtocolClosed));
    rows
}

/// Redirects lead nowhere that was not allowed, and not for ever.
fn redirects() -> Vec<Row> {
    let to = |peer, location: &str, failure| {
        Row::sends(peer, format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"), failure)
    };
    let blocked = [
        ("redirects to a file", "file:///etc/passwd"),
        ("redirects to gopher", "gopher://127.0.0.1/"),
        ("redirects to the metadata service", "http://169.254.169.254/latest/meta-data/"),
        ("redirects to the metadata service, mapped", "http://[::ffff:169.254.169.254]/"),
        ("redirects to the metadata service, decimal", "http://2852039166/"),
        ("redirects to the metadata service, hexadecimal", "http://0xa9.0xfe.0xa9.0xfe/"),
        ("redirects to the metadata service, by NAT64", "http://[64:ff9b::a9fe:a9fe]/"),
        ("redirects to the metadata service of IPv6", "http://[fd00:ec2::254]/"),
        ("redirects to this machine's any-address", "http://0.0.0.0/"),
        ("redirects to what is no URL", "http://:99999/"),
    ];
    let mut rows: Vec<_> =
        blocked.into_iter().map(|(peer, location)| to(peer, location, Is::RedirectBlocked)).collect();
    rows.push(to("redirects in a circle", "/", Is::RedirectLimit).saying("more than 10 redirects"));
    rows
}

/// Bodies that are not what they say; each is looked at only where it is used.
fn bodies() -> Vec<Row> {
    let deep = "[".repeat(100_000);
    let not_json = "the body is not JSON";
    vec![
        Row::serves("sends what is not UTF-8", b"{\"a\":\"\xff\"}", "json.a == 1").saying("the body is not UTF-8"),
        Row::serves("sends JSON behind a byte order mark", "\u{feff}{\"a\":1}", "json.a == 1").saying(not_json),
        Row::serves("sends half a surrogate pair", r#"{"a":"\ud800"}"#, "json.a != \"\"").saying(not_json),
        Row::serves("sends a number beyond every double", r#"{"a":1e400}"#, "json.a > 1").saying(not_json),
        Row::serves("sends JSON of 100,000 levels", &deep, "has(json.a)").saying("recursion limit exceeded"),
        Row::serves("sends NaN", r#"{"a":NaN}"#, "json.a != 1").saying(not_json),
        Row::serves("sends HTML where JSON is expected", "<html>down</html>", "!has(json.error)").saying(not_json),
        Row::serves("sends nothing where JSON is expected", "", "!has(json.error)").saying(not_json),
        Row::serves("sends JSON and more", r#"{"a":1}{"a":2}"#, "json.a == 1").saying(not_json),
        Row::serves("names a field twice: the last counts", r#"{"a":1,"a":2}"#, "json.a == 2").well(),
        Row::serves("sends an escaped NUL", r#"{"a":"\u0000"}"#, "size(json.a) == 1").well(),
    ]
}
